mod hosts;
mod idle;
mod lifetime;
mod log_lines;
mod webhooks;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hs_oauth_core::Timestamp;

use super::*;
use crate::faults::Fault;
use crate::routes::MAX_BODY_SIZE;

const EMPTY_FORM: &str = "POST /oauth/v3/token HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
    content-type: application/x-www-form-urlencoded\r\ncontent-length: 0\r\n\r\n";

fn server() -> Server {
    Server::start("127.0.0.1:0", Settings::new([1; 32])).unwrap()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn send(server: &Server, request: &[u8]) -> String {
    let mut stream = connect(server);
    stream.write_all(request).unwrap();
    let mut response = Vec::new();
    // If the connection breaks, what came before it is in `response`.
    let _ = stream.read_to_end(&mut response);
    String::from_utf8(response).unwrap()
}

#[test]
fn several_requests_can_use_one_connection() {
    let server = server();
    let mut stream = connect(&server);
    for _ in 0..3 {
        stream.write_all(b"GET /_emulator/clock HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut response = [0; 1024];
        let length = stream.read(&mut response).unwrap();
        let response = String::from_utf8_lossy(&response[..length]);
        assert!(
            response.starts_with("HTTP/1.1 200 OK\r\n") && response.contains("\"advanced\":0"),
            "{response}"
        );
    }
}

#[test]
fn a_dropped_response_is_never_sent() {
    let server = server();
    for fault in [Fault::drop_before(), Fault::drop_after()] {
        server.emulator(|emulator| emulator.inject(fault));
        assert_eq!(send(&server, EMPTY_FORM.as_bytes()), "");
    }
    assert!(send(&server, EMPTY_FORM.as_bytes()).starts_with("HTTP/1.1 400 "));
}

/// RFC 9112 §8: a body shorter than its content-length is incomplete.
#[test]
fn a_truncated_response_announces_more_than_it_sends() {
    let server = server();
    for bytes in [0, 1, 20] {
        server.emulator(|emulator| emulator.inject(Fault::truncate(bytes)));
        let response = send(&server, EMPTY_FORM.as_bytes());
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.len(), bytes, "{response}");
        let announced = head.split_once("content-length: ").unwrap().1.lines().next().unwrap();
        assert!(announced.parse::<usize>().unwrap() > 100, "{head}");
    }
}

#[test]
fn a_delayed_response_comes_late_and_does_not_delay_others() {
    let server = server();
    let day = Duration::from_secs(24 * 60 * 60);
    server.emulator(|emulator| emulator.inject(Fault::delay(day)));
    let mut slow = connect(&server);
    slow.write_all(EMPTY_FORM.as_bytes()).unwrap();
    while server.emulator(|emulator| emulator.journal().len()) == 0 {
        std::thread::yield_now();
    }
    assert!(send(&server, EMPTY_FORM.as_bytes()).starts_with("HTTP/1.1 400 "));
    slow.set_nonblocking(true).unwrap();
    assert_eq!(slow.read(&mut [0; 1]).unwrap_err().kind(), io::ErrorKind::WouldBlock);

    server.emulator(|emulator| emulator.inject(Fault::delay(Duration::from_millis(300))));
    let started = Instant::now();
    assert!(send(&server, EMPTY_FORM.as_bytes()).starts_with("HTTP/1.1 400 "));
    assert!(started.elapsed() >= Duration::from_millis(300));
}

/// RFC 9110 §15.5.14. The client can read the response while it is still sending.
#[test]
fn a_body_over_the_limit_is_refused_and_not_held_in_memory() {
    let server = server();
    let head = "POST /oauth/v3/token HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n";
    let length = 3 * MAX_BODY_SIZE;
    let with_length =
        [format!("{head}content-length: {length}\r\n\r\n").into_bytes(), vec![b'a'; length]].concat();
    let chunk = format!("{length:x}\r\n").into_bytes();
    let chunked = [
        format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes(),
        &chunk,
        &vec![b'a'; length],
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    for request in [with_length, chunked] {
        let response = send(&server, &request);
        assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
        assert!(response.contains("connection: close") && response.contains("\"error\":\"invalid_request\""));
    }
}

#[test]
fn the_response_to_head_has_a_length_but_no_body() {
    let server = server();
    let response = send(&server, b"HEAD / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(
        body.is_empty() && head.contains("content-length: ") && !head.contains("content-length: 0"),
        "{response}"
    );
}

#[test]
fn an_error_on_one_connection_does_not_affect_others() {
    let server = server();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\xff"[..],
        b"GET\r\n\r\n",
        b"POST /oauth/v3/token HTTP/1.1\r\ncontent-length: 9\r\n\r\na",
    ] {
        connect(&server).write_all(garbage).unwrap();
    }
    assert!(send(&server, EMPTY_FORM.as_bytes()).starts_with("HTTP/1.1 400 "));
}

#[test]
fn the_callers_clock_and_the_control_api_move_the_emulators_time() {
    let seconds = Arc::new(AtomicU64::new(1_790_000_000));
    let clock = {
        let seconds = Arc::clone(&seconds);
        move || Timestamp::from_secs(seconds.load(Ordering::SeqCst))
    };
    let builder = Server::builder(Settings::new([1; 32])).with_clock(clock.clone());
    let server = builder.start("127.0.0.1:0").unwrap();
    let shown = || {
        let response =
            send(&server, b"GET /_emulator/clock HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let body: serde_json::Value =
            serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap();
        (body["now"].as_u64().unwrap(), body["advanced"].as_u64().unwrap())
    };
    assert_eq!(shown(), (clock().as_millis(), 0));
    let url = "/oauth/authorize?client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
        &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback&scope=oauth";
    let callback = server.connect(url).unwrap();
    let code = callback.split_once("?code=").unwrap().1;
    // A code is valid for a minute.
    seconds.fetch_add(60, Ordering::SeqCst);
    assert_eq!(shown(), (1_790_000_060_000, 0));
    let body = format!(
        "grant_type=authorization_code&client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
         &client_secret=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0&code={code}\
         &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback"
    );
    let exchange = format!(
        "{}{body}",
        EMPTY_FORM.replace("content-length: 0", &format!("content-length: {}", body.len()))
    );
    assert!(send(&server, exchange.as_bytes()).contains("EXPIRED_AUTH_CODE"));
    server.emulator(|emulator| emulator.advance(Duration::from_secs(5)));
    assert_eq!(shown(), (1_790_000_065_000, 5));
    let entry = server.emulator(|emulator| emulator.journal().next_back().cloned()).unwrap();
    assert_eq!(entry.at, Timestamp::from_secs(1_790_000_060));
}

#[test]
fn the_simulated_browser_uses_the_same_emulator() {
    let server = server();
    let url = "/oauth/authorize?client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
        &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback&scope=oauth";
    assert!(server.connect(url).unwrap().contains("?code="));
    assert!(format!("{server:?}").contains(server.url()));
}

//! How a server starts and ends, and what outlives it.

use super::*;

#[test]
fn only_one_server_listens_on_an_address_and_dropping_it_frees_the_address() {
    let first = server();
    let address = first.address();
    assert_eq!(Server::start(address, Settings::new([1; 32])).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    let mut open = connect(&first);
    drop(first);
    assert_eq!(open.read(&mut [0; 1]).unwrap_or(0), 0);
    Server::start(address, Settings::new([1; 32])).unwrap();
}

#[test]
fn a_graceful_stop_closes_idle_connections_and_lets_requests_in_flight_finish() {
    let server = server();
    server.emulator(|emulator| emulator.inject(Fault::delay(Duration::from_millis(700))));
    let mut idle = connect(&server);
    let mut kept = connect(&server);
    kept.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    assert_ne!(kept.read(&mut [0; 1024]).unwrap(), 0);
    let mut slow = connect(&server);
    slow.write_all(EMPTY_FORM.replace("connection: close\r\n", "").as_bytes()).unwrap();
    while server.emulator(|emulator| emulator.journal().len()) == 0 {
        std::thread::yield_now();
    }
    let stopping = std::thread::spawn(move || server.stop(Duration::from_secs(120)));
    assert_eq!((idle.read(&mut [0; 1]).unwrap(), kept.read(&mut [0; 1]).unwrap()), (0, 0));
    let mut response = String::new();
    slow.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 400 ") && response.ends_with('}'), "{response}");
    stopping.join().unwrap();
}

/// HTML standard, "Server-sent events".
#[test]
fn events_come_as_requests_do_and_the_stream_ends_with_the_server() {
    let server = server();
    let mut stream = connect(&server);
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    stream.write_all(b"GET /_emulator/events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut text = String::new();
    let mut wait_for = |expected: &str| {
        let mut buffer = [0; 4096];
        while !text.contains(expected) {
            let length = stream.read(&mut buffer).unwrap();
            assert_ne!(length, 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    };
    wait_for("content-type: text/event-stream");
    wait_for("retry: 1000");
    for (path, expected) in [("/one", "id: 1\nevent: request\ndata: {\"number\":1,"), ("/two", "id: 2\n")] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        send(&server, request.as_bytes());
        wait_for(expected);
        wait_for(&format!("\"path\":\"{path}\""));
    }
    server.emulator(Emulator::reset);
    wait_for("event: change");
    server.stop(Duration::from_secs(120));
    // The end of a chunked body (RFC 9112 §7.1).
    wait_for("\r\n0\r\n\r\n");
}

#[test]
fn a_graceful_stop_ends_a_request_that_takes_longer_than_the_grace() {
    let server = server();
    server.emulator(|emulator| emulator.inject(Fault::delay(Duration::from_secs(24 * 60 * 60))));
    let mut slow = connect(&server);
    slow.write_all(EMPTY_FORM.as_bytes()).unwrap();
    while server.emulator(|emulator| emulator.journal().len()) == 0 {
        std::thread::yield_now();
    }
    server.stop(Duration::from_millis(50));
    assert_eq!(slow.read(&mut [0; 1]).unwrap_or(0), 0);
}

#[test]
fn a_state_file_keeps_accounts_grants_and_the_clock_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let start = || Server::builder(Settings::new([1; 32])).with_state_file(&path).start("127.0.0.1:0");
    let url = "/oauth/authorize?client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
        &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback&scope=oauth";
    let first = start().unwrap();
    assert!(start().unwrap_err().to_string().contains("another emulator uses it"));
    first.emulator(|emulator| {
        emulator.add_hub(7, "seven.example");
        emulator.advance(Duration::from_secs(5));
    });
    let callback = first.connect(url).unwrap();
    first.stop(Duration::ZERO);

    let second = start().unwrap();
    let code = callback.split_once("?code=").unwrap().1;
    let body = format!(
        "grant_type=authorization_code&client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
         &client_secret=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0&code={code}\
         &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback"
    );
    let exchange = EMPTY_FORM.replace("content-length: 0", &format!("content-length: {}", body.len()));
    assert!(send(&second, format!("{exchange}{body}").as_bytes()).contains("\"refresh_token\""));
    // It is saved even if nobody stops the server.
    let is_saved =
        || std::fs::read_to_string(&path).is_ok_and(|saved| saved.contains("refresh_token\":\"na1-"));
    let patience = Instant::now();
    while !is_saved() {
        assert!(patience.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(second);
    let saved = std::fs::read(&path).unwrap();
    drop(start().unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), saved, "a start changes nothing");

    std::fs::write(&path, "{\"version\":1,\"na1-canary").unwrap();
    let error = start().unwrap_err().to_string();
    assert!(error.contains("state.json") && error.contains("move it away"), "{error}");
    assert!(!error.contains("canary"), "{error}");
}

#[test]
fn a_server_starts_and_stops_inside_async_code_too() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = server();
        assert!(send(&server, EMPTY_FORM.as_bytes()).starts_with("HTTP/1.1 400 "));
    });
}

//! What becomes of a webhook that is sent to an application.

use std::time::SystemTime;

use super::*;

/// What an application does with a webhook: it reads it, and responds.
fn application(respond: impl Into<String>) -> (SocketAddr, JoinHandle<String>) {
    let respond = respond.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        // The tests' bodies are arrays.
        while !request.ends_with(b"]") {
            let length = stream.read(&mut buffer).unwrap();
            assert_ne!(length, 0, "{}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&buffer[..length]);
        }
        // The emulator reads only the beginning of a long response.
        _ = stream.write_all(respond.as_bytes());
        String::from_utf8(request).unwrap()
    });
    (address, thread)
}

fn send_webhook(server: &Server, webhook: &str) -> (u16, serde_json::Value) {
    let request = format!(
        "POST /_emulator/webhooks HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{webhook}",
        webhook.len()
    );
    let response = send(server, request.as_bytes());
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

/// HubSpot's documentation, "Validating requests": what is verified is the method, the public URL, the body as it came and the headers.
#[test]
fn a_webhook_is_sent_as_it_was_signed_and_what_came_back_is_shown() {
    use hs_oauth_core::{ClientSecret, RequestSignatureVersion, RequestVerifier};
    let server = server();
    let verifier = RequestVerifier::new(ClientSecret::new(&server.settings().client_secret).unwrap());
    for (version, expected) in [
        ("v1", RequestSignatureVersion::V1),
        ("v2", RequestSignatureVersion::V2),
        ("v3", RequestSignatureVersion::V3),
    ] {
        let (address, application) =
            application("HTTP/1.1 401 Unauthorized\r\ncontent-length: 7\r\nx-why: forged\r\n\r\nforged!");
        let url = format!("http://localhost:{}/hook?q=%3A%2f&r", address.port());
        let webhook = format!(r#"{{"url":"{url}","version":"{version}","body":"[ {{}} ]","method":"PUT"}}"#);
        let (status, shown) = send_webhook(&server, &webhook);
        assert_eq!((status, &shown["status"], &shown["body"]), (200, &401.into(), &"forged!".into()));
        assert_eq!(shown["headers"]["x-why"], "forged");

        let received = application.join().unwrap();
        let (head, body) = received.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        assert_eq!(lines.next().unwrap(), "PUT /hook?q=%3A%2f&r HTTP/1.1");
        let mut request = http::Request::put(&url);
        for (name, value) in lines.map(|line| line.split_once(": ").unwrap()) {
            request = request.header(name, value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(parts.headers["host"], format!("localhost:{}", address.port()));
        let verified = verifier.verify(SystemTime::now().into(), &parts, &url, body.as_bytes());
        assert_eq!((verified, body), (Ok(expected), "[ {} ]"));
    }
}

#[test]
fn of_a_long_response_to_a_webhook_the_beginning_is_shown() {
    let server = server();
    for (length, shown_length, is_truncated) in [(65_536, 65_536, false), (200_000, 65_536, true)] {
        let body = "x".repeat(length);
        let (address, application) =
            application(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"));
        let (status, shown) = send_webhook(&server, &format!(r#"{{"url":"http://{address}/","body":[]}}"#));
        assert_eq!((status, &shown["status"]), (200, &200.into()));
        assert_eq!(shown["body"].as_str().unwrap().len(), shown_length);
        assert_eq!(shown["truncated"], is_truncated);
        application.join().unwrap();
    }
}

#[test]
fn a_webhook_to_which_no_response_comes_is_an_error_that_says_what_to_check() {
    let server = server();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (status, shown) = send_webhook(&server, &format!(r#"{{"url":"http://{closed}/","body":[]}}"#));
    let message = shown["message"].as_str().unwrap();
    assert!(status == 400 && message.contains("check that the application listens"), "{shown}");
    let (address, application) = application("nonsense");
    let (status, shown) = send_webhook(&server, &format!(r#"{{"url":"http://{address}/","body":[]}}"#));
    assert_eq!(status, 400, "{shown}");
    application.join().unwrap();
    let (status, shown) = send_webhook(&server, r#"{"url":"http://10.0.0.1/"}"#);
    assert_eq!(status, 400);
    assert!(shown["message"].as_str().unwrap().contains("loopback"), "{shown}");
}

/// The emulator is an application on this machine, too. It must not wait for itself.
#[test]
fn a_webhook_to_the_emulator_itself_is_responded_to() {
    let server = server();
    let (status, shown) = send_webhook(&server, &format!(r#"{{"url":"{}/nope","body":[]}}"#, server.url()));
    assert_eq!((status, &shown["status"]), (200, &501.into()));
}

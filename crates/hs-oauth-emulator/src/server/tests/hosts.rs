//! For which hosts a server takes requests.

use super::*;

/// Fetch standard: a page of another site may send `GET` to any address. If the name of its own site leads here, it may
/// read the response too.
#[test]
fn a_request_for_another_host_is_refused_on_loopback_and_has_no_effect() {
    let server = server();
    let get = |host: &str| {
        let request = format!("GET /_emulator/journal HTTP/1.1\r\n{host}connection: close\r\n\r\n");
        send(&server, request.as_bytes())
    };
    for host in
        ["host: 127.0.0.1\r\n", "Host: LOCALHOST:4380\r\n", "host: [::1]:1\r\n", "host: a.localhost\r\n"]
    {
        assert!(get(host).starts_with("HTTP/1.1 200 "), "{host}");
    }
    for (host, status) in [
        ("host: evil.example\r\n", 421),
        ("host: localhost.evil.example:80\r\n", 421),
        ("host: \r\n", 421),
        ("", 400),
        ("host: localhost\r\nhost: evil.example\r\n", 400),
    ] {
        let response = get(host);
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {response}");
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(head.contains("content-type: application/json"), "{head}");
        assert!(
            body["error"] == "invalid_request" && body["message"].as_str().unwrap().contains("Host"),
            "{body}"
        );
    }
    let post = EMPTY_FORM.replace("localhost", "evil.example");
    assert!(send(&server, post.as_bytes()).starts_with("HTTP/1.1 421 "));
    let absolute = "GET http://evil.example/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    assert!(send(&server, absolute.as_bytes()).starts_with("HTTP/1.1 421 "));
    assert_eq!(server.emulator(|emulator| emulator.journal().len()), 0);
    assert!(send(&server, b"GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 "));
}

#[test]
fn other_addresses_take_requests_for_any_host() {
    let server = Server::start("0.0.0.0:0", Settings::new([1; 32])).unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", server.address().port())).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: hubspot.test\r\nconnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
}

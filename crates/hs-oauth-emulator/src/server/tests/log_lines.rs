//! What the log says of a request.

use super::*;

#[test]
fn log_lines_have_no_tokens() {
    let (sender, lines) = std::sync::mpsc::channel();
    let log = move |line: &str| sender.send(line.to_owned()).unwrap();
    let server = Server::builder(Settings::new([1; 32])).with_log(log).start("127.0.0.1:0").unwrap();
    send(&server, b"GET /oauth/v1/refresh-tokens/na1-canary-canary?code=canary HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    let line = lines.recv().unwrap();
    let (time, line) = line.split_once(' ').unwrap();
    assert!(time.ends_with('Z') && time.contains('T'), "{time}");
    let (line, duration) = line.split_once(" 401 ").unwrap();
    assert!(line.starts_with("GET /oauth/v1/refresh-tokens/na1-…#"), "{line}");
    assert!(
        duration.contains(" ms: INVALID_TOKEN: Invalid or expired token")
            || duration.contains(" ms: UNAUTHORIZED: Invalid or expired token"),
        "{duration}"
    );
    assert!(!line.contains("canary"));
}

#[test]
fn log_lines_in_json_have_the_reason_of_a_failure_and_of_a_fault() {
    let (sender, lines) = std::sync::mpsc::channel();
    let log = move |line: &str| sender.send(line.to_owned()).unwrap();
    let builder = Server::builder(Settings::new([1; 32])).with_log(log).with_log_format(LogFormat::Json);
    let server = builder.with_clock(|| Timestamp::from_secs(1_790_000_000)).start("127.0.0.1:0").unwrap();
    let line = |fault: Option<Fault>, request: &str| {
        if let Some(fault) = fault {
            server.emulator(|emulator| emulator.inject(fault));
        }
        send(&server, request.as_bytes());
        serde_json::from_str::<serde_json::Value>(&lines.recv().unwrap()).unwrap()
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    for (fault, request, status, reason) in [
        (None, get("/_emulator/clock"), Some(200), None),
        (None, get("/nope"), Some(501), Some("NOT_IMPLEMENTED: this is not emulated")),
        (None, get("/oauth/authorize"), Some(400), Some("The address has no client_id.")),
        (None, EMPTY_FORM.to_owned(), Some(400), Some("BAD_CLIENT_ID: missing or unknown client id")),
        (Some(Fault::status(503)), EMPTY_FORM.to_owned(), Some(503), Some("fault status: ")),
        (Some(Fault::drop_before()), EMPTY_FORM.to_owned(), None, Some("fault drop_before")),
        (Some(Fault::truncate(1)), EMPTY_FORM.to_owned(), Some(400), Some("fault truncate: BAD_CLIENT_ID")),
    ] {
        let line = line(fault, &request);
        assert_eq!(line["time"], "2026-09-21T14:13:20Z");
        assert_eq!(line.get("status").and_then(serde_json::Value::as_u64), status, "{line}");
        assert!(line["duration_ms"].as_f64().unwrap() >= 0.0 && line["method"].is_string(), "{line}");
        match reason {
            Some(reason) => assert!(line["reason"].as_str().unwrap().starts_with(reason), "{line}"),
            None => assert!(line.get("reason").is_none(), "{line}"),
        }
    }
}

#[test]
fn log_lines_have_no_client_secret_in_any_part() {
    let (sender, lines) = std::sync::mpsc::channel();
    let log = move |line: &str| sender.send(line.to_owned()).unwrap();
    let mut settings = Settings::new([1; 32]);
    settings.client_secret = "s3cret".to_owned();
    let server = Server::builder(settings).with_log(log).start("127.0.0.1:0").unwrap();
    for line in ["GET /as3cretb", "GET /_emulator/s3%63ret", "Xs3cret /"] {
        send(&server, format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes());
        let line = lines.recv().unwrap();
        assert!(!line.contains("s3") && line.contains("…#"), "{line}");
    }
}

//! The program, as a process of its own.
#![cfg(test)]
#![cfg(unix)]
#![expect(clippy::disallowed_types, reason = "this tests the program from outside")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a test waits for something that is sure to come.
const PATIENCE: Duration = Duration::from_secs(120);

struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    /// Starts the program with these arguments, in a shell after this command.
    fn start(before: &str, arguments: &str) -> Self {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("{before}; exec \"$0\" {arguments}"))
            .arg(env!("CARGO_BIN_EXE_hs-oauth-emulator"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
        let address = ready["listening"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// If a new connection did not take the place of an idle one, each group of idle connections would hold all file descriptors for
/// half a minute. The new client comes after ten such groups.
#[test]
fn idle_connections_do_not_keep_others_out_where_file_descriptors_are_few() {
    let program = Program::start("ulimit -n 40", "--listen 127.0.0.1:0");
    let idle: Vec<_> = (0..300).map(|_| program.connect()).collect();
    let mut stream = program.connect();
    stream
        .write_all(b"GET /_emulator/clock HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    drop(idle);
}

/// HubSpot's documentation, "Scopes": the page names the scope at fault, and the browser never gets back to the app.
#[test]
fn the_flags_register_scopes() {
    let scopes = "--required-scopes 'oauth a' --conditional-scopes b --optional-scopes c";
    let program = Program::start("true", &format!("--listen 127.0.0.1:0 --auto-approve {scopes}"));
    let authorize = |scopes: &str| {
        let mut stream = program.connect();
        let path = format!(
            "/oauth/authorize?client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
             &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback&{scopes}"
        );
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    };
    for (scopes, named) in [
        ("scope=oauth", "a"),
        ("scope=oauth+a+x", "x"),
        ("scope=oauth+a&optional_scope=b", "b"),
        ("scope=oauth+a+c", "c"),
    ] {
        let response = authorize(scopes);
        assert!(response.starts_with("HTTP/1.1 400 ") && !response.contains("\r\nlocation:"), "{response}");
        assert!(response.contains(&format!("<code>{named}</code>")), "{response}");
    }
    let response = authorize("scope=oauth+a+b&optional_scope=c");
    assert!(
        response.starts_with("HTTP/1.1 302 ") && response.contains("\r\nlocation: http://localhost:3000/"),
        "{response}"
    );
}

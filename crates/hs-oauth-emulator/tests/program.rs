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

    /// Sends the signal that asks it to end. Returns the exit status.
    fn terminate(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }

    fn get(&self, path: &str) -> String {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
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

const AUTHORIZE: &str = "/oauth/authorize?client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
    &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback&scope=oauth";

fn location(response: &str) -> &str {
    response.lines().find_map(|line| line.strip_prefix("location: ")).unwrap_or_else(|| panic!("{response}"))
}

#[test]
fn with_a_seed_every_run_gives_out_the_same_codes_and_without_one_none_does() {
    let code = |arguments: &str| {
        let program = Program::start("true", &format!("--listen 127.0.0.1:0 --auto-approve {arguments}"));
        location(&program.get(AUTHORIZE)).to_owned()
    };
    assert_eq!(code("--seed one"), code("--seed one"));
    assert_ne!(code("--seed one"), code("--seed two"));
    assert_ne!(code(""), code(""));
}

#[test]
fn a_state_file_lasts_over_the_signal_that_ends_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let arguments = format!("--listen 127.0.0.1:0 --auto-approve --seed one --state {}", path.display());
    let first = Program::start("true", &arguments);
    let one = location(&first.get(AUTHORIZE)).to_owned();
    assert_eq!(first.terminate(), Some(0));
    let saved = std::fs::read_to_string(&path).unwrap();
    assert!(saved.contains(one.split_once("code=").unwrap().1), "{saved}");
    // Although the seed is the same, no code is given out twice.
    let second = Program::start("true", &arguments);
    assert_ne!(location(&second.get(AUTHORIZE)), one);
    assert_eq!(second.terminate(), Some(0));

    std::fs::write(&path, "nonsense").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_hs-oauth-emulator"))
        .args(["--listen", "127.0.0.1:0", "--state"])
        .arg(&path)
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("state.json") && error.contains("move it away to begin anew"), "{error}");
}

#[test]
fn a_file_and_the_environment_configure_it_and_a_flag_overrides_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("emulator.toml");
    std::fs::write(&path, "listen = \"127.0.0.1:0\"\nauto_approve = true\n[[hubs]]\nhub_id = 5\n").unwrap();
    let variables = format!(
        "export HS_OAUTH_EMULATOR_CONFIG={} HS_OAUTH_EMULATOR_ROTATION=rotate HS_OAUTH_EMULATOR_HUB_ID=6 \
         HS_OAUTH_EMULATOR_SUNSET='v1 v3'",
        path.display()
    );
    let program = Program::start(&variables, "--hub-id 7");
    assert!(location(&program.get(AUTHORIZE)).contains("code="));
    assert!(program.get("/_emulator/hubs").contains("\"hub_id\":7"));
    assert!(program.get("/_emulator/rotation").contains("\"rotate\""));
    assert!(program.get("/_emulator/sunset").contains("[\"v1\",\"v3\"]"));
    assert!(program.get("/health").ends_with("{\"status\":\"ok\"}"));
}

/// HubSpot's OAuth guide: a domain, and https except on this machine.
#[test]
fn a_redirect_uri_that_hubspot_does_not_take_ends_the_program_with_the_status_of_wrong_usage() {
    let output = Command::new(env!("CARGO_BIN_EXE_hs-oauth-emulator"))
        .args(["--listen", "127.0.0.1:0", "--redirect-uri", "http://192.0.2.7:3000/cb"])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("--redirect-uri") && error.contains("--lenient-redirects takes it"), "{error}");
}

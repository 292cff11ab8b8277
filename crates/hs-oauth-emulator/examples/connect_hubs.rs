//! Connects an app to thousands of accounts, one after the other, over HTTP as a browser and an app do it: consent page, Connect,
//! exchange of the code. Shows what a consent costs at the beginning and at the end.
//!
//! `cargo run --release -p hs-oauth-emulator --example connect_hubs -- 10000`

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "this is a client of the emulator")]

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hs_oauth_emulator::{Server, Settings};
use serde_json::Value;

const APP: &str = "client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
    &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback";
const SECRET: &str = "0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0";

fn main() -> Result<(), Box<dyn Error>> {
    let count: i64 = std::env::args().nth(1).map_or(Ok(10_000), |text| text.parse())?;
    let hubspot = Server::start("127.0.0.1:0", Settings::random()?)?;
    let mut connection = Connection::open(&hubspot)?;
    let mut times = Vec::new();
    let started = Instant::now();
    for hub_id in 1..=count {
        let body = format!("{{\"hub_id\":{hub_id}}}");
        connection.send("POST", "/_emulator/hubs", "application/json", &body)?;
        let started = Instant::now();
        connect(&mut connection, hub_id)?;
        times.push(started.elapsed());
    }
    let total = started.elapsed();

    let hubs = connection.send("GET", "/_emulator/hubs", "text/plain", "")?.json()?;
    let hubs = hubs.get("hubs").and_then(Value::as_array).into_iter().flatten();
    let installs = hubs.filter(|hub| hub.get("installs").is_some_and(|installs| *installs == 1)).count();
    let part = times.len().div_ceil(10).max(1);
    let first: Duration = times.iter().take(part).sum();
    let last: Duration = times.iter().rev().take(part).sum();
    let micros = |sum: Duration| sum.as_micros() / part as u128;
    writeln!(
        std::io::stdout(),
        "{installs} accounts connected in {:.1} s; a consent took {} µs in the first tenth, {} µs in the last",
        total.as_secs_f64(),
        micros(first),
        micros(last),
    )?;
    match i64::try_from(installs)? == count {
        true => Ok(()),
        false => Err(format!("{installs} of {count} accounts have an install").into()),
    }
}

fn connect(connection: &mut Connection, hub_id: i64) -> Result<(), Box<dyn Error>> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let page = connection.send("GET", &format!("/oauth/authorize?{APP}&scope=oauth&state=x"), FORM, "")?;
    let ticket = between(&page.body, "name=\"ticket\" value=\"", "\"")?;
    let decision = format!("ticket={ticket}&decision=connect&hub_id={hub_id}");
    let callback = connection.send("POST", "/oauth/authorize", FORM, &decision)?;
    let code = between(&callback.head, "?code=", "&")?;
    let exchange = format!("grant_type=authorization_code&code={code}&{APP}&client_secret={SECRET}");
    let tokens = connection.send("POST", "/oauth/2026-09/token", FORM, &exchange)?.json()?;
    match tokens.get("hub_id").is_some_and(|id| *id == hub_id) && tokens.get("refresh_token").is_some() {
        true => Ok(()),
        false => Err(format!("the tokens are not those of account {hub_id}").into()),
    }
}

/// A connection to the emulator that stays open.
struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

struct Response {
    head: String,
    body: String,
}

impl Connection {
    fn open(server: &Server) -> std::io::Result<Self> {
        let stream = TcpStream::connect(server.address())?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), host: server.address().to_string() })
    }

    fn send(
        &mut self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &str,
    ) -> Result<Response, Box<dyn Error>> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}",
            self.host,
            body.len(),
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                return Err("the emulator closed the connection".into());
            }
        }
        let mut body = vec![0; between(&head, "content-length: ", "\r\n")?.parse()?];
        self.stream.read_exact(&mut body)?;
        Ok(Response { head, body: String::from_utf8(body)? })
    }
}

impl Response {
    fn json(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_str(&self.body)
    }
}

fn between<'t>(text: &'t str, start: &str, end: &str) -> Result<&'t str, Box<dyn Error>> {
    let rest = text.split_once(start).ok_or_else(|| format!("there is no {start} in the response"))?.1;
    Ok(rest.split_once(end).ok_or_else(|| format!("there is no {end} in the response"))?.0)
}

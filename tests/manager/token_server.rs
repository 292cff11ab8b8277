//! A server that does nothing but respond to refreshes as a test wants it to, and counts them.

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use hs_oauth_core::{App, ClientSecret};

use crate::raw_server::read_request;

pub(crate) struct TokenServer {
    pub(crate) url: String,
    counts: Arc<Mutex<Counts>>,
}

/// What the server has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// The refreshes that have arrived.
    pub(crate) requests: usize,
    /// The refreshes that have arrived and have no response yet.
    pub(crate) in_flight: usize,
    pub(crate) most_in_flight: usize,
    /// The connections that the client has not closed.
    connections: usize,
    pub(crate) most_connections: usize,
}

/// A response: its status, further header lines and its body.
pub(crate) struct Reply(pub(crate) u16, pub(crate) &'static str, pub(crate) String);

impl Reply {
    /// Returns the tokens of a successful refresh. `number` makes the access token different from all others.
    pub(crate) fn tokens(number: usize) -> Self {
        let body = format!(
            r#"{{"access_token":"new-{number}","refresh_token":"kept","token_type":"bearer","expires_in":1800}}"#
        );
        Self(200, "", body)
    }

    /// Returns the response of a rate limit that ends in ten seconds.
    pub(crate) fn rate_limit() -> Self {
        let body = r#"{"status":"error","errorType":"RATE_LIMIT","policyName":"TEN_SECONDLY_ROLLING"}"#;
        Self(429, "retry-after: 10\r\n", body.to_owned())
    }

    pub(crate) fn unavailable() -> Self {
        Self(503, "", String::new())
    }
}

impl TokenServer {
    /// Starts a server. `reply` is called with the number of each refresh, from 0, and may wait. It runs on the connection's own thread.
    pub(crate) fn start(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let counts = Arc::new(Mutex::new(Counts::default()));
        let (reply, counted) = (Arc::new(reply), Arc::clone(&counts));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, reply, counts) = (stream.unwrap(), Arc::clone(&reply), Arc::clone(&counted));
                change(&counts, |counts| {
                    counts.connections += 1;
                    counts.most_connections = counts.most_connections.max(counts.connections);
                });
                thread::spawn(move || {
                    while serve(&mut stream, &*reply, &counts) {}
                    change(&counts, |counts| counts.connections -= 1);
                });
            }
        });
        Self { url, counts }
    }

    pub(crate) fn counts(&self) -> Counts {
        *lock(&self.counts)
    }

    /// Returns an app whose refreshes go to this server.
    pub(crate) fn app(&self) -> App {
        app(&self.url)
    }
}

pub(crate) fn app(url: &str) -> App {
    App::hubspot("client-id", ClientSecret::new("s3cret").unwrap())
        .with_api_base(url)
        .with_app_base(url)
        .build()
        .unwrap()
}

/// Responds to one request. Returns `false` if the client has closed the connection.
fn serve(stream: &mut TcpStream, reply: &dyn Fn(usize) -> Reply, counts: &Mutex<Counts>) -> bool {
    if !read_request(stream).1 {
        return false;
    }
    let mut number = 0;
    change(counts, |counts| {
        number = counts.requests;
        counts.requests += 1;
        counts.in_flight += 1;
        counts.most_in_flight = counts.most_in_flight.max(counts.in_flight);
    });
    let Reply(status, headers, body) = reply(number);
    // Before the client can have the response and send the next request.
    change(counts, |counts| counts.in_flight -= 1);
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).is_ok()
}

fn change(counts: &Mutex<Counts>, change: impl FnOnce(&mut Counts)) {
    change(&mut lock(counts));
}

fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap()
}

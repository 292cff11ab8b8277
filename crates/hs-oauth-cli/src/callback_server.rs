//! Listens on the redirect URI's own port, for the browser that comes back from the consent page.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use hs_oauth_blocking::AuthorizationUrl;
use hs_oauth_blocking::http::Uri;

use crate::failure::Failure;
use crate::page::Page;

/// A server on 127.0.0.1 and, where there is one, on ::1. It takes each connection on a thread of its own, since a browser opens some that
/// it never uses.
#[derive(Debug)]
pub(crate) struct CallbackServer {
    shared: Arc<Shared>,
    arrived: Receiver<Callback>,
}

/// A callback. The browser waits for the page until it is answered.
#[derive(Debug)]
pub(crate) struct Callback {
    /// The query of the request.
    pub(crate) query: String,
    stream: TcpStream,
}

/// What all connections know.
#[derive(Debug)]
struct Shared {
    port: u16,
    path: String,
    /// The path that leads to the consent page, once.
    start_path: &'static str,
    /// The address of the consent page, as soon as there is one.
    consent_page: RwLock<Option<AuthorizationUrl>>,
    was_started: AtomicBool,
    connections: AtomicUsize,
}

/// The hosts of this machine that a redirect URI may name.
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The most bytes of a request's head. A callback may have 16 KiB.
const MAX_HEAD_SIZE: usize = 32 * 1024;

/// The most connections at a time. A browser opens a few.
const MAX_CONNECTIONS: usize = 64;

/// How long a client may take for its request, and for the page.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(10);

impl CallbackServer {
    /// Begins to listen for the callback of this redirect URI.
    ///
    /// Fails if it is not an `http` address of this machine, or if its port is taken.
    pub(crate) fn listen(redirect_uri: &str) -> Result<Self, Failure> {
        let uri: Option<Uri> = redirect_uri.parse().ok();
        let uri = uri.filter(|uri| {
            uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| HOSTS.contains(&host))
        });
        let Some(uri) = uri else {
            return Err(Failure::usage(format!(
                "nobody can listen for {redirect_uri} here: register http://localhost:3000/oauth/callback, say, as another redirect \
                 URI of the app and pass it with --redirect-uri, or pass --paste"
            )));
        };
        let port = uri.port_u16().unwrap_or(80);
        let listeners = bind(port, uri.host() == Some("127.0.0.1"))?;
        let (sender, arrived) = channel();
        let shared = Arc::new(Shared {
            port,
            path: uri.path().to_owned(),
            start_path: if uri.path() == "/login" { "/start" } else { "/login" },
            consent_page: RwLock::default(),
            was_started: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        });
        for listener in listeners {
            let (shared, sender) = (Arc::clone(&shared), sender.clone());
            let accept = move || {
                for stream in listener.incoming().flatten() {
                    Shared::take(&shared, &sender, stream);
                }
            };
            thread::Builder::new().spawn(accept).map_err(no_thread)?;
        }
        Ok(Self { shared, arrived })
    }

    /// Returns an address that leads a browser to the consent page. It works once, and has nothing in it that others must not know: it is
    /// in the list of processes.
    pub(crate) fn start_url(&self, consent_page: &AuthorizationUrl) -> String {
        let shown = &self.shared.consent_page;
        *shown.write().unwrap_or_else(PoisonError::into_inner) = Some(consent_page.clone());
        format!("http://localhost:{}{}", self.shared.port, self.shared.start_path)
    }

    /// Waits for the next callback. Returns `None` if none comes in time.
    pub(crate) fn next(&self, timeout: Duration) -> Option<Callback> {
        self.arrived.recv_timeout(timeout).ok()
    }
}

impl Callback {
    /// Shows a page in the browser.
    pub(crate) fn answer(mut self, page: &Page) {
        respond(&mut self.stream, "200 OK", &[], &page.html());
    }
}

impl Shared {
    /// Takes a connection on a thread of its own.
    fn take(shared: &Arc<Self>, sender: &Sender<Callback>, stream: TcpStream) {
        let (shared, sender) = (Arc::clone(shared), sender.clone());
        if shared.connections.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
            shared.connections.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let for_thread = Arc::clone(&shared);
        let serve = move || {
            if let Some(callback) = for_thread.serve(stream) {
                // If nobody waits for it any more, the connection is closed.
                let _ = sender.send(callback);
            }
            for_thread.connections.fetch_sub(1, Ordering::Relaxed);
        };
        if thread::Builder::new().spawn(serve).is_err() {
            shared.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Reads a request. Returns it if it is a callback, and answers it otherwise.
    fn serve(&self, mut stream: TcpStream) -> Option<Callback> {
        stream.set_read_timeout(Some(CLIENT_TIMEOUT)).ok()?;
        stream.set_write_timeout(Some(CLIENT_TIMEOUT)).ok()?;
        let Some(Request { method, target, host }) = read_request(&mut stream) else {
            respond(&mut stream, "400 Bad Request", &[], &Page::unknown_address().html());
            return None;
        };
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        if !self.is_own_host(&host) {
            respond(&mut stream, "421 Misdirected Request", &[], &Page::unknown_address().html());
        } else if method != "GET" {
            respond(&mut stream, "405 Method Not Allowed", &["allow: GET"], &Page::unknown_address().html());
        } else if path == self.path {
            return Some(Callback { query: query.to_owned(), stream });
        } else if path == self.start_path {
            self.redirect_to_consent_page(&mut stream);
        } else {
            respond(&mut stream, "404 Not Found", &[], &Page::unknown_address().html());
        }
        None
    }

    /// Leads the first browser that asks to the consent page. Everyone on this machine can ask, so there is no second time.
    fn redirect_to_consent_page(&self, stream: &mut TcpStream) {
        let consent_page = self.consent_page.read().unwrap_or_else(PoisonError::into_inner);
        match &*consent_page {
            Some(url) if !self.was_started.swap(true, Ordering::Relaxed) => {
                respond(stream, "302 Found", &[&format!("location: {url}")], "");
            }
            _ => respond(stream, "410 Gone", &[], &Page::already_opened().html()),
        }
    }

    /// Returns whether a request is meant for this server, and does not come through a name that somebody else controls (DNS rebinding).
    fn is_own_host(&self, host: &str) -> bool {
        let own = |name: &str| {
            host == name && self.port == 80
                || host.strip_prefix(name).and_then(|rest| rest.strip_prefix(':'))
                    == Some(&self.port.to_string())
        };
        HOSTS.into_iter().any(own)
    }
}

/// Listens on the port, on both loopback addresses.
fn bind(port: u16, is_v4_only: bool) -> Result<Vec<TcpListener>, Failure> {
    let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map_err(|error| not_free(port, "127.0.0.1", &error))?;
    match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
        Ok(v6) => Ok(vec![v4, v6]),
        // For the browser, `localhost` may be ::1, and whoever listens there would get the code.
        Err(error) if error.kind() == ErrorKind::AddrInUse && !is_v4_only => {
            Err(not_free(port, "::1", &error))
        }
        // This machine has no IPv6.
        Err(_) => Ok(vec![v4]),
    }
}

fn not_free(port: u16, address: &str, error: &io::Error) -> Failure {
    Failure::usage(match error.kind() {
        ErrorKind::AddrInUse => format!(
            "port {port} of {address} is taken: end the program that listens there, pass another registered --redirect-uri, or pass \
             --paste"
        ),
        _ => format!("could not listen on port {port} of {address}: {error}; pass --paste to do without"),
    })
}

fn no_thread(error: io::Error) -> Failure {
    Failure::Other(format!("could not start a thread: {error}"))
}

/// What matters of a request.
struct Request {
    method: String,
    target: String,
    host: String,
}

/// Reads the head of a request. Returns `None` if it is no HTTP, is too long or does not arrive in time.
fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let length = stream.read(&mut buffer).ok().filter(|length| *length > 0)?;
        head.extend_from_slice(buffer.get(..length)?);
        if head.len() > MAX_HEAD_SIZE {
            return None;
        }
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(&head).ok().filter(httparse::Status::is_complete)?;
    let hosts: BTreeSet<_> = request
        .headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("host"))
        .map(|header| header.value)
        .collect();
    let host = hosts.first().filter(|_| hosts.len() == 1)?;
    Some(Request {
        method: request.method?.to_owned(),
        target: request.path?.to_owned(),
        host: str::from_utf8(host).ok()?.to_ascii_lowercase(),
    })
}

/// Sends a response and closes the connection. The address of the page has a code in it, so it is neither kept nor passed on.
fn respond(stream: &mut TcpStream, status: &str, headers: &[&str], html: &str) {
    let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let response = format!(
        "HTTP/1.1 {status}\r\n{more}content-type: text/html; charset=utf-8\r\ncontent-length: {}\r\nconnection: close\r\n\
         cache-control: no-store\r\nreferrer-policy: no-referrer\r\nx-content-type-options: nosniff\r\n\
         content-security-policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'\r\n\r\n{html}",
        html.len()
    );
    // The browser may have gone.
    let _ = stream.write_all(response.as_bytes());
    let _ = stream.shutdown(Shutdown::Write);
}

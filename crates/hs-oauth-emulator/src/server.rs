//! The HTTP server around the emulator. It owns the socket, the clock and the thread, and leaves every response to the
//! emulator.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the server reads from a socket and a clock what the emulator gets as arguments"
)]

mod connections;
mod event_stream;
mod host;
mod log_line;
mod response_body;
mod saver;
mod shared;
mod state_file;
mod waiting;
mod webhook_sender;

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use connections::serve;
use hs_oauth_core::Timestamp;
pub use log_line::LogFormat;
use saver::Saver;
use shared::{Phase, Shared};
use state_file::StateFile;
use tokio::sync::watch;
use waiting::{MAX_WAITING, Waiting};

use crate::emulator::Emulator;
use crate::settings::Settings;
use crate::token_generator::TokenGenerator;

/// An [`Emulator`] that listens on a socket, in a thread of its own.
///
/// It can be used from blocking and from async code. Dropping it closes the socket and all connections, and waits until
/// the thread has ended. [`Server::stop`] lets requests in flight finish first.
///
/// If it listens on a loopback address, it refuses requests for any other host with the status 421, so that no web page can
/// use it through a name that leads to this machine (DNS rebinding). A request is for the host in its header `Host`: an
/// address of 127.0.0.0/8, `[::1]`, `localhost` or a name under `localhost`. There is no such check on other addresses.
///
/// Idle connections keep nobody out: at most 512 connections may wait for their client, and one more closes the one that has
/// waited longest. A client has 30 seconds for the head of a request, and 30 for its body.
///
/// ```
/// use hs_oauth_emulator::{Server, Settings};
///
/// let server = Server::start("127.0.0.1:0", Settings::random()?)?;
/// assert!(server.url().starts_with("http://127.0.0.1:"));
/// assert_eq!(server.emulator(|emulator| emulator.journal().len()), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Server {
    url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    thread: Option<JoinHandle<()>>,
    /// Dropped after the thread has ended, so that it saves what the last request has changed.
    saver: Option<Saver>,
}

impl Server {
    /// Starts a server that listens on `address`. Port 0 chooses a free port.
    ///
    /// # Errors
    /// The operating system's error if the address is not available, or if the thread cannot be started.
    pub fn start(address: impl ToSocketAddrs, settings: Settings) -> io::Result<Self> {
        Self::builder(settings).start(address)
    }

    /// Returns a builder of a server, which can have a clock and a log of its own.
    pub fn builder(settings: Settings) -> ServerBuilder {
        ServerBuilder {
            settings,
            clock: Box::new(|| SystemTime::now().into()),
            log: Box::new(|_| {}),
            log_format: LogFormat::default(),
            state_file: None,
            max_waiting: MAX_WAITING,
        }
    }

    /// Returns the URL of the server, without a slash at the end. A client uses it as the API base and as the app base.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the settings that the emulator was made with, the client secret included.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Opens an authorization URL and presses Connect, as [`Emulator::connect`] does, at the current time.
    ///
    /// # Errors
    /// The same as those of [`Emulator::connect`].
    pub fn connect(&self, url: &str) -> Result<String, String> {
        let now = (self.shared.clock)();
        self.emulator(|emulator| emulator.connect(now, url))
    }

    /// Opens an authorization URL and presses Cancel, as [`Emulator::cancel`] does, at the current time.
    ///
    /// # Errors
    /// The same as those of [`Emulator::connect`].
    pub fn cancel(&self, url: &str) -> Result<String, String> {
        let now = (self.shared.clock)();
        self.emulator(|emulator| emulator.cancel(now, url))
    }

    /// Calls `f` with the emulator, to look at it or to control it. No request is handled meanwhile.
    pub fn emulator<T>(&self, f: impl FnOnce(&mut Emulator) -> T) -> T {
        let result = f(&mut self.shared.lock());
        self.shared.set_changed();
        result
    }

    /// Stops the server gracefully: it takes no new connections, closes idle ones, and lets requests in flight finish for at most `grace`.
    /// Then it saves its state, if it has a state file.
    pub fn stop(mut self, grace: Duration) {
        self.end(Phase::Finishing(grace));
    }

    fn end(&mut self, phase: Phase) {
        self.phase.send_replace(phase);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.saver.take();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end(Phase::Stopped);
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url)
            .field("settings", self.settings())
            .finish_non_exhaustive()
    }
}

/// Makes a [`Server`]. See [`Server::builder`].
pub struct ServerBuilder {
    settings: Settings,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    log: Box<dyn Fn(&str) + Send + Sync>,
    log_format: LogFormat,
    state_file: Option<PathBuf>,
    max_waiting: usize,
}

impl ServerBuilder {
    /// Makes the server read the time from `clock` instead of from the system. A test that gives the same clock to its token
    /// manager needs no sleep.
    ///
    /// [`Emulator::advance`] and the control API still move the emulator's time ahead of this clock. Delays of
    /// [`Fault`](crate::Fault)s and the time limits of connections are in real time.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use hs_oauth_core::Timestamp;
    /// use hs_oauth_emulator::{Server, Settings};
    ///
    /// let seconds = Arc::new(AtomicU64::new(1_790_000_000));
    /// let clock = {
    ///     let seconds = Arc::clone(&seconds);
    ///     move || Timestamp::from_secs(seconds.load(Ordering::SeqCst))
    /// };
    /// let hubspot = Server::builder(Settings::random()?).with_clock(clock.clone()).start("127.0.0.1:0")?;
    /// // A token manager takes the same clock: `builder.with_clock(clock)`. Half an hour passes for both at once.
    /// seconds.fetch_add(1800, Ordering::SeqCst);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Calls `log` with a line for each request: the time by the server's clock, the method, the path with its secrets masked, the status,
    /// how long it took to handle, without a delay that a fault asks for, and the reason if it failed. A state file that cannot be written
    /// has a line, too.
    #[must_use]
    pub fn with_log(mut self, log: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.log = Box::new(log);
        self
    }

    /// Sets the form of the lines of the log. Default [`LogFormat::Text`].
    #[must_use]
    pub fn with_log_format(mut self, format: LogFormat) -> Self {
        self.log_format = format;
        self
    }

    /// Makes the accounts, their grants, and the clock last: the server reads them from this file at the start, and writes them into it
    /// within a second after they have changed, and when it stops. The file is replaced as a whole, and only its owner can read it. It has
    /// tokens in it. Beside it is a file whose name ends with `.lock`, so that no two servers use one file.
    ///
    /// What lasts is what [`Emulator::save`] returns.
    #[must_use]
    pub fn with_state_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_file = Some(path.into());
        self
    }

    /// Starts the server. It listens on `address`. Port 0 chooses a free port.
    ///
    /// # Errors
    /// The operating system's error if the address is not available, or if a thread cannot be started. A message that names the state file,
    /// if that cannot be used.
    pub fn start(self, address: impl ToSocketAddrs) -> io::Result<Server> {
        let Self { settings, clock, log, log_format, state_file, max_waiting } = self;
        let listener = connections::listen(address)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut emulator = Emulator::new(settings.clone());
        let state_file = state_file.as_deref().map(StateFile::open).transpose()?;
        if let Some((file, content)) = state_file.as_ref().and_then(|file| Some((file, file.content()?))) {
            emulator.restore(content).map_err(|error| file.unreadable(&error))?;
        }
        let shared = Arc::new(Shared {
            emulator: Mutex::new(emulator),
            has_changed: AtomicBool::new(false),
            handled: watch::Sender::new(()),
            token_generator: TokenGenerator::new(settings.seed),
            settings,
            clock,
            log,
            log_format,
            checks_host: address.ip().is_loopback(),
            waiting: Arc::new(Waiting::new(max_waiting)),
        });
        let saver = state_file.map(|file| Saver::start(Arc::clone(&shared), file)).transpose()?;
        let (phase, phases) = watch::channel(Phase::Serving);
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("hs-oauth-emulator".to_owned()).spawn(move || {
            runtime.block_on(serve(listener, served, phases));
            runtime.shutdown_background();
        })?;
        Ok(Server { url: format!("http://{address}"), address, shared, phase, thread: Some(thread), saver })
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

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
            assert!(
                response.contains("connection: close") && response.contains("\"error\":\"invalid_request\"")
            );
        }
    }

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
            let webhook =
                format!(r#"{{"url":"{url}","version":"{version}","body":"[ {{}} ]","method":"PUT"}}"#);
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
            let (status, shown) =
                send_webhook(&server, &format!(r#"{{"url":"http://{address}/","body":[]}}"#));
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
        let (status, shown) =
            send_webhook(&server, &format!(r#"{{"url":"{}/nope","body":[]}}"#, server.url()));
        assert_eq!((status, &shown["status"]), (200, &501.into()));
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
            (
                Some(Fault::truncate(1)),
                EMPTY_FORM.to_owned(),
                Some(400),
                Some("fault truncate: BAD_CLIENT_ID"),
            ),
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
            send(
                &server,
                format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes(),
            );
            let line = lines.recv().unwrap();
            assert!(!line.contains("s3") && line.contains("…#"), "{line}");
        }
    }

    #[test]
    fn only_one_server_listens_on_an_address_and_dropping_it_frees_the_address() {
        let first = server();
        let address = first.address();
        assert_eq!(
            Server::start(address, Settings::new([1; 32])).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        let mut open = connect(&first);
        drop(first);
        assert_eq!(open.read(&mut [0; 1]).unwrap_or(0), 0);
        Server::start(address, Settings::new([1; 32])).unwrap();
    }

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

    #[test]
    fn one_more_idle_connection_closes_the_one_that_has_been_idle_longest() {
        let mut builder = Server::builder(Settings::new([1; 32]));
        builder.max_waiting = 4;
        let server = builder.start("127.0.0.1:0").unwrap();
        let beginnings: [&[u8]; 5] = [
            b"",
            b"G",
            b"POST /oauth/v3/token HTTP/1.1\r\nhost: loc",
            b"POST /oauth/v3/token HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\n",
            b"GET /_emulator/clock HTTP/1.1\r\nhost: localhost\r\n\r\n",
        ];
        let mut idle = Vec::new();
        for _ in 0..4 {
            for beginning in beginnings {
                let mut stream = connect(&server);
                stream.write_all(beginning).unwrap();
                if beginning.ends_with(b"host: localhost\r\n\r\n") {
                    assert_ne!(stream.read(&mut [0; 1024]).unwrap(), 0);
                }
                idle.push(stream);
            }
        }
        assert!(send(&server, EMPTY_FORM.as_bytes()).starts_with("HTTP/1.1 400 "));
        let newest = idle.split_off(idle.len() - 3);
        for mut stream in idle {
            // The end of the connection, or a reset if the server had not read everything.
            let end = stream.read(&mut [0; 1024]);
            assert!(
                matches!(&end, Ok(0))
                    || end.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset),
                "{end:?}"
            );
        }
        for mut stream in newest.into_iter().skip(2) {
            stream.write_all(b"GET /_emulator/clock HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
            assert_ne!(stream.read(&mut [0; 1024]).unwrap(), 0);
        }
    }

    #[test]
    fn a_connection_whose_client_waits_for_a_response_is_not_closed_for_others() {
        let mut builder = Server::builder(Settings::new([1; 32]));
        builder.max_waiting = 2;
        let server = builder.start("127.0.0.1:0").unwrap();
        server.emulator(|emulator| emulator.inject(Fault::delay(Duration::from_secs(2))));
        let mut slow = connect(&server);
        slow.write_all(EMPTY_FORM.as_bytes()).unwrap();
        while server.emulator(|emulator| emulator.journal().len()) == 0 {
            std::thread::yield_now();
        }
        let mut idle: Vec<_> = (0..10).map(|_| connect(&server)).collect();
        assert_eq!(idle[0].read(&mut [0; 1]).unwrap(), 0);
        let mut response = String::new();
        slow.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
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
            let response = send(
                &server,
                b"GET /_emulator/clock HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
            );
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
        for (path, expected) in [("/one", "id: 1\nevent: request\ndata: {\"number\":1,"), ("/two", "id: 2\n")]
        {
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

    #[test]
    fn the_simulated_browser_uses_the_same_emulator() {
        let server = server();
        let url = "/oauth/authorize?client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
            &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback&scope=oauth";
        assert!(server.connect(url).unwrap().contains("?code="));
        assert!(format!("{server:?}").contains(server.url()));
    }
}

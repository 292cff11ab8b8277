//! The HTTP server around the emulator. It owns the socket, the clock and the thread, and leaves every response to the
//! emulator.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the server reads from a socket and a clock what the emulator gets as arguments"
)]

mod connections;
mod response_body;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::SystemTime;

use connections::{Shared, serve};
use tokio::sync::watch;

use crate::emulator::Emulator;
use crate::settings::Settings;

/// An [`Emulator`] that listens on a socket, in a thread of its own.
///
/// It can be used from blocking and from async code. Dropping it closes the socket and all connections, and waits until
/// the thread has ended.
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
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server that listens on `address`. Port 0 chooses a free port.
    ///
    /// # Errors
    /// The operating system's error if the address is not available, or if the thread cannot be started.
    pub fn start(address: impl ToSocketAddrs, settings: Settings) -> io::Result<Self> {
        Self::start_logged(address, settings, |_| {})
    }

    /// Starts a server as [`Server::start`] does, and calls `log` with a line for each request: the method, the path
    /// with its secrets masked, and the status.
    ///
    /// # Errors
    /// The same as those of [`Server::start`].
    pub fn start_logged(
        address: impl ToSocketAddrs,
        settings: Settings,
        log: impl Fn(&str) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::new(Shared::new(settings, log));
        let (stop, stopped) = watch::channel(false);
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("hs-oauth-emulator".to_owned()).spawn(move || {
            runtime.block_on(serve(listener, served, stopped));
            runtime.shutdown_background();
        })?;
        Ok(Self { url: format!("http://{address}"), address, shared, stop, thread: Some(thread) })
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
        self.emulator(|emulator| emulator.connect(SystemTime::now().into(), url))
    }

    /// Opens an authorization URL and presses Cancel, as [`Emulator::cancel`] does, at the current time.
    ///
    /// # Errors
    /// The same as those of [`Emulator::connect`].
    pub fn cancel(&self, url: &str) -> Result<String, String> {
        self.emulator(|emulator| emulator.cancel(SystemTime::now().into(), url))
    }

    /// Calls `f` with the emulator, to look at it or to control it. No request is handled meanwhile.
    pub fn emulator<T>(&self, f: impl FnOnce(&mut Emulator) -> T) -> T {
        f(&mut self.shared.lock())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::faults::Fault;
    use crate::routes::MAX_BODY_SIZE;

    const EMPTY_FORM: &str = "POST /oauth/v3/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
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
            stream.write_all(b"GET /_emulator/clock HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
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
    fn a_delayed_response_does_not_delay_others() {
        let server = server();
        server.emulator(|emulator| emulator.inject(Fault::delay(Duration::from_millis(400))));
        let started = Instant::now();
        let mut slow = connect(&server);
        slow.write_all(EMPTY_FORM.as_bytes()).unwrap();
        while server.emulator(|emulator| emulator.journal().len()) == 0 {
            std::thread::yield_now();
        }
        send(&server, EMPTY_FORM.as_bytes());
        assert!(started.elapsed() < Duration::from_millis(400));
        let mut response = String::new();
        slow.read_to_string(&mut response).unwrap();
        assert!(started.elapsed() >= Duration::from_millis(400) && response.starts_with("HTTP/1.1 400 "));
    }

    /// RFC 9110 §15.5.14. The client can read the response while it is still sending.
    #[test]
    fn a_body_over_the_limit_is_refused_and_not_held_in_memory() {
        let server = server();
        let head =
            "POST /oauth/v3/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n";
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

    #[test]
    fn the_response_to_head_has_a_length_but_no_body() {
        let server = server();
        let response = send(&server, b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
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
        let server = Server::start_logged("127.0.0.1:0", Settings::new([1; 32]), log).unwrap();
        send(&server, b"GET /oauth/v1/refresh-tokens/na1-canary-canary?code=canary HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let line = lines.recv().unwrap();
        assert!(line.starts_with("GET /oauth/v1/refresh-tokens/na1-…#") && line.ends_with(" 401"), "{line}");
        assert!(!line.contains("canary"));
    }

    #[test]
    fn log_lines_have_no_client_secret_in_any_part() {
        let (sender, lines) = std::sync::mpsc::channel();
        let log = move |line: &str| sender.send(line.to_owned()).unwrap();
        let mut settings = Settings::new([1; 32]);
        settings.client_secret = "s3cret".to_owned();
        let server = Server::start_logged("127.0.0.1:0", settings, log).unwrap();
        for line in ["GET /as3cretb", "GET /_emulator/s3%63ret", "Xs3cret /"] {
            send(&server, format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes());
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

//! The HTTP front: sockets, the clock, and what an answer suffers on its way. Decides nothing else.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is where the emulator meets the world: its socket, its clock, its thread, its lock"
)]

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;

use crate::delivery::{Cut, Delivery};
use crate::emulator::{Emulator, LARGEST_BODY};
use crate::ids::Minter;
use crate::journal::Mask;
use crate::settings::Settings;

/// How long a client may take over its headers, and over its body.
const PATIENCE: Duration = Duration::from_secs(30);

/// An [`Emulator`] that listens on a socket, on a thread of its own. Dropping it closes the socket and every connection.
///
/// Works from blocking and from async code alike.
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
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    emulator: Mutex<Emulator>,
    settings: Settings,
    /// For masking in log lines.
    minter: Minter,
    log: Box<dyn Fn(&str) + Send + Sync>,
}

impl Server {
    /// Listens on `address`, port 0 for a free one.
    ///
    /// # Errors
    /// If nothing can listen there.
    pub fn start(address: impl ToSocketAddrs, settings: Settings) -> io::Result<Self> {
        Self::start_logged(address, settings, |_| {})
    }

    /// [`Server::start`] with a line for each request given to `log`: method, path with secrets masked, status.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_logged(
        address: impl ToSocketAddrs,
        settings: Settings,
        log: impl Fn(&str) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::new(Shared {
            emulator: Mutex::new(Emulator::new(settings.clone())),
            minter: Minter::new(settings.seed),
            settings,
            log: Box::new(log),
        });
        let (stop, stopped) = watch::channel(false);
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("hs-oauth-emulator".to_owned()).spawn(move || {
            runtime.block_on(serve(listener, served, stopped));
            runtime.shutdown_background();
        })?;
        Ok(Self { url: format!("http://{address}"), address, shared, stop, thread: Some(thread) })
    }

    /// Where it listens, without a slash at the end: both the API base and the app base of a client.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the emulator was made with: client id, secret and all.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// [`Emulator::connect`] at this moment: opens an authorization URL and presses Connect.
    ///
    /// # Errors
    /// The page, as HTML, if it is not one to press Connect on.
    pub fn connect(&self, url: &str) -> Result<String, String> {
        self.emulator(|emulator| emulator.connect(SystemTime::now().into(), url))
    }

    /// [`Emulator::cancel`] at this moment: plays the person who presses Cancel.
    ///
    /// # Errors
    /// As [`Emulator::connect`].
    pub fn cancel(&self, url: &str) -> Result<String, String> {
        self.emulator(|emulator| emulator.cancel(SystemTime::now().into(), url))
    }

    /// Looks at the emulator, or steers it, between two requests.
    pub fn emulator<T>(&self, look: impl FnOnce(&mut Emulator) -> T) -> T {
        self.shared.with_emulator(look)
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

impl Shared {
    fn with_emulator<T>(&self, look: impl FnOnce(&mut Emulator) -> T) -> T {
        look(&mut self.emulator.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(converse(stream, Arc::clone(&shared)));
                }
                // Out of file descriptors, or a client that has gone again.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let accept = std::pin::pin!(accept);
    let stop = std::pin::pin!(stopped.wait_for(|stop| *stop));
    first_of(accept, stop).await;
}

/// Whichever of the two ends first.
async fn first_of<A: Future, B: Future>(mut a: Pin<&mut A>, mut b: Pin<&mut B>) {
    std::future::poll_fn(|cx| match a.as_mut().poll(cx).is_ready() || b.as_mut().poll(cx).is_ready() {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

async fn converse(stream: tokio::net::TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    // However a connection ends, it ends alone.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// The connection is to break without an answer.
#[derive(Debug)]
struct Broken;

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Parcel>, Broken> {
    let (head, incoming) = request.into_parts();
    let (body, whole) = match tokio::time::timeout(PATIENCE, read(incoming)).await {
        Ok(Ok(read)) => read,
        _ => return Err(Broken),
    };
    let mask = Mask { minter: &shared.minter, settings: &shared.settings };
    let (method, path) = (mask.public(head.method.as_str()), mask.path(&head.uri));
    let request = Request::from_parts(head, body);

    let now = SystemTime::now().into();
    let mut response = shared.with_emulator(|emulator| emulator.handle(now, request));
    if !whole {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let delivery = Delivery::of(&response);
    let status = response.status().as_u16();
    match delivery.cut {
        Some(Cut::NoAnswer) => (shared.log)(&format!("{method} {path} dropped")),
        Some(Cut::Body(bytes)) => (shared.log)(&format!("{method} {path} {status} cut after {bytes} bytes")),
        None => (shared.log)(&format!("{method} {path} {status}")),
    }
    tokio::time::sleep(delivery.delay).await;
    match delivery.cut {
        Some(Cut::NoAnswer) => Err(Broken),
        Some(Cut::Body(bytes)) => Ok(response.map(|body| Parcel::cut(body, bytes))),
        None => Ok(response.map(Parcel::whole)),
    }
}

/// Reads a body, or one byte more than the emulator takes. The rest of a larger one is thrown away in the background, for
/// a client that looks for the answer only when it has sent everything.
async fn read(mut incoming: Incoming) -> Result<(Vec<u8>, bool), Broken> {
    let mut body = Vec::new();
    let promised = incoming.size_hint().lower();
    while promised <= LARGEST_BODY as u64 && body.len() <= LARGEST_BODY {
        match next_frame(&mut incoming).await {
            None => return Ok((body, true)),
            Some(Err(_)) => return Err(Broken),
            Some(Ok(frame)) => body.extend(frame.into_data().iter().flatten()),
        }
    }
    tokio::spawn(tokio::time::timeout(PATIENCE, async move {
        while let Some(Ok(_)) = next_frame(&mut incoming).await {}
    }));
    body.resize(LARGEST_BODY + 1, 0);
    Ok((body, false))
}

async fn next_frame(incoming: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    std::future::poll_fn(|cx| Pin::new(&mut *incoming).poll_frame(cx)).await
}

/// The body of an answer, or the beginning of one.
struct Parcel {
    bytes: Option<Bytes>,
    promised: u64,
    breaks: bool,
    flushed: bool,
}

impl Parcel {
    fn whole(body: Vec<u8>) -> Self {
        Self {
            promised: body.len() as u64,
            bytes: Some(Bytes::from(body)).filter(|bytes| !bytes.is_empty()),
            breaks: false,
            flushed: false,
        }
    }

    fn cut(mut body: Vec<u8>, at: usize) -> Self {
        let promised = body.len() as u64;
        body.truncate(at);
        Self { promised, breaks: true, ..Self::whole(body) }
    }
}

impl Body for Parcel {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(bytes) = self.bytes.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if !self.breaks {
            return Poll::Ready(None);
        }
        if !std::mem::replace(&mut self.flushed, true) {
            // A turn for what is written so far to leave.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && !self.breaks
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.promised)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is to break")
    }
}

impl std::error::Error for Broken {}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Instant;

    use super::*;
    use crate::faults::Fault;

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

    fn talk(server: &Server, request: &[u8]) -> String {
        let mut stream = connect(server);
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        // A connection that breaks ends with what came before.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn it_answers_over_a_socket_and_keeps_the_connection() {
        let server = server();
        let mut stream = connect(&server);
        for _ in 0..3 {
            stream.write_all(b"GET /_emulator/clock HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
            let mut answer = [0; 1024];
            let length = stream.read(&mut answer).unwrap();
            let answer = String::from_utf8_lossy(&answer[..length]);
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"advanced\":0"),
                "{answer}"
            );
        }
    }

    #[test]
    fn a_dropped_answer_is_no_answer() {
        let server = server();
        for fault in [Fault::drop_before(), Fault::drop_after()] {
            server.emulator(|emulator| emulator.inject(fault));
            assert_eq!(talk(&server, EMPTY_FORM.as_bytes()), "");
        }
        assert!(talk(&server, EMPTY_FORM.as_bytes()).starts_with("HTTP/1.1 400 "));
    }

    /// RFC 9112 §8: a body shorter than its content-length is incomplete.
    #[test]
    fn a_truncated_answer_promises_more_than_comes() {
        let server = server();
        for bytes in [0, 1, 20] {
            server.emulator(|emulator| emulator.inject(Fault::truncate(bytes)));
            let answer = talk(&server, EMPTY_FORM.as_bytes());
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert_eq!(body.len(), bytes, "{answer}");
            let promised = head.split_once("content-length: ").unwrap().1.lines().next().unwrap();
            assert!(promised.parse::<usize>().unwrap() > 100, "{head}");
        }
    }

    #[test]
    fn a_delayed_answer_holds_up_no_other() {
        let server = server();
        server.emulator(|emulator| emulator.inject(Fault::delay(Duration::from_millis(400))));
        let started = Instant::now();
        let mut slow = connect(&server);
        slow.write_all(EMPTY_FORM.as_bytes()).unwrap();
        while server.emulator(|emulator| emulator.journal().len()) == 0 {
            std::thread::yield_now();
        }
        talk(&server, EMPTY_FORM.as_bytes());
        assert!(started.elapsed() < Duration::from_millis(400));
        let mut answer = String::new();
        slow.read_to_string(&mut answer).unwrap();
        assert!(started.elapsed() >= Duration::from_millis(400) && answer.starts_with("HTTP/1.1 400 "));
    }

    /// RFC 9110 §15.5.14. The client gets to read the answer while it is still sending.
    #[test]
    fn a_body_over_the_limit_is_refused_and_not_kept() {
        let server = server();
        let head =
            "POST /oauth/v3/token HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n";
        let length = 3 * LARGEST_BODY;
        let promised =
            [format!("{head}content-length: {length}\r\n\r\n").into_bytes(), vec![b'a'; length]].concat();
        let chunk = format!("{length:x}\r\n").into_bytes();
        let chunked = [
            format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes(),
            &chunk,
            &vec![b'a'; length],
            b"\r\n0\r\n\r\n",
        ]
        .concat();
        for request in [promised, chunked] {
            let answer = talk(&server, &request);
            assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
            assert!(answer.contains("connection: close") && answer.contains("\"error\":\"invalid_request\""));
        }
    }

    #[test]
    fn head_has_the_length_and_no_body() {
        let server = server();
        let answer = talk(&server, b"HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            body.is_empty() && head.contains("content-length: ") && !head.contains("content-length: 0"),
            "{answer}"
        );
    }

    #[test]
    fn a_bad_connection_ends_alone() {
        let server = server();
        for garbage in [
            &b"\x16\x03\x01\x02\x00\x01\xff"[..],
            b"GET\r\n\r\n",
            b"POST /oauth/v3/token HTTP/1.1\r\ncontent-length: 9\r\n\r\na",
        ] {
            connect(&server).write_all(garbage).unwrap();
        }
        assert!(talk(&server, EMPTY_FORM.as_bytes()).starts_with("HTTP/1.1 400 "));
    }

    #[test]
    fn log_lines_hold_no_token() {
        let (sender, lines) = std::sync::mpsc::channel();
        let log = move |line: &str| sender.send(line.to_owned()).unwrap();
        let server = Server::start_logged("127.0.0.1:0", Settings::new([1; 32]), log).unwrap();
        talk(&server, b"GET /oauth/v1/refresh-tokens/na1-canary-canary?code=canary HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let line = lines.recv().unwrap();
        assert!(line.starts_with("GET /oauth/v1/refresh-tokens/na1-…#") && line.ends_with(" 401"), "{line}");
        assert!(!line.contains("canary"));
    }

    #[test]
    fn log_lines_hold_no_secret_wherever_it_stood() {
        let (sender, lines) = std::sync::mpsc::channel();
        let log = move |line: &str| sender.send(line.to_owned()).unwrap();
        let mut settings = Settings::new([1; 32]);
        settings.client_secret = "s3cret".to_owned();
        let server = Server::start_logged("127.0.0.1:0", settings, log).unwrap();
        for line in ["GET /as3cretb", "GET /_emulator/s3%63ret", "Xs3cret /"] {
            talk(&server, format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes());
            let line = lines.recv().unwrap();
            assert!(!line.contains("s3") && line.contains("…#"), "{line}");
        }
    }

    #[test]
    fn two_cannot_listen_at_one_place_and_a_dropped_one_makes_room() {
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
    fn it_starts_and_stops_inside_async_code_too() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = server();
            assert!(talk(&server, EMPTY_FORM.as_bytes()).starts_with("HTTP/1.1 400 "));
        });
    }

    #[test]
    fn a_person_connects_over_the_same_emulator() {
        let server = server();
        let url = "/oauth/authorize?client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
            &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback&scope=oauth";
        assert!(server.connect(url).unwrap().contains("?code="));
        assert!(format!("{server:?}").contains(server.url()));
    }
}

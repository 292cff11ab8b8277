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

use crate::emulator::{Emulator, LARGEST_BODY};
use crate::faults::{Cut, Delivery};
use crate::ids::Minter;
use crate::journal::masked_path;
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
    settings: Settings,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    emulator: Mutex<Emulator>,
    /// For masking paths in log lines.
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

    /// [`Server::start`] with a line for each request given to `log`: method, path with tokens masked, status.
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
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let shared = Arc::new(Shared {
            emulator: Mutex::new(Emulator::new(settings.clone())),
            minter: Minter::new(settings.seed),
            log: Box::new(log),
        });
        let (stop, stopped) = watch::channel(false);
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("hs-oauth-emulator".to_owned())
            .spawn(move || {
                runtime.block_on(serve(listener, served, stopped));
                runtime.shutdown_background();
            })?;
        Ok(Self {
            url: format!("http://{address}"),
            address,
            settings,
            shared,
            stop,
            thread: Some(thread),
        })
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
        &self.settings
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
            .field("settings", &self.settings)
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
    std::future::poll_fn(
        |cx| match a.as_mut().poll(cx).is_ready() || b.as_mut().poll(cx).is_ready() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        },
    )
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
    let method = head.method.clone();
    let path = masked_path(&shared.minter, &head.uri);
    let request = Request::from_parts(head, body);

    let now = SystemTime::now().into();
    let mut response = shared.with_emulator(|emulator| emulator.handle(now, request));
    if !whole {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
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
        Self {
            promised,
            breaks: true,
            ..Self::whole(body)
        }
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

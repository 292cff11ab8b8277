//! Accepts connections, reads requests, and delivers responses as the emulator says.

use std::fmt;
use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::event_stream;
use super::host;
use super::log_line::LogLine;
use super::response_body::ResponseBody;
use super::shared::{Phase, Shared};
use super::waiting::Connection;
use super::webhook_sender;
use crate::delivery::{Cut, Delivery};
use crate::events::EventCursor;
use crate::journal::Mask;
use crate::responses::Reason;
use crate::routes::MAX_BODY_SIZE;
use crate::webhook::SignedWebhook;

/// How long a client may take to send its headers, and again to send its body.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How many clients can be connected before they are accepted. A system may have a lower limit of its own.
///
/// The standard library asks for 128. When a thousand tasks connect at the same moment, the system drops what does not fit, and those
/// clients try again after a second, which looks like an outage.
const MAX_UNACCEPTED: i32 = 4096;

/// Begins to listen.
pub(super) fn listen(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    SockRef::from(&listener).listen(MAX_UNACCEPTED)?;
    Ok(listener)
}

/// Serves every connection until the phase is another one than [`Phase::Serving`], and then finishes as it says.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, mut phases: watch::Receiver<Phase>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let mut connections = JoinSet::new();
    let of_connections = phases.clone();
    let accept = async {
        loop {
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) => {
                    let _ = stream.set_nodelay(true);
                    let connection = Connection::new(Arc::clone(&shared.waiting));
                    let phases = of_connections.clone();
                    connections.spawn(serve_connection(stream, Arc::clone(&shared), connection, phases));
                }
                // The client has closed the connection already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // The process has no file descriptors left.
                Err(_) if shared.waiting.close_oldest() => tokio::task::yield_now().await,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    first_of(pin!(accept), pin!(end_of_serving(&mut phases))).await;
    drop(listener);
    let phase = *phases.borrow();
    if let Phase::Finishing(grace) = phase {
        let finish = async { while connections.join_next().await.is_some() {} };
        let stop = async { _ = phases.wait_for(|phase| *phase == Phase::Stopped).await };
        let _ = tokio::time::timeout(grace, first_of(pin!(finish), pin!(stop))).await;
    }
}

/// Returns when no new connections are to be accepted any more.
async fn end_of_serving(phases: &mut watch::Receiver<Phase>) {
    let _ = phases.wait_for(|phase| *phase != Phase::Serving).await;
}

/// Returns as soon as one of the two futures is ready.
async fn first_of<A: Future, B: Future>(mut a: Pin<&mut A>, mut b: Pin<&mut B>) {
    std::future::poll_fn(|cx| match a.as_mut().poll(cx).is_ready() || b.as_mut().poll(cx).is_ready() {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

async fn serve_connection(
    stream: tokio::net::TcpStream,
    shared: Arc<Shared>,
    connection: Connection,
    mut phases: watch::Receiver<Phase>,
) {
    let connection = Arc::new(connection);
    let of_service = Arc::clone(&connection);
    let of_streams = phases.clone();
    let service = service_fn(move |request| {
        respond(Arc::clone(&shared), Arc::clone(&of_service), of_streams.clone(), request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let mut end_of_serving = pin!(end_of_serving(&mut phases));
    let mut is_finishing = false;
    // An error ends only this connection, so it is ignored.
    let served = pin!(std::future::poll_fn(|cx| {
        if !is_finishing && end_of_serving.as_mut().poll(cx).is_ready() {
            is_finishing = true;
            // It ends at once if it is idle, and else after the response.
            served.as_mut().graceful_shutdown();
        }
        served.as_mut().poll(cx).map(drop)
    }));
    first_of(served, pin!(connection.closed())).await;
}

/// Makes hyper close the connection without a response.
#[derive(Debug)]
struct BreakConnection;

async fn respond(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    phases: watch::Receiver<Phase>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, BreakConnection> {
    let started = Instant::now();
    let (head, incoming) = request.into_parts();
    let (body, is_whole) = match tokio::time::timeout(READ_TIMEOUT, read_body(incoming)).await {
        Ok(Ok(read)) => read,
        _ => return Err(BreakConnection),
    };
    connection.stop_waiting();
    let mask = Mask { token_generator: &shared.token_generator, settings: &shared.settings };
    let (method, path) = (mask.public(head.method.as_str()), mask.path(&head.uri));
    let request = Request::from_parts(head, body);

    let time = (shared.clock)();
    let refused = if shared.checks_host { host::check(&request).err() } else { None };
    let mut response = match refused {
        Some(error) => shared.lock().refuse(error),
        None => shared.lock().handle(time, request),
    };
    shared.set_changed();
    if let Some(SignedWebhook(webhook)) = response.extensions_mut().remove() {
        response = match webhook_sender::send(webhook).await {
            Ok(came_back) => came_back,
            Err(error) => shared.lock().refuse(error),
        };
    }
    if !is_whole {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let delivery = Delivery::from_response(&response);
    let status = (delivery.cut != Some(Cut::NoResponse)).then(|| response.status().as_u16());
    let reason = response.extensions_mut().remove().map(|Reason(reason)| mask.public(&reason));
    let line = LogLine {
        time,
        method: &method,
        path: &path,
        status,
        duration: started.elapsed(),
        reason: reason.as_deref(),
    };
    (shared.log)(&line.write(shared.log_format));
    // A sleep of no time would still wait for the next tick of the timer, a millisecond or two.
    if !delivery.delay.is_zero() {
        tokio::time::sleep(delivery.delay).await;
    }
    connection.begin_to_wait();
    if let Some(cursor) = response.extensions_mut().remove::<EventCursor>() {
        let events = event_stream::start(shared, cursor, phases);
        return Ok(response.map(|body| ResponseBody::stream(body, events)));
    }
    match delivery.cut {
        Some(Cut::NoResponse) => Err(BreakConnection),
        Some(Cut::Body(bytes)) => Ok(response.map(|body| ResponseBody::truncated(body, bytes))),
        None => Ok(response.map(ResponseBody::whole)),
    }
}

/// Reads a body and returns it with true. If the body is larger than [`MAX_BODY_SIZE`], returns a body of one byte more
/// than that with false.
///
/// The rest of a larger body is read and thrown away in the background, because some clients read the response only
/// after they have sent everything.
async fn read_body(mut incoming: Incoming) -> Result<(Vec<u8>, bool), BreakConnection> {
    let mut body = Vec::new();
    let announced_length = incoming.size_hint().lower();
    while announced_length <= MAX_BODY_SIZE as u64 && body.len() <= MAX_BODY_SIZE {
        match next_frame(&mut incoming).await {
            None => return Ok((body, true)),
            Some(Err(_)) => return Err(BreakConnection),
            Some(Ok(frame)) => body.extend(frame.into_data().iter().flatten()),
        }
    }
    tokio::spawn(tokio::time::timeout(READ_TIMEOUT, async move {
        while let Some(Ok(_)) = next_frame(&mut incoming).await {}
    }));
    body.resize(MAX_BODY_SIZE + 1, 0);
    Ok((body, false))
}

async fn next_frame(incoming: &mut Incoming) -> Option<Result<Frame<Bytes>, hyper::Error>> {
    std::future::poll_fn(|cx| Pin::new(&mut *incoming).poll_frame(cx)).await
}

impl fmt::Display for BreakConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is to break")
    }
}

impl std::error::Error for BreakConnection {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpStream;

    use super::*;

    /// Other systems than Linux have lower limits of their own.
    #[test]
    fn five_hundred_clients_that_connect_at_once_are_all_let_in() {
        let listener = listen("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // Nobody accepts them. A system that drops them lets them try until the time is over.
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_secs(30)).unwrap();
        let connected: Vec<TcpStream> = (0..500).map(connect).collect();
        assert_eq!(connected.len(), 500);
    }
}

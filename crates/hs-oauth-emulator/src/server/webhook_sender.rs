//! Sends a signed webhook to an application on this machine.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hs_oauth_core::ApiError;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::responses::{self, bad_request};

/// How long the application may take to respond.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The number of bytes of a response's body that are shown.
const MAX_SHOWN: usize = 64 * 1024;

/// Sends the request. Returns the response to who asked for it: status, headers and the beginning of the body of what came back.
///
/// # Errors
/// The status 400 if nothing came back.
pub(super) async fn send(request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Box<ApiError>> {
    let address = request.uri().authority().map_or_else(String::new, ToString::to_string);
    let failed = |error: &dyn std::fmt::Display| {
        bad_request(format!(
            "no response came from {address}: {error}; check that the application listens there"
        ))
    };
    match timeout(TIMEOUT, exchange(request)).await {
        Ok(Ok(came_back)) => Ok(responses::json(StatusCode::OK, &came_back)),
        Ok(Err(error)) => Err(failed(&error)),
        Err(_) => Err(failed(&format_args!("it took more than {} s", TIMEOUT.as_secs()))),
    }
}

async fn exchange(request: Request<Vec<u8>>) -> Result<Value, io::Error> {
    let stream = connect(request.uri()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with the response, since the request asks for that.
    tokio::spawn(connection);
    let response = sender.send_request(for_the_wire(request)).await.map_err(io::Error::other)?;
    read(response).await
}

/// Connects to a loopback address. No name is looked up, since one of another machine may not come of it.
async fn connect(uri: &Uri) -> io::Result<TcpStream> {
    let port = uri.port_u16().unwrap_or(80);
    let host = uri.host().unwrap_or("").trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => TcpStream::connect((address, port)).await,
        Err(_) => match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            Ok(stream) => Ok(stream),
            Err(_) => TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await,
        },
    }
}

/// Returns the request with its path as the target and its host in a header (RFC 9112 §3.2.1).
fn for_the_wire(mut request: Request<Vec<u8>>) -> Request<Full<Bytes>> {
    let uri = std::mem::take(request.uri_mut());
    let host = uri.authority().and_then(|authority| HeaderValue::try_from(authority.as_str()).ok());
    *request.uri_mut() = uri.path_and_query().cloned().map(Uri::from).unwrap_or_default();
    request.headers_mut().extend(host.map(|host| (HOST, host)));
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    request.map(|body| Full::new(Bytes::from(body)))
}

async fn read(response: Response<Incoming>) -> io::Result<Value> {
    let (head, mut rest) = response.into_parts();
    let mut body = Vec::new();
    while body.len() <= MAX_SHOWN
        && let Some(frame) = rest.frame().await
    {
        body.extend_from_slice(frame.map_err(io::Error::other)?.data_ref().map_or(&[], |data| data));
    }
    let is_truncated = body.len() > MAX_SHOWN;
    body.truncate(MAX_SHOWN);
    let headers = head.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), Value::from(String::from_utf8_lossy(value.as_bytes())))
    });
    Ok(json!({
        "status": head.status.as_u16(),
        "headers": headers.collect::<serde_json::Map<_, _>>(),
        "body": String::from_utf8_lossy(&body),
        "truncated": is_truncated,
    }))
}

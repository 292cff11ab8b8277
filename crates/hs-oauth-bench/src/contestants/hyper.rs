//! The crate `hyper`: one connection, with no pool, no timeout and no second try.

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::floor::{Form, tokens};
use crate::given;
use crate::work::{Failure, Task, Work, repeat_async, runtime};

pub(crate) fn prepare(task: Task, server: &str) -> Result<Option<Work>, Failure> {
    if task != Task::Async {
        return Ok(None);
    }
    let form = Form::new(server)?;
    let authority = form.uri().authority().ok_or("no server")?.to_string();
    let host = HeaderValue::from_str(&authority)?;
    let runtime = runtime()?;
    let mut sender = runtime.block_on(async {
        let stream = TcpStream::connect(&authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok::<_, Failure>(sender)
    })?;
    repeat_async(runtime, async move || {
        let mut request = Request::new(Full::new(Bytes::from(form.body(given::REFRESH_TOKEN))));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = hyper::Uri::from_static(given::TOKEN_PATH);
        let headers = request.headers_mut();
        headers.insert(HOST, host.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        match response.status().is_success() {
            true => tokens(&response.into_body().collect().await?.to_bytes()),
            false => Err("refused".into()),
        }
    })
}

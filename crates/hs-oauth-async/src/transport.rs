//! One exchange: a request and its response, over reqwest, with the limits that a credential needs.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hs_oauth_core::{
    App, CONNECT_TIMEOUT, Endpoint, Error, MAX_RESPONSE_SIZE, TransportError, TransportErrorKind,
};
use hs_oauth_manager::{Clock, ExchangeError};
use http::{Method, Request, Response, Uri};
use reqwest::Url;
use tokio::runtime::Handle;

use crate::runtime::run_on;

/// Returns a [`reqwest::ClientBuilder`] with the settings that credentials need: no redirects, no `Referer`, a connect timeout of
/// [`CONNECT_TIMEOUT`] and a `User-Agent`.
///
/// Use it for a client with a proxy, a certificate or a pool of your own, and pass that to
/// [`Client::with_http`](crate::Client::with_http). For plain http on loopback, add `no_proxy()`. Otherwise a proxy that the environment
/// names sees the credentials.
///
/// ```
/// # use hs_oauth_async::{App, Client, ClientSecret};
/// # let app = App::hubspot("client-id", ClientSecret::new("s3cret")?).build()?;
/// let http = hs_oauth_async::http_builder().pool_max_idle_per_host(2).build()?;
/// let client = Client::with_http(app, http);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn http_builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent(concat!("hs-oauth-async/", env!("CARGO_PKG_VERSION")))
}

/// Sends single requests and receives their responses.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    http: reqwest::Client,
    /// Whether the HTTP client was made by [`Transport::build`], and not by the application.
    is_own: bool,
    /// The URL of the first request with a body, which nearly always is that of the token endpoint, as `http` and as reqwest have it. To
    /// parse it again for each request would be a fifteenth of the request's work.
    url: Arc<OnceLock<(Uri, Arc<Url>)>>,
    clock: Clock,
    /// The runtime on which requests are sent, or `None` for the caller's.
    runtime: Option<Handle>,
}

impl Transport {
    /// Returns a transport with an HTTP client of its own.
    pub(crate) fn build(app: &App) -> Result<Self, TransportError> {
        let builder = match app.is_plain_http() {
            true => http_builder().no_proxy(),
            false => http_builder(),
        };
        let http = builder
            .build()
            .map_err(|error| TransportError::with_source(TransportErrorKind::Client, error.without_url()))?;
        Ok(Self { is_own: true, ..Self::new(http) })
    }

    /// Returns a transport over an HTTP client of the application's.
    pub(crate) fn new(http: reqwest::Client) -> Self {
        Self { http, is_own: false, url: Arc::default(), clock: Clock::default(), runtime: None }
    }

    /// Returns the transport of a token manager.
    pub(crate) fn for_manager(mut self, app: &App, clock: Clock, runtime: Option<Handle>) -> Self {
        // A connection that was made on another runtime may stand still, so none is shared.
        if let (Some(_), true, Ok(new)) = (&runtime, self.is_own, Self::build(app)) {
            self = new;
        }
        Self { clock, runtime, ..self }
    }

    /// Waits on the runtime on which requests are sent.
    pub(crate) async fn sleep(&self, time: Duration) {
        match &self.runtime {
            None => tokio::time::sleep(time).await,
            Some(runtime) => _ = run_on(runtime, async move { tokio::time::sleep(time).await }).await,
        }
    }

    pub(crate) async fn exchange<E: Endpoint>(
        &self,
        endpoint: &E,
        app: &App,
        timeout: Duration,
    ) -> Result<E::Output, Error> {
        let request = endpoint.to_http(app);
        let sent_at = self.clock.now();
        let sent = send(self.http.clone(), self.url(&request), request, timeout);
        let sent = match &self.runtime {
            None => sent.await,
            // In a box, since all futures around this one would have room for it twice.
            Some(runtime) => run_on(runtime, Box::pin(sent))
                .await
                .unwrap_or_else(|| Err(TransportError::new(TransportErrorKind::Interrupted).into())),
        };
        ExchangeError::read(sent, endpoint, app, sent_at)
    }

    /// Returns the URL of a request as reqwest has it.
    fn url(&self, request: &Request<Vec<u8>>) -> Result<Arc<Url>, TransportError> {
        let uri = request.uri();
        if let Some((known, url)) = self.url.get()
            && known == uri
        {
            return Ok(Arc::clone(url));
        }
        let url = Url::parse(&uri.to_string())
            .map_err(|error| TransportError::with_source(TransportErrorKind::Client, error))?;
        let url = Arc::new(url);
        // The other requests of `v1` have a token in their path.
        if request.method() == Method::POST {
            let _ = self.url.set((uri.clone(), Arc::clone(&url)));
        }
        Ok(url)
    }
}

async fn send(
    http: reqwest::Client,
    url: Result<Arc<Url>, TransportError>,
    request: Request<Vec<u8>>,
    timeout: Duration,
) -> Result<Response<Vec<u8>>, ExchangeError> {
    let url = url?;
    let (parts, body) = request.into_parts();
    let mut request = reqwest::Request::new(parts.method, Url::clone(&url));
    *request.headers_mut() = parts.headers;
    if request.method() == Method::POST {
        // A wrapped body cannot be copied. So no client sends it a second time, with any settings.
        *request.body_mut() = Some(reqwest::Body::wrap(reqwest::Body::from(body)));
    }
    *request.timeout_mut() = Some(timeout);

    let mut incoming = http.execute(request).await.map_err(failed)?;
    if incoming.url() != &*url {
        return Err(TransportError::new(TransportErrorKind::Redirected).into());
    }
    let announced = usize::try_from(incoming.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
    let mut response = Response::new(Vec::with_capacity(announced.min(MAX_RESPONSE_SIZE)));
    *response.status_mut() = incoming.status();
    *response.headers_mut() = std::mem::take(incoming.headers_mut());
    loop {
        // The limit holds for the decoded bytes that arrive, since a header may announce anything.
        let error = match incoming.chunk().await {
            Ok(None) => return Ok(response),
            Ok(Some(chunk)) if response.body().len() + chunk.len() <= MAX_RESPONSE_SIZE => {
                response.body_mut().extend_from_slice(&chunk);
                continue;
            }
            Ok(Some(chunk)) => {
                response.body_mut().extend(chunk.iter().take(MAX_RESPONSE_SIZE));
                TransportError::new(TransportErrorKind::ResponseTooLarge)
            }
            Err(error) => failed(error),
        };
        return Err(ExchangeError::with_partial(error, response));
    }
}

fn failed(error: reqwest::Error) -> TransportError {
    let kind = match (error.is_connect(), error.is_timeout()) {
        _ if error.is_builder() => TransportErrorKind::Client,
        _ if error.is_dns() => TransportErrorKind::Resolve,
        (true, false) => match tls_error(&error) {
            Some(text) if text.ends_with(NOT_TLS) => TransportErrorKind::NotTls,
            Some(_) => TransportErrorKind::Tls,
            None => TransportErrorKind::Connect,
        },
        (true, true) => TransportErrorKind::ConnectTimeout,
        (false, true) => TransportErrorKind::Timeout,
        (false, false) => TransportErrorKind::Interrupted,
    };
    // The URL is left out of the source: on `v1` it holds a token.
    TransportError::with_source(kind, error.without_url())
}

/// Returns the text of the error with which TLS failed, if it did. An error of rustls arrives as invalid data, wrapped in one more
/// `io::Error`.
fn tls_error(error: &reqwest::Error) -> Option<String> {
    let mut sources = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let io = sources.find_map(|source| source.downcast_ref::<io::Error>());
    let mut layers = std::iter::successors(io, |error| error.get_ref()?.downcast_ref::<io::Error>());
    layers.find(|error| error.kind() == io::ErrorKind::InvalidData).map(ToString::to_string)
}

/// The end of the text of rustls's error `InvalidMessage::InvalidContentType`, which says that what came is no TLS. There is no other way
/// to know without rustls itself.
const NOT_TLS: &str = "InvalidContentType";

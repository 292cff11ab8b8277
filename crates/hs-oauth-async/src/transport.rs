//! One exchange: a request and its response, over reqwest, with the limits that a credential needs.

use std::io;
use std::time::{Duration, SystemTime};

use hs_oauth_core::{
    App, CONNECT_TIMEOUT, Endpoint, Error, MAX_RESPONSE_SIZE, TransportError, TransportErrorKind,
};
use hs_oauth_manager::ExchangeError;
use http::{Request, Response};

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
}

impl Transport {
    pub(crate) fn build(app: &App) -> Result<reqwest::Client, TransportError> {
        let builder = match app.is_plain_http() {
            true => http_builder().no_proxy(),
            false => http_builder(),
        };
        builder
            .build()
            .map_err(|error| TransportError::with_source(TransportErrorKind::Client, error.without_url()))
    }

    pub(crate) fn new(http: reqwest::Client) -> Self {
        Self { http }
    }

    pub(crate) async fn exchange<E: Endpoint>(
        &self,
        endpoint: &E,
        app: &App,
        timeout: Duration,
    ) -> Result<E::Output, Error> {
        let request = endpoint.to_http(app);
        let sent_at = SystemTime::now().into();
        ExchangeError::read(self.send(request, timeout).await, endpoint, app, sent_at)
    }

    async fn send(
        &self,
        request: Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Response<Vec<u8>>, ExchangeError> {
        // A wrapped body cannot be copied. So no client sends it a second time, with any settings.
        let request = request.map(|body| reqwest::Body::wrap(reqwest::Body::from(body)));
        let mut request = reqwest::Request::try_from(request).map_err(failed)?;
        if request.method() != http::Method::POST {
            *request.body_mut() = None;
        }
        *request.timeout_mut() = Some(timeout);
        let url = request.url().clone();

        let mut incoming = self.http.execute(request).await.map_err(failed)?;
        if *incoming.url() != url {
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
}

fn failed(error: reqwest::Error) -> TransportError {
    let kind = match (error.is_connect(), error.is_timeout()) {
        _ if error.is_builder() => TransportErrorKind::Client,
        _ if error.is_dns() => TransportErrorKind::Resolve,
        (true, false) if is_tls(&error) => TransportErrorKind::Tls,
        (true, true) => TransportErrorKind::ConnectTimeout,
        (true, false) => TransportErrorKind::Connect,
        (false, true) => TransportErrorKind::Timeout,
        (false, false) => TransportErrorKind::Interrupted,
    };
    // The URL is left out of the source: on `v1` it holds a token.
    TransportError::with_source(kind, error.without_url())
}

/// Returns whether TLS failed. An error of rustls arrives as invalid data, wrapped in one more `io::Error`.
fn is_tls(error: &reqwest::Error) -> bool {
    let mut sources = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let io = sources.find_map(|source| source.downcast_ref::<io::Error>());
    let mut layers = std::iter::successors(io, |error| error.get_ref()?.downcast_ref::<io::Error>());
    layers.any(|error| error.kind() == io::ErrorKind::InvalidData)
}

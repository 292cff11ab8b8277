use std::io;
use std::time::{Duration, SystemTime};

use hs_oauth_core::{
    App, CONNECT_TIMEOUT, Endpoint, Error, LONGEST_ANSWER, TransportError, TransportFailure,
};
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response};

/// A [`reqwest::ClientBuilder`] set up as credentials need it: no redirects, and a connect timeout. The way to a client for
/// [`Client::with_http`](crate::Client::with_http) with a proxy, a certificate or a pool of the caller's.
///
/// ```
/// # use hs_oauth_async::{App, Client, ClientSecret};
/// # let app = App::hubspot("client-id", ClientSecret::new("s3cret")?).build()?;
/// let http = hs_oauth_async::http_builder().no_proxy().build()?;
/// let client = Client::with_http(app, http);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn http_builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
}

/// Moves one request and one answer.
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
            .map_err(|error| TransportError::with_source(TransportFailure::Client, error.without_url()))
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
        let response = self.send(request, timeout).await?;
        endpoint.from_http(app, sent_at, &response)
    }

    async fn send(
        &self,
        mut request: Request<Vec<u8>>,
        timeout: Duration,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        let agent = HeaderValue::from_static(concat!("hs-oauth-async/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().entry(USER_AGENT).or_insert(agent);
        let mut request = reqwest::Request::try_from(request).map_err(failed)?;
        *request.timeout_mut() = Some(timeout);
        let url = request.url().clone();

        let mut answer = self.http.execute(request).await.map_err(failed)?;
        if *answer.url() != url {
            return Err(TransportError::new(TransportFailure::Redirected));
        }
        let announced = answer.content_length().unwrap_or(0);
        if announced > LONGEST_ANSWER as u64 {
            return Err(TransportError::new(TransportFailure::AnswerTooLarge));
        }
        let mut body = Vec::with_capacity(announced as usize);
        // Counted as it comes, decoded: what a header announces proves nothing.
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(TransportError::new(TransportFailure::AnswerTooLarge));
            }
            body.extend_from_slice(&chunk);
        }
        let mut response = Response::new(body);
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

fn failed(error: reqwest::Error) -> TransportError {
    let failure = match (error.is_connect(), error.is_timeout()) {
        _ if error.is_builder() => TransportFailure::Client,
        _ if error.is_dns() => TransportFailure::Resolve,
        (true, false) if is_tls(&error) => TransportFailure::Tls,
        (true, true) => TransportFailure::ConnectTimeout,
        (true, false) => TransportFailure::Connect,
        (false, true) => TransportFailure::Timeout,
        (false, false) => TransportFailure::Interrupted,
    };
    // The URL is left out of the source: on `v1` it holds a token.
    TransportError::with_source(failure, error.without_url())
}

/// What rustls cannot read or trust reaches us as invalid data, wrapped in one more `io::Error`.
fn is_tls(error: &reqwest::Error) -> bool {
    let mut sources = std::iter::successors(std::error::Error::source(error), |error| error.source());
    let io = sources.find_map(|source| source.downcast_ref::<io::Error>());
    let mut layers = std::iter::successors(io, |error| error.get_ref()?.downcast_ref::<io::Error>());
    layers.any(|error| error.kind() == io::ErrorKind::InvalidData)
}

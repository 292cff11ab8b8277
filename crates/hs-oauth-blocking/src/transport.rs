use std::io::{ErrorKind, Read};
use std::time::{Duration, SystemTime};

use hs_oauth_core::{
    App, CONNECT_TIMEOUT, Endpoint, Error, LONGEST_ANSWER, TransportError, TransportFailure,
};
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response};
use ureq::{AsSendBody, Timeout};

/// Moves one request and one answer.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    http: ureq::Agent,
}

impl Transport {
    pub(crate) fn build(app: &App) -> ureq::Agent {
        let config = ureq::Agent::config_builder().timeout_connect(Some(CONNECT_TIMEOUT));
        let config = match app.is_plain_http() {
            true => config.proxy(None),
            false => config,
        };
        // ureq would take rustls even where only native-tls is compiled in.
        #[cfg(all(feature = "native-tls", not(feature = "rustls")))]
        let config = config
            .tls_config(ureq::tls::TlsConfig::builder().provider(ureq::tls::TlsProvider::NativeTls).build());
        config.build().new_agent()
    }

    pub(crate) fn new(http: ureq::Agent) -> Self {
        Self { http }
    }

    pub(crate) fn exchange<E: Endpoint>(
        &self,
        endpoint: &E,
        app: &App,
        timeout: Duration,
    ) -> Result<E::Output, Error> {
        let request = endpoint.to_http(app);
        let sent_at = SystemTime::now().into();
        let response = match request.body().is_empty() {
            // With a body, even an empty one, a GET would announce its length.
            true => self.send(request.map(|_| ()), timeout)?,
            false => self.send(request, timeout)?,
        };
        endpoint.from_http(app, sent_at, &response)
    }

    fn send(
        &self,
        mut request: Request<impl AsSendBody>,
        timeout: Duration,
    ) -> Result<Response<Vec<u8>>, TransportError> {
        let agent = HeaderValue::from_static(concat!("hs-oauth-blocking/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().entry(USER_AGENT).or_insert(agent);
        let request = self
            .http
            .configure_request(request)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout))
            .build();

        let (parts, body) = self.http.run(request).map_err(failed)?.into_parts();
        let announced = body.content_length().unwrap_or(0);
        if announced > LONGEST_ANSWER as u64 {
            return Err(TransportError::new(TransportFailure::AnswerTooLarge));
        }
        let mut bytes = Vec::with_capacity(announced as usize + 1);
        // Counted as it comes, decoded: what a header announces proves nothing.
        let mut reader = body.into_reader().take(LONGEST_ANSWER as u64 + 1);
        reader.read_to_end(&mut bytes).map_err(|error| failed(error.into()))?;
        if bytes.len() > LONGEST_ANSWER {
            return Err(TransportError::new(TransportFailure::AnswerTooLarge));
        }
        Ok(Response::from_parts(parts, bytes))
    }
}

fn failed(error: ureq::Error) -> TransportError {
    let failure = match &error {
        ureq::Error::HostNotFound => TransportFailure::Resolve,
        ureq::Error::ConnectionFailed | ureq::Error::ConnectProxyFailed(_) => TransportFailure::Connect,
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => TransportFailure::ConnectTimeout,
        ureq::Error::Timeout(_) => TransportFailure::Timeout,
        ureq::Error::Io(error) => match error.kind() {
            _ if error.to_string().starts_with("failed to lookup address") => TransportFailure::Resolve,
            ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::AddrNotAvailable => TransportFailure::Connect,
            // The words of rustls about what it cannot read or trust.
            ErrorKind::InvalidData => TransportFailure::Tls,
            _ => TransportFailure::Interrupted,
        },
        ureq::Error::Tls(_) | ureq::Error::TlsRequired => TransportFailure::Tls,
        #[cfg(feature = "rustls")]
        ureq::Error::Rustls(_) => TransportFailure::Tls,
        #[cfg(feature = "native-tls")]
        ureq::Error::NativeTls(_) => TransportFailure::Tls,
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => TransportFailure::Interrupted,
        // The URL these two hold is left out: on `v1` it holds a token.
        ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => {
            return TransportError::new(TransportFailure::Client);
        }
        ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl => TransportFailure::Client,
        _ => TransportFailure::Interrupted,
    };
    TransportError::with_source(failure, error)
}

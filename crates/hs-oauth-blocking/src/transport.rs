//! One exchange: a request and its response, over ureq, with the limits that a credential needs.

use std::io::{ErrorKind, Read};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use hs_oauth_core::{
    App, CONNECT_TIMEOUT, Endpoint, Error, MAX_RESPONSE_SIZE, TransportError, TransportErrorKind,
};
use hs_oauth_manager::{Clock, ExchangeError};
use http::{Request, Response, Uri};
use ureq::{AsSendBody, Timeout};

/// Sends single requests and receives their responses.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    http: ureq::Agent,
    connect_timeout: Duration,
    clock: Clock,
}

/// The longest timeout for ureq, which adds timeouts to the time of day. The sum must not overflow.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

impl Transport {
    pub(crate) fn build() -> ureq::Agent {
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .user_agent(concat!("hs-oauth-blocking/", env!("CARGO_PKG_VERSION")));
        // By default ureq uses rustls, even if only native-tls is compiled in.
        #[cfg(all(feature = "native-tls", not(feature = "rustls")))]
        let config = config
            .tls_config(ureq::tls::TlsConfig::builder().provider(ureq::tls::TlsProvider::NativeTls).build());
        config.build().new_agent()
    }

    pub(crate) fn new(http: ureq::Agent) -> Self {
        let connect_timeout =
            http.config().timeouts().connect.unwrap_or(CONNECT_TIMEOUT).min(CONNECT_TIMEOUT);
        Self { http, connect_timeout, clock: Clock::default() }
    }

    /// Returns the same transport with this clock.
    pub(crate) fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    pub(crate) fn exchange<E: Endpoint>(
        &self,
        endpoint: &E,
        app: &App,
        timeout: Duration,
    ) -> Result<E::Output, Error> {
        let request = endpoint.to_http(app);
        let sent_at = self.clock.now();
        let sent = match request.body().is_empty() {
            // A GET with an empty body would still announce the body's length.
            true => self.send(app, request.map(|_| ()), timeout),
            false => self.send(app, request, timeout),
        };
        ExchangeError::read(sent, endpoint, app, sent_at)
    }

    fn send(
        &self,
        app: &App,
        request: Request<impl AsSendBody + Send + 'static>,
        timeout: Duration,
    ) -> Result<Response<Vec<u8>>, ExchangeError> {
        let is_plain = app.is_plain_http();
        let incoming = match !is_plain && self.has_proxy_to(request.uri()) {
            true => self.run_on_thread(request, timeout)?,
            false => self.run(request, is_plain, timeout).map_err(failed)?,
        };
        let (parts, body) = incoming.into_parts();
        let announced = usize::try_from(body.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
        let mut response =
            Response::from_parts(parts, Vec::with_capacity(announced.min(MAX_RESPONSE_SIZE) + 1));
        // The limit holds for the decoded bytes that arrive, since a header may announce anything.
        let mut incoming = body.into_reader().take(MAX_RESPONSE_SIZE as u64 + 1);
        match incoming.read_to_end(response.body_mut()) {
            Ok(length) if length <= MAX_RESPONSE_SIZE => Ok(response),
            Ok(_) => {
                let error = TransportError::new(TransportErrorKind::ResponseTooLarge);
                Err(ExchangeError::with_partial(error, response))
            }
            Err(error) => Err(ExchangeError::with_partial(failed(error.into()), response)),
        }
    }

    fn has_proxy_to(&self, uri: &Uri) -> bool {
        self.http.config().proxy().is_some_and(|proxy| !proxy.is_no_proxy(uri))
    }

    /// Sends a request through a proxy, on a thread that can be left behind, and returns the response before its body is read.
    ///
    /// ureq limits each read of the proxy's response to CONNECT, but not their sum. Without the thread, a proxy that sends a byte at a time
    /// would delay the caller without limit.
    fn run_on_thread(
        &self,
        request: Request<impl AsSendBody + Send + 'static>,
        timeout: Duration,
    ) -> Result<Response<ureq::Body>, TransportError> {
        let timeout = timeout.min(MAX_TIMEOUT);
        let started = Instant::now();
        let transport = self.clone();
        let (send, response) = sync_channel(1);
        let exchange = move || {
            // A thread that starts too late sends nothing, since nobody waits for the response.
            let left = timeout.saturating_sub(started.elapsed());
            // This fails if the caller has given up. The connection is then closed with the response.
            let _ = send.send(transport.run(request, false, left));
        };
        if let Err(error) = thread::Builder::new().name("hs-oauth-proxy".to_owned()).spawn(exchange) {
            return Err(TransportError::with_source(TransportErrorKind::Client, error));
        }
        match response.recv_timeout(timeout) {
            Ok(response) => response.map_err(failed),
            Err(RecvTimeoutError::Timeout) => Err(TransportError::new(TransportErrorKind::Timeout)),
            // It panicked, perhaps after the request was sent.
            Err(RecvTimeoutError::Disconnected) => Err(TransportError::new(TransportErrorKind::Interrupted)),
        }
    }

    /// Sends a request and returns the response before its body is read. No status is an error, and no redirect is followed. A plain
    /// request does not go through a proxy.
    pub(crate) fn run(
        &self,
        request: Request<impl AsSendBody>,
        is_plain: bool,
        timeout: Duration,
    ) -> Result<Response<ureq::Body>, ureq::Error> {
        let request = self
            .http
            .configure_request(request)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(timeout.min(MAX_TIMEOUT)))
            // It must end before the global timeout does, since only its error says that nothing was sent.
            .timeout_connect(Some(self.connect_timeout.min(timeout / 2)));
        let request = match is_plain {
            true => request.proxy(None).build(),
            false => request.build(),
        };
        self.http.run(request)
    }
}

fn failed(error: ureq::Error) -> TransportError {
    let kind = match &error {
        ureq::Error::HostNotFound => TransportErrorKind::Resolve,
        ureq::Error::ConnectionFailed | ureq::Error::ConnectProxyFailed(_) => TransportErrorKind::Connect,
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => TransportErrorKind::ConnectTimeout,
        ureq::Error::Timeout(_) => TransportErrorKind::Timeout,
        ureq::Error::Io(error) => match error.kind() {
            _ if error.to_string().starts_with("failed to lookup address") => TransportErrorKind::Resolve,
            ErrorKind::ConnectionRefused | ErrorKind::AddrNotAvailable => TransportErrorKind::Connect,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => TransportErrorKind::Unreachable,
            // Errors of rustls.
            ErrorKind::InvalidData if is_not_tls(error) => TransportErrorKind::NotTls,
            ErrorKind::InvalidData => TransportErrorKind::Tls,
            _ => TransportErrorKind::Interrupted,
        },
        ureq::Error::Tls(_) | ureq::Error::TlsRequired => TransportErrorKind::Tls,
        #[cfg(feature = "rustls")]
        ureq::Error::Rustls(error) if is_not_tls(error) => TransportErrorKind::NotTls,
        #[cfg(feature = "rustls")]
        ureq::Error::Rustls(_) => TransportErrorKind::Tls,
        #[cfg(feature = "native-tls")]
        ureq::Error::NativeTls(_) => TransportErrorKind::Tls,
        ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => TransportErrorKind::Interrupted,
        // The URL in these two errors is left out, since on `v1` it holds a token.
        ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => {
            return TransportError::new(TransportErrorKind::Client);
        }
        ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl => TransportErrorKind::Client,
        _ => TransportErrorKind::Interrupted,
    };
    TransportError::with_source(kind, error)
}

/// Returns whether an error of rustls says that what came is no TLS. There is no other way to know without rustls itself.
fn is_not_tls(error: &impl std::fmt::Display) -> bool {
    error.to_string().ends_with(NOT_TLS)
}

/// The end of that error's text: `InvalidMessage::InvalidContentType`.
const NOT_TLS: &str = "InvalidContentType";

use std::sync::Arc;
use std::time::{Duration, Instant};

use hs_oauth_core::{
    App, AuthorizationCode, ClientCredentials, Endpoint, Error, ExchangeCode, Introspect, Introspection,
    Refresh, RefreshToken, RetryPolicy, Revoke, Scopes, TIMEOUT, Token, TokenSet,
};
use hs_oauth_manager::{Tries, trace};

use crate::transport::Transport;

/// A client of HubSpot's OAuth API for one app. Cloning it is cheap; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    app: Arc<App>,
    transport: Transport,
    retry: RetryPolicy,
    timeout: Duration,
}

impl Client {
    /// A client with an HTTP client of its own. It goes through the proxy the environment names, but not to loopback.
    ///
    /// # Errors
    /// [`Error::Transport`] with [`TransportErrorKind::Client`](crate::TransportErrorKind::Client) if TLS cannot be set up.
    pub fn new(app: App) -> Result<Self, Error> {
        let http = Transport::build(&app)?;
        Ok(Self::with_http(app, http))
    }

    /// A client over an HTTP client of the caller's, which shares its connections, proxies and certificates.
    ///
    /// **It must not follow redirects**: make it from [`http_builder`](crate::http_builder). Timeout and size limit are kept and no
    /// body is sent a second time whatever it is set to; but a client that follows redirects can carry a token of `v1` to another
    /// address, in the path or in a `Referer`, and makes the call fail with
    /// [`TransportErrorKind::Redirected`](crate::TransportErrorKind::Redirected).
    pub fn with_http(app: App, http: reqwest::Client) -> Self {
        Self {
            app: Arc::new(app),
            transport: Transport::new(http),
            retry: RetryPolicy::new(),
            timeout: TIMEOUT,
        }
    }

    /// Sets when a failed call is sent again; [`RetryPolicy::new`] unless set.
    #[must_use]
    pub fn with_retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets how long one try may take, from connecting to the last byte; [`TIMEOUT`] unless set.
    ///
    /// With [`CONNECT_TIMEOUT`](crate::CONNECT_TIMEOUT) or less, a connection that is never made ends as
    /// [`Timeout`](crate::TransportErrorKind::Timeout), after which a code is not sent again: reqwest has one connect timeout for all
    /// requests. Whoever wants less makes the client from [`http_builder`](crate::http_builder) with a `connect_timeout` of that.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The app.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Exchanges an authorization code for the first tokens of a grant. Never sent twice unless the first try surely never
    /// left.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn exchange_code(&self, code: AuthorizationCode) -> Result<TokenSet, Error> {
        self.call(&ExchangeCode::new(code)).await
    }

    /// Gets a new access token for a grant.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn refresh(&self, refresh_token: &RefreshToken) -> Result<TokenSet, Error> {
        self.call(&Refresh::new(refresh_token.clone())).await
    }

    /// Gets an access token for the app itself.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn client_credentials(&self, scopes: Scopes) -> Result<TokenSet, Error> {
        self.call(&ClientCredentials::new(scopes)).await
    }

    /// Asks about an access token or a refresh token.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn introspect(&self, token: impl Into<Token>) -> Result<Introspection, Error> {
        self.call(&Introspect::new(token)).await
    }

    /// Revokes a refresh token.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn revoke(&self, refresh_token: &RefreshToken) -> Result<(), Error> {
        self.call(&Revoke::new(refresh_token.clone())).await
    }

    /// Sends a request, reads the response, and tries again where the [`RetryPolicy`] says so.
    ///
    /// Dropping the future gives the exchange up; the server may have acted all the same. Runs on tokio with its time driver
    /// enabled.
    ///
    /// # Errors
    /// [`Error::Api`] if HubSpot refused the request, [`Error::Response`] if the response cannot be used, [`Error::Transport`] if no
    /// whole response came.
    pub async fn call<E: Endpoint>(&self, endpoint: &E) -> Result<E::Output, Error> {
        self.in_span::<E, _>(async {
            let started = Instant::now();
            let mut tries = Tries::new(self.retry, self.timeout);
            loop {
                let timeout = tries.timeout(started.elapsed());
                let result = self.transport.exchange(endpoint, &self.app, timeout).await;
                match tries.next_wait::<E>(&result, started.elapsed()) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return result,
                }
            }
        })
        .await
    }

    /// Sends a request once, within `timeout` or the client's own timeout if that is less.
    pub(crate) async fn call_once<E: Endpoint>(
        &self,
        endpoint: &E,
        timeout: Duration,
    ) -> Result<E::Output, Error> {
        self.in_span::<E, _>(async {
            let started = Instant::now();
            let result = self.transport.exchange(endpoint, &self.app, timeout.min(self.timeout)).await;
            trace::<E>(&result, 1, started.elapsed(), None);
            result
        })
        .await
    }

    async fn in_span<E: Endpoint, T>(&self, call: impl Future<Output = T>) -> T {
        #[cfg(feature = "tracing")]
        let call = tracing::Instrument::instrument(call, hs_oauth_manager::span::<E>(&self.app));
        call.await
    }
}

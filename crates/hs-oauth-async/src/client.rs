//! The client of HubSpot's OAuth API.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hs_oauth_core::{
    AccessToken, AccountDetails, App, AuthorizationCode, ClientCredentials, Credential, Endpoint, Error,
    ExchangeCode, Introspect, Introspection, Operation, ReadAccountDetails, Refresh, RefreshToken,
    RetryPolicy, Revoke, Scopes, TIMEOUT, Token, TokenSet, Uninstall,
};
use hs_oauth_manager::{Clock, Credentials, Tries, record_request, trace};
use tokio::runtime::Handle;

use crate::transport::Transport;

/// A client of HubSpot's OAuth API for one app. Cloning it is cheap. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    app: Arc<App>,
    credentials: Arc<Credentials>,
    transport: Transport,
    retry: RetryPolicy,
    timeout: Duration,
}

impl Client {
    /// Returns a client with an HTTP client of its own.
    ///
    /// It uses the proxy that the environment names, but never for loopback.
    ///
    /// # Errors
    /// [`Error::Transport`] with [`TransportErrorKind::Client`](crate::TransportErrorKind::Client) if TLS cannot be set up.
    pub fn new(app: App) -> Result<Self, Error> {
        let transport = Transport::build(&app)?;
        Ok(Self::over(app, transport))
    }

    /// Returns a client over an HTTP client of the caller's. It shares the connections, proxies and certificates of that.
    ///
    /// **The HTTP client must not follow redirects**: make it from [`http_builder`](crate::http_builder). A client that follows redirects
    /// can carry a token of `v1` to another address, in the path or in a `Referer`. The call then fails with
    /// [`TransportErrorKind::Redirected`](crate::TransportErrorKind::Redirected).
    ///
    /// The timeout and the limit of the response's size hold for any settings of the HTTP client, and no body is sent a second time.
    pub fn with_http(app: App, http: reqwest::Client) -> Self {
        Self::over(app, Transport::new(http))
    }

    fn over(app: App, transport: Transport) -> Self {
        let app = Arc::new(app);
        let credentials = Arc::new(Credentials::new(&app));
        Self { app, credentials, transport, retry: RetryPolicy::new(), timeout: TIMEOUT }
    }

    /// Returns the client of a token manager with this clock, which sends all requests on this runtime, if there is one.
    pub(crate) fn for_manager(mut self, clock: Clock, runtime: Option<Handle>) -> Self {
        self.transport = self.transport.for_manager(&self.app, clock, runtime);
        self
    }

    /// Sets when a failed call is sent again. The default is [`RetryPolicy::new`].
    #[must_use]
    pub fn with_retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets how long one try may take, from connecting to the last byte of the response. The default is [`TIMEOUT`].
    ///
    /// If the timeout is not longer than [`CONNECT_TIMEOUT`](crate::CONNECT_TIMEOUT), a connection that is never made ends as
    /// [`Timeout`](crate::TransportErrorKind::Timeout), and a code is not sent again after that. The reason is that reqwest has one connect
    /// timeout for all requests. For a timeout as short as that, make the client from [`http_builder`](crate::http_builder) with a
    /// `connect_timeout` that is shorter still.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Replaces the credential with which this client and its clones authenticate the app from now on.
    pub(crate) fn set_credential(&self, credential: Credential) {
        self.credentials.replace(credential, Instant::now());
    }

    /// Returns the credential, which is shared with the clones of this client.
    pub(crate) fn credentials(&self) -> &Arc<Credentials> {
        &self.credentials
    }

    /// Returns the app.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Exchanges an authorization code for the first tokens of a grant.
    ///
    /// The request is sent again only if an earlier try surely sent nothing.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn exchange_code(&self, code: AuthorizationCode) -> Result<TokenSet, Error> {
        self.call(&ExchangeCode::new(code)).await
    }

    /// Requests a new access token of a grant.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn refresh(&self, refresh_token: &RefreshToken) -> Result<TokenSet, Error> {
        self.call(&Refresh::new(refresh_token.clone())).await
    }

    /// Requests an access token for the app itself.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn client_credentials(&self, scopes: Scopes) -> Result<TokenSet, Error> {
        self.call(&ClientCredentials::new(scopes)).await
    }

    /// Asks HubSpot about an access token or a refresh token.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn introspect(&self, token: impl Into<Token>) -> Result<Introspection, Error> {
        self.call(&Introspect::new(token)).await
    }

    /// Revokes a refresh token.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn revoke(&self, refresh_token: &RefreshToken) -> Result<(), Error> {
        self.call(&Revoke::new(refresh_token.clone())).await
    }

    /// Takes the app out of the account to which this access token belongs. HubSpot mails the account's admins.
    ///
    /// The token's account has to have granted the scope `oauth`. Revoking alone leaves the app installed.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn uninstall(&self, access_token: &AccessToken) -> Result<(), Error> {
        self.call(&Uninstall::new(access_token.clone())).await
    }

    /// Asks HubSpot about the account to which this access token belongs: its time zone, its currency, its kind.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn account_details(&self, access_token: &AccessToken) -> Result<AccountDetails, Error> {
        self.call(&ReadAccountDetails::new(access_token.clone())).await
    }

    /// Sends a request and reads the response. Tries again where the [`RetryPolicy`] says so.
    ///
    /// If the future is dropped, the exchange is given up. HubSpot may have acted on the request nevertheless. The future needs a tokio
    /// runtime with its time driver enabled.
    ///
    /// # Errors
    /// - [`Error::Api`] if HubSpot refused the request.
    /// - [`Error::Response`] if the response cannot be used.
    /// - [`Error::Transport`] if no whole response came.
    pub async fn call<E: Endpoint>(&self, endpoint: &E) -> Result<E::Output, Error> {
        self.in_span(E::OPERATION, async {
            let started = Instant::now();
            let mut tries = Tries::new(self.retry, self.timeout);
            loop {
                let timeout = tries.timeout(started.elapsed());
                let result = self.exchange(endpoint, timeout).await;
                match tries.next_wait::<E>(&result, started.elapsed()) {
                    Some(wait) => self.transport.sleep(wait).await,
                    None => return result,
                }
            }
        })
        .await
    }

    /// Sends a request once. It may take `timeout`, or the client's own timeout if that is less.
    pub(crate) async fn call_once<E: Endpoint>(
        &self,
        endpoint: &E,
        timeout: Duration,
    ) -> Result<E::Output, Error> {
        self.in_span(E::OPERATION, async {
            let started = Instant::now();
            let result = self.exchange(endpoint, timeout.min(self.timeout)).await;
            trace::<E>(&result, 1, started.elapsed(), None);
            result
        })
        .await
    }

    /// Sends a request. If HubSpot refuses the app's credential while it is being replaced, the request is sent once more with the other one,
    /// in the time that is left.
    async fn exchange<E: Endpoint>(&self, endpoint: &E, timeout: Duration) -> Result<E::Output, Error> {
        let began = Instant::now();
        let app = self.credentials.app(began);
        let result = self.transport.exchange(endpoint, &app, timeout).await;
        record_request(E::OPERATION, &result, began.elapsed());
        let Some(other) = self.credentials.other(&app, &result, Instant::now()) else { return result };
        let (left, began) = (timeout.saturating_sub(began.elapsed()), Instant::now());
        let result = self.transport.exchange(endpoint, &other, left).await;
        record_request(E::OPERATION, &result, began.elapsed());
        self.credentials.other(&other, &result, Instant::now());
        result
    }

    // Not async: the future of an async method would have room for the call twice.
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "nothing is traced"))]
    fn in_span<T>(&self, operation: Operation, call: impl Future<Output = T>) -> impl Future<Output = T> {
        #[cfg(feature = "tracing")]
        let call = tracing::Instrument::instrument(call, hs_oauth_manager::span(operation, &self.app));
        call
    }
}

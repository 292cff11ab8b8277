//! The client of HubSpot's OAuth API.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hs_oauth_core::{
    AccessToken, AccountDetails, App, AuthorizationCode, ClientCredentials, Credential, Endpoint, Error,
    ExchangeCode, Introspect, Introspection, ReadAccountDetails, Refresh, RefreshToken, RetryPolicy, Revoke,
    Scopes, TIMEOUT, Token, TokenSet, Uninstall,
};
use hs_oauth_manager::{Clock, Credentials, Tries, record_request, trace};

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
    /// It uses the proxy that the environment names, HTTP or SOCKS, but never for plain http on loopback.
    pub fn new(app: App) -> Self {
        Self::with_http(app, Transport::build())
    }

    /// Returns a client over an HTTP client of the caller's. It shares the connections, proxies and certificates of that.
    ///
    /// The timeout and the limit of the response's size hold for any settings of the HTTP client. No redirect is followed, and plain
    /// http on loopback does not go through a proxy.
    ///
    /// A request through a proxy is sent on a thread of its own. The thread is left behind when the timeout is over.
    pub fn with_http(app: App, http: ureq::Agent) -> Self {
        let app = Arc::new(app);
        Self {
            credentials: Arc::new(Credentials::new(&app)),
            app,
            transport: Transport::new(http),
            retry: RetryPolicy::new(),
            timeout: TIMEOUT,
        }
    }

    /// Sets when a failed call is sent again. The default is [`RetryPolicy::new`].
    #[must_use]
    pub fn with_retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Sets how long one try may take, from connecting to the last byte of the response. The default is [`TIMEOUT`].
    ///
    /// Connecting, with a proxy and TLS but without the lookup of the server's name, may take half of the timeout at most, and
    /// [`CONNECT_TIMEOUT`](crate::CONNECT_TIMEOUT) at most. A request that was never sent therefore ends as
    /// [`ConnectTimeout`](crate::TransportErrorKind::ConnectTimeout) and not as [`Timeout`](crate::TransportErrorKind::Timeout), after
    /// which a code is not sent again.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns the client of a token manager with this clock.
    pub(crate) fn for_manager(mut self, clock: Clock) -> Self {
        self.transport = self.transport.with_clock(clock);
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
    pub fn exchange_code(&self, code: AuthorizationCode) -> Result<TokenSet, Error> {
        self.call(&ExchangeCode::new(code))
    }

    /// Requests a new access token of a grant.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub fn refresh(&self, refresh_token: &RefreshToken) -> Result<TokenSet, Error> {
        self.call(&Refresh::new(refresh_token.clone()))
    }

    /// Requests an access token for the app itself.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub fn client_credentials(&self, scopes: Scopes) -> Result<TokenSet, Error> {
        self.call(&ClientCredentials::new(scopes))
    }

    /// Asks HubSpot about an access token or a refresh token.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub fn introspect(&self, token: impl Into<Token>) -> Result<Introspection, Error> {
        self.call(&Introspect::new(token))
    }

    /// Revokes a refresh token.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub fn revoke(&self, refresh_token: &RefreshToken) -> Result<(), Error> {
        self.call(&Revoke::new(refresh_token.clone()))
    }

    /// Takes the app out of the account to which this access token belongs. HubSpot mails the account's admins.
    ///
    /// The token's account has to have granted the scope `oauth`. Revoking alone leaves the app installed.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub fn uninstall(&self, access_token: &AccessToken) -> Result<(), Error> {
        self.call(&Uninstall::new(access_token.clone()))
    }

    /// Asks HubSpot about the account to which this access token belongs: its time zone, its currency, its kind.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub fn account_details(&self, access_token: &AccessToken) -> Result<AccountDetails, Error> {
        self.call(&ReadAccountDetails::new(access_token.clone()))
    }

    /// Sends a request and reads the response. Tries again where the [`RetryPolicy`] says so.
    ///
    /// # Errors
    /// - [`Error::Api`] if HubSpot refused the request.
    /// - [`Error::Response`] if the response cannot be used.
    /// - [`Error::Transport`] if no whole response came.
    pub fn call<E: Endpoint>(&self, endpoint: &E) -> Result<E::Output, Error> {
        #[cfg(feature = "tracing")]
        let _span = hs_oauth_manager::span(E::OPERATION, &self.app).entered();
        let started = Instant::now();
        let mut tries = Tries::new(self.retry, self.timeout);
        loop {
            let timeout = tries.timeout(started.elapsed());
            let result = self.exchange(endpoint, timeout);
            match tries.next_wait::<E>(&result, started.elapsed()) {
                Some(wait) => std::thread::sleep(wait),
                None => return result,
            }
        }
    }

    /// Sends a request once. It may take `timeout`, or the client's own timeout if that is less.
    pub(crate) fn call_once<E: Endpoint>(&self, endpoint: &E, timeout: Duration) -> Result<E::Output, Error> {
        #[cfg(feature = "tracing")]
        let _span = hs_oauth_manager::span(E::OPERATION, &self.app).entered();
        let started = Instant::now();
        let result = self.exchange(endpoint, timeout.min(self.timeout));
        trace::<E>(&result, 1, started.elapsed(), None);
        result
    }

    /// Sends a request. If HubSpot refuses the app's credential while it is being replaced, the request is sent once more with the other one,
    /// in the time that is left.
    fn exchange<E: Endpoint>(&self, endpoint: &E, timeout: Duration) -> Result<E::Output, Error> {
        let began = Instant::now();
        let app = self.credentials.app(began);
        let result = self.transport.exchange(endpoint, &app, timeout);
        record_request(E::OPERATION, &result, began.elapsed());
        let Some(other) = self.credentials.other(&app, &result, Instant::now()) else { return result };
        let (left, began) = (timeout.saturating_sub(began.elapsed()), Instant::now());
        let result = self.transport.exchange(endpoint, &other, left);
        record_request(E::OPERATION, &result, began.elapsed());
        self.credentials.other(&other, &result, Instant::now());
        result
    }

    /// Sends a request of the application's own. Plain http does not go through a proxy.
    pub(crate) fn send<B: ureq::AsSendBody>(
        &self,
        request: http::Request<B>,
    ) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let is_plain = request.uri().scheme_str() != Some("https");
        self.transport.run(request, is_plain, self.timeout)
    }
}

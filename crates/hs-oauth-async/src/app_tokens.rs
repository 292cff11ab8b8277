//! Tokens of the app itself, for APIs that act for no account.

use std::sync::Arc;

use hs_oauth_core::Scopes;
use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::TokenError;
use hs_oauth_manager::{AppBearer, AppTokenRequest};

use crate::driver::Inner;
use crate::flight::result_of;
use crate::manager::TokenManager;
use crate::waiting::Tokio;

impl TokenManager {
    /// Returns the value of the header `Authorization` for an API that acts for no account, such as the webhooks journal. It is marked as
    /// sensitive.
    ///
    /// Its token is one of the app itself (client credentials, RFC 6749 §4.4) with these scopes. It is kept in memory and not in the store.
    /// One request is made for all callers of this process, the first time and again in the last quarter of the token's life, while the old
    /// token is still handed out. Scopes in another order count as other scopes.
    ///
    /// # Errors
    /// - [`TokenError::Call`] if the request failed: an error of [`Client::client_credentials`](crate::Client::client_credentials). Callers
    ///   receive the same error for a second, or for as long as HubSpot has asked to wait.
    /// - [`TokenError::Interrupted`] if the request ended without a result.
    /// - [`TokenError::ShutDown`] after [`shutdown`](Self::shutdown), if no token in memory is good.
    /// - [`TokenError::NoRuntime`] outside of a tokio runtime, if no token in memory is good.
    pub async fn app_bearer(&self, scopes: &Scopes) -> Result<HeaderValue, TokenError> {
        let inner = self.inner();
        let flight = match inner.shared.app_tokens.read(&inner.shared.flights, scopes, inner.now())? {
            AppBearer::Use(bearer) => return Ok(bearer),
            AppBearer::RenewSoon(bearer, request) => {
                // If it cannot be requested now, a later call requests it.
                let _ = inner.spawn_request(request);
                return Ok(bearer);
            }
            AppBearer::Request(request) => {
                let flight = request.flight();
                inner.spawn_request(request)?;
                flight
            }
            AppBearer::Wait(flight) => flight,
        };
        result_of(&flight).await.map(|outcome| outcome.bearer)
    }
}

impl Inner {
    /// Sends a request as a task of its own, which goes on even if the caller stops waiting.
    fn spawn_request(self: &Arc<Self>, request: AppTokenRequest<Tokio>) -> Result<(), TokenError> {
        let inner = Arc::clone(self);
        self.runtime()?.spawn(async move {
            let response = inner.client.client_credentials(request.scopes().clone()).await;
            inner.shared.note_response(&response);
            request.finish(response, inner.now())
        });
        Ok(())
    }
}

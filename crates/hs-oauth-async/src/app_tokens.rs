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
    /// token is still handed out. Scopes in another order count as other scopes. After a 401,
    /// [`app_bearer_after_401`](Self::app_bearer_after_401) replaces it.
    ///
    /// # Errors
    /// - [`TokenError::Call`] if the request failed: an error of [`Client::client_credentials`](crate::Client::client_credentials). Callers
    ///   receive the same error for a second, or for as long as HubSpot has asked to wait.
    /// - [`TokenError::Interrupted`] if the request ended without a result.
    /// - [`TokenError::ShutDown`] after [`shutdown`](Self::shutdown), if no token in memory is good.
    /// - [`TokenError::NoRuntime`] outside of a tokio runtime, if no token in memory is good.
    pub async fn app_bearer(&self, scopes: &Scopes) -> Result<HeaderValue, TokenError> {
        let inner = self.inner();
        inner.app_bearer(inner.shared.app_tokens.read(&inner.shared.flights, scopes, inner.now())?).await
    }

    /// Returns another bearer than `rejected`, with which an API that acts for no account has responded with status 401. `scopes` are those
    /// that it was asked for with.
    ///
    /// It is the one in memory if that is another already, and otherwise a new one. One request is made for all callers whose bearer was
    /// rejected. None is made if the rejected token itself was requested after a 401 within the last minute: the 401 then has another cause
    /// than the token. Meanwhile [`app_bearer`](Self::app_bearer) hands out the old one.
    ///
    /// # Errors
    /// Those of [`app_bearer`](Self::app_bearer), even while the old token is good. [`TokenError::BackingOff`] if it is too early for
    /// another request after a 401.
    pub async fn app_bearer_after_401(
        &self,
        scopes: &Scopes,
        rejected: &HeaderValue,
    ) -> Result<HeaderValue, TokenError> {
        let inner = self.inner();
        let (app_tokens, flights) = (&inner.shared.app_tokens, &inner.shared.flights);
        inner.app_bearer(app_tokens.read_after_401(flights, scopes, rejected, inner.now())?).await
    }
}

impl Inner {
    /// Does what a caller has to do who asks for a token of the app.
    async fn app_bearer(self: &Arc<Self>, bearer: AppBearer<Tokio>) -> Result<HeaderValue, TokenError> {
        let flight = match bearer {
            AppBearer::Use(bearer) => return Ok(bearer),
            AppBearer::RenewSoon(bearer, request) => {
                // If it cannot be requested now, a later call requests it.
                let _ = self.spawn_request(request);
                return Ok(bearer);
            }
            AppBearer::Request(request) => {
                let flight = request.flight();
                self.spawn_request(request)?;
                flight
            }
            AppBearer::Wait(flight) => flight,
        };
        result_of(&flight).await.map(|outcome| outcome.bearer)
    }

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

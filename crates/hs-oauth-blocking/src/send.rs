use hs_oauth_core::http::{HeaderValue, Request, Response, StatusCode, header};
use hs_oauth_core::{Account, may_carry_credentials};
use ureq::{AsSendBody, Body};

use crate::manager::TokenManager;

/// Why a call to an API of HubSpot's brought no response.
pub type SendError = hs_oauth_manager::SendError<ureq::Error>;

impl TokenManager {
    /// Sends a request to an API of HubSpot's with the account's bearer, over the client's connections and within its timeout. After a
    /// 401 it gets another bearer, by a renewal if need be, and sends it once more.
    ///
    /// Any answer is `Ok`: a second 401 too, and a redirect, which is never followed. A request without a body has the
    /// body `()`.
    ///
    /// Through an HTTP proxy it may take longer than the timeout: ureq limits every read of the proxy's answer to CONNECT, not their
    /// sum, so a proxy that answers a byte at a time holds the call. Token requests are not held.
    ///
    /// # Errors
    /// [`SendError`]: no token, no https, or no answer.
    pub fn send<B: AsSendBody + Clone>(
        &self,
        account: Account,
        request: Request<B>,
    ) -> Result<Response<Body>, SendError> {
        let uri = request.uri();
        let scheme = uri.scheme_str().unwrap_or_default();
        if !may_carry_credentials(scheme, uri.host().unwrap_or_default()) {
            return Err(SendError::Insecure);
        }
        let again = request.clone();
        let bearer = self.bearer(account)?;
        let answer = self.send_once(request, bearer.clone())?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        // Without another bearer there is nothing better than this answer.
        let Ok(bearer) = self.bearer_after_401(account, &bearer) else { return Ok(answer) };
        self.send_once(again, bearer)
    }

    fn send_once<B: AsSendBody>(
        &self,
        mut request: Request<B>,
        bearer: HeaderValue,
    ) -> Result<Response<Body>, SendError> {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
        self.client().send(request).map_err(SendError::Http)
    }
}

//! Requests to HubSpot's APIs with an account's bearer.

use hs_oauth_core::http::{HeaderValue, Request, Response, StatusCode, header};
use hs_oauth_core::{Account, may_carry_credentials};
use hs_oauth_manager::explains_401;
use ureq::{AsSendBody, Body};

use crate::manager::TokenManager;

/// Why a call to one of HubSpot's APIs brought no response.
pub type SendError = hs_oauth_manager::SendError<ureq::Error>;

impl TokenManager {
    /// Sends a request to one of HubSpot's APIs with the account's bearer, over the client's connections and within its timeout.
    ///
    /// After a 401 it obtains another bearer, by a renewal if necessary, and sends the request once more.
    ///
    /// Any response is `Ok`, even a second 401. So is a redirect, which is never followed. A request without a body has the body `()`.
    ///
    /// Through an HTTP proxy the call may take longer than the timeout: ureq limits each read of the proxy's response to CONNECT, but not
    /// their sum, so a proxy that sends a byte at a time delays the call. It does not delay token requests.
    ///
    /// # Errors
    /// - [`SendError::Token`] if there is no bearer: an error of [`bearer`](Self::bearer). Also after a 401, if the account's grant is gone
    ///   or the app is not configured as it was.
    /// - [`SendError::Insecure`] if the URL is neither https nor http on loopback. Nothing is sent.
    /// - [`SendError::Http`] if the request could not be sent, or no response came.
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
        let response = self.send_once(request, bearer.clone())?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        match self.bearer_after_401(account, &bearer) {
            Ok(bearer) => self.send_once(again, bearer),
            Err(error) if explains_401(&error) => Err(error.into()),
            // Without another bearer, the caller receives the response as it is.
            Err(_) => Ok(response),
        }
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

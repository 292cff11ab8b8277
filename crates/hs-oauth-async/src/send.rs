//! Requests to HubSpot's APIs with an account's bearer.

use hs_oauth_core::http::{HeaderValue, StatusCode, header};
use hs_oauth_core::{Account, may_carry_credentials};
use hs_oauth_manager::explains_401;

use crate::manager::TokenManager;

/// Why a call to one of HubSpot's APIs brought no response.
pub type SendError = hs_oauth_manager::SendError<reqwest::Error>;

impl TokenManager {
    /// Sends a request to one of HubSpot's APIs with the account's bearer, over the HTTP client that the request was made with.
    ///
    /// After a 401 it obtains another bearer, by a renewal if necessary, and sends the request once more. A request whose body is a stream
    /// is sent only once.
    ///
    /// Any response is `Ok`, even a second 401. If the HTTP client follows redirects, `reqwest` removes the bearer before a redirect to
    /// another host or port.
    ///
    /// # Errors
    /// - [`SendError::Token`] if there is no bearer: an error of [`bearer`](Self::bearer). Also after a 401, if the account's grant is gone
    ///   or the app is not configured as it was.
    /// - [`SendError::Insecure`] if the URL is neither https nor http on loopback. Nothing is sent.
    /// - [`SendError::Request`] if the request could not be built. Nothing is sent.
    /// - [`SendError::Http`] if the request could not be sent, or no response came.
    pub async fn send(
        &self,
        account: Account,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, SendError> {
        let (http, request) = request.build_split();
        let mut request = request.map_err(|error| SendError::Request(error.without_url()))?;
        let url = request.url().clone();
        if !may_carry_credentials(url.scheme(), url.host_str().unwrap_or_default()) {
            return Err(SendError::Insecure);
        }
        let again = request.try_clone();
        let bearer = self.bearer(account).await?;
        authorize(&mut request, bearer.clone());
        let response = http.execute(request).await.map_err(no_response)?;
        let is_rejected =
            response.status() == StatusCode::UNAUTHORIZED && response.url().origin() == url.origin();
        if !is_rejected {
            return Ok(response);
        }
        // Even if this request cannot be sent again, the next one needs another bearer.
        let bearer = self.bearer_after_401(account, &bearer).await;
        match (again, bearer) {
            (Some(mut again), Ok(bearer)) => {
                authorize(&mut again, bearer);
                http.execute(again).await.map_err(no_response)
            }
            (_, Err(error)) if explains_401(&error) => Err(error.into()),
            _ => Ok(response),
        }
    }
}

/// The URL is left out of the error, whose text goes into logs. It may have a token or somebody's e-mail address in it.
fn no_response(error: reqwest::Error) -> SendError {
    SendError::Http(error.without_url())
}

fn authorize(request: &mut reqwest::Request, bearer: HeaderValue) {
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
}

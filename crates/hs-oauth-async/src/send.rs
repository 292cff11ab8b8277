use hs_oauth_core::http::{HeaderValue, StatusCode, header};
use hs_oauth_core::{Account, may_carry_credentials};

use crate::manager::TokenManager;

/// Why a call to an API of HubSpot's brought no response.
pub type SendError = hs_oauth_manager::SendError<reqwest::Error>;

impl TokenManager {
    /// Sends a request to an API of HubSpot's with the account's bearer, by the client it was made with. After a 401 it gets another
    /// bearer, by a renewal if need be, and sends it once more; unless its body is a stream, which cannot be sent twice.
    ///
    /// Any answer is `Ok`, a second 401 too. Where the client follows redirects, `reqwest` takes the bearer out before one
    /// that leads to another host or port.
    ///
    /// # Errors
    /// [`SendError`]: no token, no https, or no answer.
    pub async fn send(
        &self,
        account: Account,
        request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, SendError> {
        let (http, request) = request.build_split();
        let mut request = request.map_err(SendError::Http)?;
        let url = request.url().clone();
        if !may_carry_credentials(url.scheme(), url.host_str().unwrap_or_default()) {
            return Err(SendError::Insecure);
        }
        let again = request.try_clone();
        let bearer = self.bearer(account).await?;
        authorize(&mut request, bearer.clone());
        let answer = http.execute(request).await.map_err(SendError::Http)?;
        let is_refused = answer.status() == StatusCode::UNAUTHORIZED && answer.url().origin() == url.origin();
        if !is_refused {
            return Ok(answer);
        }
        // Even if this request cannot be sent again, the next one is to have a better bearer.
        let bearer = self.bearer_after_401(account, &bearer).await;
        match (again, bearer) {
            (Some(mut again), Ok(bearer)) => {
                authorize(&mut again, bearer);
                http.execute(again).await.map_err(SendError::Http)
            }
            _ => Ok(answer),
        }
    }
}

fn authorize(request: &mut reqwest::Request, bearer: HeaderValue) {
    request.headers_mut().insert(header::AUTHORIZATION, bearer);
}

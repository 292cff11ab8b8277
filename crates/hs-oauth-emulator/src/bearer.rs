//! The access token of a request to one of HubSpot's other APIs (RFC 6750 §2.1).

use hs_oauth_core::{ApiError, Scopes, Timestamp};
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};

use crate::grants::{AccessTokenStatus, Grants};
use crate::responses;

/// What a valid access token may be used for.
pub(crate) struct Access<'a> {
    /// The account that the token is for; `None` if it was issued to the app itself.
    pub(crate) hub_id: Option<i64>,
    pub(crate) scopes: &'a Scopes,
}

/// Returns the access token in the header `Authorization`, if there is one.
pub(crate) fn bearer(request: &Request<Vec<u8>>) -> Option<&str> {
    let (scheme, token) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Returns what the access token of a request may be used for.
///
/// # Errors
/// The status 401. Its category is `EXPIRED_AUTHENTICATION` only for a token that has expired, and its context says when that was. No
/// new token helps against any other category.
pub(crate) fn authenticate<'g>(
    grants: &'g Grants,
    now: Timestamp,
    request: &Request<Vec<u8>>,
) -> Result<Access<'g>, Box<ApiError>> {
    match grants.access_token_status(now, bearer(request).unwrap_or("")) {
        AccessTokenStatus::Valid { hub_id, scopes, .. } => Ok(Access { hub_id, scopes }),
        AccessTokenStatus::Expired { expired_at } => {
            let message = "The OAuth token used to make this call expired.";
            let mut error = unauthorized("EXPIRED_AUTHENTICATION", message);
            error.context.insert("expire time".to_owned(), vec![expired_at.to_string()]);
            Err(error)
        }
        AccessTokenStatus::Unknown => {
            let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication.";
            Err(unauthorized("INVALID_AUTHENTICATION", message))
        }
    }
}

fn unauthorized(category: &str, message: &str) -> Box<ApiError> {
    let mut error = responses::error(StatusCode::UNAUTHORIZED, "invalid_token", "error", message);
    error.category = Some(category.to_owned());
    error
}

#[cfg(test)]
mod tests {
    use http::Request;

    use crate::testing::{Harness, assert_error_response, json};

    /// HUBSPOT.md §11: only an expired token has this category, and the context says when it expired.
    #[test]
    fn the_401_of_an_expired_token_says_so_and_when_that_was() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        harness.wait(1800);
        for (method, path) in
            [("GET", "/account-info/v3/details"), ("DELETE", "/appinstalls/v3/external-install")]
        {
            let mut call = |authorization: &str| {
                let request =
                    Request::builder().method(method).uri(path).header("authorization", authorization);
                let response = harness.send(request.body(Vec::new()).unwrap());
                assert_eq!(response.status(), 401, "{method} {path}");
                assert_error_response(&response);
                json(&response)
            };
            let expired = call(&format!("Bearer {}", tokens.access_token.expose()));
            assert_eq!(expired["category"], "EXPIRED_AUTHENTICATION");
            let context = serde_json::json!({ "expire time": [tokens.expires_at.to_string()] });
            assert_eq!(expired["context"], context, "RFC 3339, as in HubSpot's own");
            let unknown = call("Bearer nobodys");
            assert_eq!(unknown["category"], "INVALID_AUTHENTICATION");
            assert!(unknown.get("context").is_none(), "{unknown}");
        }
    }
}

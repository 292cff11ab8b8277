//! HubSpot's APIs for an account, which need its access token (RFC 6750 §2.1): the account's details and the uninstall. They stand for all
//! of HubSpot's other APIs.

mod details;
mod uninstall;

use hs_oauth_core::server::{Call, Received, Rejection};
use hs_oauth_core::{AccessToken, ApiError, Scopes, Timestamp};
use http::{Method, Response, StatusCode};

use crate::grants::AccessTokenStatus;
use crate::responses;
use crate::state::State;

/// Returns the response to a request to one of these APIs. `received` is the request as the client's own types read it.
pub(crate) fn respond(
    state: &mut State,
    now: Timestamp,
    method: &Method,
    received: Result<Received, Rejection>,
) -> Response<Vec<u8>> {
    let result = match received.map(|received| (received.version, received.call)) {
        Ok((version, Call::Uninstall(call))) => uninstall::uninstall(state, now, version, &call),
        Ok((version, Call::AccountDetails(call))) => details::details(state, now, version, &call),
        Err(Rejection::MethodNotAllowed { allow }) => {
            let allow = if allow == "GET" { "GET, HEAD, OPTIONS" } else { "DELETE, OPTIONS" };
            return responses::method_not_allowed(&mut state.token_generator, method, allow);
        }
        Err(Rejection::NoBearer) => Err(no_such_token()),
        _ => Err(responses::unknown_address()),
    };
    result.unwrap_or_else(|error| responses::error_response(&mut state.token_generator, error))
}

/// Returns the account and the scopes of an access token. There is no account if the token was issued to the app itself.
///
/// # Errors
/// The status 401. Its category is `EXPIRED_AUTHENTICATION` only for a token that has expired, and its context says when that was. No
/// new token helps against any other category.
fn authenticate<'s>(
    state: &'s State,
    now: Timestamp,
    token: &AccessToken,
) -> Result<(Option<i64>, &'s Scopes), Box<ApiError>> {
    match state.grants.access_token_status(now, token.expose()) {
        AccessTokenStatus::Valid { hub_id, scopes, .. } => Ok((hub_id, scopes)),
        AccessTokenStatus::Expired { expired_at } => {
            let message = "The OAuth token used to make this call expired.";
            let mut error = unauthorized("EXPIRED_AUTHENTICATION", message);
            error.context.insert("expire time".to_owned(), vec![expired_at.to_string()]);
            Err(error)
        }
        AccessTokenStatus::Unknown => Err(no_such_token()),
    }
}

fn no_such_token() -> Box<ApiError> {
    let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication.";
    unauthorized("INVALID_AUTHENTICATION", message)
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

    /// Reports of other projects: only an expired token has this category, and the context says when it expired.
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

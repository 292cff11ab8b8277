//! HubSpot's APIs for an account, which need its access token (RFC 6750 §2.1): the account's details and the
//! uninstall. The CRM API has a file of its own.

mod details;
mod uninstall;

use hs_oauth_core::server::{Call, Received, Rejection};
use hs_oauth_core::{AccessToken, ApiError, ErrorDetail, Scopes, Timestamp};
use http::header::AUTHORIZATION;
use http::{Method, Request, Response, StatusCode};

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
        _ => Err(responses::not_emulated()),
    };
    result.unwrap_or_else(|error| responses::error_response(&mut state.token_generator, error))
}

/// Returns the access token that came with a request (RFC 6750 §2.1).
pub(crate) fn bearer(request: &Request<Vec<u8>>) -> Option<AccessToken> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    AccessToken::new(token.trim_start()).ok().filter(|_| scheme.eq_ignore_ascii_case("bearer"))
}

/// What a valid access token says.
pub(crate) struct Bearer<'s> {
    /// The account; `None` if the token was issued to the app itself.
    pub(crate) hub_id: Option<i64>,
    /// The app that the token was issued to.
    pub(crate) client_id: &'s str,
    pub(crate) scopes: &'s Scopes,
}

/// Returns what an access token says.
///
/// # Errors
/// The status 401. Its category is `EXPIRED_AUTHENTICATION` only for a token that has expired, and its context says when that was. No
/// new token helps against any other category.
pub(crate) fn authenticate<'s>(
    state: &'s State,
    now: Timestamp,
    token: Option<&AccessToken>,
) -> Result<Bearer<'s>, Box<ApiError>> {
    let token = token.ok_or_else(no_such_token)?;
    match state.grants.access_token_status(now, token.expose()) {
        AccessTokenStatus::Valid { hub_id, client_id, scopes, .. } => {
            Ok(Bearer { hub_id, client_id, scopes })
        }
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

/// Returns the status 403 for a token that has none of these scopes, any one of which would do.
pub(crate) fn missing_scopes(sufficient: Vec<String>) -> Box<ApiError> {
    let message = format!(
        "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: {SCOPES_PAGE}."
    );
    let mut error = forbidden("MISSING_SCOPES", &message);
    let mut detail = ErrorDetail::default();
    detail.message = Some("One or more of the following scopes are required.".to_owned());
    detail.context.insert("requiredScopes".to_owned(), sufficient);
    error.errors = vec![detail];
    error.links.insert("scopes".to_owned(), SCOPES_PAGE.to_owned());
    error
}

const SCOPES_PAGE: &str = "https://developers.hubspot.com/scopes";

fn forbidden(category: &str, message: &str) -> Box<ApiError> {
    let mut error = responses::error(StatusCode::FORBIDDEN, "insufficient_scope", "error", message);
    error.category = Some(category.to_owned());
    error
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

//! `GET /account-info/v3/details`. It stands for all of HubSpot's APIs that need an access token.

use hs_oauth_core::Timestamp;
use http::header::AUTHORIZATION;
use http::{Method, Request, Response, StatusCode};
use serde_json::json;

use crate::grants::AccessTokenStatus;
use crate::responses;
use crate::state::State;

pub(crate) const PATH: &str = "/account-info/v3/details";

/// Returns the response to a request to [`PATH`].
pub(crate) fn respond(state: &mut State, now: Timestamp, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    let method = request.method();
    if method != Method::GET {
        return responses::method_not_allowed(&mut state.token_generator, method, "GET, HEAD, OPTIONS");
    }
    let hub_id = match state.grants.access_token_status(now, bearer(request).unwrap_or("")) {
        AccessTokenStatus::Valid { hub_id, .. } => hub_id.unwrap_or(state.settings.hub_id),
        AccessTokenStatus::Expired => {
            let message = "The OAuth token used to make this call expired.";
            return unauthorized(state, "EXPIRED_AUTHENTICATION", message);
        }
        AccessTokenStatus::Unknown => {
            let message = "Authentication credentials not found. This API supports OAuth 2.0 authentication.";
            return unauthorized(state, "INVALID_AUTHENTICATION", message);
        }
    };
    let details = json!({
        "portalId": hub_id,
        "accountType": "DEVELOPER_TEST",
        "timeZone": "US/Eastern",
        "companyCurrency": "USD",
        "additionalCurrencies": [],
        "utcOffset": "-05:00",
        "utcOffsetMilliseconds": -18_000_000,
        "uiDomain": "app.hubspot.com",
        "dataHostingLocation": "na1",
    });
    responses::json(StatusCode::OK, &details)
}

/// Returns the access token in the header `Authorization`, if there is one.
pub(crate) fn bearer(request: &Request<Vec<u8>>) -> Option<&str> {
    let (scheme, token) = request.headers().get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn unauthorized(state: &mut State, category: &str, message: &str) -> Response<Vec<u8>> {
    let mut error = responses::error(StatusCode::UNAUTHORIZED, "invalid_token", "error", message);
    error.category = Some(category.to_owned());
    responses::error_response(&mut state.token_generator, error)
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::Refresh;
    use http::Request;

    use crate::faults::{Fault, Target};
    use crate::testing::{Harness, assert_error_response, json, refresh_token};

    fn details(harness: &mut Harness, authorization: &str) -> (u16, serde_json::Value) {
        let request = Request::get(super::PATH).header("authorization", authorization);
        let response = harness.send(request.body(Vec::new()).unwrap());
        if response.status() != 200 {
            assert_error_response(&response);
        }
        (response.status().as_u16(), json(&response))
    }

    /// RFC 6750 §2.1.
    #[test]
    fn a_valid_access_token_is_accepted_and_an_expired_or_unknown_one_is_not() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let bearer = format!("Bearer {}", tokens.access_token.expose());
        let (status, body) = details(&mut harness, &bearer);
        assert_eq!((status, &body["portalId"]), (200, &62515.into()));
        assert_eq!(details(&mut harness, &bearer.replace("Bearer", "bearer")).0, 200);
        for wrong in ["", "Bearer", "Bearer x", tokens.access_token.expose(), "Basic eDp5"] {
            let (status, body) = details(&mut harness, wrong);
            assert_eq!((status, &body["category"]), (401, &"INVALID_AUTHENTICATION".into()), "{wrong}");
        }
        assert_eq!(harness.emulator.journal().last().unwrap().operation, Some(Target::AccountInfo));
        harness.wait(1800);
        assert_eq!(details(&mut harness, &bearer).1["category"], "EXPIRED_AUTHENTICATION");
    }

    /// HubSpot's token reference: a 401 from another API does not prove that a token has expired.
    #[test]
    fn only_a_fault_with_this_target_affects_the_account_details() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let bearer = format!("Bearer {}", tokens.access_token.expose());
        harness.emulator.inject(Fault::status(503));
        harness.emulator.inject(Fault::status(401).with_target(Target::AccountInfo));
        assert_eq!(details(&mut harness, &bearer).0, 401);
        assert_eq!(details(&mut harness, &bearer).0, 200);
        assert!(harness.call(&Refresh::new(refresh_token(&tokens))).is_err());
    }
}

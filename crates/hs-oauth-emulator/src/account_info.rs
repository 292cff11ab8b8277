//! `GET /account-info/{version}/details`. It stands for all of HubSpot's APIs that need an access token.

use hs_oauth_core::Timestamp;
use http::{Method, Request, Response, StatusCode};
use serde_json::json;

use crate::bearer::authenticate;
use crate::responses;
use crate::state::State;

/// Returns whether a path is that of the account details. `v1` has none of its own.
pub(crate) fn is_path(path: &str) -> bool {
    let version = path.strip_prefix("/account-info/").and_then(|rest| rest.strip_suffix("/details"));
    version.is_some_and(|version| matches!(version, "v3" | "2026-03" | "2026-09"))
}

/// Returns the response to a request for the account details.
pub(crate) fn respond(state: &mut State, now: Timestamp, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    let method = request.method();
    if method != Method::GET {
        return responses::method_not_allowed(&mut state.token_generator, method, "GET, HEAD, OPTIONS");
    }
    let hub_id = match authenticate(&state.grants, now, request) {
        Ok(access) => access.hub_id.unwrap_or(state.settings.hub_id),
        Err(error) => return responses::error_response(&mut state.token_generator, error),
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

#[cfg(test)]
mod tests {
    use hs_oauth_core::Refresh;
    use http::Request;

    use crate::faults::{Fault, Target};
    use crate::testing::{Harness, assert_error_response, json, refresh_token};

    const PATH: &str = "/account-info/v3/details";

    fn details(harness: &mut Harness, path: &str, authorization: &str) -> (u16, serde_json::Value) {
        let request = Request::get(path).header("authorization", authorization);
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
        let (status, body) = details(&mut harness, PATH, &bearer);
        assert_eq!((status, &body["portalId"]), (200, &62515.into()));
        assert_eq!(details(&mut harness, PATH, &bearer.replace("Bearer", "bearer")).0, 200);
        for wrong in ["", "Bearer", "Bearer x", tokens.access_token.expose(), "Basic eDp5"] {
            let (status, body) = details(&mut harness, PATH, wrong);
            assert_eq!((status, &body["category"]), (401, &"INVALID_AUTHENTICATION".into()), "{wrong}");
        }
        assert_eq!(harness.emulator.journal().last().unwrap().operation, Some(Target::AccountInfo));
        harness.wait(1800);
        assert_eq!(details(&mut harness, PATH, &bearer).1["category"], "EXPIRED_AUTHENTICATION");
    }

    /// HUBSPOT.md §11: the fields of the account details, on `v3` and on the dated versions.
    #[test]
    fn the_details_have_every_field_of_hubspots_on_each_version() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let bearer = format!("Bearer {}", tokens.access_token.expose());
        for version in ["v3", "2026-03", "2026-09"] {
            let (status, body) = details(&mut harness, &format!("/account-info/{version}/details"), &bearer);
            assert_eq!((status, &body["portalId"]), (200, &62515.into()), "{version}");
            let kind = body["accountType"].as_str().unwrap();
            assert!(["STANDARD", "SANDBOX", "DEVELOPER_TEST", "APP_DEVELOPER"].contains(&kind), "{kind}");
            for name in ["timeZone", "companyCurrency", "utcOffset", "uiDomain", "dataHostingLocation"] {
                assert!(body[name].is_string(), "{name} in {body}");
            }
            assert_eq!(
                (&body["utcOffset"], &body["utcOffsetMilliseconds"]),
                (&"-05:00".into(), &(-18_000_000).into())
            );
        }
        for path in [
            "/account-info/v1/details",
            "/account-info/v3",
            "/account-info//details",
            "/account-info/details",
        ] {
            assert_eq!(details(&mut harness, path, &bearer).0, 404, "{path}");
        }
    }

    /// HubSpot's token reference: a 401 from another API does not prove that a token has expired.
    #[test]
    fn only_a_fault_with_this_target_affects_the_account_details() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let bearer = format!("Bearer {}", tokens.access_token.expose());
        harness.emulator.inject(Fault::status(503));
        harness.emulator.inject(Fault::status(401).with_target(Target::AccountInfo));
        assert_eq!(details(&mut harness, PATH, &bearer).0, 401);
        assert_eq!(details(&mut harness, PATH, &bearer).0, 200);
        assert!(harness.call(&Refresh::new(refresh_token(&tokens))).is_err());
    }
}

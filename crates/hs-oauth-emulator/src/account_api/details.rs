//! `GET /account-info/{version}/details`.

use hs_oauth_core::server::Serve;
use hs_oauth_core::{AccountDetails, AccountType, ApiError, ApiVersion, ReadAccountDetails, Timestamp};
use http::Response;

use super::authenticate;
use crate::state::State;

/// Returns the response to a request for the details of an account. Those of a token of the app itself are of the account that the
/// emulator started with.
pub(super) fn details(
    state: &State,
    now: Timestamp,
    version: ApiVersion,
    call: &ReadAccountDetails,
) -> Result<Response<Vec<u8>>, Box<ApiError>> {
    let hub_id = authenticate(state, now, Some(call.access_token()))?.hub_id;
    let mut details = AccountDetails::new(hub_id.unwrap_or(state.settings.hub_id));
    details.account_type = Some(AccountType::DeveloperTest);
    details.time_zone = Some("US/Eastern".to_owned());
    details.company_currency = Some("USD".to_owned());
    details.utc_offset = Some("-05:00".to_owned());
    details.utc_offset_milliseconds = Some(-18_000_000);
    details.ui_domain = Some("app.hubspot.com".to_owned());
    details.data_hosting_location = Some("na1".to_owned());
    Ok(ReadAccountDetails::to_response(&details, version))
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::{AccountType, ReadAccountDetails, Refresh};
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
        harness.wait(1800);
        assert_eq!(details(&mut harness, PATH, &bearer).1["category"], "EXPIRED_AUTHENTICATION");
        let entry = harness.emulator.journal().last().unwrap();
        assert_eq!((entry.operation, entry.hub_id), (Some(Target::AccountInfo), Some(62515)));
    }

    /// HubSpot's documentation: the fields of the account details, on `v3` and on the dated versions.
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
        // As core's client reads them.
        for version in ["v1", "v3", "2026-09"] {
            harness.version = version.parse().unwrap();
            let details = harness.call(&ReadAccountDetails::new(tokens.access_token.clone())).unwrap();
            assert_eq!((details.portal_id, details.account_type), (62515, Some(AccountType::DeveloperTest)));
            assert_eq!(details.utc_offset_milliseconds, Some(-18_000_000));
        }
        for path in [
            "/account-info/2026-04/details",
            "/account-info/v1/details",
            "/account-info/v3",
            "/account-info//details",
            "/account-info/details",
        ] {
            assert_eq!(harness.get(path).status(), 501, "{path}");
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

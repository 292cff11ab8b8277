//! `DELETE /appinstalls/{version}/external-install`: the app takes itself out of an account.

use hs_oauth_core::server::Serve;
use hs_oauth_core::{ApiError, ApiVersion, Timestamp, Uninstall};
use http::Response;

use super::{Bearer, authenticate, forbidden, missing_scopes};
use crate::state::State;

/// Returns the response to a request to uninstall the app from the account whose access token came with it.
pub(super) fn uninstall(
    state: &mut State,
    now: Timestamp,
    version: ApiVersion,
    call: &Uninstall,
) -> Result<Response<Vec<u8>>, Box<ApiError>> {
    let (hub_id, client_id) = account_to_leave(state, now, call)?;
    state.grants.uninstall(hub_id, Some(&client_id));
    Ok(Uninstall::to_response(&(), version))
}

/// The scope that the access token needs.
const SCOPE: &str = "oauth";

/// Returns the account, and the app that is to leave it.
fn account_to_leave(state: &State, now: Timestamp, call: &Uninstall) -> Result<(i64, String), Box<ApiError>> {
    let Bearer { hub_id, client_id, scopes } = authenticate(state, now, Some(call.access_token()))?;
    if !scopes.contains(SCOPE) {
        return Err(missing_scopes(vec![SCOPE.to_owned()]));
    }
    let no_account = "The token was issued to the app itself, which is not installed in itself.";
    let hub_id = hub_id.ok_or_else(|| forbidden("FORBIDDEN", no_account))?;
    Ok((hub_id, client_id.to_owned()))
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::{AccessToken, ClientCredentials, NextStep, Refresh, Uninstall};
    use http::{Method, Request, Response};

    use crate::faults::{Fault, Target};
    use crate::testing::{Harness, assert_error_response, json, refresh_token};

    const PATH: &str = "/appinstalls/v3/external-install";

    fn uninstall(harness: &mut Harness, path: &str, token: &AccessToken) -> Response<Vec<u8>> {
        let bearer = format!("Bearer {}", token.expose());
        harness.send(Request::delete(path).header("authorization", bearer).body(Vec::new()).unwrap())
    }

    /// HubSpot's documentation: 204, and the app is out of the account, with everything that was granted there.
    #[test]
    fn an_uninstall_ends_every_grant_of_the_account_and_no_other() {
        for version in ["v3", "2026-03", "2026-09"] {
            let mut harness = Harness::new();
            let other = harness.install();
            harness.control(Method::POST, "/hubs", r#"{"hub_id":7}"#);
            // The simulated browser chooses the first account on the page, which is 7.
            let (first, second) = (harness.install(), harness.install());
            assert_eq!((other.hub_id, first.hub_id, second.hub_id), (Some(62515), Some(7), Some(7)));
            let code = harness.code("oauth");

            let path = format!("/appinstalls/{version}/external-install");
            let response = uninstall(&mut harness, &path, &first.access_token);
            assert_eq!((response.status().as_u16(), response.body().len()), (204, 0));
            for tokens in [&first, &second] {
                assert!(!harness.is_active(tokens.access_token.clone()));
                assert!(!harness.is_active(refresh_token(tokens)));
                assert_eq!(harness.refresh(tokens).unwrap_err().next_step(), NextStep::Reauthorize);
            }
            assert!(harness.call(&hs_oauth_core::ExchangeCode::new(code)).is_err());
            assert_eq!(harness.control(Method::GET, "/hubs/7", "").1["installs"], 0);
            assert!(harness.is_active(other.access_token.clone()));
            harness.refresh(&other).unwrap();

            let again = uninstall(&mut harness, &path, &first.access_token);
            assert_error_response(&again);
            assert_eq!(
                (again.status().as_u16(), &json(&again)["category"]),
                (401, &"INVALID_AUTHENTICATION".into())
            );
            // The account can install the app again.
            assert_eq!(harness.install().hub_id, Some(7));
        }
    }

    /// The request as core's client makes it, and what the client reads of an expired token.
    #[test]
    fn cores_client_uninstalls_on_each_version_and_knows_an_expired_token() {
        for version in ["v1", "v3", "2026-03", "2026-09"] {
            let mut harness = Harness::new().with_version(version);
            let tokens = harness.install();
            harness.wait(1800);
            let error = harness.call(&Uninstall::new(tokens.access_token.clone())).unwrap_err();
            assert!(error.as_api().unwrap().is_expired_access_token(), "{version}");
            let tokens = harness.refresh(&tokens).unwrap();
            harness.call(&Uninstall::new(tokens.access_token.clone())).unwrap();
            assert!(!harness.is_active(tokens.access_token), "{version}");
        }
    }

    /// HubSpot's documentation: a revocation alone leaves the app in the account.
    #[test]
    fn an_uninstall_is_possible_after_a_revocation() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        harness.revoke(&tokens);
        assert_eq!(harness.control(Method::GET, "/hubs/62515", "").1["installs"], 1);
        assert_eq!(uninstall(&mut harness, PATH, &tokens.access_token).status(), 204);
        assert_eq!(harness.control(Method::GET, "/hubs/62515", "").1["installs"], 0);
    }

    #[test]
    fn an_uninstall_needs_the_scope_oauth_and_the_token_of_an_account() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let fewer =
            Refresh::new(refresh_token(&tokens)).with_scopes("crm.objects.contacts.read".parse().unwrap());
        let without = harness.call(&fewer).unwrap();
        let response = uninstall(&mut harness, PATH, &without.access_token);
        assert_error_response(&response);
        let body = json(&response);
        assert_eq!((response.status().as_u16(), &body["category"]), (403, &"MISSING_SCOPES".into()));
        assert_eq!(body["errors"][0]["context"]["requiredScopes"][0], "oauth");
        assert!(harness.is_active(without.access_token));

        let app = harness.call(&ClientCredentials::new("oauth".parse().unwrap())).unwrap();
        let response = uninstall(&mut harness, PATH, &app.access_token);
        assert_error_response(&response);
        assert_eq!(response.status(), 403);
    }

    #[test]
    fn the_journal_shows_an_uninstall_and_only_a_fault_with_this_target_affects_it() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        harness.emulator.inject(Fault::status(500));
        harness.emulator.inject(Fault::status(503).with_target(Target::Uninstall));
        assert_eq!(uninstall(&mut harness, PATH, &tokens.access_token).status(), 503);
        harness.emulator.clear_faults();
        assert!(harness.is_active(tokens.access_token.clone()), "the fault prevented the uninstall");
        assert_eq!(uninstall(&mut harness, PATH, &tokens.access_token).status(), 204);
        let entry = harness.emulator.journal().last().unwrap();
        assert_eq!(
            (entry.operation, entry.hub_id, entry.status),
            (Some(Target::Uninstall), Some(62515), Some(204))
        );
        let fault: Fault = serde_json::from_str(r#"{"operation":"uninstall","status":503}"#).unwrap();
        assert_eq!(fault, Fault::status(503).with_target(Target::Uninstall));
    }

    #[test]
    fn other_methods_and_addresses_are_refused() {
        let mut harness = Harness::new();
        let get = harness.get(PATH);
        assert_eq!(
            (get.status().as_u16(), &get.headers()["allow"]),
            (405, &"DELETE, OPTIONS".parse().unwrap())
        );
        assert_error_response(&get);
        for path in ["/appinstalls/v1/external-install", "/appinstalls/external-install", "/appinstalls/v3"] {
            assert_eq!(harness.send(Request::delete(path).body(Vec::new()).unwrap()).status(), 501, "{path}");
        }
    }
}

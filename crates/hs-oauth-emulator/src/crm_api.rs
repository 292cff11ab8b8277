//! HubSpot's CRM API, as far as an application needs it to be developed: any path under `/crm/` checks the access token and its
//! scopes. The response is what was put there through the control API, or an empty list.

pub(crate) mod responses_put;
mod scopes;

use hs_oauth_core::Timestamp;
use http::{Request, Response, StatusCode};
use scopes::sufficient_scopes;
use serde_json::json;

use crate::account_api::{authenticate, bearer, missing_scopes};
use crate::responses;
use crate::state::State;

/// Returns whether a path belongs to the CRM API.
pub(crate) fn is_under(path: &str) -> bool {
    path == "/crm" || path.starts_with("/crm/")
}

/// Returns the response to a request to the CRM API.
pub(crate) fn respond(state: &mut State, now: Timestamp, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    let path = request.uri().path();
    let sufficient = sufficient_scopes(request.method(), path);
    let is_granted = authenticate(state, now, bearer(request).as_ref()).and_then(|bearer| {
        match sufficient.is_empty() || sufficient.iter().any(|scope| bearer.scopes.contains(scope)) {
            true => Ok(()),
            false => Err(missing_scopes(sufficient)),
        }
    });
    match (is_granted, state.crm.get(path)) {
        (Err(error), _) => responses::error_response(&mut state.token_generator, error),
        (Ok(()), Some(body)) => responses::json(StatusCode::OK, body),
        (Ok(()), None) => responses::json(StatusCode::OK, &json!({ "results": [] })),
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};
    use serde_json::{Value, json};

    use crate::faults::{Fault, Target};
    use crate::testing::{Harness, assert_error_response, json as body};

    fn call(harness: &mut Harness, method: &str, path: &str, authorization: &str) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header("authorization", authorization);
        let response = harness.send(request.body(Vec::new()).unwrap());
        if response.status().is_client_error() {
            assert_error_response(&response);
        }
        (response.status().as_u16(), body(&response))
    }

    fn bearer(harness: &mut Harness, scopes: &str) -> String {
        format!("Bearer {}", harness.install_with_scopes(scopes).access_token.expose())
    }

    #[test]
    fn any_path_responds_with_an_empty_list_to_a_token_with_the_scope() {
        let mut harness = Harness::new();
        let bearer =
            bearer(&mut harness, "oauth crm.objects.contacts.read crm.objects.contacts.write crm.lists.read");
        for (method, path) in [
            ("GET", "/crm/v3/objects/contacts"),
            ("GET", "/crm/v3/objects/contacts?limit=10&after=x"),
            ("GET", "/crm/objects/2026-09/contacts/1"),
            ("POST", "/crm/v3/objects/contacts/search"),
            ("POST", "/crm/v3/objects/contacts"),
            ("PATCH", "/crm/v3/objects/0-1/5"),
            ("GET", "/crm/v3/lists/7"),
            ("GET", "/crm/something/new"),
            ("GET", "/crm"),
        ] {
            let response = call(&mut harness, method, path, &bearer);
            assert_eq!(response, (200, json!({ "results": [] })), "{method} {path}");
        }
        let entry = harness.emulator.journal().last().unwrap();
        assert_eq!(
            (entry.operation, entry.hub_id, entry.status),
            (Some(Target::Crm), Some(62515), Some(200))
        );
    }

    /// Reports of other projects: the body of HubSpot's 403 names the scopes, any one of which would do.
    #[test]
    fn a_token_without_the_scope_gets_hubspots_403_which_names_it() {
        let mut harness = Harness::new();
        let bearer = bearer(&mut harness, "oauth crm.objects.contacts.read");
        let (status, error) = call(&mut harness, "POST", "/crm/v3/objects/contacts", &bearer);
        assert_eq!(status, 403);
        assert_eq!(
            error["message"],
            "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: \
             https://developers.hubspot.com/scopes."
        );
        assert_eq!(error["category"], "MISSING_SCOPES");
        assert_eq!(error["links"], json!({ "scopes": "https://developers.hubspot.com/scopes" }));
        assert_eq!(
            error["errors"],
            json!([{
                "message": "One or more of the following scopes are required.",
                "context": { "requiredScopes": ["crm.objects.contacts.write"] },
            }])
        );
        assert_eq!(call(&mut harness, "GET", "/crm/v3/owners", &bearer).0, 403);
    }

    #[test]
    fn an_unknown_or_expired_token_gets_hubspots_401() {
        let mut harness = Harness::new();
        let valid = bearer(&mut harness, "oauth crm.objects.contacts.read");
        for wrong in ["", "Bearer", "Bearer x", "Basic eDp5", &valid.replace("Bearer ", "")] {
            let (status, error) = call(&mut harness, "GET", "/crm/v3/objects/contacts", wrong);
            assert_eq!((status, &error["category"]), (401, &"INVALID_AUTHENTICATION".into()), "{wrong}");
        }
        harness.wait(1800);
        let (status, error) = call(&mut harness, "GET", "/crm/v3/objects/contacts", &valid);
        assert_eq!((status, &error["category"]), (401, &"EXPIRED_AUTHENTICATION".into()));
        assert!(error["context"]["expire time"].is_array(), "{error}");
        harness.emulator.uninstall(62515);
        assert_eq!(call(&mut harness, "GET", "/crm/v3/objects/contacts", &valid).0, 401);
    }

    #[test]
    fn a_path_responds_with_what_was_put_there() {
        let mut harness = Harness::new();
        let bearer = bearer(&mut harness, "oauth crm.objects.contacts.read");
        let contacts = json!({ "results": [{ "id": "1", "properties": { "email": "a@example.com" } }] });
        let (path, other) = ("/crm/v3/objects/contacts", "/crm/v3/objects/contacts/1");
        let put = harness.control(Method::PUT, path, &contacts.to_string());
        assert_eq!(put, (200, json!({ "paths": [path] })));
        assert_eq!(call(&mut harness, "GET", &format!("{path}?limit=1"), &bearer), (200, contacts.clone()));
        assert_eq!(harness.control(Method::GET, path, ""), (200, contacts));
        assert_eq!(call(&mut harness, "GET", other, &bearer).1, json!({ "results": [] }));
        assert_eq!(harness.control(Method::GET, other, "").0, 404);

        harness.control(Method::POST, other, r#"{"id":"1"}"#);
        assert_eq!(call(&mut harness, "GET", other, &bearer).1, json!({ "id": "1" }));
        assert_eq!(harness.control(Method::GET, "/crm", "").1, json!({ "paths": [path, other] }));
        assert_eq!(harness.control(Method::DELETE, path, "").1, json!({ "paths": [other] }));
        assert_eq!(call(&mut harness, "GET", path, &bearer).1, json!({ "results": [] }));
        assert_eq!(harness.control(Method::DELETE, "/crm", "").1, json!({ "paths": [] }));
        assert_eq!(harness.control(Method::PUT, "/crm", "{}").0, 405);
        assert_eq!(harness.control(Method::PUT, path, "[[").0, 400);
    }

    /// HubSpot's usage guidelines: the headers that come with the limit of ten seconds.
    #[test]
    fn a_fault_orders_a_429_with_hubspots_body_and_headers() {
        let mut harness = Harness::new();
        let bearer = bearer(&mut harness, "oauth crm.objects.contacts.read");
        harness.emulator.inject(Fault::status(503));
        harness.emulator.inject(Fault::status(429).with_target(Target::Crm));
        let request = Request::get("/crm/v3/objects/contacts").header("authorization", &bearer);
        let response = harness.send(request.body(Vec::new()).unwrap());
        assert_eq!(response.status(), 429, "a fault without an operation is for the token API");
        for (name, value) in [
            ("x-hubspot-ratelimit-interval-milliseconds", "10000"),
            ("x-hubspot-ratelimit-max", "110"),
            ("x-hubspot-ratelimit-remaining", "0"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
        let error = body(&response);
        assert_eq!(
            (&error["errorType"], &error["policyName"]),
            (&"RATE_LIMIT".into(), &"TEN_SECONDLY_ROLLING".into())
        );
        assert_eq!(call(&mut harness, "GET", "/crm/v3/objects/contacts", &bearer).0, 200);
    }
}

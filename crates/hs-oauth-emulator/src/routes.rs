//! Finds the code that responds to a path, and does what all requests share: the limit of the body, `HEAD`, the journal
//! and the faults.

use hs_oauth_core::Timestamp;
use hs_oauth_core::server::Received;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Method, Request, Response, StatusCode};

use crate::consent::authorization_request::AuthorizationPath;
use crate::events::EventCursor;
use crate::faults::Target;
use crate::journal::{Entry, Mask};
use crate::responses::Reason;
use crate::state::{SERVED_VERSIONS, State};
use crate::{
    account_api, callback_page, consent, control, crm_api, dashboard, health, marketplace, own_address,
    responses, token_api,
};

/// The size of the largest body that is read, in bytes: 1 MiB. A request with a larger one gets the status 413.
pub const MAX_BODY_SIZE: usize = 1024 * 1024;

/// Returns the response to one request, and writes the request into the journal.
pub(crate) fn respond(state: &mut State, now: Timestamp, mut request: Request<Vec<u8>>) -> Response<Vec<u8>> {
    let is_head = request.method() == Method::HEAD;
    let path = request.uri().path();
    let mask = Mask { token_generator: &state.token_generator, settings: &state.settings };
    let is_own = control::is_under(path) || OWN_PATHS.contains(&path);
    let mut entry = (!is_own).then(|| Entry::from_request(mask, now, &request));
    // HEAD is handled like GET, except where a GET creates a ticket or a code: on the consent page, and where a browser comes back to
    // the Marketplace. A HEAD request must change nothing (RFC 9110 §9.2.1).
    if is_head && AuthorizationPath::from_path(path).is_none() && path != marketplace::RETURN_PATH {
        *request.method_mut() = Method::GET;
    }
    let mut response = match &mut entry {
        _ if request.body().len() > MAX_BODY_SIZE => body_too_large(state),
        None => respond_to_own(state, now, &request),
        Some(entry) => dispatch(state, now, &request, entry),
    };
    if is_head {
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().insert(CONTENT_LENGTH, length);
        response.body_mut().clear();
        response.extensions_mut().remove::<EventCursor>();
    }
    if let Some(mut entry) = entry {
        let has_response = entry.fault != Some("drop_before");
        entry.status = has_response.then(|| response.status().as_u16());
        if let Some(Reason(reason)) = response.extensions().get() {
            let mask = Mask { token_generator: &state.token_generator, settings: &state.settings };
            entry.set_reason(mask, reason);
        }
        state.journal.push(entry);
    }
    response
}

/// The paths besides those of the control API that HubSpot has not. Requests to them are not in the journal.
const OWN_PATHS: [&str; 3] = [dashboard::PATH, own_address::CALLBACK_PATH, health::PATH];

fn respond_to_own(state: &mut State, now: Timestamp, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    match request.uri().path() {
        dashboard::PATH => dashboard::respond(state, now, request),
        own_address::CALLBACK_PATH => callback_page::respond(state, request),
        health::PATH => health::respond(state, request),
        _ => control::respond(state, now, request),
    }
}

fn dispatch(
    state: &mut State,
    now: Timestamp,
    request: &Request<Vec<u8>>,
    entry: &mut Entry,
) -> Response<Vec<u8>> {
    let path = request.uri().path();
    if let Some(path) = AuthorizationPath::from_path(path) {
        return consent::respond(state, now, path, request);
    }
    if let Some((api, version)) = api_and_version(path) {
        if api == "oauth" && state.removed_versions.contains(&version) {
            return version_removed(state, version);
        }
        let received = Received::read_request(request);
        entry.operation = received.as_ref().ok().and_then(Target::from_received);
        entry.hub_id = received.as_ref().ok().and_then(|received| token_api::owner(&state.grants, received));
        return match (api, received.is_ok()) {
            ("oauth", _) => {
                apply_next_fault(state, entry, |state| token_api::respond(state, now, request, received))
            }
            (_, true) => apply_next_fault(state, entry, |state| {
                account_api::respond(state, now, request.method(), received)
            }),
            (_, false) => account_api::respond(state, now, request.method(), received),
        };
    }
    if crm_api::is_under(path) {
        entry.operation = Some(Target::Crm);
        entry.hub_id = account_api::bearer(request).and_then(|token| state.grants.owner(token.expose()));
        return apply_next_fault(state, entry, |state| crm_api::respond(state, now, request));
    }
    match path {
        marketplace::PATH => marketplace::respond(state, now, request),
        marketplace::RETURN_PATH => marketplace::come_back(state, now, request),
        _ => {
            let error = if path.starts_with("/oauth/") {
                responses::unknown_address()
            } else {
                responses::not_emulated()
            };
            responses::error_response(&mut state.token_generator, error)
        }
    }
}

/// Returns the API and the version of a path, if the emulator serves them.
fn api_and_version(path: &str) -> Option<(&str, &str)> {
    let mut segments = path.strip_prefix('/')?.split('/');
    let (api, version) = (segments.next()?, segments.next()?);
    let is_served =
        matches!(api, "oauth" | "account-info" | "appinstalls") && SERVED_VERSIONS.contains(&version);
    is_served.then_some((api, version))
}

/// Runs `handler`, and applies the next fault for this operation to the response. A fault can also prevent that
/// `handler` runs.
fn apply_next_fault(
    state: &mut State,
    entry: &mut Entry,
    handler: impl FnOnce(&mut State) -> Response<Vec<u8>>,
) -> Response<Vec<u8>> {
    let Some(fault) = state.faults.take(entry.operation) else {
        return handler(state);
    };
    entry.fault = Some(fault.name());
    let response = fault.lets_request_through().then(|| handler(state));
    fault.apply_to(entry.operation, response, &mut state.token_generator)
}

fn version_removed(state: &mut State, version: &str) -> Response<Vec<u8>> {
    let message = format!("version {version} of this API was removed");
    responses::error_response(&mut state.token_generator, responses::not_found(message))
}

fn body_too_large(state: &mut State) -> Response<Vec<u8>> {
    let message = format!("the body is larger than {MAX_BODY_SIZE} bytes");
    let error = responses::error(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "error", message);
    responses::error_response(&mut state.token_generator, error)
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::{Introspect, Revoke};
    use http::header::CONTENT_TYPE;

    use super::*;
    use crate::testing::{ALL_VERSIONS, Harness, assert_error_body, assert_error_response, json};

    const FORM: &str = "application/x-www-form-urlencoded";

    fn request(method: &str, path: &str, content_type: &str, body: &[u8]) -> Request<Vec<u8>> {
        let request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, content_type);
        request.body(body.to_vec()).unwrap()
    }

    /// RFC 9110 §15.5.
    #[test]
    fn a_request_that_no_route_accepts_gets_an_error_in_json() {
        let mut harness = Harness::new();
        let large = vec![b'a'; MAX_BODY_SIZE + 1];
        for version in ALL_VERSIONS {
            let token = format!("/oauth/{version}/token");
            for (method, path, content_type, body, status) in [
                ("GET", token.as_str(), FORM, &b""[..], 405),
                ("PUT", &token, FORM, b"", 405),
                ("DELETE", &token, FORM, b"", 405),
                ("PATCH", &token, FORM, b"", 405),
                ("TRACE", &token, FORM, b"", 405),
                ("POST", &token, "application/json", b"{}", 415),
                ("POST", &token, "multipart/form-data; boundary=x", b"", 415),
                ("POST", &token, "", b"", 415),
                ("POST", &token, FORM, &large, 413),
                ("POST", &format!("{token}/"), FORM, b"", 404),
                ("POST", &format!("{token}/nope"), FORM, b"", 404),
                ("POST", &format!("/oauth/{version}"), FORM, b"", 404),
            ] {
                let response = harness.send(request(method, path, content_type, body));
                assert_eq!(response.status(), status, "{method} {path} {content_type}");
                assert_error_response(&response);
                let allow = response.headers().get("allow").map(|allow| allow.to_str().unwrap());
                assert_eq!(allow, (status == 405).then_some("POST, OPTIONS"));
            }
        }
        for (method, path, status) in [
            ("GET", "/oauth/v2/token", 404),
            ("POST", "/oauth/2026-04/token", 404),
            ("POST", "/oauth/v1/token/introspect", 404),
            ("POST", "/oauth/v1/access-tokens/x", 405),
            ("DELETE", "/oauth/v1/access-tokens/x", 405),
            ("PUT", "/oauth/v1/refresh-tokens/x", 405),
            ("GET", "/oauth/v1/access-tokens/", 404),
            ("GET", "/oauth/v1/access-tokens/a/b", 404),
            ("PUT", "/", 405),
            ("POST", "/callback", 405),
            ("POST", "/account-info/v3/details", 405),
        ] {
            let response = harness.send(request(method, path, FORM, b""));
            assert_eq!(response.status(), status, "{method} {path}");
            assert_error_response(&response);
        }
    }

    /// RFC 9110 §15.6.2. An app would take the status 404 for "there is no such contact".
    #[test]
    fn what_is_not_emulated_gets_501_and_an_error_that_says_so() {
        let mut harness = Harness::new();
        for (method, path) in [
            ("GET", "/nope"),
            ("POST", "/marketing/v3/emails"),
            ("GET", "/automation/v4/flows"),
            ("GET", "/account-info/v3/activity/login"),
            ("GET", "/account-info/2026-04/details"),
            ("DELETE", "/appinstalls/v3/other"),
            ("GET", "/crmx"),
        ] {
            let response = harness.send(request(method, path, FORM, b""));
            assert_eq!(response.status(), 501, "{method} {path}");
            assert_error_body(&response);
            let error = json(&response);
            assert_eq!(error["category"], "NOT_IMPLEMENTED");
            assert!(error["message"].as_str().unwrap().starts_with("this is not emulated"), "{error}");
        }
    }

    /// RFC 9110 §9.3.2 and §9.3.7.
    #[test]
    fn head_responds_as_get_without_the_body_and_options_lists_the_methods() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let path = format!("/oauth/v1/access-tokens/{}", tokens.access_token.expose());
        let length = harness.get(&path).body().len();
        let response = harness.send(request("HEAD", &path, FORM, b""));
        assert_eq!((response.status().as_u16(), response.body().len()), (200, 0));
        assert_eq!(response.headers()["content-length"], length.to_string());
        assert_eq!(harness.send(request("HEAD", "/oauth/v3/token", FORM, b"")).status(), 405);
        assert_eq!(harness.emulator.journal().last().unwrap().method, "HEAD");

        for (path, allow) in [
            ("/oauth/v3/token", "POST, OPTIONS"),
            ("/oauth/v1/refresh-tokens/x", "GET, HEAD, DELETE, OPTIONS"),
            ("/oauth/authorize", "GET, POST, OPTIONS"),
            ("/", "GET, HEAD, POST, OPTIONS"),
        ] {
            let response = harness.send(request("OPTIONS", path, FORM, b""));
            assert_eq!(
                (response.status().as_u16(), &response.headers()["allow"]),
                (204, &allow.parse().unwrap())
            );
        }
    }

    #[test]
    fn a_body_of_the_maximum_size_is_read() {
        let mut harness = Harness::new();
        let body = vec![b'a'; MAX_BODY_SIZE];
        assert_eq!(harness.send(request("POST", "/oauth/v3/token", FORM, &body)).status(), 400);
    }

    /// HubSpot's API reference: v1 is removed on 2027-02-16. A client must not conclude that its tokens are invalid.
    #[test]
    fn the_error_of_a_removed_version_differs_from_that_of_an_unknown_token() {
        let mut harness = Harness::new().with_version("v1");
        let tokens = harness.install();
        harness.emulator.set_removed_versions(["v1", "v9"]);
        let refresh_token = tokens.refresh_token.clone().unwrap();
        for error in [
            harness.call(&Introspect::new(tokens.access_token.clone())).unwrap_err(),
            harness.call(&Revoke::new(refresh_token)).unwrap_err(),
            harness.refresh(&tokens).unwrap_err(),
        ] {
            assert_eq!(
                (error.status().unwrap().as_u16(), error.next_step().name()),
                (404, "fix_configuration")
            );
        }
        let response = harness.get("/oauth/v1/access-tokens/x");
        assert_error_response(&response);
        assert_eq!(json(&response)["message"], "version v1 of this API was removed");
        harness.version = "v3".parse().unwrap();
        harness.refresh(&tokens).unwrap();
        harness.emulator.set_removed_versions::<&str>([]);
        harness.version = "v1".parse().unwrap();
        harness.refresh(&tokens).unwrap();
    }
}

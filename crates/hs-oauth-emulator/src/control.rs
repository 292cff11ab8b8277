//! The control API under `/_emulator/`, which reads and writes JSON. HubSpot has nothing like it.

mod accounts;
mod crm;
mod json_api;

use std::collections::BTreeMap;
use std::time::Duration;

use accounts::{hubs, one_hub, uninstall, user};
use hs_oauth_core::Timestamp;
use http::{Method, Request, Response, StatusCode};
use json_api::{EmptyObject, Outcome, body, from_value, method_not_allowed, ok};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::events;
use crate::faults::Fault;
use crate::journal::Entry;
use crate::responses::{self, bad_request};
use crate::settings::Rotation;
use crate::state::{SERVED_VERSIONS, State};
use crate::webhook::{SignedWebhook, Webhook};

const ROOT: &str = "/_emulator";

/// Returns whether a path belongs to the control API.
pub(crate) fn is_under(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the response to a request to the control API.
pub(crate) fn respond(state: &mut State, now: Timestamp, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    let path = request.uri().path().strip_prefix(ROOT).unwrap_or("");
    if path == "/events" {
        return match *request.method() {
            Method::GET => events::respond(state, request),
            _ => events::method_not_allowed(state, request),
        };
    }
    let is_read = matches!(*request.method(), Method::GET | Method::OPTIONS);
    let outcome = match path {
        "" | "/" => index(state, now, request),
        "/faults" => faults(state, request),
        "/clock" => clock(state, now, request),
        "/hubs" => hubs(state, request),
        "/user" => user(state, request),
        "/crm" => crm::all(state, request),
        path if path.starts_with("/crm/") => crm::one(state, path, request),
        "/marketplace" => marketplace(state, request),
        "/webhooks" => webhooks(state, now, request),
        "/rotation" => rotation(state, request),
        "/sunset" => sunset(state, request),
        "/journal" => journal(state, request),
        "/reset" => reset(state, request),
        _ => match path.strip_prefix("/hubs/").map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
            Some((hub_id, "")) => one_hub(state, hub_id, request),
            Some((hub_id, "uninstall")) => uninstall(state, hub_id, request),
            _ => Err(responses::unknown_address()),
        },
    };
    if outcome.is_ok() && !is_read {
        state.changes += 1;
    }
    outcome.unwrap_or_else(|error| responses::error_response(&mut state.token_generator, error))
}

fn index(state: &mut State, now: Timestamp, request: &Request<Vec<u8>>) -> Outcome {
    if request.method() != Method::GET {
        return Ok(method_not_allowed(state, request, "GET, HEAD, OPTIONS"));
    }
    ok(&json!({
        "client_id": state.settings.client_id,
        "redirect_uris": state.settings.redirect_uris,
        "registered_scopes": state.settings.registered_scopes,
        "apps": state.settings.apps().map(|app| json!({
            "client_id": app.client_id,
            "app_name": app.name,
            "app_id": app.app_id,
            "redirect_uris": app.redirect_uris,
            "registered_scopes": app.scopes,
        })).collect::<Vec<_>>(),
        "now": now,
        "rotation": state.rotation,
        "removed_versions": state.removed_versions,
        "paths": {
            "/_emulator/faults": "GET, POST (a fault or a list of them), DELETE",
            "/_emulator/clock": "GET, POST {\"advance\": seconds}",
            "/_emulator/hubs": "GET, POST {\"hub_id\": number, \"hub_domain\": text, \"lacks\": [scope]}",
            "/_emulator/hubs/{hub_id}": "GET, POST {\"lacks\": [scope]}, DELETE",
            "/_emulator/hubs/{hub_id}/uninstall": "POST {} or {\"client_id\": text}",
            "/_emulator/user": "GET, POST {\"super_admin\": true | false, \"marketplace_access\": true | false}",
            "/_emulator/crm": "GET, DELETE",
            "/_emulator/crm/…": "GET, PUT (the JSON with which /crm/… is to respond), DELETE",
            "/_emulator/marketplace": "GET",
            "/_emulator/webhooks": "POST {\"url\": URL, \"version\": \"v1\" | \"v2\" | \"v3\", \"body\": text or JSON, \"method\": text, \"client_id\": text}",
            "/_emulator/rotation": "GET, POST {\"rotation\": \"keep\" | \"rotate\" | \"strict\"}",
            "/_emulator/sunset": "GET, POST {\"versions\": [\"v1\"]}, DELETE",
            "/_emulator/journal": "GET, DELETE",
            "/_emulator/events": "GET: the journal as server-sent events",
            "/_emulator/reset": "POST {}",
        },
    }))
}

fn faults(state: &mut State, request: &Request<Vec<u8>>) -> Outcome {
    match *request.method() {
        Method::GET => {}
        Method::DELETE => state.faults.clear(),
        Method::POST => {
            let value: Value = body(request)?;
            let faults: Vec<Fault> = match value.is_array() {
                true => from_value(value)?,
                false => vec![from_value(value)?],
            };
            for fault in &faults {
                fault.check().map_err(bad_request)?;
            }
            faults.into_iter().for_each(|fault| state.faults.push(fault));
        }
        _ => {
            return Ok(method_not_allowed(state, request, "GET, HEAD, POST, DELETE, OPTIONS"));
        }
    }
    ok(&json!({ "faults": state.faults.iter().collect::<Vec<_>>() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    advance: u64,
}

/// The number of seconds that one request can move the clock forward: a hundred years.
pub(crate) const MAX_ADVANCE: u64 = 100 * 365 * 24 * 60 * 60;

fn clock(state: &mut State, now: Timestamp, request: &Request<Vec<u8>>) -> Outcome {
    let mut now = now;
    match *request.method() {
        Method::GET => {}
        Method::POST => {
            let Clock { advance } = body(request)?;
            if advance > MAX_ADVANCE {
                return Err(bad_request(format!("advance can be at most {MAX_ADVANCE}")));
            }
            state.advance_clock(Duration::from_secs(advance));
            now = now.plus(Duration::from_secs(advance));
        }
        _ => return Ok(method_not_allowed(state, request, "GET, HEAD, POST, OPTIONS")),
    }
    ok(&json!({ "now": now, "advanced": state.clock_advance.as_secs() }))
}

fn marketplace(state: &mut State, request: &Request<Vec<u8>>) -> Outcome {
    if request.method() != Method::GET {
        return Ok(method_not_allowed(state, request, "GET, HEAD, OPTIONS"));
    }
    state.marketplace.update(&state.grants);
    ok(&json!({ "installs": state.marketplace.newest_first().collect::<Vec<_>>() }))
}

/// Returns the webhook's signed request, in words and as an extension of the response. The server sends it and responds with what came
/// back instead.
fn webhooks(state: &mut State, now: Timestamp, request: &Request<Vec<u8>>) -> Outcome {
    if request.method() != Method::POST {
        return Ok(method_not_allowed(state, request, "POST, OPTIONS"));
    }
    let webhook: Webhook = body(request)?;
    let signed = webhook.to_request(&state.settings, now).map_err(bad_request)?;
    let headers = signed.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or("")));
    let mut response = responses::json(
        StatusCode::OK,
        &json!({
            "method": signed.method().as_str(),
            "url": signed.uri().to_string(),
            "headers": headers.collect::<BTreeMap<_, _>>(),
            "body": String::from_utf8_lossy(signed.body()),
        }),
    );
    response.extensions_mut().insert(SignedWebhook(signed));
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRotation {
    rotation: Rotation,
}

fn rotation(state: &mut State, request: &Request<Vec<u8>>) -> Outcome {
    match *request.method() {
        Method::GET => {}
        Method::POST | Method::PUT => {
            let NewRotation { rotation } = body(request)?;
            state.rotation = rotation;
        }
        _ => return Ok(method_not_allowed(state, request, "GET, HEAD, POST, PUT, OPTIONS")),
    }
    ok(&json!({ "rotation": state.rotation }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sunset {
    #[serde(default = "v1_only")]
    versions: Vec<String>,
}

fn v1_only() -> Vec<String> {
    vec!["v1".to_owned()]
}

fn sunset(state: &mut State, request: &Request<Vec<u8>>) -> Outcome {
    match *request.method() {
        Method::GET => {}
        Method::DELETE => state.set_removed_versions::<&str>([]),
        Method::POST | Method::PUT => {
            let Sunset { versions } = body(request)?;
            if !versions.iter().all(|version| SERVED_VERSIONS.contains(&version.as_str())) {
                return Err(bad_request(format!("versions can be {}", SERVED_VERSIONS.join(", "))));
            }
            state.set_removed_versions(versions);
        }
        _ => {
            return Ok(method_not_allowed(state, request, "GET, HEAD, POST, PUT, DELETE, OPTIONS"));
        }
    }
    ok(&json!({ "versions": state.removed_versions }))
}

fn journal(state: &mut State, request: &Request<Vec<u8>>) -> Outcome {
    match *request.method() {
        Method::GET => {}
        Method::DELETE => state.journal.clear(),
        _ => return Ok(method_not_allowed(state, request, "GET, HEAD, DELETE, OPTIONS")),
    }
    let entries: Vec<&Entry> = state.journal.iter().collect();
    ok(&json!({ "entries": entries }))
}

fn reset(state: &mut State, request: &Request<Vec<u8>>) -> Outcome {
    if request.method() != Method::POST {
        return Ok(method_not_allowed(state, request, "POST, OPTIONS"));
    }
    let EmptyObject {} = body(request)?;
    state.reset();
    ok(&json!({}))
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};
    use serde_json::json;

    use crate::delivery::Delivery;
    use crate::faults::Target;
    use crate::testing::{Harness, assert_error_response};

    #[test]
    fn the_index_and_every_get_show_the_state() {
        let mut harness = Harness::new();
        for path in [
            "",
            "/",
            "/faults",
            "/clock",
            "/hubs",
            "/hubs/62515",
            "/user",
            "/rotation",
            "/sunset",
            "/journal",
        ] {
            let (status, body) = harness.control(Method::GET, path, "");
            assert!(status == 200 && body.is_object(), "{path} {body}");
        }
        assert_eq!(harness.control(Method::GET, "/nope", "").0, 404);
        assert_eq!(harness.control(Method::PATCH, "/clock", "").0, 405);
        assert_eq!(harness.control(Method::OPTIONS, "/clock", "").0, 204);
    }

    /// A form on another site cannot send the media type of JSON.
    #[test]
    fn a_write_without_the_media_type_of_json_is_refused() {
        let mut harness = Harness::new();
        for path in [
            "faults",
            "clock",
            "hubs",
            "hubs/62515",
            "hubs/62515/uninstall",
            "user",
            "webhooks",
            "rotation",
            "sunset",
            "reset",
        ] {
            for content_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
                let request =
                    Request::post(format!("/_emulator/{path}")).header("content-type", content_type);
                let response = harness.send(request.body(b"{}".to_vec()).unwrap());
                assert_eq!(response.status(), 415, "{path}");
                assert_error_response(&response);
            }
        }
    }

    #[test]
    fn the_error_names_an_unknown_or_missing_field() {
        let mut harness = Harness::new();
        for (path, body, expected) in [
            ("/clock", r#"{"advance":1,"backwards":1}"#, "`backwards`"),
            ("/clock", "", "`advance`"),
            ("/clock", r#"{"advance":-1}"#, "-1"),
            ("/hubs", r#"{"hub":1}"#, "`hub`"),
            ("/hubs", r#"{"hub_id":0}"#, "hub_id"),
            ("/hubs", r#"{"hub_id":8,"lacks":["a b"]}"#, "lacks"),
            ("/hubs/62515", r#"{"lack":[]}"#, "`lack`"),
            ("/hubs/62515", "{}", "`lacks`"),
            ("/user", r#"{"admin":true}"#, "`admin`"),
            ("/webhooks", "{}", "`url`"),
            ("/webhooks", r#"{"url":"http://localhost/","at":1}"#, "`at`"),
            ("/webhooks", r#"{"url":"http://localhost/","version":"v4"}"#, "`v4`"),
            ("/webhooks", r#"{"url":"http://localhost/","method":"a b"}"#, "method"),
            ("/webhooks", r#"{"url":"https://evil.example/"}"#, "loopback"),
            ("/rotation", r#"{"rotation":"sometimes"}"#, "`sometimes`"),
            ("/sunset", r#"{"versions":["v2"]}"#, "v1, v3, 2026-03, 2026-09"),
            ("/reset", r#"{"all":true}"#, "`all`"),
            ("/faults", r#"{"stauts":503}"#, "`stauts`"),
            ("/faults", r#"{"operation":"dance","status":503}"#, "`dance`"),
            ("/faults", r#"[{"status":503},{"x":1}]"#, "`x`"),
            ("/faults", "[[", "EOF"),
        ] {
            let (status, response) = harness.control(Method::POST, path, body);
            assert_eq!(status, 400, "{path} {body}");
            assert!(response["message"].as_str().unwrap().contains(expected), "{response}");
        }
        assert_eq!(harness.control(Method::GET, "/faults", "").1, json!({ "faults": [] }));
    }

    #[test]
    fn the_clock_moves_forward() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let (_, clock) = harness.control(Method::POST, "/clock", r#"{"advance":1800}"#);
        let now = harness.now.as_millis() + 1_800_000;
        assert_eq!(clock, json!({ "now": now, "advanced": 1800 }));
        assert!(!harness.is_active(tokens.access_token));
        let (status, _) = harness.control(Method::POST, "/clock", r#"{"advance":18446744073709551615}"#);
        assert_eq!(status, 400);
        harness.install();
    }

    #[test]
    fn accounts_are_added_uninstalled_and_deleted() {
        let mut harness = Harness::new();
        let hub = |installs: u32, deleted: bool| json!({ "hub_id": 7, "hub_domain": "seven.example", "lacks": [], "installs": installs, "deleted": deleted });
        let body = r#"{"hub_id":7,"hub_domain":"seven.example"}"#;
        assert_eq!(harness.control(Method::POST, "/hubs", body), (201, hub(0, false)));
        assert_eq!(harness.control(Method::POST, "/hubs", body).0, 409);
        assert_eq!(harness.control(Method::GET, "/hubs", "").1["hubs"].as_array().unwrap().len(), 2);
        // The simulated browser chooses the first account on the page.
        let tokens = harness.install();
        assert_eq!(tokens.hub_id, Some(7));
        assert_eq!(harness.control(Method::GET, "/hubs/7", "").1, hub(1, false));
        assert_eq!(harness.control(Method::POST, "/hubs/7/uninstall", "{}"), (200, hub(0, false)));
        assert!(!harness.is_active(tokens.access_token));
        assert_eq!(harness.control(Method::DELETE, "/hubs/7", ""), (200, hub(0, true)));
        for (method, path) in [
            (Method::DELETE, "/hubs/7"),
            (Method::POST, "/hubs/7/uninstall"),
            (Method::GET, "/hubs/8"),
            (Method::DELETE, "/hubs/x"),
            (Method::POST, "/hubs/x/uninstall"),
            (Method::PUT, "/hubs/x"),
            (Method::POST, "/hubs/7/dance"),
        ] {
            assert_eq!(harness.control(method, path, "").0, 404, "{path}");
        }
    }

    #[test]
    fn rotation_and_removed_versions_are_set_and_shown() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let body = r#"{"rotation":"rotate"}"#;
        assert_eq!(harness.control(Method::PUT, "/rotation", body).1, json!({ "rotation": "rotate" }));
        assert_ne!(harness.refresh(&tokens).unwrap().refresh_token, tokens.refresh_token);
        let body = r#"{"versions":["v1","v3"]}"#;
        assert_eq!(harness.control(Method::POST, "/sunset", body).1, json!({ "versions": ["v1", "v3"] }));
        assert_eq!(harness.get("/oauth/v1/access-tokens/x").status(), 404);
        assert_eq!(harness.control(Method::DELETE, "/sunset", "").1, json!({ "versions": [] }));
        assert_eq!(harness.get("/oauth/v1/access-tokens/x").status(), 401);
        assert_eq!(harness.control(Method::POST, "/reset", "{}"), (200, json!({})));
        assert_eq!(harness.control(Method::GET, "/rotation", "").1, json!({ "rotation": "keep" }));
    }

    #[test]
    fn the_journal_is_shown_and_cleared() {
        let mut harness = Harness::new();
        harness.install();
        let (_, body) = harness.control(Method::GET, "/journal", "");
        let last = body["entries"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(
            (&last["path"], &last["operation"], &last["status"]),
            (&json!("/oauth/2026-09/token"), &json!("exchange_code"), &json!(200))
        );
        assert_eq!(harness.control(Method::DELETE, "/journal", "").1, json!({ "entries": [] }));
    }

    #[test]
    fn faults_wait_in_a_queue() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let body = r#"[{"operation":"refresh","count":2,"delay_ms":250},{"status":429,"retry_after":7}]"#;
        let (status, shown) = harness.control(Method::POST, "/faults", body);
        assert_eq!((status, shown["faults"].as_array().unwrap().len()), (200, 2));
        let error = harness.call(&hs_oauth_core::Introspect::new(tokens.access_token.clone())).unwrap_err();
        assert_eq!(error.as_api().unwrap().retry_after, Some(std::time::Duration::from_secs(7)));
        harness.refresh(&tokens).unwrap();
        assert_eq!(
            harness.control(Method::GET, "/faults", "").1,
            json!({ "faults": [{ "operation": "refresh", "count": 1, "delay_ms": 250 }] })
        );
        assert_eq!(harness.control(Method::DELETE, "/faults", "").1, json!({ "faults": [] }));
        assert_eq!(harness.emulator.journal().last().unwrap().operation, Some(Target::Refresh));
        assert_eq!(Delivery::from_response(&harness.get("/")), Delivery::default());
    }
}

//! The control API under `/_emulator/`: JSON in, JSON out. It is the emulator's own and no part of HubSpot.

use std::time::Duration;

use hs_oauth_core::{ApiError, Timestamp};
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::answers::{self, Answer, bad_request, error, not_found};
use crate::emulator::{Emulator, SERVED_VERSIONS};
use crate::faults::Fault;
use crate::journal::Entry;
use crate::settings::Rotation;

const ROOT: &str = "/_emulator";

/// Whether a path belongs to the control API.
pub(crate) fn is_under(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

type Outcome = Result<Answer, Box<ApiError>>;

/// The answer to a request to the control API.
pub(crate) fn answer(emulator: &mut Emulator, now: Timestamp, request: &Request<Vec<u8>>) -> Answer {
    let path = request.uri().path().strip_prefix(ROOT).unwrap_or("");
    let outcome = match path {
        "" | "/" => index(emulator, now, request),
        "/faults" => faults(emulator, request),
        "/clock" => clock(emulator, now, request),
        "/hubs" => hubs(emulator, request),
        "/rotation" => rotation(emulator, request),
        "/sunset" => sunset(emulator, request),
        "/journal" => journal(emulator, request),
        "/reset" => reset(emulator, request),
        _ => match path.strip_prefix("/hubs/").map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
            Some((hub_id, "")) => one_hub(emulator, hub_id, request),
            Some((hub_id, "uninstall")) => uninstall(emulator, hub_id, request),
            _ => Err(answers::nothing_here()),
        },
    };
    outcome.unwrap_or_else(|error| answers::refused(&mut emulator.minter, error))
}

fn index(emulator: &mut Emulator, now: Timestamp, request: &Request<Vec<u8>>) -> Outcome {
    if request.method() != Method::GET {
        return Ok(wrong_method(emulator, request, "GET, HEAD, OPTIONS"));
    }
    ok(&json!({
        "client_id": emulator.settings.client_id,
        "redirect_uris": emulator.settings.redirect_uris,
        "now": now,
        "rotation": emulator.rotation,
        "removed_versions": emulator.removed,
        "paths": {
            "/_emulator/faults": "GET, POST (a fault or a list of them), DELETE",
            "/_emulator/clock": "GET, POST {\"advance\": seconds}",
            "/_emulator/hubs": "GET, POST {\"hub_id\": number, \"hub_domain\": text}",
            "/_emulator/hubs/{hub_id}": "GET, DELETE",
            "/_emulator/hubs/{hub_id}/uninstall": "POST {}",
            "/_emulator/rotation": "GET, POST {\"rotation\": \"keep\" | \"rotate\" | \"strict\"}",
            "/_emulator/sunset": "GET, POST {\"versions\": [\"v1\"]}, DELETE",
            "/_emulator/journal": "GET, DELETE",
            "/_emulator/reset": "POST {}",
        },
    }))
}

fn faults(emulator: &mut Emulator, request: &Request<Vec<u8>>) -> Outcome {
    match *request.method() {
        Method::GET => {}
        Method::DELETE => emulator.clear_faults(),
        Method::POST => {
            let given: Value = body(request)?;
            let faults: Vec<Fault> = match given.is_array() {
                true => read(given)?,
                false => vec![read(given)?],
            };
            for fault in &faults {
                fault.check().map_err(bad_request)?;
            }
            faults.into_iter().for_each(|fault| emulator.inject(fault));
        }
        _ => {
            return Ok(wrong_method(emulator, request, "GET, HEAD, POST, DELETE, OPTIONS"));
        }
    }
    ok(&json!({ "faults": emulator.faults.iter().collect::<Vec<_>>() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clock {
    advance: u64,
}

/// A hundred years.
const FURTHEST_ADVANCE: u64 = 100 * 365 * 24 * 60 * 60;

fn clock(emulator: &mut Emulator, now: Timestamp, request: &Request<Vec<u8>>) -> Outcome {
    let mut now = now;
    match *request.method() {
        Method::GET => {}
        Method::POST => {
            let Clock { advance } = body(request)?;
            if advance > FURTHEST_ADVANCE {
                return Err(bad_request(format!("advance can be at most {FURTHEST_ADVANCE}")));
            }
            emulator.advance(Duration::from_secs(advance));
            now = now.plus(Duration::from_secs(advance));
        }
        _ => return Ok(wrong_method(emulator, request, "GET, HEAD, POST, OPTIONS")),
    }
    ok(&json!({ "now": now, "advanced": emulator.advanced.as_secs() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewHub {
    hub_id: i64,
    hub_domain: Option<String>,
}

fn hubs(emulator: &mut Emulator, request: &Request<Vec<u8>>) -> Outcome {
    match *request.method() {
        Method::GET => ok(&json!({ "hubs": all_hubs(emulator).map(|(_, hub)| hub).collect::<Vec<_>>() })),
        Method::POST => {
            let NewHub { hub_id, hub_domain } = body(request)?;
            if hub_id < 1 {
                return Err(bad_request("hub_id must be at least 1"));
            }
            let hub_domain = hub_domain.unwrap_or_else(|| format!("hub-{hub_id}.example.com"));
            if !emulator.add_hub(hub_id, hub_domain) {
                let message = "this account is there already";
                return Err(error(StatusCode::CONFLICT, "invalid_request", "error", message));
            }
            hub(emulator, hub_id, StatusCode::CREATED)
        }
        _ => Ok(wrong_method(emulator, request, "GET, HEAD, POST, OPTIONS")),
    }
}

fn one_hub(emulator: &mut Emulator, hub_id: &str, request: &Request<Vec<u8>>) -> Outcome {
    let id = hub_id.parse().map_err(|_| unknown_hub())?;
    match *request.method() {
        Method::GET => {}
        Method::DELETE if emulator.delete_hub(id) => {}
        Method::DELETE => return Err(unknown_hub()),
        _ => return Ok(wrong_method(emulator, request, "GET, HEAD, DELETE, OPTIONS")),
    }
    hub(emulator, id, StatusCode::OK)
}

fn uninstall(emulator: &mut Emulator, hub_id: &str, request: &Request<Vec<u8>>) -> Outcome {
    let id = hub_id.parse().map_err(|_| unknown_hub())?;
    if request.method() != Method::POST {
        return Ok(wrong_method(emulator, request, "POST, OPTIONS"));
    }
    let Nothing {} = body(request)?;
    match emulator.uninstall(id) {
        true => hub(emulator, id, StatusCode::OK),
        false => Err(unknown_hub()),
    }
}

fn all_hubs(emulator: &Emulator) -> impl Iterator<Item = (i64, Value)> {
    emulator.accounts.hubs().map(|(hub_id, hub, grants)| {
        let shown = json!({
            "hub_id": hub_id,
            "hub_domain": hub.domain,
            "installs": grants,
            "deleted": hub.deleted,
        });
        (hub_id, shown)
    })
}

fn hub(emulator: &Emulator, hub_id: i64, status: StatusCode) -> Outcome {
    let (_, hub) = all_hubs(emulator).find(|(id, _)| *id == hub_id).ok_or_else(unknown_hub)?;
    Ok(answers::json(status, &hub))
}

fn unknown_hub() -> Box<ApiError> {
    not_found("there is no such account")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRotation {
    rotation: Rotation,
}

fn rotation(emulator: &mut Emulator, request: &Request<Vec<u8>>) -> Outcome {
    match *request.method() {
        Method::GET => {}
        Method::POST | Method::PUT => {
            let NewRotation { rotation } = body(request)?;
            emulator.set_rotation(rotation);
        }
        _ => return Ok(wrong_method(emulator, request, "GET, HEAD, POST, PUT, OPTIONS")),
    }
    ok(&json!({ "rotation": emulator.rotation }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sunset {
    #[serde(default = "first_to_go")]
    versions: Vec<String>,
}

fn first_to_go() -> Vec<String> {
    vec!["v1".to_owned()]
}

fn sunset(emulator: &mut Emulator, request: &Request<Vec<u8>>) -> Outcome {
    match *request.method() {
        Method::GET => {}
        Method::DELETE => emulator.set_removed_versions::<&str>([]),
        Method::POST | Method::PUT => {
            let Sunset { versions } = body(request)?;
            if !versions.iter().all(|version| SERVED_VERSIONS.contains(&version.as_str())) {
                return Err(bad_request(format!("versions can be {}", SERVED_VERSIONS.join(", "))));
            }
            emulator.set_removed_versions(versions);
        }
        _ => {
            return Ok(wrong_method(emulator, request, "GET, HEAD, POST, PUT, DELETE, OPTIONS"));
        }
    }
    ok(&json!({ "versions": emulator.removed }))
}

fn journal(emulator: &mut Emulator, request: &Request<Vec<u8>>) -> Outcome {
    match *request.method() {
        Method::GET => {}
        Method::DELETE => emulator.clear_journal(),
        _ => return Ok(wrong_method(emulator, request, "GET, HEAD, DELETE, OPTIONS")),
    }
    let entries: Vec<&Entry> = emulator.journal().collect();
    ok(&json!({ "entries": entries }))
}

fn reset(emulator: &mut Emulator, request: &Request<Vec<u8>>) -> Outcome {
    if request.method() != Method::POST {
        return Ok(wrong_method(emulator, request, "POST, OPTIONS"));
    }
    let Nothing {} = body(request)?;
    emulator.reset();
    ok(&json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn ok(body: &Value) -> Outcome {
    Ok(answers::json(StatusCode::OK, body))
}

fn wrong_method(emulator: &mut Emulator, request: &Request<Vec<u8>>, allow: &'static str) -> Answer {
    answers::wrong_method(&mut emulator.minter, request.method(), allow)
}

/// A body of JSON; none is as good as `{}`. A browser sends this media type to another site only if that site allows it,
/// which this one never does: so no web page can steer the emulator.
fn body<T: DeserializeOwned>(request: &Request<Vec<u8>>) -> Result<T, Box<ApiError>> {
    if !answers::has_body_of(request, "application/json") {
        return Err(answers::unsupported_media_type("application/json"));
    }
    let body = match request.body().trim_ascii() {
        b"" => b"{}",
        body => body,
    };
    serde_json::from_slice(body).map_err(|error| bad_request(format!("the body cannot be read: {error}")))
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, Box<ApiError>> {
    serde_json::from_value(value).map_err(|error| bad_request(format!("the body cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};
    use serde_json::json;

    use crate::delivery::Delivery;
    use crate::faults::Target;
    use crate::testing::{Bench, assert_refusal};

    #[test]
    fn the_index_and_every_get_show_the_state() {
        let mut bench = Bench::new();
        for path in ["", "/", "/faults", "/clock", "/hubs", "/hubs/62515", "/rotation", "/sunset", "/journal"]
        {
            let (status, body) = bench.control(Method::GET, path, "");
            assert!(status == 200 && body.is_object(), "{path} {body}");
        }
        assert_eq!(bench.control(Method::GET, "/nope", "").0, 404);
        assert_eq!(bench.control(Method::PATCH, "/clock", "").0, 405);
        assert_eq!(bench.control(Method::OPTIONS, "/clock", "").0, 204);
    }

    /// A cross-site form cannot send this media type.
    #[test]
    fn a_write_without_json_is_refused() {
        let mut bench = Bench::new();
        for path in ["faults", "clock", "hubs", "hubs/62515/uninstall", "rotation", "sunset", "reset"] {
            for content_type in ["text/plain", "application/x-www-form-urlencoded", ""] {
                let request =
                    Request::post(format!("/_emulator/{path}")).header("content-type", content_type);
                let answer = bench.send(request.body(b"{}".to_vec()).unwrap());
                assert_eq!(answer.status(), 415, "{path}");
                assert_refusal(&answer);
            }
        }
    }

    #[test]
    fn an_unknown_or_missing_field_is_named() {
        let mut bench = Bench::new();
        for (path, body, named) in [
            ("/clock", r#"{"advance":1,"backwards":1}"#, "`backwards`"),
            ("/clock", "", "`advance`"),
            ("/clock", r#"{"advance":-1}"#, "-1"),
            ("/hubs", r#"{"hub":1}"#, "`hub`"),
            ("/hubs", r#"{"hub_id":0}"#, "hub_id"),
            ("/rotation", r#"{"rotation":"sometimes"}"#, "`sometimes`"),
            ("/sunset", r#"{"versions":["v2"]}"#, "v1, v3, 2026-03, 2026-09"),
            ("/reset", r#"{"all":true}"#, "`all`"),
            ("/faults", r#"{"stauts":503}"#, "`stauts`"),
            ("/faults", r#"{"operation":"dance","status":503}"#, "`dance`"),
            ("/faults", r#"[{"status":503},{"x":1}]"#, "`x`"),
            ("/faults", "[[", "EOF"),
        ] {
            let (status, answer) = bench.control(Method::POST, path, body);
            assert_eq!(status, 400, "{path} {body}");
            assert!(answer["message"].as_str().unwrap().contains(named), "{answer}");
        }
        assert_eq!(bench.control(Method::GET, "/faults", "").1, json!({ "faults": [] }));
    }

    #[test]
    fn the_clock_goes_ahead() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        let (_, clock) = bench.control(Method::POST, "/clock", r#"{"advance":1800}"#);
        let now = bench.now.as_millis() + 1_800_000;
        assert_eq!(clock, json!({ "now": now, "advanced": 1800 }));
        assert!(!bench.is_active(tokens.access_token));
        let (status, _) = bench.control(Method::POST, "/clock", r#"{"advance":18446744073709551615}"#);
        assert_eq!(status, 400);
        bench.install();
    }

    #[test]
    fn accounts_are_added_uninstalled_and_deleted() {
        let mut bench = Bench::new();
        let hub = |installs: u32, deleted: bool| json!({ "hub_id": 7, "hub_domain": "seven.example", "installs": installs, "deleted": deleted });
        let body = r#"{"hub_id":7,"hub_domain":"seven.example"}"#;
        assert_eq!(bench.control(Method::POST, "/hubs", body), (201, hub(0, false)));
        assert_eq!(bench.control(Method::POST, "/hubs", body).0, 409);
        assert_eq!(bench.control(Method::GET, "/hubs", "").1["hubs"].as_array().unwrap().len(), 2);
        // Connecting takes the first account on the page.
        let tokens = bench.install();
        assert_eq!(tokens.hub_id, Some(7));
        assert_eq!(bench.control(Method::GET, "/hubs/7", "").1, hub(1, false));
        assert_eq!(bench.control(Method::POST, "/hubs/7/uninstall", "{}"), (200, hub(0, false)));
        assert!(!bench.is_active(tokens.access_token));
        assert_eq!(bench.control(Method::DELETE, "/hubs/7", ""), (200, hub(0, true)));
        for (method, path) in [
            (Method::DELETE, "/hubs/7"),
            (Method::POST, "/hubs/7/uninstall"),
            (Method::GET, "/hubs/8"),
            (Method::DELETE, "/hubs/x"),
            (Method::POST, "/hubs/x/uninstall"),
            (Method::POST, "/hubs/7/dance"),
        ] {
            assert_eq!(bench.control(method, path, "").0, 404, "{path}");
        }
    }

    #[test]
    fn rotation_and_removed_versions_are_set_and_shown() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        let body = r#"{"rotation":"rotate"}"#;
        assert_eq!(bench.control(Method::PUT, "/rotation", body).1, json!({ "rotation": "rotate" }));
        assert_ne!(bench.refresh(&tokens).unwrap().refresh_token, tokens.refresh_token);
        let body = r#"{"versions":["v1","v3"]}"#;
        assert_eq!(bench.control(Method::POST, "/sunset", body).1, json!({ "versions": ["v1", "v3"] }));
        assert_eq!(bench.get("/oauth/v1/access-tokens/x").status(), 404);
        assert_eq!(bench.control(Method::DELETE, "/sunset", "").1, json!({ "versions": [] }));
        assert_eq!(bench.get("/oauth/v1/access-tokens/x").status(), 401);
        assert_eq!(bench.control(Method::POST, "/reset", "{}"), (200, json!({})));
        assert_eq!(bench.control(Method::GET, "/rotation", "").1, json!({ "rotation": "keep" }));
    }

    #[test]
    fn the_journal_is_shown_and_cleared() {
        let mut bench = Bench::new();
        bench.install();
        let (_, body) = bench.control(Method::GET, "/journal", "");
        let last = body["entries"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(
            (&last["path"], &last["operation"], &last["status"]),
            (&json!("/oauth/2026-09/token"), &json!("exchange_code"), &json!(200))
        );
        assert_eq!(bench.control(Method::DELETE, "/journal", "").1, json!({ "entries": [] }));
    }

    #[test]
    fn faults_wait_in_a_queue() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        let body = r#"[{"operation":"refresh","count":2,"delay_ms":250},{"status":429,"retry_after":7}]"#;
        let (status, shown) = bench.control(Method::POST, "/faults", body);
        assert_eq!((status, shown["faults"].as_array().unwrap().len()), (200, 2));
        let error = bench.call(&hs_oauth_core::Introspect::new(tokens.access_token.clone())).unwrap_err();
        assert_eq!(error.as_api().unwrap().retry_after, Some(std::time::Duration::from_secs(7)));
        bench.refresh(&tokens).unwrap();
        assert_eq!(
            bench.control(Method::GET, "/faults", "").1,
            json!({ "faults": [{ "operation": "refresh", "count": 1, "delay_ms": 250 }] })
        );
        assert_eq!(bench.control(Method::DELETE, "/faults", "").1, json!({ "faults": [] }));
        assert_eq!(bench.emulator.journal().last().unwrap().operation, Some(Target::Refresh));
        assert_eq!(Delivery::of(&bench.get("/")), Delivery::default());
    }
}

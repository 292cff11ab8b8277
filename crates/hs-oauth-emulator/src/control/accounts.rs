//! The accounts and the user in the control API: `/hubs` and `/user`.

use hs_oauth_core::{ApiError, Scopes};
use http::{Method, Request, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::json_api::{Outcome, body, method_not_allowed, ok};
use crate::grants::Hub;
use crate::responses::{self, bad_request, error, not_found};
use crate::settings::HubSettings;
use crate::state::State;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewHub {
    hub_id: i64,
    hub_domain: Option<String>,
    #[serde(default)]
    lacks: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangedHub {
    lacks: Vec<String>,
}

/// Which app leaves an account. Without a client id, all do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UninstalledApp {
    client_id: Option<String>,
}

fn scopes(names: Vec<String>) -> Result<Scopes, Box<ApiError>> {
    Scopes::from_names(names).map_err(|error| bad_request(format!("lacks: {error}")))
}

pub(super) fn hubs(state: &mut State, request: &Request<Vec<u8>>) -> Outcome {
    match *request.method() {
        Method::GET => {
            let hubs = state.grants.all_hubs().map(|(hub_id, hub)| shown_hub(hub_id, hub));
            ok(&json!({ "hubs": hubs.collect::<Vec<_>>() }))
        }
        Method::POST => {
            let NewHub { hub_id, hub_domain, lacks } = body(request)?;
            let lacks = scopes(lacks)?;
            if hub_id < 1 {
                return Err(bad_request("hub_id must be at least 1"));
            }
            let hub_domain = hub_domain.unwrap_or_else(|| HubSettings::new(hub_id).hub_domain);
            if !state.grants.add_hub(hub_id, hub_domain) {
                let message = "this account is there already";
                return Err(error(StatusCode::CONFLICT, "invalid_request", "error", message));
            }
            state.grants.set_lacking_scopes(hub_id, lacks);
            hub(state, hub_id, StatusCode::CREATED)
        }
        _ => Ok(method_not_allowed(state, request, "GET, HEAD, POST, OPTIONS")),
    }
}

pub(super) fn one_hub(state: &mut State, hub_id: &str, request: &Request<Vec<u8>>) -> Outcome {
    let id = hub_id.parse().map_err(|_| unknown_hub())?;
    match *request.method() {
        Method::GET => {}
        Method::DELETE if state.grants.delete_hub(id) => {}
        Method::DELETE => return Err(unknown_hub()),
        Method::POST | Method::PUT => {
            let ChangedHub { lacks } = body(request)?;
            if !state.grants.set_lacking_scopes(id, scopes(lacks)?) {
                return Err(unknown_hub());
            }
        }
        _ => {
            return Ok(method_not_allowed(state, request, "GET, HEAD, POST, PUT, DELETE, OPTIONS"));
        }
    }
    hub(state, id, StatusCode::OK)
}

pub(super) fn uninstall(state: &mut State, hub_id: &str, request: &Request<Vec<u8>>) -> Outcome {
    let id = hub_id.parse().map_err(|_| unknown_hub())?;
    if request.method() != Method::POST {
        return Ok(method_not_allowed(state, request, "POST, OPTIONS"));
    }
    let UninstalledApp { client_id } = body(request)?;
    if client_id.as_deref().is_some_and(|client_id| state.settings.app(client_id).is_none()) {
        return Err(bad_request("no app has this client_id"));
    }
    match state.grants.uninstall(id, client_id.as_deref()) {
        true => hub(state, id, StatusCode::OK),
        false => Err(unknown_hub()),
    }
}

fn hub(state: &State, hub_id: i64, status: StatusCode) -> Outcome {
    let hub = state.grants.hub_even_if_deleted(hub_id).ok_or_else(unknown_hub)?;
    Ok(responses::json(status, &shown_hub(hub_id, hub)))
}

fn shown_hub(hub_id: i64, hub: &Hub) -> Value {
    json!({
        "hub_id": hub_id,
        "hub_domain": hub.domain,
        "lacks": hub.lacks,
        "installs": hub.grant_count(),
        "deleted": hub.is_deleted,
    })
}

fn unknown_hub() -> Box<ApiError> {
    not_found("there is no such account")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangedUser {
    super_admin: Option<bool>,
    marketplace_access: Option<bool>,
}

pub(super) fn user(state: &mut State, request: &Request<Vec<u8>>) -> Outcome {
    match *request.method() {
        Method::GET => {}
        Method::POST | Method::PUT => {
            let ChangedUser { super_admin, marketplace_access } = body(request)?;
            let permissions = &mut state.permissions;
            permissions.super_admin = super_admin.unwrap_or(permissions.super_admin);
            permissions.marketplace_access = marketplace_access.unwrap_or(permissions.marketplace_access);
        }
        _ => return Ok(method_not_allowed(state, request, "GET, HEAD, POST, PUT, OPTIONS")),
    }
    ok(&json!({
        "user_id": state.settings.user.id,
        "email": state.settings.user.email,
        "super_admin": state.permissions.super_admin,
        "marketplace_access": state.permissions.marketplace_access,
        "can_install": state.permissions.can_install(),
    }))
}

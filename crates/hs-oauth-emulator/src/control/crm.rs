//! The responses of the CRM API in the control API: `/crm` and every path under it.

use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::json_api::{Outcome, body, method_not_allowed, ok};
use crate::responses::{self, bad_request, not_found};
use crate::state::State;

/// Shows or removes all that was put.
pub(super) fn all(state: &mut State, request: &Request<Vec<u8>>) -> Outcome {
    match *request.method() {
        Method::GET => {}
        Method::DELETE => state.crm.clear(),
        _ => return Ok(method_not_allowed(state, request, "GET, HEAD, DELETE, OPTIONS")),
    }
    paths(state)
}

/// Puts, shows or removes the response of one path.
pub(super) fn one(state: &mut State, path: &str, request: &Request<Vec<u8>>) -> Outcome {
    match *request.method() {
        Method::GET => {
            let body = state.crm.get(path).ok_or_else(|| not_found("nothing was put at this path"))?;
            return Ok(responses::json(StatusCode::OK, body));
        }
        Method::DELETE => state.crm.remove(path),
        Method::PUT | Method::POST => {
            let body: Value = body(request)?;
            state.crm.put(path, body).map_err(bad_request)?;
        }
        _ => {
            return Ok(method_not_allowed(state, request, "GET, HEAD, PUT, POST, DELETE, OPTIONS"));
        }
    }
    paths(state)
}

fn paths(state: &State) -> Outcome {
    ok(&json!({ "paths": state.crm.iter().map(|(path, _)| path).collect::<Vec<_>>() }))
}

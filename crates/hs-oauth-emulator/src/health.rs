//! `GET /health`, for whatever waits until the emulator is ready.

use http::{Method, Request, Response, StatusCode};
use serde_json::json;

use crate::responses;
use crate::state::State;

pub(crate) const PATH: &str = "/health";

/// Returns the status 200 as soon as requests are handled.
pub(crate) fn respond(state: &mut State, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    match *request.method() {
        Method::GET => responses::json(StatusCode::OK, &json!({ "status": "ok" })),
        ref method => responses::method_not_allowed(&mut state.token_generator, method, "GET, HEAD, OPTIONS"),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Harness, json};

    #[test]
    fn a_health_check_is_responded_to_and_is_not_in_the_journal() {
        let mut harness = Harness::new();
        let response = harness.get("/health");
        assert_eq!((response.status().as_u16(), json(&response)["status"].as_str()), (200, Some("ok")));
        assert_eq!(harness.post("/health", "").status(), 405);
        assert_eq!(harness.emulator.journal().len(), 0);
    }
}

//! How the control API reads a request and writes a response.

use hs_oauth_core::ApiError;
use http::{Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::content_type::has_content_type;
use crate::responses::{self, bad_request};
use crate::state::State;

/// A response, or the error that is to be one.
pub(super) type Outcome = Result<Response<Vec<u8>>, Box<ApiError>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EmptyObject {}

pub(super) fn ok(body: &Value) -> Outcome {
    Ok(responses::json(StatusCode::OK, body))
}

pub(super) fn method_not_allowed(
    state: &mut State,
    request: &Request<Vec<u8>>,
    allow: &'static str,
) -> Response<Vec<u8>> {
    responses::method_not_allowed(&mut state.token_generator, request.method(), allow)
}

/// Reads a JSON body. An empty body counts as `{}`. The media type must be JSON: a browser sends this type to another
/// site only if that site allows it. The emulator never does, so that no web page can control it.
pub(super) fn body<T: DeserializeOwned>(request: &Request<Vec<u8>>) -> Result<T, Box<ApiError>> {
    if !has_content_type(request, "application/json") {
        return Err(responses::unsupported_media_type("application/json"));
    }
    let body = match request.body().trim_ascii() {
        b"" => b"{}",
        body => body,
    };
    serde_json::from_slice(body).map_err(|error| bad_request(format!("the body cannot be read: {error}")))
}

pub(super) fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, Box<ApiError>> {
    serde_json::from_value(value).map_err(|error| bad_request(format!("the body cannot be read: {error}")))
}

//! The forms an answer has: JSON, a refusal in both of HubSpot's shapes, a page, a redirect.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac_sha256::Hash;
use hs_oauth_core::{ApiError, HubSpotCode, Operation};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::ids::Minter;
use crate::pages::STYLE;

/// The answer to one request.
pub(crate) type Answer = Response<Vec<u8>>;

/// A JSON answer that no cache keeps.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let mut answer = Response::new(serde_json::to_vec(body).unwrap_or_default());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// A refusal: the code of RFC 6749, HubSpot's own (`error` where it has none), and what happened, in characters an
/// `error_description` may have (RFC 6749 §5.2).
pub(crate) fn error(
    status: StatusCode,
    error: &str,
    code: &str,
    message: impl Into<String>,
) -> Box<ApiError> {
    let message = message.into();
    // Which operation is refused, an answer does not say.
    let mut refusal = ApiError::new(Operation::Introspect, status);
    refusal.error = Some(error.into());
    refusal.code = Some(HubSpotCode::from(code));
    refusal.error_description = Some(message.clone());
    refusal.message = Some(message);
    refusal.category = Some(
        match status {
            StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
            StatusCode::NOT_FOUND => "OBJECT_NOT_FOUND",
            StatusCode::METHOD_NOT_ALLOWED => "METHOD_NOT_ALLOWED",
            StatusCode::CONFLICT => "CONFLICT",
            StatusCode::TOO_MANY_REQUESTS => "RATE_LIMITS",
            status if status.is_server_error() => "INTERNAL_ERROR",
            _ => "VALIDATION_ERROR",
        }
        .to_owned(),
    );
    Box::new(refusal)
}

/// The answer to a request that is refused.
pub(crate) fn refused(minter: &mut Minter, mut error: Box<ApiError>) -> Answer {
    error.correlation_id = Some(minter.correlation_id());
    error.to_response()
}

pub(crate) fn bad_request(message: impl Into<String>) -> Box<ApiError> {
    error(StatusCode::BAD_REQUEST, "invalid_request", "error", message)
}

pub(crate) fn not_found(message: impl Into<String>) -> Box<ApiError> {
    error(StatusCode::NOT_FOUND, "invalid_request", "error", message)
}

pub(crate) fn nothing_here() -> Box<ApiError> {
    not_found("there is nothing at this address")
}

pub(crate) fn unsupported_media_type(wanted: &str) -> Box<ApiError> {
    error(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "invalid_request",
        "error",
        format!("the body must be {wanted}"),
    )
}

/// The answer to `OPTIONS` (RFC 9110 §9.3.7), and a refusal of every other method that is not allowed.
pub(crate) fn wrong_method(minter: &mut Minter, method: &http::Method, allow: &'static str) -> Answer {
    let mut answer = Response::new(Vec::new());
    if method == http::Method::OPTIONS {
        *answer.status_mut() = StatusCode::NO_CONTENT;
    } else {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let message = format!("this address takes {allow} only");
        answer = refused(minter, error(status, "invalid_request", "error", message));
    }
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

/// A page that may run no script, be framed by nobody and tell nobody its address.
pub(crate) fn page(status: StatusCode, html: String) -> Answer {
    let mut answer = Response::new(html.into_bytes());
    *answer.status_mut() = status;
    // No `form-action`: Chromium holds the redirect that follows a form to it, which goes to the app.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; frame-ancestors 'none'",
        STANDARD.encode(Hash::hash(STYLE.as_bytes()))
    );
    let headers = answer.headers_mut();
    headers.extend(HeaderValue::try_from(policy).map(|policy| (CONTENT_SECURITY_POLICY, policy)));
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// A redirect that leaves nothing behind; none if `location` cannot stand in a header.
pub(crate) fn redirect(status: StatusCode, location: String) -> Option<Answer> {
    let location = HeaderValue::try_from(location).ok()?;
    let mut answer = Response::new(Vec::new());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Some(answer)
}

/// Whether the body is of this media type, whatever its parameters.
pub(crate) fn has_body_of<B>(request: &http::Request<B>, media_type: &str) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or("");
    essence.trim().eq_ignore_ascii_case(media_type)
}

//! The forms that a response has: JSON, an error in both of HubSpot's shapes, an HTML page, a redirect.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac_sha256::Hash;
use hs_oauth_core::{ApiError, HubSpotCode, Operation};
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Method, Response, StatusCode};
use serde::Serialize;

use crate::html::{SCRIPT, STYLE};
use crate::token_generator::TokenGenerator;

/// Returns a JSON response that no cache may store.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response<Vec<u8>> {
    let mut response = Response::new(serde_json::to_vec(body).unwrap_or_default());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Returns an error with the members of RFC 6749 §5.2 and with those of HubSpot's own shape.
///
/// `error` is the code of RFC 6749. `code` is HubSpot's code, or `error` where HubSpot has none. `message` says what is
/// wrong, in characters that RFC 6749 §5.2 allows in an `error_description`.
pub(crate) fn error(
    status: StatusCode,
    error: &str,
    code: &str,
    message: impl Into<String>,
) -> Box<ApiError> {
    let message = message.into();
    // The type needs an operation, but no response says which one failed: any will do.
    let mut api_error = ApiError::new(Operation::Introspect, status);
    api_error.error = Some(error.into());
    api_error.code = Some(HubSpotCode::from(code));
    api_error.error_description = Some(message.clone());
    api_error.message = Some(message);
    api_error.category = Some(
        match status {
            StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
            StatusCode::NOT_FOUND => "OBJECT_NOT_FOUND",
            StatusCode::METHOD_NOT_ALLOWED => "METHOD_NOT_ALLOWED",
            StatusCode::CONFLICT => "CONFLICT",
            StatusCode::TOO_MANY_REQUESTS => "RATE_LIMITS",
            StatusCode::NOT_IMPLEMENTED => "NOT_IMPLEMENTED",
            status if status.is_server_error() => "INTERNAL_ERROR",
            _ => "VALIDATION_ERROR",
        }
        .to_owned(),
    );
    Box::new(api_error)
}

/// Returns the response that carries `error`, with a new correlation id.
pub(crate) fn error_response(generator: &mut TokenGenerator, mut error: Box<ApiError>) -> Response<Vec<u8>> {
    error.correlation_id = Some(generator.correlation_id());
    // HubSpot's code says more than that of RFC 6749, where there is one.
    let code = error.code.as_ref().map(ToString::to_string).filter(|code| code != "error");
    let code = code.or_else(|| error.category.clone()).unwrap_or_default();
    let reason = format!("{code}: {}", error.message.as_deref().unwrap_or_default());
    with_reason(error.to_response(), reason)
}

/// Why a response is an error, among its extensions, for the log and the journal. Secrets in it are not masked yet.
#[derive(Clone)]
pub(crate) struct Reason(pub(crate) String);

/// Returns the response with this reason, in place of the one that it may have.
pub(crate) fn with_reason(mut response: Response<Vec<u8>>, reason: impl Into<String>) -> Response<Vec<u8>> {
    response.extensions_mut().insert(Reason(reason.into()));
    response
}

pub(crate) fn bad_request(message: impl Into<String>) -> Box<ApiError> {
    error(StatusCode::BAD_REQUEST, "invalid_request", "error", message)
}

pub(crate) fn not_found(message: impl Into<String>) -> Box<ApiError> {
    error(StatusCode::NOT_FOUND, "invalid_request", "error", message)
}

pub(crate) fn unknown_address() -> Box<ApiError> {
    not_found("there is nothing at this address")
}

/// Returns the error for what HubSpot may have and the emulator has not. The status 404 would say that HubSpot has no such thing either.
pub(crate) fn not_emulated() -> Box<ApiError> {
    let message = "this is not emulated: the emulator has /oauth, /crm, /account-info/{version}/details and \
        /appinstalls/{version}/external-install; what HubSpot responds here is for HubSpot to say";
    error(StatusCode::NOT_IMPLEMENTED, "not_implemented", "error", message)
}

pub(crate) fn unsupported_media_type(wanted: &str) -> Box<ApiError> {
    error(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "invalid_request",
        "error",
        format!("the body must be {wanted}"),
    )
}

/// Returns the response to a method that is not in `allow`: the list of methods for `OPTIONS` (RFC 9110 §9.3.7), and
/// the status 405 for every other method.
pub(crate) fn method_not_allowed(
    generator: &mut TokenGenerator,
    method: &Method,
    allow: &'static str,
) -> Response<Vec<u8>> {
    let mut response = Response::new(Vec::new());
    if method == Method::OPTIONS {
        *response.status_mut() = StatusCode::NO_CONTENT;
    } else {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let message = format!("this address takes {allow} only");
        response = error_response(generator, error(status, "invalid_request", "error", message));
    }
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// Returns an HTML page. Its headers forbid scripts and frames, and the browser sends its address to no other site.
pub(crate) fn page(status: StatusCode, html: String) -> Response<Vec<u8>> {
    html_response(status, html, "")
}

/// Returns an HTML page that may run the dashboard's script, which may read from the emulator.
pub(crate) fn page_with_script(html: String) -> Response<Vec<u8>> {
    let hash = STANDARD.encode(Hash::hash(SCRIPT.as_bytes()));
    html_response(StatusCode::OK, html, &format!("script-src 'sha256-{hash}'; connect-src 'self'; "))
}

fn html_response(status: StatusCode, html: String, more_policy: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(html.into_bytes());
    *response.status_mut() = status;
    // The policy has no `form-action`: Chromium applies it to the redirect after the form, and that redirect goes to
    // the app's own site.
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; {more_policy}base-uri 'none'; frame-ancestors 'none'",
        STANDARD.encode(Hash::hash(STYLE.as_bytes()))
    );
    let headers = response.headers_mut();
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
    response
}

/// Returns a redirect that no cache may store and that sends no `Referer`. Returns `None` if `location` has characters
/// that a header cannot have.
pub(crate) fn redirect(status: StatusCode, location: String) -> Option<Response<Vec<u8>>> {
    let location = HeaderValue::try_from(location).ok()?;
    let mut response = Response::new(Vec::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Some(response)
}

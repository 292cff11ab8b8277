//! The media type of a request's body.

use http::Request;
use http::header::CONTENT_TYPE;

/// Returns whether `Content-Type` names this media type, with or without parameters such as a charset.
pub(crate) fn has_content_type<B>(request: &Request<B>, media_type: &str) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let without_parameters = content_type.and_then(|value| value.split(';').next()).unwrap_or("");
    without_parameters.trim().eq_ignore_ascii_case(media_type)
}

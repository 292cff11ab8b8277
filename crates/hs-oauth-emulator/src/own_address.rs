//! The address by which a browser knows the emulator.

use http::Request;
use http::header::HOST;

/// The path of the emulator's own redirect URI.
pub(crate) const CALLBACK_PATH: &str = "/callback";

/// Returns the emulator's own redirect URI, as the browser that sent the request knows the emulator. Every app may use it. `None` if the
/// request does not say how.
pub(crate) fn own_callback(request: &Request<Vec<u8>>) -> Option<String> {
    own_url(request).map(|url| format!("{url}{CALLBACK_PATH}"))
}

/// Returns the emulator's URL, without a slash at the end.
pub(crate) fn own_url(request: &Request<Vec<u8>>) -> Option<String> {
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = header.or(request.uri().authority().map(|host| host.as_str()))?;
    // Nothing that could begin another part of the URL.
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    (!host.is_empty() && host.bytes().all(is_host)).then(|| format!("http://{host}"))
}

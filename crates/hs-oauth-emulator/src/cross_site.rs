//! Finds out whether another site made the browser send a request.

use http::header::{HOST, ORIGIN};
use http::{HeaderName, Request};

/// Returns whether the browser says that another site made it send this request. The referrer
/// policy of the pages makes browsers send `null` as its `Origin`.
pub(crate) fn is_cross_site(request: &Request<Vec<u8>>) -> bool {
    let header = |name| request.headers().get(name).map(|value| value.as_bytes());
    let site = header(HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return true;
    }
    let Some(origin) = header(ORIGIN).filter(|origin| *origin != b"null") else {
        return false;
    };
    let host = header(HOST).or(request.uri().authority().map(|host| host.as_str().as_bytes()));
    let schemes = [b"http://".as_slice(), b"https://"];
    !schemes.iter().any(|scheme| host.is_some_and(|host| origin.strip_prefix(*scheme) == Some(host)))
}

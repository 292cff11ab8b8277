//! The addresses to which an app may send credentials.

use core::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;

use crate::invalid_argument::{InvalidArgument, InvalidArgumentKind};

const MAX_URL_SIZE: usize = 2048;

/// Returns whether a credential may be sent to this host: by https to any, by http to loopback only.
///
/// `host` is written as in a URL: an IPv6 address is in brackets.
pub fn may_carry_credentials(scheme: &str, host: &str) -> bool {
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http") && is_loopback(host)
}

/// Checks a base address and returns it without slashes at its end.
pub(crate) fn check_base(argument: &'static str, url: String) -> Result<String, InvalidArgument> {
    check_url(argument, &url)?;
    if url.contains('?') {
        return Err(InvalidArgument::new(argument, InvalidArgumentKind::UrlPart("a query")));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// Checks that a URL is absolute, and https or loopback.
pub(crate) fn check_url(argument: &'static str, url: &str) -> Result<(), InvalidArgument> {
    parse_url(argument, url, MAX_URL_SIZE).map(drop)
}

/// Reads a URL that is absolute, and https or loopback, and that has no user name and no fragment.
pub(crate) fn parse_url(argument: &'static str, url: &str, max_size: usize) -> Result<Uri, InvalidArgument> {
    let invalid = |kind| Err(InvalidArgument::new(argument, kind));
    if url.is_empty() {
        return invalid(InvalidArgumentKind::Missing);
    }
    if url.len() > max_size {
        return invalid(InvalidArgumentKind::TooLong { limit: max_size });
    }
    if let Some(at) = url.bytes().position(|byte| !byte.is_ascii_graphic() || byte == b'\\') {
        return invalid(InvalidArgumentKind::Character { at });
    }
    if url.contains('#') {
        return invalid(InvalidArgumentKind::UrlPart("a fragment"));
    }
    let Ok(uri) = url.parse::<Uri>() else {
        return invalid(InvalidArgumentKind::NotAUrl);
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return invalid(InvalidArgumentKind::NotAUrl);
    };
    if authority.as_str().contains('@') {
        return invalid(InvalidArgumentKind::UrlPart("a user name or password"));
    }
    match scheme {
        _ if !is_host_and_port(authority.as_str(), authority.host()) => invalid(InvalidArgumentKind::NotAUrl),
        "https" => Ok(uri),
        "http" if is_loopback(authority.host()) => Ok(uri),
        "http" => invalid(InvalidArgumentKind::NotHttps),
        _ => invalid(InvalidArgumentKind::NotAUrl),
    }
}

/// Returns whether the authority is a host, with or without a port. `http::Uri` takes more than that, and each HTTP client reads it in a
/// way of its own.
fn is_host_and_port(authority: &str, host: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let is_host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']').is_some_and(|host| host.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty(),
    };
    is_host
        && match authority.strip_prefix(host) {
            Some("") => true,
            Some(rest) => rest.strip_prefix(':').is_some_and(is_port),
            None => false,
        }
}

/// Returns whether this is the host of the machine itself. An IPv6 address is in brackets.
pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_sent_by_https_or_to_loopback() {
        for (scheme, host, allowed) in [
            ("https", "example.com", true),
            ("HTTPS", "example.com", true),
            ("http", "localhost", true),
            ("HTTP", "LocalHost", true),
            ("http", "127.9.9.9", true),
            ("http", "[::1]", true),
            ("http", "::1", false),
            ("http", "example.com", false),
            ("http", "localhost.example.com", false),
            ("ftp", "localhost", false),
        ] {
            assert_eq!(may_carry_credentials(scheme, host), allowed, "{scheme}://{host}");
        }
    }
}

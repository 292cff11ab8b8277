//! Which redirect URIs an app can register.

use std::net::IpAddr;

use http::Uri;
use http::uri::Scheme;

/// Checks a redirect URI that an app is to register: it is an absolute `http` or `https` URI without a fragment (RFC 6749 §3.1.2), and
/// its query has no parameter that the response adds.
///
/// If `strict`, it is also one that HubSpot takes: its host is a domain and not an IP address, and its scheme is `https` (HubSpot's OAuth
/// guide, `redirect_uri`). A redirect URI that leads to this machine is for development, and is taken as it is: on `localhost`, in
/// `127.0.0.0/8` and on `[::1]`, with `http` or `https` (RFC 8252 §7.3).
///
/// # Errors
/// What is wrong with it, as the end of a sentence about it.
#[doc(hidden)]
pub fn check_redirect_uri(text: &str, strict: bool) -> Result<(), &'static str> {
    let uri: Uri = text.parse().map_err(|_| "is not a URI")?;
    let is_https = match (uri.scheme(), uri.host()) {
        (Some(scheme), Some(_)) if *scheme == Scheme::HTTPS => true,
        (Some(scheme), Some(_)) if *scheme == Scheme::HTTP => false,
        _ => return Err("must begin with https:// or http://"),
    };
    if text.contains('#') {
        return Err("may not have a fragment");
    }
    if has_response_parameter(text) {
        return Err("may not have a parameter `code`, `state` or `error`");
    }
    let host = uri.host().unwrap_or("");
    match strict {
        true if is_this_machine(host) => Ok(()),
        true if is_ip_address(host) => {
            Err("must have a domain and not an IP address, except a loopback address, as HubSpot asks for")
        }
        true if !is_https => {
            Err("must be https except on localhost and loopback addresses, as HubSpot asks for")
        }
        _ => Ok(()),
    }
}

/// Returns whether a host is `localhost` or a loopback address in its usual spelling.
fn is_this_machine(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Returns whether a redirect URI already has a query parameter that the authorization response adds: `code`, `state`
/// or `error`. The app would receive that parameter twice.
pub(crate) fn has_response_parameter(redirect_uri: &str) -> bool {
    let query = redirect_uri.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| matches!(&*name, "code" | "state" | "error"))
}

/// Returns whether a browser takes a host for an IP address. It does so in several spellings, all of which end in a number (URL
/// standard, "ends in a number checker").
fn is_ip_address(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    host.starts_with('[')
        || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
        || last.strip_prefix("0x").or(last.strip_prefix("0X")).is_some_and(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6749 §3.1.2.
    #[test]
    fn a_redirect_uri_is_absolute_and_has_neither_a_fragment_nor_a_parameter_of_the_response() {
        for (uri, expected) in [
            ("/callback", "must begin with"),
            ("localhost:3000/cb", "is not a URI"),
            ("ftp://a.example/cb", "must begin with"),
            ("javascript:alert(1)", "must begin with"),
            ("http://", "is not a URI"),
            ("https://a.example/cb#top", "fragment"),
            ("https://a.example/cb?code=1", "`code`, `state` or `error`"),
            ("https://a.example/cb?a=b&state", "`code`, `state` or `error`"),
        ] {
            for strict in [true, false] {
                let problem = check_redirect_uri(uri, strict).unwrap_err();
                assert!(problem.contains(expected), "{uri}: {problem}");
            }
        }
    }

    /// HubSpot's OAuth guide: `https`, or `http` on localhost; a domain, since IP addresses are not supported. RFC 8252 §7.3: an app on
    /// a desktop listens on a loopback address, which is this machine by any of its names.
    #[test]
    fn hubspot_takes_only_domains_and_only_https_except_on_this_machine() {
        for uri in [
            "https://app.example/cb?x=code",
            "https://app.example:8443/cb",
            "HTTPS://APP.example/cb",
            "https://localhost/cb",
            "http://localhost:3000/oauth/callback",
            "http://LOCALHOST/",
            "https://7.example/cb",
            "https://0x7f.example/",
            "http://127.0.0.1:3000/oauth/callback",
            "http://127.8.0.1/cb",
            "https://127.0.0.1/cb",
            "http://[::1]:3000/cb",
        ] {
            assert_eq!(
                (check_redirect_uri(uri, true), check_redirect_uri(uri, false)),
                (Ok(()), Ok(())),
                "{uri}"
            );
        }
        for (uri, expected) in [
            ("http://192.0.2.7:3000/cb", "not an IP address"),
            ("https://192.0.2.7./cb", "not an IP address"),
            ("http://0.0.0.0:3000/cb", "not an IP address"),
            ("http://[::]:3000/cb", "not an IP address"),
            ("http://[2001:db8::1]/cb", "not an IP address"),
            ("http://127.0.0.1.:3000/cb", "not an IP address"),
            ("http://127.1/cb", "not an IP address"),
            ("https://2130706433/cb", "not an IP address"),
            ("https://0x7f.1/cb", "not an IP address"),
            ("https://a.0x1F/cb", "not an IP address"),
            ("http://app.example/cb", "https except on localhost"),
            ("http://127.0.0.1.example/cb", "https except on localhost"),
            ("http://127.0.0.1@app.example/cb", "https except on localhost"),
            ("http://app.localhost/cb", "https except on localhost"),
            ("http://localhost.evil.example/cb", "https except on localhost"),
            ("http://localhost@app.example/cb", "https except on localhost"),
        ] {
            assert!(check_redirect_uri(uri, true).unwrap_err().contains(expected), "{uri}");
            assert_eq!(check_redirect_uri(uri, false), Ok(()), "{uri}");
        }
    }
}

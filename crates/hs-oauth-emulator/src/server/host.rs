//! Checks for which host a request is, so that a page of another site cannot read what the emulator responds: its site's name
//! can be made to lead to this machine (DNS rebinding).

use hs_oauth_core::ApiError;
use http::header::HOST;
use http::{Request, StatusCode, Version};

use crate::loopback::is_loopback;
use crate::responses::{bad_request, error};

/// Returns an error unless the request is for this machine: for an address of 127.0.0.0/8, for `[::1]`, for `localhost` or for
/// a name under `localhost`, with any port. The address in the request line counts too, if it has one.
///
/// A request of HTTP/1.0 need not say for which host it is. No browser sends one.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Box<ApiError>> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() || (host.is_none() && request.version() >= Version::HTTP_11) {
        // RFC 9112 §3.2.
        return Err(bad_request("a request of HTTP/1.1 needs the header Host, once"));
    }
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    match host.map(|host| host.as_bytes()).into_iter().chain(authority).all(is_loopback) {
        true => Ok(()),
        // RFC 9110 §15.5.20.
        false => Err(error(StatusCode::MISDIRECTED_REQUEST, "invalid_request", "error", MISDIRECTED)),
    }
}

const MISDIRECTED: &str = "the emulator listens on a loopback address, where it takes only requests whose Host is an \
    address of 127.0.0.0/8, [::1], localhost or a name under localhost; use such a URL, or make it listen on another address";

#[cfg(test)]
mod tests {
    use super::*;

    fn status(uri: &str, version: Version, hosts: &[&[u8]]) -> Option<u16> {
        let mut request = Request::builder().uri(uri).version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        check(&request.body(()).unwrap()).err().map(|error| error.status.as_u16())
    }

    #[test]
    fn only_loopback_addresses_and_names_are_accepted_with_or_without_a_port() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:4380",
            "127.0.0.1:",
            "127.255.0.9:1",
            "[::1]",
            "[::1]:4380",
            "[0:0:0:0:0:0:0:1]",
            "localhost",
            "localhost:4380",
            "LocalHost.:4380",
            "app.localhost",
            "my-app.dev_1.localhost:4380",
        ] {
            assert_eq!(status("/", Version::HTTP_11, &[host.as_bytes()]), None, "{host}");
        }
        for host in [
            "",
            ":4380",
            "evil.example",
            "evil.example:4380",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evillocalhost",
            ".localhost",
            "a..localhost",
            "localhost..",
            "evil.example/.localhost",
            "127.0.0.1@evil.example",
            "evil.example@127.0.0.1",
            "localhost:80@evil.example",
            "127.0.0.1, evil.example",
            "localhost:evil",
            "localhost:4380:4380",
            "0.0.0.0",
            "127.1",
            "2130706433",
            "0127.0.0.1",
            "10.0.0.1",
            "::1",
            "[::]",
            "[::2]:4380",
            "[::1",
            "[::1]evil.example",
            "[::1]:x",
            "[::1%25eth0]",
            " localhost",
            "localhost\u{e9}",
        ] {
            assert_eq!(status("/", Version::HTTP_11, &[host.as_bytes()]), Some(421), "{host}");
        }
        assert_eq!(status("/", Version::HTTP_11, &[b"localhost\xff"]), Some(421));
    }

    /// RFC 9112 §3.2 and §3.2.2.
    #[test]
    fn host_is_needed_once_except_in_http_1_0_and_the_address_in_the_request_line_counts_too() {
        let local: &[u8] = b"localhost:4380";
        assert_eq!(status("/", Version::HTTP_10, &[]), None);
        assert_eq!(status("/", Version::HTTP_10, &[b"evil.example"]), Some(421));
        assert_eq!(status("/", Version::HTTP_11, &[]), Some(400));
        assert_eq!(status("/", Version::HTTP_11, &[local, local]), Some(400));
        assert_eq!(status("/", Version::HTTP_10, &[local, b"evil.example"]), Some(400));
        assert_eq!(status("http://127.0.0.1:4380/", Version::HTTP_11, &[local]), None);
        assert_eq!(status("http://evil.example/", Version::HTTP_11, &[local]), Some(421));
        assert_eq!(status("http://127.0.0.1/", Version::HTTP_11, &[b"evil.example"]), Some(421));
        assert_eq!(status("http://evil.example/", Version::HTTP_10, &[]), Some(421));
        assert_eq!(status("http://localhost@evil.example/", Version::HTTP_10, &[]), Some(421));
    }
}

//! The addresses of the host that requests go to.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::Uri;
use http::uri::{Authority, Scheme};
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::unversioned::transport::time::Duration as UreqDuration;

/// Looks a host up as ureq does, and keeps the addresses for [`KEPT_FOR`].
///
/// ureq looks the host up for every request, even where a connection is open, and starts a thread for it if the request has a timeout. That
/// costs twice as much as the request itself. An IP address needs no lookup, and so no thread.
#[derive(Debug, Default)]
pub(crate) struct KeptAddresses<R = DefaultResolver> {
    resolver: R,
    /// A client sends to one host. If it ever sends to another, the other takes its place.
    last: Mutex<Option<Lookup>>,
}

#[derive(Debug)]
struct Lookup {
    scheme: Option<Scheme>,
    authority: Authority,
    addresses: ResolvedSocketAddrs,
    at: Instant,
}

/// Shorter than the lifetime that names of services have, so that a host that moves is found as soon as with a lookup for each request.
const KEPT_FOR: Duration = Duration::from_secs(5);

impl<R: Resolver> Resolver for KeptAddresses<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let Some(authority) = uri.authority() else { return self.resolver.resolve(uri, config, timeout) };
        if let Some(addresses) = self.kept(uri) {
            return Ok(addresses);
        }
        let timeout = match is_ip_address(authority.host()) {
            true => NextTimeout { after: UreqDuration::NotHappening, ..timeout },
            false => timeout,
        };
        let addresses = self.resolver.resolve(uri, config, timeout)?;
        let lookup = Lookup {
            scheme: uri.scheme().cloned(),
            authority: authority.clone(),
            addresses: addresses.clone(),
            at: Instant::now(),
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(lookup);
        Ok(addresses)
    }
}

impl<R> KeptAddresses<R> {
    fn kept(&self, uri: &Uri) -> Option<ResolvedSocketAddrs> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let lookup = last.as_ref()?;
        let is_fresh = lookup.scheme.as_ref() == uri.scheme()
            && Some(&lookup.authority) == uri.authority()
            && lookup.at.elapsed() < KEPT_FOR;
        is_fresh.then(|| lookup.addresses.clone())
    }
}

/// Returns whether `host` of a URL is an IP address. One of version 6 stands in brackets.
fn is_ip_address(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    inner.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts the lookups, and those among them that start a thread.
    #[derive(Debug, Default)]
    struct Counting {
        lookups: AtomicUsize,
        threads: AtomicUsize,
    }

    impl Resolver for Counting {
        fn resolve(
            &self,
            uri: &Uri,
            config: &Config,
            timeout: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, ureq::Error> {
            self.lookups.fetch_add(1, Ordering::Relaxed);
            self.threads.fetch_add(usize::from(!timeout.after.is_not_happening()), Ordering::Relaxed);
            DefaultResolver::default().resolve(uri, config, timeout)
        }
    }

    type Tested = KeptAddresses<Counting>;

    fn resolve(resolver: &Tested, url: &str) -> Result<Vec<String>, ureq::Error> {
        let timeout = NextTimeout { after: UreqDuration::from_secs(60), ..NextTimeout::default() };
        let addresses = resolver.resolve(&url.parse().unwrap(), &Config::default(), timeout)?;
        Ok(addresses.iter().map(ToString::to_string).collect())
    }

    fn lookups(resolver: &Tested) -> (usize, usize) {
        (resolver.resolver.lookups.load(Ordering::Relaxed), resolver.resolver.threads.load(Ordering::Relaxed))
    }

    #[test]
    fn an_ip_address_needs_no_thread() {
        for (url, address) in [
            ("http://127.0.0.1:8080/x", "127.0.0.1:8080"),
            ("https://[::1]/", "[::1]:443"),
            ("http://[::1]:1/", "[::1]:1"),
        ] {
            let resolver = Tested::default();
            assert_eq!(resolve(&resolver, url).unwrap(), [address]);
            assert_eq!(lookups(&resolver), (1, 0));
        }
    }

    #[test]
    fn the_addresses_of_a_host_are_kept_for_a_short_time_and_looked_up_again() {
        let resolver = Tested::default();
        let url = "http://localhost:8080/oauth/2026-09/token";
        let found = resolve(&resolver, url).unwrap();
        // Looked up an hour ahead, so that no time passes between this and the next call.
        resolver.last.lock().unwrap().as_mut().unwrap().at += Duration::from_secs(3600);
        assert_eq!(resolve(&resolver, url).unwrap(), found);
        assert_eq!(lookups(&resolver), (1, 1));
        resolver.last.lock().unwrap().as_mut().unwrap().at = Instant::now().checked_sub(KEPT_FOR).unwrap();
        assert_eq!(resolve(&resolver, url).unwrap(), found);
        assert_eq!(lookups(&resolver), (2, 2));
    }

    #[test]
    fn the_addresses_of_one_host_are_not_used_for_another_nor_for_another_port() {
        let resolver = Tested::default();
        resolve(&resolver, "http://127.0.0.1:8080/").unwrap();
        assert_eq!(resolve(&resolver, "http://127.0.0.1:8081/").unwrap(), ["127.0.0.1:8081"]);
        assert_eq!(resolve(&resolver, "http://127.0.0.2:8081/").unwrap(), ["127.0.0.2:8081"]);
        // The default port of another scheme is another port.
        assert_eq!(resolve(&resolver, "http://127.0.0.1/").unwrap(), ["127.0.0.1:80"]);
        assert_eq!(resolve(&resolver, "https://127.0.0.1/").unwrap(), ["127.0.0.1:443"]);
    }

    #[test]
    fn a_name_that_nobody_has_is_an_error_and_is_not_kept() {
        let resolver = Tested::default();
        assert!(resolve(&resolver, "http://nobody.invalid/").is_err());
        assert!(resolver.last.lock().unwrap().is_none());
    }
}

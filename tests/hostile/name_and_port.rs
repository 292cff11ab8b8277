//! Names without an address, ports on which nobody listens, and addresses from which nothing comes back.

use std::time::Duration;

use hs_oauth_core::CONNECT_TIMEOUT;
use hs_oauth_core::TransportErrorKind::{self, Connect, ConnectTimeout, Resolve, Timeout};

use super::case::Want::{self, Transport};
use super::case::{Case, LATER, case_in};
use super::server::Server;
use super::world::{Other, Side, World, app};
use crate::raw_server::{black_hole, refused_port};

#[test]
fn no_name_no_port_and_no_answer_are_told_apart() {
    super::run(&cases());
}

/// What is tried is elsewhere; the server is for afterwards.
fn elsewhere(
    name: &str,
    base: impl Fn() -> String + Send + Sync + 'static,
    failure: TransportErrorKind,
) -> Case {
    let world = move |side: Side| {
        let server = Server::start(Vec::new());
        let good = side.client(&app(&server.url()));
        World { hostile: side.client(&app(&base())), good, server, tls: None, others: Vec::new() }
    };
    case_in(name, world, Transport(failure), LATER).unsent([0, 0])
}

fn refused(name: &str, base: fn(&str) -> String) -> Case {
    let world = move |side: Side| {
        let server = Server::start(Vec::new());
        let (url, port) = refused_port();
        let good = side.client(&app(&server.url()));
        let others = vec![Other::Refusing(port)];
        World { hostile: side.client(&app(&base(&url))), good, server, tls: None, others }
    };
    case_in(name, world, Transport(Connect), LATER).unsent([0, 0])
}

fn hole(name: &str, connect: Duration, timeout: Duration, want: Want) -> Case {
    let world = move |side: Side| {
        let server = Server::start(Vec::new());
        let (url, full) = black_hole();
        let hostile = side
            .client_with(
                &app(&url),
                |http| http.no_proxy().connect_timeout(connect),
                |http| http.timeout_connect(Some(connect)),
            )
            .timeout(timeout);
        let others = vec![Other::Silent(full)];
        World { hostile, good: side.client(&app(&server.url())), server, tls: None, others }
    };
    case_in(name, world, want, LATER).unsent([0, 0])
}

pub(crate) fn cases() -> Vec<Case> {
    let (short, long) = (Duration::from_millis(400), Duration::from_secs(15));
    vec![
        // RFC 6761 §6.4: such a name is never one.
        elsewhere("a name without an address", || "https://hubspot.invalid".to_owned(), Resolve),
        elsewhere("a name without an address and a port", || "https://a.b.invalid:8443".to_owned(), Resolve),
        elsewhere("a name that is too long", || format!("https://{}.invalid", "a".repeat(64)), Connect)
            .on_blocking(Transport(Resolve), LATER),
        refused("a port on which nobody listens", str::to_owned),
        refused("a port on which nobody listens, by TLS", |url| url.replace("http:", "https:")),
        refused("a port on which nobody listens, by name", |url| url.replace("127.0.0.1", "localhost")),
        hole("a black hole", short, long, Transport(ConnectTimeout)),
        hole("a black hole that the whole exchange has no time for", long, short, Transport(Timeout))
            .on_blocking(Transport(ConnectTimeout), LATER),
        hole(
            "a black hole, with less time for all than to connect",
            CONNECT_TIMEOUT,
            Duration::from_secs(2),
            // reqwest has one connect timeout for every request.
            Transport(Timeout),
        )
        .on_blocking(Transport(ConnectTimeout), LATER),
    ]
}

//! Names without an address, ports on which no server listens, and addresses from which nothing comes back.

use std::time::Duration;

use hs_oauth_core::CONNECT_TIMEOUT;
use hs_oauth_core::TransportErrorKind::{self, Connect, ConnectTimeout, Resolve, Timeout};

use super::case::Want::{self, Transport};
use super::case::{Case, LATER, case_in};
use super::server::Server;
use super::setup::{Other, Setup, TransportKind, app};
use crate::raw_server::{black_hole, refused_port};

#[test]
fn a_missing_name_and_a_closed_port_are_different_errors() {
    super::run(&cases());
}

/// Returns a case in which the client calls another address. The server is there for the good client only.
fn elsewhere(
    name: &str,
    base: impl Fn() -> String + Send + Sync + 'static,
    failure: TransportErrorKind,
) -> Case {
    let setup = move |transport: TransportKind| {
        let server = Server::start(Vec::new());
        let good_client = transport.client(&app(&server.url()));
        Setup { client: transport.client(&app(&base())), good_client, server, tls: None, others: Vec::new() }
    };
    case_in(name, setup, Transport(failure), LATER).unsent([0, 0])
}

fn refused(name: &str, base: fn(&str) -> String) -> Case {
    let setup = move |transport: TransportKind| {
        let server = Server::start(Vec::new());
        let (url, port) = refused_port();
        let good_client = transport.client(&app(&server.url()));
        let others = vec![Other::Refusing(port)];
        Setup { client: transport.client(&app(&base(&url))), good_client, server, tls: None, others }
    };
    case_in(name, setup, Transport(Connect), LATER).unsent([0, 0])
}

fn hole(name: &str, connect: Duration, timeout: Duration, want: Want) -> Case {
    let setup = move |transport: TransportKind| {
        let server = Server::start(Vec::new());
        let (url, full) = black_hole();
        let client = transport
            .client_with(
                &app(&url),
                |http| http.no_proxy().connect_timeout(connect),
                |http| http.timeout_connect(Some(connect)),
            )
            .with_timeout(timeout);
        let others = vec![Other::Silent(full)];
        Setup { client, good_client: transport.client(&app(&server.url())), server, tls: None, others }
    };
    case_in(name, setup, want, LATER).unsent([0, 0]).with_wait()
}

pub(crate) fn cases() -> Vec<Case> {
    let (short, long) = (CONNECT_TIMEOUT / 2, Duration::from_secs(60));
    vec![
        // RFC 6761 §6.4: a name in `.invalid` has no address.
        elsewhere("a name without an address", || "https://hubspot.invalid".to_owned(), Resolve),
        elsewhere("a name without an address and a port", || "https://a.b.invalid:8443".to_owned(), Resolve),
        elsewhere("a name that is too long", || format!("https://{}.invalid", "a".repeat(64)), Connect)
            .on_blocking(Transport(Resolve), LATER),
        refused("a port on which no server listens", str::to_owned),
        refused("a port on which no server listens, by TLS", |url| url.replace("http:", "https:")),
        refused("a port on which no server listens, by name", |url| url.replace("127.0.0.1", "localhost")),
        hole("a black hole", short, long, Transport(ConnectTimeout)),
        hole("a black hole that the whole exchange has no time for", long, short, Transport(Timeout))
            .on_blocking(Transport(ConnectTimeout), LATER),
        hole(
            "a black hole, with less time for all than to connect",
            CONNECT_TIMEOUT,
            short,
            // reqwest has the same connect timeout for every request.
            Transport(Timeout),
        )
        .on_blocking(Transport(ConnectTimeout), LATER),
    ]
}

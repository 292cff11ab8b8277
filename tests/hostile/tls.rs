//! TLS with a certificate that is not trusted, TLS that is too old, and servers that speak no TLS: no secret is sent to them. And
//! TLS that is trusted.

use std::sync::Arc;

use hs_oauth_core::Problem::Truncated;
use hs_oauth_core::TransportErrorKind::{Connect, ConnectTimeout, Interrupted, NotTls, Timeout, Tls};
use hs_oauth_core::{App, NextStep, TIMEOUT};
use rustls::ServerConfig;

use super::case::Want::{self, ErrorResponse, RescuedTokens, Tokens, Transport};
use super::case::{Case, FIX, LATER, case_in, connect_limit};
use super::certificates::{TRUSTED, UNKNOWN, expired, for_clients_only, not_yet_valid, self_signed};
use super::server::{Act, Script, Server};
use super::setup::{NEW, Other, Setup, TransportKind, app, respond_with, response, token_response};
use crate::both::Client;

pub(crate) const HERE: &str = "127.0.0.1";

#[test]
fn a_server_with_a_bad_certificate_gets_no_secret() {
    super::run(&certificates());
}

/// RFC 8996: TLS 1.0 and 1.1 must not be used.
#[test]
fn a_server_with_old_tls_or_none_gets_no_secret() {
    super::run(&handshakes());
}

#[test]
fn the_rules_for_responses_hold_over_trusted_tls_too() {
    super::run(&sessions());
}

pub(crate) fn cases() -> Vec<Case> {
    [certificates(), handshakes(), sessions()].into_iter().flatten().collect()
}

/// Returns a client that trusts the tests' authority.
pub(crate) fn trusting(transport: TransportKind, app: &App) -> Client {
    transport.client_with(
        app,
        |http| http.no_proxy().add_root_certificate(reqwest::Certificate::from_der(&TRUSTED.der).unwrap()),
        |http| http.proxy(None).tls_config(trust()),
    )
}

pub(crate) fn trust() -> ureq::tls::TlsConfig {
    let root = ureq::tls::Certificate::from_der(&TRUSTED.der).to_owned();
    ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::new_with_certs(&[root])).build()
}

fn https(server: &Server, host: &str) -> App {
    app(&format!("https://{host}:{}", server.address.port()))
}

/// Returns a server with `tls`, or without TLS. When it behaves again it has a good certificate.
fn setup(
    transport: TransportKind,
    script: Script,
    tls: Option<Arc<ServerConfig>>,
    client: impl FnOnce(&App) -> Client,
    host: &str,
) -> Setup {
    let server = Server::start_tls(script, tls);
    let app = https(&server, host);
    let good_client = trusting(transport, &app);
    Setup { client: client(&app), good_client, server, tls: Some(TRUSTED.server(host)), others: Vec::new() }
}

fn refused(name: &str, tls: impl Fn() -> Arc<ServerConfig> + Send + Sync + 'static) -> Case {
    let script = || respond_with(response(200, "", token_response()));
    let setup = move |transport: TransportKind| {
        setup(transport, script(), Some(tls()), |app| trusting(transport, app), HERE)
    };
    case_in(name, setup, Transport(Tls), LATER).with_requests(0)
}

fn certificates() -> Vec<Case> {
    let by_default = |name: &str, tls: fn() -> Arc<ServerConfig>| {
        let script = || respond_with(response(200, "", token_response()));
        let setup = move |transport: TransportKind| {
            setup(transport, script(), Some(tls()), |app| transport.client(app), HERE)
        };
        case_in(name, setup, Transport(Tls), LATER).with_requests(0)
    };
    vec![
        by_default("a certificate without an authority", || self_signed(HERE)),
        by_default("a certificate of an authority that the system does not know", || TRUSTED.server(HERE)),
        refused("a certificate without an authority, where one is trusted", || self_signed(HERE)),
        refused("a certificate of another authority", || UNKNOWN.server(HERE)),
        refused("a certificate for another name", || TRUSTED.server("api.hubapi.com")),
        refused("a certificate for another address", || TRUSTED.server("127.0.0.2")),
        refused("a certificate for a name like an address", || TRUSTED.server("127.0.0.1.example.com")),
        refused("a certificate for all names", || TRUSTED.server("*.0.0.1")),
        refused("a certificate that is over", || TRUSTED.server_with(HERE, expired)),
        refused("a certificate of the future", || TRUSTED.server_with(HERE, not_yet_valid)),
        refused("a certificate for clients", || TRUSTED.server_with(HERE, for_clients_only)),
        refused("a certificate that was signed by a server", || TRUSTED.server_of_a_server(HERE)),
    ]
}

fn handshakes() -> Vec<Case> {
    let after = |name: &str, script: Script, want: Want| {
        let waits = want == Transport(Timeout);
        let setup = move |transport: TransportKind| {
            let timeout = if waits { connect_limit(transport) } else { TIMEOUT };
            setup(transport, script.clone(), None, |app| trusting(transport, app).with_timeout(timeout), HERE)
        };
        case_in(name, setup, want, LATER).with_requests(0)
    };
    let says = |name: &str, said: &[u8]| {
        after(name, vec![Act::Peek, Act::Send(said.to_vec()), Act::Stall], Transport(Tls))
    };
    // Whoever speaks no TLS at all is the wrong server or the wrong port, which no second try mends.
    let says_without_tls = |name: &str, said: &[u8]| {
        let script = vec![Act::Peek, Act::Send(said.to_vec()), Act::Stall];
        let setup = move |transport: TransportKind| {
            setup(transport, script.clone(), None, |app| trusting(transport, app).with_timeout(TIMEOUT), HERE)
        };
        case_in(name, setup, Transport(NotTls), FIX).with_requests(0)
    };
    vec![
        says("a hello of TLS 1.0", &hello([3, 1])),
        says("a hello of TLS 1.1", &hello([3, 2])),
        says("a hello of SSL 3", &hello([3, 0])),
        says("an alert that the version is not spoken", b"\x15\x03\x01\x00\x02\x02\x46"),
        says("an alert that the handshake failed", b"\x15\x03\x03\x00\x02\x02\x28"),
        says("an alert that the name is not known", b"\x15\x03\x03\x00\x02\x02\x70"),
        says_without_tls("a response in the clear", &response(200, "", token_response())),
        says_without_tls(
            "an error response in the clear",
            &response(400, "", "plain HTTP was sent to an HTTPS port"),
        ),
        says_without_tls("a redirect in the clear", &response(301, "location: http://127.0.0.1:1/\r\n", "")),
        says_without_tls("noise in place of a hello", &[0xaa; 600]),
        says("a record that is too long", &[22, 3, 3, 0xff, 0xff, 2, 0, 0, 0]),
        after("silence after the hello", vec![Act::Peek, Act::Stall], Transport(Timeout))
            .with_connections([1, 1], [1, 3])
            .on_blocking(Transport(ConnectTimeout), LATER)
            .with_wait(),
        after("an end after the hello", vec![Act::Peek], Transport(Connect))
            .with_connections([1, 1], [3, 1])
            .on_blocking(Transport(Interrupted), LATER),
        after("a reset after the hello", vec![Act::Peek, Act::Reset], Transport(Connect))
            .with_connections([1, 1], [3, 1])
            .on_blocking(Transport(Interrupted), LATER),
    ]
}

/// Returns a whole ServerHello of this version, with a cipher that every version knew: AES-128 in CBC mode.
fn hello([major, minor]: [u8; 2]) -> Vec<u8> {
    let mut bytes = vec![22, major, minor, 0, 42, 2, 0, 0, 38, major, minor];
    bytes.extend([7; 32]);
    bytes.extend([0, 0, 0x2f, 0]);
    bytes
}

fn by(name: &str, host: &'static str, script: Script, want: Want, next: impl Into<Option<NextStep>>) -> Case {
    let setup = move |transport: TransportKind| {
        let tls = Some(TRUSTED.server(host));
        setup(transport, script.clone(), tls, |app| trusting(transport, app), host)
    };
    case_in(name, setup, want, next)
}

fn sessions() -> Vec<Case> {
    let until_close = format!("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n{}", token_response());
    let redirected = |status: u16| {
        let setup = move |transport: TransportKind| {
            let elsewhere = Server::start(respond_with(response(200, "", token_response())));
            let script = respond_with(response(status, &format!("location: {}/\r\n", elsewhere.url()), ""));
            let tls = Some(TRUSTED.server(HERE));
            let setup = setup(transport, script, tls, |app| trusting(transport, app), HERE);
            Setup { others: vec![Other::Untouched(elsewhere)], ..setup }
        };
        case_in(format!("a {status} from https to http"), setup, ErrorResponse(status), FIX)
    };
    let whole = respond_with(response(200, "", token_response()));
    vec![
        by("a response by TLS that is trusted", HERE, whole.clone(), Tokens, None),
        by("a response by TLS that is trusted by name", "localhost", whole, Tokens, None),
        by("an error response by TLS", HERE, respond_with(response(403, "", "")), ErrorResponse(403), FIX),
        by(
            "an end of the session where the response is due",
            HERE,
            vec![Act::Read],
            Transport(Interrupted),
            LATER,
        ),
        by("a reset in the session", HERE, vec![Act::Read, Act::Reset], Transport(Interrupted), LATER),
        // RFC 8446 §6.1: without a closing alert, an attacker may have cut the session.
        by(
            "a body that ends with the session, without a closing alert",
            HERE,
            respond_with(until_close),
            RescuedTokens(vec![Truncated], NEW),
            LATER,
        )
        // ureq takes the cut for the end. JSON shows by itself whether it is whole.
        .on_blocking(Tokens, None),
        by(
            "a length that the session does not reach",
            HERE,
            respond_with(format!("HTTP/1.1 200 X\r\ncontent-length: 999\r\n\r\n{}", token_response())),
            RescuedTokens(vec![Truncated], NEW),
            LATER,
        ),
        redirected(301),
        redirected(302),
        redirected(307),
        redirected(308),
    ]
}

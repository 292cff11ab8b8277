//! TLS that cannot be trusted, that is too old, or that is none: the secret stays here. And TLS that can be trusted.

use std::sync::Arc;
use std::time::Duration;

use hs_oauth_core::Problem::Truncated;
use hs_oauth_core::TransportErrorKind::{Connect, ConnectTimeout, Interrupted, Timeout, Tls};
use hs_oauth_core::{App, NextStep, TIMEOUT};
use rustls::ServerConfig;

use super::case::Want::{self, Refusal, RescuedTokens, Tokens, Transport};
use super::case::{Case, FIX, LATER, case_in};
use super::certificates::{TRUSTED, UNKNOWN, expired, for_clients_only, not_yet_valid, self_signed};
use super::server::{Act, Script, Server};
use super::world::{NEW, Other, Side, World, answer, app, say, tokens};
use crate::both::Client;

pub(crate) const HERE: &str = "127.0.0.1";

#[test]
fn a_certificate_that_is_not_to_be_trusted_is_not() {
    super::run(&certificates());
}

/// RFC 8996: TLS 1.0 and 1.1 must not be used.
#[test]
fn what_is_no_tls_or_too_old_gets_no_secret() {
    super::run(&handshakes());
}

#[test]
fn a_session_that_is_trusted_is_held_to_the_same_rules() {
    super::run(&sessions());
}

pub(crate) fn cases() -> Vec<Case> {
    [certificates(), handshakes(), sessions()].into_iter().flatten().collect()
}

/// A client that trusts the tests' authority.
pub(crate) fn trusting(side: Side, app: &App) -> Client {
    side.client_with(
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

/// A server that shows what `tls` makes, or speaks no TLS; it behaves once it has a good certificate.
fn world(
    side: Side,
    script: Script,
    tls: Option<Arc<ServerConfig>>,
    client: impl FnOnce(&App) -> Client,
    host: &str,
) -> World {
    let server = Server::start_tls(script, tls);
    let app = https(&server, host);
    let good = trusting(side, &app);
    World { hostile: client(&app), good, server, tls: Some(TRUSTED.server(host)), others: Vec::new() }
}

fn refused(name: &str, tls: impl Fn() -> Arc<ServerConfig> + Send + Sync + 'static) -> Case {
    let script = || say(answer(200, "", tokens()));
    let world = move |side: Side| world(side, script(), Some(tls()), |app| trusting(side, app), HERE);
    case_in(name, world, Transport(Tls), LATER).requests(0)
}

fn certificates() -> Vec<Case> {
    let by_default = |name: &str, tls: fn() -> Arc<ServerConfig>| {
        let script = || say(answer(200, "", tokens()));
        let world = move |side: Side| world(side, script(), Some(tls()), |app| side.client(app), HERE);
        case_in(name, world, Transport(Tls), LATER).requests(0)
    };
    vec![
        by_default("a certificate of nobody's", || self_signed(HERE)),
        by_default("a certificate of an authority that the system does not know", || TRUSTED.server(HERE)),
        refused("a certificate of nobody's, where another is trusted", || self_signed(HERE)),
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
        let timeout = if want == Transport(Timeout) { Duration::from_secs(1) } else { TIMEOUT };
        let world = move |side: Side| {
            world(side, script.clone(), None, |app| trusting(side, app).timeout(timeout), HERE)
        };
        case_in(name, world, want, LATER).requests(0)
    };
    let says = |name: &str, said: &[u8]| {
        after(name, vec![Act::Peek, Act::Say(said.to_vec()), Act::Stall], Transport(Tls))
    };
    vec![
        says("a hello of TLS 1.0", &hello([3, 1])),
        says("a hello of TLS 1.1", &hello([3, 2])),
        says("a hello of SSL 3", &hello([3, 0])),
        says("an alert that the version is not spoken", b"\x15\x03\x01\x00\x02\x02\x46"),
        says("an alert that the handshake failed", b"\x15\x03\x03\x00\x02\x02\x28"),
        says("an alert that the name is not known", b"\x15\x03\x03\x00\x02\x02\x70"),
        says("an answer in the clear", &answer(200, "", tokens())),
        says("a refusal in the clear", &answer(400, "", "plain HTTP was sent to an HTTPS port")),
        says("a redirect in the clear", &answer(301, "location: http://127.0.0.1:1/\r\n", "")),
        says("noise in place of a hello", &[0xaa; 600]),
        says("a record that is too long", &[22, 3, 3, 0xff, 0xff, 2, 0, 0, 0]),
        after("silence after the hello", vec![Act::Peek, Act::Stall], Transport(Timeout))
            .connections([1, 1], [1, 3])
            .on_blocking(Transport(ConnectTimeout), LATER),
        after("an end after the hello", vec![Act::Peek], Transport(Connect))
            .connections([1, 1], [3, 1])
            .on_blocking(Transport(Interrupted), LATER),
        after("a reset after the hello", vec![Act::Peek, Act::Reset], Transport(Connect))
            .connections([1, 1], [3, 1])
            .on_blocking(Transport(Interrupted), LATER),
    ]
}

/// A whole ServerHello of such a version, with a cipher that every version knew: AES-128 in CBC mode.
fn hello([major, minor]: [u8; 2]) -> Vec<u8> {
    let mut bytes = vec![22, major, minor, 0, 42, 2, 0, 0, 38, major, minor];
    bytes.extend([7; 32]);
    bytes.extend([0, 0, 0x2f, 0]);
    bytes
}

fn by(name: &str, host: &'static str, script: Script, want: Want, next: impl Into<Option<NextStep>>) -> Case {
    let world = move |side: Side| {
        let tls = Some(TRUSTED.server(host));
        world(side, script.clone(), tls, |app| trusting(side, app), host)
    };
    case_in(name, world, want, next)
}

fn sessions() -> Vec<Case> {
    let until_close = format!("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n{}", tokens());
    let redirected = |status: u16| {
        let world = move |side: Side| {
            let elsewhere = Server::start(say(answer(200, "", tokens())));
            let script = say(answer(status, &format!("location: {}/\r\n", elsewhere.url()), ""));
            let tls = Some(TRUSTED.server(HERE));
            let world = world(side, script, tls, |app| trusting(side, app), HERE);
            World { others: vec![Other::Untouched(elsewhere)], ..world }
        };
        case_in(format!("a {status} from https to http"), world, Refusal(status), FIX)
    };
    let whole = say(answer(200, "", tokens()));
    vec![
        by("an answer by TLS that is trusted", HERE, whole.clone(), Tokens, None),
        by("an answer by TLS that is trusted by name", "localhost", whole, Tokens, None),
        by("a refusal by TLS", HERE, say(answer(403, "", "")), Refusal(403), FIX),
        by(
            "an end of the session where the answer is due",
            HERE,
            vec![Act::Read],
            Transport(Interrupted),
            LATER,
        ),
        by("a reset in the session", HERE, vec![Act::Read, Act::Reset], Transport(Interrupted), LATER),
        // RFC 8446 §6.1: without a closing alert the end may be somebody else's.
        by(
            "a body that should end with the session, which nobody ended",
            HERE,
            say(until_close),
            RescuedTokens(vec![Cut], NEW),
            LATER,
        )
        // ureq takes it for the end; JSON says itself where it ends.
        .on_blocking(Tokens, None),
        by(
            "a length that the session does not reach",
            HERE,
            say(format!("HTTP/1.1 200 X\r\ncontent-length: 999\r\n\r\n{}", tokens())),
            RescuedTokens(vec![Cut], NEW),
            LATER,
        ),
        redirected(301),
        redirected(302),
        redirected(307),
        redirected(308),
    ]
}

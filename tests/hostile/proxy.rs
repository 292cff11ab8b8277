//! A proxy in between: one that only carries, one that looks inside, and those that do not do their work. It learns a host
//! and a port, and nothing else.

use std::time::Duration;

use hs_oauth_core::TransportErrorKind::{self, Connect, ConnectTimeout, Interrupted, Resolve, Timeout, Tls};
use hs_oauth_core::{App, Error, TIMEOUT};

use super::case::Want::{self, Tokens, Transport};
use super::case::{Case, LATER, case_in};
use super::certificates::{TRUSTED, UNKNOWN, self_signed};
use super::server::{Act, Script, Server};
use super::tls::{HERE, trust, trusting};
use super::world::{Other, Side, World, answer, app, exchange, say, tokens};
use crate::both::Client;
use crate::manager::scene::wait_until;
use crate::raw_server::refused_port;

#[test]
fn a_proxy_sees_no_secret_whatever_it_does() {
    super::run(&cases());
}

/// A refresh token that is sent once nobody waits for what replaces it would be lost.
#[test]
fn a_proxy_that_agrees_when_the_call_is_over_has_nothing_to_carry() {
    let server = Server::start_tls(say(answer(200, "", tokens())), Some(TRUSTED.server(HERE)));
    let app = app(&format!("https://{HERE}:{}", server.address.port()));
    let proxy = Server::start(vec![Act::Read, Act::Drip(GO_ON.into(), BYTE), Act::Tunnel(server.address)]);
    let client = through(Side::Blocking, &app, &proxy.url()).timeout(Duration::from_secs(1));

    let error = client.call(&exchange()).unwrap_err();
    assert!(matches!(&error, Error::Transport(error) if error.kind() == Timeout), "{error:?}");
    wait_until(|| proxy.ended() == 1 && server.ended() == 1);
    assert_eq!((server.requests(), server.connections()), (Vec::new(), 1));
}

#[test]
fn a_thread_that_cannot_be_started_is_an_error() {
    let name = "hostile::proxy::a_thread_that_cannot_be_started_is_an_error";
    const STACK: &str = "RUST_MIN_STACK";
    const TOO_MUCH: &str = "1152921504606846976";
    if std::env::var(STACK).is_ok_and(|stack| stack == TOO_MUCH) {
        let app = app("https://127.0.0.1:9");
        let error = through(Side::Blocking, &app, "http://127.0.0.1:9").call(&exchange()).unwrap_err();
        assert!(
            matches!(&error, Error::Transport(error) if error.kind() == TransportErrorKind::Client),
            "{error:?}"
        );
        return;
    }
    // It is the whole process's, so this test runs itself in one of its own, on that one's only thread.
    let itself = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--test-threads=1"])
        .env(STACK, TOO_MUCH)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&itself.stdout);
    assert!(itself.status.success() && told.contains("1 passed"), "{told}");
}

/// Clients go through the proxy, and trust the tests' authority.
fn through(side: Side, app: &App, proxy: &str) -> Client {
    side.client_with(
        app,
        |http| {
            let http = http.proxy(reqwest::Proxy::all(proxy).unwrap());
            http.add_root_certificate(reqwest::Certificate::from_der(&TRUSTED.der).unwrap())
        },
        |http| http.proxy(Some(ureq::Proxy::new(proxy).unwrap())).tls_config(trust()),
    )
}

/// `proxy` is what the proxy does, given the server that is meant.
fn case(
    name: &str,
    proxy: impl Fn(&Server) -> (Script, Vec<Other>) + Send + Sync + 'static,
    want: Want,
) -> Case {
    let world = move |side: Side| {
        let tls = TRUSTED.server(HERE);
        let server = Server::start_tls(say(answer(200, "", tokens())), Some(tls.clone()));
        let app = app(&format!("https://{HERE}:{}", server.address.port()));
        let (script, mut others) = proxy(&server);
        let is_endless = script.iter().any(|act| matches!(act, Act::Stall | Act::Drip(..)));
        let timeout = if is_endless { Duration::from_secs(1) } else { TIMEOUT };
        let proxy = Server::start(script);
        let hostile = through(side, &app, &proxy.url()).timeout(timeout);
        others.push(Other::Blind(proxy));
        World { hostile, good: trusting(side, &app), server, tls: Some(tls), others }
    };
    case_in(name, world, want, LATER)
}

/// It never gets as far as the server.
fn stuck(name: &str, script: Script, want: Want) -> Case {
    case(name, move |_| (script.clone(), Vec::new()), want).unsent([0, 0])
}

const GO_ON: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

fn carries(to: &Server) -> Script {
    vec![Act::Read, Act::Say(GO_ON.to_vec()), Act::Tunnel(to.address)]
}

/// It would go on for half a minute.
fn drips() -> Script {
    let answer = format!("HTTP/1.1 200 Connection established\r\nvia: {}", "x".repeat(600));
    vec![Act::Read, Act::Drip(answer.into_bytes(), BYTE)]
}

/// The time between two bytes.
const BYTE: Duration = Duration::from_millis(50);

pub(crate) fn cases() -> Vec<Case> {
    let looks_inside = |tls: fn() -> std::sync::Arc<rustls::ServerConfig>| {
        move |_: &Server| {
            let inside = Server::start_tls(say(answer(200, "", tokens())), Some(tls()));
            (carries(&inside), vec![Other::Blind(inside)])
        }
    };
    let elsewhere = |_: &Server| {
        let elsewhere = Server::start(say(answer(200, "", tokens())));
        let location = format!("location: {}/\r\n", elsewhere.url());
        (say(answer(302, &location, "")), vec![Other::Untouched(elsewhere)])
    };
    let nowhere = |name: &str, proxy: Option<&'static str>, want: Want| {
        let world = move |side: Side| {
            let tls = TRUSTED.server(HERE);
            let server = Server::start_tls(Vec::new(), Some(tls.clone()));
            let app = app(&format!("https://{HERE}:{}", server.address.port()));
            let (url, port) = refused_port();
            let hostile = through(side, &app, proxy.unwrap_or(&url));
            let others = vec![Other::Refusing(port)];
            World { hostile, good: trusting(side, &app), server, tls: Some(tls), others }
        };
        case_in(name, world, want, LATER).unsent([0, 0])
    };
    vec![
        case("a proxy that only carries", |server| (carries(server), Vec::new()), Tokens),
        case(
            "a proxy that looks inside, by an authority of its own",
            looks_inside(|| UNKNOWN.server(HERE)),
            Transport(Tls),
        )
        .unsent([0, 0]),
        case(
            "a proxy that looks inside, by nobody's authority",
            looks_inside(|| self_signed(HERE)),
            Transport(Tls),
        )
        .unsent([0, 0]),
        case(
            "a proxy that leads to another server of the same authority",
            looks_inside(|| TRUSTED.server("localhost")),
            Transport(Tls),
        )
        .unsent([0, 0]),
        case("a proxy that sends elsewhere", elsewhere, Transport(Connect)).unsent([0, 0]),
        stuck(
            "a proxy that wants a password",
            say(answer(407, "proxy-authenticate: Basic realm=\"x\"\r\n", "")),
            Transport(Connect),
        ),
        stuck("a proxy that forbids it", say(answer(403, "", "no")), Transport(Connect)),
        stuck("a proxy that cannot reach the server", say(answer(502, "", "<html>")), Transport(Connect)),
        stuck("a proxy that is too slow itself", say(answer(504, "", "")), Transport(Connect)),
        stuck("a proxy that speaks TLS only", say(b"\x15\x03\x03\x00\x02\x02\x46"), Transport(Connect))
            .on_blocking(Transport(Interrupted), LATER),
        stuck("a proxy that ends before it answers", vec![Act::Read], Transport(Connect)),
        stuck("a proxy that resets", vec![Act::Read, Act::Reset], Transport(Connect))
            .on_blocking(Transport(Interrupted), LATER),
        stuck("a proxy that ends once it has agreed", say(GO_ON), Transport(Connect))
            .on_blocking(Transport(Interrupted), LATER),
        stuck(
            "a proxy that answers in the server's place",
            vec![Act::Read, Act::Say([GO_ON, &answer(200, "", tokens())].concat()), Act::Stall],
            Transport(Timeout),
        )
        .on_blocking(Transport(Tls), LATER),
        stuck("a proxy that says nothing", vec![Act::Read, Act::Stall], Transport(Timeout))
            .on_blocking(Transport(ConnectTimeout), LATER),
        stuck(
            "a proxy that agrees and says nothing",
            vec![Act::Read, Act::Say(GO_ON.into()), Act::Stall],
            Transport(Timeout),
        )
        .on_blocking(Transport(ConnectTimeout), LATER),
        stuck("a proxy that agrees a byte at a time", drips(), Transport(Timeout)),
        nowhere("a proxy on a port on which nobody listens", None, Transport(Connect)),
        nowhere("a proxy without an address", Some("http://proxy.invalid:3128"), Transport(Resolve)),
    ]
}

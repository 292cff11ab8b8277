//! Proxies: one that only forwards, some that open the TLS session, and some that fail. A proxy must learn the host and the port,
//! and nothing else.

use std::time::Duration;

use hs_oauth_core::TransportErrorKind::{
    self, Connect, ConnectTimeout, Interrupted, NotTls, Resolve, Timeout, Tls,
};
use hs_oauth_core::{App, Error, RetryPolicy, TIMEOUT};

use super::case::Want::{self, Tokens, Transport};
use super::case::{Case, FIX, LATER, case_in, connect_limit};
use super::certificates::{TRUSTED, UNKNOWN, self_signed};
use super::server::{Act, Script, Server};
use super::setup::{Other, Setup, TransportKind, app, exchange, respond_with, response, token_response};
use super::tls::{HERE, trust, trusting};
use crate::both::Client;
use crate::raw_server::refused_port;
use crate::wait::wait_until;

#[test]
fn a_proxy_sees_no_secret_whatever_it_does() {
    super::run(&cases());
}

/// A refresh token that is sent when no caller waits any more would be lost with its replacement.
#[test]
fn a_proxy_that_connects_after_the_call_is_over_is_sent_no_request() {
    // The call's thread goes on without the caller until the proxy is silent for half of the call's time. On a slow machine that
    // may be before the proxy has connected, which proves nothing. Then the call is made again with more time.
    let has_connected = [1, 2, 4, 8, 16].into_iter().any(|seconds| {
        let limit = Duration::from_secs(seconds);
        let server =
            Server::start_tls(respond_with(response(200, "", token_response())), Some(TRUSTED.server(HERE)));
        let app = app(&format!("https://{HERE}:{}", server.address.port()));
        let connected = Act::SendSlowly(CONNECTED.into(), limit * 2 / CONNECTED.len() as u32);
        let proxy = Server::start(vec![Act::Read, connected, Act::Tunnel(server.address)]);
        let client = through(TransportKind::Blocking, &app, &proxy.url()).with_timeout(limit);

        let error = client.with_retry_policy(RetryPolicy::NEVER).call(&exchange()).unwrap_err();
        if !matches!(&error, Error::Transport(error) if error.kind() == Timeout) {
            assert!(matches!(&error, Error::Transport(error) if error.kind() == ConnectTimeout), "{error:?}");
            return false;
        }
        wait_until(|| proxy.ended() == 1);
        if proxy.has_tunneled() {
            wait_until(|| server.ended() == 1);
            assert_eq!((server.requests(), server.connections()), (Vec::new(), 1));
        }
        proxy.has_tunneled()
    });
    assert!(has_connected, "the proxy never connected to the server");
}

#[test]
fn a_thread_that_cannot_be_started_is_an_error() {
    let name = "hostile::proxy::a_thread_that_cannot_be_started_is_an_error";
    const STACK: &str = "RUST_MIN_STACK";
    const TOO_MUCH: &str = "1152921504606846976";
    if std::env::var(STACK).is_ok_and(|stack| stack == TOO_MUCH) {
        let app = app("https://127.0.0.1:9");
        let error =
            through(TransportKind::Blocking, &app, "http://127.0.0.1:9").call(&exchange()).unwrap_err();
        assert!(
            matches!(&error, Error::Transport(error) if error.kind() == TransportErrorKind::Client),
            "{error:?}"
        );
        return;
    }
    // The environment belongs to the whole process, so this test runs itself again in a process of its own with one thread.
    let itself = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--test-threads=1"])
        .env(STACK, TOO_MUCH)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&itself.stdout);
    assert!(itself.status.success() && output.contains("1 passed"), "{output}");
}

/// Returns a client that goes through the proxy and trusts the tests' authority.
fn through(transport: TransportKind, app: &App, proxy: &str) -> Client {
    transport.client_with(
        app,
        |http| {
            let http = http.proxy(reqwest::Proxy::all(proxy).unwrap());
            http.add_root_certificate(reqwest::Certificate::from_der(&TRUSTED.der).unwrap())
        },
        |http| http.proxy(Some(ureq::Proxy::new(proxy).unwrap())).tls_config(trust()),
    )
}

/// Returns a case with a proxy. `proxy` makes its script, given the server that the client calls.
fn case(
    name: &str,
    proxy: impl Fn(&Server) -> (Script, Vec<Other>) + Send + Sync + 'static,
    want: Want,
) -> Case {
    let setup = move |transport: TransportKind| {
        let tls = TRUSTED.server(HERE);
        let server = Server::start_tls(respond_with(response(200, "", token_response())), Some(tls.clone()));
        let app = app(&format!("https://{HERE}:{}", server.address.port()));
        let (script, mut others) = proxy(&server);
        let waits = script.iter().any(|act| matches!(act, Act::Stall | Act::SendSlowly(..)));
        let proxy = Server::start(script);
        let client = through(transport, &app, &proxy.url()).with_timeout(if waits {
            connect_limit(transport)
        } else {
            TIMEOUT
        });
        others.push(Other::Blind(proxy));
        Setup { client, good_client: trusting(transport, &app), server, tls: Some(tls), others }
    };
    case_in(name, setup, want, LATER)
}

/// Returns a case in which the request does not reach the server.
fn stuck(name: &str, script: Script, want: Want) -> Case {
    let waits = want == Transport(Timeout);
    let case = case(name, move |_| (script.clone(), Vec::new()), want).unsent([0, 0]);
    if waits { case.with_wait() } else { case }
}

const CONNECTED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

fn forwards(to: &Server) -> Script {
    vec![Act::Read, Act::Send(CONNECTED.to_vec()), Act::Tunnel(to.address)]
}

/// Returns a script that takes half a minute.
fn slow_response() -> Script {
    let response = format!("HTTP/1.1 200 Connection established\r\nvia: {}", "x".repeat(600));
    vec![Act::Read, Act::SendSlowly(response.into_bytes(), BYTE)]
}

/// The time between two bytes.
const BYTE: Duration = Duration::from_millis(50);

pub(crate) fn cases() -> Vec<Case> {
    let opens_session = |tls: fn() -> std::sync::Arc<rustls::ServerConfig>| {
        move |_: &Server| {
            let inside = Server::start_tls(respond_with(response(200, "", token_response())), Some(tls()));
            (forwards(&inside), vec![Other::Blind(inside)])
        }
    };
    let elsewhere = |_: &Server| {
        let elsewhere = Server::start(respond_with(response(200, "", token_response())));
        let location = format!("location: {}/\r\n", elsewhere.url());
        (respond_with(response(302, &location, "")), vec![Other::Untouched(elsewhere)])
    };
    let nowhere = |name: &str, proxy: Option<&'static str>, want: Want| {
        let setup = move |transport: TransportKind| {
            let tls = TRUSTED.server(HERE);
            let server = Server::start_tls(Vec::new(), Some(tls.clone()));
            let app = app(&format!("https://{HERE}:{}", server.address.port()));
            let (url, port) = refused_port();
            let client = through(transport, &app, proxy.unwrap_or(&url));
            let others = vec![Other::Refusing(port)];
            Setup { client, good_client: trusting(transport, &app), server, tls: Some(tls), others }
        };
        case_in(name, setup, want, LATER).unsent([0, 0])
    };
    vec![
        case("a proxy that only forwards", |server| (forwards(server), Vec::new()), Tokens),
        case(
            "a proxy that opens the session, with an authority of its own",
            opens_session(|| UNKNOWN.server(HERE)),
            Transport(Tls),
        )
        .unsent([0, 0]),
        case(
            "a proxy that opens the session, without an authority",
            opens_session(|| self_signed(HERE)),
            Transport(Tls),
        )
        .unsent([0, 0]),
        case(
            "a proxy that leads to another server of the same authority",
            opens_session(|| TRUSTED.server("localhost")),
            Transport(Tls),
        )
        .unsent([0, 0]),
        case("a proxy that sends elsewhere", elsewhere, Transport(Connect)).unsent([0, 0]),
        stuck(
            "a proxy that wants a password",
            respond_with(response(407, "proxy-authenticate: Basic realm=\"x\"\r\n", "")),
            Transport(Connect),
        ),
        stuck("a proxy that forbids it", respond_with(response(403, "", "no")), Transport(Connect)),
        stuck(
            "a proxy that cannot reach the server",
            respond_with(response(502, "", "<html>")),
            Transport(Connect),
        ),
        stuck("a proxy that is too slow itself", respond_with(response(504, "", "")), Transport(Connect)),
        stuck(
            "a proxy that speaks TLS only",
            respond_with(b"\x15\x03\x03\x00\x02\x02\x46"),
            Transport(Connect),
        )
        .on_blocking(Transport(Interrupted), LATER),
        stuck("a proxy that ends before it responds", vec![Act::Read], Transport(Connect)),
        stuck("a proxy that resets", vec![Act::Read, Act::Reset], Transport(Connect))
            .on_blocking(Transport(Interrupted), LATER),
        stuck("a proxy that ends once it has connected", respond_with(CONNECTED), Transport(Connect))
            .on_blocking(Transport(Interrupted), LATER),
        stuck(
            "a proxy that responds in the server's place",
            vec![
                Act::Read,
                Act::Send([CONNECTED, &response(200, "", token_response())].concat()),
                Act::Stall,
            ],
            Transport(Timeout),
        )
        .on_blocking(Transport(NotTls), FIX),
        stuck("a proxy that says nothing", vec![Act::Read, Act::Stall], Transport(Timeout))
            .on_blocking(Transport(ConnectTimeout), LATER),
        stuck(
            "a proxy that connects and then says nothing",
            vec![Act::Read, Act::Send(CONNECTED.into()), Act::Stall],
            Transport(Timeout),
        )
        .on_blocking(Transport(ConnectTimeout), LATER),
        stuck(
            "a proxy that says a byte at a time that it has connected",
            slow_response(),
            Transport(Timeout),
        ),
        nowhere("a proxy on a port on which no server listens", None, Transport(Connect)),
        nowhere("a proxy without an address", Some("http://proxy.invalid:3128"), Transport(Resolve)),
    ]
}

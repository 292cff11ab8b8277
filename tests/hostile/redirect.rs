//! Redirects, which are never followed: the secret is sent once, and to no other server.

use hs_oauth_core::{
    ApiVersion, App, ClientSecret, Error, Introspect, RefreshToken, TIMEOUT, TransportErrorKind,
};

use super::case::Want::{ErrorResponse, Transport};
use super::case::{Case, FIX, assert_no_secret_in, case_in};
use super::server::Server;
use super::setup::{Other, SECRET_MARK, Setup, TransportKind, app, respond_with, response, token_response};

#[test]
fn no_redirect_is_followed() {
    super::run(&cases());
}

pub(crate) fn cases() -> Vec<Case> {
    [with_default_clients(), with_clients_that_follow()].into_iter().flatten().collect()
}

/// The targets of redirects. `{here}` is the port of the server itself, `{there}` that of another server.
const TARGETS: [(&str, &str); 20] = [
    ("another port", "location: http://127.0.0.1:{there}/oauth/2026-09/token"),
    ("another host", "location: http://localhost:{there}/oauth/2026-09/token"),
    ("another host at its own port", "location: http://localhost:{here}/oauth/2026-09/token"),
    ("https", "location: https://127.0.0.1:{there}/oauth/2026-09/token"),
    ("another host by its scheme", "location: //127.0.0.1:{there}/oauth/2026-09/token"),
    ("another path", "location: /oauth/v3/token"),
    ("a path beside it", "location: elsewhere"),
    ("a query", "location: ?again"),
    ("a fragment", "location: #again"),
    ("itself", "location: http://127.0.0.1:{here}/oauth/2026-09/token"),
    ("an address with a password", "location: http://user:password@127.0.0.1:{there}/"),
    ("an address with two at signs", "location: http://127.0.0.1:{here}@127.0.0.1:{there}/"),
    ("a file", "location: file:///etc/passwd"),
    ("a script", "location: javascript:alert(1)"),
    ("data", "location: data:application/json,{}"),
    ("an address that is none", "location: http://["),
    ("what is not ASCII", "location: http://127.0.0.1:{there}/\u{1f37a}"),
    ("nothing", "location:"),
    ("two places", "location: http://127.0.0.1:{there}/a\r\nlocation: http://127.0.0.1:{there}/b"),
    ("another place by a refresh header", "refresh: 0; url=http://127.0.0.1:{there}/"),
];

fn two_servers() -> (Server, Server) {
    (Server::start(Vec::new()), Server::start(respond_with(response(200, "", token_response()))))
}

fn to(target: &str, here: &Server, there: &Server) -> String {
    let port = |server: &Server| server.address.port().to_string();
    target.replace("{here}", &port(here)).replace("{there}", &port(there)) + "\r\n"
}

fn with_default_clients() -> Vec<Case> {
    let case = |status: u16, name: &str, target: &'static str| {
        let setup = move |transport: TransportKind| {
            let (server, elsewhere) = two_servers();
            server.set_script(
                respond_with(response(status, &to(target, &server, &elsewhere), token_response())),
                None,
            );
            let good_client = transport.client(&app(&server.url()));
            let others = vec![Other::Untouched(elsewhere)];
            Setup { client: good_client.clone(), good_client, server, tls: None, others }
        };
        case_in(format!("a {status} to {name}"), setup, ErrorResponse(status), FIX)
    };
    let everywhere = TARGETS.map(|(name, target)| case(302, name, target));
    let by_others = [301, 303, 307, 308].into_iter().flat_map(|status| {
        let (name, target) = TARGETS[0];
        let (itself, again) = TARGETS[9];
        [case(status, name, target), case(status, itself, again)]
    });
    everywhere.into_iter().chain(by_others).collect()
}

/// A caller's own reqwest client may follow redirects. It then turns a POST into a GET without a body, or cannot send the body again
/// (RFC 9110 §15.4). ureq gets the setting with each request, so the caller's agent changes nothing.
fn with_clients_that_follow() -> Vec<Case> {
    [301, 302, 303, 307, 308]
        .map(|status| {
            let setup = move |transport: TransportKind| {
                let (server, elsewhere) = two_servers();
                server.set_script(
                    respond_with(response(status, &to(TARGETS[0].1, &server, &elsewhere), "")),
                    None,
                );
                let app = app(&server.url());
                let follow = reqwest::redirect::Policy::limited(10);
                let client =
                    transport.client_with(&app, |http| http.redirect(follow).referer(true), |http| http);
                let others = vec![Other::Blind(elsewhere)];
                Setup {
                    client: client.with_timeout(TIMEOUT),
                    good_client: transport.client(&app),
                    server,
                    tls: None,
                    others,
                }
            };
            let name = format!("a {status} to another port that the caller's client may follow");
            match status {
                ..304 => case_in(name, setup, Transport(TransportErrorKind::Redirected), FIX)
                    .on_blocking(ErrorResponse(status), FIX),
                _ => case_in(name, setup, ErrorResponse(status), FIX),
            }
        })
        .into()
}

/// On `v1` a lookup is a GET with the token in its path. HTTP clients follow redirects of a GET most readily, and may send its URL
/// on as the `Referer`.
#[test]
fn a_token_in_a_path_is_not_sent_to_the_target_of_a_redirect() {
    for transport in [TransportKind::Async, TransportKind::Blocking] {
        for status in [301, 302, 303, 307, 308] {
            for (name, target) in TARGETS {
                let (server, elsewhere) = two_servers();
                server.set_script(respond_with(response(status, &to(target, &server, &elsewhere), "")), None);
                let app = App::hubspot("id", ClientSecret::new("qZx7-client-secret").unwrap());
                let app = app.with_api_base(server.url()).with_version(ApiVersion::V1).build().unwrap();
                let token = RefreshToken::new("qZx7-token").unwrap();
                let error = transport.client(&app).call(&Introspect::new(token)).unwrap_err();
                assert!(matches!(error, Error::Api(_)), "{transport:?}, a {status} to {name}: {error:?}");
                assert_eq!(error.next_step(), FIX);
                assert_no_secret_in(&error);
                let requests = server.requests();
                assert!(
                    requests.len() == 1 && requests[0].contains(SECRET_MARK),
                    "{transport:?}, {name}: {requests:?}"
                );
                assert_eq!(elsewhere.connections(), 0, "{transport:?}, a {status} to {name}");
            }
        }
    }
}

//! Redirects, which are never followed: the secret goes nowhere else, and no second time to where it went.

use hs_oauth_core::{
    ApiVersion, App, ClientSecret, Error, Introspect, RefreshToken, TIMEOUT, TransportErrorKind,
};

use super::case::Want::{Refusal, Transport};
use super::case::{Case, FIX, case_in, clean};
use super::server::Server;
use super::world::{MARK, Other, Side, World, answer, app, say, tokens};

#[test]
fn a_redirect_is_followed_to_nowhere() {
    super::run(&cases());
}

pub(crate) fn cases() -> Vec<Case> {
    [followed_by_nobody(), followed_by_the_callers_client()].into_iter().flatten().collect()
}

/// Where a redirect may lead. `{here}` and `{there}` are addresses: of the server itself, and of another.
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
    (Server::start(Vec::new()), Server::start(say(answer(200, "", tokens()))))
}

fn to(target: &str, here: &Server, there: &Server) -> String {
    let port = |server: &Server| server.address.port().to_string();
    target.replace("{here}", &port(here)).replace("{there}", &port(there)) + "\r\n"
}

fn followed_by_nobody() -> Vec<Case> {
    let case = |status: u16, name: &str, target: &'static str| {
        let world = move |side: Side| {
            let (server, elsewhere) = two_servers();
            server.turn(say(answer(status, &to(target, &server, &elsewhere), tokens())), None);
            let good = side.client(&app(&server.url()));
            let others = vec![Other::Untouched(elsewhere)];
            World { hostile: good.clone(), good, server, tls: None, others }
        };
        case_in(format!("a {status} to {name}"), world, Refusal(status), FIX)
    };
    let everywhere = TARGETS.map(|(name, target)| case(302, name, target));
    let by_others = [301, 303, 307, 308].into_iter().flat_map(|status| {
        let (name, target) = TARGETS[0];
        let (itself, again) = TARGETS[9];
        [case(status, name, target), case(status, itself, again)]
    });
    everywhere.into_iter().chain(by_others).collect()
}

/// A caller's reqwest client that follows redirects turns a POST into a GET without a body, or cannot send the body again
/// (RFC 9110 §15.4); ureq is told with each request.
fn followed_by_the_callers_client() -> Vec<Case> {
    [301, 302, 303, 307, 308]
        .map(|status| {
            let world = move |side: Side| {
                let (server, elsewhere) = two_servers();
                server.turn(say(answer(status, &to(TARGETS[0].1, &server, &elsewhere), "")), None);
                let app = app(&server.url());
                let follow = reqwest::redirect::Policy::limited(10);
                let hostile = side.client_with(&app, |http| http.redirect(follow).referer(true), |http| http);
                let others = vec![Other::Blind(elsewhere)];
                World {
                    hostile: hostile.timeout(TIMEOUT),
                    good: side.client(&app),
                    server,
                    tls: None,
                    others,
                }
            };
            let name = format!("a {status} to another port that the caller's client may follow");
            match status {
                ..304 => case_in(name, world, Transport(TransportErrorKind::Redirected), FIX)
                    .on_blocking(Refusal(status), FIX),
                _ => case_in(name, world, Refusal(status), FIX),
            }
        })
        .into()
}

/// On `v1` a lookup is a GET with the token in its path: the request a client would most readily send on, and whose address it
/// would most readily tell in a `Referer`.
#[test]
fn a_token_in_a_path_is_not_sent_on_either() {
    for side in [Side::Async, Side::Blocking] {
        for status in [301, 302, 303, 307, 308] {
            for (name, target) in TARGETS {
                let (server, elsewhere) = two_servers();
                server.turn(say(answer(status, &to(target, &server, &elsewhere), "")), None);
                let app = App::hubspot("id", ClientSecret::new("qZx7-client-secret").unwrap());
                let app = app.with_api_base(server.url()).version(ApiVersion::V1).build().unwrap();
                let token = RefreshToken::new("qZx7-token").unwrap();
                let error = side.client(&app).call(&Introspect::new(token)).unwrap_err();
                assert!(matches!(error, Error::Api(_)), "{side:?}, a {status} to {name}: {error:?}");
                assert_eq!(error.next_step(), FIX);
                clean(&error);
                let requests = server.requests();
                assert!(requests.len() == 1 && requests[0].contains(MARK), "{side:?}, {name}: {requests:?}");
                assert_eq!(elsewhere.connections(), 0, "{side:?}, a {status} to {name}");
            }
        }
    }
}

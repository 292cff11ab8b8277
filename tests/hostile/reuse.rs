//! Kept connections that are closed, reset or answered out of turn between two requests. What surely did not leave is sent
//! again; a code that may have been read is not.

use hs_oauth_core::{
    ApiVersion, App, ClientSecret, Endpoint, Error, Introspect, RefreshToken, RetryPolicy, TIMEOUT,
    TransportErrorKind,
};

use super::case::Want::Tokens;
use super::case::{Case, LATER, case_in, clean};
use super::server::{Act, Script, Server};
use super::world::{Side, World, app, exchange, tokens};
use crate::both::Client;
use crate::manager::scene::wait_until;

#[test]
fn a_kept_connection_that_was_closed_meanwhile_costs_nothing() {
    super::run(&cases());
}

/// An answer after which the connection stays open.
fn kept() -> Act {
    let body = tokens();
    Act::Say(format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

fn refresh() -> hs_oauth_core::Refresh {
    hs_oauth_core::Refresh::new(RefreshToken::new("na1-qZx7").unwrap())
}

/// A client that has had an answer by `script`, and keeps a connection on which something else came after it.
fn with_stale_connection(side: Side, script: &Script) -> (Client, Server) {
    let server = Server::start(script.clone());
    let client = side.client(&app(&server.url()));
    client.call(&refresh()).unwrap();
    wait_until(|| server.ended() == 1);
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
    (client, server)
}

pub(crate) fn cases() -> Vec<Case> {
    let stale = |name: &str, end: Vec<Act>| {
        let world = move |side: Side| {
            let script = [vec![Act::Read, kept()], end.clone()].concat();
            let (good, server) = with_stale_connection(side, &script);
            World { hostile: good.clone().timeout(TIMEOUT), good, server, tls: None, others: Vec::new() }
        };
        case_in(name, world, Tokens, None)
    };
    let unasked = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let body = r#"{"access_token":"qZx7-planted","refresh_token":"qZx7-planted","token_type":"bearer","expires_in":1800}"#;
    let planted = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    vec![
        stale("a kept connection that was closed", vec![]),
        stale("a kept connection that was reset", vec![Act::Reset]),
        stale(
            "a kept connection that was closed with a 408 nobody asked for",
            vec![Act::Say(unasked.into())],
        ),
        stale("a kept connection on which tokens came that nobody asked for", vec![Act::Say(planted.into())]),
        stale("a kept connection with noise on it", vec![Act::Say(vec![0xaa; 100])]),
    ]
}

/// The ways in which a server that has read a request can leave it without a whole answer.
fn ways() -> Vec<(&'static str, Vec<Act>)> {
    let part = |said: &str| vec![Act::Say(said.as_bytes().to_vec())];
    vec![
        ("an end", vec![]),
        ("a reset", vec![Act::Reset]),
        ("a part of a status line", part("HTTP/1.1 2")),
        ("a part of a body", part("HTTP/1.1 200 X\r\ncontent-length: 99\r\n\r\n{")),
        (
            "a part and a reset",
            [part("HTTP/1.1 200 X\r\ncontent-length: 99\r\n\r\n{"), vec![Act::Reset]].concat(),
        ),
    ]
}

/// A client whose kept connection ends this way once its second request was read.
fn with_dying_connection(side: Side, way: &[Act]) -> (Client, Server) {
    let server = Server::start([vec![Act::Read, kept(), Act::Read], way.to_vec()].concat());
    let client = side.client(&app(&server.url()));
    client.call(&refresh()).unwrap();
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
    (client, server)
}

fn assert_interrupted(error: &Error, name: &str) {
    clean(error);
    assert_eq!(error.next_step(), LATER, "{name}");
    match error {
        Error::Transport(error) => assert_eq!(error.kind(), TransportErrorKind::Interrupted, "{name}"),
        other => panic!("{name}: {other:?}"),
    }
}

/// RFC 6749 §4.1.2, RFC 9110 §9.2.2: a POST that may have been read is not sent again by itself.
#[test]
fn a_code_that_was_read_on_a_kept_connection_is_never_sent_again() {
    for (name, way) in ways() {
        for side in [Side::Async, Side::Blocking] {
            let (client, server) = with_dying_connection(side, &way);
            assert_interrupted(&client.call(&exchange()).unwrap_err(), name);
            assert_eq!((server.requests().len(), server.connections()), (1, 0), "{side:?}: {name}");
        }
    }
}

#[test]
fn a_refresh_that_was_read_on_a_kept_connection_is_sent_again_by_the_policy_only() {
    for (name, way) in ways() {
        for side in [Side::Async, Side::Blocking] {
            let (client, server) = with_dying_connection(side, &way);
            let error = client.retry(RetryPolicy::NEVER).call(&refresh()).unwrap_err();
            assert_interrupted(&error, name);
            assert_eq!((server.requests().len(), server.connections()), (1, 0), "{side:?}: {name}");

            let (client, server) = with_dying_connection(side, &way);
            assert_eq!(client.call(&refresh()).unwrap().access_token.expose(), "qZx7-new-access");
            assert_eq!((server.requests().len(), server.connections()), (2, 1), "{side:?}: {name}");
        }
    }
}

/// A lookup on `v1` is a GET, which an HTTP client may think it may repeat as it likes.
#[test]
fn a_lookup_by_get_is_sent_once_a_try_too() {
    for (name, way) in ways() {
        for side in [Side::Async, Side::Blocking] {
            let server = Server::start([vec![Act::Read, kept(), Act::Read], way.clone()].concat());
            let app = App::hubspot("id", ClientSecret::new("qZx7-client-secret").unwrap());
            let app = app.with_api_base(server.url()).version(ApiVersion::V1).build().unwrap();
            let lookup = Introspect::new(RefreshToken::new("qZx7-token").unwrap());
            assert!(lookup.to_http(&app).body().is_empty());
            let client = side.client(&app).retry(RetryPolicy::NEVER);
            // The tokens are no answer to a lookup, but the connection is kept.
            assert!(matches!(client.call(&lookup), Err(Error::Response(_))));
            assert_interrupted(&client.call(&lookup).unwrap_err(), name);
            assert_eq!((server.requests().len(), server.connections()), (2, 1), "{side:?}: {name}");
        }
    }
}

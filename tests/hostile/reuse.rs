//! Connections that were kept open, and that the server closes, resets or writes to between two requests. A request that surely did
//! not leave is sent again. A code that the server may have read is not.

use hs_oauth_core::{
    ApiVersion, App, ClientSecret, Endpoint, Error, Introspect, RefreshToken, RetryPolicy, TIMEOUT,
    TransportErrorKind,
};

use super::case::Want::Tokens;
use super::case::{Case, LATER, assert_no_secret_in, case_in};
use super::server::{Act, Script, Server};
use super::setup::{Setup, TransportKind, app, exchange, token_response};
use crate::both::Client;
use crate::wait::wait_until;

#[test]
fn a_kept_connection_that_was_closed_between_two_requests_costs_nothing() {
    super::run(&cases());
}

/// Returns a response after which the connection stays open.
fn keep_open() -> Act {
    let body = token_response();
    Act::Send(format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

fn refresh() -> hs_oauth_core::Refresh {
    hs_oauth_core::Refresh::new(RefreshToken::new("na1-qZx7").unwrap())
}

/// Returns a client that has had a response by `script` and keeps the connection. Then the script went on and ended.
fn with_stale_connection(transport: TransportKind, script: &Script) -> (Client, Server) {
    let server = Server::start(script.clone());
    let client = transport.client(&app(&server.url()));
    client.call(&refresh()).unwrap();
    wait_until(|| server.has_ended_all());
    client.notice_closed_connections();
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
    (client, server)
}

pub(crate) fn cases() -> Vec<Case> {
    let stale = |name: &str, end: Vec<Act>| {
        let setup = move |transport: TransportKind| {
            let script = [vec![Act::Read, keep_open()], end.clone()].concat();
            let (good_client, server) = with_stale_connection(transport, &script);
            Setup {
                client: good_client.clone().with_timeout(TIMEOUT),
                good_client,
                server,
                tls: None,
                others: Vec::new(),
            }
        };
        case_in(name, setup, Tokens, None).with_kept_connections()
    };
    let unasked = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let body = r#"{"access_token":"qZx7-planted","refresh_token":"qZx7-planted","token_type":"bearer","expires_in":1800}"#;
    let planted = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    vec![
        stale("a kept connection that was closed", vec![]),
        stale("a kept connection that was reset", vec![Act::Reset]),
        stale("a kept connection that was closed with an unrequested 408", vec![Act::Send(unasked.into())]),
        stale("a kept connection on which unrequested tokens came", vec![Act::Send(planted.into())]),
        stale("a kept connection with noise on it", vec![Act::Send(vec![0xaa; 100])]),
    ]
}

/// Returns the ways in which a server can read a request and give no whole response.
fn ways() -> Vec<(&'static str, Vec<Act>)> {
    let part = |said: &str| vec![Act::Send(said.as_bytes().to_vec())];
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

/// Returns a client whose kept connection ends in this way once the server has read its second request.
fn with_dying_connection(transport: TransportKind, way: &[Act]) -> (Client, Server) {
    let server = Server::start([vec![Act::Read, keep_open(), Act::Read], way.to_vec()].concat());
    let client = transport.client(&app(&server.url()));
    client.call(&refresh()).unwrap();
    client.notice_closed_connections();
    assert_eq!((server.requests().len(), server.connections()), (1, 1));
    (client, server)
}

fn assert_interrupted(error: &Error, name: &str) {
    assert_no_secret_in(error);
    assert_eq!(error.next_step(), LATER, "{name}");
    match error {
        Error::Transport(error) => assert_eq!(error.kind(), TransportErrorKind::Interrupted, "{name}"),
        other => panic!("{name}: {other:?}"),
    }
}

/// RFC 6749 §4.1.2, RFC 9110 §9.2.2: the HTTP client does not repeat a POST that may have been read.
#[test]
fn a_code_that_was_read_on_a_kept_connection_is_never_sent_again() {
    for (name, way) in ways() {
        for transport in [TransportKind::Async, TransportKind::Blocking] {
            let (client, server) = with_dying_connection(transport, &way);
            assert_interrupted(&client.call(&exchange()).unwrap_err(), name);
            assert_eq!((server.requests().len(), server.connections()), (1, 0), "{transport:?}: {name}");
        }
    }
}

#[test]
fn a_refresh_that_was_read_on_a_kept_connection_is_sent_again_by_the_policy_only() {
    for (name, way) in ways() {
        for transport in [TransportKind::Async, TransportKind::Blocking] {
            let (client, server) = with_dying_connection(transport, &way);
            let error = client.with_retry_policy(RetryPolicy::NEVER).call(&refresh()).unwrap_err();
            assert_interrupted(&error, name);
            assert_eq!((server.requests().len(), server.connections()), (1, 0), "{transport:?}: {name}");

            let (client, server) = with_dying_connection(transport, &way);
            assert_eq!(client.call(&refresh()).unwrap().access_token.expose(), "qZx7-new-access");
            assert_eq!((server.requests().len(), server.connections()), (2, 1), "{transport:?}: {name}");
        }
    }
}

/// A lookup on `v1` is a GET, which an HTTP client may otherwise repeat at will.
#[test]
fn a_lookup_by_get_is_sent_once_for_each_try_too() {
    for (name, way) in ways() {
        for transport in [TransportKind::Async, TransportKind::Blocking] {
            let server = Server::start([vec![Act::Read, keep_open(), Act::Read], way.clone()].concat());
            let app = App::hubspot("id", ClientSecret::new("qZx7-client-secret").unwrap());
            let app = app.with_api_base(server.url()).with_version(ApiVersion::V1).build().unwrap();
            let lookup = Introspect::new(RefreshToken::new("qZx7-token").unwrap());
            assert!(lookup.to_http(&app).body().is_empty());
            let client = transport.client(&app).with_retry_policy(RetryPolicy::NEVER);
            // Tokens are not a valid response to a lookup, but the connection is kept.
            assert!(matches!(client.call(&lookup), Err(Error::Response(_))));
            client.notice_closed_connections();
            assert_interrupted(&client.call(&lookup).unwrap_err(), name);
            assert_eq!((server.requests().len(), server.connections()), (2, 1), "{transport:?}: {name}");
        }
    }
}

//! A signal that arrives while HubSpot may be issuing tokens, and one that arrives at any other time.

use std::io::Write;

use serde_json::json;

use crate::harness::{ACCESS_TOKEN, Held, REFRESH_TOKEN, Server, TOKENS, with_app};
use crate::running::{PATIENCE, Running};

/// The signals that end a program, each with its number.
const SIGNALS: [(&str, i32); 3] = [("HUP", 1), ("INT", 2), ("TERM", 15)];

/// Starts the program, and waits until its request has arrived.
fn start(server: &Server, held: &Held, arguments: &[&str]) -> Running {
    let run =
        with_app(server, arguments).var("HUBSPOT_REFRESH_TOKEN", "na1-old").var("HUBSPOT_CODE", "na1-code");
    let running = Running::start(run);
    held.received.recv_timeout(PATIENCE).unwrap();
    running
}

#[test]
fn an_exchange_and_a_refresh_are_finished_before_a_signal_ends_the_program_and_the_tokens_are_printed() {
    for (signal, _) in SIGNALS {
        for command in ["exchange", "refresh"] {
            let (server, held) = Server::holding(TOKENS.0, TOKENS.1);
            let mut running = start(&server, &held, &[command, "--json"]);
            running.signal(signal);
            running.expect("tokens may have been issued already");
            held.release.send(()).unwrap();
            let outcome = running.outcome();
            let tokens = outcome.json();
            assert_eq!(
                (outcome.status, &tokens["refresh_token"], &tokens["access_token"]),
                (0, &json!(REFRESH_TOKEN), &json!(ACCESS_TOKEN))
            );
            outcome.assert_no_file();
            server.only_request();
        }
    }
}

#[test]
fn after_a_signal_a_refresh_token_that_is_not_printed_is_saved_as_always() {
    let (server, held) = Server::holding(TOKENS.0, TOKENS.1);
    let mut running = start(&server, &held, &["refresh"]);
    running.signal("INT");
    running.expect("tokens may have been issued already");
    held.release.send(()).unwrap();
    let outcome = running.outcome();
    assert_eq!((outcome.status, &outcome.saved_tokens()["refresh_token"]), (0, &json!(REFRESH_TOKEN)));
}

#[test]
fn after_a_signal_a_refusal_has_the_exit_status_that_it_always_has() {
    let (server, held) =
        Server::holding("400 Bad Request", r#"{"status":"BAD_AUTH_CODE","message":"expired"}"#);
    let mut running = start(&server, &held, &["exchange"]);
    running.signal("TERM");
    running.expect("tokens may have been issued already");
    held.release.send(()).unwrap();
    assert_eq!(running.outcome().status, 3);
}

#[test]
fn a_second_signal_ends_the_program_at_once_and_the_message_says_what_may_be_lost() {
    for (signal, number) in [("INT", 2), ("TERM", 15)] {
        for first in ["HUP", "INT", "TERM"] {
            let (server, held) = Server::holding(TOKENS.0, TOKENS.1);
            let mut running = start(&server, &held, &["refresh", "--json"]);
            running.signal(first);
            running.expect("a second signal");
            running.signal(signal);
            let outcome = running.outcome();
            assert_eq!((outcome.status, outcome.stdout.as_str()), (-number, ""), "{outcome:?}");
            assert!(outcome.stderr.contains("tokens may have been issued and lost"), "{outcome:?}");
        }
    }
}

/// A terminal that is closed may send SIGHUP several times.
#[test]
fn after_a_signal_sighup_does_not_end_the_program() {
    let (server, held) = Server::holding(TOKENS.0, TOKENS.1);
    let mut running = start(&server, &held, &["exchange", "--json"]);
    running.signal("HUP");
    running.expect("a second signal");
    running.signal("HUP");
    held.release.send(()).unwrap();
    let outcome = running.outcome();
    assert_eq!((outcome.status, &outcome.json()["refresh_token"]), (0, &json!(REFRESH_TOKEN)));
}

#[test]
fn commands_that_hold_nothing_are_ended_at_once() {
    for arguments in [&["introspect", "--type=refresh"][..], &["revoke"], &["client-credentials"]] {
        for (signal, number) in SIGNALS {
            let (server, held) = Server::holding("200 OK", "{}");
            let running = start(&server, &held, arguments);
            running.signal(signal);
            let outcome = running.outcome();
            assert_eq!((outcome.status, outcome.stderr.as_str()), (-number, ""), "{outcome:?}");
        }
    }
}

#[test]
fn before_the_request_is_sent_a_signal_ends_the_program_at_once() {
    let server = Server::responding(&[TOKENS]);
    for command in ["exchange", "refresh"] {
        let mut running = Running::start(with_app(&server, &[command, "-"]));
        let mut stdin = running.stdin();
        // Half a line: the program waits for the rest of it.
        stdin.write_all(b"na1-").unwrap();
        running.signal("INT");
        let outcome = running.outcome();
        assert_eq!((outcome.status, outcome.stderr.as_str()), (-2, ""), "{outcome:?}");
        drop(stdin);
    }
    assert!(server.requests().is_empty());
}

use crate::harness::{Outcome, REFRESH_TOKEN, Server, TOKENS, hs_oauth, with_app};

fn assert_no_canary(outcome: &Outcome) {
    assert!(!outcome.stdout.contains("CANARY"), "{outcome:?}");
    assert!(!outcome.stderr.contains("CANARY"), "{outcome:?}");
}

#[test]
fn a_secret_on_the_command_line_is_refused_with_the_reason_and_is_never_repeated() {
    for arguments in [
        &["refresh", "--client-secret", "CANARY"][..],
        &["refresh", "--client-secret=CANARY"],
        &["refresh", "--refresh-token", "CANARY"],
        &["revoke", "--refresh-token=CANARY"],
        &["exchange", "--code", "CANARY"],
        &["exchange", "--code-verifier=CANARY"],
        &["introspect", "--token", "CANARY"],
        &["introspect", "--access-token=CANARY"],
        &["authorize-url", "--client-secret", "CANARY", "--json"],
        &["--client-secret", "CANARY", "--help"],
        &["refresh", "CANARY"],
        &["introspect", "--type", "access", "CANARY"],
        &["authorize-url", "CANARY"],
        &["client-credentials", "CANARY"],
    ] {
        let outcome = hs_oauth(arguments).run();
        assert_eq!(outcome.status, 2, "{arguments:?}");
        assert!(outcome.stderr.contains("command line, "), "{outcome:?}");
        assert_no_canary(&outcome);
    }
}

#[test]
fn no_usage_error_repeats_what_was_typed() {
    for arguments in [
        &["refresh", "--CANARY"][..],
        &["refresh", "--scopes=CANARY"],
        &["refresh", "-CANARY"],
        &["refresh", "--json=CANARY"],
        &["refresh", "-", "CANARY"],
        &["refresh", "--", "CANARY"],
        &["introspect", "--type=CANARY", "-"],
        &["authorize-url", "--hub-id", "CANARY"],
        &["CANARY"],
        &["refesh", "CANARY"],
        &["help", "CANARY"],
    ] {
        let outcome = hs_oauth(arguments).run();
        assert_eq!(outcome.status, 2, "{arguments:?}");
        assert_no_canary(&outcome);
    }
}

#[test]
fn on_a_dated_version_no_secret_is_sent_outside_the_body_or_printed_even_if_the_server_repeats_it() {
    for arguments in [
        &["exchange"][..],
        &["refresh"],
        &["client-credentials"],
        &["introspect", "--type", "access"],
        &["introspect", "--type", "refresh"],
        &["revoke"],
    ] {
        for server in [Server::responding(&[TOKENS]), Server::echoing()] {
            let outcome = with_app(&server, arguments)
                .var("HUBSPOT_CODE", "na1-CANARY-code")
                .var("HUBSPOT_CODE_VERIFIER", "CANARY-verifier-0000000000000000000000000000")
                .var("HUBSPOT_ACCESS_TOKEN", "CKrU-CANARY-old-token")
                .var("HUBSPOT_REFRESH_TOKEN", REFRESH_TOKEN)
                .run();
            assert_no_canary(&outcome);
            let request = server.only_request();
            assert!(request.body.contains("CANARY") && !request.head.contains("CANARY"), "{request:?}");
        }
    }
}

#[test]
fn standard_input_is_read_no_further_than_the_longest_secret_and_must_not_be_empty() {
    let server = Server::responding(&[TOKENS]);
    let outcome = with_app(&server, &["refresh", "-"]).stdin(&"x".repeat(1 << 20)).run();
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("longer than"), "{outcome:?}");
    for empty in ["", "\n", "\r\n", " \t \n"] {
        let outcome =
            with_app(&server, &["refresh", "-"]).var("HUBSPOT_REFRESH_TOKEN", "na1-token").stdin(empty).run();
        assert_eq!(outcome.status, 2, "the environment is not used instead: {outcome:?}");
    }
    assert!(server.requests().is_empty());
}

/// A line that was pasted often has spaces around it. No token of HubSpot begins or ends with one.
#[test]
fn spaces_around_a_secret_on_standard_input_are_not_part_of_it() {
    for (arguments, sent) in [
        (&["refresh", "-"][..], "refresh_token=na1-token"),
        (&["revoke", "-"], "token=na1-token"),
        (&["introspect", "--type=refresh", "-"], "token=na1-token"),
        (&["exchange", "-"], "code=na1-token"),
    ] {
        for line in [" na1-token", "na1-token  ", "\t na1-token \t\r\n", " na1-token\n"] {
            let server = Server::responding(&[TOKENS]);
            with_app(&server, arguments).stdin(line).run();
            let body = server.only_request().body;
            assert!(body.split('&').any(|field| field == sent), "{line:?}: {body}");
        }
    }
    let server = Server::responding(&[TOKENS]);
    let run = with_app(&server, &["refresh", "-", "--client-secret", "-"]);
    run.stdin(" s3cret \n  na1-token  \n").run();
    let body = server.only_request().body;
    assert!(body.contains("client_secret=s3cret&") && body.contains("refresh_token=na1-token"), "{body}");
}

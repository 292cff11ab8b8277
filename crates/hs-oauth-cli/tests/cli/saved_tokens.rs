//! Tokens that exist nowhere else, and where they go if they are not printed.

use serde_json::json;

use crate::harness::{ACCESS_TOKEN, REFRESH_TOKEN, Server, TOKENS, with_app};

#[test]
fn a_new_refresh_token_that_is_not_printed_is_saved_to_a_private_file() {
    let server = Server::responding(&[TOKENS]);
    let refresh = |arguments: &[&str]| with_app(&server, arguments).var("HUBSPOT_REFRESH_TOKEN", "na1-old");

    let outcome = refresh(&["refresh"]).run();
    assert_eq!((outcome.status, &outcome.saved_tokens()["refresh_token"]), (0, &json!(REFRESH_TOKEN)));
    assert!(!format!("{outcome:?}").contains("CANARY"), "{outcome:?}");

    refresh(&["refresh", "--show-tokens"]).run().assert_no_file();
    refresh(&["refresh", "--json"]).run().assert_no_file();
}

#[test]
fn a_new_refresh_token_is_saved_if_nobody_reads_standard_output() {
    let server = Server::responding(&[TOKENS]);
    let outcome = with_app(&server, &["refresh", "--json"])
        .var("HUBSPOT_REFRESH_TOKEN", "na1-old")
        .run_with_closed_stdout();
    assert_eq!(outcome.status, 1);
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
    assert_eq!(outcome.saved_tokens()["refresh_token"], REFRESH_TOKEN);
}

#[cfg(unix)]
#[test]
fn a_new_refresh_token_is_saved_if_standard_output_is_dev_null_or_closed_which_rust_replaces_by_dev_null() {
    for server in [Server::responding(&[TOKENS]), Server::truncating(TOKENS.0, TOKENS.1)] {
        for script in [r#""$@" >&-"#, r#""$@" >/dev/null"#] {
            for shown in ["--json", "--show-tokens"] {
                let run = with_app(&server, &["refresh", shown]).var("HUBSPOT_REFRESH_TOKEN", "na1-old");
                assert_eq!(
                    run.run_with_script(script).saved_tokens()["refresh_token"],
                    REFRESH_TOKEN,
                    "{script} {shown}"
                );
            }
        }
    }
}

#[test]
fn without_a_temporary_folder_a_new_refresh_token_is_saved_to_the_current_folder() {
    let server = Server::responding(&[TOKENS]);
    let run = with_app(&server, &["refresh"]).var("HUBSPOT_REFRESH_TOKEN", "na1-old").var("TMPDIR", "/nope");
    let outcome = run.run();
    assert_eq!((outcome.status, &outcome.saved_tokens()["refresh_token"]), (0, &json!(REFRESH_TOKEN)));
}

#[cfg(unix)]
#[test]
fn a_new_refresh_token_that_can_be_saved_nowhere_is_a_failure_that_says_so() {
    for server in [Server::responding(&[TOKENS]), Server::truncating(TOKENS.0, TOKENS.1)] {
        let run = with_app(&server, &["refresh"]).var("HUBSPOT_REFRESH_TOKEN", "na1-old");
        let outcome = run.run_with_script(r#"rmdir "$TMPDIR" && "$@""#);
        assert_eq!(outcome.status, 1, "{outcome:?}");
        assert!(outcome.stderr.contains("could be neither printed nor kept"), "{outcome:?}");
        assert!(outcome.stderr.contains("next: try the old refresh token"), "{outcome:?}");
        assert!(!outcome.stderr.contains("CANARY"), "{outcome:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn if_new_tokens_cannot_be_printed_the_advice_is_to_take_them_from_the_file() {
    let server = Server::responding(&[TOKENS]);
    let run = with_app(&server, &["refresh", "--json"]).var("HUBSPOT_REFRESH_TOKEN", "na1-old");
    let outcome = run.run_with_script(r#""$@" >/dev/full"#);
    assert_eq!((outcome.status, &outcome.saved_tokens()["refresh_token"]), (1, &json!(REFRESH_TOKEN)));
    let (_, next) = outcome.stderr.split_once("\nnext: ").unwrap();
    assert!(
        next.contains("the new tokens are in ") && next.contains(outcome.folder.to_str().unwrap()),
        "{next}"
    );
    assert!(!outcome.stderr.contains("try again"), "{outcome:?}");

    let same = with_app(&server, &["refresh", "--json"]).var("HUBSPOT_REFRESH_TOKEN", REFRESH_TOKEN);
    let outcome = same.run_with_script(r#""$@" >/dev/full"#);
    assert!(outcome.status == 1 && outcome.stderr.contains("try again"), "{outcome:?}");
    outcome.assert_no_file();
}

#[cfg(target_os = "linux")]
#[test]
fn a_private_file_that_cannot_be_written_whole_is_removed() {
    let server = Server::responding(&[TOKENS]);
    let run = with_app(&server, &["refresh"]).var("HUBSPOT_REFRESH_TOKEN", "na1-old");
    let outcome = run.run_with_script(r#"trap '' XFSZ; ulimit -f 0; "$@""#);
    assert!(outcome.status == 1 && outcome.stderr.contains("neither printed nor kept"), "{outcome:?}");
    outcome.assert_no_file();
}

#[test]
fn a_refresh_token_in_a_response_that_did_not_arrive_whole_is_rescued() {
    let server = Server::truncating(TOKENS.0, TOKENS.1);
    let run = |arguments: &[&str]| {
        let run = with_app(&server, arguments).var("HUBSPOT_REFRESH_TOKEN", "na1-old");
        run.var("HUBSPOT_CODE", "na1-code").run()
    };
    for command in ["refresh", "exchange"] {
        let printed = run(&[command, "--json"]);
        let object = printed.json();
        assert_eq!(
            (printed.status, &object["refresh_token"], &object["access_token"], &object["next_step"]),
            (5, &json!(REFRESH_TOKEN), &json!(ACCESS_TOKEN), &json!("retry_after"))
        );
        printed.assert_no_file();

        let masked = run(&[command]);
        assert_eq!((masked.status, &masked.saved_tokens()["refresh_token"]), (5, &json!(REFRESH_TOKEN)));
        assert_eq!(masked.saved_tokens()["access_token"], ACCESS_TOKEN);
        assert!(masked.stderr.contains("did not arrive whole"), "{masked:?}");
        assert!(masked.stderr.contains("next: go on with the rescued refresh token"), "{masked:?}");
        assert!(!masked.stderr.contains("try again"), "{masked:?}");
        assert!(!masked.stderr.contains("CANARY"), "{masked:?}");
    }
    assert_eq!(server.requests().len(), 4, "each request was sent once");
}

#[test]
fn a_refresh_token_in_a_response_that_cannot_be_used_is_rescued() {
    let server =
        Server::responding(&[("200 OK", r#"{"refresh_token":"na1-CANARY-new","token_type":"bearer"}"#)]);
    let refresh =
        |arguments: &[&str]| with_app(&server, arguments).var("HUBSPOT_REFRESH_TOKEN", "na1-old").run();

    let object = refresh(&["refresh", "--json"]).json();
    assert_eq!(
        (&object["refresh_token"], &object["next_step"]),
        (&json!("na1-CANARY-new"), &json!("report_bug"))
    );

    let shown = refresh(&["refresh", "--show-tokens"]);
    assert_eq!((shown.status, shown.stdout.as_str()), (1, "refresh_token  na1-CANARY-new\n"));

    let masked = refresh(&["refresh"]);
    assert_eq!((masked.status, masked.stdout.as_str()), (1, ""));
    assert!(masked.stderr.contains("`access_token` is missing"), "{masked:?}");
    assert!(!masked.stderr.contains("CANARY"), "{masked:?}");
    assert_eq!(masked.saved_tokens()["refresh_token"], "na1-CANARY-new");
}

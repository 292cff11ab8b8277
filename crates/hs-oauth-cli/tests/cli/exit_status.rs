use serde_json::json;

use crate::harness::{Outcome, Server, hs_oauth, with_app};

const GONE: &str = r#"{"status":"BAD_REFRESH_TOKEN","message":"refresh token is invalid, expired or revoked",
    "error":"invalid_grant","error_description":"refresh token is invalid, expired or revoked",
    "correlationId":"11111111-2222-3333-4444-555555555555"}"#;

fn refresh(response: (&str, &str), more: &[&str]) -> Outcome {
    let server = Server::responding(&[response]);
    let arguments = [&["refresh"], more].concat();
    with_app(&server, &arguments).var("HUBSPOT_REFRESH_TOKEN", "na1-token").run()
}

fn assert_failed(outcome: &Outcome, status: i32, advice: &str) {
    assert_eq!((outcome.status, outcome.stdout.as_str()), (status, ""), "{outcome:?}");
    let (error, next) =
        outcome.stderr.trim_end().split_once("\nnext: ").unwrap_or_else(|| panic!("{outcome:?}"));
    assert!(error.starts_with("hs-oauth: ") && next.contains(advice), "{outcome:?}");
}

#[test]
fn status_2_if_a_setting_is_missing_and_the_message_names_it() {
    for (missing, name) in [
        ("HUBSPOT_CLIENT_ID", "client id"),
        ("HUBSPOT_CLIENT_SECRET", "client secret"),
        ("HUBSPOT_REDIRECT_URI", "redirect URI"),
        ("HUBSPOT_CODE", "authorization code"),
    ] {
        let mut run = hs_oauth(&["exchange"]);
        for (variable, value) in [
            ("HUBSPOT_CLIENT_ID", "id-1"),
            ("HUBSPOT_CLIENT_SECRET", "secret"),
            ("HUBSPOT_REDIRECT_URI", "https://app.example/cb"),
            ("HUBSPOT_CODE", "code"),
            ("HUBSPOT_API_BASE", "http://127.0.0.1:1"),
        ] {
            run = run.var(variable, if variable == missing { "" } else { value });
        }
        let outcome = run.run();
        assert_failed(&outcome, 2, "hs-oauth --help");
        assert!(outcome.stderr.contains(&format!("no {name}: set {missing}")), "{outcome:?}");
    }
}

#[test]
fn status_2_if_a_value_is_invalid_and_the_message_names_its_source_and_nothing_is_sent() {
    let server = Server::responding(&[("200 OK", "")]);
    for (command, variable, value, flag) in [
        ("revoke", "HUBSPOT_CLIENT_ID", "a\nb", "--client-id"),
        ("revoke", "HUBSPOT_CLIENT_SECRET", "a\nb", "--client-secret -"),
        ("revoke", "HUBSPOT_REDIRECT_URI", "/callback", "--redirect-uri"),
        ("revoke", "HUBSPOT_API_VERSION", "v2", "--api-version"),
        ("revoke", "HUBSPOT_API_BASE", "http://api.hubapi.com", "--api-base"),
        ("revoke", "HUBSPOT_APP_BASE", "ftp://app.hubspot.com", "--app-base"),
        ("revoke", "HUBSPOT_REFRESH_TOKEN", "a\tb", "--refresh-token -"),
        ("introspect", "HUBSPOT_ACCESS_TOKEN", "a\tb", "--access-token -"),
        ("exchange", "HUBSPOT_CODE", "a\tb", "--code -"),
        ("exchange", "HUBSPOT_CODE_VERIFIER", "a", "--code-verifier -"),
    ] {
        let mut run = with_app(&server, &[command]).var("HUBSPOT_CODE", "na1-code");
        if command == "revoke" {
            run = run.var("HUBSPOT_REFRESH_TOKEN", "na1-token");
        }
        let outcome = run.var(variable, value).run();
        assert_failed(&outcome, 2, "hs-oauth --help");
        let argument = variable.trim_start_matches("HUBSPOT_").to_ascii_lowercase();
        for part in [format!("`{argument}` "), format!("(from {variable} or {flag})\n")] {
            assert!(outcome.stderr.contains(&part), "{part}: {outcome:?}");
        }
    }
    for (flags, flag) in [
        (&["--scope", "a\"b"][..], "(from --scope)"),
        (&["--scope=oauth", "--optional-scope", "a\"b"], "(from --optional-scope)"),
        (&["--scope=oauth", "--hub-id", "-5"], "--hub-id"),
        (&["--scope=oauth", "--hub-id", "0"], "--hub-id"),
    ] {
        let outcome = with_app(&server, &[&["authorize-url"], flags].concat()).run();
        assert_failed(&outcome, 2, "hs-oauth --help");
        assert!(outcome.stderr.contains(flag), "{outcome:?}");
    }
    assert_failed(&hs_oauth(&[]).run(), 2, "hs-oauth --help");
    assert!(server.requests().is_empty());
}

#[test]
fn status_2_if_there_is_no_such_command_and_the_message_lists_the_commands() {
    for arguments in [&["refesh"][..], &["refesh", "--json"], &["CANARY"], &["help", "refesh"]] {
        let outcome = hs_oauth(arguments).run();
        assert_eq!(outcome.status, 2, "{outcome:?}");
        assert!(outcome.stderr.contains(": pass one of login, token, "), "{outcome:?}");
        assert!(outcome.stderr.contains("no such command"), "{outcome:?}");
        assert!(!outcome.stderr.contains("refesh") && !outcome.stderr.contains("secret"), "{outcome:?}");
    }
}

#[test]
fn the_nearest_command_or_flag_is_named() {
    for (arguments, nearest) in [
        (&["refesh"][..], "(did you mean `refresh`?)"),
        (&["lgin"], "(did you mean `login`?)"),
        (&["token", "--min-live=5m"], "(did you mean `--min-life`?)"),
        (&["login", "--no-brwser"], "(did you mean `--no-browser`?)"),
        (&["profile", "lst"], "(did you mean `list`?)"),
    ] {
        let outcome = hs_oauth(arguments).run();
        assert_eq!(outcome.status, 2, "{outcome:?}");
        assert!(outcome.stderr.contains(nearest), "{outcome:?}");
    }
    let outcome = hs_oauth(&["token", "--zzzzzzzz"]).run();
    assert!(!outcome.stderr.contains("did you mean"), "{outcome:?}");
}

#[test]
fn status_2_names_everything_that_is_missing_at_once() {
    for (command, variables) in [
        ("exchange", &["CLIENT_ID", "CLIENT_SECRET", "REDIRECT_URI", "CODE"][..]),
        ("refresh", &["CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN"]),
        ("revoke", &["CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN"]),
        ("client-credentials", &["CLIENT_ID", "CLIENT_SECRET"]),
    ] {
        let outcome = hs_oauth(&[command]).run();
        assert_failed(&outcome, 2, "hs-oauth --help");
        for variable in variables {
            assert!(outcome.stderr.contains(&format!("set HUBSPOT_{variable}")), "{outcome:?}");
        }
        assert_eq!(outcome.stderr.matches(": set ").count(), variables.len(), "{outcome:?}");
    }
}

#[test]
fn help_has_examples_for_every_command() {
    let help = hs_oauth(&["--help"]).run().succeeded().stdout.clone();
    let commands = help.split_once("Commands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    let names: Vec<_> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
        let help = hs_oauth(&[name, "--help"]).run().succeeded().stdout.clone();
        assert!(help.contains("Example") && help.contains(&format!("hs-oauth {name}")), "{name}: {help}");
    }
}

/// The server speaks plain HTTP where TLS is expected. Waiting does not help.
#[test]
fn status_4_if_tls_is_spoken_to_a_plain_port() {
    let server = Server::plain();
    let base = server.base.replace("http://", "https://");
    let outcome = with_app(&server, &["refresh", "--json"])
        .var("HUBSPOT_REFRESH_TOKEN", "na1-token")
        .var("HUBSPOT_API_BASE", &base)
        .run();
    assert_eq!((outcome.status, &outcome.json()["error"]), (4, &json!("not_tls")), "{outcome:?}");
    assert!(outcome.stderr.contains("the server does not speak TLS"), "{outcome:?}");
}

#[test]
fn status_3_if_the_grant_is_gone() {
    let outcome = refresh(("400 Bad Request", GONE), &[]);
    assert_failed(&outcome, 3, "ask the account to connect the app again");
    assert!(outcome.stderr.contains("invalid_grant, BAD_REFRESH_TOKEN"), "{outcome:?}");
}

#[test]
fn status_3_if_the_code_was_refused() {
    let server =
        Server::responding(&[("400 Bad Request", r#"{"status":"EXPIRED_AUTH_CODE","message":"expired"}"#)]);
    let outcome = with_app(&server, &["exchange"]).var("HUBSPOT_CODE", "na1-code").run();
    assert_failed(&outcome, 3, "start the authorization again");
    server.only_request();
}

#[test]
fn status_4_if_the_app_is_set_up_wrongly() {
    for response in [
        ("400 Bad Request", r#"{"error":"invalid_client","status":"BAD_CLIENT_ID"}"#),
        ("401 Unauthorized", "{}"),
        ("404 Not Found", "<html>"),
        ("302 Found\r\nlocation: http://127.0.0.1:1/", ""),
    ] {
        assert_failed(&refresh(response, &[]), 4, "fix the app's configuration");
    }
}

#[test]
fn status_5_if_hubspot_is_busy_and_the_advice_has_the_wait_that_hubspot_names() {
    let outcome = refresh(("429 Too Many Requests\r\nretry-after: 60", r#"{"policyName":"DAILY"}"#), &[]);
    assert_failed(&outcome, 5, "try again in 60 s");
    assert_failed(&refresh(("477 Migration\r\nretry-after: 86400", ""), &[]), 5, "try again in 86400 s");
}

#[test]
fn status_5_if_hubspot_was_not_reached() {
    let outcome = hs_oauth(&["refresh", "--client-id=id-1", "--api-base=http://127.0.0.1:1"])
        .var("HUBSPOT_CLIENT_SECRET", "secret")
        .var("HUBSPOT_REFRESH_TOKEN", "na1-token")
        .run();
    assert_failed(&outcome, 5, "try again later");
    assert!(outcome.stderr.contains("could not connect"), "{outcome:?}");
}

#[test]
fn status_1_if_the_response_is_not_hubspots() {
    let outcome = refresh(("200 OK", "<html>"), &[]);
    assert_failed(&outcome, 1, "check the address");
}

#[test]
fn a_failure_with_json_is_one_object_on_standard_output_and_the_same_message_on_standard_error() {
    let outcome = refresh(("400 Bad Request", GONE), &["--json"]);
    assert_eq!(outcome.status, 3);
    assert_eq!(
        outcome.json(),
        json!({
            "error": "invalid_grant",
            "next_step": "reauthorize",
            "status": 400,
            "code": "BAD_REFRESH_TOKEN",
            "correlationId": "11111111-2222-3333-4444-555555555555",
            "message": "HubSpot did not refresh the token (status 400, invalid_grant, BAD_REFRESH_TOKEN): refresh token is \
                        invalid, expired or revoked [correlation id 11111111-2222-3333-4444-555555555555]",
        })
    );
    assert!(outcome.stderr.contains(outcome.json()["message"].as_str().unwrap()));

    let limited =
        refresh(("429 Too Many Requests\r\nretry-after: 60", r#"{"policyName":"DAILY"}"#), &["--json"]);
    assert_eq!(
        (&limited.json()["retry_after"], &limited.json()["policyName"]),
        (&json!(60), &json!("DAILY"))
    );

    let usage = hs_oauth(&["refresh", "--json", "--no-such-flag"]).run();
    assert_eq!((usage.status, &usage.json()["error"]), (2, &json!("usage")));
}

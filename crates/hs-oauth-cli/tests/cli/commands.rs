use std::fs;

use serde_json::json;

use crate::harness::{
    ACCESS_TOKEN, REFRESH_TOKEN, Server, TOKENS, assert_private, folder, hs_oauth, with_app,
};

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).split_once(' ').unwrap().1.trim_start()
}

#[test]
fn authorize_url_needs_no_secret_and_prints_url_state_and_code_verifier_as_rfc_7636_section_4_1_wants_it() {
    let arguments =
        ["authorize-url", "--scope", "oauth crm.lists.read", "--scope", "tickets", "--hub-id", "7"];
    let outcome = hs_oauth(&arguments)
        .var("HUBSPOT_CLIENT_ID", "id-1")
        .var("HUBSPOT_REDIRECT_URI", "https://app.example/cb")
        .var("HUBSPOT_APP_BASE", "")
        .run();
    let text = &outcome.succeeded().stdout;
    let url = field(text, "url");
    assert!(
        url.starts_with(
            "https://app.hubspot.com/oauth/7/authorize?client_id=id-1&redirect_uri=https%3A%2F%2Fapp.example%2Fcb\
             &scope=oauth%20crm.lists.read%20tickets&state="
        ),
        "{url}"
    );
    assert!(url.contains(&format!("&state={}&", field(text, "state"))));
    assert!(url.ends_with("&code_challenge_method=S256"));
    assert_eq!(field(text, "code_verifier").len(), 43);
}

#[test]
fn authorize_url_leaves_pkce_out_when_asked_and_names_optional_scopes_as_hubspots_clients_do() {
    let arguments =
        ["--json", "authorize-url", "--scope", "oauth", "--optional-scope", "tickets", "--no-pkce"];
    let outcome = hs_oauth(&arguments)
        .var("HUBSPOT_CLIENT_ID", "id-1")
        .var("HUBSPOT_REDIRECT_URI", "https://app.example/cb")
        .var("HUBSPOT_APP_BASE", "https://app-eu1.hubspot.com")
        .run();
    let object = outcome.succeeded().json();
    let url = object["url"].as_str().unwrap();
    assert!(url.starts_with("https://app-eu1.hubspot.com/oauth/authorize?"), "{url}");
    assert!(url.contains("&scope=oauth&optional_scope=tickets&state="), "{url}");
    assert!(!url.contains("code_challenge") && object["code_verifier"].is_null());
}

#[test]
fn authorize_url_of_an_mcp_auth_app_sends_no_scope_and_always_pkce() {
    let mcp = |more: &[&str]| {
        let arguments =
            [&["authorize-url", "--mcp", "--client-id=id-1", "--redirect-uri=https://app.example/cb"], more];
        hs_oauth(&arguments.concat()).run()
    };
    let outcome = mcp(&[]);
    let url = field(&outcome.succeeded().stdout, "url");
    assert!(url.starts_with("https://mcp.hubspot.com/oauth/authorize/user?client_id=id-1&"), "{url}");
    assert!(url.contains("code_challenge=") && !url.contains("scope="), "{url}");
    for ignored in ["--scope=oauth", "--optional-scope=oauth", "--hub-id=7", "--no-pkce"] {
        assert_eq!(mcp(&[ignored]).status, 2, "{ignored}");
    }
}

#[test]
fn a_pending_authorization_travels_in_a_private_file_and_its_state_is_checked_rfc_6749_section_10_12() {
    let server = Server::answering(&[TOKENS]);
    let file = folder().join("pending.json");
    let pending = file.to_str().unwrap();

    let begin = || with_app(&server, &["authorize-url", "--scope", "oauth", "--pending", pending]).run();
    let begun = begin();
    assert!(begun.succeeded().stdout.contains(&format!("hs-oauth exchange --pending {pending} -")));
    assert!(!begun.stdout.contains("code_verifier "), "{begun:?}");
    assert_private(&file);
    assert_eq!(begin().status, 2, "a file that is there is left alone");

    let exchange = |callback: &str| {
        with_app(&server, &["exchange", "--json", "--pending", pending, "-"]).stdin(callback).run()
    };
    let forged = exchange("https://app.example/cb?code=na1-code&state=forged\n");
    assert_eq!((forged.status, &forged.json()["next_step"]), (3, &json!("restart_authorization")));
    assert!(server.requests().is_empty());

    let state = field(&begun.stdout, "url").split("&state=").nth(1).unwrap().split('&').next().unwrap();
    let outcome = exchange(&format!("http://localhost:3000/callback?code=na1-code&state={state}\r\n"));
    assert_eq!(outcome.succeeded().json()["refresh_token"], REFRESH_TOKEN);
    let body = server.only_request().body;
    assert!(
        body.contains("&code=na1-code&redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Fcallback&code_verifier="),
        "{body}"
    );
    assert!(!file.exists(), "what is spent is removed");
}

#[test]
fn exchange_takes_code_and_verifier_from_the_environment_and_sends_them_in_the_body() {
    let server = Server::answering(&[TOKENS]);
    let verifier = "v".repeat(43);
    let outcome = with_app(&server, &["exchange", "--show-tokens"])
        .var("HUBSPOT_CODE", "na1-code")
        .var("HUBSPOT_CODE_VERIFIER", &verifier)
        .run();
    assert_eq!(field(&outcome.succeeded().stdout, "access_token"), ACCESS_TOKEN);
    outcome.kept_nothing();
    let request = server.only_request();
    assert_eq!(request.line(), "POST /oauth/2026-09/token HTTP/1.1");
    assert_eq!(
        request.body,
        format!(
            "grant_type=authorization_code&client_id=id-1&client_secret=s3cret-CANARY-000000000000000000000&code=na1-code\
             &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Fcallback&code_verifier={verifier}"
        )
    );
}

#[test]
fn exchange_tells_a_callback_from_a_code() {
    let server = Server::answering(&[TOKENS]);
    let outcome =
        with_app(&server, &["exchange", "-"]).stdin("https://app.example/cb?code=na1-code&state=1").run();
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("--pending"), "{outcome:?}");
    assert!(server.requests().is_empty());
}

#[test]
fn refresh_prints_short_aligned_lines_with_tokens_masked() {
    let server = Server::answering(&[TOKENS]);
    let outcome = with_app(&server, &["refresh"]).var("HUBSPOT_REFRESH_TOKEN", REFRESH_TOKEN).run();
    assert_eq!(
        outcome.succeeded().stdout,
        "access_token   CKrU… (34 characters)\n\
         refresh_token  na1-… (33 characters)\n\
         token_type     bearer\n\
         token_use      access_token\n\
         expires_in     1800 s\n\
         hub_id         62515\n\
         scopes         oauth crm.objects.contacts.read\n\
         user_id        123\n"
    );
    outcome.kept_nothing();
}

#[test]
fn refresh_as_json_is_one_object_with_hubspots_field_names() {
    let server = Server::answering(&[TOKENS]);
    let outcome =
        with_app(&server, &["refresh", "-", "--scope", "oauth tickets", "--json"]).stdin(REFRESH_TOKEN).run();
    let object = outcome.succeeded().json();
    for (name, value) in [
        ("access_token", json!(ACCESS_TOKEN)),
        ("refresh_token", json!(REFRESH_TOKEN)),
        ("token_type", json!("bearer")),
        ("expires_in", json!(1800)),
        ("token_use", json!("access_token")),
        ("hub_id", json!(62515)),
        ("user_id", json!(123)),
        ("scopes", json!(["oauth", "crm.objects.contacts.read"])),
    ] {
        assert_eq!(object[name], value, "{name}");
    }
    assert!(
        server
            .only_request()
            .body
            .ends_with(&format!("&refresh_token={REFRESH_TOKEN}&scope=oauth%20tickets"))
    );
}

#[test]
fn a_refresh_token_that_was_replaced_and_not_printed_is_kept_in_a_private_file() {
    let server = Server::answering(&[TOKENS]);
    let refresh = |arguments: &[&str]| with_app(&server, arguments).var("HUBSPOT_REFRESH_TOKEN", "na1-old");

    let outcome = refresh(&["refresh"]).run();
    assert_eq!((outcome.status, &outcome.kept()["refresh_token"]), (0, &json!(REFRESH_TOKEN)));
    assert!(!format!("{outcome:?}").contains("CANARY"), "{outcome:?}");

    refresh(&["refresh", "--show-tokens"]).run().kept_nothing();
    refresh(&["refresh", "--json"]).run().kept_nothing();
}

#[test]
fn a_refresh_token_that_could_not_be_written_to_a_closed_standard_output_is_kept() {
    let server = Server::answering(&[TOKENS]);
    let outcome = with_app(&server, &["refresh", "--json"])
        .var("HUBSPOT_REFRESH_TOKEN", "na1-old")
        .run_with_closed_stdout();
    assert_eq!(outcome.status, 1);
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
    assert_eq!(outcome.kept()["refresh_token"], REFRESH_TOKEN);
}

#[cfg(unix)]
#[test]
fn a_refresh_token_that_went_to_dev_null_which_rust_puts_in_place_of_a_closed_standard_output_is_kept() {
    for server in [Server::answering(&[TOKENS]), Server::cutting(TOKENS.0, TOKENS.1)] {
        for script in [r#""$@" >&-"#, r#""$@" >/dev/null"#] {
            for shown in ["--json", "--show-tokens"] {
                let run = with_app(&server, &["refresh", shown]).var("HUBSPOT_REFRESH_TOKEN", "na1-old");
                assert_eq!(run.run_by(script).kept()["refresh_token"], REFRESH_TOKEN, "{script} {shown}");
            }
        }
    }
}

#[test]
fn without_a_temporary_folder_a_new_refresh_token_is_kept_in_the_current_one() {
    let server = Server::answering(&[TOKENS]);
    let run = with_app(&server, &["refresh"]).var("HUBSPOT_REFRESH_TOKEN", "na1-old").var("TMPDIR", "/nope");
    let outcome = run.run();
    assert_eq!((outcome.status, &outcome.kept()["refresh_token"]), (0, &json!(REFRESH_TOKEN)));
}

#[cfg(unix)]
#[test]
fn a_new_refresh_token_that_can_be_kept_nowhere_is_a_failure_that_says_so() {
    for server in [Server::answering(&[TOKENS]), Server::cutting(TOKENS.0, TOKENS.1)] {
        let run = with_app(&server, &["refresh"]).var("HUBSPOT_REFRESH_TOKEN", "na1-old");
        let outcome = run.run_by(r#"rmdir "$TMPDIR" && "$@""#);
        assert_eq!(outcome.status, 1, "{outcome:?}");
        assert!(outcome.stderr.contains("could be neither printed nor kept"), "{outcome:?}");
        assert!(outcome.stderr.contains("next: try the old refresh token"), "{outcome:?}");
        assert!(!outcome.stderr.contains("CANARY"), "{outcome:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn when_new_tokens_cannot_be_printed_the_advice_is_to_take_them_from_the_file() {
    let server = Server::answering(&[TOKENS]);
    let run = with_app(&server, &["refresh", "--json"]).var("HUBSPOT_REFRESH_TOKEN", "na1-old");
    let outcome = run.run_by(r#""$@" >/dev/full"#);
    assert_eq!((outcome.status, &outcome.kept()["refresh_token"]), (1, &json!(REFRESH_TOKEN)));
    let (_, next) = outcome.stderr.split_once("\nnext: ").unwrap();
    assert!(
        next.contains("the new tokens are in ") && next.contains(outcome.folder.to_str().unwrap()),
        "{next}"
    );
    assert!(!outcome.stderr.contains("try again"), "{outcome:?}");

    let same = with_app(&server, &["refresh", "--json"]).var("HUBSPOT_REFRESH_TOKEN", REFRESH_TOKEN);
    let outcome = same.run_by(r#""$@" >/dev/full"#);
    assert!(outcome.status == 1 && outcome.stderr.contains("try again"), "{outcome:?}");
    outcome.kept_nothing();
}

#[cfg(target_os = "linux")]
#[test]
fn a_private_file_that_cannot_be_written_whole_leaves_nothing_behind() {
    let server = Server::answering(&[TOKENS]);
    let run = with_app(&server, &["refresh"]).var("HUBSPOT_REFRESH_TOKEN", "na1-old");
    let outcome = run.run_by(r#"trap '' XFSZ; ulimit -f 0; "$@""#);
    assert!(outcome.status == 1 && outcome.stderr.contains("neither printed nor kept"), "{outcome:?}");
    outcome.kept_nothing();
}

#[cfg(target_os = "linux")]
#[test]
fn a_pending_file_whose_url_could_not_be_printed_is_removed() {
    let server = Server::answering(&[TOKENS]);
    let arguments = ["authorize-url", "--scope", "oauth", "--pending", "pending.json"];
    let outcome = with_app(&server, &arguments).run_by(r#""$@" >/dev/full"#);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    outcome.kept_nothing();
}

#[test]
fn a_refresh_token_in_an_answer_that_did_not_arrive_whole_is_rescued() {
    let server = Server::cutting(TOKENS.0, TOKENS.1);
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
        printed.kept_nothing();

        let masked = run(&[command]);
        assert_eq!((masked.status, &masked.kept()["refresh_token"]), (5, &json!(REFRESH_TOKEN)));
        assert_eq!(masked.kept()["access_token"], ACCESS_TOKEN);
        assert!(masked.stderr.contains("did not arrive whole"), "{masked:?}");
        assert!(masked.stderr.contains("next: go on with the rescued refresh token"), "{masked:?}");
        assert!(!masked.stderr.contains("try again"), "{masked:?}");
        assert!(!masked.stderr.contains("CANARY"), "{masked:?}");
    }
    assert_eq!(server.requests().len(), 4, "each was sent once");
}

#[test]
fn a_refresh_token_in_an_answer_that_cannot_be_used_is_rescued() {
    let server =
        Server::answering(&[("200 OK", r#"{"refresh_token":"na1-CANARY-new","token_type":"bearer"}"#)]);
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
    assert_eq!(masked.kept()["refresh_token"], "na1-CANARY-new");
}

#[test]
fn client_credentials_gets_a_token_for_the_app_itself_rfc_6749_section_4_4() {
    let answer = r#"{"access_token":"app-token","token_type":"bearer","expires_in":1800,"token_use":"client_credentials"}"#;
    let server = Server::answering(&[("200 OK", answer)]);
    let outcome = with_app(&server, &["client-credentials", "--scope", "a", "--scope", "b", "--json"]).run();
    assert_eq!(outcome.succeeded().json()["token_use"], "client_credentials");
    assert!(server.only_request().body.starts_with("grant_type=client_credentials&client_id=id-1&"));
    assert!(server.only_request().body.ends_with("&scope=a%20b"));
}

#[test]
fn introspect_tells_whose_token_it_is_with_the_token_in_the_body_on_dated_versions() {
    let answer = format!(
        r#"{{"active":true,"token":"{ACCESS_TOKEN}","token_type":"bearer","token_use":"access_token","hub_id":7,"user_id":8,
            "app_id":9,"client_id":"id-1","scopes":["oauth"],"expires_in":1200,"is_private_distribution":false,
            "signed_access_token":{{"hubId":7,"signature":"CANARY-signature"}}}}"#
    );
    let server = Server::answering(&[("200 OK", &answer)]);
    let introspect =
        |arguments: &[&str]| with_app(&server, arguments).var("HUBSPOT_ACCESS_TOKEN", ACCESS_TOKEN).run();

    let outcome = introspect(&["introspect"]);
    assert_eq!(field(&outcome.succeeded().stdout, "active"), "true");
    assert_eq!(field(&outcome.stdout, "hub_id"), "7");
    assert!(!outcome.stdout.contains("CANARY"), "{outcome:?}");

    let object = introspect(&["introspect", "--json"]).json();
    assert_eq!((&object["active"], &object["token"]), (&json!(true), &json!(ACCESS_TOKEN)));
    assert_eq!(object["signed_access_token"]["hubId"], 7);

    let request = &server.requests()[0];
    assert_eq!(request.line(), "POST /oauth/2026-09/token/introspect HTTP/1.1");
    assert!(request.body.ends_with(&format!("&token={ACCESS_TOKEN}&token_type_hint=access_token")));
}

#[test]
fn an_inactive_token_is_an_answer_and_not_an_error() {
    let server = Server::answering(&[("200 OK", r#"{"active":false}"#)]);
    let introspect = |more| {
        let arguments = [&["introspect", "--type", "refresh", "-"][..], more].concat();
        with_app(&server, &arguments).stdin("na1-gone\n").run()
    };
    let outcome = introspect(&[]);
    assert_eq!(
        outcome.succeeded().stdout,
        "active  false\ninactive: the token is unknown, expired or revoked\n"
    );
    assert_eq!(introspect(&["--json"]).succeeded().json(), json!({"active": false}));
    assert!(server.requests()[0].body.ends_with("&token=na1-gone&token_type_hint=refresh_token"));
}

#[test]
fn introspect_asks_which_token_is_meant_where_the_environment_has_both() {
    let server = Server::answering(&[("200 OK", r#"{"active":false}"#)]);
    let introspect = |arguments: &[&str]| {
        let run = with_app(&server, arguments).var("HUBSPOT_ACCESS_TOKEN", "token-a");
        run.var("HUBSPOT_REFRESH_TOKEN", "token-r").run()
    };
    assert_eq!(introspect(&["introspect"]).status, 2);
    introspect(&["introspect", "--type", "access"]).succeeded();
    introspect(&["introspect", "--type", "refresh"]).succeeded();
    let bodies: Vec<_> = server.requests().into_iter().map(|request| request.body).collect();
    assert!(bodies[0].contains("&token=token-a&") && bodies[1].contains("&token=token-r&"), "{bodies:?}");
}

#[test]
fn revoke_is_done_with_an_empty_answer_and_says_what_stays() {
    let server = Server::answering(&[("200 OK", "")]);
    let revoke = |arguments: &[&str]| with_app(&server, arguments).stdin("na1-token").run();
    let outcome = revoke(&["revoke", "-"]);
    assert!(outcome.succeeded().stdout.starts_with("revoked  true\n"), "{outcome:?}");
    assert!(outcome.stdout.contains("live on until they expire"), "{outcome:?}");
    assert_eq!(revoke(&["revoke", "--refresh-token", "-", "--json"]).json(), json!({"revoked": true}));
    assert_eq!(server.requests()[0].line(), "POST /oauth/2026-09/token/revoke HTTP/1.1");
}

#[test]
fn the_api_version_is_the_only_difference_between_generations() {
    for (version, line) in [
        ("v1", "DELETE /oauth/v1/refresh-tokens/na1-token HTTP/1.1"),
        ("v3", "POST /oauth/v3/token/revoke HTTP/1.1"),
        ("2026-03", "POST /oauth/2026-03/token/revoke HTTP/1.1"),
    ] {
        let server = Server::answering(&[("200 OK", "")]);
        let run = with_app(&server, &["revoke"]).var("HUBSPOT_REFRESH_TOKEN", "na1-token");
        run.var("HUBSPOT_API_VERSION", version).run().succeeded();
        assert_eq!(server.only_request().line(), line);
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_an_empty_variable_counts_as_not_set() {
    let server = Server::answering(&[("200 OK", "")]);
    let flags = ["--client-id", "id-2", "--api-version", "v3", "--api-base", &server.base];
    hs_oauth(&[&flags[..], &["revoke", "--client-secret", "-"]].concat())
        .var("HUBSPOT_CLIENT_ID", "id-1")
        .var("HUBSPOT_CLIENT_SECRET", "from-the-environment")
        .var("HUBSPOT_REFRESH_TOKEN", "na1-token")
        .var("HUBSPOT_API_VERSION", "v1")
        .var("HUBSPOT_API_BASE", "http://127.0.0.1:1")
        .var("HUBSPOT_REDIRECT_URI", "")
        .stdin("from-stdin\n")
        .run()
        .succeeded();
    let request = server.only_request();
    assert_eq!(request.line(), "POST /oauth/v3/token/revoke HTTP/1.1");
    assert!(request.body.starts_with("client_id=id-2&client_secret=from-stdin&"), "{request:?}");

    let outcome = with_app(&server, &["revoke"]).var("HUBSPOT_CLIENT_ID", "").run();
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("HUBSPOT_CLIENT_ID"), "{outcome:?}");
}

#[test]
fn several_secrets_on_standard_input_come_a_line_each_in_the_order_help_names() {
    let server = Server::answering(&[TOKENS]);
    let verifier = "v".repeat(43);
    let arguments = ["exchange", "--code-verifier", "-", "--code", "-", "--client-secret", "-", "--json"];
    with_app(&server, &arguments).stdin(&format!("the-secret\r\nthe-code\n{verifier}")).run().succeeded();
    let body = server.only_request().body;
    assert!(body.contains("client_secret=the-secret&code=the-code&"), "{body}");
    assert!(body.ends_with(&format!("code_verifier={verifier}")), "{body}");
}

#[test]
fn help_and_version_are_told_on_standard_output() {
    let help = hs_oauth(&["--help"]).run();
    for word in ["authorize-url", "client-credentials", "HUBSPOT_CLIENT_SECRET", "Exit status"] {
        assert!(help.succeeded().stdout.contains(word), "{word}");
    }
    let version = hs_oauth(&["--version"]).run();
    assert_eq!(version.succeeded().stdout, concat!("hs-oauth ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_pending_file_that_is_none_is_told_by_its_name_and_not_by_its_content() {
    let file = folder().join("pending.json");
    fs::write(&file, r#"{"state":"CANARY","code_verifier":7}"#).unwrap();
    let server = Server::answering(&[TOKENS]);
    let outcome = with_app(&server, &["exchange", "--pending", file.to_str().unwrap(), "-"])
        .stdin("code=1&state=2")
        .run();
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("pending.json") && !outcome.stderr.contains("CANARY"), "{outcome:?}");
    assert!(file.exists());
}

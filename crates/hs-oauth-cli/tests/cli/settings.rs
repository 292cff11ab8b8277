use crate::harness::{Server, TOKENS, hs_oauth, with_app};

#[test]
fn the_api_version_is_all_that_changes_between_generations_of_the_api() {
    for (version, line) in [
        ("v1", "DELETE /oauth/v1/refresh-tokens/na1-token HTTP/1.1"),
        ("v3", "POST /oauth/v3/token/revoke HTTP/1.1"),
        ("2026-03", "POST /oauth/2026-03/token/revoke HTTP/1.1"),
    ] {
        let server = Server::responding(&[("200 OK", "")]);
        let run = with_app(&server, &["revoke"]).var("HUBSPOT_REFRESH_TOKEN", "na1-token");
        run.var("HUBSPOT_API_VERSION", version).run().succeeded();
        assert_eq!(server.only_request().line(), line);
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_an_empty_variable_counts_as_not_set() {
    let server = Server::responding(&[("200 OK", "")]);
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
fn several_secrets_on_standard_input_are_a_line_each_in_the_order_that_help_names() {
    let server = Server::responding(&[TOKENS]);
    let verifier = "v".repeat(43);
    let arguments = ["exchange", "--code-verifier", "-", "--code", "-", "--client-secret", "-", "--json"];
    with_app(&server, &arguments).stdin(&format!("the-secret\r\nthe-code\n{verifier}")).run().succeeded();
    let body = server.only_request().body;
    assert!(body.contains("client_secret=the-secret&code=the-code&"), "{body}");
    assert!(body.ends_with(&format!("code_verifier={verifier}")), "{body}");
}

#[test]
fn help_and_version_are_printed_to_standard_output() {
    let help = hs_oauth(&["--help"]).run();
    for word in ["authorize-url", "client-credentials", "HUBSPOT_CLIENT_SECRET", "Exit status"] {
        assert!(help.succeeded().stdout.contains(word), "{word}");
    }
    let version = hs_oauth(&["--version"]).run();
    assert_eq!(version.succeeded().stdout, concat!("hs-oauth ", env!("CARGO_PKG_VERSION"), "\n"));
}

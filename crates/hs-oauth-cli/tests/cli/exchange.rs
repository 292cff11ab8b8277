use std::fs;

use crate::harness::{ACCESS_TOKEN, Server, TOKENS, field, new_folder, with_app};

#[test]
fn exchange_takes_code_and_code_verifier_from_the_environment_and_sends_them_in_the_body() {
    let server = Server::responding(&[TOKENS]);
    let verifier = "v".repeat(43);
    let outcome = with_app(&server, &["exchange", "--show-tokens"])
        .var("HUBSPOT_CODE", "na1-code")
        .var("HUBSPOT_CODE_VERIFIER", &verifier)
        .run();
    assert_eq!(field(&outcome.succeeded().stdout, "access_token"), ACCESS_TOKEN);
    outcome.assert_no_file();
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
fn exchange_rejects_a_callback_in_place_of_a_code() {
    let server = Server::responding(&[TOKENS]);
    let outcome =
        with_app(&server, &["exchange", "-"]).stdin("https://app.example/cb?code=na1-code&state=1").run();
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("--pending"), "{outcome:?}");
    assert!(server.requests().is_empty());
}

#[test]
fn an_invalid_pending_file_is_reported_by_its_name_and_not_by_its_content() {
    let file = new_folder().join("pending.json");
    fs::write(&file, r#"{"state":"CANARY","code_verifier":7}"#).unwrap();
    let server = Server::responding(&[TOKENS]);
    let outcome = with_app(&server, &["exchange", "--pending", file.to_str().unwrap(), "-"])
        .stdin("code=1&state=2")
        .run();
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("pending.json") && !outcome.stderr.contains("CANARY"), "{outcome:?}");
    assert!(file.exists());
}

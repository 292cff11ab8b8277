use serde_json::json;

use crate::harness::{REFRESH_TOKEN, Server, TOKENS, assert_private, field, hs_oauth, new_folder, with_app};

#[test]
fn authorize_url_needs_no_secret_and_prints_url_state_and_a_code_verifier_of_rfc_7636_section_4_1() {
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
fn authorize_url_leaves_pkce_out_if_asked_and_names_optional_scopes_as_hubspots_clients_do() {
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
fn authorize_url_of_an_mcp_auth_app_has_no_scope_and_always_has_pkce() {
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
fn a_pending_authorization_is_in_a_private_file_and_exchange_checks_its_state_rfc_6749_section_10_12() {
    let server = Server::responding(&[TOKENS]);
    let file = new_folder().join("pending.json");
    let pending = file.to_str().unwrap();

    let authorize = || with_app(&server, &["authorize-url", "--scope", "oauth", "--pending", pending]).run();
    let authorized = authorize();
    assert!(authorized.succeeded().stdout.contains(&format!("hs-oauth exchange --pending {pending} -")));
    assert!(!authorized.stdout.contains("code_verifier "), "{authorized:?}");
    assert_private(&file);
    assert_eq!(authorize().status, 2, "an existing file is not changed");

    let exchange = |callback: &str| {
        with_app(&server, &["exchange", "--json", "--pending", pending, "-"]).stdin(callback).run()
    };
    let forged = exchange("https://app.example/cb?code=na1-code&state=forged\n");
    assert_eq!((forged.status, &forged.json()["next_step"]), (3, &json!("restart_authorization")));
    assert!(server.requests().is_empty());

    let state = field(&authorized.stdout, "url").split("&state=").nth(1).unwrap().split('&').next().unwrap();
    let outcome = exchange(&format!("http://localhost:3000/callback?code=na1-code&state={state}\r\n"));
    assert_eq!(outcome.succeeded().json()["refresh_token"], REFRESH_TOKEN);
    let body = server.only_request().body;
    assert!(
        body.contains("&code=na1-code&redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Fcallback&code_verifier="),
        "{body}"
    );
    assert!(!file.exists(), "the file of a spent code is removed");
}

#[cfg(target_os = "linux")]
#[test]
fn a_pending_file_is_removed_if_its_url_cannot_be_printed() {
    let server = Server::responding(&[TOKENS]);
    let arguments = ["authorize-url", "--scope", "oauth", "--pending", "pending.json"];
    let outcome = with_app(&server, &arguments).run_with_script(r#""$@" >/dev/full"#);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    outcome.assert_no_file();
}

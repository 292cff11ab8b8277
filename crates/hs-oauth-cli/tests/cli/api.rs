use hs_oauth_emulator::{Fault, Target};
use serde_json::{Value, json};

use crate::emulated::{Emulated, HUB};
use crate::harness::Server;

const DETAILS: &str = "/account-info/v3/details";

#[test]
fn api_sends_one_request_with_the_accounts_token_and_prints_the_body_as_it_is() {
    let home = Emulated::connected();
    let outcome = home.run(&["api", DETAILS]);
    let body: Value = serde_json::from_str(&outcome.succeeded().stdout).unwrap();
    assert_eq!(body["portalId"], 62515);
    let object = home.run(&["api", DETAILS, "--account", HUB, "--json"]).succeeded().json();
    assert_eq!((&object["status"], &object["body"]), (&json!(200), &body));
    assert_eq!(object["headers"]["content-type"], json!("application/json"));
    assert_eq!(home.requests(Target::AccountInfo), 2);
}

#[test]
fn include_prints_status_and_headers_before_the_body() {
    let outcome = Emulated::connected().run(&["api", DETAILS, "--include"]);
    let (head, body) = outcome.succeeded().stdout.split_once("\n\n").unwrap();
    assert!(head.starts_with("HTTP 200 OK\n") && head.contains("\ncontent-type: application/json"), "{head}");
    assert!(body.starts_with('{'), "{body}");
}

#[test]
fn after_a_401_the_token_is_renewed_and_the_request_sent_once_more() {
    let home = Emulated::connected();
    home.inject(Fault::status(401).with_target(Target::AccountInfo));
    home.run(&["api", DETAILS]).succeeded();
    assert_eq!((home.requests(Target::AccountInfo), home.requests(Target::Refresh)), (2, 1));
}

#[test]
fn status_6_if_hubspot_responds_with_an_error_and_the_body_is_printed_all_the_same() {
    let home = Emulated::connected();
    home.inject(Fault::status(403).with_target(Target::AccountInfo));
    let outcome = home.run(&["api", DETAILS]);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (6, ""));
    assert!(outcome.stdout.starts_with('{'), "{outcome:?}");
}

/// The token goes to the API of the app, whatever the path says.
#[test]
fn the_request_goes_nowhere_else() {
    let home = Emulated::connected();
    let elsewhere = Server::responding(&[("200 OK", "{}")]);
    let host = elsewhere.base.strip_prefix("http://").unwrap();
    for path in
        [&elsewhere.base, host, &format!("@{host}/"), &format!(".{host}"), "crm/v3", "", "/a b", "/a\n"]
    {
        let outcome = home.run(&["api", path]);
        assert_eq!(outcome.status, 2, "{path}: {outcome:?}");
    }
    home.run(&["api", &format!("//{host}/")]);
    home.run(&["api", &format!("/\\{host}/")]);
    assert!(elsewhere.requests().is_empty());
    let outcome = home.run(&["api", DETAILS, "-H", "Authorization: Bearer CANARY"]);
    assert_eq!(outcome.status, 2);
    assert!(!outcome.stderr.contains("CANARY"), "{outcome:?}");
}

#[test]
fn method_headers_and_body_are_those_of_the_flags() {
    let home = Emulated::new();
    let server = Server::responding(&[("201 Created", "{}")]);
    // Connected at the emulator. The API of the profile is then another server.
    home.login(&[]).succeeded_with_messages();
    let config = home.home.join(".config/hs-oauth/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replacen(home.hubspot.url(), &server.base, 1)).unwrap();
    for (arguments, stdin, line, body) in [
        (&["-d", "{\"a\":1}"][..], "", "POST /crm/v3/objects?x=1 HTTP/1.1", "{\"a\":1}"),
        (&["-d", "@-"], "{\"b\":2}", "POST /crm/v3/objects?x=1 HTTP/1.1", "{\"b\":2}"),
        (&["-X", "PATCH", "-d", "{}"], "", "PATCH /crm/v3/objects?x=1 HTTP/1.1", "{}"),
        (&["-X", "DELETE"], "", "DELETE /crm/v3/objects?x=1 HTTP/1.1", ""),
    ] {
        let arguments = [&["api", "/crm/v3/objects?x=1", "-H", "X-Trace: 7"], arguments].concat();
        home.hs_oauth(&arguments).stdin(stdin).run().succeeded();
        let request = server.requests().pop().unwrap();
        assert_eq!((request.line(), request.body.as_str()), (line, body));
        let head = request.head.to_ascii_lowercase();
        assert!(head.contains("x-trace: 7\r\n") && head.contains("authorization: bearer "), "{head}");
        assert_eq!(head.contains("content-type: application/json\r\n"), !body.is_empty(), "{head}");
    }
}

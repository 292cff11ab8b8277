use serde_json::json;

use crate::harness::{ACCESS_TOKEN, Server, field, with_app};

#[test]
fn introspect_says_which_account_a_token_belongs_to_and_sends_it_in_the_body_on_dated_versions() {
    let response = format!(
        r#"{{"active":true,"token":"{ACCESS_TOKEN}","token_type":"bearer","token_use":"access_token","hub_id":7,"user_id":8,
            "app_id":9,"client_id":"id-1","scopes":["oauth"],"expires_in":1200,"is_private_distribution":false,
            "signed_access_token":{{"hubId":7,"signature":"CANARY-signature"}}}}"#
    );
    let server = Server::responding(&[("200 OK", &response)]);
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
fn an_inactive_token_is_a_result_and_not_an_error() {
    let server = Server::responding(&[("200 OK", r#"{"active":false}"#)]);
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
fn introspect_requires_the_type_of_the_token_if_both_variables_are_set() {
    let server = Server::responding(&[("200 OK", r#"{"active":false}"#)]);
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

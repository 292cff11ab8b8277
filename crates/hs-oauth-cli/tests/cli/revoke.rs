use serde_json::json;

use crate::harness::{Server, with_app};

#[test]
fn revoke_succeeds_with_an_empty_response_and_says_what_remains() {
    let server = Server::responding(&[("200 OK", "")]);
    let revoke = |arguments: &[&str]| with_app(&server, arguments).stdin("na1-token").run();
    let outcome = revoke(&["revoke", "-"]);
    assert!(outcome.succeeded().stdout.starts_with("revoked  true\n"), "{outcome:?}");
    assert!(outcome.stdout.contains("live on until they expire"), "{outcome:?}");
    assert_eq!(revoke(&["revoke", "--refresh-token", "-", "--json"]).json(), json!({"revoked": true}));
    assert_eq!(server.requests()[0].line(), "POST /oauth/2026-09/token/revoke HTTP/1.1");
}

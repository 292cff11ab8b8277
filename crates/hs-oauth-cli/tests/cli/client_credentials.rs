use crate::harness::{Server, with_app};

#[test]
fn client_credentials_gets_a_token_for_the_app_itself_rfc_6749_section_4_4() {
    let response = r#"{"access_token":"app-token","token_type":"bearer","expires_in":1800,"token_use":"client_credentials"}"#;
    let server = Server::responding(&[("200 OK", response)]);
    let outcome = with_app(&server, &["client-credentials", "--scope", "a", "--scope", "b", "--json"]).run();
    assert_eq!(outcome.succeeded().json()["token_use"], "client_credentials");
    assert!(server.only_request().body.starts_with("grant_type=client_credentials&client_id=id-1&"));
    assert!(server.only_request().body.ends_with("&scope=a%20b"));
}

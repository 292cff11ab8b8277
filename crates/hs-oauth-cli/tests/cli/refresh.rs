use serde_json::json;

use crate::harness::{ACCESS_TOKEN, REFRESH_TOKEN, Server, TOKENS, with_app};

#[test]
fn refresh_prints_short_aligned_lines_with_tokens_masked() {
    let server = Server::responding(&[TOKENS]);
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
    outcome.assert_no_file();
}

#[test]
fn refresh_with_json_prints_one_object_with_hubspots_field_names() {
    let server = Server::responding(&[TOKENS]);
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

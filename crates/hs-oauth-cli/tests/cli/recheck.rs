use hs_oauth_emulator::{Fault, Target};
use serde_json::json;

use crate::emulated::{Emulated, HUB};

/// Marks the account as gone, although HubSpot knows its grant.
fn marked_as_gone() -> Emulated {
    let home = Emulated::new();
    home.login_with_life(100);
    let gone = r#"{"operation":"refresh","status":400,"body":{"status":"BAD_REFRESH_TOKEN","error":"invalid_grant"}}"#;
    home.inject(serde_json::from_str(gone).unwrap());
    assert_eq!(home.run(&["token"]).status, 3);
    assert_eq!(home.state(HUB).as_deref(), Some("gone"));
    home
}

#[test]
fn recheck_brings_an_account_back_that_hubspot_still_knows() {
    let home = marked_as_gone();
    let outcome = home.run(&["recheck", "--yes"]);
    assert_eq!(outcome.succeeded().stdout, format!("{HUB}  live\n"));
    assert_eq!(home.state(HUB).as_deref(), Some("live"));
    let outcome = home.run(&["recheck", "--yes"]);
    assert_eq!(outcome.succeeded().stdout, "No account is marked as gone.\n");
}

#[test]
fn what_hubspot_refuses_again_stays_as_it_was() {
    let home = marked_as_gone();
    home.hubspot.emulator(|emulator| emulator.uninstall(62515));
    let outcome = home.run(&["recheck", HUB, "--yes", "--json"]);
    assert_eq!((outcome.status, &outcome.json()["accounts"][0]["state"]), (3, &json!("failed")));
    assert_eq!(home.state(HUB).as_deref(), Some("gone"));
}

#[test]
fn status_5_if_hubspot_does_not_answer_and_2_if_nobody_can_be_asked() {
    let home = marked_as_gone();
    assert_eq!(home.run(&["recheck"]).status, 2);
    home.inject(Fault::status(503).with_target(Target::Refresh).with_count(9));
    assert_eq!(home.run(&["recheck", "--yes"]).status, 5);
    assert_eq!(home.state(HUB).as_deref(), Some("gone"));
}

use hs_oauth_emulator::{Fault, Target};
use serde_json::json;

use crate::emulated::{Emulated, HUB};
use crate::harness::field;

#[test]
fn status_of_an_account_that_is_well_is_0() {
    let home = Emulated::connected();
    let outcome = home.run(&["status", HUB]);
    let text = &outcome.succeeded().stdout;
    assert_eq!((field(text, "account"), field(text, "state")), (HUB, "live"));
    assert_eq!(field(text, "scopes"), "oauth crm.objects.contacts.read");
    let object = home.run(&["status", HUB, "--json"]).succeeded().json();
    assert_eq!((&object["account"], &object["next_step"]), (&json!(HUB), &json!(null)));
    let all = home.run(&["status", "--json"]).succeeded().json();
    assert_eq!(all["accounts"][0]["account"], json!(HUB));
}

#[test]
fn status_3_if_the_account_has_to_connect_again_or_is_not_connected() {
    let home = Emulated::new();
    assert_eq!(home.run(&["status"]).status, 3);
    home.login_with_life(100);
    assert_eq!(home.run(&["status", "7"]).status, 3);
    home.hubspot.emulator(|emulator| emulator.uninstall(62515));
    assert_eq!(home.run(&["status"]).status, 0, "only a request can tell");
    let online = home.run(&["status", HUB, "--online"]);
    assert_eq!((online.status, field(&online.stdout, "state")), (3, "revoked"));
    assert_eq!(home.run(&["token"]).status, 3);
    let outcome = home.run(&["status", HUB]);
    assert_eq!((outcome.status, field(&outcome.stdout, "state")), (3, "gone"));
    assert!(field(&outcome.stdout, "next").contains("connect the app again"), "{outcome:?}");
}

#[test]
fn status_4_if_the_app_must_be_fixed_and_5_if_there_is_no_good_token_and_it_is_too_early() {
    let home = Emulated::new();
    home.login_with_life(100);
    home.hs_oauth(&["token"]).var("HUBSPOT_CLIENT_SECRET", "wrong").run();
    let outcome = home.run(&["status", HUB]);
    assert_eq!((outcome.status, field(&outcome.stdout, "state")), (4, "backing off"));
    assert!(field(&outcome.stdout, "back-off").contains("(client_refused)"), "{outcome:?}");

    let home = Emulated::new();
    home.login_with_life(1);
    home.inject(Fault::status(503).with_retry_after(600).with_target(Target::Refresh).with_count(99));
    assert_eq!(home.run(&["token"]).status, 5);
    // The old token is good for a second.
    let mut outcome = home.run(&["status", "--json"]);
    while outcome.status == 0 {
        outcome = home.run(&["status", "--json"]);
    }
    let account = &outcome.json()["accounts"][0];
    assert_eq!((outcome.status, &account["state"]), (5, &json!("backing_off")));
    assert_eq!((&account["cause"], &account["failures"]), (&json!("unavailable"), &json!(1)));
}

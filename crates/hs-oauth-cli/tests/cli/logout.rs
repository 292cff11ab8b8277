use hs_oauth_emulator::{Fault, Target};
use serde_json::json;

use crate::emulated::{Emulated, HUB};

#[test]
fn logout_revokes_the_refresh_token_and_forgets_the_account() {
    let home = Emulated::connected();
    let outcome = home.run(&["logout", HUB, "--yes"]);
    assert!(outcome.succeeded().stdout.contains("revoked"), "{outcome:?}");
    assert_eq!((home.state(HUB), home.requests(Target::Revoke)), (None, 1));
    assert_eq!(home.run(&["token", HUB]).status, 3);
}

#[test]
fn logout_local_forgets_and_revokes_nothing() {
    let home = Emulated::connected();
    let object = home.run(&["logout", HUB, "--local", "--yes", "--json"]).succeeded().json();
    assert_eq!(object, json!({"account": HUB, "revoked": false}));
    assert_eq!((home.state(HUB), home.requests(Target::Revoke)), (None, 0));
}

#[test]
fn without_a_terminal_and_without_yes_nothing_is_done() {
    let home = Emulated::connected();
    for command in ["logout", "uninstall"] {
        let outcome = home.run(&[command, HUB]);
        assert_eq!(outcome.status, 2);
        assert!(outcome.stderr.contains("pass --yes"), "{outcome:?}");
    }
    assert_eq!(home.state(HUB).as_deref(), Some("live"));
}

#[test]
fn status_5_if_hubspot_does_not_answer_and_the_next_logout_revokes() {
    let home = Emulated::connected();
    home.inject(Fault::status(503).with_target(Target::Revoke).with_count(9));
    assert_eq!(home.run(&["logout", HUB, "--yes"]).status, 5);
    home.hubspot.emulator(hs_oauth_emulator::Emulator::clear_faults);
    home.run(&["logout", HUB, "--yes"]).succeeded();
    assert_eq!(home.state(HUB), None);
}

#[test]
fn status_3_if_the_account_is_not_connected_and_2_if_none_is_named() {
    let home = Emulated::connected();
    assert_eq!(home.run(&["logout", "7", "--yes"]).status, 3);
    assert_eq!(home.run(&["logout", "--yes"]).status, 2);
}

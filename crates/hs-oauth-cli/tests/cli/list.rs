use hs_oauth_emulator::Target;
use serde_json::json;

use crate::emulated::{Emulated, HUB};

#[test]
fn list_says_that_nothing_is_connected() {
    let home = Emulated::new();
    let outcome = home.run(&["list"]);
    assert!(outcome.succeeded().stdout.contains("hs-oauth login"), "{outcome:?}");
    assert_eq!(home.run(&["list", "--json"]).succeeded().json()["accounts"], json!([]));
    assert!(!home.home.join(".local").exists(), "looking creates nothing");
}

#[test]
fn list_is_a_table_for_people_and_an_object_for_programs_and_makes_no_request() {
    let home = Emulated::connected();
    let before = home.hubspot.emulator(|emulator| emulator.journal().len());
    let text = home.run(&["list"]).succeeded().stdout.clone();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["ACCOUNT", "STATE", "TOKEN", "RENEWED", "BACK-OFF", "SCOPES"]
    );
    for part in [HUB, "live", "left", "ago", "oauth crm.objects.contacts.read"] {
        assert!(lines[1].contains(part), "{part}: {text}");
    }
    let object = home.run(&["list", "--json"]).succeeded().json();
    let account = &object["accounts"][0];
    assert_eq!((&account["account"], &account["state"]), (&json!(HUB), &json!("live")));
    assert_eq!(account["client_id"], json!(home.hubspot.settings().client_id));
    assert!(account["expires_in"].as_u64().unwrap() <= 1800 && account["renewed_at"].is_u64(), "{account}");
    assert_eq!(home.hubspot.emulator(|emulator| emulator.journal().len()), before);
}

#[test]
fn online_asks_hubspot_about_each_refresh_token_and_changes_nothing() {
    let home = Emulated::connected();
    home.run(&["list", "--online"]).succeeded();
    assert_eq!(home.requests(Target::Introspect), 1);
    home.hubspot.emulator(|emulator| emulator.uninstall(62515));
    let outcome = home.run(&["list", "--online", "--json"]);
    assert_eq!(outcome.status, 3, "{outcome:?}");
    let object = outcome.json();
    let account = &object["accounts"][0];
    assert_eq!((&account["state"], &account["active"]), (&json!("revoked"), &json!(false)));
    assert_eq!(home.state(HUB).as_deref(), Some("live"));
}

#[test]
fn the_exit_status_of_list_is_that_of_status() {
    let home = Emulated::new();
    home.login_with_life(100);
    home.hubspot.emulator(|emulator| emulator.uninstall(62515));
    home.run(&["list"]).succeeded();
    assert_eq!(home.run(&["token"]).status, 3);
    for command in ["list", "status"] {
        let outcome = home.run(&[command]);
        assert_eq!((outcome.status, outcome.stderr.as_str()), (3, ""), "{outcome:?}");
        assert!(outcome.stdout.contains("gone"), "{outcome:?}");
    }

    let home = Emulated::new();
    home.login_with_life(100);
    home.hs_oauth(&["token"]).var("HUBSPOT_CLIENT_SECRET", "wrong").run();
    assert_eq!(home.run(&["list"]).status, 4);
    assert_eq!(home.run(&["status"]).status, 4);
}

#[test]
fn a_record_that_cannot_be_read_is_listed_and_named_by_the_exit_status() {
    let home = Emulated::connected();
    let record = home.home.join(".local/state/hs-oauth/default/tokens").join(format!("{HUB}.json"));
    std::fs::write(record, "{").unwrap();
    let outcome = home.run(&["list", "--json"]);
    let account = &outcome.json()["accounts"][0];
    assert_eq!((outcome.status, &account["state"]), (4, &json!("unreadable")), "{outcome:?}");
    assert_eq!(account["next_step"], "fix_configuration");
}

#[test]
fn an_unknown_profile_is_a_usage_error_that_names_those_there_are() {
    let home = Emulated::connected();
    for command in ["list", "status", "token", "export"] {
        let outcome = home.run(&[command, "--profile", "typo"]);
        assert_eq!(outcome.status, 2, "{outcome:?}");
        assert!(outcome.stderr.contains("there is no profile typo; there are default"), "{outcome:?}");
    }
}

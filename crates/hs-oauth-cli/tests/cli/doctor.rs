use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use hs_oauth_emulator::Target;
use serde_json::Value;

use crate::emulated::{Emulated, HUB};
use crate::harness::Outcome;

/// Returns the level and the text of a check.
fn check(outcome: &Outcome, name: &str) -> (String, String) {
    let object = outcome.json();
    let checks = object["checks"].as_array().unwrap();
    let check =
        checks.iter().find(|check| check["check"] == name).unwrap_or_else(|| panic!("no {name}: {object}"));
    let text = |member: &str| check[member].as_str().unwrap().to_owned();
    assert_eq!(check["advice"] == Value::Null, check["level"] == "green", "{check}");
    (text("level"), text("text"))
}

fn level(outcome: &Outcome, name: &str) -> String {
    check(outcome, name).0
}

#[test]
fn all_is_green_after_a_login_and_nothing_is_changed() {
    let home = Emulated::connected();
    let outcome = home.run(&["doctor", "--json"]);
    outcome.succeeded();
    for name in [
        "profile",
        "settings",
        "redirect URI",
        "API version",
        "proxy",
        "DNS",
        "connection",
        "clock",
        "client secret",
        "store",
        "account 62515",
    ] {
        assert_eq!(level(&outcome, name), "green", "{name}: {outcome:?}");
    }
    assert_eq!((home.requests(Target::Introspect), home.requests(Target::Refresh)), (1, 0));
    let outcome = home.run(&["doctor"]);
    let text = &outcome.succeeded().stdout;
    assert!(text.lines().all(|line| line.starts_with("ok     ")), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour without a terminal");
    assert!(!text.contains(&home.hubspot.settings().client_secret));
}

#[test]
fn with_nothing_set_up_it_names_all_that_is_missing() {
    let outcome = Emulated::new().hs_oauth(&["doctor", "--json", "--api-base=http://127.0.0.1:1"]).run();
    assert_eq!(outcome.status, 4);
    let (found, text) = check(&outcome, "settings");
    assert_eq!(found, "red");
    assert!(text.contains("HUBSPOT_CLIENT_ID") && text.contains("HUBSPOT_CLIENT_SECRET"), "{text}");
    assert_eq!(level(&outcome, "redirect URI"), "yellow");
}

#[test]
fn a_wrong_secret_has_to_be_fixed() {
    let outcome =
        Emulated::connected().hs_oauth(&["doctor", "--json"]).var("HUBSPOT_CLIENT_SECRET", "wrong").run();
    assert_eq!((outcome.status, level(&outcome, "client secret").as_str()), (4, "red"));
    assert!(!outcome.stdout.contains("\"wrong\""), "{outcome:?}");
}

#[test]
fn an_api_that_cannot_be_reached_may_be_there_later() {
    let home = Emulated::new();
    let outcome = home.with_app(&["doctor", "--json"]).var("HUBSPOT_API_BASE", "http://127.0.0.1:1").run();
    assert_eq!((outcome.status, level(&outcome, "connection").as_str()), (5, "red"));
}

#[test]
fn a_store_that_others_can_read_has_to_be_fixed_and_the_advice_is_the_command() {
    let home = Emulated::connected();
    let state = home.home.join(".local/state/hs-oauth/default");
    for (path, mode, bad) in [(state.join("tokens"), 0o700, 0o755), (state.join("sealing-key"), 0o600, 0o644)]
    {
        fs::set_permissions(&path, fs::Permissions::from_mode(bad)).unwrap();
        let outcome = home.run(&["doctor", "--json"]);
        let (found, text) = check(&outcome, "store");
        assert_eq!((outcome.status, found.as_str()), (4, "red"), "{outcome:?}");
        assert!(text.contains(&format!("chmod {mode:o} '{}'", path.display())), "{text}");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// HubSpot removes `v1` on 2027-02-16.
#[test]
fn a_version_that_ends_and_a_port_that_is_taken_are_yellow() {
    let home = Emulated::connected();
    let port = home.redirect_uri.split(['/', ':']).nth(4).unwrap().parse::<u16>().unwrap();
    let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let outcome = home.hs_oauth(&["doctor", "--json"]).var("HUBSPOT_API_VERSION", "v3").run();
    outcome.succeeded();
    let (found, text) = check(&outcome, "API version");
    assert!(found == "yellow" && text.starts_with("v3 ends in ") && text.contains(" days"), "{text}");
    assert_eq!(level(&outcome, "redirect URI"), "yellow");
}

#[test]
fn an_account_that_is_gone_is_yellow_and_the_advice_is_the_command() {
    let home = Emulated::new();
    home.login_with_life(100);
    home.hubspot.emulator(|emulator| emulator.uninstall(62515));
    assert_eq!(home.run(&["token"]).status, 3);
    let outcome = home.run(&["doctor"]);
    assert!(outcome.succeeded().stdout.contains(&format!("hs-oauth login --hub-id {HUB}")), "{outcome:?}");
}

#[test]
fn a_file_with_settings_that_cannot_be_read_is_a_check_that_fails() {
    let home = Emulated::new();
    fs::create_dir_all(home.home.join(".config/hs-oauth")).unwrap();
    fs::write(home.home.join(".config/hs-oauth/config.toml"), "[profiles.default]\nclient = 'CANARY'\n")
        .unwrap();
    let outcome = home.run(&["doctor", "--json"]);
    let (_, text) = check(&outcome, "settings");
    assert!(text.contains("line 2: unknown field `client`"), "{text}");
    assert_eq!(outcome.status, 4);
    assert!(!outcome.stdout.contains("CANARY"), "{outcome:?}");
    assert_eq!(home.run(&["token"]).status, 2);
}

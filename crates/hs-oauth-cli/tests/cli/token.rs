use std::time::Duration;

use hs_oauth_emulator::{Fault, Target};
use serde_json::json;

use crate::emulated::{Emulated, HUB, LONG};
use crate::harness::hs_oauth;
use crate::running::Running;

#[test]
fn token_prints_the_token_alone_or_as_a_header_or_with_what_is_known_of_it() {
    let home = Emulated::connected();
    let token = home.run(&["token"]).succeeded().stdout.clone();
    assert!(token.len() > 20 && token.trim_end() == token.strip_suffix('\n').unwrap(), "{token}");
    let header = home.run(&["token", HUB, "--header"]).succeeded().stdout.clone();
    assert_eq!(header, format!("Authorization: Bearer {token}"));
    let object = home.run(&["token", "--json"]).succeeded().json();
    assert_eq!((&object["account"], &object["access_token"]), (&json!(HUB), &json!(token.trim_end())));
    assert!((1..=1800).contains(&object["expires_in"].as_u64().unwrap()), "{object}");
    assert_eq!(home.requests(Target::Refresh), 0);
}

#[test]
fn a_token_that_does_not_last_long_enough_is_renewed_first() {
    let home = Emulated::new();
    home.login_with_life(200);
    let old = home.run(&["token", "--min-life=2m"]).succeeded().stdout.clone();
    assert_eq!(home.requests(Target::Refresh), 0);
    let new = home.run(&["token"]).succeeded().stdout.clone();
    assert_ne!(old, new);
    assert_eq!(home.run(&["token"]).succeeded().stdout, new);
    assert_eq!(home.requests(Target::Refresh), 1);
}

/// RENEWAL.md, rule 1: one refresh per account at a time, across processes by the lease in the record.
#[test]
fn processes_that_ask_at_the_same_time_make_one_request() {
    let home = Emulated::new();
    home.login_with_old_token();
    home.inject(Fault::delay(Duration::from_millis(500)).with_target(Target::Refresh));
    let running: Vec<_> = (0..6).map(|_| Running::start(home.hs_oauth(&["token", HUB, LONG]))).collect();
    let tokens: Vec<_> =
        running.into_iter().map(|running| running.outcome().succeeded().stdout.clone()).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert_eq!(home.requests(Target::Refresh), 1);
}

#[test]
fn status_2_if_several_accounts_are_connected_and_none_is_named() {
    let home = Emulated::connected();
    home.hubspot.emulator(|emulator| emulator.add_hub(7, "seven.example.com"));
    home.login(&["--hub-id", "7"]).succeeded_with_messages();
    let outcome = home.run(&["token"]);
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("name one of 7, 62515"), "{outcome:?}");
    let (one, other) = (home.run(&["token", "7"]), home.run(&["token", HUB]));
    assert_ne!(one.succeeded().stdout, other.succeeded().stdout);
}

#[test]
fn status_2_if_no_token_lasts_as_long_and_if_the_account_is_none() {
    let home = Emulated::connected();
    let outcome = home.run(&["token", "--min-life=2h"]);
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("a shorter --min-life"), "{outcome:?}");
    let outcome = home.run(&["token", "--min-life=soon"]);
    assert_eq!(outcome.status, 2);
    assert!(
        outcome.stderr.contains("a duration is such as 90s") && !outcome.stderr.contains("soon"),
        "{outcome:?}"
    );
    for arguments in
        [&["token", "na1-CANARY"][..], &["token", "--min-life=CANARY"], &["token", "1", "CANARY"]]
    {
        let outcome = hs_oauth(arguments).run();
        assert_eq!(outcome.status, 2);
        assert!(!outcome.stderr.contains("CANARY"), "{outcome:?}");
    }
}

#[test]
fn status_3_if_nothing_is_connected_or_the_grant_is_gone() {
    let home = Emulated::new();
    let outcome = home.with_app(&["token"]).run();
    assert_eq!(outcome.status, 3);
    assert!(outcome.stderr.contains("hs-oauth login"), "{outcome:?}");
    home.login_with_life(100);
    assert_eq!(home.run(&["token", "7"]).status, 3);
    home.hubspot.emulator(|emulator| emulator.uninstall(62515));
    let outcome = home.run(&["token", "--json"]);
    assert_eq!((outcome.status, &outcome.json()["next_step"]), (3, &json!("reauthorize")));
    assert_eq!(home.state(HUB).as_deref(), Some("gone"));
}

#[test]
fn status_4_if_the_secret_is_wrong_and_the_account_stays_as_it_was() {
    let home = Emulated::new();
    home.login_with_life(100);
    let outcome = home.hs_oauth(&["token"]).var("HUBSPOT_CLIENT_SECRET", "wrong").run();
    assert_eq!(outcome.status, 4, "{outcome:?}");
    assert_eq!(home.state(HUB).as_deref(), Some("backing_off"));
    // With the right one nobody has to wait.
    home.run(&["token"]).succeeded();
}

#[test]
fn status_5_if_hubspot_is_busy_and_a_token_that_lasts_long_enough_is_printed_all_the_same() {
    let home = Emulated::new();
    home.login_with_life(200);
    home.inject(Fault::status(503).with_retry_after(60).with_target(Target::Refresh).with_count(99));
    let outcome = home.run(&["token"]);
    assert_eq!(outcome.status, 5, "{outcome:?}");
    assert!(outcome.stderr.contains("try again in "), "{outcome:?}");
    home.run(&["token", "--min-life=60s"]).succeeded();
}

#[test]
fn a_signal_during_a_renewal_does_not_lose_the_tokens() {
    let home = Emulated::new();
    home.login_with_old_token();
    home.inject(Fault::delay(Duration::from_secs(3)).with_target(Target::Refresh));
    let mut running = Running::start(home.hs_oauth(&["token", LONG]));
    while home.requests(Target::Refresh) == 0 {
        std::thread::yield_now();
    }
    running.signal("INT");
    running.expect("tokens may have been issued already");
    let token = running.outcome().succeeded_with_messages().stdout.clone();
    assert_eq!(home.run(&["token"]).succeeded().stdout, token);
    assert_eq!(home.requests(Target::Refresh), 1);
}

#[test]
fn without_the_key_of_its_store_no_token_is_printed_and_no_new_key_is_made() {
    let home = Emulated::connected();
    let key = home.home.join(".local/state/hs-oauth/default/sealing-key");
    std::fs::remove_file(&key).unwrap();
    let outcome = home.run(&["token"]);
    assert_eq!(outcome.status, 1);
    assert!(outcome.stderr.contains("sealing-key is missing"), "{outcome:?}");
    assert!(!key.exists());
}

use std::fs;

use serde_json::{Value, json};

use crate::emulated::{Emulated, HUB};
use crate::harness::assert_private;

#[test]
fn export_prints_the_refresh_tokens_one_object_a_line_or_as_csv() {
    let home = Emulated::connected();
    let line: Value = serde_json::from_str(&home.run(&["export"]).succeeded().stdout).unwrap();
    let token = line["refresh_token"].as_str().unwrap();
    assert_eq!(line, json!({"hub_id": 62515, "refresh_token": token}));
    let csv = home.run(&["export", HUB, "--format=csv"]).succeeded().stdout.clone();
    assert_eq!(csv, format!("hub_id,user_id,refresh_token\n62515,,{token}\n"));
    assert_eq!(home.run(&["export", "--json"]).succeeded().json(), json!({"accounts": [line]}));
    // It is the token that works.
    let run = home.hs_oauth(&["refresh", "--json"]).var("HUBSPOT_REFRESH_TOKEN", token);
    assert_eq!(run.run().succeeded().json()["hub_id"], 62515);
}

#[test]
fn a_file_is_new_and_nobody_else_can_read_it() {
    let home = Emulated::connected();
    let file = home.home.join("tokens.jsonl");
    let outcome = home.run(&["export", "--output", file.to_str().unwrap()]);
    assert!(outcome.succeeded().stdout.starts_with("1 refresh tokens are in "), "{outcome:?}");
    assert_private(&file);
    let content = fs::read_to_string(&file).unwrap();
    assert_eq!(home.run(&["export", "--output", file.to_str().unwrap()]).status, 2);
    assert_eq!(fs::read_to_string(&file).unwrap(), content);
}

#[test]
fn status_2_if_a_named_account_is_not_connected() {
    let outcome = Emulated::connected().run(&["export", HUB, "7"]);
    assert_eq!((outcome.status, outcome.stdout.as_str()), (2, ""));
    assert!(outcome.stderr.contains("the account 7 is not connected"), "{outcome:?}");
}

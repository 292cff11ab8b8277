//! `import`: tables in each format, what HubSpot refuses, and what is left after a stop in the middle.

use std::fs;
use std::time::SystemTime;

use hs_oauth_blocking::{App, Authorize, Client, ClientSecret, Scopes, Timestamp};
use hs_oauth_emulator::{Fault, Rotation, Target};
use serde_json::{Value, json};

use crate::emulated::{Emulated, HUB};
use crate::harness::{Outcome, Run};
use crate::running::Running;

/// An account with a refresh token that another program has.
pub(crate) struct Grant {
    hub_id: i64,
    refresh_token: String,
}

/// Connects accounts to the app in another program, which keeps their refresh tokens in a table.
pub(crate) fn grants(home: &Emulated, hub_ids: impl IntoIterator<Item = i64>) -> Vec<Grant> {
    let settings = home.hubspot.settings();
    let app = App::hubspot(&settings.client_id, ClientSecret::new(&*settings.client_secret).unwrap())
        .with_redirect_uri(&home.redirect_uri)
        .with_api_base(home.hubspot.url())
        .with_app_base(home.hubspot.url())
        .build()
        .unwrap();
    let client = Client::new(app.clone());
    let scopes: Scopes = "oauth".parse().unwrap();
    let connect = |hub_id: i64| {
        home.hubspot.emulator(|emulator| emulator.add_hub(hub_id, "example.com"));
        let now = Timestamp::from(SystemTime::now());
        let authorization = Authorize::new(scopes.clone()).with_hub_id(hub_id).begin(&app, now).unwrap();
        let callback = home.hubspot.connect(authorization.url.as_str()).unwrap();
        let code = authorization.pending.accept(now, callback.split_once('?').unwrap().1).unwrap();
        let tokens = client.exchange_code(code).unwrap();
        assert_eq!(tokens.hub_id, Some(hub_id));
        Grant { hub_id, refresh_token: tokens.refresh_token.unwrap().expose().to_owned() }
    };
    hub_ids.into_iter().map(connect).collect()
}

pub(crate) fn csv(grants: &[Grant]) -> String {
    let row = |grant: &Grant| format!("{},{}\n", grant.hub_id, grant.refresh_token);
    format!("hub_id,refresh_token\n{}", grants.iter().map(row).collect::<String>())
}

fn import(home: &Emulated, table: &str, arguments: &[&str]) -> Run {
    let arguments = [&["import", "table.csv", "--json", "--rate", "1000"], arguments].concat();
    home.with_app(&arguments).file("table.csv", table)
}

/// Returns the sums that a run has printed, without those that are zero.
fn sums(outcome: &Outcome) -> Value {
    let mut object = outcome.json().as_object().unwrap().clone();
    object.retain(|name, value| name != "refused_rows" && *value != 0);
    object.into()
}

fn report(outcome: &Outcome) -> Vec<Value> {
    outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn refreshes(home: &Emulated) -> usize {
    home.requests(Target::Refresh)
}

#[test]
fn each_token_is_verified_once_and_the_profile_works_from_then_on() {
    let home = Emulated::new();
    let table = csv(&grants(&home, 1..=5));
    let outcome = import(&home, &table, &[]).run();
    assert_eq!(sums(outcome.succeeded()), json!({"rows": 5, "accepted": 5}));
    assert_eq!(refreshes(&home), 5);
    assert_eq!(home.state("3").as_deref(), Some("live"));
    home.run(&["token", "3"]).succeeded();
    assert_eq!(refreshes(&home), 5);

    // Again, with nothing left to do.
    let outcome = home.hs_oauth(&["import", "table.csv", "--json"]).file("table.csv", &table).run();
    assert_eq!(sums(outcome.succeeded()), json!({"rows": 5, "accepted": 5, "accepted_earlier": 5}));
    assert_eq!(refreshes(&home), 5);
}

#[test]
fn people_read_the_sums_and_which_rows_are_refused() {
    let home = Emulated::new();
    let table = format!("{}8,na1-unknown\n,na1-CANARY\n", csv(&grants(&home, [7])));
    let outcome = home.with_app(&["import", "-", "--rate", "100"]).stdin(&table).run();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (6, ""), "{outcome:?}");
    let (rows, sum) = outcome.stdout.trim_end().rsplit_once('\n').unwrap();
    assert!(rows.contains("line 4: refused: there is no hub id\n"), "{rows}");
    assert!(rows.contains("line 3 (account 8): refused: the account's grant is gone"), "{rows}");
    assert_eq!(sum, "3 rows: 1 accepted, 2 refused");
    assert!(!outcome.stdout.contains("CANARY"));
    // Who lost the app can be told, and tried again.
    assert_eq!(home.state("8").as_deref(), Some("gone"));
}

#[test]
fn json_lines_and_the_settings_of_hs_are_read_too() {
    let home = Emulated::new();
    let grants = grants(&home, [7, 8, 9]);
    let client_id = &home.hubspot.settings().client_id;
    let token = |index: usize| &grants[index].refresh_token;
    let lines = format!("{{\"portalId\": \"7\", \"refreshToken\": \"{}\"}}\n", token(0));
    let config = format!(
        "accounts:\n  - accountId: 8\n    authType: oauth2\n    auth:\n      clientId: {client_id}\n      tokenInfo:\n        refreshToken: {}\n  \
         - accountId: 9\n    authType: oauth2\n    auth:\n      clientId: another\n      tokenInfo:\n        refreshToken: {}\n  \
         - accountId: 10\n    authType: personalaccesskey\n    personalAccessKey: CANARY\n",
        token(1),
        token(2)
    );
    let outcome = home.with_app(&["import", "a.jsonl", "--json"]).file("a.jsonl", lines).run();
    assert_eq!(sums(outcome.succeeded()), json!({"rows": 1, "accepted": 1}));
    let run =
        home.with_app(&["import", "hubspot.config.yml", "--report", "-"]).file("hubspot.config.yml", config);
    let outcome = run.run();
    assert_eq!(outcome.status, 6);
    assert_eq!(outcome.stderr, "hs-oauth: 3 rows: 1 accepted, 2 refused\n");
    let mut rows = report(&outcome);
    rows.sort_by_key(|row| row["line"].as_u64());
    let short: Vec<_> = rows.iter().map(|row| (&row["line"], &row["status"], &row["reason"])).collect();
    assert_eq!(
        short,
        [
            (&json!(2), &json!("accepted"), &Value::Null),
            (&json!(8), &json!("refused"), &json!("other_app")),
            (&json!(14), &json!("refused"), &json!("invalid")),
        ]
    );
}

/// What `export` writes, `import` reads.
#[test]
fn what_was_exported_can_be_imported_elsewhere() {
    let home = Emulated::connected();
    for format in ["csv", "jsonl"] {
        let exported = home.run(&["export", "--format", format]).succeeded().stdout.clone();
        let other = format!("other-{format}");
        let outcome = home.with_app(&["import", "-", "--json", "--profile", &other]).stdin(&exported).run();
        assert_eq!(sums(outcome.succeeded()), json!({"rows": 1, "accepted": 1}));
        home.run(&["token", HUB, "--profile", &other]).succeeded();
    }
}

#[test]
fn the_report_has_a_line_for_each_row_and_no_token() {
    let home = Emulated::new();
    let grants = grants(&home, [7, 8]);
    let (seven, eight) = (&grants[0].refresh_token, &grants[1].refresh_token);
    let table = format!(
        "hub_id,refresh_token,note\n7,{seven},a\n7,{seven},twice\n7,{eight},other\n8,{eight},b\n9,{eight},not its own\n10,na1-unknown,c\nx,na1-CANARY,d\n"
    );
    let outcome = import(&home, &table, &["--report", "report.jsonl"]).run();
    assert_eq!((outcome.status, outcome.stderr.as_str()), (6, ""), "{outcome:?}");
    let text = fs::read_to_string(outcome.folder.join("report.jsonl")).unwrap();
    let mut rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    rows.sort_by_key(|row| row["line"].as_u64());
    let short: Vec<_> = rows
        .iter()
        .map(|row| {
            format!("{} {} {} {}", row["line"], row["account"], row["status"], row["reason"]).replace('"', "")
        })
        .collect();
    assert_eq!(
        short,
        [
            "2 7 accepted null",
            "3 7 unchanged null",
            "4 7 refused duplicate",
            "5 8 accepted null",
            "6 9 refused other_account",
            "7 10 refused gone",
            "8 null refused invalid",
        ]
    );
    for secret in [seven, eight, "CANARY", "na1-"] {
        assert!(!text.contains(secret) && !outcome.stdout.contains(secret), "{text}");
    }
    // A token of another account leaves nothing behind.
    assert_eq!(home.state("9"), None);
}

#[test]
fn without_verification_nothing_is_sent_and_a_later_import_can_make_up_for_it() {
    let home = Emulated::new();
    let table = csv(&grants(&home, 1..=3));
    let outcome = import(&home, &table, &["--no-verify"]).run();
    assert_eq!(sums(outcome.succeeded()), json!({"rows": 3, "stored": 3}));
    assert_eq!(refreshes(&home), 0);
    let outcome = import(&home, &table, &[]).run();
    assert_eq!(sums(outcome.succeeded()), json!({"rows": 3, "accepted": 3}));
    assert_eq!(refreshes(&home), 3);
}

/// HubSpot may have replaced a refresh token since the table was written.
#[test]
fn an_account_that_is_connected_keeps_its_token_unless_it_is_to_be_replaced() {
    let home = Emulated::connected();
    let table = csv(&grants(&home, [HUB.parse().unwrap()]));
    let outcome = import(&home, &table, &[]).run();
    assert_eq!(outcome.status, 6);
    assert_eq!(outcome.json()["refused_rows"][0]["reason"], "already_connected");
    assert_eq!(refreshes(&home), 0);
    let outcome = import(&home, &table, &["--replace"]).run();
    assert_eq!(sums(outcome.succeeded()), json!({"rows": 1, "accepted": 1}));
    assert_eq!(refreshes(&home), 1);
}

#[test]
fn a_wrong_secret_stops_the_import_and_marks_nobody_as_gone() {
    let home = Emulated::new();
    let table = csv(&grants(&home, 1..=20));
    let outcome = import(&home, &table, &[]).var("HUBSPOT_CLIENT_SECRET", "wrong").run();
    assert_eq!(outcome.status, 4, "{outcome:?}");
    assert!(outcome.stderr.contains("20 rows: 0 accepted, 20 not done yet"), "{outcome:?}");
    let outcome = import(&home, &table, &[]).run();
    assert_eq!(sums(&outcome)["refused"], Value::Null, "{outcome:?}");
}

#[test]
fn refusals_of_many_accounts_stop_the_import_unless_they_are_expected() {
    let home = Emulated::new();
    let unknown: String = (1..=30).map(|hub_id| format!("{hub_id},na1-unknown-{hub_id}\n")).collect();
    let table = format!("hub_id,refresh_token\n{unknown}");
    let outcome = import(&home, &table, &[]).run();
    assert_eq!(outcome.status, 4, "{outcome:?}");
    let outcome = import(&home, &table, &["--accept-refusals", "--profile", "other"]).run();
    assert_eq!((outcome.status, sums(&outcome)), (6, json!({"rows": 30, "refused": 30})));
}

#[test]
fn a_row_that_hubspot_puts_off_is_tried_again() {
    let home = Emulated::new();
    let table = csv(&grants(&home, [7]));
    home.inject(Fault::status(429).with_retry_after(1).with_count(1).with_target(Target::Refresh));
    let outcome = import(&home, &table, &[]).run();
    assert_eq!(sums(outcome.succeeded()), json!({"rows": 1, "accepted": 1}));
}

#[test]
fn a_table_that_cannot_be_read_has_exit_status_2() {
    let home = Emulated::new();
    for (table, part) in
        [("", "table.csv"), ("hub_id,refresh_token\n", "no rows"), ("7,na1-CANARY\n", "no column hub_id")]
    {
        let outcome = import(&home, table, &[]).run();
        assert_eq!(outcome.status, 2, "{outcome:?}");
        assert!(outcome.stderr.contains(part) && !outcome.stderr.contains("CANARY"), "{outcome:?}");
    }
    let outcome = home.with_app(&["import", "nowhere.csv"]).run();
    assert_eq!(outcome.status, 2, "{outcome:?}");
}

/// Starts an import of these accounts, and waits until some of them have been verified.
#[cfg(unix)]
fn start_and_wait(home: &Emulated, table: &str) -> Running {
    let arguments = ["import", "table.csv", "--rate", "10", "--json"];
    let running = Running::start(home.with_app(&arguments).file("table.csv", table));
    while refreshes(home) < 3 {
        std::thread::yield_now();
    }
    running
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_after_what_is_under_way_and_the_same_command_goes_on() {
    for rotation in [Rotation::Keep, Rotation::Strict] {
        let home = Emulated::new();
        let table = csv(&grants(&home, 1..=30));
        home.hubspot.emulator(|emulator| emulator.set_rotation(rotation));
        let mut running = start_and_wait(&home, &table);
        running.signal("INT");
        running.expect("stopping when what is under way is done");
        let outcome = running.outcome();
        assert_eq!(outcome.status, 5, "{outcome:?}");
        let sent = refreshes(&home);
        assert_eq!(outcome.json()["accepted"], sent, "{outcome:?}");
        assert!((3..30).contains(&sent), "{sent}");

        let outcome = import(&home, &table, &[]).run();
        assert_eq!(sums(outcome.succeeded()), json!({"rows": 30, "accepted": 30, "accepted_earlier": sent}));
        // Each token was sent once. In strict mode, a second time would have ended its grant.
        assert_eq!(refreshes(&home), 30);
        assert_eq!(home.state("30").as_deref(), Some("live"));
    }
}

#[cfg(unix)]
#[test]
fn nothing_is_lost_when_it_is_killed_and_the_same_command_goes_on() {
    let home = Emulated::new();
    let table = csv(&grants(&home, 1..=30));
    let mut sent = 0;
    for _ in 0..2 {
        let running = start_and_wait(&home, &table);
        while refreshes(&home) < sent + 5 {
            std::thread::yield_now();
        }
        running.signal("KILL");
        assert_eq!(running.outcome().status, -9);
        sent = refreshes(&home);
    }
    let outcome = import(&home, &table, &[]).run();
    let sums = sums(outcome.succeeded());
    assert_eq!((&sums["rows"], &sums["accepted"]), (&json!(30), &json!(30)));
    assert!(sums["accepted_earlier"].as_u64().unwrap() > 0, "{sums}");
    // A request whose response the killed program did not save is sent again: at most one for each of its threads.
    assert!((30..=50).contains(&refreshes(&home)), "{}", refreshes(&home));
    let list = home.run(&["list", "--json"]).succeeded().json();
    let live =
        list["accounts"].as_array().unwrap().iter().filter(|account| account["state"] == "live").count();
    assert_eq!(live, 30);
}

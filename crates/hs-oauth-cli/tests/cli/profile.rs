use std::fs;

use hs_oauth_emulator::Target;
use serde_json::json;

use crate::emulated::{Emulated, HUB};
use crate::harness::field;

#[test]
fn each_profile_is_an_app_with_accounts_of_its_own() {
    let home = Emulated::connected();
    home.login(&["--profile", "staging"]).succeeded_with_messages();
    home.run(&["logout", HUB, "--yes", "--profile", "staging"]).succeeded();
    assert_eq!(home.state(HUB).as_deref(), Some("live"));
    let list = home.hs_oauth(&["list", "--json"]).var("HS_OAUTH_PROFILE", "staging").run();
    assert_eq!(list.succeeded().json(), json!({"profile": "staging", "accounts": []}));
}

#[test]
fn list_use_and_show_say_which_profile_counts_and_where_its_files_are() {
    let home = Emulated::connected();
    home.login(&["--profile", "staging"]).succeeded_with_messages();
    let client_id = &home.hubspot.settings().client_id;
    assert_eq!(
        home.run(&["profile", "list"]).succeeded().stdout,
        format!("* default  {client_id}\n  staging  {client_id}\n")
    );
    home.run(&["profile", "use", "staging"]).succeeded();
    assert_eq!(
        home.run(&["profile", "list", "--json"]).succeeded().json(),
        json!({"profile": "staging", "profiles": ["default", "staging"]})
    );
    let outcome = home.run(&["profile", "show"]);
    let text = &outcome.succeeded().stdout;
    assert_eq!((field(text, "profile"), field(text, "client_id")), ("staging", client_id.as_str()));
    assert!(field(text, "store").ends_with("/hs-oauth/staging/tokens"), "{text}");
    assert!(field(text, "client_secret").ends_with("/hs-oauth/staging/client-secret"), "{text}");
    assert!(!text.contains(&home.hubspot.settings().client_secret), "{text}");
    let show = home.run(&["profile", "show", "default", "--json"]).succeeded().json();
    assert_eq!(show["redirect_uri"], json!(home.redirect_uri));
}

#[test]
fn status_2_if_there_is_no_such_profile() {
    let home = Emulated::connected();
    for arguments in
        [&["profile", "use", "typo"][..], &["profile", "show", "typo"], &["profile", "use", "../x"]]
    {
        assert_eq!(home.run(arguments).status, 2, "{arguments:?}");
    }
    assert!(!fs::read_to_string(home.home.join(".config/hs-oauth/config.toml")).unwrap().contains("typo"));
}

/// The folders are those of the XDG Base Directory Specification.
#[test]
fn settings_and_tokens_are_where_the_environment_says() {
    let home = Emulated::new();
    let (config, state) = (home.home.join("config"), home.home.join("state"));
    fs::create_dir_all(config.join("hs-oauth")).unwrap();
    let text = format!(
        "# what a person wrote stays\nprofile = \"work\"\n\n[profiles.work]\nclient_id = \"{}\" # the app\n",
        home.hubspot.settings().client_id
    );
    fs::write(config.join("hs-oauth/config.toml"), &text).unwrap();
    let set = |arguments: &[&str]| {
        home.with_app(arguments)
            .var("XDG_CONFIG_HOME", config.to_str().unwrap())
            .var("XDG_STATE_HOME", state.to_str().unwrap())
    };
    let mut running = crate::running::Running::start(
        set(&["login", "--no-browser", "--scope=oauth"]).var("HUBSPOT_API_BASE", ""),
    );
    let url = running.expect(home.hubspot.url()).trim().to_owned();
    // HubSpot's own API is not asked for anything here: the person goes away.
    running.signal("INT");
    assert!(running.outcome().status < 0);
    assert!(url.contains("/oauth/authorize"));
    assert!(state.join("hs-oauth/work/tokens").is_dir());
    home.run(&["profile", "list"]).succeeded();
    set(&["profile", "use", "work"]).run().succeeded();
    assert_eq!(fs::read_to_string(config.join("hs-oauth/config.toml")).unwrap(), text);
    assert_eq!(home.requests(Target::ExchangeCode), 0);
}

#[test]
fn the_raw_commands_take_their_settings_from_the_profile_too() {
    let home = Emulated::connected();
    let token = home.run(&["token"]).succeeded().stdout.clone();
    let outcome = home.hs_oauth(&["introspect", "--type=access", "-"]).stdin(&token).run();
    assert_eq!(field(&outcome.succeeded().stdout, "active"), "true");
    // With another app's client id, nothing of the profile counts: its secret is not sent for that app.
    let outcome = home.hs_oauth(&["introspect", "--type=access", "-"]).stdin(&token);
    let outcome = outcome.var("HUBSPOT_CLIENT_ID", "other").run();
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("HUBSPOT_CLIENT_SECRET"), "{outcome:?}");
}

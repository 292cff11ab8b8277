use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hs_oauth_emulator::{Fault, Target};
use serde_json::json;

use crate::emulated::{Emulated, HUB, get, request};
use crate::harness::hs_oauth;
use crate::running::Running;

/// The port of the redirect URI.
fn host(home: &Emulated) -> &str {
    home.redirect_uri.strip_prefix("http://").unwrap().split('/').next().unwrap()
}

#[test]
fn login_connects_an_account_keeps_its_tokens_and_shows_a_page_that_says_so() {
    let home = Emulated::new();
    let (running, url) = home.start_login(&["--json"]);
    assert!(url.contains("/oauth/authorize?client_id="), "{url}");
    let page = get(&home.hubspot.connect(&url).unwrap());
    assert!(page.contains("<h1>Connected</h1>") && page.contains(HUB), "{page}");
    let outcome = running.outcome();
    let object = outcome.succeeded_with_messages().json();
    assert_eq!(object["account"], HUB);
    assert_eq!(object["scopes"], json!(["oauth", "crm.objects.contacts.read"]));
    assert_eq!((&object["missing"], &object["reinstall"]), (&json!([]), &json!(false)));
    assert_eq!(home.state(HUB).as_deref(), Some("live"));
    outcome.assert_no_file();
}

/// From then on no variable is needed.
#[test]
fn login_keeps_the_settings_and_the_secret_and_nobody_else_can_read_the_secret() {
    let home = Emulated::new();
    home.login(&["--optional-scope", "tickets"]).succeeded_with_messages();
    let config = fs::read_to_string(home.home.join(".config/hs-oauth/config.toml")).unwrap();
    let settings = home.hubspot.settings();
    for line in [
        "[profiles.default]".to_owned(),
        format!("client_id = \"{}\"", settings.client_id),
        format!("redirect_uri = \"{}\"", home.redirect_uri),
        format!("api_base = \"{}\"", home.hubspot.url()),
        "scopes = [\"oauth\", \"crm.objects.contacts.read\"]".to_owned(),
        "optional_scopes = [\"tickets\"]".to_owned(),
    ] {
        assert!(config.lines().any(|found| found == line), "{line}: {config}");
    }
    assert!(!config.contains(&settings.client_secret));
    let state = home.home.join(".local/state/hs-oauth/default");
    assert_private_tree(&state);
    // The tokens are sealed.
    let record = fs::read_to_string(state.join("tokens").join(format!("{HUB}.json"))).unwrap();
    assert!(record.contains("\"sealed\"") && !record.contains("na1-"), "{record}");
    home.run(&["token"]).succeeded();

    // Again, with nothing but what is kept.
    let mut running = Running::start(home.hs_oauth(&["login", "--no-browser", "--json"]));
    let url = running.expect(home.hubspot.url()).trim().to_owned();
    assert!(url.contains("&scope=oauth%20crm.objects.contacts.read&optional_scope=tickets&"), "{url}");
    get(&home.hubspot.connect(&url).unwrap());
    assert_eq!(running.outcome().succeeded_with_messages().json()["reinstall"], true);
}

fn assert_private_tree(path: &Path) {
    let metadata = fs::metadata(path).unwrap();
    let expected = if metadata.is_dir() { 0o700 } else { 0o600 };
    assert_eq!(metadata.permissions().mode() & 0o777, expected, "{}", path.display());
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            assert_private_tree(&entry.unwrap().path());
        }
    }
}

/// RFC 8252 §7.3. The emulator takes redirect URIs as HubSpot does.
#[test]
fn login_listens_for_a_redirect_uri_on_any_name_of_this_machine() {
    for name in ["localhost", "127.0.0.1", "[::1]"] {
        let home = Emulated::with_redirect_host(name);
        home.login(&[]).succeeded_with_messages();
        assert_eq!(home.state(HUB).as_deref(), Some("live"), "{name}");
    }
}

#[test]
fn login_listens_on_both_loopback_addresses() {
    let home = Emulated::new();
    let (running, url) = home.start_login(&[]);
    let port: u16 = host(&home).rsplit_once(':').unwrap().1.parse().unwrap();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    // A machine without IPv6 cannot listen there.
    if TcpListener::bind("[::1]:0").is_ok() {
        assert!(TcpStream::connect(("::1", port)).is_ok());
    }
    get(&home.hubspot.connect(&url).unwrap());
    running.outcome().succeeded_with_messages();
}

/// RFC 6749 §10.12. The page is shown, and the login goes on.
#[test]
fn a_callback_with_another_state_is_not_accepted_and_the_right_one_still_is() {
    let home = Emulated::new();
    let (mut running, url) = home.start_login(&[]);
    for query in ["code=na1-forged&state=CANARY", "code=na1-forged", "", "state=CANARY"] {
        let page = get(&format!("{}?{query}", home.redirect_uri));
        assert!(page.contains("<h1>Not this sign-in</h1>"), "{page}");
        running.expect("still waiting");
    }
    assert_eq!(home.requests(Target::ExchangeCode), 0);
    get(&home.hubspot.connect(&url).unwrap());
    let outcome = running.outcome();
    outcome.succeeded_with_messages();
    assert!(!outcome.stderr.contains("CANARY") && !outcome.stderr.contains("forged"), "{outcome:?}");
}

#[test]
fn a_refusal_ends_with_status_3_and_a_page_that_says_so() {
    let home = Emulated::new();
    let (running, url) = home.start_login(&["--json"]);
    let page = get(&home.hubspot.cancel(&url).unwrap());
    assert!(page.contains("<h1>Not connected</h1>"), "{page}");
    let outcome = running.outcome();
    assert_eq!((outcome.status, &outcome.json()["error"]), (3, &json!("access_denied")));
    assert_eq!(home.state(HUB), None);
}

#[test]
fn a_wrong_secret_ends_with_status_4_and_is_not_kept() {
    let home = Emulated::new();
    let run =
        home.with_app(&["login", "--no-browser", "--scope=oauth"]).var("HUBSPOT_CLIENT_SECRET", "wrong");
    let mut running = Running::start(run);
    let url = running.expect(home.hubspot.url()).trim().to_owned();
    let page = get(&home.hubspot.connect(&url).unwrap());
    assert!(page.contains("<h1>Not connected</h1>") && !page.contains("wrong"), "{page}");
    let outcome = running.outcome();
    assert_eq!(outcome.status, 4, "{outcome:?}");
    assert!(!home.home.join(".config/hs-oauth/config.toml").exists());
    assert!(!home.home.join(".local/state/hs-oauth/default/client-secret").exists());
}

#[test]
fn status_5_if_hubspot_does_not_answer_the_exchange() {
    let home = Emulated::new();
    home.inject(Fault::status(503).with_target(Target::ExchangeCode).with_count(9));
    assert_eq!(home.login(&[]).status, 5);
}

#[test]
fn status_5_if_nobody_comes_in_time() {
    let outcome = Emulated::new().with_app(&["login", "--no-browser", "--scope=oauth", "--timeout=0s"]).run();
    assert_eq!(outcome.status, 5);
    assert!(outcome.stderr.contains("nobody has connected within 0s"), "{outcome:?}");
}

#[test]
fn status_2_if_the_port_is_taken_and_the_message_says_what_to_do() {
    let home = Emulated::new();
    let _taken = TcpListener::bind(host(&home).replace("localhost", "127.0.0.1")).unwrap();
    let outcome = home.with_app(&["login", "--no-browser", "--scope=oauth"]).run();
    assert_eq!(outcome.status, 2);
    for word in ["is taken", "--paste", "--redirect-uri"] {
        assert!(outcome.stderr.contains(word), "{word}: {outcome:?}");
    }
}

#[test]
fn status_2_if_nobody_can_listen_for_the_redirect_uri() {
    for uri in ["https://app.example/oauth/callback", "http://127.0.0.2:3000/cb"] {
        let run = Emulated::new().with_app(&["login", "--no-browser", "--scope=oauth"]);
        let outcome = run.var("HUBSPOT_REDIRECT_URI", uri).run();
        assert_eq!(outcome.status, 2, "{outcome:?}");
        assert!(outcome.stderr.contains("--paste"), "{outcome:?}");
    }
}

/// The port is free at once, even while a browser keeps a connection to the login that was aborted.
#[test]
fn an_aborted_login_does_not_block_the_next() {
    let home = Emulated::new();
    for signal in ["INT", "TERM", "KILL"] {
        let (running, _) = home.start_login(&[]);
        let address = host(&home).replace("localhost", "127.0.0.1");
        let mut idle = TcpStream::connect(&address).unwrap();
        std::io::Write::write_all(&mut idle, b"GET / HTTP/1.1\r\n").unwrap();
        running.signal(signal);
        assert!(running.outcome().status < 0);
        home.login(&[]).succeeded_with_messages();
        drop(idle);
    }
}

/// A browser opens connections that it never uses.
#[test]
fn a_silent_connection_keeps_no_callback_out() {
    let home = Emulated::new();
    let (running, url) = home.start_login(&[]);
    let address = host(&home).replace("localhost", "127.0.0.1");
    let silent: Vec<_> = (0..8).map(|_| TcpStream::connect(&address).unwrap()).collect();
    get(&home.hubspot.connect(&url).unwrap());
    running.outcome().succeeded_with_messages();
    drop(silent);
}

#[test]
fn a_signal_during_the_exchange_does_not_lose_the_tokens() {
    let home = Emulated::new();
    home.inject(Fault::delay(std::time::Duration::from_secs(3)).with_target(Target::ExchangeCode));
    let (mut running, url) = home.start_login(&[]);
    let callback = home.hubspot.connect(&url).unwrap();
    let browser = std::thread::spawn(move || get(&callback));
    while home.requests(Target::ExchangeCode) == 0 {
        std::thread::yield_now();
    }
    running.signal("INT");
    running.expect("tokens may have been issued already");
    running.outcome().succeeded_with_messages();
    assert!(browser.join().unwrap().contains("<h1>Connected</h1>"));
    assert_eq!(home.state(HUB).as_deref(), Some("live"));
}

#[test]
fn over_ssh_the_address_that_the_browser_ends_at_is_pasted() {
    let home = Emulated::new();
    let mut running = Running::start(home.with_app(&["login", "--paste", "--scope=oauth"]));
    let url = running.expect(home.hubspot.url()).trim().to_owned();
    let callback = home.hubspot.connect(&url).unwrap();
    std::io::Write::write_all(&mut running.stdin(), format!("  {callback} \n").as_bytes()).unwrap();
    let outcome = running.outcome();
    assert!(
        outcome.succeeded_with_messages().stdout.starts_with("Connected the account 62515.\n"),
        "{outcome:?}"
    );

    let mut running = Running::start(home.hs_oauth(&["login", "--paste"]));
    let url = running.expect(home.hubspot.url()).trim().to_owned();
    let callback = home.hubspot.connect(&url).unwrap().replace("state=", "state=x");
    std::io::Write::write_all(&mut running.stdin(), callback.as_bytes()).unwrap();
    assert_eq!(running.outcome().status, 3);
}

/// The list of processes shows the browser's arguments to everyone on the machine.
#[test]
fn the_browser_is_opened_at_an_address_without_the_state_that_works_once() {
    let home = Emulated::new();
    let opened = home.home.join("opened");
    let script = home.home.join("browser");
    fs::write(&script, format!("#!/bin/sh\necho \"$@\" > {0}.new && mv {0}.new {0}\n", opened.display()))
        .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let run =
        home.with_app(&["login", "--scope=oauth"]).var("BROWSER", &format!("{} --tab %s", script.display()));
    let mut running = Running::start(run.var("PATH", "/usr/bin:/bin"));
    let url = running.expect(home.hubspot.url()).trim().to_owned();
    while !opened.exists() {
        std::thread::yield_now();
    }
    let arguments = fs::read_to_string(&opened).unwrap();
    let start = arguments.trim().strip_prefix("--tab ").unwrap();
    assert_eq!(start, format!("http://{}/login", host(&home)));
    let response = get(start);
    assert!(
        response.starts_with("HTTP/1.1 302 ") && response.contains(&format!("location: {url}\r\n")),
        "{response}"
    );
    let response = get(start);
    assert!(response.starts_with("HTTP/1.1 410 ") && !response.contains("state="), "{response}");
    get(&home.hubspot.connect(&url).unwrap());
    running.outcome().succeeded_with_messages();
}

#[test]
fn only_a_request_for_this_machine_and_for_the_redirect_uri_is_a_callback() {
    let home = Emulated::new();
    let (running, url) = home.start_login(&[]);
    let callback = home.hubspot.connect(&url).unwrap();
    let host = host(&home);
    let target = callback.strip_prefix(&format!("http://{host}")).unwrap();
    for (text, status) in [
        (format!("GET {target} HTTP/1.1\r\nhost: evil.example\r\n\r\n"), "421"),
        (format!("GET {target} HTTP/1.1\r\n\r\n"), "400"),
        (format!("POST {target} HTTP/1.1\r\nhost: {host}\r\n\r\n"), "405"),
        (format!("GET /favicon.ico HTTP/1.1\r\nhost: {host}\r\n\r\n"), "404"),
        ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), "400"),
    ] {
        let response = request(host, &text);
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    }
    assert_eq!(home.requests(Target::ExchangeCode), 0);
    let page = get(&callback);
    for header in [
        "cache-control: no-store",
        "referrer-policy: no-referrer",
        "content-security-policy: default-src 'none'",
    ] {
        assert!(page.contains(header), "{page}");
    }
    running.outcome().succeeded_with_messages();
}

#[test]
fn the_account_is_preselected_and_another_one_is_pointed_out() {
    let home = Emulated::new();
    home.hubspot.emulator(|emulator| emulator.add_hub(7, "seven.example.com"));
    let (running, url) = home.start_login(&["--hub-id", "7"]);
    assert!(url.contains("/oauth/7/authorize?"), "{url}");
    get(&home.hubspot.connect(&url.replace("/oauth/7/", &format!("/oauth/{HUB}/"))).unwrap());
    let outcome = running.outcome();
    assert!(outcome.succeeded_with_messages().stdout.contains("It is not 7"), "{outcome:?}");
}

#[test]
fn scopes_that_were_not_granted_are_named() {
    let home = Emulated::new();
    let lacking = "tickets".parse().unwrap();
    home.hubspot.emulator(|emulator| emulator.set_lacking_scopes(62515, lacking));
    let outcome = home.login(&["--optional-scope", "tickets"]);
    assert!(
        outcome.succeeded_with_messages().stdout.contains("Not granted of the optional scopes: tickets\n"),
        "{outcome:?}"
    );
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let outcome = hs_oauth(&["login"]).run();
    assert_eq!(outcome.status, 2);
    for advice in
        ["set HUBSPOT_CLIENT_ID", "set HUBSPOT_CLIENT_SECRET", "set HUBSPOT_REDIRECT_URI", "pass --scope"]
    {
        assert!(outcome.stderr.contains(advice), "{outcome:?}");
    }
    let outcome = Emulated::new().with_app(&["login"]).run();
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("--scope"), "{outcome:?}");
}

/// Tokens of one app or server are never sent to another.
#[test]
fn a_profile_is_about_one_app_and_one_server() {
    let home = Emulated::connected();
    for (variable, value) in [("HUBSPOT_CLIENT_ID", "other"), ("HUBSPOT_API_BASE", "http://127.0.0.1:1")] {
        for command in [&["login", "--no-browser"][..], &["token", HUB], &["recheck", "--yes"]] {
            let outcome = home.with_app(command).var(variable, value).run();
            assert_eq!(outcome.status, 2, "{outcome:?}");
            let what = if command[0] == "login" && variable == "HUBSPOT_CLIENT_ID" {
                "no scope"
            } else {
                "--profile"
            };
            assert!(outcome.stderr.contains(what), "{outcome:?}");
        }
    }
    assert_eq!(home.requests(Target::Refresh), 0);
}

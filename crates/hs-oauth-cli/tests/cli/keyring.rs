//! A real keyring: that of GNOME, in a session of its own.

use std::fs;

use crate::emulated::Emulated;
use crate::harness::{Outcome, new_folder};

/// Runs the program in a new session of D-Bus with the keyring of the person's home, unlocked.
fn in_session(home: &Emulated, arguments: &[&str]) -> Outcome {
    let script = r#"exec dbus-run-session -- sh -c '
        printf password | gnome-keyring-daemon --unlock --components=secrets > /dev/null 2>&1
        exec "$0" "$@"' "$@""#;
    home.with_app(arguments)
        .var("PATH", "/usr/bin:/bin")
        .var("XDG_RUNTIME_DIR", new_folder().to_str().unwrap())
        .var("HS_OAUTH_KEYRING", "auto")
        .run_with_script(script)
}

#[test]
#[ignore = "needs dbus-run-session and gnome-keyring-daemon: .ci/run installs them"]
fn the_key_of_the_tokens_is_in_the_keyring_if_there_is_one_and_nowhere_else() {
    let home = Emulated::new();
    assert_eq!(in_session(&home, &["login", "--no-browser", "--scope=oauth", "--timeout=0s"]).status, 5);
    let file = home.home.join(".local/state/hs-oauth/default/sealing-key");
    let place = fs::read_to_string(&file).unwrap();
    assert_eq!(place, format!("{{\"keyring\":\"{}\"}}\n", file.display()));
    // Another session has the same keyring, and finds the key there.
    let outcome = in_session(&home, &["list"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), place);
    // Without it, nothing is made up in its place.
    let outcome = home.run(&["list"]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert!(outcome.stderr.contains("is in the system's keyring"), "{outcome:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), place);
}

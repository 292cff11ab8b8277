use crate::harness::hs_oauth;

#[test]
fn completions_are_a_script_for_each_shell() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let outcome = hs_oauth(&["completions", shell]).run();
        let script = &outcome.succeeded().stdout;
        for word in ["hs-oauth", "login", "min-life", "profile"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let object = hs_oauth(&["completions", "bash", "--json"]).run();
    assert_eq!(object.succeeded().json()["shell"], "bash");
}

/// A shell reads its script without an error.
#[test]
#[cfg(unix)]
fn the_script_for_bash_is_one_that_bash_reads() {
    let script = hs_oauth(&["completions", "bash"]).run().succeeded().stdout.clone();
    let bash = std::process::Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
    assert!(bash.status.success(), "{bash:?}");
}

#[test]
fn status_2_for_another_shell_and_the_message_names_those_there_are() {
    let outcome = hs_oauth(&["completions", "CANARY"]).run();
    assert_eq!(outcome.status, 2);
    assert!(outcome.stderr.contains("SHELL is one of bash, elvish, fish, powershell, zsh"), "{outcome:?}");
    assert!(!outcome.stderr.contains("CANARY"));
}

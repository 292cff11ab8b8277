use std::fs;

use crate::harness::{hs_oauth, new_folder};

#[test]
fn man_is_the_page_of_the_program_or_of_a_command() {
    let page = hs_oauth(&["man"]).run().succeeded().stdout.clone();
    for part in [".TH hs-oauth 1", "hs\\-oauth\\-login(1)", "Exit status", "HUBSPOT_CLIENT_SECRET"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let page = hs_oauth(&["man", "token"]).run().succeeded().stdout.clone();
    assert!(page.contains("min\\-life") && page.contains("Examples:"), "{page}");
    assert!(page.contains(&format!("\"hs-oauth {}\"", env!("CARGO_PKG_VERSION"))), "{page}");
    let outcome = hs_oauth(&["man", "CANARY"]).run();
    assert_eq!(outcome.status, 2);
    assert!(!outcome.stderr.contains("CANARY"));
}

#[test]
fn all_pages_can_be_written_into_a_folder() {
    let folder = new_folder().join("man1");
    hs_oauth(&["man", "--dir", folder.to_str().unwrap()]).run().succeeded();
    for name in ["hs-oauth.1", "hs-oauth-login.1", "hs-oauth-profile-use.1", "hs-oauth-authorize-url.1"] {
        assert!(fs::read_to_string(folder.join(name)).unwrap().contains(".TH"), "{name}");
    }
}

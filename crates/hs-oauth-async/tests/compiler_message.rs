//! What the compiler says to an application that gives the async manager a sync store.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAM: &str = r#"
use hs_oauth_async::{App, Client, FileStore, TokenManager};

fn main() {
    let client = Client::new(App::from_env().unwrap()).unwrap();
    TokenManager::new(client, FileStore::open("tokens").unwrap());
}
"#;

#[test]
fn a_sync_store_is_refused_with_a_message_that_names_the_wrapper() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("main.rs");
    std::fs::write(&program, PROGRAM).unwrap();
    let libraries = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition=2024", "--emit=metadata", "-L"])
        .arg(format!("dependency={}", libraries.display()))
        .arg("--extern")
        .arg(format!("hs_oauth_async={}", newest_library(&libraries).display()))
        .arg("--out-dir")
        .arg(folder.path())
        .arg(program)
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    for part in ["FileStore` is not an async store", "SpawnBlocking::new(store)"] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(message.matches("error[").count(), 1, "{message}");
}

/// Returns the library that cargo has built for this test. It may have others from builds with other features, which say the same.
fn newest_library(folder: &Path) -> PathBuf {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let libraries = files.filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("libhs_oauth_async-") && name.ends_with(".rlib")
    });
    libraries.max_by_key(|path| path.metadata().unwrap().modified().unwrap()).unwrap()
}

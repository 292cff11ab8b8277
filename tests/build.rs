//! Plants bugs into copies of the renewal, for the simulation to find.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

include!("simulation/mutations.rs");

fn main() -> Result<(), Box<dyn Error>> {
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("no manifest folder")?);
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("no output folder")?);
    let renewal = manifest_dir.join("../crates/hs-oauth-core/src/renewal.rs");
    println!("cargo::rerun-if-changed={}", renewal.display());
    println!("cargo::rerun-if-changed=simulation/mutations.rs");

    let source = fs::read_to_string(&renewal)?;
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let source = without_paths(source);
    let mut index = String::new();
    let mut names = String::new();
    for Mutation { name, from, to } in MUTATIONS {
        let found = source.matches(from).count();
        if found != 1 {
            return Err(format!("the text that the mutation {name} replaces is there {found} times").into());
        }
        let file = out_dir.join(format!("{name}.rs"));
        fs::write(&file, source.replacen(from, to, 1))?;
        index += &module(name, &file);
        names += &format!("    ({name:?}, super::schedules::<{name}::Renewal>),\n");
    }
    index += &format!("const MUTANTS: &[(&str, Schedules)] = &[\n{names}];\n");
    fs::write(out_dir.join("mutants.rs"), index)?;
    Ok(())
}

/// The mutants live in another crate: what they use of core is what everyone can use.
fn without_paths(source: &str) -> String {
    let mut text = String::new();
    for line in source.lines() {
        match line.strip_prefix("use crate::").and_then(|rest| rest.split_once("::")) {
            Some((_module, names)) => text += &format!("use hs_oauth_core::{names}\n"),
            None => text += &format!("{line}\n"),
        }
    }
    text
}

fn module(name: &str, file: &Path) -> String {
    format!(
        "#[allow(warnings, clippy::all)]\n#[path = {file:?}]\nmod {name};\nmachine!({name}::Renewal, {name}::Unsaved);\n"
    )
}

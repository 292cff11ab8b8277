//! Makes a copy of the renewal for each bug in `simulation/mutations.rs`, and plants the bug into it. The simulation must find them all.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

include!("simulation/mutations.rs");

fn main() -> Result<(), Box<dyn Error>> {
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("no manifest folder")?);
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("no output folder")?);
    let renewal = manifest_dir.join("../crates/hs-oauth-core/src/renewal");
    println!("cargo::rerun-if-changed=simulation/mutations.rs");

    let mut sources = Vec::new();
    for module in MODULES {
        let path = renewal.join(format!("{module}.rs"));
        println!("cargo::rerun-if-changed={}", path.display());
        let source = fs::read_to_string(&path)?;
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        sources.push((module, with_public_paths(source)));
    }

    let mut mutants = String::new();
    let mut names = String::new();
    for Mutation { name, from, to } in MUTATIONS {
        let found: usize = sources.iter().map(|(_, source)| source.matches(from).count()).sum();
        if found != 1 {
            return Err(format!("the text that the mutation {name} replaces occurs {found} times").into());
        }
        let folder = out_dir.join(name);
        fs::create_dir_all(&folder)?;
        for (module, source) in &sources {
            fs::write(folder.join(format!("{module}.rs")), source.replacen(from, to, 1))?;
        }
        fs::write(folder.join("mod.rs"), MODULES.map(|module| format!("pub mod {module};\n")).concat())?;
        mutants += &declaration(name, &folder.join("mod.rs"));
        names +=
            &format!("    ({name:?}, begin!({name}::renew::Renewal, {name}::disconnect::Disconnect)),\n");
    }
    mutants += &format!("const MUTANTS: &[(&str, Begin)] = &[\n{names}];\n");
    fs::write(out_dir.join("mutants.rs"), mutants)?;
    Ok(())
}

/// Rewrites the imports of a module: it is now outside of core, and imports what it does not copy by the public paths.
fn with_public_paths(source: &str) -> String {
    let mut text = String::new();
    for line in source.lines() {
        let of_renewal = line.strip_prefix("use super::").and_then(|rest| rest.split_once("::"));
        let of_core = line.strip_prefix("use crate::").and_then(|rest| rest.split_once("::"));
        text += &match (of_renewal, of_core) {
            (Some((module, names)), _) if !MODULES.contains(&module) => {
                format!("use hs_oauth_core::renewal::{names}\n")
            }
            (_, Some((_module, names))) => format!("use hs_oauth_core::{names}\n"),
            _ => format!("{line}\n"),
        };
    }
    text
}

fn declaration(name: &str, path: &Path) -> String {
    format!(
        "#[allow(warnings, clippy::all)]\n#[path = {path:?}]\nmod {name};\nimpl_renewal_run!({name}::renew::Renewal);\n"
    )
}

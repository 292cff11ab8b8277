//! What has to be built: the number of crates, and the time of a clean build.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::counts::run;
use crate::report::{Section, Table, folder};
use crate::work::Failure;

/// The name of each project, its dependencies as an application writes them, and whether it is built.
const PROJECTS: [(&str, &str, bool); 6] = [
    ("hs-oauth-core", "hs-oauth-core = { path = \"CORE\" }", true),
    ("hs-oauth-core, every feature", "hs-oauth-core = { path = \"CORE\", features = [\"server\"] }", true),
    (
        "floor, with PKCE",
        "base64 = \"0.23\"\nhttp = \"1\"\npercent-encoding = \"2\"\nserde = { version = \"1\", features = [\"derive\"] }\n\
         serde_json = \"1\"\nsha2 = \"0.11\"\ngetrandom = \"0.4\"",
        false,
    ),
    (PEER, "oauth2 = { version = \"5\", default-features = false }", true),
    ("oauth2, with its default client", "oauth2 = \"5\"", false),
    ("tame-oauth", "tame-oauth = { version = \"0.10\", features = [\"gcp\"] }", false),
];

/// The project whose build time ours is compared with.
const PEER: &str = "oauth2, without a client";

const ROUNDS: usize = 3;

/// Counts the crates of each project, and builds it.
///
/// # Errors
/// If a build fails.
pub fn report() -> Result<(), Failure> {
    let mut section = Section::new("8-trees", "What has to be built");
    let mut projects = Vec::new();
    for (name, dependencies, is_built) in PROJECTS {
        let project = project(name, dependencies)?;
        run(&mut cargo(&project, "fetch"))?;
        projects.push((name, project, is_built));
    }
    let mut times: Vec<Option<Duration>> = vec![None; projects.len()];
    for _ in 0..ROUNDS {
        for ((_, project, is_built), time) in projects.iter().zip(&mut times) {
            if *is_built {
                let took = build(project)?;
                *time = Some(time.map_or(took, |least| least.min(took)));
            }
        }
    }
    let seconds = |time: &Option<Duration>| time.map(|time| time.as_secs_f64());
    let peer = projects.iter().zip(&times).find(|((name, ..), _)| *name == PEER);
    let peer = peer.and_then(|(_, time)| seconds(time)).unwrap_or(f64::NAN);
    section.say("The number of crates is of distinct crates over normal dependencies, the named one included. Builds are clean release builds, all in one run with the same settings.\n");
    section.say(
        "Bounds, with every feature: 26 crates, and a build of 0.65 of that of oauth2 without a client.\n",
    );
    let mut table = Table::new(["", "crates", "build, s", "of oauth2's"]);
    for ((name, project, _), time) in projects.iter().zip(&times) {
        let cells = seconds(time).map(|time| (format!("{time:.1}"), format!("{:.2}", time / peer)));
        let (time, share) = cells.unwrap_or(("–".to_owned(), "–".to_owned()));
        table.row([(*name).to_owned(), crates(project)?.to_string(), time, share]);
    }
    section.table(&table);
    section.write()
}

/// Creates a package with these dependencies and nothing else. Their versions are those that everything else here is measured with.
fn project(name: &str, dependencies: &str) -> Result<PathBuf, Failure> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let core = here.parent().unwrap_or(here).join("hs-oauth-core");
    let name: String =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let folder = folder().join("trees").join(&name);
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    fs::copy(here.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    let dependencies = dependencies.replace("CORE", &core.display().to_string());
    let manifest = format!(
        "[package]\nname = \"tree-{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{dependencies}\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    Ok(folder)
}

fn crates(project: &Path) -> Result<usize, Failure> {
    let tree = run(cargo(project, "tree").args(["-e", "normal", "--prefix", "none", "--offline"]))?;
    let tree = String::from_utf8(tree.stdout)?;
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    Ok(names.into_iter().filter(|name| !name.is_empty() && !name.starts_with("tree-")).count())
}

fn build(project: &Path) -> Result<Duration, Failure> {
    let target = project.join("target");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    let began = Instant::now();
    run(cargo(project, "build").args(["--release", "--offline"]))?;
    let took = began.elapsed();
    fs::remove_dir_all(&target)?;
    Ok(took)
}

/// Returns a cargo command for the package, without the settings of the cargo that runs this program.
fn cargo(project: &Path, command: &str) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg(command).current_dir(project).env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS");
    cargo
}

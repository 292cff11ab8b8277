//! The command `hs-oauth`: its size, and the time from its start to its end.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::clock::quantile;
use crate::counts::{instructions, run, valgrind};
use crate::given;
use crate::report::{Section, Table, folder, thousands};
use crate::work::Failure;

const RUNS: usize = 200;
const MAX_SIZE: u64 = 3_500_000;

/// Builds the command as it is released, and runs it many times.
///
/// # Errors
/// If the command cannot be built, or fails.
pub fn report() -> Result<(), Failure> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).unwrap_or(here);
    let target = folder().join("program");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "--locked", "-p", "hs-oauth-cli"]).current_dir(root);
    run(build.env("CARGO_TARGET_DIR", &target).env_remove("RUSTFLAGS"))?;
    let program = target.join("release/hs-oauth");
    let size = fs::metadata(&program)?.len();

    let mut section = Section::new("9-program", "The command");
    section.say(format!(
        "`hs-oauth` as released: {} bytes, bound {}.\n",
        thousands(size),
        thousands(MAX_SIZE)
    ));
    let mut table =
        Table::new(["from its start to its end", "half of the runs, ms", "99 in 100, ms", "instructions"]);
    for arguments in [&["--version"][..], &["authorize-url", "--scope", given::SCOPES]] {
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let began = Instant::now();
            run(with_environment(Command::new(&program).args(arguments)))?;
            times.push(began.elapsed());
        }
        times.sort();
        let shown = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1000.0);
        let counted = instructions(&run(with_environment(valgrind().arg(&program).args(arguments)))?)?;
        let name = arguments.first().copied().unwrap_or_default().to_owned();
        table.row([name, shown(quantile(&times, 0.5)), shown(quantile(&times, 0.99)), thousands(counted)]);
    }
    section.table(&table);
    section.write()
}

fn with_environment(command: &mut Command) -> &mut Command {
    command.env("HUBSPOT_CLIENT_ID", given::CLIENT_ID).env("HUBSPOT_REDIRECT_URI", given::REDIRECT_URI)
}

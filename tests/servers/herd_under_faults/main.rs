//! The herd over real servers, while something happens to the server, the network or the herd itself. For each fault one run, and one row of
//! a table. The judge is HubSpot's emulator in the herd.
//!
//! ```sh
//! cargo run --manifest-path tests/servers/Cargo.toml --example herd_under_faults
//! cargo run --manifest-path tests/servers/Cargo.toml --example herd_under_faults -- --engine redis --rotation strict --fault crash
//! ```

mod case;
mod herd;
mod options;
mod table;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use hs_oauth_test_servers::server::postgres::Postgres;
use hs_oauth_test_servers::server::redis::Redis;
use hs_oauth_test_servers::site::{Server, Site};

use case::Case;
use herd::{Finished, Herd};
use options::{Engine, Options, Rotation};
use table::Row;

/// How long a herd runs before the first fault, and how long after the last one.
const QUIET: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut options = Options::parse();
    let program = match options.herd.take() {
        Some(program) => program,
        None => herd::build(),
    };
    let mut lines = io::stdout();
    writeln!(lines, "{}", table::HEAD)?;
    let mut is_as_promised = true;
    for engine in options.engines() {
        for rotation in options.rotations() {
            // The runs without a fault, by their lengths.
            let mut quiet_runs: Vec<Row> = Vec::new();
            for case in options.cases() {
                let seconds = case.seconds(options.seconds);
                if !quiet_runs.iter().any(|quiet| quiet.seconds == seconds) {
                    let finished = run(&options, &program, engine, rotation, Case::None, seconds).await?;
                    let row = Row::new(engine, rotation, Case::None, seconds, finished, None);
                    writeln!(lines, "{row}")?;
                    is_as_promised &= row.violations.is_empty();
                    quiet_runs.push(row);
                }
                if case == Case::None {
                    continue;
                }
                let quiet = quiet_runs.iter().find(|quiet| quiet.seconds == seconds);
                let finished = run(&options, &program, engine, rotation, case, seconds).await?;
                let row = Row::new(engine, rotation, case, seconds, finished, quiet);
                writeln!(lines, "{row}")?;
                is_as_promised &= row.violations.is_empty();
            }
        }
    }
    Ok(if is_as_promised { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lets a herd run over a new server, and makes the faults of the case meanwhile.
async fn run(
    options: &Options,
    program: &std::path::Path,
    engine: Engine,
    rotation: Rotation,
    case: Case,
    seconds: u32,
) -> Result<Finished, Box<dyn Error>> {
    writeln!(io::stderr(), "\n{engine}, {rotation}, {case}, {seconds} s")?;
    let server = match engine {
        // A connection that is dead without a word keeps its place on the server.
        Engine::Postgres => Server::Postgres(Postgres::with(&["max_connections=500"]).await),
        Engine::Redis => Server::Redis(Redis::start()),
    };
    let mut site = Site::new(server);
    let herd = Herd::start(options, program, &site.url(), engine, rotation, case, seconds)?;
    let begun = herd.wait_for_first_second()?;
    let faults = case.faults();
    let window = Duration::from_secs(seconds.into()).saturating_sub(2 * QUIET);
    for (index, fault) in faults.iter().enumerate() {
        let at = begun + QUIET + window * u32::try_from(index)? / u32::try_from(faults.len())?;
        tokio::time::sleep_until(at.into()).await;
        let from = Instant::now();
        site.make(*fault).await;
        let (from, until) = (from.duration_since(begun), begun.elapsed());
        writeln!(io::stderr(), "{fault:?} from {:.1} s to {:.1} s", from.as_secs_f64(), until.as_secs_f64())?;
    }
    herd.finish()
}

//! Real processes that share many accounts. Do they keep what the token manager promises of its rate and of its sweep? The answer comes from an
//! emulator of HubSpot in this process, which notes each renewal.
//!
//! ```sh
//! export FLEET_STORE=postgres://fleet@localhost/fleet
//! cargo run --release --example fleet -- expire --accounts 100000 --processes 4 --rate 200 --within 600
//! cargo run --release --example fleet -- idle --accounts 10000 --processes 4 --period 120
//! cargo run --release --example fleet -- rate --processes 8 --rate 100
//! ```
//!
//! `child.rs` does what an application would do: it has one manager, and asks it for bearers. `expire.rs`, `idle.rs` and `rate.rs` each have
//! a promise, and say whether it was kept. The other files start the processes and note what they do.

mod child;
mod counted_store;
mod expire;
mod idle;
mod journal;
mod options;
mod processes;
mod rate;
mod setup;

use std::process::ExitCode;

use clap::Parser;
use hs_oauth_examples::{BoxError, finish, print_line, print_progress};
use serde::Serialize;

use options::{Options, Promise};
use setup::{Setup, Table};

/// What came of a run.
struct Outcome {
    /// One line of JSON.
    line: String,
    /// Everything that is not as promised, in words.
    violations: Vec<String>,
}

impl Outcome {
    fn new(result: &impl Serialize, violations: Vec<String>) -> Result<Self, BoxError> {
        Ok(Self { line: serde_json::to_string(result)?, violations })
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    finish(match options.promise {
        Promise::Child => child::run().map(|()| ExitCode::SUCCESS),
        promise => run(options.store, &promise),
    })
}

fn run(store: Option<String>, promise: &Promise) -> Result<ExitCode, BoxError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let _entered = runtime.enter();
    let folder = tempfile::Builder::new().prefix("hs-oauth-fleet-").tempdir()?;
    let table = runtime.block_on(Table::create(store, folder.path()))?;
    let outcome =
        Setup::new(&runtime, table.clone(), promise.token_lifetime()).and_then(|setup| match promise {
            Promise::Expire(options) => expire::run(&setup, options),
            Promise::Idle(options) => idle::run(&setup, options),
            Promise::Rate(options) => rate::run(&setup, options),
            Promise::Child => Err("a process of the fleet has no processes of its own".into()),
        });
    runtime.block_on(table.remove())?;
    let Outcome { line, violations } = outcome?;
    print_line(line);
    violations.iter().for_each(|violation| print_progress(format_args!("not as promised: {violation}")));
    Ok(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use hs_oauth_emulator::Rotation;
use hs_oauth_examples::Driver;

/// Many processes share the tokens of many accounts through one folder. An emulator of HubSpot counts what they do wrong.
#[derive(Parser)]
#[command(after_help = OUTPUT)]
pub(crate) struct Options {
    /// How many processes run at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) processes: u32,
    /// How many tasks run in each process
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) tasks: u32,
    /// How many accounts have the app installed
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) accounts: u32,
    /// How long the processes run
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: u32,
    /// Kill processes at random moments (SIGKILL), and start new ones in their place
    #[arg(long)]
    pub(crate) kill: bool,
    /// How many processes are killed in a second, on average
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20), requires = "kill")]
    pub(crate) kill_rate: u32,
    /// How long an access token lives
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=86_400))]
    pub(crate) token_lifetime: u32,
    /// What a refresh does to the refresh token: keep (as HubSpot today), rotate (replace it), strict (replace it, and end the grant if it is used again)
    #[arg(long, value_name = "keep|rotate|strict", default_value = "keep", value_parser = rotation)]
    pub(crate) rotation: Rotation,
    /// How many calls the herd makes to HubSpot's API in a second. It asks for ten times as many bearers
    #[arg(long, value_name = "CALLS", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
    /// The store that the processes share: file:FOLDER, postgres://… or redis://…, by default a new folder. An address with a password belongs into HERD_STORE in the
    /// environment, since others can read a command line
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) store: Option<String>,
    /// What the processes reach PostgreSQL with
    #[arg(long, value_name = "DRIVER", value_enum, default_value_t)]
    pub(crate) driver: Driver,
    /// The store may lose writes that it has acknowledged, as after a failover to a standby that had not received them: count renewals that are
    /// made again and, with rotate and strict, lost accounts, but do not judge them
    #[arg(long)]
    pub(crate) store_may_lose: bool,
    /// Write every call of the store to a file, with its begin, end and outcome, and check that the store is linearizable
    #[arg(long, value_name = "FILE")]
    pub(crate) history: Option<PathBuf>,
    /// How many tasks in each process load and write records of accounts of their own, as fast as the store answers
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) store_tasks: u32,
    /// Write a chart of bearers and renewals over time, as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) chart: Option<PathBuf>,
    /// Run as one of the processes. Its configuration comes on standard input
    #[arg(long, hide = true)]
    pub(crate) child: bool,
}

const OUTPUT: &str = "\
Progress goes to standard error; the result is one line of JSON on standard output:
  seconds, accounts, token_lifetime   the options
  bearers             bearers handed out, without those that a killed process had not yet reported
  renewals            refreshes for which HubSpot returned tokens
  duplicate_renewals  renewals before the last quarter of the newest token's life
  rejected_bearers    calls for which HubSpot returned 401, without overdue_calls
  lost_accounts       accounts whose refresh was refused, or that cannot be renewed at the end
  corrupt_files       damaged files of the store, and records that cannot be read
  kills               killed processes
  longest_wait_ms     the longest wait for a bearer, or for the error in its place
  late_bearers        bearers that came after more than a second
  failed_bearers      errors in place of a bearer
  overdue_calls       calls that took longer than the safety margin (with tokens of 10 seconds
                      half a second), so that the token ended on the way, and got a 401
  lost_responses      refreshes whose response did not come in time, as on a machine that is too busy
  store_calls         calls of the store by all processes, without those that a killed process had not yet reported
  store_failures      calls of the store that failed, or that their caller gave up
  longest_store_ms    the longest call of the store
  checked_calls       calls of the store in the history that was checked

duplicate_renewals, rejected_bearers, lost_accounts and corrupt_files should be 0. With --kill, a
process can die after HubSpot's response and before the save. Then one more renewal is needed. With
--rotation rotate or strict the account is lost, and no client can prevent that. The same is true of
a response that does not come in time, and of a store that is out of reach for longer than the rest
of a lease after the response (with tokens of 10 seconds: 2 seconds at least). The process that has
the tokens goes on to save them, and the account may live.

Exit status: 0 as promised, 1 not as promised (standard error says why), 2 could not run.";

impl Options {
    /// Returns the hub ids of all accounts.
    pub(crate) fn hubs(&self) -> Vec<i64> {
        (0..i64::from(self.accounts)).map(|number| 1_000_001 + number).collect()
    }

    /// Returns how many accounts the store tasks have: four for each task, so that a task seldom has an account for itself for long, and
    /// seldom meets another one at every call.
    pub(crate) fn store_task_accounts(&self) -> u32 {
        self.processes * self.store_tasks * 4
    }

    pub(crate) fn run_time(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

fn rotation(text: &str) -> Result<Rotation, String> {
    match text {
        "keep" => Ok(Rotation::Keep),
        "rotate" => Ok(Rotation::Rotate),
        "strict" => Ok(Rotation::Strict),
        _ => Err("it is keep, rotate or strict".to_owned()),
    }
}

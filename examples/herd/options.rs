use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use hs_oauth_emulator::Rotation;

/// Many processes share the tokens of many accounts through one folder; an emulator of HubSpot counts what they do wrong.
#[derive(Parser)]
#[command(after_help = OUTPUT)]
pub(crate) struct Options {
    /// How many processes run at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) processes: u32,
    /// How many tasks run in each
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) tasks: u32,
    /// How many accounts have the app installed
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) accounts: u32,
    /// How long the processes run
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: u32,
    /// Kill processes at random moments (SIGKILL), and start others in their place
    #[arg(long)]
    pub(crate) kill: bool,
    /// How many are killed in a second, on average
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20), requires = "kill")]
    pub(crate) kill_rate: u32,
    /// Life of an access token
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=86_400))]
    pub(crate) token_lifetime: u32,
    /// What a refresh does to the refresh token: keep (as HubSpot today), rotate (replace it), strict (replace it, and end the grant if it is used again)
    #[arg(long, value_name = "keep|rotate|strict", default_value = "keep", value_parser = rotation)]
    pub(crate) rotation: Rotation,
    /// How many calls the herd makes to HubSpot's API in a second; it asks for ten times as many bearers
    #[arg(long, value_name = "CALLS", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
    /// Draw bearers and renewals over time, as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) chart: Option<PathBuf>,
    /// Be one of the processes; the orders come on standard input
    #[arg(long, hide = true)]
    pub(crate) child: bool,
}

const OUTPUT: &str = "\
Progress goes to standard error; the result is one line of JSON on standard output:
  seconds, accounts, token_lifetime   as asked for
  bearers             how many were handed out; what a killed process had not told is missing
  renewals            refreshes that HubSpot answered with tokens
  duplicate_renewals  those of them before the last quarter of the newest token's life
  rejected_bearers    calls that HubSpot answered with 401
  lost_accounts       a refresh was refused, or what is stored at the end renews nothing
  corrupt_files       files of the store that are damaged
  kills

duplicate_renewals, rejected_bearers, lost_accounts and corrupt_files are to be 0. With --kill, a
process that dies between HubSpot's answer and the save makes one more renewal needed; with
--rotation rotate or strict it takes the account along, as no client can help.

Exit status: 0 as promised, 1 not (standard error says what), 2 could not run.";

impl Options {
    pub(crate) fn hubs(&self) -> Vec<i64> {
        (0..i64::from(self.accounts)).map(|number| 1_000_001 + number).collect()
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

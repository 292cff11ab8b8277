use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use hs_oauth_manager::Sweep;

/// What a fleet asks of its store and of HubSpot, in virtual time and without any IO.
#[derive(Parser)]
#[command(after_help = OUTPUT)]
pub(crate) struct Options {
    /// How many replicas the service has
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) replicas: u32,
    /// How many accounts have the app installed
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub(crate) accounts: u32,
    /// How many replicas get the calls for one account
    #[arg(long, value_name = "NUMBER", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(crate) replicas_per_account: u32,
    /// How many replicas share a part of the accounts, and look after no others
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) replicas_per_part: u32,
    /// How the accounts are looked after that nobody asks for: off, warm (each is renewed ahead of time), daily (each is renewed once a day)
    #[arg(long, value_name = "off|warm|daily", default_value = "off", value_parser = sweep)]
    pub(crate) sweep: SweepMode,
    /// How often a bearer is asked for in an hour, for each account on average
    #[arg(long, value_name = "CALLS", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(crate) calls_per_hour: u32,
    /// How long a call of the store takes
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) store_ms: u32,
    /// How long a request to HubSpot takes
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) hubspot_ms: u32,
    /// The limit of renewals a second of all replicas together, which they divide evenly. None by default
    #[arg(long, value_name = "RENEWALS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,
    /// Draw the load over time, as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) chart: Option<PathBuf>,
    /// How many processors to use. All by default. The numbers do not depend on it
    #[arg(long, value_name = "NUMBER")]
    pub(crate) threads: Option<usize>,
}

const OUTPUT: &str = "\
Each of three events happens to a fleet that has run for five minutes: all replicas restart at once; HubSpot is down
for an hour; the store is down for a minute. Standard output has a table for each:
  store reads, writes       calls of the store that it answered; a page of 500 accounts counts as one
  HubSpot requests          requests for a token
  lease conflicts           swaps that came too late, since another replica had written
  waits for a lease         how often a renewal found that another replica renews already, and waited
  store failures            calls of the store without an answer
  late callers              calls that got a bearer after more than a second
  failed callers            calls that got an error
  longest wait              of a call that got a bearer
  latest renewal            the longest time from a call that needed a new token to that token; with --sweep warm from
                            the end of any token to the next one
  longest without a token   the longest time in which all calls for an account failed
  last failed call          how long after the end of the event it came";

/// What a sweep does, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SweepMode(pub(crate) Option<Sweep>);

fn sweep(text: &str) -> Result<SweepMode, String> {
    match text {
        "off" => Ok(SweepMode(None)),
        "warm" => Ok(SweepMode(Some(Sweep::keep_warm()))),
        "daily" => Ok(SweepMode(Some(Sweep::check_daily()))),
        _ => Err("it is off, warm or daily".to_owned()),
    }
}

impl Options {
    /// Returns whether every account is renewed ahead of time.
    pub(crate) fn keeps_warm(&self) -> bool {
        self.sweep.0 == Some(Sweep::keep_warm())
    }

    pub(crate) fn store_time(&self) -> Duration {
        Duration::from_millis(self.store_ms.into())
    }

    pub(crate) fn hubspot_time(&self) -> Duration {
        Duration::from_millis(self.hubspot_ms.into())
    }

    /// Returns the average time between two calls for an account at one replica.
    pub(crate) fn time_between_calls(&self) -> Duration {
        Duration::from_secs(3600) * self.replicas_per_account / self.calls_per_hour
    }
}

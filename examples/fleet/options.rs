use std::time::Duration;

use clap::{Args, Parser, Subcommand, value_parser};

/// Real processes share many accounts, and an emulator of HubSpot says whether they keep what the token manager promises.
#[derive(Parser)]
#[command(after_help = OUTPUT)]
pub(crate) struct Options {
    /// The store that the processes share: postgres://… or file:FOLDER, by default a new folder. In PostgreSQL it is a table of its own, which is dropped at the
    /// end. An address with a password belongs into FLEET_STORE in the environment, since others can read a command line
    #[arg(long, value_name = "ADDRESS", global = true)]
    pub(crate) store: Option<String>,
    #[command(subcommand)]
    pub(crate) promise: Promise,
}

#[derive(Subcommand)]
pub(crate) enum Promise {
    /// The tokens of many accounts end within a short time. With a rate for the fleet, none is renewed late and no caller waits
    Expire(ExpireOptions),
    /// Nobody asks for the accounts. A sweep renews each of them once in each period
    Idle(IdleOptions),
    /// Every process wants to renew more than it may. Together they stay within 1.2 times the rate
    Rate(RateOptions),
    /// Run as one of the processes. Its configuration comes on standard input
    #[command(hide = true)]
    Child,
}

#[derive(Args)]
pub(crate) struct ExpireOptions {
    /// How many accounts there are
    #[arg(long, value_name = "NUMBER", default_value_t = 100_000, value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub(crate) accounts: u32,
    /// How many processes share them
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = value_parser!(u32).range(1..=256))]
    pub(crate) processes: u32,
    /// The most refreshes that all processes together send in a second
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = value_parser!(u32).range(1..))]
    pub(crate) rate: u32,
    /// When the first token ends, after the processes have started
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(crate) first: u32,
    /// When the last token ends, after the processes have started. The tokens end evenly in between
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub(crate) within: u32,
    /// How long an access token lives
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = value_parser!(u32).range(10..=86_400))]
    pub(crate) token_lifetime: u32,
    /// How many bearers all processes together ask for in a second, each of an account by chance
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = value_parser!(u32).range(1..))]
    pub(crate) calls: u32,
    /// How long it may take to write the accounts into the store before the processes start, by default 10 seconds and another one for each 500 accounts
    #[arg(long, value_name = "SECONDS")]
    pub(crate) preparation: Option<u32>,
}

#[derive(Args)]
pub(crate) struct IdleOptions {
    /// How many accounts there are
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub(crate) accounts: u32,
    /// How many processes share them
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = value_parser!(u32).range(1..=256))]
    pub(crate) processes: u32,
    /// The period of the sweep
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = value_parser!(u32).range(8..=86_400))]
    pub(crate) period: u32,
    /// How many periods are measured, after two in which the processes get to know the accounts
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = value_parser!(u32).range(2..=1000))]
    pub(crate) periods: u32,
}

#[derive(Args)]
pub(crate) struct RateOptions {
    /// How many processes share the rate
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = value_parser!(u32).range(1..=256))]
    pub(crate) processes: u32,
    /// The most refreshes that all processes together send in a second
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = value_parser!(u32).range(1..))]
    pub(crate) rate: u32,
    /// How long it is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = value_parser!(u32).range(3..=86_400))]
    pub(crate) seconds: u32,
}

const OUTPUT: &str = "\
Progress goes to standard error; the result is one line of JSON on standard output:
  renewals                  refreshes for which HubSpot returned tokens
  late_renewals             (expire) renewals after the moment from which a token is not handed out, and accounts that nobody renewed
  least_margin_s            (expire) how long before that moment the latest renewal came
  duplicate_renewals        (expire) renewals of tokens that were as good as new
  renewed_once, renewed_more_often, not_renewed
                            (idle) accounts and periods, by the number of renewals in the period
  mean_per_second, most_in_a_second
                            (rate) renewals on average, and in the second that has most of them
  bearers, late_bearers, failed_bearers, longest_wait_ms
                            bearers handed out, those that came after more than a second, errors in place of a bearer, the longest wait
  loads, swaps, pages       calls of the store by all processes
  store_calls_per_account   (idle) those calls for each account and period
  store_failures            calls of the store that failed
  peak_memory_kb            the most memory of each process

Exit status: 0 if all is as promised, 1 if not, 2 if the run could not be made.";

impl Promise {
    /// Returns how long an access token lives, in seconds.
    pub(crate) fn token_lifetime(&self) -> u32 {
        match self {
            Self::Expire(options) => options.token_lifetime,
            // A token that is still good when a period begins says that the grant is well, and is not renewed in it.
            Self::Idle(options) => options.period / 4,
            Self::Rate(_) | Self::Child => 1800,
        }
    }
}

impl ExpireOptions {
    pub(crate) fn preparation(&self) -> Duration {
        Duration::from_secs(self.preparation.unwrap_or(10 + self.accounts / 500).into())
    }
}

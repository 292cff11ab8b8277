use clap::Parser;

/// A table of refresh tokens moves off v1 into a store, and the process that does it is killed twice.
#[derive(Parser)]
#[command(after_help = OUTPUT)]
pub(crate) struct Options {
    /// How many accounts the table has
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub(crate) accounts: u32,
    /// How many refreshes begin in a second, at most
    #[arg(long, value_name = "NUMBER", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
    /// Run as the process that migrates. Its configuration comes on standard input
    #[arg(long, hide = true)]
    pub(crate) child: bool,
}

const OUTPUT: &str = "\
Progress goes to standard error; the result is one line of JSON on standard output:
  rows        rows of the table
  live        accounts whose tokens are in the store and work after v1 is switched off
  gone        accounts that HubSpot has refused, since they had uninstalled the app
  lost        accounts that are neither
  requests    requests that HubSpot received, which are as many as rows, and a few more for those that were under way at a kill
  seconds     how long it took, with the two kills and what they left behind
  kills       how often the process was killed

Exit status: 0 if rows = live + gone and nothing is lost, 1 otherwise, 2 could not run.";

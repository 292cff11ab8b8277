//! HubSpot OAuth from the command line:
//!
//! ```sh
//! export HUBSPOT_CLIENT_ID=… HUBSPOT_CLIENT_SECRET=… HUBSPOT_REDIRECT_URI=http://localhost:3000/oauth/callback
//! umask 077
//! hs-oauth authorize-url --scope oauth --pending pending.json   # open the URL and connect
//! hs-oauth exchange --pending pending.json --json - > tokens.json   # paste the address the browser ends at
//! jq -r .refresh_token tokens.json | hs-oauth refresh -   # prints tokens masked
//! ```
//!
//! Every command is a file in `commands` and returns a [`Report`](report::Report) or a [`Failure`]. `output` prints
//! them. `environment` names the environment variables.

mod account_status;
mod accounts;
mod browser;
mod callback;
mod callback_server;
mod check;
mod commands;
mod config_file;
mod confirm;
mod consent;
mod duration;
mod environment;
mod failure;
mod folders;
mod import;
mod kept_secret;
mod lines;
mod online;
mod output;
mod page;
mod private_file;
mod profile;
mod progress;
mod report;
mod scan;
mod secret;
mod session;
mod settings;
mod signals;
mod stdin;
mod store;
mod usage;
mod waiting;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::commands::Command;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;

/// HubSpot OAuth from the command line: get, refresh, introspect and revoke tokens.
#[derive(Debug, Parser)]
#[command(name = "hs-oauth", bin_name = "hs-oauth", version, after_help = HELP, arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    settings: Settings,
}

const HELP: &str = "\
A flag wins over the environment; an empty variable counts as not set.

Secrets come from the environment or from standard input, never from the command line, which other
processes can read. Each command's --help names its variables. `-` reads a secret from standard
input, without spaces around it; on a terminal it prompts for the secret. If several are read with
`-`, each is one line, in this order: the client secret, then the code, callback or token, then the
code verifier.

Exit status:
  0  done; also when introspect says that a token is inactive
  2  usage: a wrong flag, a missing setting or an invalid value; nothing was sent
  3  reauthorize: the grant is gone or the code was refused; the account has to connect again
  4  fix the configuration: the app is set up wrongly; the stored grants stay good
  5  try later: HubSpot is busy, was not reached, or its response did not arrive whole
  6  something was found or refused, as the help of the command says
  1  anything else

An error message goes to standard error. With --json, one object goes to standard output too:
{\"error\":…,\"message\":…,\"next_step\":…}, and, where they are known, status (of HTTP), code,
policyName, correlationId and retry_after (seconds).

A refresh token that HubSpot has just issued is never dropped. If it is not printed, or is printed
to /dev/null, it is written to a new file that only you can read, and standard error says where.

A signal that arrives while HubSpot may be issuing a refresh token ends exchange and refresh only
after they have finished, with their own exit status. A second signal ends them at once.";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let (output, result) = match parse(&arguments) {
        Ok(Parsed::Command(cli)) => {
            let result = cli.command.run(&cli.settings).and_then(|report| cli.output.print_report(&report));
            (cli.output, result)
        }
        Ok(Parsed::Help(text)) => {
            return match output::print(&text) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            };
        }
        Err(failure) => (Output::from_arguments(&arguments), Err(failure)),
    };
    match result {
        Ok(exit_status) => ExitCode::from(exit_status),
        Err(failure) => ExitCode::from(output.print_failure(&failure)),
    }
}

/// What the command line asks for.
enum Parsed {
    Command(Box<Cli>),
    /// The text that `--help` or `--version` prints.
    Help(String),
}

fn parse(arguments: &[OsString]) -> Result<Parsed, Failure> {
    secret::refuse_on_command_line(arguments)?;
    match Cli::try_parse_from(arguments) {
        Ok(cli) => Ok(Parsed::Command(Box::new(cli))),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Ok(Parsed::Help(error.to_string())),
            _ => Err(Failure::usage(usage::message(&error, &command_names()))),
        },
    }
}

fn command_names() -> String {
    let cli = Cli::command();
    cli.get_subcommands().map(|command| command.get_name()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_names_every_environment_variable_and_fits_100_columns() {
        let mut command = Cli::command();
        let mut texts = vec![command.render_long_help().to_string()];
        texts.extend(command.get_subcommands_mut().map(|command| command.render_long_help().to_string()));
        for variable in ["CLIENT_ID", "CLIENT_SECRET", "REDIRECT_URI", "API_VERSION", "API_BASE", "APP_BASE"]
        {
            assert!(texts[0].contains(&format!("HUBSPOT_{variable}")), "{variable}");
        }
        for variable in environment::ALL {
            let shown = format!("[env: {}]", variable.name);
            assert!(texts.iter().any(|text| text.contains(&shown)), "{shown}");
        }
        for line in texts.iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

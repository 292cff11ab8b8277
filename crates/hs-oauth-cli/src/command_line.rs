//! The command line as a whole: its commands, its flags and its help.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::commands::Command;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings::Settings;
use crate::{secret, usage};

/// HubSpot OAuth from the command line: connect accounts, and get tokens that work.
#[derive(Debug, Parser)]
#[command(name = "hs-oauth", bin_name = "hs-oauth", version, after_help = HELP, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

const HELP: &str = "\
Examples:
  hs-oauth login --scope 'oauth crm.objects.contacts.read'
  curl -H \"$(hs-oauth token --header)\" https://api.hubapi.com/account-info/v3/details
  hs-oauth doctor

A flag wins over the environment, and the environment over the profile, which `login` makes. An
empty variable counts as not set.

Secrets come from the environment, from standard input or from the profile, never from the command
line, which other processes can read. Each command's --help names its variables. `-` reads a secret
from standard input, without spaces around it; on a terminal it prompts for the secret. If several
are read with `-`, each is one line, in this order: the client secret, then the code, callback or
token, then the code verifier.

What `login` keeps is encrypted, with a key in the system's keyring where there is one. With
HS_OAUTH_KEYRING=off, secrets are kept in files that only you can read.

Exit status:
  0  done; also when introspect says that a token is inactive
  2  usage: a wrong flag, a missing setting or an invalid value; nothing was sent
  3  reauthorize: the grant is gone or the code was refused; the account has to connect again
  4  fix the configuration: the app is set up wrongly; the stored grants stay good
  5  try later: HubSpot is busy, was not reached, or its response did not arrive whole
  6  done, and something was found: api got a status of 400 or above, scan found uses of v1, or
     import has rows that are refused
  1  anything else

An error message goes to standard error. With --json, one object goes to standard output too:
{\"error\":…,\"message\":…,\"next_step\":…}, and, where they are known, status (of HTTP), code,
policyName, correlationId and retry_after (seconds).

A refresh token that HubSpot has just issued is never dropped. If it is neither stored nor printed,
or is printed to /dev/null, it is written to a new file that only you can read, and standard error
says where.

A signal that arrives while HubSpot may be issuing tokens ends a command only after it has finished,
with its own exit status. A second signal ends it at once.";

/// What the command line asks for.
pub(crate) enum Parsed {
    Command(Box<Cli>),
    /// The text that `--help` or `--version` prints.
    Help(String),
}

/// Reads the command line.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Parsed, Failure> {
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
    use crate::environment;

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

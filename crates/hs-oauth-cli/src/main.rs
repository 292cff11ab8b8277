//! HubSpot OAuth from a shell:
//!
//! ```sh
//! export HUBSPOT_CLIENT_ID=… HUBSPOT_CLIENT_SECRET=… HUBSPOT_REDIRECT_URI=http://localhost:3000/oauth/callback
//! umask 077
//! hs-oauth authorize-url --scope oauth --pending pending.json   # open the URL and connect
//! hs-oauth exchange --pending pending.json --json - > tokens.json   # paste the address the browser ends at
//! jq -r .refresh_token tokens.json | hs-oauth refresh -   # prints tokens masked
//! ```
//!
//! Every command is a file of its own and gives a [`Report`] or a [`Failure`]; `output` prints them.

mod authorize_url;
mod client_credentials;
mod exchange;
mod failure;
mod introspect;
mod output;
mod private_file;
mod refresh;
mod revoke;
mod secret;
mod settings;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::output::{Output, Report};
use crate::settings::Settings;

/// HubSpot OAuth from a shell: get tokens, renew them, ask about them, revoke them.
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

#[derive(Debug, Subcommand)]
enum Command {
    AuthorizeUrl(authorize_url::AuthorizeUrl),
    Exchange(exchange::Exchange),
    Refresh(refresh::Refresh),
    ClientCredentials(client_credentials::ClientCredentials),
    Introspect(introspect::Introspect),
    Revoke(revoke::Revoke),
}

const HELP: &str = "\
A flag wins over the environment; an empty variable counts as not set.

Secrets come from the environment (each command's --help names the variables) or from standard
input, never from the command line, which other processes can read. `-` reads one from standard
input, without the line break; a terminal asks for it. Where several are `-`, each is a line: the
client secret, then the code, callback or token, then the code verifier.

Exit status:
  0  done; also when introspect says that a token is inactive
  2  usage: a wrong flag, a missing setting, a value that cannot be; nothing was sent
  3  reauthorize: the grant is gone or the code was refused; the account has to connect again
  4  fix the configuration: the app is set up wrongly; the stored grants stay good
  5  try later: HubSpot is busy, was not reached, or its answer did not arrive whole
  1  anything else

A failure is told on standard error. With --json it is one object on standard output too:
{\"error\":…,\"message\":…,\"next_step\":…}, and where they are known status (of HTTP), code,
policyName, correlationId and retry_after (seconds).

A refresh token HubSpot has just issued is never dropped: if it is not printed (or to /dev/null),
it is put into a new file that only you can read, and standard error says where.";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let (output, outcome) = match parse(&arguments) {
        Ok(cli) => {
            let outcome = run(&cli).and_then(|report| cli.output.report(&report));
            (cli.output, outcome)
        }
        Err(failure) => (Output::of(&arguments), Err(failure)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Help(text)) => match output::print(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(failure) => ExitCode::from(output.failure(&failure)),
    }
}

fn parse(arguments: &[OsString]) -> Result<Cli, Failure> {
    secret::refuse_on_command_line(arguments)?;
    Ok(Cli::try_parse_from(arguments)?)
}

fn run(cli: &Cli) -> Result<Report, Failure> {
    match &cli.command {
        Command::AuthorizeUrl(command) => command.run(&cli.settings),
        Command::Exchange(command) => command.run(&cli.settings),
        Command::Refresh(command) => command.run(&cli.settings),
        Command::ClientCredentials(command) => command.run(&cli.settings),
        Command::Introspect(command) => command.run(&cli.settings),
        Command::Revoke(command) => command.run(&cli.settings),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

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
        for line in texts.iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}

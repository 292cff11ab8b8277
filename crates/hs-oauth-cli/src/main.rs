//! HubSpot OAuth from the command line:
//!
//! ```sh
//! export HUBSPOT_CLIENT_ID=… HUBSPOT_CLIENT_SECRET=… HUBSPOT_REDIRECT_URI=http://localhost:3000/oauth/callback
//! hs-oauth login --scope 'oauth crm.objects.contacts.read'   # opens the consent page, and keeps the tokens
//! hs-oauth token                                             # prints an access token, renewed if it has to be
//! ```
//!
//! Every command is a file in `commands` and returns a [`Report`](report::Report) or a [`Failure`](failure::Failure). `output` prints
//! them. `environment` names the environment variables. `profile`, `store` and `session` are about what is kept.

mod account_report;
mod accounts;
mod browser;
mod callback;
mod callback_server;
mod check;
mod command_line;
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
mod keyring;
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
mod store_url;
#[cfg(any(test, feature = "postgres", feature = "redis"))]
mod unsealed;
mod usage;
mod waiting;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::command_line::Parsed;
use crate::output::Output;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let (output, result) = match command_line::parse(&arguments) {
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

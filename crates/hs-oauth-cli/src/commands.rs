//! The commands. Each one is a file of its own, which declares its flags and makes its [`Report`].

mod authorize_url;
mod client_credentials;
mod exchange;
mod introspect;
mod refresh;
mod revoke;
mod scan;

use clap::Subcommand;

use crate::failure::Failure;
use crate::report::Report;
use crate::settings::Settings;

/// A command with its flags.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    AuthorizeUrl(authorize_url::AuthorizeUrl),
    Exchange(exchange::Exchange),
    Refresh(refresh::Refresh),
    ClientCredentials(client_credentials::ClientCredentials),
    Introspect(introspect::Introspect),
    Revoke(revoke::Revoke),
    Scan(scan::Scan),
}

impl Command {
    /// Runs the command for the app that the settings describe.
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        match self {
            Self::AuthorizeUrl(command) => command.run(settings),
            Self::Exchange(command) => command.run(settings),
            Self::Refresh(command) => command.run(settings),
            Self::ClientCredentials(command) => command.run(settings),
            Self::Introspect(command) => command.run(settings),
            Self::Revoke(command) => command.run(settings),
            Self::Scan(command) => command.run(),
        }
    }
}

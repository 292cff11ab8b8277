//! The commands. Each one is a file of its own, which declares its flags and makes its [`Report`].

mod api;
mod authorize_url;
mod client_credentials;
mod completions;
mod doctor;
mod exchange;
mod export;
mod import;
mod introspect;
mod list;
mod login;
mod logout;
mod man;
mod profile;
mod recheck;
mod refresh;
mod revoke;
mod scan;
mod status;
mod token;
mod uninstall;

use clap::Subcommand;

use crate::failure::Failure;
use crate::report::Report;
use crate::settings::Settings;

/// A command with its flags.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Login(login::Login),
    Token(token::Token),
    List(list::List),
    Status(status::Status),
    Api(api::Api),
    Logout(logout::Logout),
    Uninstall(uninstall::Uninstall),
    Recheck(recheck::Recheck),
    Doctor(doctor::Doctor),
    Export(export::Export),
    Import(import::Import),
    Profile(profile::Profile),
    Scan(scan::Scan),
    AuthorizeUrl(authorize_url::AuthorizeUrl),
    Exchange(exchange::Exchange),
    Refresh(refresh::Refresh),
    ClientCredentials(client_credentials::ClientCredentials),
    Introspect(introspect::Introspect),
    Revoke(revoke::Revoke),
    Completions(completions::Completions),
    Man(man::Man),
}

impl Command {
    /// Runs the command for the app that the settings describe.
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        match self {
            Self::Login(command) => command.run(settings),
            Self::Token(command) => command.run(settings),
            Self::List(command) => command.run(settings),
            Self::Status(command) => command.run(settings),
            Self::Api(command) => command.run(settings),
            Self::Logout(command) => command.run(settings),
            Self::Uninstall(command) => command.run(settings),
            Self::Recheck(command) => command.run(settings),
            Self::Doctor(command) => command.run(settings),
            Self::Export(command) => command.run(settings),
            Self::Import(command) => command.run(settings),
            Self::Profile(command) => command.run(settings),
            Self::Scan(command) => command.run(),
            Self::AuthorizeUrl(command) => command.run(settings),
            Self::Exchange(command) => command.run(settings),
            Self::Refresh(command) => command.run(settings),
            Self::ClientCredentials(command) => command.run(settings),
            Self::Introspect(command) => command.run(settings),
            Self::Revoke(command) => command.run(settings),
            Self::Completions(command) => command.run(),
            Self::Man(command) => command.run(),
        }
    }
}

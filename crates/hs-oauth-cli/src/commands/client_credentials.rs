use clap::Args;

use crate::failure::Failure;
use crate::report::Report;
use crate::settings::Settings;

/// Get an access token for the app itself, which acts for no account
///
/// There is no refresh token. When the access token expires, get another one.
#[derive(Args, Debug)]
pub(crate) struct ClientCredentials {
    /// Scopes to ask for, separated by spaces or each with its own flag
    #[arg(long, value_name = "SCOPES")]
    scope: Vec<String>,
}

impl ClientCredentials {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let scopes = self.scope.join(" ").parse()?;
        let tokens = settings.client()?.client_credentials(scopes)?;
        Report::from_tokens(&tokens, None)
    }
}

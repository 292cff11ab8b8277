use clap::Args;

use crate::failure::Failure;
use crate::output::Report;
use crate::settings::Settings;

/// Get an access token for the app itself, which acts for no account
///
/// There is no refresh token: when it ends, ask again.
#[derive(Args, Debug)]
pub(crate) struct ClientCredentials {
    /// Scopes to ask for, with spaces between them or each with a flag
    #[arg(long, value_name = "SCOPES")]
    scope: Vec<String>,
}

impl ClientCredentials {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let scopes = self.scope.join(" ").parse()?;
        let tokens = settings.client()?.client_credentials(scopes)?;
        Report::of_tokens(&tokens, None)
    }
}

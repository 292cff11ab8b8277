use clap::Args;

use crate::failure::Failure;
use crate::report::Report;
use crate::settings::Settings;
use crate::waiting;

/// Get an access token for the app itself, which acts for no account
///
/// There is no refresh token. When the access token expires, get another one.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ClientCredentials {
    /// Scopes to ask for, separated by spaces or each with its own flag
    #[arg(long, value_name = "SCOPES")]
    scope: Vec<String>,
}

const EXAMPLES: &str = "\
Example:
  hs-oauth client-credentials --scope developer.webhooks_journal.read --json";

impl ClientCredentials {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let scopes = self.scope.join(" ").parse()?;
        let client = settings.client()?;
        let tokens = waiting::for_hubspot(client.app(), || client.client_credentials(scopes))?;
        Report::from_tokens(&tokens, None)
    }
}

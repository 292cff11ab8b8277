use clap::Args;
use hs_oauth_blocking::RefreshToken;

use crate::failure::Failure;
use crate::output::Report;
use crate::secret::{Dash, REFRESH_TOKEN};
use crate::settings::Settings;

/// Get a new access token for a grant
///
/// If HubSpot gives a new refresh token, it replaces the one sent: store it. If it gives none, the
/// one sent stays good and is printed again.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Refresh {
    /// Read the refresh token from standard input
    #[arg(value_name = "-")]
    stdin: Option<Dash>,
    /// The same [env: HUBSPOT_REFRESH_TOKEN]
    #[arg(long, value_name = "-", conflicts_with = "stdin")]
    refresh_token: Option<Dash>,
    /// Ask for these scopes only, with spaces between them or each with a flag
    #[arg(long, value_name = "SCOPES")]
    scope: Vec<String>,
}

impl Refresh {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let scopes = self.scope.join(" ").parse()?;
        let client = settings.client()?;
        let sent = RefreshToken::new(REFRESH_TOKEN.read(self.stdin.or(self.refresh_token).is_some())?)?;
        let tokens = client.call(&hs_oauth_blocking::Refresh::new(sent.clone()).scopes(scopes))?;
        Report::of_tokens(&tokens, Some(&sent))
    }
}

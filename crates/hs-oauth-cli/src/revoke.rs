use clap::Args;
use hs_oauth_blocking::RefreshToken;

use crate::failure::Failure;
use crate::output::Report;
use crate::secret::{Dash, REFRESH_TOKEN};
use crate::settings::Settings;

/// Revoke a refresh token, and with it the grant
///
/// A token HubSpot does not know counts as revoked.
#[derive(Args, Debug)]
pub(crate) struct Revoke {
    /// Read the refresh token from standard input
    #[arg(value_name = "-")]
    stdin: Option<Dash>,
    /// The same [env: HUBSPOT_REFRESH_TOKEN]
    #[arg(long, value_name = "-", conflicts_with = "stdin")]
    refresh_token: Option<Dash>,
}

impl Revoke {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let client = settings.client()?;
        let token = REFRESH_TOKEN.read(self.stdin.or(self.refresh_token).is_some())?;
        client.revoke(&RefreshToken::new(token)?)?;
        let report = Report::of(&serde_json::json!({ "revoked": true }))?;
        Ok(report.note("access tokens already given live on until they expire, and the app stays installed"))
    }
}

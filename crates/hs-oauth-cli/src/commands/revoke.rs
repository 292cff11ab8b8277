use clap::Args;
use hs_oauth_blocking::RefreshToken;

use crate::environment::REFRESH_TOKEN;
use crate::failure::Failure;
use crate::report::Report;
use crate::settings::Settings;
use crate::stdin::StdinMarker;
use crate::{secret, waiting};

/// Revoke a refresh token, and with it the grant
///
/// A token that HubSpot does not know counts as revoked.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Revoke {
    /// Read the refresh token from standard input
    #[arg(value_name = "-")]
    stdin: Option<StdinMarker>,
    /// The same [env: HUBSPOT_REFRESH_TOKEN]
    #[arg(long, value_name = "-", conflicts_with = "stdin")]
    refresh_token: Option<StdinMarker>,
}

const EXAMPLES: &str = "\
Examples:
  HUBSPOT_REFRESH_TOKEN=… hs-oauth revoke
  hs-oauth revoke -    # prompts for the token";

impl Revoke {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let from_stdin = self.stdin.or(self.refresh_token).is_some();
        let client = settings.client_requiring((!from_stdin).then_some(&REFRESH_TOKEN))?;
        let token = secret::read(&REFRESH_TOKEN, from_stdin)?;
        let token = RefreshToken::new(token)?;
        waiting::for_hubspot(client.app(), || client.revoke(&token))?;
        let report = Report::new(&serde_json::json!({ "revoked": true }))?;
        Ok(report.with_note(
            "access tokens that were issued before live on until they expire, and the app stays installed",
        ))
    }
}

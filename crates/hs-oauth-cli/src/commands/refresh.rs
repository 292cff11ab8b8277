use clap::Args;
use hs_oauth_blocking::RefreshToken;

use crate::environment::REFRESH_TOKEN;
use crate::failure::Failure;
use crate::report::Report;
use crate::settings::Settings;
use crate::stdin::StdinMarker;
use crate::{secret, signals, waiting};

/// Get a new access token for a grant
///
/// If HubSpot returns a new refresh token, it replaces the one that was sent: store it. If HubSpot
/// returns none, the one that was sent stays good and is printed again.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct Refresh {
    /// Read the refresh token from standard input
    #[arg(value_name = "-")]
    stdin: Option<StdinMarker>,
    /// The same [env: HUBSPOT_REFRESH_TOKEN]
    #[arg(long, value_name = "-", conflicts_with = "stdin")]
    refresh_token: Option<StdinMarker>,
    /// Ask for these scopes only, separated by spaces or each with its own flag
    #[arg(long, value_name = "SCOPES")]
    scope: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  HUBSPOT_REFRESH_TOKEN=… hs-oauth refresh --json
  jq -r .refresh_token tokens.json | hs-oauth refresh --show-tokens -";

impl Refresh {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let scopes = self.scope.join(" ").parse()?;
        let from_stdin = self.stdin.or(self.refresh_token).is_some();
        let client = settings.client_requiring((!from_stdin).then_some(&REFRESH_TOKEN))?;
        let sent = RefreshToken::new(secret::read(&REFRESH_TOKEN, from_stdin)?)?;
        signals::defer();
        let refresh = hs_oauth_blocking::Refresh::new(sent.clone()).with_scopes(scopes);
        let tokens = waiting::for_hubspot(client.app(), || client.call(&refresh))?;
        Report::from_tokens(&tokens, Some(&sent))
    }
}

use clap::{Args, ValueEnum};
use hs_oauth_blocking::{AccessToken, RefreshToken, Token};

use crate::environment::{ACCESS_TOKEN, REFRESH_TOKEN};
use crate::failure::Failure;
use crate::report::Report;
use crate::settings::Settings;
use crate::stdin::StdinMarker;
use crate::{secret, waiting};

/// Ask HubSpot whether a token is active, and which account it belongs to
///
/// A token that is unknown, expired or revoked is inactive. That is a result and not an error.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Introspect {
    /// Read the token from standard input; requires --type
    #[arg(value_name = "-", requires = "token_type")]
    stdin: Option<StdinMarker>,
    /// The type of the token; required with `-`, and if both variables are set
    #[arg(long = "type", value_name = "access|refresh", hide_possible_values = true)]
    token_type: Option<TokenType>,
    /// The same as `--type access -` [env: HUBSPOT_ACCESS_TOKEN]
    #[arg(long, value_name = "-", conflicts_with_all = ["stdin", "token_type", "refresh_token"])]
    access_token: Option<StdinMarker>,
    /// The same as `--type refresh -` [env: HUBSPOT_REFRESH_TOKEN]
    #[arg(long, value_name = "-", conflicts_with_all = ["stdin", "token_type"])]
    refresh_token: Option<StdinMarker>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TokenType {
    Access,
    Refresh,
}

const EXAMPLES: &str = "\
Examples:
  HUBSPOT_ACCESS_TOKEN=… hs-oauth introspect
  jq -r .refresh_token tokens.json | hs-oauth introspect --type refresh -";

impl Introspect {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let token_type = self.token_type()?;
        let client = settings.client()?;
        let from_stdin = self.stdin.or(self.access_token).or(self.refresh_token).is_some();
        let token: Token = match token_type {
            TokenType::Access => AccessToken::new(secret::read(&ACCESS_TOKEN, from_stdin)?)?.into(),
            TokenType::Refresh => RefreshToken::new(secret::read(&REFRESH_TOKEN, from_stdin)?)?.into(),
        };
        let introspection = waiting::for_hubspot(client.app(), || client.introspect(token))?;
        let report = Report::new(&introspection)?;
        Ok(match introspection.is_active() {
            true => report,
            false => report.with_note("inactive: the token is unknown, expired or revoked"),
        })
    }

    /// Returns the type of the token: as the flags say, or else as the one variable that is set.
    fn token_type(&self) -> Result<TokenType, Failure> {
        match (self.token_type, self.access_token, self.refresh_token) {
            (Some(token_type), _, _) => return Ok(token_type),
            (_, Some(StdinMarker), _) => return Ok(TokenType::Access),
            (_, _, Some(StdinMarker)) => return Ok(TokenType::Refresh),
            (None, None, None) => {}
        }
        match (ACCESS_TOKEN.read()?.is_some(), REFRESH_TOKEN.read()?.is_some()) {
            (true, false) => Ok(TokenType::Access),
            (false, true) => Ok(TokenType::Refresh),
            (true, true) => Err(Failure::usage(
                "HUBSPOT_ACCESS_TOKEN and HUBSPOT_REFRESH_TOKEN are both set: pass --type access or --type refresh",
            )),
            (false, false) => Err(Failure::usage(
                "no token: set HUBSPOT_ACCESS_TOKEN or HUBSPOT_REFRESH_TOKEN, or pass `-` with --type and write it to \
                 standard input",
            )),
        }
    }
}

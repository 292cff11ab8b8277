use clap::{Args, ValueEnum};
use hs_oauth_blocking::{AccessToken, RefreshToken, Token};

use crate::failure::Failure;
use crate::output::Report;
use crate::secret::{self, ACCESS_TOKEN, Dash, REFRESH_TOKEN};
use crate::settings::Settings;

/// Ask HubSpot whether a token is good, and whose it is
///
/// A token that is unknown, expired or revoked is inactive: that is an answer, not an error.
#[derive(Args, Debug)]
pub(crate) struct Introspect {
    /// Read the token from standard input; takes --type
    #[arg(value_name = "-", requires = "kind")]
    stdin: Option<Dash>,
    /// The kind of token; needed with `-`, and if both variables are set
    #[arg(long = "type", value_name = "access|refresh", hide_possible_values = true)]
    kind: Option<Kind>,
    /// The same as `--type access -` [env: HUBSPOT_ACCESS_TOKEN]
    #[arg(long, value_name = "-", conflicts_with_all = ["stdin", "kind", "refresh_token"])]
    access_token: Option<Dash>,
    /// The same as `--type refresh -` [env: HUBSPOT_REFRESH_TOKEN]
    #[arg(long, value_name = "-", conflicts_with_all = ["stdin", "kind"])]
    refresh_token: Option<Dash>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Access,
    Refresh,
}

impl Introspect {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let kind = self.kind()?;
        let client = settings.client()?;
        let from_stdin = self.stdin.or(self.access_token).or(self.refresh_token).is_some();
        let token: Token = match kind {
            Kind::Access => AccessToken::new(ACCESS_TOKEN.read(from_stdin)?)?.into(),
            Kind::Refresh => RefreshToken::new(REFRESH_TOKEN.read(from_stdin)?)?.into(),
        };
        let introspection = client.introspect(token)?;
        let report = Report::of(&introspection)?;
        Ok(match introspection.is_active() {
            true => report,
            false => report.note("inactive: the token is unknown, expired or revoked"),
        })
    }

    fn kind(&self) -> Result<Kind, Failure> {
        match (self.kind, self.access_token, self.refresh_token) {
            (Some(kind), _, _) => return Ok(kind),
            (_, Some(Dash), _) => return Ok(Kind::Access),
            (_, _, Some(Dash)) => return Ok(Kind::Refresh),
            (None, None, None) => {}
        }
        let is_set = |name| secret::variable(name).map(|value| value.is_some());
        match (is_set(ACCESS_TOKEN.variable)?, is_set(REFRESH_TOKEN.variable)?) {
            (true, false) => Ok(Kind::Access),
            (false, true) => Ok(Kind::Refresh),
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

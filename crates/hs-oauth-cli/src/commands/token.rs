use std::time::{Duration, SystemTime};

use clap::Args;
use hs_oauth_blocking::http::HeaderValue;
use hs_oauth_blocking::{AccessToken, Account, Timestamp, TokenSet, TokenStore};
use serde_json::json;

use crate::failure::Failure;
use crate::report::Report;
use crate::session::Session;
use crate::settings::Settings;
use crate::{accounts, duration};

/// Print an access token that is good for a while
///
/// The token comes from the store, and is renewed first if it has to be. However many processes ask at
/// the same time, one request is made.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct Token {
    /// The account, which may be left out if only one is connected
    #[arg(value_name = "ACCOUNT")]
    account: Option<Account>,
    /// How long the token must be good at least
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration::parse)]
    min_life: Duration,
    /// Print the whole header: `Authorization: Bearer …`
    #[arg(long)]
    header: bool,
}

const EXAMPLES: &str = "\
Examples:
  curl -H \"$(hs-oauth token --header)\" https://api.hubapi.com/account-info/v3/details
  TOKEN=$(hs-oauth token 62515)
  hs-oauth token 62515 --min-life 20m --json";

impl Token {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let (session, store) = Session::open_existing(settings)?;
        let account = accounts::choose(&session.profile, &store, self.account)?;
        let bearer = session.ask(|manager| manager.bearer(account))?;
        let mut tokens = load(&store, account)?;
        if left(&tokens) < self.min_life {
            session.ask(|manager| manager.bearer_after_401(account, &header(&tokens).unwrap_or(bearer)))?;
            tokens = load(&store, account)?;
        }
        let left = left(&tokens);
        if left < self.min_life {
            return Err(Failure::usage(format!(
                "a new token is good for {} only: pass a shorter --min-life",
                duration::text(left)
            )));
        }
        let token = &tokens.access_token;
        let report = Report::new(&json!({
            "account": account,
            "access_token": token.expose(),
            "expires_at": tokens.expires_at,
            "expires_in": left.as_secs(),
        }))?;
        Ok(report.shown_as(match self.header {
            true => format!("Authorization: Bearer {}\n", token.expose()),
            false => format!("{}\n", token.expose()),
        }))
    }
}

/// Returns the tokens that are stored. After the manager has handed one out, they are that one or newer.
fn load(store: &dyn TokenStore, account: Account) -> Result<TokenSet, Failure> {
    let tokens = store.load(account)?.and_then(|stored| stored.record.tokens);
    tokens.ok_or_else(|| Failure::NotConnected(format!("the account {account} is not connected any more")))
}

fn left(tokens: &TokenSet) -> Duration {
    tokens.expires_at.since(Timestamp::from(SystemTime::now()))
}

/// Returns the header of these tokens, as the manager hands it out.
fn header(tokens: &TokenSet) -> Option<HeaderValue> {
    let token: &AccessToken = &tokens.access_token;
    HeaderValue::try_from(format!("Bearer {}", token.expose())).ok()
}

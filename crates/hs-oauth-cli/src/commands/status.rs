use std::time::SystemTime;

use clap::Args;
use hs_oauth_blocking::Account;
use serde_json::json;

use crate::account_report::{self, AccountReport};
use crate::failure::Failure;
use crate::online::Online;
use crate::report::Report;
use crate::settings::Settings;
use crate::{accounts, store};

/// Say how an account is, or all of them, also by the exit status
///
/// What is shown is what the store says. No request is made unless --online is given.
///
/// The exit status is 3 if an account has to connect again or none is connected, 4 if the app has to be
/// set up otherwise or a record cannot be read, and 5 if there is no good token and it is too early to
/// renew it, or the store does not respond. Of several accounts, the lowest one counts.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct Status {
    /// The account; without it, all that are connected
    #[arg(value_name = "ACCOUNT")]
    account: Option<Account>,
    #[command(flatten)]
    online: Online,
}

const EXAMPLES: &str = "\
Examples:
  hs-oauth status 62515
  hs-oauth status --online || echo 'an account needs attention'";

impl Status {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let profile = settings.profile()?;
        let store = store::open_if_any(&profile)?.ok_or_else(|| accounts::none_connected(&profile))?;
        let now = SystemTime::now().into();
        let mut accounts = match self.account {
            None => AccountReport::read_all(&store, now)?,
            Some(account) => AccountReport::read(&store, account, now).into_iter().collect(),
        };
        if accounts.is_empty() {
            return Err(match self.account {
                None => accounts::none_connected(&profile),
                Some(account) => Failure::NotConnected(format!("the account {account} is not connected")),
            });
        }
        self.online.ask(settings, &store, &mut accounts)?;
        let report = match (self.account, accounts.as_slice()) {
            (Some(_), [one]) => Report::new(&one.object()?)?.shown_as(detail(one)),
            _ => {
                let objects = account_report::objects(&accounts)?;
                let report = Report::new(&json!({ "profile": profile.name(), "accounts": objects }))?;
                report.shown_as(account_report::table(&accounts))
            }
        };
        Ok(report.with_exit_status(account_report::exit_status(&accounts)))
    }
}

/// Returns what people read about one account: a line for each thing that is known.
fn detail(status: &AccountReport) -> String {
    let mut text = String::new();
    let [account, state, token, renewed, back_off, scopes] = status.cells();
    let online = match status.online {
        None => "-",
        Some(true) => "the refresh token is active",
        Some(false) => "the refresh token is not active",
    };
    let error = status.error().unwrap_or("-".to_owned());
    let next = status.next_step().map_or("-".to_owned(), |step| step.to_string());
    for (name, value) in [
        ("account", account.as_str()),
        ("state", &state),
        ("token", &token),
        ("renewed", &renewed),
        ("back-off", &back_off),
        ("scopes", &scopes),
        ("HubSpot says", online),
        ("error", &error),
        ("next", &next),
    ] {
        if value != "-" {
            text.push_str(&format!("{name:12}  {value}\n"));
        }
    }
    text
}

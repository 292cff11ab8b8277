use std::time::SystemTime;

use clap::Args;
use hs_oauth_blocking::Account;
use serde_json::{Value, json};

use crate::account_report::AccountReport;
use crate::accounts;
use crate::confirm::Confirm;
use crate::failure::Failure;
use crate::output::print_error;
use crate::report::Report;
use crate::session::Session;
use crate::settings::Settings;

/// Try the tokens of accounts that are marked as gone once more
///
/// This is for the day after a wrong client secret or a failure of HubSpot's. What HubSpot accepts is
/// live again, and what it refuses stays as it was.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct Recheck {
    /// The account; without it, all that are marked as gone
    #[arg(value_name = "ACCOUNT")]
    account: Option<Account>,
    #[command(flatten)]
    confirm: Confirm,
}

const EXAMPLES: &str = "\
Examples:
  hs-oauth recheck 62515
  hs-oauth recheck --yes --json";

impl Recheck {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let (session, store) = Session::open_existing(settings)?;
        let accounts: Vec<_> = match self.account {
            Some(account) => vec![account],
            None => {
                let all = AccountReport::read_all(&store, SystemTime::now().into())?;
                all.iter().filter(|status| status.is_gone()).map(|status| status.account).collect()
            }
        };
        if accounts.is_empty() {
            let report = Report::new(&json!({ "accounts": [] }))?;
            return Ok(report.shown_as("No account is marked as gone.\n"));
        }
        self.confirm.ask(&format!(
            "Send the refresh token of {} once more?",
            accounts::names(accounts.iter().copied())
        ))?;
        let (mut results, mut text, mut first_failure) = (Vec::new(), String::new(), None);
        for account in accounts {
            let (state, error) = match session.ask(|manager| manager.recheck(account)) {
                Ok(_) => ("live", Value::Null),
                Err(error) => {
                    let failure = Failure::from(error);
                    let message = failure.to_string();
                    print_error(format_args!("{account}: {message}"));
                    first_failure = first_failure.or(Some(failure.exit_status()));
                    ("failed", message.into())
                }
            };
            text.push_str(&format!("{account}  {state}\n"));
            results.push(json!({ "account": account, "state": state, "error": error }));
        }
        let report = Report::new(&json!({ "accounts": results }))?;
        Ok(report.shown_as(text).with_exit_status(first_failure.unwrap_or(0)))
    }
}

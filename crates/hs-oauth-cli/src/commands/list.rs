use std::time::SystemTime;

use clap::Args;
use serde_json::json;

use crate::account_report::{self, AccountReport};
use crate::failure::Failure;
use crate::online::Online;
use crate::report::Report;
use crate::settings::Settings;
use crate::store;

/// List the accounts that are connected
///
/// What is shown is what the store says. No request is made unless --online is given.
///
/// The exit status is 0 if all is well or none is connected, 3 if an account has to connect again, 4 if
/// the app has to be set up otherwise or a record cannot be read, and 5 if an account has no good token
/// and it is too early to renew it, or the store does not respond. Of several, the lowest one counts.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct List {
    #[command(flatten)]
    online: Online,
}

const EXAMPLES: &str = "\
Examples:
  hs-oauth list
  hs-oauth list --json | jq -r '.accounts[] | select(.state == \"gone\") | .account'";

impl List {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let profile = settings.profile()?;
        let mut accounts = Vec::new();
        if let Some(store) = store::open_if_any(&profile)? {
            accounts = AccountReport::read_all(&store, SystemTime::now().into())?;
            self.online.ask(settings, &store, &mut accounts)?;
        }
        let objects = account_report::objects(&accounts)?;
        let report = Report::new(&json!({ "profile": profile.name(), "accounts": objects }))?;
        let text = match accounts.is_empty() {
            true => "No account is connected: `hs-oauth login` connects one.\n".to_owned(),
            false => account_report::table(&accounts),
        };
        Ok(report.shown_as(text).with_exit_status(account_report::exit_status(&accounts)))
    }
}

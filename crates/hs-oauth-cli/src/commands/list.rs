use std::time::SystemTime;

use clap::Args;
use serde_json::json;

use crate::account_status::{self, AccountStatus};
use crate::failure::Failure;
use crate::online::Online;
use crate::report::Report;
use crate::settings::Settings;
use crate::store;

/// List the accounts that are connected
///
/// What is shown is what the store says. No request is made unless --online is given.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
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
        let mut accounts = match store::open_if_any(&profile)? {
            None => Vec::new(),
            Some(store) => AccountStatus::read_all(&store, SystemTime::now().into())?,
        };
        self.online.ask(settings, &mut accounts)?;
        let objects: Vec<_> = accounts.iter().map(AccountStatus::object).collect();
        let report = Report::new(&json!({ "profile": profile.name(), "accounts": objects }))?;
        Ok(report.shown_as(match accounts.is_empty() {
            true => "No account is connected: `hs-oauth login` connects one.\n".to_owned(),
            false => account_status::table(&accounts),
        }))
    }
}

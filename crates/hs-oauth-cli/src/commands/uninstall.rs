use clap::Args;
use hs_oauth_blocking::Account;
use serde_json::json;

use crate::confirm::Confirm;
use crate::failure::Failure;
use crate::report::Report;
use crate::session::Session;
use crate::settings::Settings;

/// Take the app out of an account, and forget its tokens
///
/// This ends the install for everyone who uses the account. HubSpot mails the account's admins.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Uninstall {
    /// The account
    #[arg(value_name = "ACCOUNT")]
    account: Account,
    #[command(flatten)]
    confirm: Confirm,
}

const EXAMPLES: &str = "\
Example:
  hs-oauth uninstall 62515";

impl Uninstall {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let (session, store) = Session::open_existing(settings)?;
        let account = self.account;
        if !store.load(account)?.is_some_and(|stored| stored.is_installed()) {
            return Err(Failure::NotConnected(format!("the account {account} is not connected")));
        }
        self.confirm.ask(&format!(
            "Take the app out of the account {account}, for everyone who uses it? HubSpot mails the account's admins."
        ))?;
        session.ask(|manager| manager.uninstall(account))?;
        let report = Report::new(&json!({ "account": account, "uninstalled": true }))?;
        Ok(report.shown_as(format!(
            "The app is taken out of the account {account}, and its tokens are forgotten.\n"
        )))
    }
}

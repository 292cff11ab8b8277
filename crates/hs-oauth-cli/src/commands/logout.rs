use clap::Args;
use hs_oauth_blocking::Account;
use serde_json::json;

use crate::confirm::Confirm;
use crate::failure::Failure;
use crate::report::Report;
use crate::session::Session;
use crate::settings::Settings;

/// Revoke an account's refresh token, and forget its tokens
///
/// The app stays installed in the account: `uninstall` takes it out. Access tokens that were issued
/// before live on until they expire.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct Logout {
    /// The account
    #[arg(value_name = "ACCOUNT")]
    account: Account,
    /// Forget the tokens and revoke nothing, for an account that others use, too
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    confirm: Confirm,
}

const EXAMPLES: &str = "\
Examples:
  hs-oauth logout 62515
  hs-oauth logout 62515 --local --yes";

impl Logout {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, Failure> {
        let (session, store) = Session::open_existing(settings)?;
        let account = self.account;
        if store.load(account)?.is_none() {
            return Err(Failure::NotConnected(format!("the account {account} is not connected")));
        }
        self.confirm.ask(&match self.local {
            true => format!("Forget the tokens of the account {account}?"),
            false => format!(
                "Revoke the refresh token of the account {account}, for everyone who uses it, and forget it?"
            ),
        })?;
        match self.local {
            true => session.ask(|manager| manager.forget(account))?,
            false => session.ask(|manager| manager.disconnect(account))?,
        }
        let report = Report::new(&json!({ "account": account, "revoked": !self.local }))?;
        Ok(report.shown_as(match self.local {
            true => format!("The tokens of the account {account} are forgotten. They still work where somebody else has them.\n"),
            false => format!("The refresh token of the account {account} is revoked and forgotten. The app stays installed.\n"),
        }))
    }
}

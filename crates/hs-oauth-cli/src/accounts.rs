//! Which account a command is about.

use std::time::SystemTime;

use hs_oauth_blocking::{Account, TokenStore};

use crate::account_report::AccountReport;
use crate::failure::Failure;
use crate::profile::Profile;

/// The most accounts that a message names.
const MAX_NAMED: usize = 10;

/// Returns the account that is named, or the only one that is connected.
///
/// Fails with the usage of the command if several are connected and none is named.
pub(crate) fn choose(
    profile: &Profile,
    store: &dyn TokenStore,
    account: Option<Account>,
) -> Result<Account, Failure> {
    if let Some(account) = account {
        return Ok(account);
    }
    let connected = AccountReport::read_all(store, SystemTime::now().into())?;
    match connected.as_slice() {
        [] => Err(none_connected(profile)),
        [one] => Ok(one.account),
        several => Err(Failure::usage(format!(
            "{} accounts are connected, and none is named: name one of {}",
            several.len(),
            names(several.iter().map(|status| status.account)),
        ))),
    }
}

/// Returns the failure of a command that needs an account, if none is connected.
pub(crate) fn none_connected(profile: &Profile) -> Failure {
    let profile = profile.name();
    Failure::NotConnected(format!("no account is connected in the profile {profile}"))
}

/// Returns the first accounts of a list as text.
pub(crate) fn names(accounts: impl ExactSizeIterator<Item = Account>) -> String {
    let more = accounts.len().saturating_sub(MAX_NAMED);
    let mut text = accounts.take(MAX_NAMED).map(|account| account.to_string()).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_of_accounts_is_cut() {
        let accounts = |number: i64| names((1..=number).map(Account::hub).collect::<Vec<_>>().into_iter());
        assert_eq!(accounts(2), "1, 2");
        assert_eq!(accounts(12), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more");
    }
}

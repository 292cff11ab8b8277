//! The tokens that a process has received and that are not known to be saved.

use std::collections::HashMap;

use hs_oauth_core::renewal::{UnsavedInstall, UnsavedTokens};
use hs_oauth_core::{Account, TokenSet};

/// Tokens that HubSpot has issued and that are not known to be saved. They may exist nowhere else.
#[derive(Clone, Debug)]
pub enum Unsaved {
    /// Those of a renewal.
    Renewal(UnsavedTokens),
    /// Those of an install.
    Install(UnsavedInstall),
}

/// The tokens of each account that are not known to be saved. They are in here from the moment at which they are received, so that nothing
/// is lost if the save hangs or its task is cut off.
#[derive(Debug, Default)]
pub(crate) struct Received(HashMap<Account, Entry>);

#[derive(Debug)]
struct Entry {
    unsaved: Unsaved,
    /// Whether the first run of an install is under way. No flight goes on with it then.
    is_installing: bool,
}

impl Unsaved {
    /// Returns the tokens that HubSpot issued.
    pub fn tokens(&self) -> &TokenSet {
        match self {
            Self::Renewal(unsaved) => unsaved.tokens(),
            Self::Install(unsaved) => unsaved.tokens(),
        }
    }

    fn is_install(&self, install: &UnsavedInstall) -> bool {
        matches!(self, Self::Install(unsaved) if unsaved.is_same(install))
    }
}

impl Received {
    /// Returns the tokens that the account's next flight has to save.
    pub(crate) fn to_save(&self, account: Account) -> Option<&Unsaved> {
        self.0.get(&account).filter(|entry| !entry.is_installing).map(|entry| &entry.unsaved)
    }

    /// Returns the accounts with tokens that a flight has to save.
    pub(crate) fn accounts_to_save(&self) -> impl Iterator<Item = Account> {
        self.0.iter().filter(|(_, entry)| !entry.is_installing).map(|(account, _)| *account)
    }

    /// Returns all tokens, with their accounts.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = (Account, TokenSet)> {
        self.0.iter().map(|(account, entry)| (*account, entry.unsaved.tokens().clone()))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds the tokens of a renewal, or what a run has left of an install that was here, for the next flight to save. Returns whether they are
    /// kept. Those of a renewal are dropped for an install, which is newer. Those of an install are dropped if they were removed meanwhile.
    pub(crate) fn add(&mut self, account: Account, unsaved: Unsaved) -> bool {
        let is_kept = match &unsaved {
            Unsaved::Install(install) => self.has_install(account, install),
            Unsaved::Renewal(_) => {
                !self.0.get(&account).is_some_and(|entry| matches!(entry.unsaved, Unsaved::Install(_)))
            }
        };
        if is_kept {
            self.0.insert(account, Entry { unsaved, is_installing: false });
        }
        is_kept
    }

    /// Removes the tokens of a renewal, since its flight has ended.
    pub(crate) fn remove_renewal(&mut self, account: Account) {
        if self.0.get(&account).is_some_and(|entry| matches!(entry.unsaved, Unsaved::Renewal(_))) {
            self.0.remove(&account);
        }
    }

    /// Adds the tokens of an install that begins. They replace all others, which belong to an older grant.
    pub(crate) fn begin_install(&mut self, account: Account, install: UnsavedInstall) {
        self.0.insert(account, Entry { unsaved: Unsaved::Install(install), is_installing: true });
    }

    /// Removes the tokens of an install that are saved, or that another install or disconnect has replaced.
    pub(crate) fn remove_install(&mut self, account: Account, install: &UnsavedInstall) {
        if self.has_install(account, install) {
            self.0.remove(&account);
        }
    }

    /// Removes and returns the tokens of an install that could not be saved, since the account is being disconnected.
    pub(crate) fn discard_install(&mut self, account: Account) -> Option<TokenSet> {
        match self.to_save(account) {
            Some(Unsaved::Install(_)) => self.0.remove(&account).map(|entry| entry.unsaved.tokens().clone()),
            _ => None,
        }
    }

    fn has_install(&self, account: Account, install: &UnsavedInstall) -> bool {
        self.0.get(&account).is_some_and(|entry| entry.unsaved.is_install(install))
    }
}

//! Tokens that could not be saved.

use std::collections::HashMap;

use hs_oauth_core::renewal::UnsavedTokens;
use hs_oauth_core::{Account, TokenSet};

/// The tokens that a process could not save, at most one set for each account.
#[derive(Debug, Default)]
pub struct UnsavedSet {
    tokens: HashMap<Account, UnsavedTokens>,
    is_retrying: bool,
}

impl UnsavedSet {
    /// Returns the tokens of the account that could not be saved.
    pub fn get(&self, account: Account) -> Option<&UnsavedTokens> {
        self.tokens.get(&account)
    }

    /// Returns how many accounts have tokens that could not be saved.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Returns whether all tokens are saved.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Returns the accounts whose tokens could not be saved.
    pub fn accounts(&self) -> Vec<Account> {
        self.tokens.keys().copied().collect()
    }

    /// Returns the tokens that could not be saved.
    pub fn tokens(&self) -> Vec<(Account, TokenSet)> {
        self.tokens.iter().map(|(account, unsaved)| (*account, unsaved.tokens().clone())).collect()
    }

    /// Sets what an account's run left unsaved. Returns whether the caller has to start the retries.
    pub fn set(&mut self, account: Account, unsaved: Option<UnsavedTokens>) -> bool {
        match unsaved {
            Some(unsaved) => {
                self.tokens.insert(account, unsaved);
                !std::mem::replace(&mut self.is_retrying, true)
            }
            None => {
                self.tokens.remove(&account);
                false
            }
        }
    }

    /// Says that the retries have ended: the next tokens that cannot be saved start them again.
    pub(crate) fn end_retries(&mut self) {
        self.is_retrying = false;
    }
}

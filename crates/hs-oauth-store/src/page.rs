use std::fmt;

use hs_oauth_core::renewal::Stored;
use hs_oauth_core::{Account, StoreError};

/// Some of the records of a store, and where the rest begins.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The accounts of this page with their records.
    pub entries: Vec<Entry>,
    /// Where the next page begins, or `None` after the last page.
    pub next: Option<Cursor>,
}

/// An account of a [`Page`].
#[derive(Clone, Debug)]
pub struct Entry {
    /// The account.
    pub account: Account,
    /// The record of the account and its version, or why it cannot be read. One record that is damaged does not end the page.
    pub stored: Result<Stored, StoreError>,
}

/// A place between two pages of a store. Only the store that made it knows what the text means.
///
/// The text holds no secret, so an application may hand it to a client and take it back. A store refuses a text that it did not make
/// with [`StoreErrorKind::Refused`](crate::StoreErrorKind::Refused).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor(String);

impl Cursor {
    /// Returns the cursor with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the cursor of a store whose pages are in the order of the accounts: the next page begins after `account`.
    pub fn after(account: Account) -> Self {
        Self(account.to_string())
    }

    /// Returns the account of a cursor that [`Cursor::after`] made.
    ///
    /// # Errors
    /// [`StoreErrorKind::Refused`](crate::StoreErrorKind::Refused) if the text is not an account.
    pub fn account(&self) -> Result<Account, StoreError> {
        self.0.parse().map_err(|_| Self::refused())
    }

    /// Returns the error for a cursor that the store did not make.
    pub fn refused() -> StoreError {
        StoreError::with_source(
            hs_oauth_core::StoreErrorKind::Refused,
            "the cursor is not one of this store: begin again without a cursor",
        )
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({:?})", self.0)
    }
}

/// Checks that a record may be stored for this account: HubSpot's IDs are positive.
///
/// Every store calls this before it writes. A store that keeps 0 in the place of a missing user would otherwise give the tokens of
/// `Account::user(62515, 0)` to `Account::hub(62515)`.
///
/// # Errors
/// [`StoreErrorKind::Refused`](crate::StoreErrorKind::Refused) if the hub's ID or the user's ID is zero or negative.
pub fn check_account(account: Account) -> Result<(), StoreError> {
    if account.hub_id > 0 && account.user_id.is_none_or(|user_id| user_id > 0) {
        return Ok(());
    }
    let message = format!("{account} is no account of HubSpot, whose IDs are greater than zero");
    Err(StoreError::with_source(hs_oauth_core::StoreErrorKind::Refused, message))
}

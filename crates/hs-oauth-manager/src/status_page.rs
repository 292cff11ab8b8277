//! What the records of a page of a store say of their accounts.

use hs_oauth_core::renewal::{AccountStatus, RenewalPolicy};
use hs_oauth_core::{Account, StoreError, Timestamp};
use hs_oauth_store::{Cursor, Entry, Page};

/// The status of some accounts, and where the next page begins.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StatusPage {
    /// The accounts of this page. Disconnected ones are among them.
    pub entries: Vec<StatusEntry>,
    /// Where the next page begins, or `None` after the last page. Only this says whether others follow: a page may be empty.
    pub next: Option<Cursor>,
}

/// An account of a [`StatusPage`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StatusEntry {
    /// The account.
    pub account: Account,
    /// Its status, or why its record cannot be read.
    pub status: Result<AccountStatus, StoreError>,
}

impl StatusPage {
    /// Returns the status of the accounts on a page of the store.
    pub fn new(page: Page, policy: &RenewalPolicy, now: Timestamp) -> Self {
        let status = |Entry { account, stored }| StatusEntry {
            account,
            status: stored.map(|stored| AccountStatus::new(account, &stored.record, policy, now)),
        };
        Self { entries: page.entries.into_iter().map(status).collect(), next: page.next }
    }
}

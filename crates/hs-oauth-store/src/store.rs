use std::sync::Arc;

use hs_oauth_core::renewal::{Record, Stored};
use hs_oauth_core::{Account, StoreError};

use crate::{Cursor, Page};

/// Stores one record for each account. Every write is conditional on the version of the stored record.
///
/// Processes that share a store need nothing else from it: the record itself says who may refresh, and until when. To test
/// a store of your own, run `contract::check` on it (feature `contract`).
///
/// Every method must return within seconds, with an error if it cannot finish. While it runs, a caller of the blocking
/// token manager waits, and the async token manager lends it a thread.
///
/// # Errors
///
/// Every method may fail with a [`StoreError`]. Its kind says what is wrong:
/// [`Unavailable`](crate::StoreErrorKind::Unavailable) if the store does not respond in time,
/// [`Damaged`](crate::StoreErrorKind::Damaged) or [`Unreadable`](crate::StoreErrorKind::Unreadable) if a stored record cannot be
/// read, [`Refused`](crate::StoreErrorKind::Refused) if the store cannot be used as it is set up.
///
/// After a failed write it is unknown whether the write took effect. The renewal finds out by loading the record.
pub trait TokenStore: Send + Sync {
    /// Returns the account's record and its version, or `None` if nothing is stored for the account.
    ///
    /// # Errors
    /// Any [`StoreError`]. A stored record that cannot be read is an error and never `None`, because `None` means that the
    /// account has to connect again.
    fn load(&self, account: Account) -> Result<Option<Stored>, StoreError>;

    /// Writes `record` if the stored record still has the version `expected`. With `None`, writes it if nothing is stored.
    ///
    /// When this returns [`Swapped::Stored`], the record is durable, and every later load by any process returns it. Its
    /// version is greater than every version this account ever had, also before a removal. Otherwise a late write could
    /// pass for one that knows the current record. It is at most 2⁵³, which every language reads exactly. The store keeps every field
    /// of the record, unknown fields included.
    ///
    /// # Errors
    /// Any [`StoreError`]. The write may have taken effect, or may still do so. [`check_account`](crate::check_account) says for which
    /// accounts nothing is stored.
    fn swap(&self, account: Account, expected: Option<u64>, record: &Record) -> Result<Swapped, StoreError>;

    /// Returns the accounts that have a record, with their records, about `limit` at a time. The first page has no cursor, and each
    /// further page begins at [`Page::next`] of the one before.
    ///
    /// Accounts whose record is a tombstone are included. Pages may be in any order, and a page may hold fewer entries than `limit`, even
    /// none, or a few more: only [`Page::next`] says whether others follow. An account that has a record all the while is in at least
    /// one page, and may be in several. A record is as it was when its page was read. A limit of 0 counts as 1.
    ///
    /// # Errors
    /// Any [`StoreError`]. The error of a single record is in its [`Entry`](crate::Entry).
    fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError>;

    /// Removes the record if it still has the version `expected`. Returns whether it did.
    ///
    /// A disconnect does not need this. It leaves a tombstone, from which a process that still works for the account learns
    /// that the account was disconnected. A tombstone may be removed once no token is left to revoke and no process can
    /// know the grant any more, for instance after a day. Removing a record that is not a tombstone forgets its tokens
    /// without revoking them.
    ///
    /// # Errors
    /// Any [`StoreError`]. The removal may have taken effect, or may still do so.
    fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError>;

    /// Checks that the store works. It is called before an authorization code is spent, and is meant for health checks too.
    ///
    /// The default loads an account with an ID that HubSpot never assigns. A store that can find out whether it accepts
    /// writes should check that instead.
    ///
    /// # Errors
    /// Any [`StoreError`].
    fn check(&self) -> Result<(), StoreError> {
        self.load(Account::hub(i64::MAX)).map(drop)
    }
}

/// The outcome of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Swapped {
    /// The record is durably stored under this version.
    Stored(u64),
    /// Nothing was written, because the version was not the expected one. The stored record has another version, or there
    /// is no record, or there is one where none was expected.
    Conflict,
}

macro_rules! delegate {
    ($pointer:ty) => {
        impl<S: TokenStore + ?Sized> TokenStore for $pointer {
            fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
                (**self).load(account)
            }

            fn swap(
                &self,
                account: Account,
                expected: Option<u64>,
                record: &Record,
            ) -> Result<Swapped, StoreError> {
                (**self).swap(account, expected, record)
            }

            fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
                (**self).page(cursor, limit)
            }

            fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
                (**self).remove(account, expected)
            }

            fn check(&self) -> Result<(), StoreError> {
                (**self).check()
            }
        }
    };
}

delegate!(&S);
delegate!(Arc<S>);
delegate!(Box<S>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStore, StoreErrorKind, contract};

    #[test]
    fn a_pointer_to_a_store_is_a_store_too() {
        contract::check(&&MemoryStore::new()).unwrap();
        contract::check(&Arc::new(MemoryStore::new())).unwrap();
        let object: Box<dyn TokenStore> = Box::new(MemoryStore::new());
        contract::check(&object).unwrap();
        contract::check(&*Box::new(MemoryStore::new()) as &dyn TokenStore).unwrap();
        object.check().unwrap();
    }

    #[test]
    fn a_pointer_uses_the_check_of_its_store_and_not_the_default() {
        struct ReadOnly;

        impl TokenStore for ReadOnly {
            fn load(&self, _: Account) -> Result<Option<Stored>, StoreError> {
                Ok(None)
            }

            fn swap(&self, _: Account, _: Option<u64>, _: &Record) -> Result<Swapped, StoreError> {
                Ok(Swapped::Conflict)
            }

            fn page(&self, _: Option<&Cursor>, _: usize) -> Result<Page, StoreError> {
                Ok(Page::default())
            }

            fn remove(&self, _: Account, _: u64) -> Result<bool, StoreError> {
                Ok(false)
            }

            fn check(&self) -> Result<(), StoreError> {
                Err(StoreError::new(StoreErrorKind::Refused))
            }
        }

        fn assert_refused(store: impl TokenStore) {
            assert_eq!(store.check().unwrap_err().kind(), StoreErrorKind::Refused);
        }
        assert_refused(&ReadOnly);
        assert_refused(Arc::new(ReadOnly));
        assert_refused(Box::new(ReadOnly));
    }
}

use std::sync::Arc;

use hs_oauth_core::{Account, Record, StoreError, Stored};

/// Keeps one record for each account. Every write is conditional.
///
/// That is all that processes which share a store need of it: who may refresh, and until when, stands in the record. A store
/// of your own shows that it keeps to these words by passing `contract::check`.
///
/// Every method must return within seconds, with an error if need be: a caller of the blocking manager waits for it, and a
/// thread of the async one's. Every method may fail with a [`StoreError`]. After a failed write nobody knows whether it took effect; the renewal finds
/// out by loading.
pub trait TokenStore: Send + Sync {
    /// The account's record and its version; none if nothing is stored.
    ///
    /// # Errors
    /// Any failure. What is there and cannot be read is an error, and never none: none means that the account has to connect
    /// again.
    fn load(&self, account: Account) -> Result<Option<Stored>, StoreError>;

    /// Writes `record` if the stored one still has the version `expected`; with none, if nothing is stored.
    ///
    /// When it gives [`Swapped::Stored`], the record is durable and every later load, of any process, sees it. Its version is
    /// greater than every version this account ever had, before a removal included: else a late write could pass for one
    /// that knows the present record. Every field is kept, unknown ones included.
    ///
    /// # Errors
    /// Any failure. The write may have taken effect, or may still do so.
    fn swap(&self, account: Account, expected: Option<u64>, record: &Record) -> Result<Swapped, StoreError>;

    /// Every account that has a record, in order; tombstones included.
    ///
    /// # Errors
    /// Any failure.
    fn list(&self) -> Result<Vec<Account>, StoreError>;

    /// Removes the record if it still has the version `expected`. Whether it did.
    ///
    /// A disconnect does not need this: it leaves a tombstone, which tells a process that still works for the account what
    /// became of it. A tombstone may be removed once nothing is left to revoke and no process can know the grant any more,
    /// for instance after a day. Removing a record that is not a tombstone forgets tokens without revoking them.
    ///
    /// # Errors
    /// Any failure. The removal may have taken effect, or may still do so.
    fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError>;

    /// Whether the store answers, before a code is spent on it and for a health check. Unless a store knows better, it loads the
    /// account 0, which HubSpot gives nobody; one that can tell whether it takes writes should.
    ///
    /// # Errors
    /// Any failure.
    fn check(&self) -> Result<(), StoreError> {
        self.load(Account::hub(0)).map(drop)
    }
}

/// What came of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Swapped {
    /// The record is stored, durably, under this version.
    Stored(u64),
    /// The stored record has another version, or there is none, or there is one where none was expected. Nothing was
    /// written.
    Conflict,
}

macro_rules! through {
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

            fn list(&self) -> Result<Vec<Account>, StoreError> {
                (**self).list()
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

through!(&S);
through!(Arc<S>);
through!(Box<S>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStore, contract};

    #[test]
    fn a_store_is_one_behind_every_pointer_too() {
        contract::check(&&MemoryStore::new()).unwrap();
        contract::check(&Arc::new(MemoryStore::new())).unwrap();
        let object: Box<dyn TokenStore> = Box::new(MemoryStore::new());
        contract::check(&object).unwrap();
        contract::check(&*Box::new(MemoryStore::new()) as &dyn TokenStore).unwrap();
        object.check().unwrap();
    }
}

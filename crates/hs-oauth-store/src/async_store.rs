use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use hs_oauth_core::renewal::{Record, Stored};
use hs_oauth_core::{Account, StoreError};

use crate::{Cursor, MemoryStore, Page, Swapped, TokenStore};

/// Stores one record for each account: [`TokenStore`] with async methods, and with the same rules.
///
/// `SpawnBlocking` of `hs-oauth-async` turns any [`TokenStore`] into an async store. [`MemoryStore`] implements both traits.
///
/// Every method must finish within seconds, with an error if it cannot do its work. A caller may drop the future of a method
/// before it is done. A write must then take effect completely or not at all, at once or later.
///
/// The trait can be used as a trait object. Implement it with the attribute that this crate re-exports:
///
/// ```
/// use hs_oauth_store::{Account, AsyncTokenStore, Cursor, Page, Record, StoreError, Stored, Swapped, async_trait};
///
/// # struct Database;
/// # impl Database {
/// #     async fn read(&self, _: Account) -> Result<Option<Stored>, StoreError> { Ok(None) }
/// #     async fn write(&self, _: Account, _: Option<u64>, _: &Record) -> Result<Swapped, StoreError> { Ok(Swapped::Conflict) }
/// #     async fn records(&self, _after: Option<Account>, _: usize) -> Result<Page, StoreError> { Ok(Page::default()) }
/// #     async fn delete(&self, _: Account, _: u64) -> Result<bool, StoreError> { Ok(false) }
/// # }
/// struct DatabaseStore(Database);
///
/// #[async_trait]
/// impl AsyncTokenStore for DatabaseStore {
///     async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
///         self.0.read(account).await
///     }
///
///     async fn swap(
///         &self,
///         account: Account,
///         expected: Option<u64>,
///         record: &Record,
///     ) -> Result<Swapped, StoreError> {
///         self.0.write(account, expected, record).await
///     }
///
///     async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
///         self.0.records(cursor.map(Cursor::account).transpose()?, limit).await
///     }
///
///     async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
///         self.0.delete(account, expected).await
///     }
/// }
/// ```
///
/// # Errors
///
/// Every method may fail with a [`StoreError`]. Its kind says what is wrong:
/// [`Unavailable`](crate::StoreErrorKind::Unavailable) if the store does not respond in time,
/// [`Damaged`](crate::StoreErrorKind::Damaged) or [`Unreadable`](crate::StoreErrorKind::Unreadable) if a stored record cannot be
/// read, [`Refused`](crate::StoreErrorKind::Refused) if the store cannot be used as it is set up.
///
/// After a failed write it is unknown whether the write took effect. The renewal finds out by loading the record.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an async store",
    label = "this is not an `AsyncTokenStore`",
    note = "a sync store (`TokenStore`) becomes an async one with `SpawnBlocking::new(store)` of `hs-oauth-async`"
)]
#[async_trait]
pub trait AsyncTokenStore: Send + Sync {
    /// Returns the account's record and its version, or `None` if nothing is stored for the account.
    ///
    /// # Errors
    /// Any [`StoreError`]. A stored record that cannot be read is an error and never `None`, because `None` means that the
    /// account has to connect again.
    async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError>;

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
    async fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<Swapped, StoreError>;

    /// Returns the accounts that have a record, with their records, about `limit` at a time. The first page has no cursor, and each
    /// further page begins at [`Page::next`] of the one before.
    ///
    /// Accounts whose record is a tombstone are included. Pages may be in any order, and a page may hold fewer entries than `limit`, even
    /// none, or a few more: only [`Page::next`] says whether others follow. An account that has a record all the while is in at least
    /// one page, and may be in several. A record is as it was when its page was read. A limit of 0 counts as 1.
    ///
    /// # Errors
    /// Any [`StoreError`]. The error of a single record is in its [`Entry`](crate::Entry).
    async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError>;

    /// Removes the record if it still has the version `expected`. Returns whether it did.
    ///
    /// A disconnect does not need this. It leaves a tombstone, from which a process that still works for the account learns
    /// that the account was disconnected. A tombstone may be removed once no token is left to revoke and no process can
    /// know the grant any more, for instance after a day. Removing a record that is not a tombstone forgets its tokens
    /// without revoking them.
    ///
    /// # Errors
    /// Any [`StoreError`]. The removal may have taken effect, or may still do so.
    async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError>;

    /// Checks that the store works. It is called before an authorization code is spent, and is meant for health checks too.
    ///
    /// The default loads an account with an ID that HubSpot never assigns. A store that can find out whether it accepts
    /// writes should check that instead.
    ///
    /// # Errors
    /// Any [`StoreError`].
    async fn check(&self) -> Result<(), StoreError> {
        self.load(Account::hub(i64::MAX)).await.map(drop)
    }
}

/// Every future of the memory store is ready when it is polled for the first time.
#[async_trait]
impl AsyncTokenStore for MemoryStore {
    async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        TokenStore::load(self, account)
    }

    async fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<Swapped, StoreError> {
        TokenStore::swap(self, account, expected, record)
    }

    async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        TokenStore::page(self, cursor, limit)
    }

    async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        TokenStore::remove(self, account, expected)
    }

    async fn check(&self) -> Result<(), StoreError> {
        TokenStore::check(self)
    }
}

/// What the attribute makes of an async method's result.
type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A pointer hands out the futures of its store. Written as async methods, these would put each of them into one more box.
macro_rules! delegate {
    ($pointer:ty) => {
        impl<S: AsyncTokenStore + ?Sized> AsyncTokenStore for $pointer {
            fn load<'a, 'f>(&'a self, account: Account) -> Call<'f, Option<Stored>>
            where
                'a: 'f,
                Self: 'f,
            {
                (**self).load(account)
            }

            fn swap<'a, 'b, 'f>(
                &'a self,
                account: Account,
                expected: Option<u64>,
                record: &'b Record,
            ) -> Call<'f, Swapped>
            where
                'a: 'f,
                'b: 'f,
                Self: 'f,
            {
                (**self).swap(account, expected, record)
            }

            fn page<'a, 'b, 'f>(&'a self, cursor: Option<&'b Cursor>, limit: usize) -> Call<'f, Page>
            where
                'a: 'f,
                'b: 'f,
                Self: 'f,
            {
                (**self).page(cursor, limit)
            }

            fn remove<'a, 'f>(&'a self, account: Account, expected: u64) -> Call<'f, bool>
            where
                'a: 'f,
                Self: 'f,
            {
                (**self).remove(account, expected)
            }

            fn check<'a, 'f>(&'a self) -> Call<'f, ()>
            where
                'a: 'f,
                Self: 'f,
            {
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
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::{StoreErrorKind, contract};

    fn poll_once<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("the store waits"),
        }
    }

    #[test]
    fn the_memory_store_passes_the_contract_as_an_async_store_and_never_waits() {
        poll_once(contract::check_async(&MemoryStore::new())).unwrap();
    }

    #[test]
    fn a_pointer_to_an_async_store_is_an_async_store_too() {
        poll_once(contract::check_async(&&MemoryStore::new())).unwrap();
        poll_once(contract::check_async(&Arc::new(MemoryStore::new()))).unwrap();
        poll_once(contract::check_async(&Box::new(MemoryStore::new()))).unwrap();
        let shared: Arc<dyn AsyncTokenStore> = Arc::new(MemoryStore::new());
        poll_once(contract::check_async(&shared)).unwrap();
        let boxed: Box<dyn AsyncTokenStore> = Box::new(MemoryStore::new());
        poll_once(contract::check_async(&*boxed)).unwrap();
    }

    #[test]
    fn a_pointer_uses_the_check_of_its_async_store_and_not_the_default() {
        struct ReadOnly;

        #[async_trait]
        impl AsyncTokenStore for ReadOnly {
            async fn load(&self, _: Account) -> Result<Option<Stored>, StoreError> {
                Ok(None)
            }

            async fn swap(&self, _: Account, _: Option<u64>, _: &Record) -> Result<Swapped, StoreError> {
                Ok(Swapped::Conflict)
            }

            async fn page(&self, _: Option<&Cursor>, _: usize) -> Result<Page, StoreError> {
                Ok(Page::default())
            }

            async fn remove(&self, _: Account, _: u64) -> Result<bool, StoreError> {
                Ok(false)
            }

            async fn check(&self) -> Result<(), StoreError> {
                Err(StoreError::new(StoreErrorKind::Refused))
            }
        }

        fn assert_refused(store: impl AsyncTokenStore) {
            assert_eq!(poll_once(store.check()).unwrap_err().kind(), StoreErrorKind::Refused);
        }
        assert_refused(&ReadOnly);
        assert_refused(Arc::new(ReadOnly));
        assert_refused(Box::new(ReadOnly));
    }

    #[test]
    fn the_default_check_fails_when_the_store_cannot_load() {
        struct Offline;

        #[async_trait]
        impl AsyncTokenStore for Offline {
            async fn load(&self, _: Account) -> Result<Option<Stored>, StoreError> {
                Err(StoreError::new(StoreErrorKind::Unavailable))
            }

            async fn swap(&self, _: Account, _: Option<u64>, _: &Record) -> Result<Swapped, StoreError> {
                Ok(Swapped::Conflict)
            }

            async fn page(&self, _: Option<&Cursor>, _: usize) -> Result<Page, StoreError> {
                Ok(Page::default())
            }

            async fn remove(&self, _: Account, _: u64) -> Result<bool, StoreError> {
                Ok(false)
            }
        }

        assert_eq!(poll_once(Offline.check()).unwrap_err().kind(), StoreErrorKind::Unavailable);
    }
}

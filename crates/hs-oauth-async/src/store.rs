use std::sync::Arc;

use async_trait::async_trait;
use hs_oauth_core::renewal::{Record, Stored};
use hs_oauth_core::{Account, StoreError, StoreErrorKind};
use hs_oauth_store::{MemoryStore, Swapped};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Keeps one record for each account: the async twin of [`hs_oauth_store::TokenStore`], which says what each method must do.
///
/// [`SpawnBlocking`] makes one of any sync store; [`MemoryStore`] is one by itself. Any call may be given up half-way: a write
/// must then take effect wholly or not at all, now or later.
#[async_trait]
pub trait TokenStore: Send + Sync {
    /// The account's record and its version; none if nothing is stored.
    ///
    /// # Errors
    /// Any failure; above all, if what is stored cannot be read.
    async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError>;

    /// Writes `record` if the stored one still has the version `expected`; with none, if nothing is stored.
    ///
    /// # Errors
    /// Any failure. The write may have taken effect, or may still do so.
    async fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<Swapped, StoreError>;

    /// Every account that has a record, in order; tombstones included.
    ///
    /// # Errors
    /// Any failure.
    async fn list(&self) -> Result<Vec<Account>, StoreError>;

    /// Removes the record if it still has the version `expected`. Whether it did.
    ///
    /// # Errors
    /// Any failure. The removal may have taken effect, or may still do so.
    async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError>;

    /// Whether the store answers: unless a store knows better, it loads the account 0, which HubSpot gives nobody.
    ///
    /// # Errors
    /// Any failure.
    async fn check(&self) -> Result<(), StoreError> {
        self.load(Account::hub(0)).await.map(drop)
    }
}

/// Runs a sync store, such as a `FileStore`, on tokio's threads for blocking work. Cloning it is cheap; clones share the store.
///
/// ```no_run
/// use hs_oauth_async::{FileStore, SpawnBlocking};
///
/// let store = SpawnBlocking::new(FileStore::open("/var/lib/app/tokens")?);
/// # Ok::<(), hs_oauth_async::StoreError>(())
/// ```
#[derive(Debug)]
pub struct SpawnBlocking<S> {
    store: Arc<S>,
    threads: Arc<Semaphore>,
}

/// The most calls at once. They share tokio's threads with name lookups and files, and a store that hangs must not take them all.
const MOST_CALLS: usize = 64;

impl<S: hs_oauth_store::TokenStore + 'static> SpawnBlocking<S> {
    /// Takes the store.
    pub fn new(store: S) -> Self {
        Self { store: Arc::new(store), threads: Arc::new(Semaphore::new(MOST_CALLS)) }
    }

    /// The store itself.
    pub fn sync(&self) -> &S {
        &self.store
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&S) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        let failed = |error: &(dyn std::error::Error + Send + Sync)| {
            StoreError::with_source(StoreErrorKind::Unavailable, error.to_string())
        };
        let runtime = Handle::try_current().map_err(|error| failed(&error))?;
        let thread = Arc::clone(&self.threads).acquire_owned().await.map_err(|error| failed(&error))?;
        let work = move || {
            let _thread = thread;
            work(&store)
        };
        match runtime.spawn_blocking(work).await {
            Ok(result) => result,
            // What a panic said stays out of the error: it may be anything.
            Err(error) if error.is_panic() => Err(panicked()),
            Err(error) => Err(failed(&error)),
        }
    }
}

pub(crate) fn panicked() -> StoreError {
    StoreError::with_source(StoreErrorKind::Unavailable, "it panicked")
}

impl<S> Clone for SpawnBlocking<S> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), threads: Arc::clone(&self.threads) }
    }
}

#[async_trait]
impl<S: hs_oauth_store::TokenStore + 'static> TokenStore for SpawnBlocking<S> {
    async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        self.run(move |store| store.load(account)).await
    }

    async fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<Swapped, StoreError> {
        let record = record.clone();
        self.run(move |store| store.swap(account, expected, &record)).await
    }

    async fn list(&self) -> Result<Vec<Account>, StoreError> {
        self.run(|store| store.list()).await
    }

    async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        self.run(move |store| store.remove(account, expected)).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.run(|store| store.check()).await
    }
}

/// Never waits, so it needs no thread.
#[async_trait]
impl TokenStore for MemoryStore {
    async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        hs_oauth_store::TokenStore::load(self, account)
    }

    async fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<Swapped, StoreError> {
        hs_oauth_store::TokenStore::swap(self, account, expected, record)
    }

    async fn list(&self) -> Result<Vec<Account>, StoreError> {
        hs_oauth_store::TokenStore::list(self)
    }

    async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        hs_oauth_store::TokenStore::remove(self, account, expected)
    }
}

macro_rules! through {
    ($pointer:ty) => {
        #[async_trait]
        impl<S: TokenStore + ?Sized> TokenStore for $pointer {
            async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
                (**self).load(account).await
            }

            async fn swap(
                &self,
                account: Account,
                expected: Option<u64>,
                record: &Record,
            ) -> Result<Swapped, StoreError> {
                (**self).swap(account, expected, record).await
            }

            async fn list(&self) -> Result<Vec<Account>, StoreError> {
                (**self).list().await
            }

            async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
                (**self).remove(account, expected).await
            }

            async fn check(&self) -> Result<(), StoreError> {
                (**self).check().await
            }
        }
    };
}

through!(Arc<S>);
through!(Box<S>);

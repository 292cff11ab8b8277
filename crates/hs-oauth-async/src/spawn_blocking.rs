//! A sync store as an async one.

use std::sync::Arc;

use async_trait::async_trait;
use hs_oauth_core::renewal::{Record, Stored};
use hs_oauth_core::{Account, StoreError, StoreErrorKind};
use hs_oauth_manager::panicked;
use hs_oauth_store::{AsyncTokenStore, Swapped, TokenStore};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// An async store over a sync one, such as a [`FileStore`](crate::FileStore). Each call runs on one of tokio's threads for blocking work.
///
/// Cloning it is cheap. Clones share the store. At most 64 calls run at once. Its calls fail outside of a tokio runtime.
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

/// The most calls at once. They share tokio's threads with name lookups and files, and a store that hangs must not occupy all threads.
const MAX_CALLS: usize = 64;

impl<S: TokenStore + 'static> SpawnBlocking<S> {
    /// Returns an async store over `store`.
    pub fn new(store: S) -> Self {
        Self { store: Arc::new(store), threads: Arc::new(Semaphore::new(MAX_CALLS)) }
    }

    /// Returns the sync store.
    pub fn get_ref(&self) -> &S {
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
            Err(error) if error.is_panic() => Err(panicked()),
            Err(error) => Err(failed(&error)),
        }
    }
}

impl<S> Clone for SpawnBlocking<S> {
    fn clone(&self) -> Self {
        Self { store: Arc::clone(&self.store), threads: Arc::clone(&self.threads) }
    }
}

#[async_trait]
impl<S: TokenStore + 'static> AsyncTokenStore for SpawnBlocking<S> {
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

//! A store whose calls are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hs_oauth_async::{
    Account, AsyncTokenStore, Cursor, Page, Record, StoreError, Stored, Swapped, async_trait,
};

/// A store whose calls are counted.
#[derive(Clone)]
pub(crate) struct CountedStore {
    store: Arc<dyn AsyncTokenStore>,
    calls: Arc<Calls>,
}

/// How many calls there were of each kind.
#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) loads: AtomicU64,
    pub(crate) swaps: AtomicU64,
    pub(crate) pages: AtomicU64,
    pub(crate) failures: AtomicU64,
}

impl CountedStore {
    pub(crate) fn new(store: Arc<dyn AsyncTokenStore>) -> Self {
        Self { store, calls: Arc::default() }
    }

    pub(crate) fn calls(&self) -> Arc<Calls> {
        Arc::clone(&self.calls)
    }

    fn count<T>(&self, kind: &AtomicU64, result: Result<T, StoreError>) -> Result<T, StoreError> {
        kind.fetch_add(1, Ordering::Relaxed);
        self.calls.failures.fetch_add(result.is_err().into(), Ordering::Relaxed);
        result
    }
}

#[async_trait]
impl AsyncTokenStore for CountedStore {
    async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        self.count(&self.calls.loads, self.store.load(account).await)
    }

    async fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<Swapped, StoreError> {
        self.count(&self.calls.swaps, self.store.swap(account, expected, record).await)
    }

    async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        self.count(&self.calls.pages, self.store.page(cursor, limit).await)
    }

    async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        self.store.remove(account, expected).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }
}

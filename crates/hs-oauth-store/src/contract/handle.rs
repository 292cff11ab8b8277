//! Sync and async stores as the suite sees them.

use std::pin::pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};

use hs_oauth_core::renewal::{Record, Stored};
use hs_oauth_core::{Account, StoreError};

#[cfg(feature = "async")]
use crate::AsyncTokenStore;
use crate::{Cursor, Page, Swapped, TokenStore};

/// A handle on a store. The suite is written once, in async form.
pub(super) trait Handle: Sync {
    fn load(&self, account: Account) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send;

    fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> impl Future<Output = Result<Swapped, StoreError>> + Send;

    fn page(
        &self,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> impl Future<Output = Result<Page, StoreError>> + Send;

    fn remove(
        &self,
        account: Account,
        expected: u64,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    fn check(&self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Runs all these tasks at once. The output of a task that panicked is `None`.
    fn at_once<T: Send>(
        tasks: Vec<impl Future<Output = T> + Send>,
    ) -> impl Future<Output = Vec<Option<T>>> + Send;
}

/// A sync store. Its futures are ready when they are polled for the first time, and tasks run at once on threads.
#[derive(Clone, Copy)]
pub(super) struct SyncStore<'a, S: ?Sized>(pub(super) &'a S);

impl<S: TokenStore + ?Sized> Handle for SyncStore<'_, S> {
    async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        self.0.load(account)
    }

    async fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<Swapped, StoreError> {
        self.0.swap(account, expected, record)
    }

    async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        self.0.page(cursor, limit)
    }

    async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        self.0.remove(account, expected)
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.0.check()
    }

    async fn at_once<T: Send>(tasks: Vec<impl Future<Output = T> + Send>) -> Vec<Option<T>> {
        let barrier = Barrier::new(tasks.len());
        std::thread::scope(|scope| {
            let run = |task| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    poll_once(task)
                })
            };
            let threads: Vec<_> = tasks.into_iter().map(run).collect();
            // The scope panics if a thread that panicked is not joined.
            threads.into_iter().map(|thread| thread.join().ok().flatten()).collect()
        })
    }
}

/// Returns the output of a future that is ready at once.
pub(super) fn poll_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// An async store. Tasks run at once by taking turns.
#[cfg(feature = "async")]
#[derive(Clone, Copy)]
pub(super) struct AsyncStore<'a, S: ?Sized>(pub(super) &'a S);

#[cfg(feature = "async")]
impl<S: AsyncTokenStore + ?Sized> Handle for AsyncStore<'_, S> {
    async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        self.0.load(account).await
    }

    async fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<Swapped, StoreError> {
        self.0.swap(account, expected, record).await
    }

    async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        self.0.page(cursor, limit).await
    }

    async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        self.0.remove(account, expected).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.0.check().await
    }

    async fn at_once<T: Send>(tasks: Vec<impl Future<Output = T> + Send>) -> Vec<Option<T>> {
        futures_util::future::join_all(tasks).await.into_iter().map(Some).collect()
    }
}

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use hs_oauth_core::renewal::{Record, Stored};
use hs_oauth_core::{Account, StoreError, StoreErrorKind};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::{AsyncTokenStore, Cursor, Page, Swapped, TokenStore};

/// A sync store over an async one. Each call is a task of a tokio runtime that runs on a thread of its own.
///
/// It may be used and dropped anywhere, also on a thread of another runtime, where it blocks like every sync store. Calls that are under
/// way when it is dropped are still brought to their end.
///
/// ```no_run
/// # fn connect() -> hs_oauth_store::MemoryStore { hs_oauth_store::MemoryStore::new() }
/// use hs_oauth_store::BlockOn;
///
/// let store = BlockOn::new(connect())?; // for the blocking token manager
/// # Ok::<(), hs_oauth_store::StoreError>(())
/// ```
pub struct BlockOn<S> {
    store: Arc<S>,
    timeout: Duration,
    runtime: Handle,
    /// The runtime ends when no call and no `BlockOn` has one of these.
    in_use: mpsc::Sender<()>,
}

/// Longer than the deadline of a store, which should answer first.
const TIMEOUT: Duration = Duration::from_secs(10);

impl<S: AsyncTokenStore + 'static> BlockOn<S> {
    /// Returns a sync store over `store`, and starts its thread.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unavailable`] if the operating system does not give a thread, or what a runtime needs.
    pub fn new(store: S) -> Result<Self, StoreError> {
        let (runtime, in_use) = start_runtime()?;
        Ok(Self { store: Arc::new(store), timeout: TIMEOUT, runtime, in_use })
    }

    /// Starts the thread, and returns a sync store over the one that `open` returns. `open` runs there, in the context of the runtime: for a
    /// store that cannot be made elsewhere, such as one with a pool of sqlx, or that connects first. The caller waits for it.
    ///
    /// ```no_run
    /// # use hs_oauth_store::StoreError;
    /// # async fn connect() -> Result<hs_oauth_store::MemoryStore, StoreError> { Ok(hs_oauth_store::MemoryStore::new()) }
    /// use hs_oauth_store::BlockOn;
    ///
    /// let store = BlockOn::open(async { connect().await })?;
    /// # Ok::<(), StoreError>(())
    /// ```
    ///
    /// # Errors
    /// The error of `open`, or [`StoreErrorKind::Unavailable`] if it panicked, or if the operating system does not give a thread, or what a
    /// runtime needs.
    pub fn open<E>(open: impl Future<Output = Result<S, E>> + Send + 'static) -> Result<Self, E>
    where
        E: From<StoreError> + Send + 'static,
    {
        let (runtime, in_use) = start_runtime()?;
        let (sender, receiver) = sync_channel(1);
        // The task ends before the runtime does, since `in_use` is here.
        runtime.spawn(async move { _ = sender.send(open.await) });
        let panicked = || StoreError::with_source(StoreErrorKind::Unavailable, "it panicked");
        let store = receiver.recv().unwrap_or_else(|_| Err(panicked().into()))?;
        Ok(Self { store: Arc::new(store), timeout: TIMEOUT, runtime, in_use })
    }

    /// Sets how long a caller waits for a call. The default is 10 seconds. A call that takes longer fails with
    /// [`StoreErrorKind::Unavailable`] and is still brought to its end.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns the async store.
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    fn call<T: Send + 'static, F>(&self, call: impl FnOnce(Arc<S>) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (sender, receiver) = sync_channel(1);
        let (call, in_use) = (call(Arc::clone(&self.store)), self.in_use.clone());
        self.runtime.spawn(async move {
            // The caller may have given up.
            let _ = sender.send(call.await);
            drop(in_use);
        });
        let failed = |text: &str| Err(StoreError::with_source(StoreErrorKind::Unavailable, text));
        match receiver.recv_timeout(self.timeout) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => failed("not in time"),
            Err(RecvTimeoutError::Disconnected) => failed("it panicked"),
        }
    }
}

/// Starts a runtime on a thread of its own. It ends when nobody has the sender or a clone of it any more.
fn start_runtime() -> Result<(Handle, mpsc::Sender<()>), StoreError> {
    let failed = |error| StoreError::with_source(StoreErrorKind::Unavailable, error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let handle = runtime.handle().clone();
    let (in_use, mut ended) = mpsc::channel(1);
    std::thread::Builder::new()
        .name("hs-oauth-store".to_owned())
        .spawn(move || runtime.block_on(async { while ended.recv().await.is_some() {} }))
        .map_err(failed)?;
    Ok((handle, in_use))
}

impl<S: AsyncTokenStore + 'static> TokenStore for BlockOn<S> {
    fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        self.call(|store| async move { store.load(account).await })
    }

    fn swap(&self, account: Account, expected: Option<u64>, record: &Record) -> Result<Swapped, StoreError> {
        let record = record.clone();
        self.call(|store| async move { store.swap(account, expected, &record).await })
    }

    fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let cursor = cursor.cloned();
        self.call(|store| async move { store.page(cursor.as_ref(), limit).await })
    }

    fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        self.call(|store| async move { store.remove(account, expected).await })
    }

    fn check(&self) -> Result<(), StoreError> {
        self.call(|store| async move { store.check().await })
    }
}

impl<S: fmt::Debug> fmt::Debug for BlockOn<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockOn").field("store", &self.store).field("timeout", &self.timeout).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use async_trait::async_trait;

    use super::*;
    use crate::{MemoryStore, contract};

    /// Far longer than anything here takes on a slow machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A store of which a load waits until it is told to go on, and tells when it has ended. Without a sender, it panics.
    struct Waiting {
        go_on: tokio::sync::Mutex<mpsc::Receiver<()>>,
        ended: Mutex<Sender<()>>,
    }

    fn waiting() -> (Waiting, mpsc::Sender<()>, Receiver<()>) {
        let (go_on, go_on_receiver) = mpsc::channel(1);
        let (ended, ended_receiver) = channel();
        (Waiting { go_on: go_on_receiver.into(), ended: ended.into() }, go_on, ended_receiver)
    }

    #[async_trait]
    impl AsyncTokenStore for Waiting {
        async fn load(&self, _: Account) -> Result<Option<Stored>, StoreError> {
            self.go_on.lock().await.recv().await.unwrap();
            self.ended.lock().unwrap().send(()).unwrap();
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
    }

    fn reason(result: Result<Option<Stored>, StoreError>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        error.to_string()
    }

    #[test]
    fn an_async_store_passes_the_contract_as_a_sync_store() {
        contract::check(&BlockOn::new(MemoryStore::new()).unwrap()).unwrap();
    }

    #[test]
    fn it_works_and_ends_on_a_thread_of_another_runtime() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = BlockOn::new(MemoryStore::new()).unwrap();
            assert_eq!(TokenStore::load(&store, Account::hub(1)).unwrap(), None);
        });
    }

    #[test]
    fn a_store_that_needs_a_runtime_is_opened_on_that_of_its_thread() {
        let open = || {
            BlockOn::open(async {
                // It panics without a runtime that has a clock.
                tokio::time::sleep(Duration::ZERO).await;
                Ok::<_, StoreError>(MemoryStore::new())
            })
        };
        contract::check(&open().unwrap()).unwrap();
        // Also from a thread of another runtime.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            assert_eq!(TokenStore::load(&open().unwrap(), Account::hub(1)).unwrap(), None)
        });
    }

    #[test]
    fn a_store_that_cannot_be_opened_is_an_error_and_so_is_a_panic() {
        let refused =
            BlockOn::open(async { Err::<MemoryStore, _>(StoreError::new(StoreErrorKind::Refused)) });
        assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Refused);
        async fn panicking() -> Result<MemoryStore, StoreError> {
            panic!("on purpose")
        }
        let panicked = BlockOn::open(panicking()).unwrap_err();
        assert_eq!(panicked.kind(), StoreErrorKind::Unavailable);
        assert!(panicked.to_string().contains("it panicked"), "{panicked}");
    }

    #[test]
    fn a_caller_waits_for_the_timeout_and_the_call_goes_on_even_after_the_store_was_dropped() {
        let (store, go_on, ended) = waiting();
        let store = BlockOn::new(store).unwrap().with_timeout(Duration::from_millis(1));
        assert!(reason(store.load(Account::hub(1))).contains("not in time"));
        drop(store);
        go_on.blocking_send(()).unwrap();
        ended.recv_timeout(PATIENCE).unwrap();
        // The runtime ends after it, and drops the store.
        assert!(ended.recv_timeout(PATIENCE).is_err_and(|error| error == RecvTimeoutError::Disconnected));
    }

    #[test]
    fn a_panic_of_the_store_is_an_error_and_the_next_call_works() {
        let (store, go_on, _ended) = waiting();
        drop(go_on);
        let store = BlockOn::new(store).unwrap().with_timeout(PATIENCE);
        assert!(reason(store.load(Account::hub(1))).contains("it panicked"));
        assert!(!store.remove(Account::hub(1), 1).unwrap());
    }
}

//! A sync store as an async one.

use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use async_trait::async_trait;
use hs_oauth_core::renewal::{Record, Stored};
use hs_oauth_core::{Account, StoreError, StoreErrorKind};
use hs_oauth_manager::panicked;
use hs_oauth_store::{AsyncTokenStore, Cursor, Page, STRIPES, Swapped, TokenStore, stripe_of};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// An async store over a sync one, such as a [`FileStore`](crate::FileStore). Each call runs on one of tokio's threads for blocking work.
///
/// Cloning it is cheap. Clones share the store. Its calls fail outside of a tokio runtime.
///
/// At most 64 reads run at once, and at most 64 writes. Of the writes for accounts that share a lock of a `FileStore` one runs at a time,
/// and the others wait without a thread. A process that keeps such a lock therefore holds up nobody else.
///
/// In a runtime, the store is dropped on a thread of its own, because some drivers of databases abort the process if they are dropped on a
/// thread of the runtime.
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
    // Declared after `store`: fields are dropped in this order, so this is the last reference to the store when it is dropped.
    last_reference: Arc<LastReference>,
    reads: Arc<Semaphore>,
    /// One for each stripe of accounts.
    writes: Arc<[Arc<Semaphore>]>,
}

/// The most reads at once. They share tokio's threads with name lookups and files, and a store that hangs must not occupy all threads.
const MAX_READS: usize = 64;

impl<S: TokenStore + 'static> SpawnBlocking<S> {
    /// Returns an async store over `store`.
    pub fn new(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            last_reference: Arc::new(LastReference(Some(Arc::clone(&store) as _))),
            store,
            reads: Arc::new(Semaphore::new(MAX_READS)),
            writes: (0..STRIPES).map(|_| Arc::new(Semaphore::new(1))).collect(),
        }
    }

    /// Returns the sync store.
    pub fn get_ref(&self) -> &S {
        &self.store
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&S) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(&self.reads, read).await
    }

    async fn write<T: Send + 'static>(
        &self,
        account: Account,
        write: impl FnOnce(&S) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // Every stripe has its permit.
        let permits = self.writes.get(usize::from(stripe_of(account))).unwrap_or(&self.reads);
        self.run(permits, write).await
    }

    async fn run<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        work: impl FnOnce(&S) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let failed = |error: &(dyn std::error::Error + Send + Sync)| {
            StoreError::with_source(StoreErrorKind::Unavailable, error.to_string())
        };
        let runtime = Handle::try_current().map_err(|error| failed(&error))?;
        let permit = Arc::clone(permits).acquire_owned().await.map_err(|error| failed(&error))?;
        let this = self.clone();
        let work = move || {
            let _permit = permit;
            work(this.get_ref())
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
        Self {
            store: Arc::clone(&self.store),
            last_reference: Arc::clone(&self.last_reference),
            reads: Arc::clone(&self.reads),
            writes: Arc::clone(&self.writes),
        }
    }
}

/// The reference to the store that outlives all others, and drops the store.
struct LastReference(Option<Arc<dyn TokenStore>>);

impl Drop for LastReference {
    fn drop(&mut self) {
        if Handle::try_current().is_err_and(|error| error.is_missing_context()) {
            return;
        }
        // If no thread can be started, the store is never dropped. It would be dropped here otherwise.
        let store = ManuallyDrop::new(self.0.take());
        let thread = std::thread::Builder::new().name("hs-oauth-store".to_owned());
        let _ = thread.spawn(move || drop(ManuallyDrop::into_inner(store)));
    }
}

impl fmt::Debug for LastReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LastReference")
    }
}

#[async_trait]
impl<S: TokenStore + 'static> AsyncTokenStore for SpawnBlocking<S> {
    async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        self.read(move |store| store.load(account)).await
    }

    async fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<Swapped, StoreError> {
        let record = record.clone();
        self.write(account, move |store| store.swap(account, expected, &record)).await
    }

    async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let cursor = cursor.cloned();
        self.read(move |store| store.page(cursor.as_ref(), limit)).await
    }

    async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        self.write(account, move |store| store.remove(account, expected)).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.read(|store| store.check()).await
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread::ThreadId;
    use std::time::Duration;

    use hs_oauth_store::MemoryStore;
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    /// Far longer than anything here takes on a slow machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// What a store has found when it was dropped.
    struct Dropped {
        thread: ThreadId,
        is_in_runtime: bool,
        /// Whether a runtime can be started and ended. The drivers that are sync outside and async inside do so.
        can_run_a_runtime: bool,
    }

    /// Sends when a load begins, and what it finds when it is dropped. A load lasts until it is released.
    struct DropProbe {
        began: Sender<()>,
        release: std::sync::Mutex<Receiver<()>>,
        dropped: Sender<Dropped>,
    }

    /// The other ends of the probe's channels.
    struct Observer {
        began: Receiver<()>,
        release: Sender<()>,
        dropped: Receiver<Dropped>,
    }

    impl Observer {
        #[track_caller]
        fn assert_dropped_outside(&self) {
            let dropped = self.dropped.recv_timeout(PATIENCE).unwrap();
            assert!(!dropped.is_in_runtime && dropped.can_run_a_runtime);
        }
    }

    fn probe() -> (SpawnBlocking<DropProbe>, Observer) {
        let ((began, began_rx), (release, release_rx), (dropped, dropped_rx)) =
            (channel(), channel(), channel());
        let store = SpawnBlocking::new(DropProbe { began, release: release_rx.into(), dropped });
        (store, Observer { began: began_rx, release, dropped: dropped_rx })
    }

    impl Drop for DropProbe {
        fn drop(&mut self) {
            let run = || Builder::new_current_thread().build().unwrap().block_on(async {});
            let dropped = Dropped {
                thread: std::thread::current().id(),
                is_in_runtime: Handle::try_current().is_ok(),
                can_run_a_runtime: catch_unwind(run).is_ok(),
            };
            let _ = self.dropped.send(dropped);
        }
    }

    impl TokenStore for DropProbe {
        fn load(&self, _: Account) -> Result<Option<Stored>, StoreError> {
            self.began.send(()).unwrap();
            let _ = self.release.lock().unwrap().recv();
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
    }

    fn runtimes() -> [Runtime; 2] {
        [Builder::new_current_thread(), Builder::new_multi_thread()]
            .map(|mut builder| builder.enable_all().worker_threads(1).build().unwrap())
    }

    #[test]
    fn a_store_that_its_last_caller_drops_is_dropped_outside_of_the_runtime() {
        for runtime in runtimes() {
            let (store, observer) = probe();
            runtime.block_on(async { drop(store) });
            observer.assert_dropped_outside();
        }
    }

    #[test]
    fn a_store_that_ends_with_a_task_is_dropped_outside_of_the_runtime() {
        for runtime in runtimes() {
            let (store, observer) = probe();
            runtime.block_on(runtime.spawn(async move { store.page(None, 1).await })).unwrap().unwrap();
            observer.assert_dropped_outside();
        }
    }

    #[test]
    fn a_store_that_ends_with_its_runtime_is_dropped_outside_of_it() {
        for runtime in runtimes() {
            let (store, observer) = probe();
            let (sender, polled) = channel();
            runtime.spawn(async move {
                store.page(None, 1).await.unwrap();
                sender.send(()).unwrap();
                std::future::pending::<()>().await;
                drop(store);
            });
            runtime.block_on(async {
                while polled.try_recv().is_err() {
                    tokio::task::yield_now().await;
                }
            });
            drop(runtime);
            observer.assert_dropped_outside();
        }
    }

    #[test]
    fn a_store_that_ends_with_its_last_call_is_dropped_outside_of_the_runtime() {
        for runtime in runtimes() {
            let (store, observer) = probe();
            runtime.block_on(async {
                let call = tokio::spawn(async move { store.load(Account::hub(1)).await });
                while observer.began.try_recv().is_err() {
                    tokio::task::yield_now().await;
                }
                call.abort();
                assert!(call.await.unwrap_err().is_cancelled());
            });
            assert!(observer.dropped.try_recv().is_err());
            observer.release.send(()).unwrap();
            observer.assert_dropped_outside();
        }
    }

    #[test]
    fn outside_of_a_runtime_a_store_is_dropped_at_once() {
        let (store, observer) = probe();
        let clone = store.clone();
        drop(store);
        assert!(observer.dropped.try_recv().is_err());
        drop(clone);
        assert_eq!(observer.dropped.try_recv().unwrap().thread, std::thread::current().id());
    }

    #[test]
    fn outside_of_a_runtime_a_call_is_an_error() {
        let store = SpawnBlocking::new(MemoryStore::new());
        let mut call = std::pin::pin!(store.page(None, 1));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match call.as_mut().poll(&mut context) {
            std::task::Poll::Ready(result) => {
                assert_eq!(result.unwrap_err().kind(), StoreErrorKind::Unavailable);
            }
            std::task::Poll::Pending => panic!("nobody would wake it"),
        }
    }

    #[cfg(unix)]
    mod locked {
        use std::process::{Child, Command};
        use std::sync::atomic::{AtomicUsize, Ordering};

        use hs_oauth_core::Random;
        use hs_oauth_core::renewal::GrantId;
        use hs_oauth_store::{FileStore, STRIPES, stripe_of};

        use super::*;

        /// A process that has locked a stripe and is stopped. It ends when this is dropped.
        struct StoppedProcess(Child);

        impl StoppedProcess {
            fn with_lock(path: &std::path::Path) -> Self {
                let file =
                    std::fs::File::options().write(true).create(true).truncate(false).open(path).unwrap();
                file.lock().unwrap();
                // A lock belongs to the open file, which is the process's from now on.
                let process = Self(Command::new("sleep").arg("3600").stdin(file).spawn().unwrap());
                let pid = process.0.id().to_string();
                assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
                process
            }
        }

        impl Drop for StoppedProcess {
            fn drop(&mut self) {
                let _ = self.0.kill();
                let _ = self.0.wait();
            }
        }

        fn accounts_of(stripe: u8) -> impl Iterator<Item = Account> {
            (1..).map(Account::hub).filter(move |account| stripe_of(*account) == stripe)
        }

        #[test]
        fn callers_for_other_stripes_are_served_while_130_wait_for_a_stripe_that_a_stopped_process_has_locked()
         {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("tokens");
            let hour = Duration::from_secs(3600);
            let store = SpawnBlocking::new(FileStore::open(&path).unwrap().with_lock_timeout(hour));
            let grant = GrantId::generate(&mut Random::from_os().unwrap());
            let record = Record::tombstone(grant, None);
            let locked = 38;
            let [_, runtime] = runtimes();
            runtime.block_on(async {
                let stopped = StoppedProcess::with_lock(&path.join(format!(".lock-{locked:02x}")));
                let started = Arc::new(AtomicUsize::new(0));
                let waiting: Vec<_> = accounts_of(locked)
                    .take(130)
                    .map(|account| {
                        let (store, record, started) = (store.clone(), record.clone(), Arc::clone(&started));
                        tokio::spawn(async move {
                            let mut swap = std::pin::pin!(store.swap(account, None, &record));
                            let first = std::future::poll_fn(|context| {
                                std::task::Poll::Ready(swap.as_mut().poll(context))
                            });
                            assert!(first.await.is_pending());
                            started.fetch_add(1, Ordering::SeqCst);
                            swap.await
                        })
                    })
                    .collect();
                while started.load(Ordering::SeqCst) < 130 {
                    tokio::task::yield_now().await;
                }
                let served = async {
                    for stripe in (0..STRIPES).filter(|stripe| *stripe != locked) {
                        let account = accounts_of(stripe).next().unwrap();
                        let swapped = store.swap(account, None, &record).await.unwrap();
                        let Swapped::Stored(version) = swapped else { panic!("{account} is stored") };
                        assert!(store.load(account).await.unwrap().is_some());
                        assert!(store.remove(account, version).await.unwrap());
                    }
                    // Readers take no lock.
                    assert_eq!(store.load(accounts_of(locked).next().unwrap()).await.unwrap(), None);
                    assert!(store.page(None, 1).await.unwrap().entries.is_empty());
                    store.check().await.unwrap();
                };
                tokio::time::timeout(PATIENCE, served).await.unwrap();
                assert!(waiting.iter().all(|call| !call.is_finished()));
                drop(stopped);
                for call in waiting {
                    assert!(matches!(call.await.unwrap().unwrap(), Swapped::Stored(_)));
                }
            });
        }
    }
}

//! Tasks that write all the while that something goes wrong, and that see at once if a write is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hs_oauth_store::{Account, AsyncTokenStore, Stored, Swapped};
use tokio::task::JoinHandle;

use super::{number, record};
use crate::wait::PATIENCE;

/// Tasks that each count up the number in the record of an account of their own.
pub(crate) struct Writers {
    tasks: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    writes: AtomicU64,
    failures: AtomicU64,
    longest_call: AtomicU64,
    are_over: AtomicBool,
}

impl Writers {
    /// Starts a task for each of these stores.
    pub(crate) fn start<S: AsyncTokenStore + 'static>(stores: impl IntoIterator<Item = S>) -> Self {
        let shared = Arc::new(Shared::default());
        let tasks = (1..).zip(stores).map(|(hub_id, store)| {
            let writer = Writer { account: Account::hub(hub_id), store, shared: Arc::clone(&shared) };
            tokio::spawn(writer.run())
        });
        Self { tasks: tasks.collect(), shared }
    }

    /// Waits until so many more writes are done.
    pub(crate) async fn wait_for(&self, writes: u64) {
        let (started, before) = (Instant::now(), self.writes());
        while self.writes() < before + writes {
            assert!(
                started.elapsed() < PATIENCE,
                "{} writes and {} failures",
                self.writes(),
                self.failures()
            );
            assert!(!self.tasks.iter().any(JoinHandle::is_finished), "a writer has panicked");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn writes(&self) -> u64 {
        self.shared.writes.load(Ordering::SeqCst)
    }

    pub(crate) fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::SeqCst)
    }

    /// Ends the writers. Panics if one of them has lost a write, and returns how long the longest call took.
    pub(crate) async fn end(self) -> Duration {
        self.wait_for(10 * self.tasks.len() as u64).await;
        self.shared.are_over.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
        Duration::from_millis(self.shared.longest_call.load(Ordering::SeqCst))
    }
}

struct Writer<S> {
    account: Account,
    store: S,
    shared: Arc<Shared>,
}

/// What a writer knows of its record.
#[derive(Default)]
struct Known {
    /// The last version, and the number in it.
    stored: (u64, u64),
    /// The number of a write of which it is not known whether it was done, is not, or will be.
    unknown: Vec<u64>,
}

impl<S: AsyncTokenStore> Writer<S> {
    async fn run(self) {
        let mut known = Known::default();
        while !self.shared.are_over.load(Ordering::SeqCst) {
            let Some(loaded) = self.timed(self.store.load(self.account)).await else { continue };
            let version = loaded.as_ref().map(|stored| stored.version);
            known.compare(loaded);
            // A late write carries a number of its own, so it is known when it is seen.
            let next = known.unknown.iter().copied().fold(known.stored.1, u64::max) + 1;
            match self.timed(self.store.swap(self.account, version, &record(next))).await {
                Some(Swapped::Stored(version)) => {
                    assert!(version > known.stored.0, "{version} came after {}", known.stored.0);
                    known.stored = (version, next);
                    self.shared.writes.fetch_add(1, Ordering::SeqCst);
                }
                Some(Swapped::Conflict) => assert!(!known.unknown.is_empty(), "nobody else writes"),
                None => known.unknown.push(next),
            }
        }
        let stored = self.timed(self.store.load(self.account)).await.unwrap();
        known.compare(stored);
    }

    async fn timed<T>(&self, call: impl Future<Output = Result<T, hs_oauth_store::StoreError>>) -> Option<T> {
        let started = Instant::now();
        let result = call.await;
        self.shared.longest_call.fetch_max(started.elapsed().as_millis() as u64, Ordering::SeqCst);
        match result {
            Ok(output) => Some(output),
            Err(error) => {
                assert_eq!(error.kind(), hs_oauth_store::StoreErrorKind::Unavailable, "{error}");
                self.shared.failures.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
                None
            }
        }
    }
}

impl Known {
    /// Compares what is stored with what must be stored.
    fn compare(&mut self, stored: Option<Stored>) {
        let (version, number) = stored.map_or((0, 0), |stored| (stored.version, number(&stored.record)));
        if (version, number) != self.stored {
            assert!(self.unknown.contains(&number), "{number} is stored in place of {:?}", self.stored);
            assert!(version > self.stored.0, "{version} came after {}", self.stored.0);
            self.stored = (version, number);
        }
    }
}

//! Writers at work while something happens to the server or the network, and what must hold whatever it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hs_oauth_store::{Account, AsyncTokenStore, Record, Swapped};
use hs_oauth_test_servers::wait::PATIENCE;
use tokio::task::JoinHandle;

/// How many accounts the writers write to, all of them to each.
const ACCOUNTS: i64 = 3;

/// How many writers each store has.
const WRITERS: usize = 4;

/// Tasks that load, add one, and swap, again and again.
pub(crate) struct Writers {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    name: String,
    accounts: BTreeMap<Account, Mutex<Acknowledged>>,
    /// How many writes were acknowledged to each writer.
    progress: Vec<AtomicUsize>,
    failures: AtomicUsize,
    is_over: AtomicBool,
    /// Whether the last writes may have been lost by a failover to a standby that had not received them.
    may_lose: AtomicBool,
}

/// What the store has acknowledged for an account.
#[derive(Default)]
struct Acknowledged {
    /// The greatest version, and the number in its record.
    last: (u64, u64),
    /// The versions over which a write was made.
    replaced: BTreeSet<u64>,
    /// The versions that writes were given.
    given: BTreeSet<u64>,
}

impl Writers {
    /// Starts the writers. Each store stands for a process.
    pub(crate) async fn start(name: &str, stores: Vec<Arc<dyn AsyncTokenStore>>) -> Self {
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            accounts: (1..=ACCOUNTS).map(|id| (Account::hub(id), Mutex::default())).collect(),
            progress: (0..stores.len() * WRITERS).map(|_| AtomicUsize::new(0)).collect(),
            failures: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            may_lose: AtomicBool::new(false),
        });
        for account in shared.accounts.keys() {
            let swapped = stores[0].swap(*account, None, &record(0)).await.unwrap();
            assert!(matches!(swapped, Swapped::Stored(_)));
        }
        let writer = |index: usize| {
            let (shared, store) = (Arc::clone(&shared), Arc::clone(&stores[index / WRITERS]));
            tokio::spawn(async move { shared.write(index, &*store).await })
        };
        let tasks = (0..stores.len() * WRITERS).map(writer).collect();
        let writers = Self { shared, tasks };
        writers.make_progress().await;
        writers
    }

    /// Waits until every writer has written once more.
    pub(crate) async fn make_progress(&self) {
        let counts = || self.shared.progress.iter().map(|count| count.load(Ordering::SeqCst));
        let before: Vec<usize> = counts().collect();
        let started = Instant::now();
        while !counts().zip(&before).all(|(now, before)| now > *before) {
            let stuck = counts().zip(&before).filter(|(now, before)| now <= before).count();
            assert!(started.elapsed() < PATIENCE, "{}: {stuck} writers stand still", self.shared.name);
            assert!(
                !self.tasks.iter().any(JoinHandle::is_finished),
                "{}: a writer has ended",
                self.shared.name
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Allows that acknowledged writes are lost from now on.
    pub(crate) fn may_lose(&self) {
        self.shared.may_lose.store(true, Ordering::SeqCst);
    }

    /// Ends the writers. Returns how many calls failed.
    pub(crate) async fn end(self) -> usize {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.shared.failures.load(Ordering::SeqCst)
    }
}

impl Shared {
    async fn write(&self, writer: usize, store: &dyn AsyncTokenStore) {
        let mut accounts = self.accounts.iter().cycle().skip(writer);
        while !self.is_over.load(Ordering::SeqCst) {
            let (account, acknowledged) = accounts.next().unwrap();
            let before = acknowledged.lock().unwrap().last;
            let Ok(stored) = store.load(*account).await else {
                self.fail().await;
                continue;
            };
            let stored = stored.expect("the record is there");
            let may_lose = self.may_lose.load(Ordering::SeqCst);
            let name = &self.name;
            assert!(
                may_lose || stored.version >= before.0 && number(&stored.record) >= before.1,
                "{name}: version {} was loaded after {before:?} was acknowledged",
                stored.version,
            );
            let next = number(&stored.record) + 1;
            match store.swap(*account, Some(stored.version), &record(next)).await {
                Ok(Swapped::Stored(version)) => {
                    let mut acknowledged = acknowledged.lock().unwrap();
                    assert!(version > stored.version, "{name}: {version} came after {}", stored.version);
                    assert!(acknowledged.given.insert(version), "{name}: {version} was given out twice");
                    assert!(
                        // A replacement that was lost is made again.
                        acknowledged.replaced.insert(stored.version) || self.may_lose.load(Ordering::SeqCst),
                        "{name}: two writes replaced version {}",
                        stored.version
                    );
                    if version > acknowledged.last.0 {
                        acknowledged.last = (version, next);
                    }
                    self.progress[writer].fetch_add(1, Ordering::SeqCst);
                }
                // Writers in step with each other would leave one of them behind for ever.
                Ok(Swapped::Conflict) => tokio::time::sleep(Duration::from_millis(1 + writer as u64)).await,
                Err(_) => self.fail().await,
            }
        }
    }

    /// Waits a little, as a renewal does whose store fails.
    async fn fail(&self) {
        self.failures.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Returns a record with this number in it.
pub(crate) fn record(number: u64) -> Record {
    let json = serde_json::json!({
        "format": 1, "grant": "0123456789abcdef0123456789abcdef", "state": "live", "number": number,
    });
    serde_json::from_value(json).unwrap()
}

/// Returns the number in a record of [`record`].
pub(crate) fn number(record: &Record) -> u64 {
    serde_json::to_value(record).unwrap()["number"].as_u64().unwrap()
}

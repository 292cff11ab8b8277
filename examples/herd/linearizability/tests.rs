use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use hs_oauth_async::{
    AsyncTokenStore, Cursor, FileStore, MemoryStore, Page, Record, StoreError, StoreErrorKind, Stored,
    Swapped, TokenStore, async_trait,
};
use hs_oauth_core::Random;

use super::*;
use crate::history;
use crate::observed_store::ObservedStore;
use crate::store_tasks::{Period, StoreTask};

const HUB: Account = Account::hub(1);

/// A call that began and ended at these moments.
fn call(begin: u64, end: u64, call: Call, outcome: Outcome) -> Operation {
    Operation { process: 1, account: HUB, begin, end: Some(end), call, outcome }
}

fn unknown(begin: u64, call: Call) -> Operation {
    Operation { process: 1, account: HUB, begin, end: None, call, outcome: Outcome::Unknown }
}

/// The content of a record, which is only compared.
fn content(number: u64) -> Content {
    serde_json::from_value(number.into()).unwrap()
}

fn swap(expected: impl Into<Option<u64>>, written: u64) -> Call {
    Call::Swap { expected: expected.into(), written: content(written) }
}

fn loaded(version: u64, number: u64) -> Outcome {
    Outcome::Loaded { version, content: content(number) }
}

fn stored(version: u64) -> Outcome {
    Outcome::Stored { version }
}

/// Returns whether a history is accepted, which must not depend on where it is cut.
fn is_accepted(operations: &[Operation]) -> bool {
    let verdicts: Vec<_> =
        [1, 2, 3, usize::MAX].map(|min_chunk| check_in_chunks(operations, min_chunk).is_ok()).to_vec();
    assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]), "{verdicts:?} {operations:#?}");
    verdicts[0]
}

#[test]
fn calls_one_after_the_other_are_accepted_if_each_sees_the_one_before() {
    let mut history = vec![
        call(1, 2, Call::Load, Outcome::Nothing),
        call(3, 4, swap(None, 10), stored(1)),
        call(5, 6, Call::Load, loaded(1, 10)),
        call(7, 8, swap(1, 11), stored(2)),
        call(9, 10, swap(1, 12), Outcome::Conflict),
        call(11, 12, Call::Load, loaded(2, 11)),
        call(13, 14, Call::Remove { expected: 2 }, Outcome::Removed),
        call(15, 16, Call::Load, Outcome::Nothing),
        call(17, 18, swap(None, 13), stored(3)),
    ];
    assert!(is_accepted(&history));
    history.push(call(19, 20, Call::Load, loaded(3, 14)));
    assert!(!is_accepted(&history), "the content is another one");
}

#[test]
fn a_load_may_return_the_old_record_while_the_swap_is_in_progress_and_not_after_it() {
    let history = |begin, end| {
        [
            call(1, 2, swap(None, 10), stored(1)),
            call(3, 10, swap(1, 11), stored(2)),
            call(4, 9, Call::Load, loaded(2, 11)),
            call(begin, end, Call::Load, loaded(1, 10)),
        ]
    };
    assert!(is_accepted(&history(5, 8)));
    assert!(!is_accepted(&history(11, 12)), "the swap has ended");
    let earlier = history(5, 8).map(|operation| match operation.begin {
        4 => call(3, 4, Call::Load, loaded(2, 11)),
        _ => operation,
    });
    assert!(!is_accepted(&earlier), "another load has seen the new record already");
}

#[test]
fn two_swaps_of_the_same_version_cannot_both_be_done() {
    assert!(!is_accepted(&[
        call(1, 2, swap(None, 10), stored(1)),
        call(3, 10, swap(1, 11), stored(2)),
        call(4, 9, swap(1, 12), stored(3)),
    ]));
}

#[test]
fn a_version_must_not_come_back() {
    assert!(!is_accepted(&[
        call(1, 2, swap(None, 10), stored(1)),
        call(3, 4, swap(1, 11), stored(2)),
        call(5, 6, Call::Remove { expected: 2 }, Outcome::Removed),
        call(7, 8, swap(None, 12), stored(2)),
    ]));
    assert!(!is_accepted(&[call(1, 2, swap(None, 10), stored(7)), call(3, 4, swap(7, 11), stored(6)),]));
}

#[test]
fn a_conflict_without_another_version_is_not_accepted() {
    assert!(!is_accepted(&[
        call(1, 2, swap(None, 10), stored(1)),
        call(3, 4, swap(1, 11), Outcome::Conflict),
    ]));
    assert!(!is_accepted(&[
        call(1, 2, Call::Load, Outcome::Nothing),
        call(3, 4, swap(None, 10), Outcome::Conflict),
    ]));
}

#[test]
fn a_write_with_an_unknown_outcome_may_take_effect_late_or_never_but_not_twice() {
    let begin = [call(1, 2, swap(None, 10), stored(1)), unknown(3, swap(1, 11))];
    let with = |more: &[Operation]| is_accepted(&[&begin, more].concat());
    assert!(with(&[]));
    assert!(with(&[call(5, 6, Call::Load, loaded(1, 10)), call(7, 8, swap(1, 12), stored(2))]), "never");
    let late = [call(5, 6, Call::Load, loaded(1, 10)), call(7, 8, Call::Load, loaded(9, 11))];
    assert!(with(&late));
    assert!(with(&[call(5, 6, swap(1, 12), Outcome::Conflict), call(7, 8, Call::Load, loaded(9, 11))]));
    let twice = [call(9, 10, swap(9, 12), stored(10)), call(11, 12, Call::Load, loaded(11, 11))];
    assert!(!with(&[&late[..], &twice].concat()));
    assert!(
        !with(&[call(5, 6, swap(1, 12), stored(2)), call(7, 8, Call::Load, loaded(3, 11))]),
        "its version was replaced before"
    );
    assert!(!with(&[call(5, 6, Call::Load, loaded(1, 11))]), "it has the version that it replaced");
}

#[test]
fn a_removal_with_an_unknown_outcome_may_take_effect_late_or_never() {
    let begin = [call(1, 2, swap(None, 10), stored(1)), unknown(3, Call::Remove { expected: 1 })];
    let with = |more: &[Operation]| is_accepted(&[&begin, more].concat());
    assert!(with(&[call(5, 6, Call::Load, loaded(1, 10)), call(7, 8, Call::Load, Outcome::Nothing)]));
    assert!(with(&[call(5, 6, swap(1, 11), stored(2)), call(7, 8, Call::Load, loaded(2, 11))]));
    assert!(!with(&[call(5, 6, swap(1, 11), stored(2)), call(7, 8, Call::Load, Outcome::Nothing)]));
}

/// The work of a store: calls by many threads, with a planted bug or none.
struct Work {
    threads: u8,
    steps: u32,
    accounts: u32,
}

impl Work {
    /// Runs the calls, and returns their history.
    fn history(&self, store: impl AsyncTokenStore) -> Vec<Operation> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("calls");
        let store = ObservedStore::new(store, Some(&file)).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..self.threads {
                let store = &store;
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    let mut task = StoreTask::new(self.accounts, Random::new([thread + 1; 32]));
                    for _ in 0..self.steps {
                        // A call that fails is one with an unknown outcome.
                        let _ = runtime.block_on(task.step(Period::default(), store));
                    }
                });
            }
        });
        history::read(1, &file).unwrap()
    }
}

const WORK: Work = Work { threads: 6, steps: 500, accounts: 12 };

#[test]
fn the_memory_store_is_linearizable() {
    let checked = check(&WORK.history(MemoryStore::new())).unwrap();
    assert_eq!((checked.accounts, checked.unknown), (12, 0));
    assert!(checked.operations > 3000 && checked.chunks > 12, "{checked:?}");
}

#[test]
fn the_file_store_is_linearizable() {
    let folder = tempfile::tempdir().unwrap();
    let store = OnThisThread(FileStore::open(folder.path().join("tokens")).unwrap());
    let checked = check(&Work { steps: 100, ..WORK }.history(store)).unwrap();
    assert!(checked.operations > 600, "{checked:?}");
}

#[test]
fn a_store_that_loses_answers_and_acts_late_is_linearizable() {
    let checked = check(&WORK.history(Planted::new(Bug::None))).unwrap();
    assert!(checked.unknown > 100, "{checked:?}");
}

#[test]
fn a_swap_that_ignores_the_version_is_caught() {
    check(&WORK.history(Planted::new(Bug::IgnoresVersion))).unwrap_err();
}

#[test]
fn a_load_from_a_stale_replica_is_caught() {
    check(&WORK.history(Planted::new(Bug::StaleReplica))).unwrap_err();
}

#[test]
fn a_swap_that_is_acknowledged_and_then_lost_is_caught() {
    check(&WORK.history(Planted::new(Bug::LosesWrites))).unwrap_err();
}

#[test]
fn a_swap_in_two_steps_is_caught() {
    check(&Work { accounts: 1, ..WORK }.history(Planted::new(Bug::TwoSteps))).unwrap_err();
}

/// The reasoning at the top of the file says so. Here histories of few calls are cut wherever that is possible, and nowhere.
#[test]
fn a_history_is_accepted_in_chunks_if_and_only_if_it_is_accepted_whole() {
    let mut verdicts = HashMap::new();
    for seed in 0..60 {
        for bug in [Bug::None, Bug::IgnoresVersion, Bug::StaleReplica, Bug::LosesWrites, Bug::TwoSteps] {
            let work = Work { threads: 1 + seed % 3, steps: 8, accounts: 1 };
            *verdicts.entry(is_accepted(&work.history(Planted::with_seed(bug, seed)))).or_insert(0) += 1;
        }
    }
    assert!(verdicts[&true] >= 60 && verdicts[&false] >= 60, "{verdicts:?}");
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    IgnoresVersion,
    StaleReplica,
    LosesWrites,
    TwoSteps,
}

/// A store in memory behind a network that loses answers and delays requests, and with a planted bug.
struct Planted {
    bug: Bug,
    store: MemoryStore,
    replica: Mutex<HashMap<Account, Option<Stored>>>,
    delayed: Mutex<Vec<(Account, Option<u64>, Record)>>,
    random: Mutex<Random>,
}

impl Planted {
    fn new(bug: Bug) -> Self {
        Self::with_seed(bug, 0)
    }

    fn with_seed(bug: Bug, seed: u8) -> Self {
        Self {
            bug,
            store: MemoryStore::new(),
            replica: Mutex::default(),
            delayed: Mutex::default(),
            random: Mutex::new(Random::new([seed ^ 0x55; 32])),
        }
    }

    fn one_in(&self, number: u64) -> bool {
        self.random.lock().unwrap().up_to(number - 1) == 0
    }

    fn version(&self, account: Account) -> Result<Option<u64>, StoreError> {
        Ok(TokenStore::load(&self.store, account)?.map(|stored| stored.version))
    }

    fn write(&self, account: Account, expected: Option<u64>, record: &Record) -> Result<Swapped, StoreError> {
        if self.bug == Bug::IgnoresVersion && self.one_in(8) {
            loop {
                let current = self.version(account)?;
                if let Swapped::Stored(version) = TokenStore::swap(&self.store, account, current, record)? {
                    return Ok(Swapped::Stored(version));
                }
            }
        }
        if self.bug == Bug::TwoSteps && self.version(account)? == expected {
            // Gives another caller the time to write in between.
            if self.one_in(8) {
                std::thread::sleep(Duration::from_millis(1));
            }
            loop {
                let current = self.version(account)?;
                if let Swapped::Stored(version) = TokenStore::swap(&self.store, account, current, record)? {
                    return Ok(Swapped::Stored(version));
                }
            }
        }
        if self.bug == Bug::LosesWrites && self.one_in(8) {
            let version = self.version(account)?;
            if version == expected {
                return Ok(Swapped::Stored(version.unwrap_or(0) + 1));
            }
        }
        TokenStore::swap(&self.store, account, expected, record)
    }
}

#[async_trait]
impl AsyncTokenStore for Planted {
    async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        let loaded = TokenStore::load(&self.store, account)?;
        let mut replica = self.replica.lock().unwrap();
        if self.bug != Bug::StaleReplica || self.one_in(4) {
            replica.insert(account, loaded);
        }
        Ok(replica.entry(account).or_default().clone())
    }

    async fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<Swapped, StoreError> {
        if self.one_in(8) {
            self.delayed.lock().unwrap().push((account, expected, record.clone()));
        } else {
            let swapped = self.write(account, expected, record)?;
            if !self.one_in(16) {
                return Ok(swapped);
            }
        }
        if self.one_in(2) {
            let delayed = std::mem::take(&mut *self.delayed.lock().unwrap());
            for (account, expected, record) in delayed {
                self.write(account, expected, &record)?;
            }
        }
        Err(StoreError::new(StoreErrorKind::Unavailable))
    }

    async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        TokenStore::page(&self.store, cursor, limit)
    }

    async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        let removed = TokenStore::remove(&self.store, account, expected)?;
        match self.one_in(4) {
            true => Err(StoreError::new(StoreErrorKind::Unavailable)),
            false => Ok(removed),
        }
    }
}

/// A sync store whose calls block the thread that makes them: here each caller has a thread of its own.
struct OnThisThread<S>(S);

#[async_trait]
impl<S: TokenStore> AsyncTokenStore for OnThisThread<S> {
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
}

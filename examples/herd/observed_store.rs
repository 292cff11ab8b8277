//! A store whose calls are counted, timed and, if asked for, written to a history.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hs_oauth_async::{
    Account, AsyncTokenStore, Cursor, Page, Record, StoreError, StoreErrorKind, Stored, Swapped, Timestamp,
    async_trait,
};
use hs_oauth_examples::BoxError;
use serde::{Deserialize, Serialize};

use crate::history::{Call, CallNumber, Content, Outcome, Recorder};

/// A store whose calls are counted, timed and, if asked for, written to a history.
#[derive(Clone, Debug)]
pub(crate) struct ObservedStore<S> {
    store: S,
    observed: Arc<Observed>,
}

/// What was seen of a store's calls.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    calls: AtomicU64,
    failures: AtomicU64,
    longest_micros: AtomicU64,
    outages: Mutex<Outages>,
    recorder: Option<Recorder>,
}

/// A time in which the store was of no use to a process: from the begin of a call that failed to the end of the next one that succeeded,
/// or the time of a call that took long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outage {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

#[derive(Debug, Default)]
struct Outages {
    /// When the first call of the outage that has not ended began.
    since: Option<Timestamp>,
    ended: Vec<Outage>,
}

/// A call that is not over. If it is dropped before its end, its caller gave up, and its outcome is unknown.
struct Running<'a> {
    observed: &'a Observed,
    begun: Instant,
    begun_at: Timestamp,
    number: Option<CallNumber>,
    has_succeeded: bool,
}

/// A call that takes longer than this is an outage.
const LONG: Duration = Duration::from_millis(500);

impl<S> ObservedStore<S> {
    /// Observes a store. The history goes to a file, if there is one.
    pub(crate) fn new(store: S, history: Option<&Path>) -> Result<Self, BoxError> {
        let recorder = history.map(Recorder::create).transpose()?;
        Ok(Self { store, observed: Arc::new(Observed { recorder, ..Observed::default() }) })
    }

    pub(crate) fn observed(&self) -> Arc<Observed> {
        Arc::clone(&self.observed)
    }
}

impl Observed {
    /// Returns the number of calls since this was last asked for.
    pub(crate) fn take_calls(&self) -> u64 {
        self.calls.swap(0, Ordering::Relaxed)
    }

    /// Returns the number of calls that failed or that their caller gave up, since this was last asked for.
    pub(crate) fn take_failures(&self) -> u64 {
        self.failures.swap(0, Ordering::Relaxed)
    }

    /// Returns how long the longest call took until its end, or until its caller gave up.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.longest_micros.load(Ordering::Relaxed))
    }

    /// Returns the outages that ended since this was last asked for, and the one that goes on, up to now.
    pub(crate) fn take_outages(&self) -> Vec<Outage> {
        let mut outages = self.outages.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = std::mem::take(&mut outages.ended);
        ended.into_iter().chain(outages.since.map(|from| Outage { from, until: now() })).collect()
    }

    /// Notes the begin of a call. A call whose begin cannot be written must not take place.
    fn begin(&self, account: Account, call: Call) -> Result<Running<'_>, StoreError> {
        let number = match &self.recorder {
            Some(recorder) => Some(recorder.begin(account, call).map_err(|error| {
                StoreError::with_source(StoreErrorKind::Unavailable, format!("no history: {error}"))
            })?),
            None => None,
        };
        Ok(self.run(number))
    }

    fn run(&self, number: Option<CallNumber>) -> Running<'_> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Running { observed: self, begun: Instant::now(), begun_at: now(), number, has_succeeded: false }
    }
}

impl Running<'_> {
    fn end<T>(mut self, result: &Result<T, StoreError>, outcome: impl FnOnce(&T) -> Outcome) {
        let Ok(value) = result else { return };
        self.has_succeeded = true;
        if let (Some(recorder), Some(number)) = (&self.observed.recorder, self.number) {
            // Without this line the outcome is unknown, which is weaker and still true.
            let _ = recorder.end(number, outcome(value));
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.observed.longest_micros.fetch_max(micros, Ordering::Relaxed);
        let mut outages = self.observed.outages.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_succeeded {
            let long = (took > LONG).then_some(self.begun_at);
            let from = outages.since.take().into_iter().chain(long).min();
            outages.ended.extend(from.map(|from| Outage { from, until: now() }));
        } else {
            self.observed.failures.fetch_add(1, Ordering::Relaxed);
            outages.since.get_or_insert(self.begun_at);
        }
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

#[async_trait]
impl<S: AsyncTokenStore> AsyncTokenStore for ObservedStore<S> {
    async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        let running = self.observed.begin(account, Call::Load)?;
        let result = self.store.load(account).await;
        running.end(&result, |stored| match stored {
            Some(Stored { version, record }) => {
                Outcome::Loaded { version: *version, content: Content::of(record) }
            }
            None => Outcome::Nothing,
        });
        result
    }

    async fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<Swapped, StoreError> {
        let call = Call::Swap { expected, written: Content::of(record) };
        let running = self.observed.begin(account, call)?;
        let result = self.store.swap(account, expected, record).await;
        running.end(&result, |swapped| match swapped {
            Swapped::Stored(version) => Outcome::Stored { version: *version },
            Swapped::Conflict => Outcome::Conflict,
        });
        result
    }

    async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        let running = self.observed.begin(account, Call::Remove { expected })?;
        let result = self.store.remove(account, expected).await;
        running.end(&result, |removed| match removed {
            true => Outcome::Removed,
            false => Outcome::Conflict,
        });
        result
    }

    /// Counts as one call, and is not part of the history.
    async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let running = self.observed.run(None);
        let result = self.store.page(cursor, limit).await;
        running.end(&result, |_| Outcome::Nothing);
        result
    }

    /// Counts as one call, and is not part of the history.
    async fn check(&self) -> Result<(), StoreError> {
        let running = self.observed.run(None);
        let result = self.store.check().await;
        running.end(&result, |()| Outcome::Nothing);
        result
    }
}

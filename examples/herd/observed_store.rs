//! A store whose calls are counted, timed and, if asked for, written to a history.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hs_oauth_async::{
    Account, AsyncTokenStore, Cursor, Page, Record, StoreError, StoreErrorKind, Stored, Swapped, async_trait,
};
use hs_oauth_examples::BoxError;

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
    recorder: Option<Recorder>,
}

/// A call that is not over. If it is dropped before its end, its caller gave up, and its outcome is unknown.
struct Running<'a> {
    observed: &'a Observed,
    begun: Instant,
    number: Option<CallNumber>,
}

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

    /// Returns the number of calls that failed, since this was last asked for.
    pub(crate) fn take_failures(&self) -> u64 {
        self.failures.swap(0, Ordering::Relaxed)
    }

    /// Returns how long the longest call took until its end, or until its caller gave up.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.longest_micros.load(Ordering::Relaxed))
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
        Running { observed: self, begun: Instant::now(), number }
    }
}

impl Running<'_> {
    fn end<T>(self, result: &Result<T, StoreError>, outcome: impl FnOnce(&T) -> Outcome) {
        let outcome = match result {
            Ok(value) => outcome(value),
            Err(_) => {
                self.observed.failures.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        if let (Some(recorder), Some(number)) = (&self.observed.recorder, self.number) {
            // Without this line the outcome is unknown, which is weaker and still true.
            let _ = recorder.end(number, outcome);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let micros = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.observed.longest_micros.fetch_max(micros, Ordering::Relaxed);
    }
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

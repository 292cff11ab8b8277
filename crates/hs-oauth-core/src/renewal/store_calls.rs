//! The calls of a run to its store: how long each may take, and how often they may fail.

use std::time::Duration;

use super::backoff::store_wait;
use super::policy::RenewalPolicy;
use super::record::{Record, Stored};
use super::run::{CurrentTokens, Input, Step};
use crate::limits::STORE_TIMEOUT;
use crate::random::Random;
use crate::timestamp::Timestamp;

/// The calls of one run to its store.
#[derive(Debug)]
pub(super) struct StoreCalls {
    /// The version of the record last loaded or written.
    pub(super) version: u64,
    timeout: Duration,
    began: Timestamp,
    failed_attempts: u32,
    has_conflicted: bool,
}

/// How many attempts may fail, because the store fails or is too slow, before a run gives up.
const MAX_FAILED_ATTEMPTS: u32 = 5;

impl StoreCalls {
    /// No calls so far.
    pub(super) fn new() -> Self {
        Self {
            version: 0,
            timeout: STORE_TIMEOUT,
            began: Timestamp::from_millis(0),
            failed_attempts: 0,
            has_conflicted: false,
        }
    }

    /// Notes when the run began.
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.began = now;
    }

    /// Notes the version that a call returned. The life of the stored tokens says how long the next call may take.
    pub(super) fn note_result(&mut self, input: &Input, policy: &RenewalPolicy) {
        match input {
            Input::Loaded(Some(Stored { version, record })) => {
                self.version = *version;
                if let Some(tokens) = &record.tokens {
                    self.timeout = policy.timing(tokens).save;
                }
            }
            Input::Stored(version) => self.version = *version,
            _ => {}
        }
    }

    pub(super) fn load(&self) -> Step<CurrentTokens> {
        Step::Load { timeout: self.timeout }
    }

    pub(super) fn swap(&self, expected: u64, record: Record) -> Step<CurrentTokens> {
        Step::Swap { expected: Some(expected), record: Box::new(record), timeout: self.timeout }
    }

    /// Notes a conflict and returns whether it is the first one. Another process may write in between once. A store that reports
    /// nothing but conflicts counts as one that fails.
    pub(super) fn is_first_conflict(&mut self) -> bool {
        !std::mem::replace(&mut self.has_conflicted, true)
    }

    /// Notes a failed attempt.
    pub(super) fn note_failure(&mut self) {
        self.failed_attempts = self.failed_attempts.saturating_add(1);
    }

    /// Returns whether so many attempts have failed that the run gives up.
    pub(super) fn has_failed_too_often(&self) -> bool {
        self.failed_attempts >= MAX_FAILED_ATTEMPTS
    }

    /// Returns whether the run has lasted for `limit`. A store that fails slowly uses up this time long before the attempts.
    pub(super) fn has_lasted(&self, now: Timestamp, limit: Duration) -> bool {
        now >= self.began.plus(limit)
    }

    /// Returns how long to wait before the store is called again.
    pub(super) fn next_wait(&self, random: &mut Random) -> Duration {
        store_wait(random, self.failed_attempts)
    }
}

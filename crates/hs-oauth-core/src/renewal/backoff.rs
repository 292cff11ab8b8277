//! How long a renewal waits: for the holder of a lease, before it calls the store again, and before the next refresh may be sent.

use std::time::Duration;

use super::id::HolderId;
use super::record::{Record, Retry};
use crate::error::{Error, NextStep};
use crate::random::Random;
use crate::timestamp::Timestamp;

/// How long a run has waited for the holder of a lease.
#[derive(Debug, Default)]
pub(super) struct HolderWait {
    holder: Option<HolderId>,
    waited: Duration,
    waits: u32,
}

impl HolderWait {
    /// Returns how long the run has waited for this holder so far.
    pub(super) fn waited_for(&self, holder: HolderId) -> Duration {
        match self.holder == Some(holder) {
            true => self.waited,
            false => Duration::ZERO,
        }
    }

    /// Returns the next wait for this holder and adds it to the time waited. It is at most one millisecond longer than `max`.
    pub(super) fn next(&mut self, holder: HolderId, max: Duration, random: &mut Random) -> Duration {
        if self.holder != Some(holder) {
            *self = Self { holder: Some(holder), ..Self::default() };
        }
        let wait = random.backoff(FIRST_WAIT, self.waits, MAX_WAIT).min(max + Duration::from_millis(1));
        self.waits = self.waits.saturating_add(1);
        self.waited += wait;
        wait
    }
}

/// Returns the wait before the store is called again, after this number of failed attempts.
pub(super) fn store_wait(random: &mut Random, failed_attempts: u32) -> Duration {
    random.backoff(FIRST_WAIT, failed_attempts, MAX_WAIT)
}

/// Returns how long the record's back-off still lasts. A back-off that ends too far in the future was written by a wrong clock, and does
/// not count.
pub(super) fn remaining_backoff(now: Timestamp, record: &Record, clock_margin: Duration) -> Option<Duration> {
    let retry = record.retry.as_ref()?;
    let legal = retry.at <= now.plus(MAX_RETRY + clock_margin);
    if retry.at > now && legal {
        return Some(retry.at.since(now));
    }
    None
}

/// Returns when any process may send the next refresh: after a wait that grows with each failure, and not before the time that HubSpot
/// asked for.
pub(super) fn next_retry(now: Timestamp, record: &Record, error: &Error, random: &mut Random) -> Retry {
    let before = record.retry.as_ref().map_or(0, |retry| retry.failures);
    let wait = match error.next_step() {
        NextStep::FixConfiguration | NextStep::RestartAuthorization => {
            random.backoff(FIRST_MISCONFIGURED, before, MAX_MISCONFIGURED)
        }
        step => {
            // A limit and an account that moves may last a day. A server in an outage does not know how long it lasts.
            let max = match error.status() {
                Some(status) if status.as_u16() >= 500 => MAX_MISCONFIGURED,
                _ => MAX_RETRY,
            };
            let requested = match step {
                NextStep::RetryAfter(Some(requested)) => requested.min(max),
                _ => Duration::ZERO,
            };
            let spread = u64::try_from(requested.as_millis() / 10).unwrap_or(0);
            let requested = requested + Duration::from_millis(random.up_to(spread));
            requested.max(random.backoff(FIRST_RETRY, before, MAX_BACKOFF)).min(MAX_RETRY)
        }
    };
    Retry::new(now.plus(wait), before.saturating_add(1))
}

/// The waits for the holder of a lease, and before the store is called again.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const MAX_WAIT: Duration = Duration::from_secs(1);

/// The back-off after HubSpot or the network failed.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// The back-off if the app is set up wrongly.
const FIRST_MISCONFIGURED: Duration = Duration::from_secs(60);
const MAX_MISCONFIGURED: Duration = Duration::from_secs(15 * 60);

/// The longest back-off. If the back-off in a record ends later than that, a clock was wrong.
const MAX_RETRY: Duration = Duration::from_secs(24 * 60 * 60);

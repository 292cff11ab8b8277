//! How long a renewal waits: for the holder of a lease, before it calls the store again, and before the next refresh may be sent.

use std::time::Duration;

use super::id::HolderId;
use super::record::{Record, Retry};
use super::retry_cause::RetryCause;
use crate::app::AppIdentity;
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

/// Returns how long the back-off still lasts. A back-off that ends too far in the future was written by a wrong clock, and does not count.
pub(super) fn remaining_backoff(now: Timestamp, retry: &Retry, clock_margin: Duration) -> Option<Duration> {
    let legal = retry.at <= now.plus(MAX_RETRY + clock_margin);
    if retry.at > now && legal {
        return Some(retry.at.since(now));
    }
    None
}

/// Returns when any process may send the next refresh: after a wait that grows with each failure, and not before the time that HubSpot
/// asked for. `app` sent the refresh, `cause` is why it failed, and `requested` is the wait that HubSpot asked for. A wait that HubSpot
/// asked for earlier goes on, also if this refresh was sent despite it.
pub(super) fn next_retry(
    now: Timestamp,
    record: &Record,
    app: &AppIdentity,
    cause: RetryCause,
    requested: Option<Duration>,
    random: &mut Random,
) -> Retry {
    let earlier = record.retry.as_ref().filter(|retry| retry.requested);
    let requested = requested.max(earlier.and_then(|retry| remaining_backoff(now, retry, Duration::ZERO)));
    // Failures of another credential say nothing about this one.
    let before = record
        .retry
        .as_ref()
        .filter(|retry| retry.credential.as_ref().is_none_or(|credential| credential == app.credential()));
    let failures = before.map_or(0, |retry| retry.failures);
    let own = match cause.is_configuration() {
        true => random.backoff(FIRST_MISCONFIGURED, failures, MAX_MISCONFIGURED),
        false => random.backoff(FIRST_RETRY, failures, MAX_BACKOFF),
    };
    let wait = requested.unwrap_or_default().max(own).min(MAX_RETRY);
    let mut retry = Retry::new(now.plus(wait), failures.saturating_add(1));
    retry.requested = requested.is_some();
    // What HubSpot asked for holds for every credential.
    let is_of_credential = cause.is_configuration() && !retry.requested;
    retry.credential = is_of_credential.then(|| app.credential().clone());
    retry.cause = Some(cause);
    retry
}

/// Returns the wait that HubSpot asked for, and up to a tenth more, so that not all accounts come back at once.
pub(super) fn requested_wait(error: &Error, random: &mut Random) -> Option<Duration> {
    let NextStep::RetryAfter(Some(requested)) = error.next_step() else { return None };
    // A limit and an account that moves may last a day. A server in an outage does not know how long it lasts.
    let max = match error.status() {
        Some(status) if status.as_u16() >= 500 => MAX_MISCONFIGURED,
        _ => MAX_RETRY,
    };
    let requested = requested.min(max);
    let spread = u64::try_from(requested.as_millis() / 10).unwrap_or(0);
    Some(requested + Duration::from_millis(random.up_to(spread)))
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

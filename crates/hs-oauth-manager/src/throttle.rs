//! What HubSpot's last responses say about the next renewals: they pause after a 429, and in an outage one is tried at a time.

use std::time::Duration;

use hs_oauth_core::http::StatusCode;
use hs_oauth_core::renewal::RetryCause;
use hs_oauth_core::{Account, Error, NextStep, Timestamp, TransportErrorKind};

/// Whether renewals may begin, as far as HubSpot's last responses say. It is about all accounts of the process.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// When a 429 was received that asked for a pause, and when that pause ends.
    pause: Option<(Timestamp, Timestamp)>,
    /// How many calls in a row failed because HubSpot or the network did.
    failures: u32,
    /// The account that is tried in an outage.
    trial: Option<Account>,
    /// When the last such try began.
    tried_at: Option<Timestamp>,
    /// How many such tries have failed.
    failed_trials: u64,
}

/// What a call says about HubSpot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    /// HubSpot works.
    Works,
    /// HubSpot or the network failed.
    Fails,
    /// HubSpot asks for a pause.
    Limits(Duration),
    /// Nothing that is true for other calls too.
    Nothing,
}

/// After so many failures in a row, one renewal is tried at a time.
const MAX_FAILURES: u32 = 5;

/// How long a caller is told to wait in an outage. How long the outage lasts is not known.
const OUTAGE_WAIT: Duration = Duration::from_secs(1);

/// How often the sweep tries an account in an outage. Each one that fails makes the account's callers wait, too, and callers find out by
/// themselves that HubSpot works again.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

impl Throttle {
    /// Notes how a call ended: a refresh of `account`, or another call without one. Returns whether runs that wait have to look again
    /// whether they may begin.
    pub(crate) fn note<T>(
        &mut self,
        account: Option<Account>,
        result: &Result<T, Error>,
        now: Timestamp,
    ) -> bool {
        match Finding::new(result) {
            Finding::Works => {
                let was_outage = self.is_outage();
                (self.failures, self.trial) = (0, None);
                was_outage
            }
            Finding::Fails => {
                self.failures = self.failures.saturating_add(1);
                let was_trial = account.is_some() && self.trial == account;
                self.failed_trials += u64::from(was_trial);
                was_trial
            }
            Finding::Limits(wait) => {
                let was_paused = self.pause(now);
                let wait = wait.max(was_paused.unwrap_or_default());
                self.pause = Some((now, now.plus(wait)));
                was_paused.is_none()
            }
            Finding::Nothing => false,
        }
    }

    /// Returns how long the pause lasts that a 429 asked for, or `None` if there is no pause.
    pub(crate) fn pause(&self, now: Timestamp) -> Option<Duration> {
        let (from, until) = self.pause?;
        // The clock was set back if it is earlier than when the 429 was received.
        (from <= now && now < until).then(|| until.since(now))
    }

    /// Returns how long a caller has to wait before the next try, and why, or `None` if the caller may wait in the queue. `failed_trials` is what
    /// [`failed_trials`](Self::failed_trials) returned when the caller began to wait.
    pub(crate) fn wait_of_caller(
        &self,
        failed_trials: u64,
        now: Timestamp,
    ) -> Option<(Duration, RetryCause)> {
        let shares_failure = self.is_outage() && self.failed_trials > failed_trials;
        let outage = shares_failure.then_some((OUTAGE_WAIT, RetryCause::Unavailable));
        self.pause(now).map(|wait| (wait, RetryCause::RateLimited)).or(outage)
    }

    /// Returns how many tries have failed in outages.
    pub(crate) fn failed_trials(&self) -> u64 {
        self.failed_trials
    }

    /// Returns how many renewals may be in flight: `max`, or one in an outage.
    pub(crate) fn max_in_flight(&self, max: usize) -> usize {
        if self.is_outage() { 1 } else { max }
    }

    /// Notes that the renewal of an account begins.
    pub(crate) fn begin(&mut self, account: Account, now: Timestamp) {
        self.trial = self.is_outage().then_some(account);
        self.tried_at = self.trial.map(|_| now).or(self.tried_at);
    }

    /// Returns how long the sweep has to wait before it tries the next account, or `None` if it need not wait.
    pub(crate) fn wait_of_sweep(&self, now: Timestamp) -> Option<Duration> {
        // A clock that was set back makes it wait no longer.
        let tried_at = self.tried_at.filter(|at| self.is_outage() && *at <= now)?;
        Some(tried_at.plus(SWEEP_INTERVAL).since(now)).filter(|wait| !wait.is_zero())
    }

    /// Returns whether HubSpot or the network has failed so often in a row that one renewal is tried at a time.
    fn is_outage(&self) -> bool {
        self.failures >= MAX_FAILURES
    }
}

impl Finding {
    fn new<T>(result: &Result<T, Error>) -> Self {
        match result {
            Ok(_) => Self::Works,
            Err(Error::Api(error)) => match (error.status, error.next_step()) {
                (StatusCode::TOO_MANY_REQUESTS, NextStep::RetryAfter(Some(wait))) => Self::Limits(wait),
                (status, _) if status.as_u16() >= 500 => Self::Fails,
                _ => Self::Works,
            },
            Err(Error::Transport(error)) => match error.kind() {
                TransportErrorKind::Resolve
                | TransportErrorKind::Connect
                | TransportErrorKind::Unreachable
                | TransportErrorKind::Tls
                | TransportErrorKind::NotTls
                | TransportErrorKind::ConnectTimeout
                | TransportErrorKind::Timeout
                | TransportErrorKind::Interrupted => Self::Fails,
                _ => Self::Nothing,
            },
            Err(_) => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::{ApiError, Operation, TransportError};

    use super::*;
    use crate::tests::NOW;

    const HUB: Account = Account::hub(1);
    const SECOND: Duration = Duration::from_secs(1);

    fn status(status: u16) -> Result<(), Error> {
        Err(ApiError::new(Operation::Refresh, StatusCode::from_u16(status).unwrap()).into())
    }

    fn rate_limit(retry_after: Option<u64>, policy_name: Option<&str>) -> Result<(), Error> {
        let mut error = ApiError::new(Operation::Refresh, StatusCode::TOO_MANY_REQUESTS);
        error.retry_after = retry_after.map(Duration::from_secs);
        error.policy_name = policy_name.map(str::to_owned);
        Err(error.into())
    }

    fn connection(kind: TransportErrorKind) -> Result<(), Error> {
        Err(TransportError::new(kind).into())
    }

    fn outage() -> Throttle {
        let mut throttle = Throttle::default();
        (0..MAX_FAILURES).for_each(|_| _ = throttle.note(Some(HUB), &status(503), NOW));
        throttle
    }

    /// HUBSPOT's error documentation: a 429 says how long to wait; `TEN_SECONDLY_ROLLING` is over after ten seconds, `DAILY` at midnight.
    #[test]
    fn a_429_pauses_for_as_long_as_it_asks() {
        for (response, seconds) in [
            (rate_limit(Some(3), Some("TEN_SECONDLY_ROLLING")), 3),
            (rate_limit(None, Some("TEN_SECONDLY_ROLLING")), 10),
            (rate_limit(None, None), 10),
            (rate_limit(None, Some("DAILY")), 3600),
            (rate_limit(Some(86_400), Some("DAILY")), 86_400),
        ] {
            let mut throttle = Throttle::default();
            assert!(throttle.note(Some(HUB), &response, NOW), "{response:?}");
            assert_eq!(throttle.pause(NOW), Some(SECOND * seconds));
            assert_eq!(throttle.pause(NOW.plus(SECOND * (seconds - 1))), Some(SECOND));
            assert_eq!(throttle.pause(NOW.plus(SECOND * seconds)), None);
        }
    }

    #[test]
    fn a_further_429_never_shortens_the_pause() {
        let mut throttle = Throttle::default();
        throttle.note(Some(HUB), &rate_limit(Some(10), None), NOW);
        assert!(!throttle.note(Some(HUB), &rate_limit(Some(1), None), NOW), "nobody waits for its end");
        assert_eq!(throttle.pause(NOW), Some(SECOND * 10));
        throttle.note(Some(HUB), &rate_limit(Some(20), None), NOW.plus(SECOND));
        assert_eq!(throttle.pause(NOW.plus(SECOND)), Some(SECOND * 20));
        throttle.note(Some(HUB), &Ok::<_, Error>(()), NOW.plus(SECOND));
        assert!(throttle.pause(NOW.plus(SECOND)).is_some(), "a response to an earlier request says nothing");
    }

    /// RENEWAL.md, rule 7.
    #[test]
    fn a_pause_is_over_if_the_clock_was_set_back() {
        let mut throttle = Throttle::default();
        throttle.note(Some(HUB), &rate_limit(Some(10), None), NOW);
        assert_eq!(throttle.pause(NOW.minus(SECOND)), None);
    }

    #[test]
    fn five_failures_in_a_row_are_an_outage_and_one_success_ends_it() {
        for failure in [
            status(500),
            status(503),
            status(521),
            connection(TransportErrorKind::Connect),
            connection(TransportErrorKind::Resolve),
            connection(TransportErrorKind::Timeout),
            connection(TransportErrorKind::Interrupted),
        ] {
            for works in [Ok(()), status(400), status(423), status(477)] {
                let mut throttle = Throttle::default();
                for _ in 0..4 {
                    throttle.note(Some(HUB), &failure, NOW);
                }
                throttle.note(Some(HUB), &works, NOW);
                for _ in 0..4 {
                    throttle.note(Some(HUB), &failure, NOW);
                }
                assert_eq!(throttle.max_in_flight(64), 64, "not in a row: {failure:?} {works:?}");
                throttle.note(Some(HUB), &failure, NOW);
                assert_eq!(throttle.max_in_flight(64), 1, "{failure:?}");
                throttle.note(None, &rate_limit(None, None), NOW);
                throttle.note(None, &connection(TransportErrorKind::Client), NOW);
                assert_eq!(throttle.max_in_flight(64), 1, "these say nothing about it");
                assert!(throttle.note(Some(HUB), &works, NOW), "those that wait may begin");
                assert_eq!(throttle.max_in_flight(64), 64, "{works:?}");
            }
        }
    }

    #[test]
    fn a_caller_who_waits_in_an_outage_shares_the_failure_of_the_next_try_and_of_no_other() {
        let mut throttle = outage();
        let began = throttle.failed_trials();
        assert_eq!(throttle.wait_of_caller(began, NOW), None, "there was no try since");
        throttle.begin(HUB, NOW);
        assert!(!throttle.note(Some(Account::hub(2)), &status(503), NOW), "it was sent before the outage");
        assert_eq!(throttle.wait_of_caller(began, NOW), None);
        assert!(throttle.note(Some(HUB), &status(503), NOW));
        assert_eq!(throttle.wait_of_caller(began, NOW), Some((OUTAGE_WAIT, RetryCause::Unavailable)));
        assert_eq!(throttle.wait_of_caller(throttle.failed_trials(), NOW), None, "it waits for the next try");
        throttle.note(None, &Ok::<_, Error>(()), NOW);
        assert_eq!(throttle.wait_of_caller(began, NOW), None, "the outage is over");
    }
}

//! When a failed call is sent again.

use std::time::Duration;

use crate::error::{Error, NextStep, Operation};
use crate::limits::CONNECT_TIMEOUT;

/// When a failed call is sent again: only if that can do no harm and may succeed.
///
/// | the call | is sent again |
/// |---|---|
/// | the exchange of an authorization code | only if the request was surely not sent, because the name was not resolved or no connection was made |
/// | any call, if the response says that it was refused | never |
/// | any other call after 423, 429, 477, 5xx, a timeout, an interruption or no connection | after `Retry-After` or a growing wait, if the wait and the try fit into the budget |
/// | any call after a `DAILY` limit | never, since the limit ends at midnight and each try counts |
/// | any call after a 401, even if the access token has expired | never, since it has the same token |
/// | any call after a response that is too large or unreadable | never |
///
/// ```
/// use std::time::Duration;
/// use hs_oauth_core::RetryPolicy;
///
/// const PATIENT: RetryPolicy = RetryPolicy::new().with_budget(Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    max_tries: u32,
    budget: Duration,
}

/// The wait after the first try if the response asks for none. It doubles with each try.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The part of the budget that a further try needs. A shorter try might end after the server has replaced a token and before its response
/// comes.
const MIN_TRY: Duration = Duration::from_secs(2);

impl RetryPolicy {
    /// One try and no further ones.
    pub const NEVER: Self = Self { max_tries: 1, budget: Duration::ZERO };

    /// Returns a policy of at most 3 tries within 10 seconds.
    pub const fn new() -> Self {
        Self { max_tries: 3, budget: Duration::from_secs(10) }
    }

    /// Sets the greatest number of tries, the first one included.
    #[must_use]
    pub const fn with_max_tries(mut self, max_tries: u32) -> Self {
        self.max_tries = max_tries;
        self
    }

    /// Sets the time in which all further tries and the waits before them must fit. It counts from the start of the first try.
    ///
    /// A further try begins only if 2 seconds are left for it, or [`CONNECT_TIMEOUT`] after a try that could not connect.
    #[must_use]
    pub const fn with_budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// Returns how long to wait before the next try, or `None` if there is none and the caller gets `error`.
    ///
    /// `tries` is the number of tries so far, and `elapsed` the time since the first one began. `random` spreads the waits of many
    /// callers. It may have any value.
    pub fn wait(
        &self,
        operation: Operation,
        error: &Error,
        tries: u32,
        elapsed: Duration,
        random: u64,
    ) -> Option<Duration> {
        let NextStep::RetryAfter(requested) = error.next_step() else {
            return None;
        };
        let surely_unsent = matches!(error, Error::Transport(error) if error.kind().surely_unsent());
        let harmless = match error {
            Error::Transport(_) => operation != Operation::ExchangeCode || surely_unsent,
            Error::Api(error) => {
                let is_daily = error.policy_name.as_deref() == Some("DAILY");
                operation != Operation::ExchangeCode && !is_daily && !error.is_expired_access_token()
            }
            Error::Response(_) => false,
        };
        if !harmless || tries >= self.max_tries {
            return None;
        }
        let wait = requested.unwrap_or_else(|| {
            let full = FIRST_WAIT.saturating_mul(1 << tries.saturating_sub(1).min(10));
            // Between one half of it and the whole.
            full / 2 + (full / 2).mul_f64((random % 1024) as f64 / 1024.0)
        });
        // With less time for connecting, the try would end in a timeout that does not say whether the request was sent.
        let min_try = if surely_unsent { CONNECT_TIMEOUT } else { MIN_TRY };
        let end = elapsed.saturating_add(wait).saturating_add(min_try);
        (end < self.budget).then_some(wait)
    }

    /// Returns how long the next try may take: `timeout`, or the rest of the budget if that is less. The first try may always take
    /// `timeout`.
    pub fn try_timeout(&self, timeout: Duration, tries: u32, elapsed: Duration) -> Duration {
        match tries {
            0 => timeout,
            _ => timeout.min(self.budget.saturating_sub(elapsed)),
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::error::{ApiError, TransportError, TransportErrorKind};

    fn wait(operation: Operation, error: &Error, tries: u32, elapsed_secs: u64) -> Option<Duration> {
        RetryPolicy::new().wait(operation, error, tries, Duration::from_secs(elapsed_secs), 0)
    }

    fn api(status: u16, change: impl FnOnce(&mut ApiError)) -> Error {
        let mut error = ApiError::new(Operation::Refresh, StatusCode::from_u16(status).unwrap());
        change(&mut error);
        error.into()
    }

    fn transport(kind: TransportErrorKind) -> Error {
        TransportError::new(kind).into()
    }

    /// RFC 6749 §4.1.2: a code used twice may cost all tokens issued for it.
    #[test]
    fn a_code_is_sent_again_only_if_it_was_surely_not_sent() {
        for (kind, again) in [
            (TransportErrorKind::Resolve, true),
            (TransportErrorKind::Connect, true),
            (TransportErrorKind::ConnectTimeout, true),
            (TransportErrorKind::Timeout, false),
            (TransportErrorKind::Interrupted, false),
            (TransportErrorKind::ResponseTooLarge, false),
        ] {
            let error = transport(kind);
            assert_eq!(wait(Operation::ExchangeCode, &error, 1, 0).is_some(), again, "{kind:?}");
        }
        assert_eq!(wait(Operation::ExchangeCode, &api(503, |_| ()), 1, 0), None);
        assert_eq!(
            wait(Operation::ExchangeCode, &api(429, |error| error.retry_after = Some(Duration::ZERO)), 1, 0),
            None
        );
    }

    #[test]
    fn a_temporary_failure_is_tried_three_times() {
        for error in [
            api(503, |_| ()),
            transport(TransportErrorKind::Timeout),
            transport(TransportErrorKind::Interrupted),
        ] {
            assert_eq!(wait(Operation::Refresh, &error, 1, 0), Some(Duration::from_millis(125)));
            assert_eq!(wait(Operation::Refresh, &error, 2, 1), Some(Duration::from_millis(250)));
            assert_eq!(wait(Operation::Refresh, &error, 3, 1), None);
        }
    }

    #[test]
    fn a_refused_call_is_never_sent_again() {
        for status in [400, 401, 403, 404, 302] {
            assert_eq!(wait(Operation::Refresh, &api(status, |_| ()), 1, 0), None, "{status}");
        }
        assert_eq!(wait(Operation::Refresh, &transport(TransportErrorKind::ResponseTooLarge), 1, 0), None);
    }

    #[test]
    fn an_expired_access_token_is_not_sent_again() {
        let mut error = ApiError::new(Operation::Uninstall, StatusCode::UNAUTHORIZED);
        error.category = Some("EXPIRED_AUTHENTICATION".to_owned());
        assert_eq!(error.next_step(), NextStep::RetryAfter(Some(Duration::ZERO)));
        assert_eq!(wait(Operation::Uninstall, &error.into(), 1, 0), None);
        assert!(wait(Operation::Uninstall, &api(503, |_| ()), 1, 0).is_some());
    }

    #[test]
    fn a_retry_after_is_waited_for_if_it_fits_into_the_budget() {
        let after = |seconds| api(429, move |error| error.retry_after = Some(Duration::from_secs(seconds)));
        assert_eq!(wait(Operation::Refresh, &after(3), 1, 0), Some(Duration::from_secs(3)));
        assert_eq!(wait(Operation::Refresh, &after(3), 1, 4), Some(Duration::from_secs(3)));
        assert_eq!(wait(Operation::Refresh, &after(3), 1, 5), None, "less than 2 seconds would be left");
        assert_eq!(wait(Operation::Refresh, &after(86_400), 1, 0), None);
    }

    #[test]
    fn no_further_try_is_made_after_a_daily_limit() {
        let daily = api(429, |error| {
            error.policy_name = Some("DAILY".to_owned());
            error.retry_after = Some(Duration::ZERO);
        });
        assert_eq!(wait(Operation::Refresh, &daily, 1, 0), None);
    }

    /// RFC 6749 §4.1.2: only an error that says that a code was surely not sent lets the caller send it again.
    #[test]
    fn a_try_that_could_not_connect_is_followed_only_by_one_with_enough_time_to_connect() {
        for kind in
            [TransportErrorKind::Resolve, TransportErrorKind::Connect, TransportErrorKind::ConnectTimeout]
        {
            for operation in [Operation::ExchangeCode, Operation::Refresh] {
                let error = transport(kind);
                assert!(wait(operation, &error, 1, 4).is_some(), "{kind:?}");
                assert_eq!(wait(operation, &error, 1, 5), None, "{kind:?}");
            }
        }
        let interrupted = transport(TransportErrorKind::Interrupted);
        assert!(wait(Operation::Refresh, &interrupted, 1, 7).is_some());
    }

    #[test]
    fn waits_are_spread_between_one_half_and_the_whole() {
        let policy = RetryPolicy::new();
        let error = api(500, |_| ());
        for random in [0, 1, 512, 1023, u64::MAX] {
            let wait = policy.wait(Operation::Refresh, &error, 1, Duration::ZERO, random).unwrap();
            assert!((FIRST_WAIT / 2..=FIRST_WAIT).contains(&wait), "{wait:?}");
        }
        assert!(
            policy
                .with_max_tries(u32::MAX)
                .with_budget(Duration::MAX)
                .wait(Operation::Refresh, &error, 1 << 30, Duration::MAX, 1)
                .is_none()
        );
    }

    #[test]
    fn a_further_try_may_take_the_rest_of_the_budget() {
        let policy = RetryPolicy::new();
        let secs = Duration::from_secs;
        assert_eq!(policy.try_timeout(secs(15), 0, secs(0)), secs(15));
        assert_eq!(policy.try_timeout(secs(15), 1, secs(4)), secs(6));
        assert_eq!(policy.try_timeout(secs(1), 1, secs(4)), secs(1));
        assert_eq!(policy.try_timeout(secs(1), 1, secs(11)), secs(0));
    }
}

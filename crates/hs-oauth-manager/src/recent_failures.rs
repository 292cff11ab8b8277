//! Why accounts had no bearer a moment ago, so that their next callers do not ask the store again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hs_oauth_core::renewal::TokenError;
use hs_oauth_core::{Account, Timestamp};

/// The accounts that had no bearer within the last second, and why.
///
/// It is looked at only if the cache has no bearer. What another process does for an account is seen once the second is over. An install or
/// a disconnect in this process, and a renewal that is asked for, end it at once.
#[derive(Debug, Default)]
pub(crate) struct RecentFailures(Mutex<Failures>);

#[derive(Debug, Default)]
struct Failures {
    by_account: HashMap<Account, Failure>,
    /// The failures in their order. Those of them that are not the account's last one, or were forgotten, have no meaning.
    order: VecDeque<(u64, Account)>,
    /// The number of failures that were ever noted.
    noted: u64,
    /// How often an account was forgotten.
    forgotten: u64,
}

#[derive(Debug)]
struct Failure {
    number: u64,
    error: TokenError,
    at: Timestamp,
}

/// How long a failure is remembered. So an account is loaded about once a second, however many callers it has.
const MEMORY: Duration = Duration::from_secs(1);

/// The most failures that are remembered. The oldest one makes way for a new one: anybody can ask for accounts that do not exist.
const MAX_FAILURES: usize = 10_000;

impl RecentFailures {
    /// Returns the account's last error, if it is still remembered. A back-off is by now shorter than it was.
    pub(crate) fn error(&self, account: Account, now: Timestamp) -> Option<TokenError> {
        let failures = self.lock();
        let Failure { error, at, .. } = failures.by_account.get(&account)?;
        // A later moment comes from before the clock was set back.
        if *at > now || now.since(*at) >= MEMORY {
            return None;
        }
        match error {
            TokenError::BackingOff { wait, cause } => {
                let wait = wait.saturating_sub(now.since(*at));
                (!wait.is_zero()).then_some(TokenError::BackingOff { wait, cause: cause.clone() })
            }
            error => Some(error.clone()),
        }
    }

    /// Returns how often an account was forgotten so far. It is taken when a flight begins, and passed to [`note`](Self::note) at its end.
    pub(crate) fn forgotten(&self) -> u64 {
        self.lock().forgotten
    }

    /// Remembers why a flight had no bearer, if its next callers would have none for the same reason. Remembers nothing if an account was
    /// forgotten since the flight began: the flight may not have seen an install.
    pub(crate) fn note(&self, account: Account, forgotten: u64, error: &TokenError, now: Timestamp) {
        let Some(error) = repeated(error) else { return };
        let mut failures = self.lock();
        if failures.forgotten != forgotten {
            return;
        }
        failures.noted += 1;
        let number = failures.noted;
        failures.by_account.insert(account, Failure { number, error, at: now });
        failures.order.push_back((number, account));
        while failures.order.len() > MAX_FAILURES {
            failures.remove_oldest();
        }
    }

    /// Forgets why an account had no bearer.
    pub(crate) fn forget(&self, account: Account) {
        let mut failures = self.lock();
        failures.forgotten += 1;
        failures.by_account.remove(&account);
    }

    fn lock(&self) -> MutexGuard<'_, Failures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failures {
    fn remove_oldest(&mut self) {
        let Some((number, account)) = self.order.pop_front() else { return };
        if self.by_account.get(&account).is_some_and(|failure| failure.number == number) {
            self.by_account.remove(&account);
        }
    }
}

/// Returns the error that the next caller would receive after this one, or `None` if that is not known.
fn repeated(error: &TokenError) -> Option<TokenError> {
    match error {
        TokenError::NotInstalled
        | TokenError::NotRenewable
        | TokenError::OtherApp { .. }
        | TokenError::Store(_)
        | TokenError::BackingOff { .. } => Some(error.clone()),
        // The refusal is HubSpot's response to a refresh. The next caller would send none.
        TokenError::Gone { unsettled, .. } => Some(TokenError::Gone { unsettled: *unsettled, refusal: None }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::{ApiError, Error, Operation, StoreError, StoreErrorKind};

    use super::*;
    use crate::tests::{ACCOUNT, NOW};

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn backing_off(milliseconds: u32) -> TokenError {
        TokenError::BackingOff { wait: MILLISECOND * milliseconds, cause: None }
    }

    /// Returns the memory after a flight that ended with `error`.
    fn after(error: &TokenError) -> RecentFailures {
        let failures = RecentFailures::default();
        failures.note(ACCOUNT, failures.forgotten(), error, NOW);
        failures
    }

    fn refusal() -> Error {
        ApiError::new(Operation::Refresh, hs_oauth_core::http::StatusCode::BAD_REQUEST).into()
    }

    #[test]
    fn an_error_that_the_next_caller_would_receive_too_is_remembered_for_a_second() {
        let store = || StoreError::new(StoreErrorKind::Unavailable);
        for (error, is_remembered) in [
            (TokenError::NotInstalled, true),
            (TokenError::NotRenewable, true),
            (TokenError::Gone { unsettled: true, refusal: Some(refusal()) }, true),
            (TokenError::Store(store()), true),
            (backing_off(5000), true),
            (TokenError::Call(refusal()), false),
            (TokenError::Interrupted, false),
            (TokenError::ShutDown, false),
        ] {
            let failures = after(&error);
            let remembered = failures.error(ACCOUNT, NOW.plus(MEMORY - MILLISECOND));
            assert_eq!(remembered.map(|error| error.name()), is_remembered.then_some(error.name()));
            assert!(failures.error(ACCOUNT, NOW.plus(MEMORY)).is_none(), "{error:?}");
            assert!(failures.error(Account::hub(2), NOW).is_none());
        }
    }

    #[test]
    fn a_remembered_refusal_is_not_taken_for_the_response_to_another_request() {
        let failures = after(&TokenError::Gone { unsettled: true, refusal: Some(refusal()) });
        let error = failures.error(ACCOUNT, NOW).unwrap();
        assert!(matches!(error, TokenError::Gone { unsettled: true, refusal: None }), "{error:?}");
    }

    #[test]
    fn a_remembered_back_off_becomes_shorter_and_ends_with_its_wait() {
        let failures = after(&backing_off(300));
        let error = failures.error(ACCOUNT, NOW.plus(MILLISECOND * 100)).unwrap();
        assert!(
            matches!(error, TokenError::BackingOff { wait, .. } if wait == MILLISECOND * 200),
            "{error:?}"
        );
        assert!(failures.error(ACCOUNT, NOW.plus(MILLISECOND * 300)).is_none());
        assert!(after(&backing_off(0)).error(ACCOUNT, NOW).is_none());
    }

    #[test]
    fn an_account_is_forgotten_at_once_and_a_flight_that_began_before_does_not_bring_it_back() {
        let failures = after(&TokenError::NotInstalled);
        let began = failures.forgotten();
        failures.forget(ACCOUNT);
        assert!(failures.error(ACCOUNT, NOW).is_none());
        failures.note(ACCOUNT, began, &TokenError::NotInstalled, NOW);
        assert!(failures.error(ACCOUNT, NOW).is_none(), "it began before the install");
        failures.note(ACCOUNT, failures.forgotten(), &TokenError::NotInstalled, NOW);
        assert!(failures.error(ACCOUNT, NOW).is_some());
    }

    #[test]
    fn accounts_that_nobody_has_installed_fill_no_memory() {
        let failures = after(&TokenError::NotInstalled);
        for hub_id in 2..30_000 {
            failures.note(Account::hub(hub_id), 0, &TokenError::NotInstalled, NOW);
            failures.note(Account::hub(2), 0, &TokenError::NotInstalled, NOW);
        }
        let held = failures.lock();
        assert!(held.by_account.len() <= MAX_FAILURES && held.order.len() <= MAX_FAILURES);
        drop(held);
        assert!(failures.error(ACCOUNT, NOW).is_none(), "it made way");
        assert!(failures.error(Account::hub(29_999), NOW).is_some());
        assert!(failures.error(Account::hub(2), NOW).is_some(), "its last failure is a recent one");
    }

    /// RENEWAL.md, rule 7.
    #[test]
    fn nothing_is_remembered_from_the_future() {
        assert!(after(&TokenError::NotInstalled).error(ACCOUNT, NOW.minus(MILLISECOND)).is_none());
    }
}

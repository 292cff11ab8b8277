//! How accounts stood when this process last saw their records.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hs_oauth_core::renewal::{AccountState, Record, RenewalPolicy, Schedule};
use hs_oauth_core::{Account, Timestamp, TokenSet};

/// How an account stood when its record was read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The state of its grant.
    pub state: AccountState,
    /// When its access token was requested, if there is one.
    pub renewed_at: Option<Timestamp>,
    /// When its token is renewed and until when it is handed out, if there is one.
    pub schedule: Option<Schedule>,
    /// When the next renewal may be tried, after one that failed.
    pub retry_at: Option<Timestamp>,
    /// Whether there is a refresh token.
    pub is_renewable: bool,
}

/// What the process knows of the accounts that are not well.
#[derive(Debug, Default)]
pub(crate) struct Standings(Mutex<Unwell>);

#[derive(Debug, Default)]
struct Unwell {
    gone: HashSet<Account>,
    /// The accounts whose renewal failed, and when it may be tried again.
    backing_off: HashMap<Account, Timestamp>,
    /// When those whose back-off is over were last forgotten.
    cleared_at: Option<Timestamp>,
}

/// How often back-offs that are over are forgotten.
const CLEARING_INTERVAL: Duration = Duration::from_secs(1);

impl Standing {
    /// Returns how the account of this record stands.
    pub fn of(record: &Record, policy: &RenewalPolicy) -> Self {
        let (state, retry_at) = (AccountState::of(record), record.retry.as_ref().map(|retry| retry.at));
        match &record.tokens {
            Some(tokens) => Self { state, retry_at, ..Self::of_tokens(tokens, policy) },
            None => Self { state, renewed_at: None, schedule: None, retry_at, is_renewable: false },
        }
    }

    /// Returns how an account stands whose tokens were just installed.
    pub fn of_tokens(tokens: &TokenSet, policy: &RenewalPolicy) -> Self {
        let issued = tokens.has_access_token();
        Self {
            state: AccountState::Live,
            renewed_at: issued.then(|| tokens.requested_at()),
            schedule: issued.then(|| policy.schedule(tokens)),
            retry_at: None,
            is_renewable: tokens.refresh_token.is_some(),
        }
    }

    /// Returns whether the grant is gone.
    pub const fn is_gone(&self) -> bool {
        matches!(self.state, AccountState::GoneRefused | AccountState::GoneUnsettled)
    }
}

impl Standings {
    /// Notes how an account stands, or with `None` that it has no record.
    pub(crate) fn note(&self, account: Account, standing: Option<Standing>) {
        let mut unwell = self.lock();
        unwell.gone.remove(&account);
        unwell.backing_off.remove(&account);
        match standing {
            Some(standing) if standing.is_gone() => _ = unwell.gone.insert(account),
            Some(Standing { state: AccountState::Live, retry_at: Some(at), .. }) => {
                unwell.backing_off.insert(account, at);
            }
            _ => {}
        }
    }

    /// Returns how many accounts are gone.
    pub(crate) fn gone(&self) -> usize {
        self.lock().gone.len()
    }

    /// Returns how many accounts are backing off. Forgets those whose back-off is over.
    pub(crate) fn backing_off(&self, now: Timestamp) -> usize {
        let mut unwell = self.lock();
        // Many renewals end in a second, and many accounts may back off.
        if unwell.cleared_at.is_none_or(|at| at > now || now.since(at) >= CLEARING_INTERVAL) {
            unwell.backing_off.retain(|_, until| *until > now);
            unwell.cleared_at = Some(now);
        }
        unwell.backing_off.len()
    }

    fn lock(&self) -> MutexGuard<'_, Unwell> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{ACCOUNT, NOW};

    fn standing(state: AccountState, retry_at: Option<Timestamp>) -> Option<Standing> {
        Some(Standing { state, renewed_at: None, schedule: None, retry_at, is_renewable: true })
    }

    #[test]
    fn an_account_is_counted_as_it_was_seen_last() {
        let standings = Standings::default();
        let later = NOW.plus(Duration::from_secs(9));
        for (seen, gone, backing_off) in [
            (standing(AccountState::Live, Some(later)), 0, 1),
            (standing(AccountState::GoneRefused, Some(later)), 1, 0),
            (standing(AccountState::GoneUnsettled, None), 1, 0),
            (standing(AccountState::Live, None), 0, 0),
            (standing(AccountState::GoneRefused, None), 1, 0),
            (standing(AccountState::Disconnected, None), 0, 0),
            (standing(AccountState::Live, Some(later)), 0, 1),
            (None, 0, 0),
        ] {
            standings.note(ACCOUNT, seen);
            assert_eq!((standings.gone(), standings.backing_off(NOW)), (gone, backing_off), "{seen:?}");
        }
    }

    #[test]
    fn an_account_is_backing_off_until_it_may_be_tried_again() {
        let standings = Standings::default();
        let later = NOW.plus(Duration::from_secs(9));
        standings.note(ACCOUNT, standing(AccountState::Live, Some(later)));
        assert_eq!(standings.backing_off(later.minus(CLEARING_INTERVAL)), 1);
        assert_eq!(standings.backing_off(later), 0);
    }
}

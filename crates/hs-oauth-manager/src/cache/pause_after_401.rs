//! The pause after a renewal that was forced by a 401: for a while, a further 401 forces no renewal of the same account.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hs_oauth_core::renewal::RenewalPolicy;
use hs_oauth_core::{Account, Timestamp, TokenSet};

/// Accounts whose token was renewed after a 401, and until when no further 401 leads to a renewal.
#[derive(Default)]
pub(super) struct PauseAfter401(Mutex<HashMap<Account, Timestamp>>);

impl PauseAfter401 {
    /// Returns how long the account's token is not renewed for another 401, or `None` if it may be.
    pub(super) fn remaining(
        &self,
        account: Account,
        now: Timestamp,
        policy: &RenewalPolicy,
    ) -> Option<Duration> {
        let until = *self.lock().get(&account)?;
        // A later moment was computed before the clock was set back.
        (now < until && until <= now.plus(policy.longest_timing().safety)).then(|| until.since(now))
    }

    /// Begins the pause: these tokens came of a renewal after a 401. It is as long as the safety margin of their life.
    pub(super) fn begin(&self, account: Account, now: Timestamp, tokens: &TokenSet, policy: &RenewalPolicy) {
        let mut pauses = self.lock();
        pauses.retain(|_, until| *until > now);
        pauses.insert(account, now.plus(policy.timing(tokens).safety));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Account, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

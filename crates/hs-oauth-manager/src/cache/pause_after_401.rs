//! The pause after a token that was obtained because of a 401: for a while, a further 401 does not lead to another one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hs_oauth_core::renewal::RenewalPolicy;
use hs_oauth_core::{Timestamp, TokenSet};

/// Those whose token was replaced after a 401, and until when no further 401 leads to another one. A key is an account, or the scopes of a
/// token of the app itself.
pub(crate) struct PauseAfter401<K>(Mutex<HashMap<K, Timestamp>>);

impl<K: Eq + Hash> PauseAfter401<K> {
    /// Returns how long the token is not replaced for another 401, or `None` if it may be.
    pub(crate) fn remaining(&self, key: &K, now: Timestamp, policy: &RenewalPolicy) -> Option<Duration> {
        let until = *self.lock().get(key)?;
        // A later moment was computed before the clock was set back.
        (now < until && until <= now.plus(policy.longest_timing().safety)).then(|| until.since(now))
    }

    /// Begins the pause: these tokens were obtained after a 401. It is as long as the safety margin of their life.
    pub(crate) fn begin(&self, key: K, now: Timestamp, tokens: &TokenSet, policy: &RenewalPolicy) {
        let mut pauses = self.lock();
        pauses.retain(|_, until| *until > now);
        pauses.insert(key, now.plus(policy.timing(tokens).safety));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Default for PauseAfter401<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

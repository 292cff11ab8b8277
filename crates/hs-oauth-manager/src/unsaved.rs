//! When the next attempt is made to save tokens that could not be saved.

use std::sync::Arc;
use std::time::Duration;

use hs_oauth_core::renewal::UnsavedTokens;
use hs_oauth_core::{Account, RefreshToken, TokenSet};

use crate::received::Unsaved;
use crate::single_flight::{SingleFlight, State, Waiting};

/// The retries of a process: they go on from the first tokens that could not be saved until all tokens are saved.
///
/// Once they have ended, the next tokens that cannot be saved start them again.
#[derive(Debug)]
pub struct SaveRetries<W: Waiting> {
    flights: Arc<SingleFlight<W>>,
    /// How many accounts had unsaved tokens before the last attempt, and the wait before it.
    last: Option<(usize, Duration)>,
    has_ended: bool,
}

/// How long a shutdown may take by default. Kubernetes, for instance, kills a process 30 seconds after it has asked it to end.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(25);

const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(60);

impl<W: Waiting> SaveRetries<W> {
    /// Returns the retries that [`FlightEnd::starts_retries`](crate::FlightEnd::starts_retries) asks for.
    pub fn new(flights: &Arc<SingleFlight<W>>) -> Self {
        Self { flights: Arc::clone(flights), last: None, has_ended: false }
    }

    /// Returns how long to wait before the next attempt, or `None` if all tokens are saved and the retries have ended.
    pub fn next_wait(&mut self) -> Option<Duration> {
        let mut state = self.flights.state();
        let unsaved = state.accounts_to_save().count();
        if unsaved == 0 {
            // Still under the lock, so that tokens which come later start the retries again.
            state.is_retrying = false;
            self.has_ended = true;
            return None;
        }
        let wait = next_wait(self.last, unsaved);
        self.last = Some((unsaved, wait));
        Some(wait)
    }
}

impl<W: Waiting> Drop for SaveRetries<W> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.flights.state().is_retrying = false;
        }
    }
}

impl<W: Waiting> SingleFlight<W> {
    /// Notes tokens that the account's flight has received and not saved yet.
    pub fn note_received(&self, account: Account, unsaved: UnsavedTokens) {
        self.state().received.add(account, Unsaved::Renewal(unsaved));
    }

    /// Returns the accounts whose tokens could not be saved, and for which no flight is under way.
    pub fn unsaved_accounts(&self) -> Vec<Account> {
        self.state().accounts_to_save().collect()
    }

    /// Returns all tokens that are not known to be saved, with their accounts.
    pub fn unsaved_tokens(&self) -> Vec<(Account, TokenSet)> {
        self.state().received.tokens().collect()
    }

    /// Removes the account's install that could not be saved, since the account has been disconnected. Returns its refresh token, which is
    /// still to be revoked.
    pub fn discard_install(&self, account: Account) -> Option<RefreshToken> {
        self.state().received.discard_install(account)?.refresh_token
    }
}

impl<W: Waiting> State<W> {
    /// Returns whether the caller has to start [`SaveRetries`]. They count as started from now on.
    pub(crate) fn start_retries(&mut self) -> bool {
        !std::mem::replace(&mut self.is_retrying, true)
    }

    fn accounts_to_save(&self) -> impl Iterator<Item = Account> {
        self.received.accounts_to_save().filter(|account| !self.flights.contains_key(account))
    }
}

/// Returns the wait before the next attempt. It is short after some tokens were saved, and grows while none are.
fn next_wait(last: Option<(usize, Duration)>, unsaved: usize) -> Duration {
    match last {
        Some((before, wait)) if unsaved >= before => (wait * 2).min(MAX_WAIT),
        _ => FIRST_WAIT,
    }
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::renewal::TokenError;

    use super::*;
    use crate::queue::{Limits, Purpose};
    use crate::tests::{Recorder, lead, tokens, unsaved};

    /// Ends a flight whose run could not save its tokens. Returns whether retries have to be started.
    fn leave_unsaved(flights: &Arc<SingleFlight<Recorder>>) -> bool {
        lead(flights, Purpose::Caller).finish(Some(unsaved()), Err(TokenError::Interrupted))
    }

    fn flights() -> Arc<SingleFlight<Recorder>> {
        Arc::new(SingleFlight::new(Limits::default()))
    }

    #[test]
    fn waits_grow_while_nothing_can_be_saved_and_are_short_again_once_something_is() {
        let mut last = None;
        let waits = [5, 5, 5, 4, 4, 4, 4, 4, 4, 4, 4].map(|unsaved| {
            let wait = next_wait(last, unsaved);
            last = Some((unsaved, wait));
            wait.as_secs()
        });
        assert_eq!(waits, [1, 2, 4, 1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn retries_are_started_once_and_again_after_all_tokens_were_saved() {
        let flights = flights();
        assert!(leave_unsaved(&flights));
        assert!(!leave_unsaved(&flights), "they are under way");
        assert_eq!(flights.unsaved_accounts(), [crate::tests::ACCOUNT]);
        assert_eq!(flights.unsaved_tokens(), [(crate::tests::ACCOUNT, tokens("new"))]);
        let mut retries = SaveRetries::new(&flights);
        assert_eq!(retries.next_wait(), Some(FIRST_WAIT));
        lead(&flights, Purpose::Caller).finish(None, Err(TokenError::NotInstalled));
        assert_eq!(retries.next_wait(), None);
        assert!(leave_unsaved(&flights), "the old retries see no tokens any more");
        drop(retries);
        assert!(!leave_unsaved(&flights), "the end of the old retries is not that of the new ones");
    }

    #[test]
    fn retries_that_are_dropped_before_their_end_are_started_again() {
        let flights = flights();
        assert!(leave_unsaved(&flights));
        drop(SaveRetries::new(&flights));
        assert!(leave_unsaved(&flights));
    }
}

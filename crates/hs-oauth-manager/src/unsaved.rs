//! Tokens that could not be saved, and when to try again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hs_oauth_core::renewal::UnsavedTokens;
use hs_oauth_core::{Account, TokenSet};

use crate::single_flight::{SingleFlight, Waiting};

/// The retries of a process, from the first tokens that could not be saved until all are saved.
///
/// However they end, the next tokens that cannot be saved start them again.
#[derive(Debug)]
pub struct SaveRetries<W: Waiting> {
    flights: Arc<SingleFlight<W>>,
    /// How many accounts had unsaved tokens before the last try, and the wait before it.
    last: Option<(usize, Duration)>,
    has_ended: bool,
}

const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(60);

impl<W: Waiting> SaveRetries<W> {
    /// Returns the retries that the end of a flight has said are to be started.
    pub fn new(flights: &Arc<SingleFlight<W>>) -> Self {
        Self { flights: Arc::clone(flights), last: None, has_ended: false }
    }

    /// Returns the wait before the next try, or `None` if all tokens are saved and the retries have ended.
    pub fn next_wait(&mut self) -> Option<Duration> {
        let mut state = self.flights.state();
        let unsaved = state.unsaved.len();
        if unsaved == 0 {
            // Under the lock under which it was seen: tokens that come later start the retries again.
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

/// Returns the tokens that could not be saved.
pub fn tokens_of(unsaved: &HashMap<Account, UnsavedTokens>) -> Vec<(Account, TokenSet)> {
    unsaved.iter().map(|(account, unsaved)| (*account, unsaved.tokens().clone())).collect()
}

/// Soon while saving succeeds for some of the tokens, else after a growing wait.
fn next_wait(last: Option<(usize, Duration)>, unsaved: usize) -> Duration {
    match last {
        Some((before, wait)) if unsaved >= before => (wait * 2).min(MAX_WAIT),
        _ => FIRST_WAIT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_slow_down_while_nothing_can_be_saved_and_are_quick_again_once_something_can() {
        let mut last = None;
        let waits = [5, 5, 5, 4, 4, 4, 4, 4, 4, 4, 4].map(|unsaved| {
            let wait = next_wait(last, unsaved);
            last = Some((unsaved, wait));
            wait.as_secs()
        });
        assert_eq!(waits, [1, 2, 4, 1, 2, 4, 8, 16, 32, 60, 60]);
    }
}

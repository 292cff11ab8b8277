//! When tokens that could not be saved are tried again.

use std::sync::Arc;
use std::time::Duration;

use crate::single_flight::{SingleFlight, Waiting};

/// The retries of a process, from the first tokens that could not be saved until all are saved.
///
/// However they end, the next tokens that cannot be saved start them again.
#[derive(Debug)]
pub struct SaveRetries<W: Waiting> {
    flights: Arc<SingleFlight<W>>,
    waits: Waits,
    has_ended: bool,
}

/// Soon while saving succeeds for some of the tokens, else after a growing wait.
#[derive(Debug, Default)]
struct Waits {
    last: Option<(usize, Duration)>,
}

const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(60);

impl<W: Waiting> SaveRetries<W> {
    /// Returns the retries that a flight has said are to be started.
    pub fn new(flights: &Arc<SingleFlight<W>>) -> Self {
        Self { flights: Arc::clone(flights), waits: Waits::default(), has_ended: false }
    }

    /// Returns the wait before the next try, or `None` if all tokens are saved and the retries have ended.
    pub fn next_wait(&mut self) -> Option<Duration> {
        let mut state = self.flights.state();
        match state.unsaved.len() {
            0 => {
                // Under the lock under which it was seen: tokens that come later start the retries again.
                state.unsaved.end_retries();
                self.has_ended = true;
                None
            }
            unsaved => Some(self.waits.next(unsaved)),
        }
    }
}

impl<W: Waiting> Drop for SaveRetries<W> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.flights.state().unsaved.end_retries();
        }
    }
}

impl Waits {
    fn next(&mut self, unsaved: usize) -> Duration {
        let wait = match self.last {
            Some((before, wait)) if unsaved >= before => (wait * 2).min(MAX_WAIT),
            _ => FIRST_WAIT,
        };
        self.last = Some((unsaved, wait));
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_slow_down_while_nothing_can_be_saved_and_are_quick_again_once_something_can() {
        let mut waits = Waits::default();
        let waits: Vec<_> =
            [5, 5, 5, 4, 4, 4, 4, 4, 4, 4, 4].map(|unsaved| waits.next(unsaved).as_secs()).into();
        assert_eq!(waits, [1, 2, 4, 1, 2, 4, 8, 16, 32, 60, 60]);
    }
}

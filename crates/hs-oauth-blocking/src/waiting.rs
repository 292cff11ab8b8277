//! How callers and runs wait on threads.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use hs_oauth_manager::{FlightResult, State, Wait, Waiting};

/// Waiting with condition variables.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    /// Is notified when the queue changes, and when nothing is under way any more.
    pub(crate) changed: Condvar,
}

/// The slot for the result of a flight, and its notification.
pub(crate) type Flight = Arc<(Mutex<Option<FlightResult>>, Condvar)>;

impl Waiting for Threads {
    type Flight = Flight;
    type Waker = ();

    fn deliver(flight: &Flight, flight_result: FlightResult) {
        let (result, has_ended) = &**flight;
        *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(flight_result);
        has_ended.notify_all();
    }

    fn queue_changed(&self, _: Option<&()>) {
        self.changed.notify_all();
    }

    fn idle(&self) {
        self.changed.notify_all();
    }
}

impl Threads {
    /// Waits until the queue changes or the time of `wait` is over.
    pub(crate) fn wait<'s>(
        &self,
        state: MutexGuard<'s, State<Self>>,
        wait: Wait,
    ) -> MutexGuard<'s, State<Self>> {
        match wait {
            Wait::For(time) => {
                self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
            }
            Wait::UntilWoken => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

//! How callers and runs wait on threads.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use hs_oauth_manager::{FlightResult, State, Wait, Waiting};

/// Waiting with condition variables.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    /// Is notified when the queue changes, and when nothing is under way any more. A run in the queue has one of its own, since there may be
    /// thousands of them.
    pub(crate) changed: Condvar,
}

/// The slot for the result of a flight, and its notification.
pub(crate) type Flight = Arc<(Mutex<Option<FlightResult>>, Condvar)>;

impl Waiting for Threads {
    type Flight = Flight;
    type Waker = Arc<Condvar>;

    fn deliver(flight: &Flight, flight_result: FlightResult) {
        let (result, has_ended) = &**flight;
        *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(flight_result);
        has_ended.notify_all();
    }

    fn queue_changed(&self, run: Option<&Arc<Condvar>>) {
        run.inspect(|run| run.notify_one());
        self.changed.notify_all();
    }

    fn idle(&self) {
        self.changed.notify_all();
    }
}

/// Waits until `changed` is notified or the time of `wait` is over.
pub(crate) fn wait_for<'s>(
    changed: &Condvar,
    state: MutexGuard<'s, State<Threads>>,
    wait: Wait,
) -> MutexGuard<'s, State<Threads>> {
    match wait {
        Wait::For(time) => changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0,
        Wait::UntilWoken => changed.wait(state).unwrap_or_else(PoisonError::into_inner),
    }
}

//! How callers and runs wait on threads.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hs_oauth_manager::{Clock, FlightResult, State, Wait, Waiting};

/// Waiting with condition variables.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    /// Is notified when the queue changes, when nothing is under way any more, and when no refresh is sent any more. A run in the queue has
    /// one of its own, since there may be thousands of them.
    pub(crate) changed: Condvar,
    /// Is set when the sweep may have something else to do.
    pub(crate) sweep: Signal,
}

/// Tells a thread that something has changed since it looked last.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    is_set: Mutex<bool>,
    changed: Condvar,
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

    fn closed(&self) {
        self.changed.notify_all();
        self.sweep.set();
    }

    fn sweep_changed(&self) {
        self.sweep.set();
    }
}

impl Threads {
    /// Waits while `condition` holds, but not longer than `max`.
    pub(crate) fn wait_while<'s>(
        &self,
        state: MutexGuard<'s, State<Self>>,
        max: Duration,
        condition: impl FnMut(&mut State<Self>) -> bool,
    ) -> MutexGuard<'s, State<Self>> {
        let waited = self.changed.wait_timeout_while(state, max, condition);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Signal {
    fn set(&self) {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits until it is set, but not longer than `max`, and resets it.
    pub(crate) fn wait(&self, max: Duration) {
        let is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(is_set, max, |is_set| !*is_set);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// Waits until `changed` is notified, the time of `wait` is over, or the clock has to be looked at again.
pub(crate) fn wait_for<'s>(
    changed: &Condvar,
    state: MutexGuard<'s, State<Threads>>,
    wait: Wait,
    clock: &Clock,
) -> MutexGuard<'s, State<Threads>> {
    match wait {
        Wait::For(time) => {
            let waited = changed.wait_timeout(state, clock.look_again_after(time));
            waited.unwrap_or_else(PoisonError::into_inner).0
        }
        Wait::UntilWoken => changed.wait(state).unwrap_or_else(PoisonError::into_inner),
    }
}

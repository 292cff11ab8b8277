use std::sync::{Arc, Condvar, Mutex, PoisonError};

use hs_oauth_manager::{FlightResult, Waiting};

/// Waits with condition variables.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    /// Notified when the queue changes, and when nothing is under way any more.
    pub(crate) changed: Condvar,
}

/// Where callers wait for the one who runs the flight.
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

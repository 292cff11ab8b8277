//! How callers and runs wait on tokio.

use std::sync::Arc;

use hs_oauth_manager::{FlightResult, Waiting};
use tokio::sync::{Notify, watch};

/// Waiting with tokio's channels.
#[derive(Debug, Default)]
pub(crate) struct Tokio {
    /// Is notified when nothing is under way any more.
    pub(crate) idle: Notify,
    /// Is notified when no refresh is sent any more.
    pub(crate) closed: Notify,
    /// Is notified when the sweep may have something else to do.
    pub(crate) sweep: Notify,
}

/// The slot for the result of a flight.
pub(crate) type Flight = Arc<watch::Sender<Option<FlightResult>>>;

impl Waiting for Tokio {
    type Flight = Flight;
    type Waker = Arc<Notify>;

    fn deliver(flight: &Flight, result: FlightResult) {
        flight.send_replace(Some(result));
    }

    fn queue_changed(&self, front: Option<&Arc<Notify>>) {
        front.inspect(|front| front.notify_one());
    }

    fn idle(&self) {
        self.idle.notify_waiters();
    }

    fn closed(&self) {
        self.closed.notify_waiters();
        self.sweep.notify_one();
    }

    fn sweep_changed(&self) {
        self.sweep.notify_one();
    }
}

//! The task that looks after accounts that nobody asks for. It does what the plan in the shared state says.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use hs_oauth_core::renewal::Demand;
use hs_oauth_manager::{PAGE_SIZE, Purpose, SingleFlight, SweepStep};
use tokio::runtime::Handle;

use crate::driver::Inner;
use crate::waiting::Tokio;

/// The task of the sweep. It lets the manager go while it waits, so that it ends with the last clone.
struct SweepTask {
    inner: Weak<Inner>,
    flights: Arc<SingleFlight<Tokio>>,
}

impl Inner {
    /// Starts the sweep on this runtime, unless there is none or it has started.
    pub(crate) fn start_sweep(self: &Arc<Self>, runtime: &Handle) {
        if self.shared.settings.sweep.is_none() || self.has_sweep.swap(true, Ordering::AcqRel) {
            return;
        }
        let task = SweepTask { inner: Arc::downgrade(self), flights: Arc::clone(&self.shared.flights) };
        runtime.spawn(task.run());
    }
}

impl SweepTask {
    async fn run(self) {
        while let Some(inner) = self.inner.upgrade() {
            let Some(step) = inner.shared.next_of_sweep(inner.now()) else { return };
            match step {
                SweepStep::ReadPage(cursor) => {
                    let page = inner.page(cursor.as_ref(), PAGE_SIZE).await;
                    inner.shared.note_page(page, inner.now());
                }
                // The end of the flight is noted, whoever leads it. After a shutdown there is none, and no next step either.
                SweepStep::Renew(account) => {
                    let _ = inner.start_or_join(account, &Demand::Usable, Purpose::Sweep);
                }
                SweepStep::Wait(time) => {
                    let time = inner.shared.settings.clock.look_again_after(time);
                    drop(inner);
                    _ = tokio::time::timeout(time, self.flights.waiting.sweep.notified()).await;
                }
            }
        }
    }
}

impl Drop for SweepTask {
    fn drop(&mut self) {
        // If its runtime has ended, the next call on another one starts the sweep again.
        if let Some(inner) = self.inner.upgrade() {
            inner.has_sweep.store(false, Ordering::Release);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The sweep waits for its next turn, and finds that the manager has ended.
        self.shared.flights.close();
    }
}

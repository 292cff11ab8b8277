//! The thread that looks after accounts that nobody asks for. It does what the plan in the shared state says.

use std::sync::Arc;

use hs_oauth_manager::{PAGE_SIZE, Purpose, SweepStep};

use crate::driver::Inner;
use crate::flight::thread;

impl Inner {
    /// Starts the sweep, if there is one. It ends with the last clone of the manager, which closes the queue.
    pub(crate) fn start_sweep(self: &Arc<Self>) {
        if self.shared.settings.sweep.is_some() {
            let inner = Arc::clone(self);
            // If no thread can be started, idle accounts are renewed by their next callers.
            let _ = thread().spawn(move || inner.sweep());
        }
    }

    fn sweep(self: Arc<Self>) {
        while let Some(step) = self.shared.next_of_sweep(self.now()) {
            match step {
                SweepStep::ReadPage(cursor) => {
                    let page = self.page(cursor.as_ref(), PAGE_SIZE);
                    self.shared.note_page(page, self.now());
                }
                SweepStep::Renew(account) => self.push(account, Purpose::Sweep, self.now()),
                SweepStep::Wait(time) => {
                    let time = self.shared.settings.clock.look_again_after(time);
                    self.shared.flights.waiting.sweep.wait(time);
                }
            }
        }
    }
}

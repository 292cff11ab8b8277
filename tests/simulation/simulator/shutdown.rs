//! What a process does before it ends, if it is asked to: nothing more is sent, and what was received is saved.

use hs_oauth_core::renewal::Demand;

use super::events::Event;
use super::{SECOND, Simulator};

/// How long a shutdown waits.
const TIMEOUT: u64 = 25 * SECOND;

impl Simulator {
    pub(super) fn shut_down(&mut self, process: usize) {
        if !self.processes[process].is_up || self.processes[process].is_shut_down {
            return;
        }
        self.log(|_| format!("P{process} is shut down"));
        let shut_down = &mut self.processes[process];
        shut_down.is_shut_down = true;
        let _ = shut_down.queue.close();
        if shut_down.unsaved.is_some() {
            self.begin_renewal(process, Demand::Usable);
        }
        self.schedule(TIMEOUT, Event::ShutdownEnds { process });
    }

    /// Ends the process. What it could not save is lost, as in a crash.
    pub(super) fn end_shutdown(&mut self, process: usize) {
        if self.processes[process].is_shut_down {
            self.stop(process);
        }
    }
}

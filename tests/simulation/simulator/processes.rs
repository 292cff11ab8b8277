//! What happens to processes and their clocks, and the end of the faults.

use hs_oauth_manager::{Limits, RenewalQueue};

use super::super::hubspot::Deployment;
use super::super::rules::Window;
use super::events::Event;
use super::{SECOND, Simulator};

impl Simulator {
    pub(super) fn clock(&self, process: usize) -> u64 {
        self.now.saturating_add_signed(self.processes[process].offset)
    }

    pub(super) fn set_clock(&mut self, process: usize, by: i64) {
        self.log(|_| format!("P{process}'s clock is set by {by} ms"));
        self.processes[process].offset += by;
        self.rules.window_opened(Window::Clock);
    }

    pub(super) fn crash(&mut self, process: usize) {
        if self.processes[process].is_up && self.now < self.faults_end_at {
            self.log(|_| format!("P{process} crashes"));
            self.stop(process);
        }
    }

    /// Ends a process at once. What it had in memory is lost.
    pub(super) fn stop(&mut self, process: usize) {
        let mut lost: Vec<String> = Vec::new();
        lost.extend(self.processes[process].unsaved.take().and_then(|unsaved| unsaved.new_refresh_token));
        let ended: Vec<usize> =
            self.runs.iter().filter(|(_, active)| active.process == process).map(|(run, _)| *run).collect();
        for run in ended {
            lost.extend(self.runs.remove(&run).and_then(|active| active.new_refresh_token));
            self.rules.request_ended(run);
        }
        if lost.iter().any(|token| self.rules.is_only_copy(token)) {
            self.rules.window_opened(Window::W1);
        }
        let crashed = &mut self.processes[process];
        (crashed.is_up, crashed.cached, crashed.renewal, crashed.pause_until) = (false, None, None, 0);
        (crashed.queue, crashed.is_shut_down) = (RenewalQueue::new(Limits::default()), false);
        (crashed.sweep, crashed.asked_to_pause) = (None, 0..0);
        for caller in std::mem::take(&mut crashed.waiting) {
            self.ask_later(process, caller.task);
        }
        let after = 1 + self.random.up_to(120 * SECOND);
        self.schedule(after, Event::Restart { process });
    }

    pub(super) fn restart(&mut self, process: usize) {
        self.processes[process].is_up = true;
        self.start_sweep(process);
        self.log(|_| format!("P{process} starts again"));
    }

    /// Replaces a process by one that is configured so. What it had in memory is lost.
    pub(super) fn deploy(&mut self, process: usize, deployment: Deployment) {
        if self.now < self.faults_end_at && self.processes[process].deployment != deployment {
            self.log(|_| format!("P{process} is deployed: {deployment:?}"));
            self.crash(process);
            self.processes[process].deployment = deployment;
        }
    }

    /// Ends the faults. The clocks stay apart. Each process is asked for a token once everything has had time to recover, and
    /// again a token's life later.
    pub(super) fn end_faults(&mut self) {
        self.log(|_| "from here on nothing fails".to_owned());
        let skew = std::mem::take(&mut self.faults).skew;
        self.faults.skew = skew;
        let tokens = self.stored.as_ref().and_then(|stored| stored.record.tokens.as_ref());
        let life = tokens.map_or(600, |tokens| tokens.expires_in);
        self.schedule(1500 * SECOND, Event::RecheckOtherApps);
        for process in 0..self.processes.len() {
            self.processes[process].offset = self.processes[process].skew;
            if std::mem::replace(&mut self.processes[process].deployment, Deployment::Right)
                != Deployment::Right
            {
                self.start_sweep(process);
            }
            if !self.processes[process].is_up {
                self.schedule(SECOND, Event::Restart { process });
            }
            // The longest back-off, and what a clock that was set could have added to it.
            for after in [1500 + 2400, 1500 + 2400 + life] {
                self.schedule(after * SECOND, Event::Ask { process, task: 99, is_last: true });
            }
        }
    }
}

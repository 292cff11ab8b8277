//! The sweep of a process: it looks after the account even if nobody asks for it.

use std::time::Duration;

use hs_oauth_core::renewal::{AccountState, Demand};
use hs_oauth_core::{StoreError, StoreErrorKind};
use hs_oauth_manager::{Standing, Sweep, SweepPlan, SweepStep};
use hs_oauth_store::{Entry, Page};

use super::super::hubspot::{ACCOUNT, Deployment, at};
use super::events::Event;
use super::{Process, SECOND, START, Simulator, millis};

impl Simulator {
    /// Returns how often a sweep checks the account.
    pub(super) fn sweep_period(&self) -> Duration {
        Duration::from_millis((self.faults_end_at - START) / 4)
    }

    /// Gives a process that starts a plan that knows nothing.
    pub(super) fn start_sweep(&mut self, process: usize) {
        let Some(sweep) = self.sweep else { return };
        let app = self.hubspot.app(self.processes[process].deployment).identity();
        let (replicas, seed) = (std::num::NonZeroU32::new(2).unwrap(), self.random.next_u64());
        let plan = SweepPlan::new(sweep, self.policy, app, false, replicas, 1, seed);
        self.processes[process].sweep = Some(plan);
        self.processes[process].sweeps_started += 1;
        let started = self.processes[process].sweeps_started;
        self.schedule(1, Event::Sweep { process, started });
    }

    /// Does what the plan says, and looks again when it says so.
    pub(super) fn do_sweep(&mut self, process: usize, started: u32) {
        let Process { is_up, is_shut_down, sweeps_started, .. } = self.processes[process];
        let is_working = is_up && !is_shut_down && sweeps_started == started;
        // The last callers come before. A sweep would go on forever.
        let is_over = self.now > self.faults_end_at + 6000 * SECOND;
        let now = at(self.clock(process));
        let Some(plan) = self.processes[process].sweep.as_mut().filter(|_| is_working && !is_over) else {
            return;
        };
        let wait = match plan.next(now) {
            SweepStep::ReadPage(_) => {
                let page = self.page();
                if let Some(plan) = &mut self.processes[process].sweep {
                    plan.page_read(page, now);
                }
                1
            }
            SweepStep::Renew(_) => {
                self.log(|_| format!("P{process} looks after the account"));
                self.begin_renewal(process, Demand::Usable);
                1
            }
            SweepStep::Wait(time) => millis(time),
        };
        self.schedule(wait, Event::Sweep { process, started });
    }

    fn page(&mut self) -> Result<Page, StoreError> {
        if self.occurs(self.faults.store_fails) {
            return Err(StoreError::new(StoreErrorKind::Unavailable));
        }
        let entry = self.stored.clone().map(|stored| Entry { account: ACCOUNT, stored: Ok(stored) });
        Ok(Page { entries: entry.into_iter().collect(), next: None })
    }

    /// Tells the sweep how a run ended that saw the account so.
    pub(super) fn note_standing(&mut self, process: usize, seen: Option<Option<Standing>>, renewed: bool) {
        let now = at(self.clock(process));
        if let Some(plan) = &mut self.processes[process].sweep {
            plan.ended(ACCOUNT, seen, renewed, now);
        }
    }

    /// Checks, long after the last fault, that the account was looked after: the token of one that is kept warm needs no renewal before it can
    /// be handed out, and another account had a fresh token in the last two periods.
    pub(super) fn check_sweep(&mut self, process: usize) {
        let is_right = self.processes.iter().all(|process| process.deployment == Deployment::Right);
        let (Some(sweep), Some(stored)) = (self.sweep, &self.stored) else { return };
        if !is_right || !self.processes[process].is_up {
            return;
        }
        let Standing { state, schedule: Some(schedule), retry_at: None, is_renewable: true, .. } =
            Standing::of(&stored.record, &self.policy)
        else {
            return;
        };
        if state != AccountState::Live {
            return;
        }
        let now = at(self.clock(process));
        if sweep == Sweep::keep_warm() && now >= schedule.usable_until {
            self.rules.violate("the token of an account that is kept warm has expired");
        }
        if sweep != Sweep::keep_warm() && now >= schedule.renew_from.plus(2 * self.sweep_period()) {
            self.rules.violate("nobody looked after an account for two periods");
        }
    }
}

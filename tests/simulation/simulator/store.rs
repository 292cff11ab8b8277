//! The store: it loads the record of the account, and swaps it if the version is still the expected one.

use hs_oauth_core::renewal::{Input, Record, Stored};
use hs_oauth_core::{StoreError, StoreErrorKind};

use super::super::rules::Window;
use super::super::writer::Writer;
use super::events::{Delivery, Event, Swap, SwapResult};
use super::{ActiveRun, RunKind, SECOND, Simulator};

const UNAVAILABLE: StoreError = StoreError::new(StoreErrorKind::Unavailable);

impl Simulator {
    pub(super) fn begin_load(&mut self, run: usize, step: u32) {
        let after = self.store_latency();
        match self.occurs(self.faults.store_fails) {
            true => self.fail(run, step, after),
            false => self.schedule(after, Event::Load { run, step }),
        }
    }

    pub(super) fn load(&mut self, run: usize, step: u32) {
        let stored = self.stored.clone();
        self.deliver(run, step, Delivery::Input(Input::Loaded(stored)));
    }

    pub(super) fn begin_swap(
        &mut self,
        run: usize,
        step: u32,
        clock: u64,
        expected: Option<u64>,
        record: Box<Record>,
    ) {
        let Some(active) = self.runs.get_mut(&run) else { return };
        let is_renewal = matches!(active.kind, RunKind::Renewal(_));
        if is_renewal
            && active.sends == 0
            && let Some(lease) = &record.lease
        {
            (active.holder, active.grant) = (Some(lease.holder), Some(record.grant));
            active.lease_until = lease.until.as_millis();
        }
        let ActiveRun { holder, connected_at, found, deployment, patience, is_mass_refusal, .. } = *active;
        let writer =
            Writer { clock, holder, is_renewal, deployment, patience, is_mass_refusal, connected_at, found };
        let swap = Swap { writer, expected, record };
        let after = self.store_latency();
        let fails =
            self.occurs(self.faults.store_fails) || self.now < self.read_only_until.min(self.faults_end_at);
        if fails {
            return self.fail(run, step, after);
        }
        if self.occurs(self.faults.store_lags) {
            self.fail(run, step, after);
            let later = after + self.random.up_to(120 * SECOND);
            return self.schedule(later, Event::Swap { run, step, swap, result: SwapResult::Late });
        }
        let result = match self.occurs(self.faults.store_loses_results) {
            true => SwapResult::Lost,
            false => SwapResult::Delivered,
        };
        self.schedule(after, Event::Swap { run, step, swap, result });
    }

    pub(super) fn swap_arrives(&mut self, run: usize, step: u32, swap: Swap, result: SwapResult) {
        let input = self.swap(run, swap);
        match result {
            SwapResult::Delivered => self.deliver(run, step, Delivery::Input(input)),
            SwapResult::Lost => self.deliver(run, step, Delivery::Input(Input::StoreFailed(UNAVAILABLE))),
            SwapResult::Late => {}
        }
    }

    fn swap(&mut self, run: usize, Swap { writer, expected, record }: Swap) -> Input {
        if self.stored.as_ref().map(|stored| stored.version) != expected {
            self.log(|_| format!("the write of run {run} is a conflict"));
            return Input::Conflict;
        }
        let record = *record;
        self.log(|this| format!("the write of run {run} is stored: {}", this.describe(&record)));
        if let (true, Some(before)) = (writer.is_renewal, self.stored.clone()) {
            let before = before.record;
            let takes_lease = record.lease.is_some() && record.lease != before.lease;
            if takes_lease {
                let app = self.hubspot.app(writer.deployment).identity();
                self.rules.lease_taken(&writer, &app, &before);
                if before.lease.as_ref().is_some_and(|lease| Some(lease.holder) != writer.holder)
                    && self.has_unstored_tokens()
                {
                    self.rules.window_opened(Window::W3);
                }
            }
            self.rules.renewal_wrote(self.now, &writer, &before, &record);
            if let Some(loaded) = self.runs.get_mut(&run).and_then(|active| active.loaded.as_mut()) {
                loaded.state = record.state;
            }
        } else {
            self.connected_at.entry(record.grant).or_insert(writer.connected_at);
            let before = self.stored.as_ref().map(|stored| &stored.record);
            self.rules.operator_wrote(self.now, &writer, before, &record);
        }
        self.version += 1;
        self.stored = Some(Stored { version: self.version, record });
        Input::Stored(self.version)
    }

    /// Returns whether a process holds the newest refresh token of the account, which the store does not have.
    fn has_unstored_tokens(&self) -> bool {
        let in_runs = self.runs.values().filter_map(|active| active.new_refresh_token.as_ref());
        let unsaved = self.processes.iter().filter_map(|process| process.unsaved.as_ref());
        let unsaved = unsaved.filter_map(|unsaved| unsaved.new_refresh_token.as_ref());
        in_runs.chain(unsaved).any(|token| self.rules.is_only_copy(token))
    }

    /// Makes the store take no writes for up to five minutes.
    pub(super) fn begin_read_only(&mut self) {
        self.read_only_until = self.now + self.random.up_to(300 * SECOND);
        self.log(|this| format!("the store takes no writes until {}", this.read_only_until));
    }

    fn fail(&mut self, run: usize, step: u32, after: u64) {
        let delivery = Delivery::Input(Input::StoreFailed(UNAVAILABLE));
        self.schedule(after, Event::Deliver { run, step, delivery });
    }

    fn store_latency(&mut self) -> u64 {
        match self.occurs(self.faults.store_is_slow) {
            true => self.random.up_to(90 * SECOND),
            false => 1 + self.random.up_to(30),
        }
    }
}

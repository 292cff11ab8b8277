//! The runs of the processes: each asks for a step, the step takes a while, and its result takes a while to reach the run.

use std::time::Duration;

use hs_oauth_core::renewal::{
    CurrentTokens, Deadline, Input, Record, RetryCause, Run as _, Step, TokenError,
};
use hs_oauth_core::{Endpoint as _, TokenSet};
use http::Response;

use hs_oauth_manager::{Purpose, Standing, Wait};

use super::super::hubspot::{ACCOUNT, at};
use super::super::writer::Patience;
use super::events::{Action, Delivery, Event};
use super::{ActiveRun, Loaded, RunKind, SECOND, Simulator, millis};

/// The pause that HubSpot asks for.
const PAUSE: Duration = Duration::from_secs(10);

/// What a run asks for. Of installs and disconnects the result is of no interest here.
#[expect(clippy::large_enum_variant, reason = "one exists at a time")]
enum Next {
    Act(Action),
    Admit(Deadline),
    Sleep(u64),
    Renewed(Result<CurrentTokens, TokenError>),
    Ended,
}

impl Next {
    fn new<T>(step: Step<T>, ended: impl FnOnce(Result<T, TokenError>) -> Self) -> Self {
        match step {
            Step::Load { .. } => Self::Act(Action::Load),
            Step::Swap { expected, record, .. } => Self::Act(Action::Swap(expected, record)),
            Step::Send { refresh, .. } => Self::Act(Action::Send(refresh)),
            Step::Introspect(introspect) => Self::Act(Action::Introspect(introspect)),
            Step::Revoke(revoke) => Self::Act(Action::Revoke(revoke)),
            Step::Admit { deadline } => Self::Admit(deadline),
            Step::Sleep(duration) => Self::Sleep(millis(duration)),
            Step::Done(result) => ended(result),
        }
    }
}

impl Loaded {
    fn new(record: &Record) -> Self {
        let tokens = record.tokens.as_ref();
        Self {
            state: record.state,
            has_client_id: record.client_id.is_some(),
            has_access_token: tokens.is_some_and(TokenSet::has_access_token),
            names_user: tokens.is_some_and(|tokens| tokens.user_id.is_some()),
            retry: record.retry.clone(),
        }
    }
}

/// Returns the pause that a 429 asks for.
fn pause_of(response: &Response<Vec<u8>>) -> Option<u64> {
    let seconds = response.headers().get("retry-after").filter(|_| response.status() == 429)?;
    Some(seconds.to_str().ok()?.parse::<u64>().ok()? * SECOND)
}

impl Simulator {
    /// Adds a run, and returns its number.
    pub(super) fn add_run(&mut self, process: usize, kind: RunKind, connected_at: u64) -> usize {
        self.runs_begun += 1;
        let run = self.runs_begun;
        let active = ActiveRun {
            process,
            deployment: self.processes[process].deployment,
            patience: Patience::Patient,
            kind,
            step: 0,
            sends: 0,
            holder: None,
            grant: None,
            lease_until: 0,
            new_refresh_token: None,
            connected_at,
            found: None,
            loaded: None,
            is_mass_refusal: false,
            is_shutting_down: false,
            is_paused: false,
            has_unsaved: false,
            seen: None,
        };
        self.runs.insert(run, active);
        run
    }

    pub(super) fn start_run(&mut self, run: usize) {
        let Some(mut active) = self.runs.remove(&run) else { return };
        let clock = at(self.clock(active.process));
        let next = match &mut active.kind {
            RunKind::Renewal(renewal) => Next::new(renewal.start(clock), Next::Renewed),
            RunKind::Install(install) => Next::new(install.start(clock), |_| Next::Ended),
            RunKind::Disconnect(_, disconnect) => Next::new(disconnect.start(clock), |_| Next::Ended),
        };
        self.runs.insert(run, active);
        self.do_next(run, next);
    }

    pub(super) fn resume_run(&mut self, run: usize, step: u32, delivery: Delivery) {
        let Some(mut active) = self.runs.remove(&run) else { return };
        if active.step != step {
            self.runs.insert(run, active);
            return;
        }
        active.step += 1;
        self.rules.request_ended(run);
        let clock = at(self.clock(active.process));
        let input = match delivery {
            Delivery::Input(input) => input,
            // As in the worst transport, the life of the token counts from reading the response.
            Delivery::Response(refresh, response) => {
                if let Some(pause) = pause_of(&response) {
                    let from = self.clock(active.process);
                    let asked = &mut self.processes[active.process].asked_to_pause;
                    *asked = from..asked.end.max(from + pause);
                }
                let response = refresh.read_response(&self.hubspot.app, clock, &response);
                let _ = self.processes[active.process].queue.note_response(Some(ACCOUNT), &response, clock);
                active.is_mass_refusal = self.occurs(self.faults.mass_refusal);
                Input::Refreshed { response, is_mass_refusal: active.is_mass_refusal }
            }
        };
        self.log(|this| format!("run {run} receives: {}", this.describe_input(&input)));
        if let Input::Loaded(stored) = &input {
            active.found.get_or_insert(stored.as_ref().map(|stored| stored.record.grant));
            active.seen = Some(stored.as_ref().map(|stored| Standing::of(&stored.record, &self.policy)));
            active.loaded = stored.as_ref().map(|stored| Loaded::new(&stored.record));
        }
        active.is_shutting_down |= matches!(input, Input::ShuttingDown);
        active.is_paused |= matches!(input, Input::Paused { .. });
        let next = match &mut active.kind {
            RunKind::Renewal(renewal) => Next::new(renewal.resume(clock, input), Next::Renewed),
            RunKind::Install(install) => Next::new(install.resume(clock, input), |_| Next::Ended),
            RunKind::Disconnect(_, disconnect) => Next::new(disconnect.resume(clock, input), |_| Next::Ended),
        };
        self.runs.insert(run, active);
        self.do_next(run, next);
    }

    fn do_next(&mut self, run: usize, next: Next) {
        let Some(active) = self.runs.get(&run) else { return };
        let (process, step) = (active.process, active.step);
        match next {
            Next::Renewed(result) => self.end_renewal(run, result),
            Next::Ended => _ = self.runs.remove(&run),
            // A run that has sent nothing is ended by a shutdown instead of sleeping.
            Next::Sleep(_) if self.ends_at_shutdown(run) => {
                self.schedule(
                    0,
                    Event::Deliver { run, step, delivery: Delivery::Input(Input::ShuttingDown) },
                );
            }
            Next::Sleep(milliseconds) => {
                let _ = self.processes[process].queue.give_back(ACCOUNT);
                let late = self.random.up_to(20);
                let delivery = Delivery::Input(Input::Slept);
                self.schedule(milliseconds + late, Event::Deliver { run, step, delivery });
            }
            Next::Admit(deadline) => self.admit(run, process, step, deadline),
            Next::Act(action) => {
                if self.occurs(self.faults.crash) {
                    let after = [0, self.random.up_to(20_000)][self.random.up_to(1) as usize];
                    self.schedule(after, Event::Crash { process });
                    if after == 0 {
                        return;
                    }
                }
                // A process may be paused between its decision and its action.
                match self.pause() {
                    0 => self.perform(run, action, false),
                    pause => self.schedule(pause, Event::Perform { run, step, action }),
                }
            }
        }
    }

    /// Admits the renewal, at once or after a wait; or skips it; or refuses it because of a shutdown or a pause.
    fn admit(&mut self, run: usize, process: usize, step: u32, deadline: Deadline) {
        let waited = self.occurs(self.faults.queue_is_busy);
        let wait = if waited { self.random.up_to(300 * SECOND) } else { 0 };
        let is_usable = matches!(deadline, Deadline::At(moment) if at(self.clock(process)) < moment);
        let (wait, input) = match waited.then(|| self.random.up_to(9)) {
            Some(0) => (wait, Input::ShuttingDown),
            // At once, but a process may be paused before it goes on.
            Some(1..=3) if is_usable => (self.pause(), Input::Skip),
            Some(4) => (self.pause(), Input::Paused { wait: PAUSE, cause: RetryCause::RateLimited }),
            _ => {
                let _ = self.processes[process].queue.join(ACCOUNT, Purpose::Caller, deadline, ());
                return self.schedule(wait, Event::Admit { run, step, waited });
            }
        };
        self.schedule(wait, Event::Deliver { run, step, delivery: Delivery::Input(input) });
    }

    /// Asks the queue of the process whether the run may begin.
    pub(super) fn admit_again(&mut self, run: usize, step: u32, waited: bool) {
        let Some(active) = self.runs.get(&run).filter(|active| active.step == step) else { return };
        let process = active.process;
        let clock = at(self.clock(process));
        let joined = &mut self.processes[process].queue;
        match joined.admit(ACCOUNT, clock, waited) {
            Ok(input) => {
                let _ = joined.leave(ACCOUNT);
                self.schedule(0, Event::Deliver { run, step, delivery: Delivery::Input(input) });
            }
            Err(Wait::For(time)) => {
                let wait = millis(time).clamp(1, 60 * SECOND);
                self.schedule(wait, Event::Admit { run, step, waited: true });
            }
            Err(Wait::UntilWoken) => self.schedule(SECOND, Event::Admit { run, step, waited: true }),
        }
    }

    /// Returns whether the process is being shut down, and the run has sent nothing and has nothing to save.
    fn ends_at_shutdown(&self, run: usize) -> bool {
        let Some(active) = self.runs.get(&run) else { return false };
        let is_renewal = matches!(active.kind, RunKind::Renewal(_));
        self.processes[active.process].is_shut_down && is_renewal && active.sends == 0 && !active.has_unsaved
    }

    pub(super) fn perform(&mut self, run: usize, action: Action, was_paused: bool) {
        let Some(active) = self.runs.get(&run) else { return };
        let (process, step) = (active.process, active.step);
        let clock = self.clock(process);
        self.log(|this| format!("P{process} run {run}: {}", this.describe_action(&action)));
        match action {
            Action::Load => self.begin_load(run, step),
            Action::Swap(expected, record) => self.begin_swap(run, step, clock, expected, record),
            Action::Send(_) if self.occurs(self.faults.queue_is_busy) && self.random.up_to(3) == 0 => {
                self.deliver(
                    run,
                    step,
                    Delivery::Input(Input::Paused { wait: PAUSE, cause: RetryCause::RateLimited }),
                );
            }
            Action::Send(refresh) => {
                if let Some(input) = self.processes[process].queue.before_send(ACCOUNT, at(clock)) {
                    return self.deliver(run, step, Delivery::Input(input));
                }
                self.begin_send(run, step, clock, refresh, was_paused);
            }
            Action::Introspect(introspect) => {
                let after = self.latency();
                self.schedule(after, Event::Introspect { run, step, introspect });
            }
            Action::Revoke(revoke) => {
                let after = self.latency();
                self.schedule(after, Event::Revoke { run, step, revoke });
            }
        }
    }

    /// Schedules that `delivery` reaches the run, after the network's latency and a pause of the process.
    pub(super) fn deliver(&mut self, run: usize, step: u32, delivery: Delivery) {
        let after = self.latency() / 4 + self.pause();
        self.schedule(after, Event::Deliver { run, step, delivery });
    }
}

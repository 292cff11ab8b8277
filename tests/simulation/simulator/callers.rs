//! The callers of a process: they ask for a token, and wait for a renewal if the process has none to hand out.

use hs_oauth_core::TokenSet;
use hs_oauth_core::renewal::{CurrentTokens, Decision, Demand, GrantState, TokenError};

use hs_oauth_manager::Standing;

use super::super::hubspot::{ACCOUNT, Deployment, at};
use super::super::writer::Patience;
use super::events::Event;
use super::{ActiveRun, Caller, RunKind, SECOND, Simulator, Unsaved, millis};

impl Simulator {
    pub(super) fn ask(&mut self, process: usize, task: usize, is_last: bool) {
        let clock = self.clock(process);
        if is_last {
            self.check_sweep(process);
        }
        if !self.processes[process].is_up || self.processes[process].is_shut_down {
            return self.ask_later(process, task);
        }
        let cached = self.processes[process].cached.clone();
        if let Some(tokens) = &cached
            && self.policy.decide(at(clock), tokens) != Decision::RenewNow
        {
            self.hand_out(process, tokens);
            if !is_last && self.occurs(self.faults.rejected) {
                return self.wait(process, Caller { task, rejected: cached, since: self.now, is_last });
            }
            let soon = self.policy.decide(at(clock), tokens) == Decision::RenewSoon;
            if soon
                && self.processes[process].renewal.is_none()
                && clock >= self.processes[process].pause_until
            {
                self.begin_renewal(process, Demand::Usable);
            }
            return self.ask_later(process, task);
        }
        self.wait(process, Caller { task, rejected: None, since: self.now, is_last });
    }

    fn wait(&mut self, process: usize, caller: Caller) {
        if self.occurs(self.faults.caller_leaves) {
            let after = self.random.up_to(10 * SECOND);
            self.schedule(after, Event::Leave { process, task: caller.task });
        }
        let demand = match &caller.rejected {
            None => Demand::Usable,
            Some(tokens) => Demand::OtherThan(tokens.access_token.clone()),
        };
        self.processes[process].waiting.push(caller);
        if self.processes[process].renewal.is_none() {
            self.begin_renewal(process, demand);
        }
    }

    pub(super) fn leave(&mut self, process: usize, task: usize) {
        let waiting = &mut self.processes[process].waiting;
        if let Some(at) = waiting.iter().position(|caller| caller.task == task && !caller.is_last) {
            waiting.remove(at);
            self.ask_later(process, task);
        }
    }

    pub(super) fn ask_later(&mut self, process: usize, task: usize) {
        if self.now >= self.faults_end_at {
            return;
        }
        let longest = match self.random.up_to(9) {
            0..=4 => 2 * SECOND,
            5..=7 => 60 * SECOND,
            _ => 600 * SECOND,
        };
        let after = 1 + self.random.up_to(longest);
        self.schedule(after, Event::Ask { process, task, is_last: false });
    }

    fn hand_out(&mut self, process: usize, tokens: &TokenSet) {
        self.log(|this| format!("P{process} hands out {}", this.name(tokens.access_token.expose())));
        let expires_at = self.hubspot.expiry_of(tokens);
        self.rules.handed_out(self.now, tokens, expires_at);
    }

    pub(super) fn begin_renewal(&mut self, process: usize, demand: Demand) {
        let is_idle = self.processes[process].is_shut_down && self.processes[process].unsaved.is_none();
        if self.processes[process].renewal.is_some() || is_idle {
            return;
        }
        if demand == Demand::NewerDespiteRetryAfter {
            self.processes[process].queue.ignore_pauses(ACCOUNT);
        }
        let (mut tokens, mut new_refresh_token, mut holder, mut grant) = (None, None, None, None);
        if let Some(unsaved) = self.processes[process].unsaved.take() {
            tokens = Some(unsaved.tokens);
            (new_refresh_token, holder, grant) = (unsaved.new_refresh_token, unsaved.holder, unsaved.grant);
        }
        let patience = match demand {
            Demand::NewerDespiteRetryAfter => Patience::Impatient,
            Demand::Newer | Demand::Recheck => Patience::Obedient,
            Demand::Usable | Demand::OtherThan(_) => Patience::Patient,
        };
        let app = self.hubspot.app(self.processes[process].deployment).identity();
        let has_unsaved = tokens.is_some();
        let renewal = (self.begin.renewal)(self.policy, app, self.fork_random(), demand, tokens);
        let run = self.add_run(process, RunKind::Renewal(renewal), 0);
        if let Some(active) = self.runs.get_mut(&run) {
            (active.new_refresh_token, active.holder, active.grant) = (new_refresh_token, holder, grant);
            active.patience = patience;
            active.has_unsaved = has_unsaved;
        }
        self.processes[process].renewal = Some(run);
        self.log(|_| format!("P{process} begins run {run}"));
        self.start_run(run);
    }

    /// Gives the result of a renewal to every caller that waits for it, and renews again for those whose rejected token it is.
    pub(super) fn end_renewal(&mut self, run: usize, result: Result<CurrentTokens, TokenError>) {
        let Some(active) = self.runs.remove(&run) else { return };
        self.check_result(&active, &result);
        let ActiveRun { process, new_refresh_token, holder, grant, is_shutting_down, seen, .. } = active;
        let RunKind::Renewal(renewal) = active.kind else { return };
        let clock = self.clock(process);
        self.log(|this| format!("P{process} ends run {run}: {}", this.describe_result(&result)));
        if matches!(result, Err(TokenError::ShutDown)) && !is_shutting_down {
            self.rules.violate("a run ended with a shutdown though nothing is shut down");
        }
        self.processes[process].renewal = None;
        let _ = self.processes[process].queue.end(ACCOUNT);
        let renewed = result.as_ref().ok().filter(|current| current.renewed);
        let new = renewed.map(|current| Some(Standing::of_tokens(&current.tokens, &self.policy)));
        self.note_standing(process, new.or(seen), renewed.is_some());
        self.processes[process].unsaved =
            renewal.into_unsaved_tokens().map(|tokens| Unsaved { tokens, new_refresh_token, holder, grant });
        if self.processes[process].unsaved.is_some() {
            let after = SECOND + self.random.up_to(30 * SECOND);
            self.schedule(after, Event::SaveAgain { process });
        }
        let tokens = self.cache_result(process, clock, &result);
        let mut demand = None;
        for caller in std::mem::take(&mut self.processes[process].waiting) {
            let is_rejected = |tokens: &TokenSet| {
                caller.rejected.as_ref().is_some_and(|rejected| rejected.access_token == tokens.access_token)
            };
            match &tokens {
                Some(tokens) if is_rejected(tokens) && result.is_ok() => {
                    demand = Some(Demand::OtherThan(tokens.access_token.clone()));
                    self.processes[process].waiting.push(caller);
                    continue;
                }
                Some(tokens) if !is_rejected(tokens) => self.hand_out(process, tokens),
                _ if caller.is_last => self.check_last_result(&result),
                _ => {}
            }
            self.check_wait(&caller);
            self.ask_later(process, caller.task);
        }
        if let Some(demand) = demand {
            self.begin_renewal(process, demand);
        }
    }

    /// Checks that the run did not hand out what its record forbids, and did not wait for a back-off that does not apply to it.
    fn check_result(&mut self, active: &ActiveRun, result: &Result<CurrentTokens, TokenError>) {
        let Some(loaded) = &active.loaded else { return };
        match result {
            Ok(_) if active.deployment == Deployment::OtherApp && loaded.has_client_id => {
                self.rules.violate("rule 8: a process with another app handed out a token");
            }
            Ok(current) if loaded.state != GrantState::Live && !current.renewed => {
                self.rules.violate("rule 4: a token of a grant that is not live was handed out");
            }
            Err(TokenError::BackingOff { wait, .. }) if !wait.is_zero() && !active.is_paused => {
                self.rules.backed_off(active.deployment, active.patience, loaded.retry.as_ref());
            }
            _ => {}
        }
    }

    /// Updates the cache of the process. Returns the tokens that its callers may have.
    fn cache_result(
        &mut self,
        process: usize,
        clock: u64,
        result: &Result<CurrentTokens, TokenError>,
    ) -> Option<TokenSet> {
        let process = &mut self.processes[process];
        match result {
            Ok(current) => {
                if !current.renewed {
                    process.pause_until = clock + 3 * SECOND;
                }
                process.cached = Some(current.tokens.clone());
                Some(current.tokens.clone())
            }
            Err(TokenError::Gone { .. } | TokenError::NotInstalled) => {
                process.cached = None;
                None
            }
            Err(_) => {
                process.pause_until = clock + 3 * SECOND;
                let cached = process.cached.clone();
                cached.filter(|tokens| self.policy.decide(at(clock), tokens) != Decision::RenewNow)
            }
        }
    }

    /// Checks that no caller waits longer, after the faults have ended, than for two dead holders and a request.
    fn check_wait(&mut self, caller: &Caller) {
        let bound = millis(
            (self.timing.lease + self.timing.clock_margin) * 2 + self.timing.request + self.timing.save,
        ) + 30 * SECOND;
        let since = caller.since.max(self.faults_end_at + 300 * SECOND);
        if self.now > since + bound {
            self.rules.violate(format!("a caller waited {} ms", self.now - since));
        }
    }
}

//! What operators and the customer do to the account, and whether it is good at the end.

use hs_oauth_core::TokenSet;
use hs_oauth_core::renewal::{CurrentTokens, Demand, GrantState, Install, Stored, TokenError};
use hs_oauth_emulator::Rotation;

use super::super::hubspot::{Deployment, HUB};
use super::super::renewal_run::Ending;
use super::super::rules::refresh_token;
use super::events::Event;
use super::{Process, RunKind, Simulator};

impl Simulator {
    pub(super) fn operate(&mut self, choice: u64) {
        let is_able = |process: &Process| {
            process.is_up && (matches!(choice, 1 | 5) || process.deployment == Deployment::Right)
        };
        let Some(process) = self.processes.iter().position(is_able) else { return };
        let app = self.hubspot.app(self.processes[process].deployment).identity();
        match choice {
            0 => {
                self.log(|_| "the customer uninstalls".to_owned());
                self.hubspot.emulator.uninstall(HUB);
                self.uninstalled_at = Some(self.now);
            }
            1 | 5 => {
                let ending = if choice == 1 { Ending::Disconnect } else { Ending::Forget };
                let run = self.add_ending(process, ending);
                self.start_run(run);
            }
            6 => {
                let is_installed = |stored: &&Stored| stored.record.state == GrantState::Live;
                let Some(grant) = self.stored.as_ref().filter(is_installed).map(|stored| stored.record.grant)
                else {
                    return;
                };
                let run = self.add_ending(process, Ending::Uninstall(grant));
                let after = self.latency() + self.pause();
                self.schedule(after, Event::Uninstall { run });
            }
            _ => {
                let stored = self.stored.as_ref().and_then(|stored| stored.record.tokens.clone());
                // Also the same tokens again, as in an import that is run twice.
                let (tokens, connected_at) = match stored {
                    Some(tokens)
                        if choice == 3 && self.hubspot.emulator.settings().rotation == Rotation::Keep =>
                    {
                        let grant = self.stored.as_ref().map(|stored| stored.record.grant);
                        let connected_at = grant.and_then(|grant| self.connected_at.get(&grant).copied());
                        (tokens, connected_at.unwrap_or(0))
                    }
                    _ => (self.hubspot.connect(self.now), self.now),
                };
                // Another program kept only the refresh token.
                let tokens = match choice == 4 {
                    true => TokenSet::from_refresh_token(tokens.refresh_token.unwrap()),
                    false => tokens,
                };
                let random = self.fork_random();
                let run =
                    self.add_run(process, RunKind::Install(Install::new(app, random, tokens)), connected_at);
                self.log(|_| format!("P{process} installs in run {run}"));
                self.start_run(run);
            }
        }
    }

    /// Adds a run that ends the use of the account. It has not begun.
    fn add_ending(&mut self, process: usize, ending: Ending) -> usize {
        let app = self.hubspot.app(self.processes[process].deployment).identity();
        let disconnect = (self.begin.disconnect)(app, self.fork_random(), ending);
        let run = self.add_run(process, RunKind::Disconnect(ending, disconnect), 0);
        self.log(|_| format!("P{process} ends it in run {run}: {ending:?}"));
        if let (Ending::Uninstall(grant), Some(active)) = (ending, self.runs.get_mut(&run)) {
            active.found = Some(Some(grant));
        }
        run
    }

    /// HubSpot takes the app out of the account, unless the process that called it has crashed before.
    pub(super) fn uninstall_arrives(&mut self, run: usize) {
        let Some(active) = self.runs.get(&run) else { return };
        let process = active.process;
        self.log(|_| format!("HubSpot uninstalls the app for run {run}"));
        self.hubspot.emulator.uninstall(HUB);
        self.uninstalled_at = Some(self.now);
        if self.occurs(self.faults.crash) {
            return self.crash(process);
        }
        let after = self.latency() + self.pause();
        self.schedule(after, Event::Start { run });
    }

    /// An operator asks for a renewal, unless one is in progress.
    pub(super) fn force_renewal(&mut self, process: usize, demand: Demand) {
        if self.processes[process].is_up {
            self.log(|_| format!("an operator asks P{process} for a renewal: {demand:?}"));
            self.begin_renewal(process, demand);
        }
    }

    /// Has a grant tried once more that HubSpot refused to another app.
    pub(super) fn recheck_other_apps(&mut self, process: usize) {
        let token = self.stored.as_ref().filter(|stored| stored.record.state == GrantState::Gone);
        let token = token.and_then(|stored| stored.record.tokens.as_ref()).and_then(refresh_token);
        if token.is_some_and(|token| self.rules.was_refused_to_other_app(&token)) {
            self.force_renewal(process, Demand::Recheck);
        }
    }

    /// Checks what the last callers got: if nobody has ended the grant, they must have a token.
    pub(super) fn check_last_result(&mut self, result: &Result<CurrentTokens, TokenError>) {
        let Some(stored) = self.stored.clone() else { return };
        let connected_at = self.connected_at.get(&stored.record.grant).copied();
        let is_uninstalled = (self.uninstalled_at)
            .is_some_and(|uninstalled_at| connected_at.is_none_or(|at| at <= uninstalled_at));
        let token = stored.record.tokens.as_ref().and_then(refresh_token);
        let is_revoked = token.is_some_and(|token| self.revoked.contains(&token));
        let is_disconnected = stored.record.state == GrantState::Disconnected;
        match result {
            _ if is_disconnected || is_uninstalled || is_revoked || self.lost_in.is_some() => {}
            Err(TokenError::Gone { unsettled, .. }) => self.lost_in = self.rules.account_lost(*unsettled),
            Err(error) => {
                self.rules.violate(format!("long after the last fault there is no token but {error:?}"))
            }
            Ok(_) => {}
        }
    }
}

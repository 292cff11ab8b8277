//! The setting of one scenario: an account, a store and HubSpot. The test decides when each run takes its next step, and what its
//! result is.

use std::time::Duration;

use hs_oauth_core::renewal::{
    CurrentTokens, Demand, Disconnect, GrantId, Input, Install, Record, Renewal, RenewalPolicy, Run, Step,
    Stored, Timing, TokenError, UnsavedInstall, UnsavedTokens,
};
use hs_oauth_core::{
    AppIdentity, Endpoint, Error, Random, Refresh, RefreshToken, StoreError, StoreErrorKind, TokenSet,
    TransportError, TransportErrorKind,
};
use hs_oauth_emulator::Rotation;
use hs_oauth_store::{MemoryStore, Swapped, TokenStore};

use super::hubspot::{ACCOUNT, Deployment, HubSpot, at};

pub(super) struct Scenario {
    /// The true time, in milliseconds.
    pub(super) now: u64,
    pub(super) hubspot: HubSpot,
    pub(super) store: MemoryStore,
    pub(super) policy: RenewalPolicy,
    /// What the processes are configured with whose runs begin or send from now on.
    pub(super) deployment: Deployment,
    /// Token requests that HubSpot has handled.
    pub(super) requests: usize,
    runs: u8,
}

/// A run, and the step that it asks for.
pub(super) struct StepwiseRun<R: Run> {
    run: R,
    pub(super) step: Step<R::Output>,
    /// Its clock less the true time, in milliseconds.
    pub(super) clock: i64,
}

impl Scenario {
    /// One account, just installed.
    pub(super) fn new(rotation: Rotation) -> Self {
        let mut hubspot = HubSpot::new(rotation, 1800);
        let now = 1_000_000_000;
        let tokens = hubspot.connect(now);
        let (store, policy) = (MemoryStore::new(), RenewalPolicy::new());
        let deployment = Deployment::Right;
        let mut scenario = Self { now, hubspot, store, policy, deployment, requests: 0, runs: 0 };
        scenario.install(tokens).unwrap();
        scenario
    }

    pub(super) fn timing(&self) -> Timing {
        self.policy.timing(&self.tokens())
    }

    pub(super) fn advance(&mut self, duration: Duration) {
        self.now += u64::try_from(duration.as_millis()).unwrap();
    }

    /// Advances the time until every lease given so far is over, by every clock.
    pub(super) fn advance_past_the_lease(&mut self) {
        let timing = self.timing();
        self.advance(timing.lease + timing.clock_margin + Duration::from_secs(1));
    }

    pub(super) fn stored(&self) -> Stored {
        self.store.load(ACCOUNT).unwrap().unwrap()
    }

    pub(super) fn record(&self) -> Record {
        self.stored().record
    }

    pub(super) fn tokens(&self) -> TokenSet {
        self.record().tokens.unwrap()
    }

    fn app(&self) -> AppIdentity {
        self.hubspot.app(self.deployment).identity()
    }

    /// Changes the stored record, as another version of the library or another process may.
    pub(super) fn rewrite(&mut self, change: impl FnOnce(&mut Record)) {
        let Stored { version, mut record } = self.stored();
        change(&mut record);
        assert!(matches!(self.store.swap(ACCOUNT, Some(version), &record), Ok(Swapped::Stored(_))));
    }

    /// Begins a renewal and steps it to its end.
    pub(super) fn renew(&mut self, demand: Demand) -> Result<CurrentTokens, TokenError> {
        let mut run = self.begin_renewal_for(demand, 0);
        self.finish(&mut run)
    }

    /// Advances the time until the token is renewed while it is handed out.
    pub(super) fn advance_until_soon(&mut self) {
        self.now = self.policy.schedule(&self.tokens()).renew_from.as_millis();
    }

    /// Advances the time until the token can no longer be handed out.
    pub(super) fn advance_until_expired(&mut self) {
        self.now = self.policy.schedule(&self.tokens()).usable_until.as_millis();
    }

    fn random(&mut self) -> Random {
        self.runs += 1;
        Random::new([self.runs; 32])
    }

    /// Begins a renewal, however fresh the tokens are.
    pub(super) fn begin_renewal(&mut self) -> StepwiseRun<Renewal> {
        self.begin_renewal_for(Demand::Newer, 0)
    }

    pub(super) fn begin_renewal_for(&mut self, demand: Demand, clock: i64) -> StepwiseRun<Renewal> {
        let run = Renewal::new(self.policy, self.app(), ACCOUNT, self.random(), demand);
        self.begin(run, clock)
    }

    pub(super) fn begin_renewal_with(&mut self, unsaved: UnsavedTokens) -> StepwiseRun<Renewal> {
        let run = Renewal::new(self.policy, self.app(), ACCOUNT, self.random(), Demand::Usable)
            .with_unsaved(unsaved);
        self.begin(run, 0)
    }

    pub(super) fn begin_install(&mut self, tokens: TokenSet) -> StepwiseRun<Install> {
        let run = Install::new(self.app(), self.random(), tokens);
        self.begin(run, 0)
    }

    pub(super) fn begin_install_again(&mut self, unsaved: UnsavedInstall) -> StepwiseRun<Install> {
        let run = Install::again(self.app(), self.random(), unsaved);
        self.begin(run, 0)
    }

    pub(super) fn begin_disconnect(&mut self) -> StepwiseRun<Disconnect> {
        let run = Disconnect::new(self.app(), self.random());
        self.begin(run, 0)
    }

    pub(super) fn begin_forget(&mut self) -> StepwiseRun<Disconnect> {
        let run = Disconnect::new(self.app(), self.random()).without_revocation();
        self.begin(run, 0)
    }

    /// Begins to note that the app was uninstalled, by a call before which this grant was stored.
    pub(super) fn begin_to_note_uninstall(&mut self, grant: GrantId) -> StepwiseRun<Disconnect> {
        let run = Disconnect::new(self.app(), self.random()).after_uninstall().with_grant(grant);
        self.begin(run, 0)
    }

    fn begin<R: Run>(&self, mut run: R, clock: i64) -> StepwiseRun<R> {
        let step = run.start(at(self.now.saturating_add_signed(clock)));
        StepwiseRun { run, step, clock }
    }

    pub(super) fn install(&mut self, tokens: TokenSet) -> Result<CurrentTokens, TokenError> {
        let mut install = self.begin_install(tokens);
        self.finish(&mut install)
    }

    /// Resumes a run with `input`. If it then asks for an admission, it gets one at once.
    pub(super) fn resume<R: Run>(&self, run: &mut StepwiseRun<R>, input: Input) {
        self.resume_unadmitted(run, input);
        if matches!(run.step, Step::Admit { .. }) {
            self.resume_unadmitted(run, Input::Admit { waited: false });
        }
    }

    /// Resumes a run with `input`. If it then asks for an admission, the test decides what it gets.
    pub(super) fn resume_unadmitted<R: Run>(&self, run: &mut StepwiseRun<R>, input: Input) {
        let now = at(self.now.saturating_add_signed(run.clock));
        run.step = run.run.resume(now, input);
    }

    /// Performs the step that a run asks for, without a delay or a fault. Returns the result, which the run does not have yet.
    pub(super) fn perform<R: Run>(&mut self, run: &StepwiseRun<R>) -> Input {
        match &run.step {
            Step::Load { .. } => Input::Loaded(self.store.load(ACCOUNT).unwrap()),
            Step::Swap { expected, record, .. } => match self.store.swap(ACCOUNT, *expected, record).unwrap()
            {
                Swapped::Stored(version) => Input::Stored(version),
                Swapped::Conflict => Input::Conflict,
            },
            Step::Send { refresh, .. } => refreshed(self.handle(refresh)),
            Step::Introspect(introspect) => Input::Introspected(self.hubspot.call(self.now, introspect)),
            Step::Revoke(revoke) => Input::Revoked(self.hubspot.call(self.now, revoke)),
            Step::Sleep(duration) => {
                self.advance(*duration);
                Input::Slept
            }
            Step::Admit { .. } => panic!("the run was admitted before"),
            Step::Done(_) => panic!("the run has ended"),
        }
    }

    /// Has HubSpot handle a token request.
    pub(super) fn handle(&mut self, refresh: &Refresh) -> Result<TokenSet, Error> {
        self.requests += 1;
        let response = self.hubspot.handle_from(self.deployment, self.now, refresh);
        refresh.read_response(&self.hubspot.app, at(self.now), &response)
    }

    /// Returns what a run receives for this response, which the emulator did not make.
    pub(super) fn response(&self, refresh: &Refresh, status: u16, body: &str) -> Input {
        refreshed(self.read(refresh, status, body))
    }

    /// Reads this response, which the emulator did not make.
    pub(super) fn read<E: Endpoint>(
        &self,
        endpoint: &E,
        status: u16,
        body: &str,
    ) -> Result<E::Output, Error> {
        let response = http::Response::builder().status(status).body(body.as_bytes().to_vec()).unwrap();
        endpoint.read_response(&self.hubspot.app, at(self.now), &response)
    }

    /// Returns what a run receives for a response with `Retry-After` and no body.
    pub(super) fn response_with_retry_after(
        &self,
        refresh: &Refresh,
        status: u16,
        retry_after: &str,
    ) -> Input {
        let response = http::Response::builder().status(status).header("retry-after", retry_after);
        let response = response.body(Vec::new()).unwrap();
        refreshed(refresh.read_response(&self.hubspot.app, at(self.now), &response))
    }

    /// Performs the step that a run asks for, and resumes the run with the result.
    pub(super) fn step<R: Run>(&mut self, run: &mut StepwiseRun<R>) {
        let input = self.perform(run);
        self.resume(run, input);
    }

    /// Steps a renewal until it asks to send. Returns what it asks to send.
    pub(super) fn step_until_send(&mut self, run: &mut StepwiseRun<Renewal>) -> Refresh {
        loop {
            match &run.step {
                Step::Send { refresh, .. } => return refresh.clone(),
                Step::Done(result) => panic!("ended without sending: {result:?}"),
                _ => self.step(run),
            }
        }
    }

    /// Begins a renewal that asks to send. If it is dropped, it leaves its lease behind.
    pub(super) fn begin_renewal_and_send(&mut self) -> StepwiseRun<Renewal> {
        let mut run = self.begin_renewal();
        self.step_until_send(&mut run);
        run
    }

    /// Has a renewal fail, so that everyone backs off. HubSpot asks for a wait if `retry_after` says so.
    pub(super) fn fail(&mut self, status: u16, retry_after: Option<&str>) {
        let mut run = self.begin_renewal();
        let request = self.step_until_send(&mut run);
        let response = match retry_after {
            Some(retry_after) => self.response_with_retry_after(&request, status, retry_after),
            None => self.response(&request, status, ""),
        };
        self.resume(&mut run, response);
        self.finish(&mut run).unwrap_err();
    }

    /// Steps a run until it asks to swap. Returns the record that it asks to swap in.
    pub(super) fn step_until_swap<R: Run>(&mut self, run: &mut StepwiseRun<R>) -> Record {
        loop {
            match &run.step {
                Step::Swap { record, .. } => return (**record).clone(),
                Step::Done(_) => panic!("ended without a swap"),
                _ => self.step(run),
            }
        }
    }

    /// Steps a disconnect until it asks to revoke.
    pub(super) fn step_until_revoke(&mut self, run: &mut StepwiseRun<Disconnect>) {
        while !matches!(run.step, Step::Revoke(_)) {
            self.step(run);
        }
    }

    /// Steps a run to its end.
    pub(super) fn finish<R: Run>(&mut self, run: &mut StepwiseRun<R>) -> Result<R::Output, TokenError> {
        for _ in 0..1000 {
            match std::mem::replace(&mut run.step, Step::Sleep(Duration::ZERO)) {
                Step::Done(result) => return result,
                step => run.step = step,
            }
            self.step(run);
        }
        panic!("the run does not end");
    }
}

impl StepwiseRun<Renewal> {
    pub(super) fn into_unsaved(self) -> Option<UnsavedTokens> {
        self.run.into_unsaved()
    }
}

impl StepwiseRun<Install> {
    pub(super) fn unsaved(&self) -> UnsavedInstall {
        self.run.unsaved().clone()
    }
}

/// The result of a request, of which no other account's response says that it is part of a mass refusal.
pub(super) fn refreshed(response: Result<TokenSet, Error>) -> Input {
    Input::Refreshed { response, is_mass_refusal: false }
}

/// The same response while HubSpot refuses many other accounts.
pub(super) fn during_a_mass_refusal(input: Input) -> Input {
    match input {
        Input::Refreshed { response, .. } => Input::Refreshed { response, is_mass_refusal: true },
        other => other,
    }
}

/// The result of a request that had no response in time.
pub(super) fn timeout() -> Input {
    refreshed(Err(TransportError::new(TransportErrorKind::Timeout).into()))
}

/// The result of a call to a store that cannot be reached.
pub(super) fn store_unavailable() -> Input {
    Input::StoreFailed(StoreError::new(StoreErrorKind::Unavailable))
}

pub(super) fn refresh_token(tokens: &TokenSet) -> &RefreshToken {
    tokens.refresh_token.as_ref().unwrap()
}

/// Returns the new tokens of a run, which must have renewed them itself.
pub(super) fn renewed(result: Result<CurrentTokens, TokenError>) -> TokenSet {
    let current = result.unwrap();
    assert!(current.renewed, "found, not renewed");
    current.tokens
}

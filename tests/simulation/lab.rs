//! A bench for single scenarios: runs of named processes go step by step, as far as the test says.

use std::time::Duration;

use hs_oauth_core::renewal::{
    CurrentTokens, Demand, Disconnect, Input, Install, Record, Renewal, RenewalPolicy, Run, Step, Stored,
    Timing, TokenError, UnsavedTokens,
};
use hs_oauth_core::{
    Account, Endpoint, Error, Random, Refresh, RefreshToken, StoreError, StoreErrorKind, TokenSet,
};
use hs_oauth_emulator::Rotation;
use hs_oauth_store::{MemoryStore, Swapped, TokenStore};

use super::hubspot::{HUB, HubSpot, at};

pub(super) const ACCOUNT: Account = Account::hub(HUB);

pub(super) struct Lab {
    pub(super) now: u64,
    pub(super) hubspot: HubSpot,
    pub(super) store: MemoryStore,
    pub(super) policy: RenewalPolicy,
    /// Token requests that HubSpot has handled.
    pub(super) requests: usize,
    runs: u8,
}

/// A run, and the step it wants done.
pub(super) struct Actor<R: Run> {
    run: R,
    pub(super) step: Step<R::Output>,
    /// What its clock shows more than the true time.
    pub(super) clock: i64,
}

impl Lab {
    /// One account, just installed; nothing else has happened.
    pub(super) fn new(rotation: Rotation) -> Self {
        let mut hubspot = HubSpot::new(rotation, 1800);
        let now = 1_000_000_000;
        let tokens = hubspot.connect(now);
        let (store, policy) = (MemoryStore::new(), RenewalPolicy::new());
        let mut lab = Self { now, hubspot, store, policy, requests: 0, runs: 0 };
        lab.install(tokens).unwrap();
        lab
    }

    pub(super) fn timing(&self) -> Timing {
        self.policy.timing(&self.tokens())
    }

    pub(super) fn pass(&mut self, duration: Duration) {
        self.now += u64::try_from(duration.as_millis()).unwrap();
    }

    /// Past the life of every lease given so far, by every clock.
    pub(super) fn outlive_the_lease(&mut self) {
        let timing = self.timing();
        self.pass(timing.lease + timing.clock_margin + Duration::from_secs(1));
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

    pub(super) fn random(&mut self) -> Random {
        self.runs += 1;
        Random::new([self.runs; 32])
    }

    /// A process begins to renew, whatever the age of the tokens.
    pub(super) fn renewal(&mut self) -> Actor<Renewal> {
        self.renewal_for(Demand::Newer, 0)
    }

    pub(super) fn renewal_for(&mut self, demand: Demand, clock: i64) -> Actor<Renewal> {
        let run = Renewal::new(self.policy, self.random(), demand);
        self.begin(run, clock)
    }

    pub(super) fn renewal_with(&mut self, unsaved: UnsavedTokens) -> Actor<Renewal> {
        let run = Renewal::new(self.policy, self.random(), Demand::Usable).with_unsaved(unsaved);
        self.begin(run, 0)
    }

    pub(super) fn install(&mut self, tokens: TokenSet) -> Result<CurrentTokens, TokenError> {
        let mut install = self.installing(tokens);
        self.finish(&mut install)
    }

    pub(super) fn installing(&mut self, tokens: TokenSet) -> Actor<Install> {
        let run = Install::new(self.random(), tokens);
        self.begin(run, 0)
    }

    pub(super) fn disconnecting(&mut self) -> Actor<Disconnect> {
        let run = Disconnect::new(self.random());
        self.begin(run, 0)
    }

    fn begin<R: Run>(&self, mut run: R, clock: i64) -> Actor<R> {
        let step = run.start(at(self.now.saturating_add_signed(clock)));
        Actor { run, step, clock }
    }

    /// The run hears `input`.
    pub(super) fn tell<R: Run>(&self, actor: &mut Actor<R>, input: Input) {
        self.hand_in(actor, input);
        if matches!(actor.step, Step::Admit { .. }) {
            self.hand_in(actor, Input::Admit { waited: false });
        }
    }

    /// The same where the rate of renewals is limited: what comes of the admission is for the test to say.
    pub(super) fn hand_in<R: Run>(&self, actor: &mut Actor<R>, input: Input) {
        let now = at(self.now.saturating_add_signed(actor.clock));
        actor.step = actor.run.resume(now, input);
    }

    /// What comes of the step that the run wants done, if the world does it at once.
    pub(super) fn act<R: Run>(&mut self, actor: &Actor<R>) -> Input {
        match &actor.step {
            Step::Load { .. } => Input::Loaded(self.store.load(ACCOUNT).unwrap()),
            Step::Swap { expected, record, .. } => match self.store.swap(ACCOUNT, *expected, record).unwrap()
            {
                Swapped::Stored(version) => Input::Stored(version),
                Swapped::Conflict => Input::Conflict,
            },
            Step::Send { refresh, .. } => Input::Refreshed(self.handle(refresh)),
            Step::Revoke(revoke) => Input::Revoked(self.hubspot.call(self.now, revoke)),
            Step::Sleep(duration) => {
                self.pass(*duration);
                Input::Slept
            }
            Step::Admit { .. } => panic!("it has had its turn"),
            Step::Done(_) => panic!("the run has ended"),
        }
    }

    /// HubSpot handles a token request now.
    pub(super) fn handle(&mut self, refresh: &Refresh) -> Result<TokenSet, Error> {
        self.requests += 1;
        self.hubspot.call(self.now, refresh)
    }

    /// An answer of HubSpot's that is not one of the emulator's.
    pub(super) fn answer(&self, refresh: &Refresh, status: u16, body: &str) -> Input {
        let response = http::Response::builder().status(status).body(body.as_bytes().to_vec()).unwrap();
        Input::Refreshed(refresh.read_response(&self.hubspot.app, at(self.now), &response))
    }

    pub(super) fn step<R: Run>(&mut self, actor: &mut Actor<R>) {
        let input = self.act(actor);
        self.tell(actor, input);
    }

    /// Goes on until the run wants to send, and gives what it wants to send.
    pub(super) fn until_send(&mut self, actor: &mut Actor<Renewal>) -> Refresh {
        loop {
            match &actor.step {
                Step::Send { refresh, .. } => return refresh.clone(),
                Step::Done(result) => panic!("ended without sending: {result:?}"),
                _ => self.step(actor),
            }
        }
    }

    pub(super) fn until_swap<R: Run>(&mut self, actor: &mut Actor<R>) -> Record {
        loop {
            match &actor.step {
                Step::Swap { record, .. } => return (**record).clone(),
                Step::Done(_) => panic!("ended without a swap"),
                _ => self.step(actor),
            }
        }
    }

    /// Goes on to the end.
    pub(super) fn finish<R: Run>(&mut self, actor: &mut Actor<R>) -> Result<R::Output, TokenError> {
        for _ in 0..1000 {
            match std::mem::replace(&mut actor.step, Step::Sleep(Duration::ZERO)) {
                Step::Done(result) => return result,
                step => actor.step = step,
            }
            self.step(actor);
        }
        panic!("the run does not end");
    }
}

impl Actor<Renewal> {
    pub(super) fn into_unsaved(self) -> Option<UnsavedTokens> {
        self.run.into_unsaved()
    }
}

pub(super) fn store_down() -> Input {
    Input::StoreFailed(StoreError::new(StoreErrorKind::Unavailable))
}

pub(super) fn refresh_token(tokens: &TokenSet) -> &RefreshToken {
    tokens.refresh_token.as_ref().unwrap()
}

pub(super) fn renewed(result: Result<CurrentTokens, TokenError>) -> TokenSet {
    let held = result.unwrap();
    assert!(held.renewed, "found, not renewed");
    held.tokens
}

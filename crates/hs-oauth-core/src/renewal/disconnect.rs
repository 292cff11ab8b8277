//! How an account is disconnected: first in the store, so that no tokens are handed out or renewed any more, then at HubSpot. An account
//! that is only forgotten, or from which the app was uninstalled before, is disconnected in the store alone.

use std::time::Duration;

use super::error::TokenError;
use super::id::GrantId;
use super::record::{GrantState, Record, Stored};
use super::run::{Input, Run, Step};
use crate::app::AppIdentity;
use crate::endpoint::Revoke;
use crate::error::{Error, StoreError};
use crate::limits::STORE_TIMEOUT;
use crate::random::Random;
use crate::secret::RefreshToken;
use crate::timestamp::Timestamp;

/// One run that writes a tombstone over the tokens and then revokes the refresh token.
///
/// It waits for no renewal: one that is in progress finds the tombstone and revokes the tokens that it received. If the revocation fails,
/// the run ends with the error. The refresh token stays in the tombstone, and the next disconnect revokes it. An account that is not
/// stored counts as disconnected. A grant of another app is left alone, with [`TokenError::OtherApp`].
#[derive(Debug)]
#[must_use = "a run does nothing until it is driven"]
pub struct Disconnect {
    app: AppIdentity,
    random: Random,
    grant: GrantId,
    kind: Kind,
    /// The grant that is to end: that which was stored when the run began, if the caller has named none.
    before: Option<GrantId>,
    was_installed: bool,
    failures: u32,
    conflicts: u32,
    state: State,
}

/// What becomes of the grant at HubSpot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The run revokes it.
    Revoke,
    /// It stays as it is.
    Forget,
    /// HubSpot has ended it, with the app's install.
    Uninstalled,
}

/// What the run waits for: the result of its last step.
#[derive(Debug)]
enum State {
    Start,
    FirstLoad,
    WriteTombstone(Box<Record>),
    Load,
    Sleep,
    Revoke(Box<Stored>),
    /// The revoked refresh token is being removed from the tombstone.
    Clear {
        revoked: RefreshToken,
    },
    ClearLoad {
        revoked: RefreshToken,
    },
    Done,
}

impl Disconnect {
    /// Returns a disconnect of an account that granted its tokens to `app`. It has not begun. No two runs may be given the same `random`.
    pub fn new(app: AppIdentity, mut random: Random) -> Self {
        let grant = GrantId::generate(&mut random);
        Self {
            app,
            random,
            grant,
            kind: Kind::Revoke,
            before: None,
            was_installed: false,
            failures: 0,
            conflicts: 0,
            state: State::Start,
        }
    }

    /// Makes this a run that revokes nothing: it forgets the tokens, and leaves the grant as it is at HubSpot. Renewals that are in progress
    /// revoke nothing either. A refresh token that an earlier disconnect could not revoke is forgotten too.
    pub fn without_revocation(mut self) -> Self {
        self.kind = Kind::Forget;
        self
    }

    /// Makes this a run that notes that HubSpot has taken the app out of the account. It revokes nothing, as there is nothing left.
    pub fn after_uninstall(mut self) -> Self {
        self.kind = Kind::Uninstalled;
        self
    }

    /// Makes this a run that ends this grant alone. If another one is stored when the run begins, the run ends with
    /// [`TokenError::Superseded`].
    pub fn with_grant(mut self, grant: GrantId) -> Self {
        self.before = Some(grant);
        self
    }

    /// Returns whether the account was installed when the run began, with a grant that is live or gone.
    pub fn was_installed(&self) -> bool {
        self.was_installed
    }

    fn write_tombstone(&mut self, stored: Stored) -> Step<()> {
        if let Some(error) = TokenError::other_app(&self.app, stored.record.client_id.as_deref()) {
            return Step::Done(Err(error));
        }
        let says_all = match self.kind {
            Kind::Revoke => true,
            Kind::Forget => stored.record.revoke.is_none(),
            Kind::Uninstalled => stored.record.uninstalled,
        };
        if stored.record.state == GrantState::Disconnected && says_all {
            return self.revoke(stored);
        }
        let mut record = Box::new(match self.kind {
            Kind::Revoke => {
                Record::tombstone(self.grant, stored.record.tokens.and_then(|tokens| tokens.refresh_token))
            }
            Kind::Forget => Record::forgotten(self.grant),
            Kind::Uninstalled => Record::uninstalled(self.grant),
        });
        record.client_id = stored.record.client_id;
        self.state = State::WriteTombstone(record.clone());
        Step::Swap { expected: Some(stored.version), record, timeout: STORE_TIMEOUT }
    }

    fn load(&mut self) -> Step<()> {
        self.state = State::Load;
        Step::Load { timeout: STORE_TIMEOUT }
    }

    fn loaded(&mut self, stored: Option<Stored>) -> Step<()> {
        let Some(stored) = stored else { return Step::Done(Ok(())) };
        let is_ours = stored.record.grant == self.grant || Some(stored.record.grant) == self.before;
        match is_ours || stored.record.state == GrantState::Disconnected {
            true => self.write_tombstone(stored),
            false => Step::Done(Err(TokenError::Superseded { tokens: None })),
        }
    }

    fn revoke(&mut self, tombstone: Stored) -> Step<()> {
        let Some(token) = tombstone.record.revoke.clone() else { return Step::Done(Ok(())) };
        self.state = State::Revoke(Box::new(tombstone));
        Step::Revoke(Revoke::new(token))
    }

    fn revoked(&mut self, tombstone: Stored, response: Result<(), Error>) -> Step<()> {
        match response {
            // HubSpot knows no such grant any more, so there is nothing to revoke.
            Err(Error::Api(error)) if error.refuses_grant() => self.clear(tombstone),
            Err(error) => Step::Done(Err(error.into())),
            Ok(()) => self.clear(tombstone),
        }
    }

    fn clear(&mut self, tombstone: Stored) -> Step<()> {
        let Stored { version, mut record } = tombstone;
        let Some(revoked) = record.revoke.take() else { return Step::Done(Ok(())) };
        self.state = State::Clear { revoked };
        Step::Swap { expected: Some(version), record: Box::new(record), timeout: STORE_TIMEOUT }
    }

    fn failed(&mut self, error: StoreError) -> Step<()> {
        self.failures += 1;
        if self.failures >= MAX_TRIES {
            return Step::Done(Err(TokenError::Store(error)));
        }
        self.state = State::Sleep;
        Step::Sleep(self.random.backoff(FIRST_WAIT, self.failures, MAX_WAIT))
    }
}

impl Run for Disconnect {
    type Output = ();

    fn start(&mut self, _: Timestamp) -> Step<()> {
        self.state = State::FirstLoad;
        Step::Load { timeout: STORE_TIMEOUT }
    }

    fn resume(&mut self, _: Timestamp, input: Input) -> Step<()> {
        match (std::mem::replace(&mut self.state, State::Done), input) {
            (State::FirstLoad, Input::Loaded(stored)) => {
                self.before = self.before.or_else(|| stored.as_ref().map(|stored| stored.record.grant));
                self.was_installed = stored.as_ref().is_some_and(Stored::is_installed);
                self.loaded(stored)
            }
            (State::FirstLoad, Input::StoreFailed(error)) => Step::Done(Err(TokenError::Store(error))),
            (State::WriteTombstone(record), Input::Stored(version)) => {
                self.revoke(Stored { version, record: *record })
            }
            (State::WriteTombstone(_), Input::Conflict) if self.conflicts > 0 => {
                self.failed(StoreError::conflicts())
            }
            (State::WriteTombstone(_), Input::Conflict) => {
                self.conflicts += 1;
                self.load()
            }
            (State::Sleep, Input::Slept) => self.load(),
            (State::WriteTombstone(_) | State::Load, Input::StoreFailed(error)) => self.failed(error),
            (State::Load, Input::Loaded(stored)) => self.loaded(stored),
            (State::Revoke(tombstone), Input::Revoked(response)) => self.revoked(*tombstone, response),
            (State::Clear { revoked }, Input::Conflict) if self.conflicts < MAX_TRIES => {
                self.conflicts += 1;
                self.state = State::ClearLoad { revoked };
                Step::Load { timeout: STORE_TIMEOUT }
            }
            (State::ClearLoad { revoked }, Input::Loaded(Some(stored)))
                if stored.record.revoke.as_ref() == Some(&revoked) =>
            {
                self.clear(stored)
            }
            // The refresh token is revoked. If it stays in the tombstone, that costs the next disconnect one call.
            (
                State::Clear { .. } | State::ClearLoad { .. },
                Input::Stored(_) | Input::Conflict | Input::Loaded(_) | Input::StoreFailed(_),
            ) => Step::Done(Ok(())),
            _ => Step::Done(Err(TokenError::Interrupted)),
        }
    }
}

/// How many calls to the store are tried before the disconnect ends with its error.
const MAX_TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const MAX_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::error::StoreErrorKind;
    use crate::secret::{AccessToken, ClientSecret};
    use crate::token_set::TokenSet;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn app() -> AppIdentity {
        App::hubspot("client-id", ClientSecret::new("s3cret").unwrap()).build().unwrap().identity()
    }

    fn run() -> Disconnect {
        Disconnect::new(app(), Random::new([1; 32]))
    }

    fn live() -> Record {
        let mut tokens = TokenSet::new(AccessToken::new("a").unwrap(), 1800, NOW);
        tokens.refresh_token = Some(RefreshToken::new("r").unwrap());
        Record::new(GrantId::generate(&mut Random::new([2; 32])), tokens)
    }

    /// Loads `stored`, writes what the run wants to be written, and returns it with the step after that.
    fn write(run: &mut Disconnect, stored: &Record) -> (Record, Step<()>) {
        assert!(matches!(run.start(NOW), Step::Load { .. }));
        let stored = Stored { version: 1, record: stored.clone() };
        let Step::Swap { expected: Some(1), record, .. } = run.resume(NOW, Input::Loaded(Some(stored)))
        else {
            panic!("a tombstone is to be written")
        };
        (*record, run.resume(NOW, Input::Stored(2)))
    }

    /// HUBSPOT's "the end of an install": several tenants can share an account, so an account can be forgotten without a revocation.
    #[test]
    fn a_run_without_revocation_writes_a_tombstone_and_sends_nothing() {
        let mut run = run().without_revocation();
        let (tombstone, step) = write(&mut run, &live());
        assert!(matches!(step, Step::Done(Ok(()))) && run.was_installed());
        assert_eq!(tombstone.state, GrantState::Disconnected);
        assert!(tombstone.forgotten && tombstone.revoke.is_none() && tombstone.tokens.is_none());
    }

    #[test]
    fn a_run_without_revocation_drops_what_an_earlier_disconnect_could_not_revoke() {
        let unrevoked = write(&mut run(), &live()).0;
        assert!(unrevoked.revoke.is_some() && !unrevoked.forgotten);
        let (tombstone, step) = write(&mut run().without_revocation(), &unrevoked);
        assert!(matches!(step, Step::Done(Ok(()))));
        assert!(tombstone.forgotten && tombstone.revoke.is_none());

        let mut again = run().without_revocation();
        _ = again.start(NOW);
        let step = again.resume(NOW, Input::Loaded(Some(Stored { version: 2, record: tombstone })));
        assert!(matches!(step, Step::Done(Ok(()))) && !again.was_installed());
    }

    /// HUBSPOT's "the end of an install": an uninstall ends all tokens, and only a record of it says that nothing is left to uninstall.
    #[test]
    fn a_run_after_an_uninstall_says_so_in_the_tombstone_whatever_was_stored() {
        let unrevoked = write(&mut run(), &live()).0;
        let forgotten = write(&mut run().without_revocation(), &live()).0;
        for stored in [live(), unrevoked, forgotten] {
            assert!(!stored.uninstalled);
            let (tombstone, step) = write(&mut run().after_uninstall(), &stored);
            assert!(matches!(step, Step::Done(Ok(()))));
            assert!(tombstone.uninstalled && tombstone.forgotten && tombstone.revoke.is_none());
            for mut again in [run(), run().without_revocation(), run().after_uninstall()] {
                _ = again.start(NOW);
                let stored = Stored { version: 2, record: tombstone.clone() };
                let step = again.resume(NOW, Input::Loaded(Some(stored)));
                assert!(matches!(step, Step::Done(Ok(()))), "it stays: {step:?}");
            }
        }
    }

    #[test]
    fn a_run_for_one_grant_leaves_an_install_that_came_in_between_alone() {
        let other = GrantId::generate(&mut Random::new([3; 32]));
        let mut run = run().without_revocation().with_grant(other);
        _ = run.start(NOW);
        let step = run.resume(NOW, Input::Loaded(Some(Stored { version: 1, record: live() })));
        assert!(matches!(step, Step::Done(Err(TokenError::Superseded { tokens: None }))));
    }

    #[test]
    fn a_store_that_keeps_failing_is_the_error_of_a_run_without_revocation() {
        let mut run = run().without_revocation();
        _ = run.start(NOW);
        let mut step = run.resume(NOW, Input::Loaded(Some(Stored { version: 1, record: live() })));
        let mut failures = 0;
        loop {
            step = match step {
                Step::Swap { .. } | Step::Load { .. } => {
                    failures += 1;
                    run.resume(NOW, Input::StoreFailed(StoreError::new(StoreErrorKind::Unavailable)))
                }
                Step::Sleep(_) => run.resume(NOW, Input::Slept),
                Step::Done(result) => break assert!(matches!(result, Err(TokenError::Store(_)))),
                other => panic!("{other:?}"),
            };
        }
        assert_eq!(failures, MAX_TRIES);
    }
}

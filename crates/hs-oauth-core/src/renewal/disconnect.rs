//! How an account is disconnected: first in the store, so that no tokens are handed out or renewed any more, then at HubSpot.

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
    /// The grant that was stored when the run began.
    before: Option<GrantId>,
    was_installed: bool,
    failures: u32,
    conflicts: u32,
    state: State,
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
            before: None,
            was_installed: false,
            failures: 0,
            conflicts: 0,
            state: State::Start,
        }
    }

    /// Returns whether the account was installed when the run began, with a grant that is live or gone.
    pub fn was_installed(&self) -> bool {
        self.was_installed
    }

    fn write_tombstone(&mut self, stored: Stored) -> Step<()> {
        if let Some(error) = TokenError::other_app(&self.app, stored.record.client_id.as_deref()) {
            return Step::Done(Err(error));
        }
        if stored.record.state == GrantState::Disconnected {
            return self.revoke(stored);
        }
        let refresh_token = stored.record.tokens.and_then(|tokens| tokens.refresh_token);
        let mut record = Box::new(Record::tombstone(self.grant, refresh_token));
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
                self.before = stored.as_ref().map(|stored| stored.record.grant);
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

//! How an account is given up: first here, so that nothing is handed out or renewed any more, then at HubSpot.

use std::time::Duration;

use super::error::TokenError;
use super::record::{GrantId, GrantState, Record, Stored};
use super::run::{Input, Run, Step};
use crate::endpoint::Revoke;
use crate::error::{Error, StoreError};
use crate::limits::STORE_TIMEOUT;
use crate::random::Random;
use crate::secret::RefreshToken;
use crate::timestamp::Timestamp;

/// One disconnect: leaves a tombstone in place of the tokens, then revokes the refresh token.
///
/// It waits for no renewal; a renewal that is under way finds the tombstone and revokes what it got. If revoking fails the error is
/// given, the tombstone remembers what is left to do, and the next disconnect does it. An account that is not there counts as
/// disconnected.
#[derive(Debug)]
#[must_use = "a run does nothing until it is driven"]
pub struct Disconnect {
    random: Random,
    grant: GrantId,
    /// The grant that was stored at first.
    before: Option<GrantId>,
    failures: u32,
    conflicts: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Start,
    FirstLoad,
    End(Box<Record>),
    Load,
    Sleep,
    Revoke(Box<Stored>),
    Clear { revoked: RefreshToken },
    ClearLoad { revoked: RefreshToken },
    Done,
}

impl Disconnect {
    /// A disconnect. `random` must be unlike any other run's.
    pub fn new(mut random: Random) -> Self {
        let grant = GrantId::generate(&mut random);
        Self { random, grant, before: None, failures: 0, conflicts: 0, state: State::Start }
    }

    fn end(&mut self, stored: Stored) -> Step<()> {
        if stored.record.state == GrantState::Disconnected {
            return self.revoke(stored);
        }
        let refresh_token = stored.record.tokens.and_then(|tokens| tokens.refresh_token);
        let record = Box::new(Record::tombstone(self.grant, refresh_token));
        self.state = State::End(record.clone());
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
            true => self.end(stored),
            false => Step::Done(Err(TokenError::Superseded { tokens: None })),
        }
    }

    fn revoke(&mut self, tombstone: Stored) -> Step<()> {
        let Some(token) = tombstone.record.revoke.clone() else { return Step::Done(Ok(())) };
        self.state = State::Revoke(Box::new(tombstone));
        Step::Revoke(Revoke::new(token))
    }

    fn revoked(&mut self, tombstone: Stored, answer: Result<(), Error>) -> Step<()> {
        match answer {
            // A grant that is gone has nothing left to revoke.
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
                self.loaded(stored)
            }
            (State::FirstLoad, Input::StoreFailed(error)) => Step::Done(Err(TokenError::Store(error))),
            (State::End(record), Input::Stored(version)) => self.revoke(Stored { version, record: *record }),
            (State::End(_), Input::Conflict) if self.conflicts > 0 => self.failed(StoreError::conflicts()),
            (State::End(_), Input::Conflict) => {
                self.conflicts += 1;
                self.load()
            }
            (State::Sleep, Input::Slept) => self.load(),
            (State::End(_) | State::Load, Input::StoreFailed(error)) => self.failed(error),
            (State::Load, Input::Loaded(stored)) => self.loaded(stored),
            (State::Revoke(tombstone), Input::Revoked(answer)) => self.revoked(*tombstone, answer),
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
            // What was to be revoked is revoked; that the tombstone still says so costs no more than one call.
            (
                State::Clear { .. } | State::ClearLoad { .. },
                Input::Stored(_) | Input::Conflict | Input::Loaded(_) | Input::StoreFailed(_),
            ) => Step::Done(Ok(())),
            _ => Step::Done(Err(TokenError::Interrupted)),
        }
    }
}

/// How often the store may fail.
const MAX_TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const MAX_WAIT: Duration = Duration::from_secs(1);

//! How an account is given up: first here, so that nothing is handed out or renewed any more, then at HubSpot.

use std::time::Duration;

use crate::endpoint::Revoke;
use crate::error::{Error, StoreError, TokenError};
use crate::random::Random;
use crate::record::{Grant, GrantState, Record, Stored};
use crate::renewal::conflicts;
use crate::secret::RefreshToken;
use crate::step::{Input, Run, Step};
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
    grant: Grant,
    /// The grant that was stored at first.
    before: Option<Grant>,
    failures: u32,
    conflicts: u32,
    at: At,
}

#[derive(Debug)]
enum At {
    Start,
    FirstLoad,
    Bury(Box<Record>),
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
        let grant = Grant::draw(&mut random);
        Self { random, grant, before: None, failures: 0, conflicts: 0, at: At::Start }
    }

    fn bury(&mut self, stored: Stored) -> Step<()> {
        if stored.record.state == GrantState::Disconnected {
            return self.revoke(stored);
        }
        let refresh_token = stored.record.tokens.and_then(|tokens| tokens.refresh_token);
        let record = Box::new(Record::tombstone(self.grant, refresh_token));
        self.at = At::Bury(record.clone());
        Step::Swap { expected: Some(stored.version), record }
    }

    fn load(&mut self) -> Step<()> {
        self.at = At::Load;
        Step::Load
    }

    fn loaded(&mut self, stored: Option<Stored>) -> Step<()> {
        let Some(stored) = stored else { return Step::Done(Ok(())) };
        let is_ours = stored.record.grant == self.grant || Some(stored.record.grant) == self.before;
        match is_ours || stored.record.state == GrantState::Disconnected {
            true => self.bury(stored),
            false => Step::Done(Err(TokenError::Superseded { tokens: None })),
        }
    }

    fn revoke(&mut self, buried: Stored) -> Step<()> {
        let Some(token) = buried.record.revoke.clone() else { return Step::Done(Ok(())) };
        self.at = At::Revoke(Box::new(buried));
        Step::Revoke(Revoke::new(token))
    }

    fn revoked(&mut self, buried: Stored, answer: Result<(), Error>) -> Step<()> {
        match answer {
            // A grant that is gone has nothing left to revoke.
            Err(Error::Api(error)) if error.refuses_grant() => self.clear(buried),
            Err(error) => Step::Done(Err(error.into())),
            Ok(()) => self.clear(buried),
        }
    }

    fn clear(&mut self, buried: Stored) -> Step<()> {
        let Stored { version, mut record } = buried;
        let Some(revoked) = record.revoke.take() else { return Step::Done(Ok(())) };
        self.at = At::Clear { revoked };
        Step::Swap { expected: Some(version), record: Box::new(record) }
    }

    fn failed(&mut self, error: StoreError) -> Step<()> {
        self.failures += 1;
        if self.failures >= TRIES {
            return Step::Done(Err(TokenError::Store(error)));
        }
        self.at = At::Sleep;
        Step::Sleep(self.random.backoff(FIRST_WAIT, self.failures, LONGEST_WAIT))
    }
}

impl Run for Disconnect {
    type Output = ();

    fn start(&mut self, _: Timestamp) -> Step<()> {
        self.at = At::FirstLoad;
        Step::Load
    }

    fn resume(&mut self, _: Timestamp, input: Input) -> Step<()> {
        match (std::mem::replace(&mut self.at, At::Done), input) {
            (At::FirstLoad, Input::Loaded(stored)) => {
                self.before = stored.as_ref().map(|stored| stored.record.grant);
                self.loaded(stored)
            }
            (At::FirstLoad, Input::StoreFailed(error)) => Step::Done(Err(TokenError::Store(error))),
            (At::Bury(record), Input::Stored(version)) => self.revoke(Stored { version, record: *record }),
            (At::Bury(_), Input::Conflict) if self.conflicts > 0 => self.failed(conflicts()),
            (At::Bury(_), Input::Conflict) => {
                self.conflicts += 1;
                self.load()
            }
            (At::Sleep, Input::Slept) => self.load(),
            (At::Bury(_) | At::Load, Input::StoreFailed(error)) => self.failed(error),
            (At::Load, Input::Loaded(stored)) => self.loaded(stored),
            (At::Revoke(buried), Input::Revoked(answer)) => self.revoked(*buried, answer),
            (At::Clear { revoked }, Input::Conflict) if self.conflicts < TRIES => {
                self.conflicts += 1;
                self.at = At::ClearLoad { revoked };
                Step::Load
            }
            (At::ClearLoad { revoked }, Input::Loaded(Some(stored)))
                if stored.record.revoke.as_ref() == Some(&revoked) =>
            {
                self.clear(stored)
            }
            // What was to be revoked is revoked; that the tombstone still says so costs no more than one call.
            (
                At::Clear { .. } | At::ClearLoad { .. },
                Input::Stored(_) | Input::Conflict | Input::Loaded(_) | Input::StoreFailed(_),
            ) => Step::Done(Ok(())),
            _ => Step::Done(Err(TokenError::Interrupted)),
        }
    }
}

/// How often the store may fail.
const TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

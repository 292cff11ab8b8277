//! How tokens that HubSpot has just issued get into the store as a new grant.

use std::time::Duration;

use crate::error::{StoreError, TokenError};
use crate::random::Random;
use crate::record::{Grant, Record, Stored};
use crate::renewal::conflicts;
use crate::step::{Held, Input, Run, Step};
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// One install: writes the tokens of a fresh grant over whatever is stored.
///
/// It wins over renewals, which know the older grant; but another install or a disconnect that comes in between stands, and the
/// tokens go back in [`TokenError::Superseded`]. Ends with what is stored then: these tokens, or what a renewal has made of them since.
#[derive(Debug)]
#[must_use = "a run does nothing until it is driven"]
pub struct Install {
    tokens: TokenSet,
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
    FirstSleep,
    Swap,
    Load,
    Sleep,
    Done,
}

impl Install {
    /// An install of these tokens. `random` must be unlike any other run's.
    pub fn new(mut random: Random, tokens: TokenSet) -> Self {
        let grant = Grant::draw(&mut random);
        Self { tokens, random, grant, before: None, failures: 0, conflicts: 0, at: At::Start }
    }

    fn swap(&mut self, stored: Option<&Stored>) -> Step<Held> {
        self.at = At::Swap;
        let record = Box::new(Record::new(self.grant, self.tokens.clone()));
        Step::Swap { expected: stored.map(|stored| stored.version), record }
    }

    fn load(&mut self) -> Step<Held> {
        self.at = At::Load;
        Step::Load
    }

    fn loaded(&mut self, stored: Option<&Stored>) -> Step<Held> {
        let grant = stored.map(|stored| stored.record.grant);
        match stored {
            Some(stored) if grant == Some(self.grant) => {
                let tokens = stored.record.tokens.clone().unwrap_or_else(|| self.tokens.clone());
                Step::Done(Ok(Held { tokens, version: stored.version, renewed: true }))
            }
            _ if grant == self.before => self.swap(stored),
            _ => Step::Done(Err(TokenError::Superseded { tokens: Some(Box::new(self.tokens.clone())) })),
        }
    }

    fn failed(&mut self, error: StoreError, then: At) -> Step<Held> {
        self.failures += 1;
        if self.failures >= TRIES {
            return Step::Done(Err(TokenError::Unsaved { tokens: Box::new(self.tokens.clone()), error }));
        }
        self.at = then;
        Step::Sleep(self.random.backoff(FIRST_WAIT, self.failures, LONGEST_WAIT))
    }
}

impl Run for Install {
    type Output = Held;

    fn start(&mut self, _: Timestamp) -> Step<Held> {
        self.at = At::FirstLoad;
        Step::Load
    }

    fn resume(&mut self, now: Timestamp, input: Input) -> Step<Held> {
        match (std::mem::replace(&mut self.at, At::Done), input) {
            (At::FirstLoad, Input::Loaded(stored)) => {
                self.before = stored.as_ref().map(|stored| stored.record.grant);
                self.swap(stored.as_ref())
            }
            (At::FirstLoad, Input::StoreFailed(error)) => self.failed(error, At::FirstSleep),
            (At::FirstSleep, Input::Slept) => self.start(now),
            (At::Swap, Input::Stored(version)) => {
                Step::Done(Ok(Held { tokens: self.tokens.clone(), version, renewed: true }))
            }
            (At::Swap, Input::Conflict) => {
                self.conflicts += 1;
                match self.conflicts {
                    1 => self.load(),
                    _ => self.failed(conflicts(), At::Sleep),
                }
            }
            (At::Sleep, Input::Slept) => self.load(),
            (At::Swap | At::Load, Input::StoreFailed(error)) => self.failed(error, At::Sleep),
            (At::Load, Input::Loaded(stored)) => self.loaded(stored.as_ref()),
            _ => Step::Done(Err(TokenError::Interrupted)),
        }
    }
}

/// How often the store may fail; the tokens exist nowhere else, so it is given some time.
const TRIES: u32 = 8;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

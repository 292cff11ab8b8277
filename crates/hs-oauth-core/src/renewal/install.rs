//! How tokens that HubSpot has just issued get into the store as a new grant.

use std::time::Duration;

use super::error::TokenError;
use super::record::{GrantId, Record, Stored};
use super::run::{CurrentTokens, Input, Run, Step};
use crate::error::StoreError;
use crate::limits::STORE_TIMEOUT;
use crate::random::Random;
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
    FirstSleep,
    Swap,
    Load,
    Sleep,
    Done,
}

impl Install {
    /// An install of these tokens. `random` must be unlike any other run's.
    pub fn new(mut random: Random, tokens: TokenSet) -> Self {
        let grant = GrantId::generate(&mut random);
        Self { tokens, random, grant, before: None, failures: 0, conflicts: 0, state: State::Start }
    }

    fn swap(&mut self, stored: Option<&Stored>) -> Step<CurrentTokens> {
        self.state = State::Swap;
        let record = Box::new(Record::new(self.grant, self.tokens.clone()));
        Step::Swap { expected: stored.map(|stored| stored.version), record, timeout: STORE_TIMEOUT }
    }

    fn load(&mut self) -> Step<CurrentTokens> {
        self.state = State::Load;
        Step::Load { timeout: STORE_TIMEOUT }
    }

    fn loaded(&mut self, stored: Option<&Stored>) -> Step<CurrentTokens> {
        let grant = stored.map(|stored| stored.record.grant);
        match stored {
            Some(stored) if grant == Some(self.grant) => {
                let tokens = stored.record.tokens.clone().unwrap_or_else(|| self.tokens.clone());
                Step::Done(Ok(CurrentTokens {
                    tokens,
                    version: stored.version,
                    renewed: true,
                    refresh_error: None,
                }))
            }
            _ if grant == self.before => self.swap(stored),
            _ => Step::Done(Err(TokenError::Superseded { tokens: Some(Box::new(self.tokens.clone())) })),
        }
    }

    fn failed(&mut self, error: StoreError, then: State) -> Step<CurrentTokens> {
        self.failures += 1;
        if self.failures >= MAX_TRIES {
            return Step::Done(Err(TokenError::Unsaved { tokens: Box::new(self.tokens.clone()), error }));
        }
        self.state = then;
        Step::Sleep(self.random.backoff(FIRST_WAIT, self.failures, MAX_WAIT))
    }
}

impl Run for Install {
    type Output = CurrentTokens;

    fn start(&mut self, _: Timestamp) -> Step<CurrentTokens> {
        self.state = State::FirstLoad;
        Step::Load { timeout: STORE_TIMEOUT }
    }

    fn resume(&mut self, now: Timestamp, input: Input) -> Step<CurrentTokens> {
        match (std::mem::replace(&mut self.state, State::Done), input) {
            (State::FirstLoad, Input::Loaded(stored)) => {
                self.before = stored.as_ref().map(|stored| stored.record.grant);
                self.swap(stored.as_ref())
            }
            (State::FirstLoad, Input::StoreFailed(error)) => self.failed(error, State::FirstSleep),
            (State::FirstSleep, Input::Slept) => self.start(now),
            (State::Swap, Input::Stored(version)) => Step::Done(Ok(CurrentTokens {
                tokens: self.tokens.clone(),
                version,
                renewed: true,
                refresh_error: None,
            })),
            (State::Swap, Input::Conflict) => {
                self.conflicts += 1;
                match self.conflicts {
                    1 => self.load(),
                    _ => self.failed(StoreError::conflicts(), State::Sleep),
                }
            }
            (State::Sleep, Input::Slept) => self.load(),
            (State::Swap | State::Load, Input::StoreFailed(error)) => self.failed(error, State::Sleep),
            (State::Load, Input::Loaded(stored)) => self.loaded(stored.as_ref()),
            _ => Step::Done(Err(TokenError::Interrupted)),
        }
    }
}

/// How often the store may fail; the tokens exist nowhere else, so it is given some time.
const MAX_TRIES: u32 = 8;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const MAX_WAIT: Duration = Duration::from_secs(1);

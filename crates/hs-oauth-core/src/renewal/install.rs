//! How the tokens of a new grant are stored.

use std::time::Duration;

use super::error::TokenError;
use super::id::GrantId;
use super::record::{Record, Stored};
use super::run::{CurrentTokens, Input, Run, Step};
use crate::app::AppIdentity;
use crate::error::StoreError;
use crate::limits::STORE_TIMEOUT;
use crate::random::Random;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// One run that writes the tokens of a new grant over the stored record.
///
/// It overwrites the result of a renewal, which belongs to the older grant. It does not overwrite another install or a disconnect that
/// comes in between: then it ends with [`TokenError::Superseded`], which has the tokens in it. Otherwise it ends with the tokens that are
/// stored: these, or newer ones of the same grant if a renewal has replaced them already.
#[derive(Debug)]
#[must_use = "a run does nothing until it is driven"]
pub struct Install {
    app: AppIdentity,
    tokens: TokenSet,
    random: Random,
    grant: GrantId,
    /// The grant that was stored when the run began.
    before: Option<GrantId>,
    is_reinstall: bool,
    failures: u32,
    conflicts: u32,
    state: State,
}

/// What the run waits for: the result of its last step.
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
    /// Returns an install of these tokens, which were issued to `app`, that has not begun. No two runs may be given the same `random`.
    pub fn new(app: AppIdentity, mut random: Random, tokens: TokenSet) -> Self {
        let grant = GrantId::generate(&mut random);
        Self {
            app,
            tokens,
            random,
            grant,
            before: None,
            is_reinstall: false,
            failures: 0,
            conflicts: 0,
            state: State::Start,
        }
    }

    /// Returns whether the account was installed when the run began, with a grant that is live or gone.
    pub fn is_reinstall(&self) -> bool {
        self.is_reinstall
    }

    fn swap(&mut self, stored: Option<&Stored>) -> Step<CurrentTokens> {
        self.state = State::Swap;
        let mut record = Box::new(Record::new(self.grant, self.tokens.clone()));
        record.client_id = Some(self.app.client_id().to_owned());
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
                self.is_reinstall = stored.as_ref().is_some_and(Stored::is_installed);
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

/// How many calls to the store are tried before the install ends with [`TokenError::Unsaved`]. There are many, since the tokens exist
/// nowhere else.
const MAX_TRIES: u32 = 8;
const FIRST_WAIT: Duration = Duration::from_millis(50);
const MAX_WAIT: Duration = Duration::from_secs(1);

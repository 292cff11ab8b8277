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
    unsaved: UnsavedInstall,
    random: Random,
    /// Whether an earlier run has begun this install.
    is_again: bool,
    failures: u32,
    conflicts: u32,
    state: State,
}

/// Tokens of a new grant that are not stored yet, and what is known of the record that they are to replace.
#[derive(Clone, Debug)]
pub struct UnsavedInstall {
    tokens: TokenSet,
    grant: GrantId,
    before: Before,
    /// Whether the account was installed when the install began.
    is_reinstall: bool,
}

/// The grant that was stored when an install began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// No record could be loaded so far.
    Unknown,
    /// This one, or none.
    Known(Option<GrantId>),
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
        let unsaved = UnsavedInstall { tokens, grant, before: Before::Unknown, is_reinstall: false };
        Self { app, unsaved, random, is_again: false, failures: 0, conflicts: 0, state: State::Start }
    }

    /// Returns a run that goes on with an install that an earlier run could not finish. It overwrites what that run would have
    /// overwritten, and no install or disconnect that came later.
    pub fn again(app: AppIdentity, random: Random, unsaved: UnsavedInstall) -> Self {
        Self { app, unsaved, random, is_again: true, failures: 0, conflicts: 0, state: State::Start }
    }

    /// Returns whether the account was installed when the run began, with a grant that is live or gone.
    pub fn is_reinstall(&self) -> bool {
        self.unsaved.is_reinstall
    }

    /// Returns the tokens, and what the run knows so far, for a run that goes on with the install.
    pub fn unsaved(&self) -> &UnsavedInstall {
        &self.unsaved
    }

    /// Does what the first record that could be loaded asks for.
    fn first_loaded(&mut self, stored: Option<&Stored>) -> Step<CurrentTokens> {
        // Some time has passed since the tokens were issued, and nobody knows what was stored then.
        if self.is_again && stored.is_some_and(|stored| !self.unsaved.is_newer_than(&stored.record)) {
            return self.superseded();
        }
        self.unsaved.before = Before::Known(stored.map(|stored| stored.record.grant));
        self.unsaved.is_reinstall = stored.is_some_and(Stored::is_installed);
        self.swap(stored)
    }

    fn superseded(&self) -> Step<CurrentTokens> {
        Step::Done(Err(TokenError::Superseded { tokens: Some(Box::new(self.unsaved.tokens.clone())) }))
    }

    fn swap(&mut self, stored: Option<&Stored>) -> Step<CurrentTokens> {
        self.state = State::Swap;
        let mut record = Box::new(Record::new(self.unsaved.grant, self.unsaved.tokens.clone()));
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
            Some(stored) if grant == Some(self.unsaved.grant) => {
                let tokens = stored.record.tokens.clone().unwrap_or_else(|| self.unsaved.tokens.clone());
                Step::Done(Ok(CurrentTokens {
                    tokens,
                    version: stored.version,
                    renewed: true,
                    refresh_error: None,
                }))
            }
            _ if self.unsaved.before == Before::Known(grant) => self.swap(stored),
            _ => self.superseded(),
        }
    }

    fn failed(&mut self, error: StoreError, then: State) -> Step<CurrentTokens> {
        self.failures += 1;
        if self.failures >= MAX_TRIES {
            let tokens = Box::new(self.unsaved.tokens.clone());
            return Step::Done(Err(TokenError::Unsaved { tokens, error }));
        }
        self.state = then;
        Step::Sleep(self.random.backoff(FIRST_WAIT, self.failures, MAX_WAIT))
    }
}

impl UnsavedInstall {
    /// Returns the tokens that HubSpot issued.
    pub fn tokens(&self) -> &TokenSet {
        &self.tokens
    }

    /// Returns whether both are the same install.
    pub fn is_same(&self, other: &Self) -> bool {
        self.grant == other.grant
    }

    /// Returns whether the record has tokens that were issued before these. A disconnect has no time, so it may be later.
    fn is_newer_than(&self, record: &Record) -> bool {
        record.tokens.as_ref().is_some_and(|tokens| issued_at(tokens) < issued_at(&self.tokens))
    }
}

fn issued_at(tokens: &TokenSet) -> Timestamp {
    tokens.expires_at.minus(Duration::from_secs(tokens.expires_in))
}

impl Run for Install {
    type Output = CurrentTokens;

    fn start(&mut self, _: Timestamp) -> Step<CurrentTokens> {
        match self.unsaved.before {
            Before::Known(_) => self.load(),
            Before::Unknown => {
                self.state = State::FirstLoad;
                Step::Load { timeout: STORE_TIMEOUT }
            }
        }
    }

    fn resume(&mut self, now: Timestamp, input: Input) -> Step<CurrentTokens> {
        match (std::mem::replace(&mut self.state, State::Done), input) {
            (State::FirstLoad, Input::Loaded(stored)) => self.first_loaded(stored.as_ref()),
            (State::FirstLoad, Input::StoreFailed(error)) => self.failed(error, State::FirstSleep),
            (State::FirstSleep, Input::Slept) => self.start(now),
            (State::Swap, Input::Stored(version)) => Step::Done(Ok(CurrentTokens {
                tokens: self.unsaved.tokens.clone(),
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

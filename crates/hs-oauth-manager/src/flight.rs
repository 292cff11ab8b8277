//! A flight: one renewal in one process. It is driven as one run, which knows what a shutdown may end and what must not be lost.

use std::time::Duration;

use hs_oauth_core::renewal::{
    CurrentTokens, Disconnect, Input, Install, Renewal, RenewalPolicy, Run, Step, TokenError, UnsavedTokens,
};
use hs_oauth_core::{Account, Timestamp};

use crate::cache::Snapshot;
use crate::event::record_cost;
use crate::received::Unsaved;
use crate::standing::Standing;

/// A run that a token manager drives.
pub trait Driven: Run {
    /// Returns whether a shutdown ends the run instead of letting it sleep. If so, the run has sent no refresh and holds no tokens.
    fn ends_at_shutdown(&self) -> bool {
        false
    }

    /// Returns whether the refresh that the run sends is of a grant that was gone.
    fn is_recheck(&self) -> bool {
        false
    }

    /// Returns the tokens that the run has received since the last step, and that are not saved yet.
    fn newly_received(&mut self) -> Option<UnsavedTokens> {
        None
    }
}

/// The run of a flight, and the state at its beginning.
#[derive(Debug)]
pub struct Flight {
    pub(crate) run: Renewal,
    /// The install that an earlier run could not finish, and that comes before `run`.
    pub(crate) install: Option<Install>,
    pub(crate) progress: Progress,
    pub(crate) account: Account,
    pub(crate) snapshot: Snapshot,
    /// How often what is remembered of an account had been forgotten.
    pub(crate) forgotten: u64,
    /// The error with which the flight ends at once, since the store fails.
    pub(crate) refusal: Option<TokenError>,
    /// The tokens that the run begins with, since an earlier run could not save them.
    pub(crate) unsaved: Option<Unsaved>,
    /// Whether the flight was started for a caller who is content with any token that may be handed out.
    pub(crate) any_usable: bool,
    /// Whether the flight was started because an API rejected a token with 401.
    pub(crate) forced: bool,
    /// Whether its token is put into the cache even if the account has none there: somebody may ask for it.
    pub(crate) keeps_tokens: bool,
    /// For a flight of the sweep: an account whose token was fresh at that moment has been looked after, and the flight ends.
    pub(crate) fresh_at: Option<Timestamp>,
    /// When the flight began.
    pub(crate) began: Timestamp,
}

impl Flight {
    /// Returns the error with which the flight ends at once, if there is one: the store fails, and is asked by another flight.
    pub(crate) fn refusal(&self) -> Option<TokenError> {
        self.refusal.clone()
    }
}

/// How far a flight has come.
#[derive(Debug)]
pub(crate) struct Progress {
    has_sent: bool,
    has_shown_tokens: bool,
    /// What came of the install that the flight began with: whether it was a reinstall, or why it does not stand.
    pub(crate) install: Option<Result<bool, TokenError>>,
    policy: RenewalPolicy,
    /// How the account stood in the record that was loaded or stored last, if one was. `None` in it is an account without a record.
    seen: Option<Option<Standing>>,
    /// How the account stands if the swap that is under way succeeds.
    written: Option<Standing>,
    /// How many calls to the store and requests to HubSpot it has made.
    store_calls: u32,
    requests: u32,
}

impl Progress {
    /// Returns the progress of a flight that has not begun.
    pub(crate) fn new(policy: RenewalPolicy) -> Self {
        Self {
            has_sent: false,
            has_shown_tokens: false,
            install: None,
            policy,
            seen: None,
            written: None,
            store_calls: 0,
            requests: 0,
        }
    }

    /// Returns how the account stood in the record that the flight saw last, or `None` if it has seen none.
    pub(crate) fn seen(&self) -> Option<Option<Standing>> {
        self.seen
    }

    fn note_input(&mut self, input: &Input) {
        match input {
            Input::Loaded(stored) => {
                self.seen = Some(stored.as_ref().map(|stored| Standing::of(&stored.record, &self.policy)));
            }
            Input::Stored(_) => self.seen = self.written.take().map(Some).or(self.seen),
            _ => {}
        }
    }

    fn note_step<T>(&mut self, step: &Step<T>) {
        self.has_sent |= matches!(step, Step::Send { .. });
        self.written = match step {
            Step::Swap { record, .. } => Some(Standing::of(record, &self.policy)),
            _ => None,
        };
        match step {
            Step::Load { .. } | Step::Swap { .. } => self.store_calls += 1,
            Step::Send { .. } | Step::Introspect(_) | Step::Revoke(_) => self.requests += 1,
            Step::Done(_) => record_cost(self.store_calls, self.requests),
            Step::Admit { .. } | Step::Sleep(_) => {}
        }
    }
}

/// An install that an earlier run could not finish comes first. When its tokens are stored, or another install or a disconnect stands
/// instead, the flight is a renewal, which finds out whether the stored tokens are what the callers need.
impl Run for Flight {
    type Output = CurrentTokens;

    fn start(&mut self, now: Timestamp) -> Step<CurrentTokens> {
        let step = match (self.refusal(), &mut self.install) {
            (Some(error), _) => Step::Done(Err(error)),
            (None, Some(install)) => install.start(now),
            (None, None) => self.run.start(now),
        };
        self.progress.note_step(&step);
        step
    }

    fn resume(&mut self, now: Timestamp, input: Input) -> Step<CurrentTokens> {
        self.progress.note_input(&input);
        let step = match self.is_looked_after(&input) {
            // Another process has done it, and the token may have expired since. Whoever needs one starts another flight.
            true => Step::Done(Err(TokenError::BackingOff { wait: Duration::ZERO, cause: None })),
            false => self.next_step(now, input),
        };
        self.progress.note_step(&step);
        step
    }
}

impl Flight {
    /// Returns whether the record that was loaded says that the sweep has nothing to do.
    fn is_looked_after(&self, input: &Input) -> bool {
        let is_before_send = matches!(input, Input::Loaded(_)) && self.ends_at_shutdown();
        let schedule = self.progress.seen.flatten().and_then(|standing| standing.schedule);
        let is_fresh = self.fresh_at.zip(schedule).is_some_and(|(at, schedule)| schedule.renew_from >= at);
        is_before_send && is_fresh
    }

    fn next_step(&mut self, now: Timestamp, input: Input) -> Step<CurrentTokens> {
        let Some(install) = &mut self.install else { return self.run.resume(now, input) };
        self.progress.install = match install.resume(now, input) {
            Step::Done(Ok(_)) => Some(Ok(install.is_reinstall())),
            Step::Done(Err(error @ TokenError::Superseded { .. })) => Some(Err(error)),
            step => return step,
        };
        self.install = None;
        self.run.start(now)
    }
}

impl Driven for Flight {
    fn ends_at_shutdown(&self) -> bool {
        self.install.is_none() && !self.progress.has_sent && self.run.unsaved().is_none()
    }

    fn is_recheck(&self) -> bool {
        self.run.has_rechecked()
    }

    fn newly_received(&mut self) -> Option<UnsavedTokens> {
        if self.progress.has_shown_tokens || !self.progress.has_sent {
            return None;
        }
        let unsaved = self.run.unsaved().cloned();
        self.progress.has_shown_tokens = unsaved.is_some();
        unsaved
    }
}

impl Driven for Install {}

impl Driven for Disconnect {}

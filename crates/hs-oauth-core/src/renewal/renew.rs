//! How one process renews the tokens of one account, through a store that can only load, compare and swap. `RENEWAL.md` beside this
//! crate's `Cargo.toml` is the protocol; the states here are its steps.
//!
//! The lease in the record lets one run at a time send a refresh, and each run sends at most one. New tokens are handed out only after
//! they are stored. A refused refresh means that the grant is gone only while the stored grant and tokens are those that were sent.

use std::time::Duration;

use super::backoff::HolderWait;
use super::error::TokenError;
use super::gone::PendingMark;
use super::id::HolderId;
use super::lease;
use super::loaded::{self, Loaded};
use super::policy::RenewalPolicy;
use super::record::{GrantState, Record, Stored};
use super::requirements::Requirements;
use super::response::{Examination, Outcome};
use super::run::{CurrentTokens, Deadline, Demand, Input, Run, Step};
use super::save::{Comparison, PendingSave, UnsavedTokens};
use super::store_calls::StoreCalls;
use crate::account::Account;
use crate::app::AppIdentity;
use crate::endpoint::{Introspect, Introspection, Refresh, Revoke};
use crate::error::{Error, StoreError, StoreErrorKind};
use crate::random::Random;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// One run that renews an account's tokens. A process has at most one at a time for an account.
#[derive(Debug)]
#[must_use = "a run does nothing until it is driven"]
pub struct Renewal {
    requirements: Requirements,
    random: Random,
    /// The identifier under which the run holds a lease.
    holder: HolderId,
    is_admitted: bool,
    has_sent: bool,
    /// Whether the grant was gone before it sent.
    has_rechecked: bool,
    pending_save: Option<PendingSave>,
    holder_wait: HolderWait,
    store: StoreCalls,
    /// Why the refresh that this run sent brought no tokens.
    refresh_error: Option<TokenError>,
    state: State,
}

/// What the run waits for: the result of its last step.
#[derive(Debug)]
enum State {
    Start,
    Load,
    /// It sleeps before it loads.
    Wait,
    Admit {
        stored: Box<Stored>,
        deadline: Deadline,
    },
    Take(Box<Record>),
    Send {
        leased: Box<Stored>,
        sent_at: Timestamp,
    },
    Save,
    /// It loads the record to compare it with the tokens that it could not save.
    Compare,
    /// It sleeps before it compares.
    CompareLater,
    Mark(PendingMark),
    /// It sleeps before it checks.
    MarkLater(PendingMark),
    /// It loads the record to check that the mark still applies.
    MarkCheck(PendingMark),
    /// It asks whose the new tokens are.
    Identify {
        leased: Box<Stored>,
        tokens: Box<TokenSet>,
    },
    Release {
        tokens: Box<TokenSet>,
        error: TokenError,
    },
    /// It releases its lease before it begins anew.
    Restart,
    Revoke,
    Done,
}

type Next = Step<CurrentTokens>;

impl Renewal {
    /// Returns a run that has not begun. It renews the tokens that `account` granted to `app`. No two runs may be given the
    /// same `random`.
    pub fn new(
        policy: RenewalPolicy,
        app: AppIdentity,
        account: Account,
        mut random: Random,
        demand: Demand,
    ) -> Self {
        Self {
            requirements: Requirements::new(policy, app, account, demand),
            holder: HolderId::generate(&mut random),
            random,
            is_admitted: false,
            has_sent: false,
            has_rechecked: false,
            pending_save: None,
            holder_wait: HolderWait::default(),
            store: StoreCalls::new(),
            refresh_error: None,
            state: State::Start,
        }
    }

    /// Begins with tokens that an earlier run of this process could not save.
    pub fn with_unsaved(mut self, unsaved: UnsavedTokens) -> Self {
        self.holder = unsaved.holder;
        self.pending_save = Some(PendingSave::again(unsaved));
        self
    }

    /// Returns the tokens that the run has received and has not saved. They may exist nowhere else. After a crash of the driver, or after
    /// [`TokenError::Unsaved`], the next run must begin with them.
    pub fn unsaved(&self) -> Option<&UnsavedTokens> {
        self.pending_save.as_ref().map(|pending| &pending.unsaved)
    }

    /// Returns the tokens that the run could not save, after [`TokenError::Unsaved`]. The next run must begin with them.
    pub fn into_unsaved(self) -> Option<UnsavedTokens> {
        self.pending_save.map(|pending| pending.unsaved)
    }

    /// Returns whether the run has sent a refresh of a grant that was gone. If HubSpot refused it, that is no news.
    pub fn has_rechecked(&self) -> bool {
        self.has_rechecked
    }

    /// Does what the loaded record asks for.
    fn loaded(&mut self, now: Timestamp, stored: Option<Stored>) -> Next {
        if let Some(Stored { record: Record { state, tokens: Some(tokens), .. }, .. }) = &stored {
            self.requirements.reject_unwanted(*state, tokens);
        }
        let may_recheck = !self.has_sent;
        match loaded::examine(now, &self.requirements, self.holder, &self.holder_wait, may_recheck, stored) {
            Loaded::HandOut(tokens) => self.found(tokens),
            Loaded::Fail(error) => self.done(Err(error)),
            Loaded::Wait { holder, max } => {
                let wait = self.holder_wait.next(holder, max, &mut self.random);
                self.wait(wait)
            }
            Loaded::OwnLease(stored) if self.may_send(now, &stored.record) => self.send(now, stored),
            Loaded::OwnLease(stored) => self.take(now, stored),
            Loaded::Renew(stored) if self.is_admitted => self.take(now, stored),
            Loaded::Renew(stored) => self.admit(now, stored),
        }
    }

    fn admit(&mut self, now: Timestamp, stored: Stored) -> Next {
        let deadline = self.requirements.deadline(now, &stored.record);
        self.state = State::Admit { stored: Box::new(stored), deadline };
        Step::Admit { deadline }
    }

    fn admitted(&mut self, now: Timestamp, stored: Stored, waited: bool) -> Next {
        self.is_admitted = true;
        match waited {
            true => self.load(State::Load),
            false => self.take(now, stored),
        }
    }

    fn skipped(&mut self, now: Timestamp, stored: Stored, deadline: Deadline) -> Next {
        match &stored.record.tokens {
            Some(tokens) if self.requirements.is_usable(now, tokens) => self.found(tokens.clone()),
            // The run would never end if the driver skipped it again and again.
            _ if deadline == Deadline::Now => self.done(Err(TokenError::Interrupted)),
            // The old token was usable when the driver read its clock, and no longer is.
            _ => self.admit(now, stored),
        }
    }

    /// Takes the lease of the record, if the run may still send a refresh.
    fn take(&mut self, now: Timestamp, stored: Stored) -> Next {
        let Stored { version, record } = stored;
        if self.has_sent {
            // The stored tokens are not those that were sent, and they have expired already. Another run has to renew them.
            return self.done(Err(TokenError::BackingOff { wait: Duration::ZERO, cause: None }));
        }
        if self.store.has_failed_too_often() {
            let error = TokenError::Store(StoreError::new(StoreErrorKind::Unavailable));
            return self.found_or(now, record.tokens, error);
        }
        let Some(tokens) = record.tokens.as_ref() else { return self.unreadable() };
        let until = now.plus(self.requirements.policy.timing(tokens).lease);
        let record = lease::taken_by(record, self.holder, until);
        self.swap(State::Take(Box::new(record.clone())), version, record)
    }

    fn taken(&mut self, now: Timestamp, leased: Stored) -> Next {
        if self.may_send(now, &leased.record) {
            return self.send(now, leased);
        }
        self.store.note_failure();
        self.load(State::Load)
    }

    fn not_taken(&mut self, now: Timestamp, record: Record, error: StoreError) -> Next {
        self.store.note_failure();
        let max = self.requirements.policy.longest_timing().lease;
        if self.store.has_failed_too_often() || self.store.has_lasted(now, max) {
            return self.found_or(now, record.tokens, TokenError::Store(error));
        }
        let wait = self.store.next_wait(&mut self.random);
        self.wait(wait)
    }

    fn send(&mut self, now: Timestamp, leased: Stored) -> Next {
        let Some(tokens) = leased.record.tokens.as_ref() else { return self.unreadable() };
        let timeout = self.requirements.policy.timing(tokens).request;
        let Some(token) = tokens.refresh_token.clone() else {
            return self.done(Err(TokenError::NotRenewable));
        };
        self.has_sent = true;
        self.has_rechecked = leased.record.state == GrantState::Gone;
        self.state = State::Send { leased: Box::new(leased), sent_at: now };
        Step::Send { refresh: Refresh::new(token), timeout }
    }

    /// Releases the lease without having sent anything.
    fn not_sent(&mut self, leased: Stored, error: TokenError) -> Next {
        let Stored { version, mut record } = leased;
        let Some(tokens) = record.tokens.clone() else { return self.unreadable() };
        record.lease = None;
        self.swap(State::Release { tokens: Box::new(tokens), error }, version, record)
    }

    /// Does what the response to the refresh asks for.
    fn received(
        &mut self,
        now: Timestamp,
        leased: Stored,
        sent_at: Timestamp,
        response: Result<TokenSet, Error>,
        is_mass_refusal: bool,
    ) -> Next {
        let Some(sent) = leased.record.tokens.clone() else { return self.unreadable() };
        self.refresh_error = response.as_ref().err().cloned().map(TokenError::from);
        let outcome = self.examination(now, &leased, &sent).of_refresh(sent_at, response, is_mass_refusal);
        self.do_outcome(leased, sent, outcome)
    }

    /// Does what HubSpot says of the new tokens asks for.
    fn identified(
        &mut self,
        now: Timestamp,
        leased: Stored,
        tokens: TokenSet,
        response: Result<Introspection, Error>,
    ) -> Next {
        let Some(sent) = leased.record.tokens.clone() else { return self.unreadable() };
        let outcome = self.examination(now, &leased, &sent).of_introspection(tokens, response);
        self.do_outcome(leased, sent, outcome)
    }

    fn examination<'r>(
        &'r mut self,
        now: Timestamp,
        leased: &'r Stored,
        sent: &'r TokenSet,
    ) -> Examination<'r> {
        let Self { requirements, random, .. } = self;
        Examination { now, requirements, leased: &leased.record, sent, random }
    }

    fn do_outcome(&mut self, leased: Stored, sent: TokenSet, outcome: Outcome) -> Next {
        match outcome {
            Outcome::Save { tokens, partial } => {
                self.pending_save =
                    Some(PendingSave::new(&leased.record, self.holder, sent, tokens, partial));
                self.save(leased)
            }
            Outcome::Identify { tokens } => {
                let introspect = Introspect::new(tokens.access_token.clone());
                self.state = State::Identify { leased: Box::new(leased), tokens: Box::new(tokens) };
                Step::Introspect(introspect)
            }
            Outcome::Mark { refusal } => self.mark(PendingMark::new(leased, refusal)),
            Outcome::Release { record, error } => {
                self.refresh_error = Some(error.clone());
                self.swap(State::Release { tokens: Box::new(sent), error }, leased.version, *record)
            }
        }
    }

    /// Saves the pending tokens over this record.
    fn save(&mut self, over: Stored) -> Next {
        let Some(pending) = self.pending_save.as_ref() else { return self.load(State::Load) };
        let owns_lease = lease::is_held_by(&over.record, self.holder);
        let mut record = pending.written_into(over.record, owns_lease);
        // HubSpot has just accepted the refresh token of this app. Before that, an old record might have been another app's.
        record.client_id.get_or_insert_with(|| self.requirements.app.client_id().to_owned());
        self.swap(State::Save, over.version, record)
    }

    fn saved(&mut self, now: Timestamp) -> Next {
        let Some(PendingSave { unsaved, .. }) = self.pending_save.take() else {
            return self.load(State::Load);
        };
        match unsaved.partial {
            Some(partial) => self.found_or(now, Some(unsaved.tokens), partial.0),
            // They were saved so late that they have expired already.
            None if !self.requirements.is_usable(now, &unsaved.tokens) => {
                // The holder may be that of an earlier run, whose tokens this one has saved.
                self.holder = HolderId::generate(&mut self.random);
                self.load(State::Load)
            }
            None => self.done(Ok(CurrentTokens {
                tokens: unsaved.tokens,
                version: self.store.version,
                renewed: true,
                refresh_error: None,
            })),
        }
    }

    /// Does with the pending tokens what the stored record asks for, after their save failed.
    fn compared(&mut self, now: Timestamp, stored: Option<Stored>) -> Next {
        let Some(pending) = self.pending_save.as_ref() else { return self.loaded(now, stored) };
        match pending.compare(stored) {
            Comparison::Saved => self.saved(now),
            Comparison::Unchanged(stored) => self.save(stored),
            Comparison::Superseded(stored) => {
                self.pending_save = None;
                self.restart(stored)
            }
            Comparison::Disconnected { revoke } => {
                self.pending_save = None;
                let Some(token) = revoke else { return self.done(Err(TokenError::NotInstalled)) };
                self.state = State::Revoke;
                Step::Revoke(Revoke::new(token))
            }
        }
    }

    fn not_saved(&mut self, now: Timestamp, error: StoreError) -> Next {
        let Some(pending) = self.pending_save.as_mut() else { return self.load(State::Load) };
        self.store.note_failure();
        let lease = self.requirements.policy.timing(&pending.unsaved.sent).lease;
        match pending.next_wait(now, lease, &self.store, &mut self.random) {
            Some(wait) => self.sleep(State::CompareLater, wait),
            None => {
                let tokens = Box::new(pending.unsaved.tokens.clone());
                self.done(Err(TokenError::Unsaved { tokens, error }))
            }
        }
    }

    fn mark(&mut self, pending: PendingMark) -> Next {
        let (expected, record) = (pending.expected(), pending.marked(self.holder));
        self.swap(State::Mark(pending), expected, record)
    }

    fn mark_checked(&mut self, pending: PendingMark, stored: Option<Stored>) -> Next {
        match stored {
            None => self.load(State::Load),
            Some(stored) if pending.applies_to(&stored) => {
                self.mark(PendingMark::new(stored, pending.refusal))
            }
            Some(stored) => self.restart(stored),
        }
    }

    fn not_marked(&mut self, pending: PendingMark, error: StoreError) -> Next {
        self.store.note_failure();
        if self.store.has_failed_too_often() {
            // "Gone" is not stored, so it is not returned. HubSpot refuses the next run too, which costs one request and no account.
            return self.done(Err(TokenError::Store(error)));
        }
        let wait = self.store.next_wait(&mut self.random);
        self.sleep(State::MarkLater(pending), wait)
    }

    /// Begins anew, after it has released the lease if it still holds it.
    fn restart(&mut self, stored: Stored) -> Next {
        let Stored { version, mut record } = stored;
        // The record named no app when the lease was taken. It is not written any more, so the lease lapses.
        if let Some(error) = self.requirements.other_app(record.client_id.as_deref()) {
            return self.done(Err(error));
        }
        let owns_lease = lease::is_held_by(&record, self.holder);
        self.holder = HolderId::generate(&mut self.random);
        if !owns_lease {
            return self.load(State::Load);
        }
        record.lease = None;
        self.swap(State::Restart, version, record)
    }

    fn may_send(&self, now: Timestamp, record: &Record) -> bool {
        lease::may_send(now, &self.requirements.policy, record)
    }

    fn load(&mut self, state: State) -> Next {
        self.state = state;
        self.store.load()
    }

    fn swap(&mut self, state: State, expected: u64, record: Record) -> Next {
        self.state = state;
        self.store.swap(expected, record)
    }

    /// Waits before it loads. Meanwhile others may renew, so it is admitted anew.
    fn wait(&mut self, duration: Duration) -> Next {
        self.is_admitted = false;
        self.sleep(State::Wait, duration)
    }

    fn sleep(&mut self, state: State, duration: Duration) -> Next {
        self.state = state;
        Step::Sleep(duration)
    }

    /// Ends the run with old tokens while they may be handed out, else with the error.
    fn found_or(&mut self, now: Timestamp, tokens: Option<TokenSet>, error: TokenError) -> Next {
        match tokens {
            Some(tokens) if self.requirements.is_usable(now, &tokens) => self.found(tokens),
            _ => self.done(Err(error)),
        }
    }

    /// Ends the run with tokens that it found in the store.
    fn found(&mut self, tokens: TokenSet) -> Next {
        let refresh_error = self.refresh_error.take();
        self.done(Ok(CurrentTokens { tokens, version: self.store.version, renewed: false, refresh_error }))
    }

    fn unreadable(&mut self) -> Next {
        self.done(Err(TokenError::Store(StoreError::new(StoreErrorKind::Unreadable))))
    }

    fn done(&mut self, result: Result<CurrentTokens, TokenError>) -> Next {
        self.state = State::Done;
        Step::Done(result)
    }
}

impl Run for Renewal {
    type Output = CurrentTokens;

    fn start(&mut self, now: Timestamp) -> Next {
        self.store.begin(now);
        match self.pending_save {
            Some(_) => self.load(State::Compare),
            None => self.load(State::Load),
        }
    }

    fn resume(&mut self, now: Timestamp, input: Input) -> Next {
        self.store.note_result(&input, &self.requirements.policy);
        match (std::mem::replace(&mut self.state, State::Done), input) {
            (State::Load, Input::Loaded(stored)) => self.loaded(now, stored),
            (State::Load, Input::StoreFailed(error)) => self.done(Err(TokenError::Store(error))),
            (State::Wait, Input::Slept) => self.load(State::Load),
            (State::Wait, Input::ShuttingDown) => self.done(Err(TokenError::ShutDown)),

            (State::Admit { stored, .. }, Input::Admit { waited }) => self.admitted(now, *stored, waited),
            (State::Admit { stored, deadline }, Input::Skip) => self.skipped(now, *stored, deadline),
            (State::Admit { stored, .. }, Input::ShuttingDown) => {
                self.found_or(now, stored.record.tokens, TokenError::ShutDown)
            }

            (State::Admit { stored, .. }, Input::Paused { wait, cause }) => {
                let error = TokenError::BackingOff { wait, cause: Some(cause) };
                self.found_or(now, stored.record.tokens, error)
            }

            (State::Take(record), Input::Stored(version)) => {
                self.taken(now, Stored { version, record: *record })
            }
            (State::Take(_), Input::Conflict) if self.store.is_first_conflict() => self.load(State::Load),
            (State::Take(record), Input::Conflict) => self.not_taken(now, *record, StoreError::conflicts()),
            (State::Take(record), Input::StoreFailed(error)) => self.not_taken(now, *record, error),

            (State::Send { leased, sent_at }, Input::Refreshed { response, is_mass_refusal }) => {
                self.received(now, *leased, sent_at, response, is_mass_refusal)
            }
            (State::Identify { leased, tokens }, Input::Introspected(response)) => {
                self.identified(now, *leased, *tokens, response)
            }
            (State::Send { leased, .. }, Input::Paused { wait, cause }) => {
                self.not_sent(*leased, TokenError::BackingOff { wait, cause: Some(cause) })
            }
            (State::Send { leased, .. }, Input::ShuttingDown) => self.not_sent(*leased, TokenError::ShutDown),

            (State::Save, Input::Stored(_)) => self.saved(now),
            (State::Save, Input::Conflict) if !self.store.is_first_conflict() => {
                self.not_saved(now, StoreError::conflicts())
            }
            (State::Save, Input::Conflict) | (State::CompareLater, Input::Slept) => self.load(State::Compare),
            (State::Save | State::Compare, Input::StoreFailed(error)) => self.not_saved(now, error),
            (State::Compare, Input::Loaded(stored)) => self.compared(now, stored),

            (State::Mark(pending), Input::Stored(_)) => {
                let unsettled = pending.unsettled();
                self.done(Err(TokenError::Gone { unsettled, refusal: Some(pending.refusal) }))
            }
            (State::Mark(pending), Input::StoreFailed(error)) => self.not_marked(pending, error),
            (State::Mark(pending), Input::Conflict) if !self.store.is_first_conflict() => {
                self.not_marked(pending, StoreError::conflicts())
            }
            (State::Mark(pending), Input::Conflict) | (State::MarkLater(pending), Input::Slept) => {
                self.load(State::MarkCheck(pending))
            }
            (State::MarkCheck(pending), Input::Loaded(stored)) => self.mark_checked(pending, stored),
            // The store does not say that the grant is gone, so the run must not say so.
            (State::MarkCheck(_), Input::StoreFailed(error)) => self.done(Err(TokenError::Store(error))),

            (
                State::Release { tokens, error },
                Input::Stored(_) | Input::Conflict | Input::StoreFailed(_),
            ) => self.found_or(now, Some(*tokens), error),
            (State::Restart, Input::Stored(_) | Input::Conflict | Input::StoreFailed(_)) => {
                self.load(State::Load)
            }
            (State::Revoke, Input::Revoked(_)) => self.done(Err(TokenError::NotInstalled)),
            _ => self.done(Err(TokenError::Interrupted)),
        }
    }
}

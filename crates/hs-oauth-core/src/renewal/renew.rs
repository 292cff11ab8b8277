//! How one process renews one account's tokens, through a store that can only compare and swap. `RENEWAL.md` beside this crate's
//! `Cargo.toml` is the protocol.
//!
//! The lease inside the record lets one run at a time send, and each run sends at most once. New tokens are handed out only when
//! they are stored. A refused refresh means that the grant is gone only while the stored grant and tokens are those that were sent.

use std::time::Duration;

use super::backoff::{HolderWait, MAX_RETRY, next_retry, store_wait};
use super::error::TokenError;
use super::policy::{Decision, RenewalPolicy};
use super::record::{GrantState, HolderId, Lease, Record, Retry, Stored};
use super::run::{CurrentTokens, Deadline, Demand, Input, Run, Step};
use super::save::{Comparison, PendingSave, UnsavedTokens};
use crate::endpoint::{Refresh, Revoke};
use crate::error::{Error, NextStep, StoreError, StoreErrorKind};
use crate::limits::STORE_TIMEOUT;
use crate::random::Random;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// One run of the renewal. A process has at most one at a time for an account.
#[derive(Debug)]
#[must_use = "a run does nothing until it is driven"]
pub struct Renewal {
    policy: RenewalPolicy,
    demand: Demand,
    random: Random,
    holder: HolderId,
    is_admitted: bool,
    has_sent: bool,
    pending_save: Option<PendingSave>,
    holder_wait: HolderWait,
    failed_attempts: u32,
    has_conflicted: bool,
    began: Timestamp,
    /// The version of the record last loaded or written.
    version: u64,
    store_timeout: Duration,
    /// Why the refresh that this run sent brought no tokens.
    refresh_error: Option<Error>,
    state: State,
}

/// The step whose outcome is awaited.
#[derive(Debug)]
enum State {
    Start,
    Load,
    Wait,
    Admit { stored: Box<Stored>, deadline: Deadline },
    Take(Box<Record>),
    Send { leased: Box<Stored>, sent_at: Timestamp },
    Save,
    Compare,
    CompareLater,
    Mark { sent: Box<Stored>, refusal: Error },
    MarkLater { sent: Box<Stored>, refusal: Error },
    MarkCheck { sent: Box<Stored>, refusal: Error },
    Release { tokens: Box<TokenSet>, error: Error },
    Restart,
    Revoke,
    Done,
}

/// What a failed refresh says of the grant.
enum Failure {
    /// HubSpot refused the grant.
    Gone,
    /// HubSpot did not act, or nobody knows whether it did.
    Kept { unsettled: bool },
}

/// How often a run takes a lease in vain, since the store fails or is too slow, before it gives up.
const MAX_FAILED_ATTEMPTS: u32 = 5;

impl Renewal {
    /// Returns a run that has not begun. `random` must be unlike any other run's.
    pub fn new(policy: RenewalPolicy, mut random: Random, demand: Demand) -> Self {
        Self {
            policy,
            demand,
            holder: HolderId::generate(&mut random),
            random,
            is_admitted: false,
            has_sent: false,
            pending_save: None,
            holder_wait: HolderWait::default(),
            failed_attempts: 0,
            has_conflicted: false,
            began: Timestamp::from_millis(0),
            version: 0,
            store_timeout: STORE_TIMEOUT,
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

    /// Returns, after [`TokenError::Unsaved`], what the next run must begin with.
    pub fn into_unsaved(self) -> Option<UnsavedTokens> {
        self.pending_save.map(|pending| pending.unsaved)
    }

    fn load(&mut self) -> Step<CurrentTokens> {
        self.load_as(State::Load)
    }

    fn load_as(&mut self, state: State) -> Step<CurrentTokens> {
        self.state = state;
        Step::Load { timeout: self.store_timeout }
    }

    fn swap(&mut self, state: State, expected: u64, record: Record) -> Step<CurrentTokens> {
        self.state = state;
        Step::Swap { expected: Some(expected), record: Box::new(record), timeout: self.store_timeout }
    }

    fn sleep(&mut self, state: State, time: Duration) -> Step<CurrentTokens> {
        self.state = state;
        Step::Sleep(time)
    }

    /// Begins as a run of its own: the holder may be that of an earlier run, whose tokens this one has saved.
    fn begin_anew(&mut self) -> Step<CurrentTokens> {
        self.holder = HolderId::generate(&mut self.random);
        self.load()
    }

    fn loaded(&mut self, now: Timestamp, stored: Option<Stored>) -> Step<CurrentTokens> {
        let Some(stored) = stored else { return self.done(Err(TokenError::NotInstalled)) };
        let record = &stored.record;
        match record.state {
            GrantState::Live => {}
            GrantState::Gone => {
                let unsettled = record.unsettled;
                return self.done(Err(TokenError::Gone { unsettled, refusal: None }));
            }
            GrantState::Disconnected => return self.done(Err(TokenError::NotInstalled)),
        }
        let Some(tokens) = record.tokens.as_ref() else { return self.unreadable() };
        if self.demand == Demand::Newer {
            self.demand = Demand::OtherThan(tokens.access_token.clone());
        }
        let usable = self.is_usable(now, tokens);
        let fresh = self.policy.decide(now, tokens) == Decision::Use || self.demand != Demand::Usable;
        if usable && fresh {
            return self.found(tokens.clone());
        }
        if tokens.refresh_token.is_none() {
            return match usable {
                true => self.found(tokens.clone()),
                false => self.done(Err(TokenError::NotRenewable)),
            };
        }
        if self.owns_lease_of(record) {
            return match self.may_send(now, record) {
                true => self.send(now, stored),
                false => self.take(now, stored),
            };
        }
        if let Some(wait) = self.back_off(now, record, tokens) {
            return match usable {
                true => self.found(tokens.clone()),
                false => self.done(Err(TokenError::BackingOff { wait })),
            };
        }
        if let Some((holder, wait)) = self.lease_of_another(now, record, tokens) {
            return match usable {
                true => self.found(tokens.clone()),
                false => self.wait(holder, wait),
            };
        }
        match self.is_admitted {
            true => self.take(now, stored),
            false => self.admit(now, stored),
        }
    }

    /// Returns how long the record's back-off still lasts. One that ends too far off is the work of a clock.
    fn back_off(&self, now: Timestamp, record: &Record, tokens: &TokenSet) -> Option<Duration> {
        let retry = record.retry.as_ref()?;
        let legal = retry.at <= now.plus(MAX_RETRY + self.policy.timing(tokens).clock_margin);
        if retry.at > now && legal {
            return Some(retry.at.since(now));
        }
        None
    }

    /// Returns the holder of the record's lease and how long it may still last, unless the lease may be taken over.
    fn lease_of_another(
        &self,
        now: Timestamp,
        record: &Record,
        tokens: &TokenSet,
    ) -> Option<(HolderId, Duration)> {
        let lease = record.lease.as_ref()?;
        let timing = self.policy.timing(tokens);
        let over = lease.until.plus(timing.clock_margin);
        // By the longest lease there is: it may have been taken for tokens that live longer than these.
        let longest = self.policy.longest_timing();
        let legal = lease.until <= now.plus(longest.lease + longest.clock_margin);
        let patient = self.holder_wait.waited_for(lease.holder) < timing.lease + timing.clock_margin;
        (now <= over && legal && patient).then(|| (lease.holder, over.since(now)))
    }

    fn admit(&mut self, now: Timestamp, stored: Stored) -> Step<CurrentTokens> {
        let usable = stored.record.tokens.as_ref().filter(|tokens| self.is_usable(now, tokens));
        let deadline =
            usable.map_or(Deadline::Now, |tokens| Deadline::At(self.policy.schedule(tokens).usable_until));
        self.state = State::Admit { stored: Box::new(stored), deadline };
        Step::Admit { deadline }
    }

    fn admitted(&mut self, now: Timestamp, stored: Stored, waited: bool) -> Step<CurrentTokens> {
        self.is_admitted = true;
        match waited {
            true => self.load(),
            false => self.take(now, stored),
        }
    }

    fn skipped(&mut self, now: Timestamp, stored: Stored, deadline: Deadline) -> Step<CurrentTokens> {
        match &stored.record.tokens {
            Some(tokens) if self.is_usable(now, tokens) => self.found(tokens.clone()),
            // A driver that goes on saying so would keep the run for ever.
            _ if deadline == Deadline::Now => self.done(Err(TokenError::Interrupted)),
            // The last moment of the old token was between the driver's look at the clock and this one.
            _ => self.admit(now, stored),
        }
    }

    fn shutting_down(&mut self, now: Timestamp, stored: Stored) -> Step<CurrentTokens> {
        match stored.record.tokens {
            Some(tokens) if self.is_usable(now, &tokens) => self.found(tokens),
            _ => self.done(Err(TokenError::ShutDown)),
        }
    }

    fn wait(&mut self, holder: HolderId, max: Duration) -> Step<CurrentTokens> {
        let wait = self.holder_wait.next(holder, max, &mut self.random);
        self.sleep(State::Wait, wait)
    }

    fn take(&mut self, now: Timestamp, stored: Stored) -> Step<CurrentTokens> {
        let Stored { version, mut record } = stored;
        if self.has_sent {
            // The stored tokens are not those it sent from, and have expired already: a matter for another run.
            return self.done(Err(TokenError::BackingOff { wait: Duration::ZERO }));
        }
        if self.failed_attempts >= MAX_FAILED_ATTEMPTS {
            return self.give_up(now, record, StoreError::new(StoreErrorKind::Unavailable));
        }
        let Some(tokens) = record.tokens.as_ref() else { return self.unreadable() };
        let until = now.plus(self.policy.timing(tokens).lease);
        if record.lease.is_some() && !self.owns_lease_of(&record) {
            record.unsettled = true;
        }
        record.lease = Some(Lease::new(self.holder, until));
        self.swap(State::Take(Box::new(record.clone())), version, record)
    }

    fn taken(&mut self, now: Timestamp, leased: Stored) -> Step<CurrentTokens> {
        match self.may_send(now, &leased.record) {
            true => self.send(now, leased),
            false => {
                self.failed_attempts += 1;
                self.load()
            }
        }
    }

    fn not_taken(&mut self, now: Timestamp, record: Record, error: StoreError) -> Step<CurrentTokens> {
        self.failed_attempts += 1;
        // A store that fails slowly uses up the time of a lease long before the attempts.
        let is_late = now >= self.began.plus(self.policy.longest_timing().lease);
        if self.failed_attempts >= MAX_FAILED_ATTEMPTS || is_late {
            return self.give_up(now, record, error);
        }
        let wait = store_wait(&mut self.random, self.failed_attempts);
        self.sleep(State::Wait, wait)
    }

    /// Another's write may come in between once. A store that never does anything else is a store that fails.
    fn is_first_conflict(&mut self) -> bool {
        !std::mem::replace(&mut self.has_conflicted, true)
    }

    /// Ends a run to which the store gives no lease in time.
    fn give_up(&mut self, now: Timestamp, record: Record, error: StoreError) -> Step<CurrentTokens> {
        match record.tokens {
            Some(tokens) if self.is_usable(now, &tokens) => self.found(tokens),
            _ => self.done(Err(TokenError::Store(error))),
        }
    }

    fn may_send(&self, now: Timestamp, record: &Record) -> bool {
        let (Some(tokens), Some(lease)) = (&record.tokens, &record.lease) else { return false };
        let timing = self.policy.timing(tokens);
        now.plus(timing.request + timing.save) <= lease.until
    }

    fn send(&mut self, now: Timestamp, leased: Stored) -> Step<CurrentTokens> {
        let Some(tokens) = leased.record.tokens.as_ref() else { return self.unreadable() };
        let timeout = self.policy.timing(tokens).request;
        let Some(token) = tokens.refresh_token.clone() else {
            return self.done(Err(TokenError::NotRenewable));
        };
        self.has_sent = true;
        self.state = State::Send { leased: Box::new(leased), sent_at: now };
        Step::Send { refresh: Refresh::new(token), timeout }
    }

    fn received(
        &mut self,
        now: Timestamp,
        leased: Stored,
        sent_at: Timestamp,
        response: Result<TokenSet, Error>,
    ) -> Step<CurrentTokens> {
        let Some(sent) = leased.record.tokens.clone() else { return self.unreadable() };
        self.refresh_error = response.as_ref().err().cloned();
        match response {
            Ok(tokens) => {
                let tokens = succeed(&sent, tokens, sent_at);
                self.keep(leased, sent, tokens, None)
            }
            Err(error) => match failure(&error) {
                Failure::Gone => self.mark(leased, error),
                Failure::Kept { unsettled } => {
                    let retry = next_retry(now, &leased.record, &error, &mut self.random);
                    match error.rescued_refresh_token() {
                        Some(rescued) if Some(rescued) != sent.refresh_token.as_ref() => {
                            let mut tokens = sent.clone();
                            tokens.refresh_token = Some(rescued.clone());
                            self.keep(leased, sent, tokens, Some(Box::new((error, retry))))
                        }
                        _ => self.release(leased, sent, retry, unsettled, error),
                    }
                }
            },
        }
    }

    fn keep(
        &mut self,
        leased: Stored,
        sent: TokenSet,
        tokens: TokenSet,
        partial: Option<Box<(Error, Retry)>>,
    ) -> Step<CurrentTokens> {
        let until = leased.record.lease.as_ref().map_or(Timestamp::from_millis(0), |lease| lease.until);
        let unsaved =
            UnsavedTokens { grant: leased.record.grant, sent, tokens, holder: self.holder, partial };
        self.pending_save = Some(PendingSave::new(unsaved, until));
        self.save(leased)
    }

    fn save(&mut self, over: Stored) -> Step<CurrentTokens> {
        let owns_lease = self.owns_lease_of(&over.record);
        let Some(pending) = self.pending_save.as_ref() else { return self.load() };
        let record = pending.written_into(over.record, owns_lease);
        self.swap(State::Save, over.version, record)
    }

    fn saved(&mut self, now: Timestamp) -> Step<CurrentTokens> {
        let Some(PendingSave { unsaved, .. }) = self.pending_save.take() else { return self.load() };
        match unsaved.partial {
            Some(partial) => self.unrenewed(now, unsaved.tokens, partial.0),
            // Saved so late that they have expired already.
            None if !self.is_usable(now, &unsaved.tokens) => self.begin_anew(),
            None => self.done(Ok(CurrentTokens {
                tokens: unsaved.tokens,
                version: self.version,
                renewed: true,
                refresh_error: None,
            })),
        }
    }

    fn compared(&mut self, now: Timestamp, stored: Option<Stored>) -> Step<CurrentTokens> {
        let Some(pending) = self.pending_save.as_ref() else { return self.loaded(now, stored) };
        match (pending.compare(stored.as_ref()), stored) {
            (Comparison::Saved, _) => self.saved(now),
            (Comparison::Unchanged, Some(stored)) => self.save(stored),
            (Comparison::Superseded, Some(stored)) => {
                self.pending_save = None;
                self.restart(stored)
            }
            (Comparison::Disconnected { revoke: Some(dropped) }, _) => {
                self.pending_save = None;
                self.state = State::Revoke;
                Step::Revoke(Revoke::new(dropped))
            }
            (Comparison::Disconnected { revoke: None }, _) | (_, None) => {
                self.pending_save = None;
                self.done(Err(TokenError::NotInstalled))
            }
        }
    }

    fn not_saved(&mut self, now: Timestamp, error: StoreError) -> Step<CurrentTokens> {
        let Some(pending) = self.pending_save.as_mut() else { return self.load() };
        let lease = self.policy.timing(&pending.unsaved.sent).lease;
        let failed_attempts = self.failed_attempts.saturating_add(1);
        match pending.next_wait(now, lease, &mut self.random, failed_attempts) {
            Some(wait) => {
                self.failed_attempts = failed_attempts;
                self.sleep(State::CompareLater, wait)
            }
            None => {
                let tokens = Box::new(pending.unsaved.tokens.clone());
                self.done(Err(TokenError::Unsaved { tokens, error }))
            }
        }
    }

    fn mark(&mut self, sent: Stored, refusal: Error) -> Step<CurrentTokens> {
        let mut record = sent.record.clone();
        record.state = GrantState::Gone;
        record.lease = None;
        let expected = sent.version;
        self.swap(State::Mark { sent: Box::new(sent), refusal }, expected, record)
    }

    fn mark_checked(&mut self, sent: Stored, refusal: Error, stored: Option<Stored>) -> Step<CurrentTokens> {
        let Some(stored) = stored else { return self.load() };
        let tokens = sent.record.tokens.as_ref();
        let same = tokens.is_some_and(|tokens| stored.record.is_same(sent.record.grant, tokens));
        match same && stored.record.state == GrantState::Live {
            true => self.mark(stored, refusal),
            false => self.restart(stored),
        }
    }

    fn not_marked(&mut self, sent: Stored, refusal: Error, error: StoreError) -> Step<CurrentTokens> {
        self.failed_attempts += 1;
        if self.failed_attempts >= MAX_FAILED_ATTEMPTS {
            // Not stored, so it is not said: the next run is refused again, which costs a request and no account.
            return self.done(Err(TokenError::Store(error)));
        }
        let wait = store_wait(&mut self.random, self.failed_attempts);
        self.sleep(State::MarkLater { sent: Box::new(sent), refusal }, wait)
    }

    fn release(
        &mut self,
        leased: Stored,
        tokens: TokenSet,
        retry: Retry,
        unsettled: bool,
        error: Error,
    ) -> Step<CurrentTokens> {
        let Stored { version, mut record } = leased;
        record.lease = None;
        record.retry = Some(retry);
        record.unsettled |= unsettled;
        self.swap(State::Release { tokens: Box::new(tokens), error }, version, record)
    }

    fn restart(&mut self, stored: Stored) -> Step<CurrentTokens> {
        let owns_lease = self.owns_lease_of(&stored.record);
        self.holder = HolderId::generate(&mut self.random);
        if !owns_lease {
            return self.load();
        }
        let Stored { version, mut record } = stored;
        record.lease = None;
        self.swap(State::Restart, version, record)
    }

    /// Ends a run that renewed nothing: with the old tokens while they may be handed out, else with the error.
    fn unrenewed(&mut self, now: Timestamp, tokens: TokenSet, error: Error) -> Step<CurrentTokens> {
        match self.is_usable(now, &tokens) {
            true => self.found(tokens),
            false => self.done(Err(error.into())),
        }
    }

    fn found(&mut self, tokens: TokenSet) -> Step<CurrentTokens> {
        let refresh_error = self.refresh_error.take();
        self.done(Ok(CurrentTokens { tokens, version: self.version, renewed: false, refresh_error }))
    }

    fn unreadable(&mut self) -> Step<CurrentTokens> {
        self.done(Err(TokenError::Store(StoreError::new(StoreErrorKind::Unreadable))))
    }

    fn done(&mut self, result: Result<CurrentTokens, TokenError>) -> Step<CurrentTokens> {
        self.state = State::Done;
        Step::Done(result)
    }

    fn is_usable(&self, now: Timestamp, tokens: &TokenSet) -> bool {
        let rejected =
            matches!(&self.demand, Demand::OtherThan(rejected) if *rejected == tokens.access_token);
        !rejected && self.policy.decide(now, tokens) != Decision::RenewNow
    }

    fn owns_lease_of(&self, record: &Record) -> bool {
        record.lease.as_ref().is_some_and(|lease| lease.holder == self.holder)
    }
}

impl Run for Renewal {
    type Output = CurrentTokens;

    fn start(&mut self, now: Timestamp) -> Step<CurrentTokens> {
        self.began = now;
        match self.pending_save {
            Some(_) => self.load_as(State::Compare),
            None => self.load(),
        }
    }

    fn resume(&mut self, now: Timestamp, input: Input) -> Step<CurrentTokens> {
        match &input {
            Input::Loaded(Some(Stored { version, record })) => {
                self.version = *version;
                if let Some(tokens) = &record.tokens {
                    self.store_timeout = self.policy.timing(tokens).save;
                }
            }
            Input::Stored(version) => self.version = *version,
            _ => {}
        }
        match (std::mem::replace(&mut self.state, State::Done), input) {
            (State::Load, Input::Loaded(stored)) => self.loaded(now, stored),
            (State::Load, Input::StoreFailed(error)) => self.done(Err(TokenError::Store(error))),
            (State::Wait, Input::Slept) => self.load(),
            (State::Admit { stored, .. }, Input::Admit { waited }) => self.admitted(now, *stored, waited),
            (State::Admit { stored, deadline }, Input::Skip) => self.skipped(now, *stored, deadline),
            (State::Admit { stored, .. }, Input::ShuttingDown) => self.shutting_down(now, *stored),
            (State::Take(record), Input::Stored(version)) => {
                self.taken(now, Stored { version, record: *record })
            }
            (State::Take(_), Input::Conflict) if self.is_first_conflict() => self.load(),
            (State::Take(record), Input::Conflict) => self.not_taken(now, *record, StoreError::conflicts()),
            (State::Take(record), Input::StoreFailed(error)) => self.not_taken(now, *record, error),
            (State::Send { leased, sent_at }, Input::Refreshed(response)) => {
                self.received(now, *leased, sent_at, response)
            }
            (State::Save, Input::Stored(_)) => self.saved(now),
            (State::Save, Input::Conflict) if !self.is_first_conflict() => {
                self.not_saved(now, StoreError::conflicts())
            }
            (State::Save, Input::Conflict) | (State::CompareLater, Input::Slept) => {
                self.load_as(State::Compare)
            }
            (State::Save | State::Compare, Input::StoreFailed(error)) => self.not_saved(now, error),
            (State::Compare, Input::Loaded(stored)) => self.compared(now, stored),
            (State::Mark { sent, refusal }, Input::Stored(_)) => {
                let unsettled = sent.record.unsettled;
                self.done(Err(TokenError::Gone { unsettled, refusal: Some(refusal) }))
            }
            (State::Mark { sent, refusal }, Input::StoreFailed(error)) => {
                self.not_marked(*sent, refusal, error)
            }
            (State::Mark { sent, refusal }, Input::Conflict) if !self.is_first_conflict() => {
                self.not_marked(*sent, refusal, StoreError::conflicts())
            }
            (State::Mark { sent, refusal }, Input::Conflict)
            | (State::MarkLater { sent, refusal }, Input::Slept) => {
                self.load_as(State::MarkCheck { sent, refusal })
            }
            (State::MarkCheck { sent, refusal }, Input::Loaded(stored)) => {
                self.mark_checked(*sent, refusal, stored)
            }
            // Not known to be gone, so it must not be called gone.
            (State::MarkCheck { .. }, Input::StoreFailed(error)) => self.done(Err(TokenError::Store(error))),
            (
                State::Release { tokens, error },
                Input::Stored(_) | Input::Conflict | Input::StoreFailed(_),
            ) => self.unrenewed(now, *tokens, error),
            (State::Restart, Input::Stored(_) | Input::Conflict | Input::StoreFailed(_)) => self.load(),
            (State::Revoke, Input::Revoked(_)) => self.done(Err(TokenError::NotInstalled)),
            _ => self.done(Err(TokenError::Interrupted)),
        }
    }
}

/// Returns the new tokens with what only the old ones said, since responses differ in what they repeat.
fn succeed(old: &TokenSet, mut new: TokenSet, sent_at: Timestamp) -> TokenSet {
    // Counted from sending, whatever the transport counted from.
    let latest = TokenSet::new(new.access_token.clone(), new.expires_in, sent_at).expires_at;
    new.expires_at = new.expires_at.min(latest);
    new.refresh_token = new.refresh_token.or_else(|| old.refresh_token.clone());
    new.hub_id = new.hub_id.or(old.hub_id);
    new.user_id = new.user_id.or(old.user_id);
    new.scopes = new.scopes.or_else(|| old.scopes.clone());
    new.unknown = old.unknown.clone();
    new
}

fn failure(error: &Error) -> Failure {
    match (error.next_step(), error) {
        (NextStep::Reauthorize, _) => Failure::Gone,
        (_, Error::Api(error)) => Failure::Kept { unsettled: error.status.as_u16() >= 500 },
        (_, Error::Transport(error)) => Failure::Kept { unsettled: !error.kind().surely_unsent() },
        // A response that cannot be used was a response.
        _ => Failure::Kept { unsettled: true },
    }
}

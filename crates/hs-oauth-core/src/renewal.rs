//! How one process renews one account's tokens, through a store that can only compare and swap. `RENEWAL.md` beside this crate's
//! `Cargo.toml` is the protocol.
//!
//! The lease inside the record lets one run at a time send, each run at most once. New tokens are handed out only when they
//! are stored. A refusal means that the grant is gone only while the stored grant and tokens are those that were sent.

use std::time::Duration;

use crate::endpoint::{Refresh, Revoke};
use crate::error::{Error, NextStep, StoreError, StoreFailure, TokenError};
use crate::policy::{Decision, RefreshPolicy};
use crate::random::Random;
use crate::record::{Grant, GrantState, Holder, Lease, Record, Retry, Stored};
use crate::step::{Demand, Held, Input, Run, Step};
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// One run of the renewal. A process has at most one at a time for an account.
#[derive(Debug)]
#[must_use = "a run does nothing until it is driven"]
pub struct Renewal {
    policy: RefreshPolicy,
    demand: Demand,
    random: Random,
    holder: Holder,
    has_turn: bool,
    has_sent: bool,
    in_hand: Option<InHand>,
    waited: Waited,
    strikes: u32,
    has_conflicted: bool,
    began: Timestamp,
    /// Of the record last loaded or written.
    version: u64,
    at: At,
}

/// New tokens that a run could not save. The next run of the same process must begin with them.
#[derive(Clone, Debug)]
pub struct Unsaved {
    grant: Grant,
    sent: TokenSet,
    tokens: TokenSet,
    /// Whose lease they were got under: it may stand still.
    holder: Holder,
    /// Set if the answer could not be used but for its refresh token: why, and when the fleet may try again.
    hurt: Option<Box<(Error, Retry)>>,
}

/// Tokens that HubSpot has issued and the store perhaps not.
#[derive(Debug)]
struct InHand {
    unsaved: Unsaved,
    /// The end of the lease they were got under: until then, the run tries to save them.
    until: Timestamp,
    /// How long it has slept over that; the clock may have been set back meanwhile.
    slept: Duration,
}

/// The step whose outcome is awaited.
#[derive(Debug)]
enum At {
    Start,
    Load,
    Wait,
    Turn { stored: Box<Stored>, by: Timestamp },
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

/// How long this run has waited for one holder.
#[derive(Debug, Default)]
struct Waited {
    holder: Option<Holder>,
    time: Duration,
    times: u32,
}

/// What a failed refresh says of the grant.
enum Failure {
    /// HubSpot refused the grant.
    Gone,
    /// HubSpot did not act, or nobody knows whether it did.
    Kept { unsettled: bool },
}

/// The leases that a run takes in vain, since the store fails or is too slow, before it gives up.
const STRIKES: u32 = 5;

impl Renewal {
    /// A run. `random` must be unlike any other run's.
    pub fn new(policy: RefreshPolicy, mut random: Random, demand: Demand) -> Self {
        Self {
            policy,
            demand,
            holder: Holder::draw(&mut random),
            random,
            has_turn: false,
            has_sent: false,
            in_hand: None,
            waited: Waited::default(),
            strikes: 0,
            has_conflicted: false,
            began: Timestamp::from_millis(0),
            version: 0,
            at: At::Start,
        }
    }

    /// Begins with tokens that an earlier run of this process could not save.
    pub fn with_unsaved(mut self, unsaved: Unsaved) -> Self {
        self.holder = unsaved.holder;
        self.in_hand = Some(InHand { unsaved, until: Timestamp::from_millis(0), slept: Duration::ZERO });
        self
    }

    /// After [`TokenError::Unsaved`]: what the next run must begin with.
    pub fn into_unsaved(self) -> Option<Unsaved> {
        self.in_hand.map(|in_hand| in_hand.unsaved)
    }

    fn load(&mut self) -> Step<Held> {
        self.at = At::Load;
        Step::Load
    }

    /// As a run of its own: the holder may be that of an earlier run, whose tokens this one has saved.
    fn begin_anew(&mut self) -> Step<Held> {
        self.holder = Holder::draw(&mut self.random);
        self.load()
    }

    fn loaded(&mut self, now: Timestamp, stored: Option<Stored>) -> Step<Held> {
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
        let timing = self.policy.timing(tokens);
        if self.owns_lease_of(record) {
            return match self.may_send(now, record) {
                true => self.send(now, stored),
                false => self.take(now, stored),
            };
        }
        if let Some(retry) = &record.retry {
            let legal = retry.at <= now.plus(LONGEST_RETRY + timing.clock_margin);
            if retry.at > now && legal {
                let wait = retry.at.since(now);
                return match usable {
                    true => self.found(tokens.clone()),
                    false => self.done(Err(TokenError::BackingOff { wait })),
                };
            }
        }
        if let Some(lease) = &record.lease {
            let over = lease.until.plus(timing.clock_margin);
            // By the longest lease there is: it may have been taken for tokens that live longer than these.
            let longest = self.policy.longest_timing();
            let legal = lease.until <= now.plus(longest.lease + longest.clock_margin);
            let patient = self.waited.time_for(lease.holder) < timing.lease + timing.clock_margin;
            if now <= over && legal && patient {
                return match usable {
                    true => self.found(tokens.clone()),
                    false => self.wait(lease.holder, over.since(now)),
                };
            }
        }
        match self.has_turn {
            true => self.take(now, stored),
            false => self.turn(now, stored),
        }
    }

    fn turn(&mut self, now: Timestamp, stored: Stored) -> Step<Held> {
        let usable = stored.record.tokens.as_ref().filter(|tokens| self.is_usable(now, tokens));
        let by = usable.map_or(SOMEBODY_WAITS, |tokens| self.policy.schedule(tokens).usable_until);
        self.at = At::Turn { stored: Box::new(stored), by };
        Step::Turn { by }
    }

    fn has_turn(&mut self, now: Timestamp, stored: Stored, waited: bool) -> Step<Held> {
        self.has_turn = true;
        match waited {
            true => self.load(),
            false => self.take(now, stored),
        }
    }

    fn no_wait(&mut self, now: Timestamp, stored: Stored, by: Timestamp) -> Step<Held> {
        match &stored.record.tokens {
            Some(tokens) if self.is_usable(now, tokens) => self.found(tokens.clone()),
            // A driver that goes on saying so would keep the run for ever.
            _ if by == SOMEBODY_WAITS => self.done(Err(TokenError::Interrupted)),
            // The last moment of the old token was between the driver's look at the clock and this one.
            _ => self.turn(now, stored),
        }
    }

    fn no_turn(&mut self, now: Timestamp, stored: Stored) -> Step<Held> {
        match stored.record.tokens {
            Some(tokens) if self.is_usable(now, &tokens) => self.found(tokens),
            _ => self.done(Err(TokenError::ShutDown)),
        }
    }

    fn wait(&mut self, holder: Holder, at_most: Duration) -> Step<Held> {
        if self.waited.holder != Some(holder) {
            self.waited = Waited { holder: Some(holder), ..Waited::default() };
        }
        let wait = self
            .random
            .backoff(FIRST_WAIT, self.waited.times, LONGEST_WAIT)
            .min(at_most + Duration::from_millis(1));
        self.waited.times = self.waited.times.saturating_add(1);
        self.waited.time += wait;
        self.at = At::Wait;
        Step::Sleep(wait)
    }

    fn take(&mut self, now: Timestamp, stored: Stored) -> Step<Held> {
        let Stored { version, mut record } = stored;
        if self.has_sent {
            // The stored tokens are not those it sent from, and are over already: a matter for another run.
            return self.done(Err(TokenError::BackingOff { wait: Duration::ZERO }));
        }
        if self.strikes >= STRIKES {
            return self.give_up(now, record, StoreError::new(StoreFailure::Unavailable));
        }
        let Some(tokens) = record.tokens.as_ref() else { return self.unreadable() };
        let until = now.plus(self.policy.timing(tokens).lease);
        if record.lease.is_some() && !self.owns_lease_of(&record) {
            record.unsettled = true;
        }
        record.lease = Some(Lease::new(self.holder, until));
        self.at = At::Take(Box::new(record.clone()));
        Step::Swap { expected: Some(version), record: Box::new(record) }
    }

    fn taken(&mut self, now: Timestamp, leased: Stored) -> Step<Held> {
        match self.may_send(now, &leased.record) {
            true => self.send(now, leased),
            false => {
                self.strikes += 1;
                self.load()
            }
        }
    }

    fn not_taken(&mut self, now: Timestamp, record: Record, error: StoreError) -> Step<Held> {
        self.strikes += 1;
        // A store that fails slowly uses up the time of a lease long before the tries.
        let is_late = now >= self.began.plus(self.policy.longest_timing().lease);
        if self.strikes >= STRIKES || is_late {
            return self.give_up(now, record, error);
        }
        self.at = At::Wait;
        Step::Sleep(self.random.backoff(FIRST_WAIT, self.strikes, LONGEST_WAIT))
    }

    /// Another's write may come in between once. A store that never does anything else is a store that fails.
    fn is_first_conflict(&mut self) -> bool {
        !std::mem::replace(&mut self.has_conflicted, true)
    }

    /// The end of a run to which the store gives no lease in time.
    fn give_up(&mut self, now: Timestamp, record: Record, error: StoreError) -> Step<Held> {
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

    fn send(&mut self, now: Timestamp, leased: Stored) -> Step<Held> {
        let token = leased.record.tokens.as_ref().and_then(|tokens| tokens.refresh_token.clone());
        let Some(token) = token else { return self.done(Err(TokenError::NotRenewable)) };
        self.has_sent = true;
        self.at = At::Send { leased: Box::new(leased), sent_at: now };
        Step::Send(Refresh::new(token))
    }

    fn answered(
        &mut self,
        now: Timestamp,
        leased: Stored,
        sent_at: Timestamp,
        answer: Result<TokenSet, Error>,
    ) -> Step<Held> {
        let Some(sent) = leased.record.tokens.clone() else { return self.unreadable() };
        match answer {
            Ok(tokens) => {
                let tokens = succeed(&sent, tokens, sent_at);
                self.keep(leased, sent, tokens, None)
            }
            Err(error) => match failure(&error) {
                Failure::Gone => self.mark(leased, error),
                Failure::Kept { unsettled } => {
                    let retry = self.retry(now, &leased.record, &error);
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
        hurt: Option<Box<(Error, Retry)>>,
    ) -> Step<Held> {
        let until = leased.record.lease.as_ref().map_or(Timestamp::from_millis(0), |lease| lease.until);
        let unsaved = Unsaved { grant: leased.record.grant, sent, tokens, holder: self.holder, hurt };
        self.in_hand = Some(InHand { unsaved, until, slept: Duration::ZERO });
        self.save(leased)
    }

    fn save(&mut self, over: Stored) -> Step<Held> {
        let owns_lease = self.owns_lease_of(&over.record);
        let Some(in_hand) = self.in_hand.as_ref() else { return self.load() };
        let Stored { version, mut record } = over;
        record.state = GrantState::Live;
        record.tokens = Some(in_hand.unsaved.tokens.clone());
        record.retry = in_hand.unsaved.hurt.as_ref().map(|hurt| hurt.1.clone());
        if owns_lease {
            record.lease = None;
            record.unsettled = false;
        }
        if in_hand.unsaved.hurt.is_some() {
            record.unsettled = true;
        }
        self.at = At::Save;
        Step::Swap { expected: Some(version), record: Box::new(record) }
    }

    fn saved(&mut self, now: Timestamp) -> Step<Held> {
        let Some(InHand { unsaved, .. }) = self.in_hand.take() else { return self.load() };
        match unsaved.hurt {
            Some(hurt) => self.unrenewed(now, unsaved.tokens, hurt.0),
            // Saved so late that they are over already.
            None if !self.is_usable(now, &unsaved.tokens) => self.begin_anew(),
            None => self.done(Ok(Held { tokens: unsaved.tokens, version: self.version, renewed: true })),
        }
    }

    fn compare(&mut self) -> Step<Held> {
        self.at = At::Compare;
        Step::Load
    }

    fn compared(&mut self, now: Timestamp, stored: Option<Stored>) -> Step<Held> {
        let Some(InHand { unsaved, .. }) = self.in_hand.as_ref() else { return self.loaded(now, stored) };
        match stored {
            Some(stored) if stored.record.state != GrantState::Disconnected => {
                if stored.record.state == GrantState::Live
                    && stored.record.is_same(unsaved.grant, &unsaved.tokens)
                {
                    self.saved(now)
                } else if stored.record.is_same(unsaved.grant, &unsaved.sent) {
                    self.save(stored)
                } else {
                    self.in_hand = None;
                    self.restart(stored)
                }
            }
            _ => {
                let dropped = unsaved.tokens.refresh_token.clone();
                let is_new = dropped != unsaved.sent.refresh_token;
                self.in_hand = None;
                match dropped {
                    Some(dropped) if is_new => {
                        self.at = At::Revoke;
                        Step::Revoke(Revoke::new(dropped))
                    }
                    _ => self.done(Err(TokenError::NotInstalled)),
                }
            }
        }
    }

    fn not_saved(&mut self, now: Timestamp, error: StoreError) -> Step<Held> {
        let Some(in_hand) = self.in_hand.as_mut() else { return self.load() };
        let lease = self.policy.timing(&in_hand.unsaved.sent).lease;
        if now < in_hand.until && in_hand.slept < lease {
            self.at = At::CompareLater;
            self.strikes = self.strikes.saturating_add(1);
            let wait = self.random.backoff(FIRST_WAIT, self.strikes, LONGEST_WAIT);
            in_hand.slept += wait;
            return Step::Sleep(wait);
        }
        let tokens = Box::new(in_hand.unsaved.tokens.clone());
        self.done(Err(TokenError::Unsaved { tokens, error }))
    }

    fn mark(&mut self, sent: Stored, refusal: Error) -> Step<Held> {
        let mut record = sent.record.clone();
        record.state = GrantState::Gone;
        record.lease = None;
        let expected = Some(sent.version);
        self.at = At::Mark { sent: Box::new(sent), refusal };
        Step::Swap { expected, record: Box::new(record) }
    }

    fn mark_checked(&mut self, sent: Stored, refusal: Error, stored: Option<Stored>) -> Step<Held> {
        let Some(stored) = stored else { return self.load() };
        let tokens = sent.record.tokens.as_ref();
        let same = tokens.is_some_and(|tokens| stored.record.is_same(sent.record.grant, tokens));
        match same && stored.record.state == GrantState::Live {
            true => self.mark(stored, refusal),
            false => self.restart(stored),
        }
    }

    fn not_marked(&mut self, sent: Stored, refusal: Error, error: StoreError) -> Step<Held> {
        self.strikes += 1;
        if self.strikes >= STRIKES {
            // Not stored, so it is not said: the next run is refused again, which costs a request and no account.
            return self.done(Err(TokenError::Store(error)));
        }
        self.at = At::MarkLater { sent: Box::new(sent), refusal };
        Step::Sleep(self.random.backoff(FIRST_WAIT, self.strikes, LONGEST_WAIT))
    }

    fn release(
        &mut self,
        leased: Stored,
        tokens: TokenSet,
        retry: Retry,
        unsettled: bool,
        error: Error,
    ) -> Step<Held> {
        let Stored { version, mut record } = leased;
        record.lease = None;
        record.retry = Some(retry);
        record.unsettled |= unsettled;
        self.at = At::Release { tokens: Box::new(tokens), error };
        Step::Swap { expected: Some(version), record: Box::new(record) }
    }

    fn restart(&mut self, stored: Stored) -> Step<Held> {
        let owns_lease = self.owns_lease_of(&stored.record);
        self.holder = Holder::draw(&mut self.random);
        if !owns_lease {
            return self.load();
        }
        let Stored { version, mut record } = stored;
        record.lease = None;
        self.at = At::Restart;
        Step::Swap { expected: Some(version), record: Box::new(record) }
    }

    /// The end of a run that renewed nothing: with the old tokens while they may be handed out, else with the error.
    fn unrenewed(&mut self, now: Timestamp, tokens: TokenSet, error: Error) -> Step<Held> {
        match self.is_usable(now, &tokens) {
            true => self.found(tokens),
            false => self.done(Err(error.into())),
        }
    }

    fn found(&mut self, tokens: TokenSet) -> Step<Held> {
        self.done(Ok(Held { tokens, version: self.version, renewed: false }))
    }

    fn unreadable(&mut self) -> Step<Held> {
        self.done(Err(TokenError::Store(StoreError::new(StoreFailure::Unreadable))))
    }

    fn done(&mut self, result: Result<Held, TokenError>) -> Step<Held> {
        self.at = At::Done;
        Step::Done(result)
    }

    fn is_usable(&self, now: Timestamp, tokens: &TokenSet) -> bool {
        let rejected =
            matches!(&self.demand, Demand::OtherThan(rejected) if *rejected == tokens.access_token);
        !rejected && self.policy.decide(now, tokens) != Decision::RefreshNow
    }

    fn owns_lease_of(&self, record: &Record) -> bool {
        record.lease.as_ref().is_some_and(|lease| lease.holder == self.holder)
    }

    /// When the fleet may try again: after a growing wait, and not before HubSpot asked to.
    fn retry(&mut self, now: Timestamp, record: &Record, error: &Error) -> Retry {
        let before = record.retry.as_ref().map_or(0, |retry| retry.failures);
        let wait = match error.next_step() {
            NextStep::FixConfiguration | NextStep::RestartAuthorization => {
                self.random.backoff(FIRST_MISCONFIGURED, before, LONGEST_MISCONFIGURED)
            }
            step => {
                // A day is for limits and for accounts that move; an outage is not so well planned.
                let most = match error.status() {
                    Some(status) if status.as_u16() >= 500 => LONGEST_MISCONFIGURED,
                    _ => LONGEST_RETRY,
                };
                let asked = match step {
                    NextStep::RetryAfter(Some(asked)) => asked.min(most),
                    _ => Duration::ZERO,
                };
                let spread = u64::try_from(asked.as_millis() / 10).unwrap_or(0);
                let asked = asked + Duration::from_millis(self.random.up_to(spread));
                asked.max(self.random.backoff(FIRST_RETRY, before, LONGEST_BACKOFF)).min(LONGEST_RETRY)
            }
        };
        Retry::new(now.plus(wait), before.saturating_add(1))
    }
}

impl Run for Renewal {
    type Output = Held;

    fn start(&mut self, now: Timestamp) -> Step<Held> {
        self.began = now;
        match self.in_hand {
            Some(_) => self.compare(),
            None => self.load(),
        }
    }

    fn resume(&mut self, now: Timestamp, input: Input) -> Step<Held> {
        match &input {
            Input::Loaded(Some(Stored { version, .. })) | Input::Stored(version) => self.version = *version,
            _ => {}
        }
        match (std::mem::replace(&mut self.at, At::Done), input) {
            (At::Load, Input::Loaded(stored)) => self.loaded(now, stored),
            (At::Load, Input::StoreFailed(error)) => self.done(Err(TokenError::Store(error))),
            (At::Wait, Input::Slept) => self.load(),
            (At::Turn { stored, .. }, Input::Turn { waited }) => self.has_turn(now, *stored, waited),
            (At::Turn { stored, by }, Input::NoWait) => self.no_wait(now, *stored, by),
            (At::Turn { stored, .. }, Input::NoTurn) => self.no_turn(now, *stored),
            (At::Take(record), Input::Stored(version)) => {
                self.taken(now, Stored { version, record: *record })
            }
            (At::Take(_), Input::Conflict) if self.is_first_conflict() => self.load(),
            (At::Take(record), Input::Conflict) => self.not_taken(now, *record, conflicts()),
            (At::Take(record), Input::StoreFailed(error)) => self.not_taken(now, *record, error),
            (At::Send { leased, sent_at }, Input::Answered(answer)) => {
                self.answered(now, *leased, sent_at, answer)
            }
            (At::Save, Input::Stored(_)) => self.saved(now),
            (At::Save, Input::Conflict) if !self.is_first_conflict() => self.not_saved(now, conflicts()),
            (At::Save, Input::Conflict) | (At::CompareLater, Input::Slept) => self.compare(),
            (At::Save | At::Compare, Input::StoreFailed(error)) => self.not_saved(now, error),
            (At::Compare, Input::Loaded(stored)) => self.compared(now, stored),
            (At::Mark { sent, refusal }, Input::Stored(_)) => {
                let unsettled = sent.record.unsettled;
                self.done(Err(TokenError::Gone { unsettled, refusal: Some(Box::new(refusal)) }))
            }
            (At::Mark { sent, refusal }, Input::StoreFailed(error)) => self.not_marked(*sent, refusal, error),
            (At::Mark { sent, refusal }, Input::Conflict) if !self.is_first_conflict() => {
                self.not_marked(*sent, refusal, conflicts())
            }
            (At::Mark { sent, refusal }, Input::Conflict)
            | (At::MarkLater { sent, refusal }, Input::Slept) => {
                self.at = At::MarkCheck { sent, refusal };
                Step::Load
            }
            (At::MarkCheck { sent, refusal }, Input::Loaded(stored)) => {
                self.mark_checked(*sent, refusal, stored)
            }
            // Not known to be gone, so it must not be called gone.
            (At::MarkCheck { .. }, Input::StoreFailed(error)) => self.done(Err(TokenError::Store(error))),
            (At::Release { tokens, error }, Input::Stored(_) | Input::Conflict | Input::StoreFailed(_)) => {
                self.unrenewed(now, *tokens, error)
            }
            (At::Restart, Input::Stored(_) | Input::Conflict | Input::StoreFailed(_)) => self.load(),
            (At::Revoke, Input::Revoked(_)) => self.done(Err(TokenError::NotInstalled)),
            _ => self.done(Err(TokenError::Interrupted)),
        }
    }
}

impl Waited {
    fn time_for(&self, holder: Holder) -> Duration {
        match self.holder == Some(holder) {
            true => self.time,
            false => Duration::ZERO,
        }
    }
}

impl Unsaved {
    /// The tokens.
    pub fn tokens(&self) -> &TokenSet {
        &self.tokens
    }
}

/// The new tokens with what only the old ones said, since answers differ in what they repeat.
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

/// What a store that answers every write with a conflict has to hear.
pub(crate) fn conflicts() -> StoreError {
    StoreError::with_source(StoreFailure::Unavailable, "one conflict after the other")
}

fn failure(error: &Error) -> Failure {
    match (error.next_step(), error) {
        (NextStep::Reauthorize, _) => Failure::Gone,
        (_, Error::Api(error)) => Failure::Kept { unsettled: error.status.as_u16() >= 500 },
        (_, Error::Transport(error)) => Failure::Kept { unsettled: !error.failure().surely_unsent() },
        // An answer that cannot be used was an answer.
        _ => Failure::Kept { unsettled: true },
    }
}

/// By when a renewal is wanted if there is no old token to be handed out.
const SOMEBODY_WAITS: Timestamp = Timestamp::from_millis(0);

/// The wait for another holder, and before a store is asked again.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The back-off after HubSpot or the network failed.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// The back-off while the app is set up wrongly.
const FIRST_MISCONFIGURED: Duration = Duration::from_secs(60);
const LONGEST_MISCONFIGURED: Duration = Duration::from_secs(15 * 60);

/// The longest that HubSpot asks to wait; whatever is further off in a record is the work of a clock.
const LONGEST_RETRY: Duration = Duration::from_secs(24 * 60 * 60);

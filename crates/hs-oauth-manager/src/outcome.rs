//! What the end of a flight, one renewal in one process, means: for the cache, for its callers, and for the application.

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{CurrentTokens, Demand, TokenError, UnsavedTokens};
use hs_oauth_core::{Account, Timestamp, TokenSet};

use crate::cache::{Cache, Snapshot, access_token, bearer};
use crate::event::Event;

/// What a flight brought to its callers.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The bearer.
    pub bearer: HeaderValue,
    /// Whether the bearer came from HubSpot, and was not just found in the store.
    pub renewed: bool,
    /// Whether the account may have been disconnected meanwhile.
    pub evicted: bool,
}

/// A flight that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The account.
    pub account: Account,
    /// What the run ended with.
    pub result: Result<CurrentTokens, TokenError>,
    /// The tokens that the run began with, since they could not be saved before.
    pub unsaved: Option<UnsavedTokens>,
    /// Whether the flight was started for a token that an API had answered with 401.
    pub forced: bool,
}

/// One caller who wants a bearer, over the flights that it starts or joins.
#[derive(Debug)]
pub struct Caller {
    /// The account.
    pub account: Account,
    /// What the caller needs.
    pub demand: Demand,
    remaining: u32,
}

/// How many flights a caller starts or joins. The first may have been started for a caller who wanted less.
const MAX_FLIGHTS: u32 = 3;

impl Finished {
    /// Brings the cache up to date. Returns what the flight's callers get, and whether the account had a token that it has no more.
    /// `random` spreads pauses.
    pub fn settle(
        &self,
        cache: &Cache,
        snapshot: Snapshot,
        now: Timestamp,
        random: u64,
    ) -> (Result<Outcome, TokenError>, bool) {
        let account = self.account;
        match &self.result {
            Ok(CurrentTokens { tokens, version, renewed, .. }) => {
                let bearer = bearer(&tokens.access_token);
                let evicted = !cache.publish(account, snapshot, bearer.clone(), tokens, *version);
                match renewed {
                    true if self.forced => cache.forced(account, now, tokens),
                    true => {}
                    false => cache.pause(account, now, random),
                }
                (Ok(Outcome { bearer, renewed: *renewed, evicted }), false)
            }
            Err(error) => {
                let is_over = matches!(error, TokenError::Gone { .. } | TokenError::NotInstalled);
                let was_held = is_over && cache.evict_seen(account, snapshot);
                cache.pause(account, now, random);
                (Err(error.clone()), was_held)
            }
        }
    }

    /// Tells the application what it is to hear of the flight. `was_held` is what [`settle`](Self::settle) returned.
    pub fn emit(&self, was_held: bool, emit: impl Fn(&Event<'_>)) {
        let account = self.account;
        let was_unsaved = |tokens: &TokenSet| {
            self.unsaved.as_ref().is_some_and(|unsaved| unsaved.tokens().has_same_tokens(tokens))
        };
        match &self.result {
            Ok(CurrentTokens { tokens, renewed: true, .. }) => {
                let expires_at = tokens.expires_at;
                emit(&Event::Saved { account, expires_at });
                if !was_unsaved(tokens) {
                    emit(&Event::Renewed { account, expires_at });
                }
            }
            // The old token is good still, so no caller hears of the error.
            Ok(CurrentTokens { renewed: false, refresh_error, .. }) => {
                if let Some(error) = refresh_error {
                    emit(&Event::Failed { account, error: &error.clone().into() });
                }
            }
            Err(TokenError::Gone { unsettled, refusal }) => {
                if refusal.is_some() || was_held {
                    emit(&Event::Gone { account, unsettled: *unsettled });
                }
            }
            // Nothing was tried.
            Err(TokenError::NotInstalled | TokenError::NotRenewable | TokenError::BackingOff { .. }) => {}
            Err(error) => emit(&Event::Failed { account, error }),
        }
    }
}

impl Caller {
    /// Returns a caller who has not started or joined a flight yet.
    pub fn new(account: Account, demand: Demand) -> Self {
        Self { account, demand, remaining: MAX_FLIGHTS }
    }

    /// Returns what the caller gets after a flight, or `None` if it has to start or join another. `has_led`: the flight was started
    /// for this caller's demand.
    pub fn receive(
        &mut self,
        flight: Result<Outcome, TokenError>,
        has_led: bool,
        cache: &Cache,
        now: Timestamp,
    ) -> Option<Result<HeaderValue, TokenError>> {
        self.remaining = self.remaining.saturating_sub(1);
        let is_last = self.remaining == 0;
        let error = match flight {
            Ok(outcome) => {
                let is_met = has_led || outcome.meets(&self.demand);
                if is_met && (!outcome.evicted || is_last) {
                    return Some(Ok(outcome.bearer));
                }
                if is_met && self.demand == Demand::Newer {
                    // It was renewed. All that is left to ask is whether it is still there.
                    self.demand = Demand::Usable;
                }
                TokenError::Interrupted
            }
            // The leader came to no end. This caller may.
            Err(TokenError::Interrupted) if !has_led => TokenError::Interrupted,
            // What another process saved meanwhile has expired already: once more.
            Err(error @ TokenError::BackingOff { wait }) if wait.is_zero() => error,
            Err(error) => return Some(self.fallback(error, cache, now)),
        };
        is_last.then(|| self.fallback(error, cache, now))
    }

    /// Returns, after an error, the bearer that the cache holds, if it may still be handed out and meets the demand.
    ///
    /// # Errors
    /// `error` if there is none.
    pub fn fallback(
        &self,
        error: TokenError,
        cache: &Cache,
        now: Timestamp,
    ) -> Result<HeaderValue, TokenError> {
        cache.fallback(self.account, &self.demand, now).ok_or(error)
    }
}

impl Outcome {
    /// Returns whether a caller with this demand, for whom the flight was not started, has what it needs.
    fn meets(&self, demand: &Demand) -> bool {
        self.renewed && *demand == Demand::Newer || is_met(demand, &self.bearer)
    }
}

/// Returns whether a bearer of which no more is known is what the demand asks for.
pub(crate) fn is_met(demand: &Demand, bearer: &HeaderValue) -> bool {
    match demand {
        Demand::Usable => true,
        Demand::OtherThan(rejected) => access_token(bearer).as_ref() != Some(rejected),
        Demand::Newer => false,
    }
}

impl Cache {
    /// Returns the bearer that is held, if it may be handed out and meets the demand.
    pub fn fallback(&self, account: Account, demand: &Demand, now: Timestamp) -> Option<HeaderValue> {
        self.usable(account, now).filter(|bearer| is_met(demand, bearer))
    }
}

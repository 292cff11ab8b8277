//! What the end of a flight, one renewal in one process, means: for the cache, for its callers, and for the application.

use std::time::Duration;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{CurrentTokens, Demand, Renewal, TokenError, UnsavedTokens};
use hs_oauth_core::{Account, Timestamp};

use crate::cache::{Cache, Snapshot, access_token, bearer};
use crate::event::Event;

/// What a flight brings to its callers.
pub type FlightResult = Result<Outcome, TokenError>;

/// What a flight that did not fail brings to its callers.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The bearer.
    pub bearer: HeaderValue,
    /// Whether the bearer came from HubSpot, and was not just found in the store.
    pub renewed: bool,
    /// Whether the account may have been disconnected meanwhile.
    pub evicted: bool,
}

/// What a caller who wants a bearer gets.
pub type BearerResult = Result<HeaderValue, TokenError>;

/// The run of a flight, with what was known when it began.
#[derive(Debug)]
pub struct Flight {
    /// The run, to be driven to its end.
    pub run: Renewal,
    pub(crate) account: Account,
    pub(crate) snapshot: Snapshot,
    /// The tokens that the run begins with, since they could not be saved before.
    pub(crate) unsaved: Option<UnsavedTokens>,
    /// Whether the flight was started for a token that an API had answered with 401.
    pub(crate) forced: bool,
}

/// A flight that has ended.
#[derive(Debug)]
pub struct FlightEnd {
    /// What its callers get.
    pub result: FlightResult,
    /// Whether the retries of tokens that could not be saved have to be started.
    pub starts_retries: bool,
    account: Account,
    unsaved: Option<UnsavedTokens>,
    run_result: Result<CurrentTokens, TokenError>,
    /// Whether the account had a token that it has no more.
    was_held: bool,
}

/// One caller who wants a bearer, over the flights that it starts or joins.
#[derive(Debug)]
pub struct Caller {
    /// The account.
    pub account: Account,
    /// What the caller needs.
    pub demand: Demand,
    /// If it is too early to replace a rejected bearer: what the caller wants of another one, and how long to wait.
    too_early: Option<(Demand, Duration)>,
    remaining: u32,
}

/// How many flights a caller starts or joins. The first may have been started for a caller who wanted less.
const MAX_FLIGHTS: u32 = 3;

impl FlightEnd {
    /// Brings the cache up to date with what the run of a flight ended with. Returns the end, and what the run could not save.
    /// `random` spreads pauses.
    pub(crate) fn new(
        flight: Flight,
        run_result: Result<CurrentTokens, TokenError>,
        cache: &Cache,
        now: Timestamp,
        random: u64,
    ) -> (Self, Option<UnsavedTokens>) {
        let Flight { run, account, snapshot, unsaved, forced } = flight;
        let mut was_held = false;
        let result = match &run_result {
            Ok(CurrentTokens { tokens, version, renewed, .. }) => {
                let bearer = bearer(&tokens.access_token);
                let evicted = !cache.publish(account, snapshot, bearer.clone(), tokens, *version);
                match renewed {
                    true if forced => cache.forced(account, now, tokens),
                    true => {}
                    false => cache.pause(account, now, random),
                }
                Ok(Outcome { bearer, renewed: *renewed, evicted })
            }
            Err(error) => {
                let is_over = matches!(error, TokenError::Gone { .. } | TokenError::NotInstalled);
                was_held = is_over && cache.evict_seen(account, snapshot);
                cache.pause(account, now, random);
                Err(error.clone())
            }
        };
        let end = Self { result, starts_retries: false, account, unsaved, run_result, was_held };
        (end, run.into_unsaved())
    }

    /// Tells the application what it is to hear of the flight.
    pub(crate) fn emit(&self, emit: impl Fn(&Event<'_>)) {
        let account = self.account;
        match &self.run_result {
            Ok(CurrentTokens { tokens, renewed: true, .. }) => {
                let expires_at = tokens.expires_at;
                emit(&Event::Saved { account, expires_at });
                if !self.unsaved.as_ref().is_some_and(|unsaved| unsaved.tokens().has_same_tokens(tokens)) {
                    emit(&Event::Renewed { account, expires_at });
                }
            }
            // The old token is good still, so no caller hears of the error.
            Ok(CurrentTokens { refresh_error: Some(error), .. }) => {
                emit(&Event::Failed { account, error: &error.clone().into() });
            }
            Err(TokenError::Gone { unsettled, refusal }) if refusal.is_some() || self.was_held => {
                emit(&Event::Gone { account, unsettled: *unsettled });
            }
            // Nothing was tried, or it is no news.
            Ok(_)
            | Err(TokenError::Gone { .. } | TokenError::NotInstalled | TokenError::NotRenewable)
            | Err(TokenError::BackingOff { .. }) => {}
            Err(error) => emit(&Event::Failed { account, error }),
        }
    }
}

impl Caller {
    /// Returns a caller who has not started or joined a flight yet.
    pub fn new(account: Account, demand: Demand) -> Self {
        Self { account, demand, too_early: None, remaining: MAX_FLIGHTS }
    }

    /// Returns a caller who has had a bearer rejected that came of a forced renewal just now: the 401 is not for its age. It gets
    /// another bearer only if that is stored already.
    pub fn too_early(account: Account, demand: Demand, wait: Duration) -> Self {
        Self { too_early: Some((demand, wait)), ..Self::new(account, Demand::Usable) }
    }

    /// Returns what the caller gets after a flight, or `None` if it has to start or join another. `has_led`: the flight was started
    /// for this caller's demand.
    pub fn receive(
        &mut self,
        flight: FlightResult,
        has_led: bool,
        cache: &Cache,
        now: Timestamp,
    ) -> Option<BearerResult> {
        self.remaining = self.remaining.saturating_sub(1);
        let is_last = self.remaining == 0;
        let error = match flight {
            Ok(outcome) => {
                let is_met = has_led
                    || outcome.renewed && self.demand == Demand::Newer
                    || is_met(&self.demand, &outcome.bearer);
                if is_met && (!outcome.evicted || is_last) {
                    return Some(self.accept(outcome.bearer));
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
    pub fn fallback(&self, error: TokenError, cache: &Cache, now: Timestamp) -> BearerResult {
        cache.fallback(self.account, &self.demand, now).ok_or(error).and_then(|bearer| self.accept(bearer))
    }

    fn accept(&self, bearer: HeaderValue) -> BearerResult {
        match self.too_early {
            Some((ref demand, wait)) if !is_met(demand, &bearer) => Err(TokenError::BackingOff { wait }),
            _ => Ok(bearer),
        }
    }
}

/// Returns whether a bearer of which no more is known is what the demand asks for.
fn is_met(demand: &Demand, bearer: &HeaderValue) -> bool {
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

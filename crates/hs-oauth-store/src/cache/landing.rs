//! What the end of a flight, one renewal in one process, means for the cache, for its callers and for the application.

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{Demand, GrantState, CurrentTokens, Stored, TokenError, UnsavedTokens};
use hs_oauth_core::{Account, Error, Event, StoreError, Timestamp, TokenSet};

use super::{Cache, Ticket, access_token, bearer};

/// What a flight brought to its callers.
#[derive(Clone, Debug)]
pub struct Landed {
    /// The bearer.
    pub bearer: HeaderValue,
    /// Whether it came from HubSpot, and was not just found.
    pub renewed: bool,
    /// Whether the account may have been disconnected on the way.
    pub void: bool,
}

/// A flight that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Whose.
    pub account: Account,
    /// How.
    pub result: Result<CurrentTokens, TokenError>,
    /// The tokens it began with, since they could not be saved before.
    pub unsaved: Option<Unsaved>,
    /// What HubSpot refused its request with, if it did.
    pub refusal: Option<Error>,
    /// Whether it was begun for a token that an API had answered with 401.
    pub forced: bool,
}

impl Cache {
    /// Brings the cache up to how a flight ended. `random` spreads pauses. With what its callers get, whether the account
    /// had a token that it now has no more.
    pub fn settle(
        &self,
        ticket: Ticket,
        ended: &Ended,
        now: Timestamp,
        random: u64,
    ) -> (Result<Landed, TokenError>, bool) {
        let account = ended.account;
        match &ended.result {
            Ok(CurrentTokens { tokens, version, renewed }) => {
                let bearer = bearer(&tokens.access_token);
                let void = !self.publish(account, ticket, bearer.clone(), tokens, *version);
                match renewed {
                    true if ended.forced => self.forced(account, now, tokens),
                    true => {}
                    false => self.pause(account, now, random),
                }
                (Ok(Landed { bearer, renewed: *renewed, void }), false)
            }
            Err(error) => {
                let is_over = matches!(error, TokenError::Gone { .. } | TokenError::NotInstalled);
                let was_held = is_over && self.evict_seen(account, ticket);
                self.pause(account, now, random);
                (Err(error.clone()), was_held)
            }
        }
    }

    /// After a flight that failed: the old bearer, if it may still be handed out and meets the demand.
    pub fn instead(&self, account: Account, demand: &Demand, now: Timestamp) -> Option<HeaderValue> {
        self.usable(account, now).filter(|bearer| is_met(demand, bearer))
    }
}

/// Whether an account that the store lists is to be called installed, going by what came of loading it.
pub fn is_installed(loaded: &Result<Option<Stored>, StoreError>) -> bool {
    match loaded {
        Ok(Some(stored)) => stored.record.state != GrantState::Disconnected,
        Ok(None) => false,
        Err(_) => true,
    }
}

impl Landed {
    /// Whether a caller with this demand, for whom the flight was not begun, has what it needs.
    pub fn meets(&self, demand: &Demand) -> bool {
        self.renewed && *demand == Demand::Newer || is_met(demand, &self.bearer)
    }
}

/// Whether a bearer of which no more is known is what the demand asks for.
pub fn is_met(demand: &Demand, bearer: &HeaderValue) -> bool {
    match demand {
        Demand::Usable => true,
        Demand::OtherThan(rejected) => access_token(bearer).as_ref() != Some(rejected),
        Demand::Newer => false,
    }
}

impl Ended {
    /// Tells what the application is to hear of it. `was_held` is what [`Cache::settle`] said.
    pub fn tell(&self, was_held: bool, tell: impl Fn(&Event<'_>)) {
        let account = self.account;
        let was_unsaved =
            |tokens: &TokenSet| self.unsaved.as_ref().is_some_and(|late| late.tokens().has_same_tokens(tokens));
        match &self.result {
            Ok(CurrentTokens { tokens, renewed: true, .. }) => {
                let expires_at = tokens.expires_at;
                tell(&Event::Saved { account, expires_at });
                if !was_unsaved(tokens) {
                    tell(&Event::Renewed { account, expires_at });
                }
            }
            // The old token is good still, so no caller hears of it.
            Ok(CurrentTokens { renewed: false, .. }) => {
                if let Some(refusal) = &self.refusal {
                    tell(&Event::Failed { account, error: &refusal.clone().into() });
                }
            }
            Err(TokenError::Gone { unsettled, refusal }) => {
                if refusal.is_some() || was_held {
                    tell(&Event::Gone { account, unsettled: *unsettled });
                }
            }
            // Nothing was tried.
            Err(TokenError::NotInstalled | TokenError::NotRenewable | TokenError::BackingOff { .. }) => {}
            Err(error) => tell(&Event::Failed { account, error }),
        }
    }
}

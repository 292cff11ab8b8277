//! Which tokens a run may hand out to its callers.

use super::policy::{Decision, RenewalPolicy};
use super::record::Record;
use super::run::{Deadline, Demand};
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// The policy of a run and what its callers need.
#[derive(Debug)]
pub(super) struct Requirements {
    pub(super) policy: RenewalPolicy,
    demand: Demand,
}

impl Requirements {
    pub(super) fn new(policy: RenewalPolicy, demand: Demand) -> Self {
        Self { policy, demand }
    }

    /// Rejects the stored access token if the callers need a newer one. Does this once, for the first tokens that are loaded.
    pub(super) fn reject_first(&mut self, stored: &TokenSet) {
        if self.demand == Demand::Newer {
            self.demand = Demand::OtherThan(stored.access_token.clone());
        }
    }

    /// Returns whether the tokens may be handed out.
    pub(super) fn is_usable(&self, now: Timestamp, tokens: &TokenSet) -> bool {
        let rejected =
            matches!(&self.demand, Demand::OtherThan(rejected) if *rejected == tokens.access_token);
        !rejected && self.policy.decide(now, tokens) != Decision::RenewNow
    }

    /// Returns whether the tokens may be handed out and need no renewal. Tokens that replace a rejected one need none, however short they
    /// live.
    pub(super) fn is_fresh(&self, now: Timestamp, tokens: &TokenSet) -> bool {
        let fresh = self.policy.decide(now, tokens) == Decision::Use || self.demand != Demand::Usable;
        self.is_usable(now, tokens) && fresh
    }

    /// Returns when a new token is needed: when the stored one can no longer be handed out.
    pub(super) fn deadline(&self, now: Timestamp, stored: &Record) -> Deadline {
        match &stored.tokens {
            Some(tokens) if self.is_usable(now, tokens) => {
                Deadline::At(self.policy.schedule(tokens).usable_until)
            }
            _ => Deadline::Now,
        }
    }
}

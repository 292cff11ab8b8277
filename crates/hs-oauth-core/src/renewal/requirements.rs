//! Whose tokens a run renews, and which tokens it may hand out to its callers.

use std::time::Duration;

use super::backoff::remaining_backoff;
use super::error::TokenError;
use super::policy::{Decision, RenewalPolicy};
use super::record::{GrantState, Record, Retry};
use super::run::{Deadline, Demand};
use crate::account::Account;
use crate::app::AppIdentity;
use crate::secret::AccessToken;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// Whose tokens a run renews, its policy, and what its callers need.
#[derive(Debug)]
pub(super) struct Requirements {
    pub(super) policy: RenewalPolicy,
    pub(super) app: AppIdentity,
    pub(super) account: Account,
    demand: Demand,
    /// The access token that the callers do not want.
    rejected: Option<AccessToken>,
}

impl Requirements {
    pub(super) fn new(policy: RenewalPolicy, app: AppIdentity, account: Account, demand: Demand) -> Self {
        let rejected = match &demand {
            Demand::OtherThan(rejected) => Some(rejected.clone()),
            _ => None,
        };
        Self { policy, app, account, demand, rejected }
    }

    /// Returns the error for a grant of another app: its record is neither used nor changed. A grant that names no app is not refused.
    pub(super) fn other_app(&self, client_id: Option<&str>) -> Option<TokenError> {
        TokenError::other_app(&self.app, client_id)
    }

    /// Rejects the stored access token if its grant is gone; or, once, for the first tokens that are loaded, if the callers need a newer
    /// one.
    pub(super) fn reject_unwanted(&mut self, state: GrantState, stored: &TokenSet) {
        if state == GrantState::Gone || self.rejected.is_none() && self.is_newer_wanted() {
            self.rejected = Some(stored.access_token.clone());
        }
    }

    /// Returns whether a grant that is gone is tried once more.
    pub(super) fn rechecks_gone(&self) -> bool {
        self.demand == Demand::Recheck || self.is_newer_wanted()
    }

    /// Returns whether the tokens may be handed out.
    pub(super) fn is_usable(&self, now: Timestamp, tokens: &TokenSet) -> bool {
        self.rejected.as_ref() != Some(&tokens.access_token)
            && self.policy.decide(now, tokens) != Decision::RenewNow
    }

    /// Returns whether the tokens may be handed out and need no renewal. Tokens that replace a rejected one need none, however short they
    /// live.
    pub(super) fn is_fresh(&self, now: Timestamp, tokens: &TokenSet) -> bool {
        let fresh = self.policy.decide(now, tokens) == Decision::Use || self.rejected.is_some();
        self.is_usable(now, tokens) && fresh
    }

    /// Returns how long this run must not send a refresh, and the back-off that says so.
    pub(super) fn backoff<'r>(
        &self,
        now: Timestamp,
        record: &'r Record,
        clock_margin: Duration,
    ) -> Option<(Duration, &'r Retry)> {
        let retry = record.retry.as_ref().filter(|retry| self.observes(retry))?;
        Some((remaining_backoff(now, retry, clock_margin)?, retry))
    }

    /// Returns whether the back-off applies to this run.
    fn observes(&self, retry: &Retry) -> bool {
        let is_of_other_credential =
            retry.credential.as_ref().is_some_and(|credential| credential != self.app.credential());
        match self.demand {
            _ if is_of_other_credential => false,
            Demand::Newer | Demand::Recheck => retry.requested,
            Demand::NewerDespiteRetryAfter => false,
            Demand::Usable | Demand::OtherThan(_) => true,
        }
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

    fn is_newer_wanted(&self) -> bool {
        matches!(self.demand, Demand::Newer | Demand::NewerDespiteRetryAfter)
    }
}

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

    /// Returns the error for tokens that HubSpot says are another account's. `known_user` is the user whose grant it is, if that is known.
    pub(super) fn other_account(
        &self,
        hub_id: Option<i64>,
        user_id: Option<i64>,
        known_user: Option<i64>,
    ) -> Option<TokenError> {
        let Account { hub_id: expected_hub, user_id: expected_user, .. } = self.account;
        // A grant is one user's, also where the account is a whole hub.
        let expected_user = expected_user.or(known_user);
        let is_other_hub = hub_id.is_some_and(|hub_id| hub_id != expected_hub);
        let is_other_user = user_id.zip(expected_user).is_some_and(|(user_id, expected)| user_id != expected);
        let (expected, named) = match (is_other_hub, hub_id, expected_user.zip(user_id)) {
            (true, Some(hub_id), _) => (Account::hub(expected_hub), Account::hub(hub_id)),
            (false, _, Some((expected, user_id))) if is_other_user => {
                (Account::user(expected_hub, expected), Account::user(expected_hub, user_id))
            }
            _ => return None,
        };
        Some(TokenError::OtherAccount { expected, named, tokens: None })
    }

    /// Returns whether these numbers say whose tokens they are: the hub, and for an account that is a user also the user.
    pub(super) fn is_named(&self, hub_id: Option<i64>, user_id: Option<i64>) -> bool {
        hub_id.is_some() && (self.account.user_id.is_none() || user_id.is_some())
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

    /// Returns whether tokens that may be handed out are to be renewed. Those that replace a rejected one are not, however short they live.
    pub(super) fn is_renewal_due(&self, now: Timestamp, tokens: &TokenSet) -> bool {
        self.rejected.is_none() && self.policy.decide(now, tokens) != Decision::Use
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

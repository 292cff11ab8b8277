//! What a record says of its account, for an operator.

use serde::Serialize;

use super::backoff::{HolderWait, remaining_backoff};
use super::lease;
use super::policy::RenewalPolicy;
use super::record::{GrantState, Record};
use super::retry_cause::RetryCause;
use crate::account::Account;
use crate::app::CredentialFingerprint;
use crate::error::NextStep;
use crate::scope::Scopes;
use crate::timestamp::Timestamp;

/// What a record says of its account, for an operator: whether its grant is well, what its tokens may do, and what keeps them from being
/// renewed. It holds no token.
///
/// In JSON the account is written as in the names of files and rows (`"62515"`), moments are milliseconds since 1970, and what is absent is
/// null.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AccountStatus {
    /// The account.
    pub account: Account,
    /// The state of its grant.
    pub state: AccountState,
    /// The client id of the app that the grant was made for. Absent in a record that an older version of this library wrote.
    pub client_id: Option<String>,
    /// The person who installed the app, if HubSpot named them.
    pub user_id: Option<i64>,
    /// The scopes that were granted. Absent if HubSpot did not name them, as on `v1`, and after a disconnect.
    pub scopes: Option<Scopes>,
    /// When the stored access token was requested: by the last renewal that succeeded, or by the install. Absent if there is no access token:
    /// after a disconnect, and for a refresh token that was taken over and has not been used yet.
    pub renewed_at: Option<Timestamp>,
    /// When the stored access token expires. Absent if there is none.
    pub expires_at: Option<Timestamp>,
    /// Until when the stored access token is handed out, which is a margin before it expires. Absent if there is none.
    pub usable_until: Option<Timestamp>,
    /// How many renewals have failed in a row since then.
    pub failures: u32,
    /// Why the last one of them failed. Absent if none has failed, or if an older version of this library wrote the back-off.
    pub cause: Option<RetryCause>,
    /// Until when no renewal is tried. Absent if one may be tried now.
    pub backoff_until: Option<Timestamp>,
    /// The credential for which the back-off counts, if it counts for one only. Compare it with that of
    /// [`App::identity`](crate::App::identity).
    pub backoff_credential: Option<CredentialFingerprint>,
    /// Until when a run may renew the tokens. Absent if nobody holds the lease.
    pub leased_until: Option<Timestamp>,
    /// Whether a disconnect has left a refresh token that is still to be revoked.
    pub is_revocation_due: bool,
}

/// The state of an account's grant, as an operator asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum AccountState {
    /// The grant is valid, as far as is known.
    #[serde(rename = "live")]
    Live,
    /// HubSpot refused the grant, and nothing points to a renewal: the account has ended it.
    #[serde(rename = "gone_refused")]
    GoneRefused,
    /// HubSpot refused the grant after a renewal whose response never came: it was probably lost, and not ended by the account.
    #[serde(rename = "gone_unsettled")]
    GoneUnsettled,
    /// The account was disconnected or forgotten, or the app was uninstalled.
    #[serde(rename = "disconnected")]
    Disconnected,
}

impl AccountStatus {
    /// Returns what `record` says of `account`. `policy` is that of the processes that share the store. It says how long a lease can last.
    pub fn new(account: Account, record: &Record, policy: &RenewalPolicy, now: Timestamp) -> Self {
        let tokens = record.tokens.as_ref();
        let issued = tokens.filter(|tokens| tokens.has_access_token());
        let retry = record.retry.as_ref();
        let clock_margin =
            tokens.map_or(policy.longest_timing(), |tokens| policy.timing(tokens)).clock_margin;
        let backoff = retry.filter(|retry| remaining_backoff(now, retry, clock_margin).is_some());
        let holder = tokens
            .and_then(|tokens| lease::held_by_another(now, policy, record, tokens, &HolderWait::default()));
        Self {
            account,
            state: AccountState::of(record),
            client_id: record.client_id.clone(),
            user_id: tokens.and_then(|tokens| tokens.user_id),
            scopes: tokens.and_then(|tokens| tokens.scopes.clone()),
            renewed_at: issued.map(|tokens| tokens.requested_at()),
            expires_at: issued.map(|tokens| tokens.expires_at),
            usable_until: issued.map(|tokens| policy.schedule(tokens).usable_until),
            failures: retry.map_or(0, |retry| retry.failures),
            cause: retry.and_then(|retry| retry.cause.clone()),
            backoff_until: backoff.map(|retry| retry.at),
            backoff_credential: backoff.and_then(|retry| retry.credential.clone()),
            leased_until: record.lease.as_ref().filter(|_| holder.is_some()).map(|lease| lease.until),
            is_revocation_due: record.revoke.is_some(),
        }
    }

    /// Returns what somebody has to do for the account to be well, or `None` if that is nothing. `now` is the time for which the status was
    /// made.
    ///
    /// It is [`NextStep::Reauthorize`] if there is no grant, and during a back-off what its cause asks for. While the stored access token is
    /// handed out, nobody has to wait for another.
    pub fn next_step(&self, now: Timestamp) -> Option<NextStep> {
        match self.state {
            AccountState::GoneRefused | AccountState::GoneUnsettled | AccountState::Disconnected => {
                Some(NextStep::Reauthorize)
            }
            AccountState::Live => {
                let wait = self.backoff_until?.since(now);
                let step = self
                    .cause
                    .as_ref()
                    .map_or(NextStep::RetryAfter(Some(wait)), |cause| cause.next_step(wait));
                let is_usable = self.usable_until.is_some_and(|until| now < until);
                Some(step).filter(|step| !(is_usable && matches!(step, NextStep::RetryAfter(_))))
            }
        }
    }
}

impl AccountState {
    /// Returns the state of the grant in this record.
    pub const fn of(record: &Record) -> Self {
        match (record.state, record.unsettled) {
            (GrantState::Live, _) => Self::Live,
            (GrantState::Gone, false) => Self::GoneRefused,
            (GrantState::Gone, true) => Self::GoneUnsettled,
            (GrantState::Disconnected, _) => Self::Disconnected,
        }
    }

    /// Returns the state's name for programs and logs: `live`, `gone_refused`, `gone_unsettled` or `disconnected`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::GoneRefused => "gone_refused",
            Self::GoneUnsettled => "gone_unsettled",
            Self::Disconnected => "disconnected",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::renewal::{GrantId, HolderId, Lease, Retry};
    use crate::secret::{AccessToken, RefreshToken};
    use crate::token_set::TokenSet;

    const ACCOUNT: Account = Account::hub(62515);
    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    /// Returns the record of an account whose tokens were issued ten minutes ago.
    fn record() -> Record {
        let issued = NOW.minus(Duration::from_secs(600));
        let mut tokens = TokenSet::new(AccessToken::new("access-canary").unwrap(), 1800, issued);
        tokens.refresh_token = Some(RefreshToken::new("refresh-canary").unwrap());
        tokens.user_id = Some(7);
        tokens.scopes = Some("oauth crm.objects.contacts.read".parse().unwrap());
        let mut record = Record::new(GrantId::new(1), tokens);
        record.client_id = Some("client-id".to_owned());
        record
    }

    fn status(record: &Record) -> AccountStatus {
        AccountStatus::new(ACCOUNT, record, &RenewalPolicy::new(), NOW)
    }

    fn after(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn a_live_account_has_its_scopes_its_app_and_the_times_of_its_token() {
        let status = status(&record());
        assert_eq!(
            serde_json::to_value(&status).unwrap(),
            json!({
                "account": "62515", "state": "live", "client_id": "client-id", "user_id": 7,
                "scopes": ["oauth", "crm.objects.contacts.read"],
                "renewed_at": 999_400_000, "expires_at": 1_001_200_000,
                "usable_until": 1_001_140_000,
                "failures": 0, "cause": null, "backoff_until": null, "backoff_credential": null,
                "leased_until": null, "is_revocation_due": false,
            })
        );
    }

    #[test]
    fn nothing_in_a_status_is_a_token() {
        let mut record = record();
        record.revoke = Some(RefreshToken::new("revoke-canary").unwrap());
        let status = status(&record);
        assert!(status.is_revocation_due);
        let shown = format!("{status:?} {}", serde_json::to_string(&status).unwrap());
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_grant_that_is_gone_was_refused_or_is_unsettled() {
        for (state, unsettled, expected) in [
            (GrantState::Live, false, AccountState::Live),
            (GrantState::Live, true, AccountState::Live),
            (GrantState::Gone, false, AccountState::GoneRefused),
            (GrantState::Gone, true, AccountState::GoneUnsettled),
            (GrantState::Disconnected, true, AccountState::Disconnected),
        ] {
            let status = status(&Record { state, unsettled, ..record() });
            assert_eq!(status.state, expected);
            assert_eq!(serde_json::to_value(status.state).unwrap(), expected.name());
        }
    }

    #[test]
    fn a_refresh_token_that_was_taken_over_has_no_times_before_its_first_use() {
        let tokens = TokenSet::from_refresh_token(RefreshToken::new("r").unwrap());
        let status = status(&Record::new(GrantId::new(1), tokens));
        assert_eq!((status.renewed_at, status.expires_at, status.usable_until), (None, None, None));
    }

    #[test]
    fn the_next_step_is_that_of_the_grant_or_of_the_cause_of_a_back_off_if_there_is_no_token_meanwhile() {
        let backing_off = |cause| Retry { cause: Some(cause), ..Retry::new(after(1500), 1) };
        let is_late = NOW.plus(Duration::from_secs(1200));
        for (change, now, expected) in [
            (record(), NOW, None),
            (Record { state: GrantState::Gone, ..record() }, NOW, Some(NextStep::Reauthorize)),
            (Record { state: GrantState::Disconnected, ..record() }, NOW, Some(NextStep::Reauthorize)),
            (Record { retry: Some(backing_off(RetryCause::Unavailable)), ..record() }, NOW, None),
            (
                Record { retry: Some(backing_off(RetryCause::Unavailable)), ..record() },
                is_late,
                Some(NextStep::RetryAfter(Some(Duration::from_secs(300)))),
            ),
            (
                Record { retry: Some(Retry::new(after(1500), 1)), ..record() },
                is_late,
                Some(NextStep::RetryAfter(Some(Duration::from_secs(300)))),
            ),
            (
                Record { retry: Some(backing_off(RetryCause::ClientRefused)), ..record() },
                NOW,
                Some(NextStep::FixConfiguration),
            ),
            (Record { retry: Some(Retry::new(NOW, 1)), ..record() }, is_late, None),
        ] {
            let status = AccountStatus::new(ACCOUNT, &change, &RenewalPolicy::new(), now);
            assert_eq!(status.next_step(now), expected, "{status:?}");
        }
    }

    #[test]
    fn failures_are_counted_after_the_back_off_is_over_too() {
        let mut record = record();
        let mut retry = Retry::new(after(30), 3);
        retry.cause = Some(RetryCause::Unavailable);
        record.retry = Some(retry.clone());
        let during = status(&record);
        assert_eq!((during.failures, during.cause), (3, Some(RetryCause::Unavailable)));
        assert_eq!(during.backoff_until, Some(after(30)));
        retry.at = NOW;
        record.retry = Some(retry);
        let afterwards = status(&record);
        assert_eq!((afterwards.failures, afterwards.backoff_until), (3, None));
    }

    /// RENEWAL.md, timing rules 3 and 7.
    #[test]
    fn a_lease_counts_as_long_as_others_observe_it() {
        for (seconds, is_held) in [(60, true), (1, true), (3600, false)] {
            let mut record = record();
            record.lease = Some(Lease::new(HolderId::new(1), after(seconds)));
            assert_eq!(status(&record).leased_until, is_held.then(|| after(seconds)), "{seconds}");
        }
        let mut record = record();
        record.lease = Some(Lease::new(HolderId::new(1), NOW.minus(Duration::from_secs(11))));
        assert_eq!(status(&record).leased_until, None, "it has lapsed, and so has the clocks' margin");
    }
}

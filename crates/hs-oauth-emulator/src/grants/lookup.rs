//! What is known of a code, a token or a grant.

use hs_oauth_core::{Code, Scopes, Timestamp};

use super::access_tokens::{IssuedAccessToken, Owner};
use super::{Consent, Grants};

/// A grant as the dashboard shows it.
pub(crate) struct GrantView<'g> {
    pub(crate) client_id: &'g str,
    pub(crate) scopes: &'g Scopes,
    /// The refresh token that is valid; `None` once it was revoked.
    pub(crate) refresh_token: Option<&'g str>,
    /// How many access tokens are remembered.
    pub(crate) access_tokens: usize,
    /// When the newest of them expires.
    pub(crate) expires_at: Option<Timestamp>,
}

/// What is known about an access token.
#[derive(Debug, PartialEq)]
pub(crate) enum AccessTokenStatus<'a> {
    /// It was never issued, or its grant has ended, or it expired long ago.
    Unknown,
    Expired {
        expired_at: Timestamp,
    },
    /// `hub_id` is `None` if the token was issued to the app itself. `client_id` is the app's.
    Valid {
        hub_id: Option<i64>,
        client_id: &'a str,
        scopes: &'a Scopes,
        expires_at: Timestamp,
    },
}

impl Grants {
    pub(crate) fn access_token_status(&self, now: Timestamp, token: &str) -> AccessTokenStatus<'_> {
        let Some(issued) = self.access_tokens.get(token) else {
            return AccessTokenStatus::Unknown;
        };
        let (hub_id, client_id) = match &issued.owner {
            Owner::App(client_id) => (None, &**client_id),
            Owner::Grant(id) => match self.grants.get(id) {
                Some(grant) if self.hubs.exists(grant.hub_id) => (Some(grant.hub_id), &*grant.client_id),
                _ => return AccessTokenStatus::Unknown,
            },
        };
        if now >= issued.expires_at {
            return AccessTokenStatus::Expired { expired_at: issued.expires_at };
        }
        let IssuedAccessToken { scopes, expires_at, .. } = issued;
        AccessTokenStatus::Valid { hub_id, client_id, scopes, expires_at: *expires_at }
    }

    /// Returns whether a code was exchanged for a grant that no second use of the code has ended.
    pub(crate) fn is_exchanged(&self, code: &Code) -> bool {
        self.codes.is_exchanged(code)
    }

    /// Returns the account that a code was issued for, even if the code is expired or used.
    pub(crate) fn owner_of_code(&self, code: &Code) -> Option<i64> {
        self.codes.owner(code)
    }

    /// Returns the account that a token was issued for, even if the token is expired or replaced.
    pub(crate) fn owner(&self, token: &str) -> Option<i64> {
        let grant = match self.access_tokens.get(token).map(|issued| &issued.owner) {
            Some(Owner::Grant(id)) => *id,
            Some(Owner::App(_)) => return None,
            None => *self.refresh_tokens.get(token)?,
        };
        self.grants.get(&grant).map(|grant| grant.hub_id)
    }

    /// Returns the account, the app and the scopes of a valid refresh token.
    pub(crate) fn refresh_token(&self, token: &str) -> Option<(i64, &str, &Scopes)> {
        let grant = self.grants.get(self.refresh_tokens.get(token)?)?;
        let is_valid = grant.refresh_token.as_deref() == Some(token) && self.hubs.exists(grant.hub_id);
        is_valid.then_some((grant.hub_id, &grant.client_id, &grant.scopes))
    }

    /// Returns what a user consented to when this code was issued, if the code is still remembered.
    pub(crate) fn consent_of_code(&self, code: &str) -> Option<&Consent> {
        self.codes.consent(code)
    }

    /// Returns the grants of an account, newest first.
    pub(crate) fn newest_grants_of(&self, hub_id: i64) -> impl Iterator<Item = GrantView<'_>> {
        let grants = self.hubs.grants_of(hub_id).rev().filter_map(|id| self.grants.get(&id));
        grants.map(|grant| GrantView {
            client_id: &grant.client_id,
            scopes: &grant.scopes,
            refresh_token: grant.refresh_token.as_deref(),
            access_tokens: grant.access_tokens,
            expires_at: grant.expires_at,
        })
    }
}

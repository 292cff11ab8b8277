//! The access tokens that were issued and not yet forgotten.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hs_oauth_core::{Scopes, Timestamp};

/// How long after its expiry an access token is remembered. Until then it is reported as expired, and as unknown later.
const REMEMBERED_AFTER_EXPIRY: Duration = Duration::from_secs(600);

#[derive(Default)]
pub(super) struct AccessTokens {
    issued: BTreeMap<Arc<str>, IssuedAccessToken>,
    by_age: VecDeque<Arc<str>>,
}

pub(super) struct IssuedAccessToken {
    pub(super) owner: Owner,
    pub(super) scopes: Scopes,
    pub(super) expires_at: Timestamp,
}

/// For whom an access token was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// For the account of the grant with this id.
    Grant(u64),
    /// For the app itself, which has this client id.
    App(Arc<str>),
}

impl AccessTokens {
    pub(super) fn insert(&mut self, token: Arc<str>, issued: IssuedAccessToken) {
        self.by_age.push_back(Arc::clone(&token));
        self.issued.insert(token, issued);
    }

    pub(super) fn oldest_first(&self) -> impl Iterator<Item = (&Arc<str>, &IssuedAccessToken)> {
        self.by_age.iter().filter_map(|token| self.issued.get_key_value(token))
    }

    pub(super) fn get(&self, token: &str) -> Option<&IssuedAccessToken> {
        self.issued.get(token)
    }

    /// Removes and returns the oldest token if it expired long enough ago to be forgotten.
    pub(super) fn forget_oldest(&mut self, now: Timestamp) -> Option<IssuedAccessToken> {
        let oldest = self.by_age.front()?;
        if self.issued.get(oldest)?.expires_at.plus(REMEMBERED_AFTER_EXPIRY) > now {
            return None;
        }
        let oldest = self.by_age.pop_front()?;
        self.issued.remove(&oldest)
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        assert_eq!(self.by_age.len(), self.issued.len());
        self.issued.len()
    }
}

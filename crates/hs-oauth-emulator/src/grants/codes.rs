//! Authorization codes. A code is valid once, for a short time, for one redirect URI and one code verifier (RFC 6749
//! §4.1.2, RFC 7636 §4.6).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hs_oauth_core::{Code, CodeVerifier, Scopes, Timestamp};

use super::grant_error::GrantError;
use crate::token_generator::TokenGenerator;

/// How long after its expiry a code is remembered: until then it is reported as expired, or as used if it was used.
const REMEMBERED_AFTER_EXPIRY: Duration = Duration::from_secs(600);
/// The number of codes that are remembered. One more drops the oldest.
const MAX_CODES: usize = 10_000;

/// What a user consented to.
pub(crate) struct Consent {
    pub(crate) client_id: String,
    pub(crate) hub_id: i64,
    pub(crate) scopes: Scopes,
    pub(crate) redirect_uri: String,
    pub(crate) code_challenge: Option<String>,
}

pub(super) struct Codes {
    lifetime: Duration,
    issued: BTreeMap<Arc<str>, IssuedCode>,
    by_age: VecDeque<Arc<str>>,
}

pub(super) struct IssuedCode {
    pub(super) consent: Consent,
    pub(super) expires_at: Timestamp,
    pub(super) is_used: bool,
    /// The id of the grant that the exchange of the code created.
    pub(super) grant: Option<u64>,
}

impl Codes {
    /// `lifetime` is in seconds.
    pub(super) fn new(lifetime: u32) -> Self {
        Self {
            lifetime: Duration::from_secs(lifetime.into()),
            issued: BTreeMap::new(),
            by_age: VecDeque::new(),
        }
    }

    pub(super) fn issue(&mut self, generator: &mut TokenGenerator, now: Timestamp, consent: Consent) -> Code {
        while self.by_age.len() >= MAX_CODES || self.can_forget_oldest(now) {
            let oldest = self.by_age.pop_front();
            oldest.map(|code| self.issued.remove(&code));
        }
        let code = generator.code();
        let issued = IssuedCode { consent, expires_at: now.plus(self.lifetime), is_used: false, grant: None };
        self.insert(code.expose().into(), issued);
        code
    }

    pub(super) fn insert(&mut self, code: Arc<str>, issued: IssuedCode) {
        self.by_age.push_back(Arc::clone(&code));
        self.issued.insert(code, issued);
    }

    pub(super) fn oldest_first(&self) -> impl Iterator<Item = (&Arc<str>, &IssuedCode)> {
        self.by_age.iter().filter_map(|code| self.issued.get_key_value(code))
    }

    fn can_forget_oldest(&self, now: Timestamp) -> bool {
        let oldest = self.by_age.front().map(|code| self.issued.get(code));
        oldest
            .is_some_and(|code| code.is_none_or(|code| code.expires_at.plus(REMEMBERED_AFTER_EXPIRY) <= now))
    }

    /// Returns what a user consented to when a code was issued.
    pub(super) fn consent(&self, code: &str) -> Option<&Consent> {
        self.issued.get(code).map(|issued| &issued.consent)
    }

    /// Returns whether a code was issued to this app.
    pub(super) fn is_of_app(&self, code: &Code, client_id: &str) -> bool {
        self.issued.get(code.expose()).is_some_and(|issued| issued.consent.client_id == client_id)
    }

    /// Returns the account and the scopes that the user consented to. The code is used up, even if this returns an
    /// error.
    pub(super) fn redeem(
        &mut self,
        now: Timestamp,
        code: &Code,
        redirect_uri: &str,
        verifier: Option<&CodeVerifier>,
    ) -> Result<(i64, Scopes), GrantError> {
        let issued = self.issued.get_mut(code.expose()).ok_or(GrantError::UnknownCode)?;
        if std::mem::replace(&mut issued.is_used, true) {
            return Err(GrantError::UnknownCode);
        }
        if now >= issued.expires_at {
            return Err(GrantError::ExpiredCode);
        }
        if issued.consent.redirect_uri != redirect_uri {
            return Err(GrantError::RedirectUriMismatch);
        }
        if issued.consent.code_challenge != verifier.map(CodeVerifier::challenge) {
            return Err(GrantError::WrongCodeVerifier);
        }
        Ok((issued.consent.hub_id, issued.consent.scopes.clone()))
    }

    /// Returns the account that a code was issued for, even if the code is expired or used.
    pub(super) fn owner(&self, code: &Code) -> Option<i64> {
        self.issued.get(code.expose()).map(|issued| issued.consent.hub_id)
    }

    /// Returns whether a code was exchanged for a grant that no second use of the code has ended.
    pub(super) fn is_exchanged(&self, code: &Code) -> bool {
        self.issued.get(code.expose()).is_some_and(|issued| issued.grant.is_some())
    }

    /// Remembers which grant the exchange of a code created.
    pub(super) fn set_grant(&mut self, code: &Code, grant: u64) {
        if let Some(issued) = self.issued.get_mut(code.expose()) {
            issued.grant = Some(grant);
        }
    }

    /// Removes and returns the grant that an earlier exchange of a code created.
    pub(super) fn take_grant(&mut self, code: &Code) -> Option<u64> {
        self.issued.get_mut(code.expose())?.grant.take()
    }

    /// Removes the codes of an account, or only those that were issued to one app.
    pub(super) fn remove_hub(&mut self, hub_id: i64, client_id: Option<&str>) {
        self.issued.retain(|_, code| {
            let is_of_app = client_id.is_none_or(|client_id| code.consent.client_id == client_id);
            code.consent.hub_id != hub_id || !is_of_app
        });
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.by_age.len().max(self.issued.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Harness;

    #[test]
    fn the_number_of_codes_is_limited() {
        let mut harness = Harness::configured(|settings| settings.auto_approve = true);
        for _ in 0..MAX_CODES + 10 {
            harness.code("oauth");
        }
        assert_eq!(harness.emulator.state.grants.code_count(), MAX_CODES);
    }
}

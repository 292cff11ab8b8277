//! Authorization codes: good once, for a short time, for one redirect URI and one verifier (RFC 6749 §4.1.2, RFC 7636
//! §4.6).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hs_oauth_core::{Code, CodeVerifier, Scopes, Timestamp};

use crate::accounts::Denial;
use crate::ids::Minter;

/// How long an expired code is still known as expired, and a spent one as spent.
const AFTERLIFE: Duration = Duration::from_secs(600);
/// The most codes that are remembered.
const MOST_CODES: usize = 10_000;

/// What a person consented to.
pub(crate) struct Consent {
    pub(crate) hub_id: i64,
    pub(crate) scopes: Scopes,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<String>,
}

pub(crate) struct Codes {
    lifetime: Duration,
    issued: BTreeMap<Arc<str>, Issued>,
    by_age: VecDeque<Arc<str>>,
}

struct Issued {
    consent: Consent,
    expires_at: Timestamp,
    spent: bool,
    /// What it brought.
    grant: Option<u64>,
}

impl Codes {
    /// Codes that live for so many seconds.
    pub(crate) fn new(lifetime: u32) -> Self {
        Self {
            lifetime: Duration::from_secs(lifetime.into()),
            issued: BTreeMap::new(),
            by_age: VecDeque::new(),
        }
    }

    pub(crate) fn issue(&mut self, minter: &mut Minter, now: Timestamp, consent: Consent) -> Code {
        while self.by_age.len() >= MOST_CODES || self.oldest_is_over(now) {
            let oldest = self.by_age.pop_front();
            oldest.map(|code| self.issued.remove(&code));
        }
        let code = minter.code();
        let key: Arc<str> = code.expose().into();
        self.by_age.push_back(Arc::clone(&key));
        let issued = Issued { consent, expires_at: now.plus(self.lifetime), spent: false, grant: None };
        self.issued.insert(key, issued);
        code
    }

    fn oldest_is_over(&self, now: Timestamp) -> bool {
        let code = self.by_age.front().map(|code| self.issued.get(code));
        code.is_some_and(|code| code.is_none_or(|code| code.expires_at.plus(AFTERLIFE) <= now))
    }

    /// The account and the scopes a code stands for. Whatever comes of it, the code is spent.
    pub(crate) fn spend(
        &mut self,
        now: Timestamp,
        code: &Code,
        redirect_uri: &str,
        verifier: Option<&CodeVerifier>,
    ) -> Result<(i64, Scopes), Denial> {
        let issued = self.issued.get_mut(code.expose()).ok_or(Denial::UnknownCode)?;
        if std::mem::replace(&mut issued.spent, true) {
            return Err(Denial::UnknownCode);
        }
        if now >= issued.expires_at {
            return Err(Denial::ExpiredCode);
        }
        if issued.consent.redirect_uri != redirect_uri {
            return Err(Denial::OtherRedirectUri);
        }
        if issued.consent.challenge != verifier.map(CodeVerifier::challenge) {
            return Err(Denial::WrongVerifier);
        }
        Ok((issued.consent.hub_id, issued.consent.scopes.clone()))
    }

    /// Whose a code is, good or not.
    pub(crate) fn owner(&self, code: &Code) -> Option<i64> {
        self.issued.get(code.expose()).map(|issued| issued.consent.hub_id)
    }

    /// Remembers what a code brought.
    pub(crate) fn set_grant(&mut self, code: &Code, grant: u64) {
        if let Some(issued) = self.issued.get_mut(code.expose()) {
            issued.grant = Some(grant);
        }
    }

    /// What a code brought, if it was exchanged before.
    pub(crate) fn take_grant(&mut self, code: &Code) -> Option<u64> {
        self.issued.get_mut(code.expose())?.grant.take()
    }

    pub(crate) fn drop_those_of(&mut self, hub_id: i64) {
        self.issued.retain(|_, code| code.consent.hub_id != hub_id);
    }

    #[cfg(test)]
    pub(crate) fn known(&self) -> usize {
        self.by_age.len().max(self.issued.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn codes_are_bounded() {
        let mut bench = Bench::with(|settings| settings.auto_approve = true);
        for _ in 0..MOST_CODES + 10 {
            bench.code("oauth");
        }
        assert_eq!(bench.emulator.accounts.codes.known(), MOST_CODES);
    }
}

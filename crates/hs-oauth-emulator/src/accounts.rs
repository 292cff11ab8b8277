//! Who granted what: accounts, grants and tokens, each found by its own text, dropped when nobody can ask for it
//! any more.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hs_oauth_core::{Code, CodeVerifier, RefreshToken, Scopes, Timestamp, TokenSet, TokenUse};

use crate::codes::Codes;
use crate::ids::Minter;
use crate::settings::{Rotation, Settings};

/// How long an expired access token is still known as expired.
const AFTERLIFE: Duration = Duration::from_secs(600);
/// The most replaced refresh tokens that are remembered.
const MOST_REPLACED: usize = 100_000;

pub(crate) struct Accounts {
    access_token_lifetime: u32,
    hubs: BTreeMap<i64, Hub>,
    grants: BTreeMap<u64, Grant>,
    grants_made: u64,
    pub(crate) codes: Codes,
    access_tokens: BTreeMap<Arc<str>, IssuedAccessToken>,
    access_tokens_by_age: VecDeque<Arc<str>>,
    refresh_tokens: BTreeMap<Arc<str>, u64>,
    replaced: VecDeque<Arc<str>>,
}

pub(crate) struct Hub {
    pub(crate) domain: String,
    pub(crate) deleted: bool,
}

struct Grant {
    hub_id: i64,
    scopes: Scopes,
    /// The one that is good; none once it was revoked.
    refresh_token: Option<Arc<str>>,
    access_tokens: usize,
}

struct IssuedAccessToken {
    /// None if the token acts for the app itself.
    grant: Option<u64>,
    scopes: Scopes,
    expires_at: Timestamp,
}

/// Why there are no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    UnknownCode,
    ExpiredCode,
    OtherRedirectUri,
    WrongVerifier,
    UnknownRefreshToken,
    MoreScopes,
    HubGone,
}

/// What is known of an access token.
#[derive(Debug, PartialEq)]
pub(crate) enum AccessToken<'a> {
    Unknown,
    Expired,
    /// Without a hub it acts for the app itself.
    Good {
        hub_id: Option<i64>,
        scopes: &'a Scopes,
        expires_at: Timestamp,
    },
}

impl Accounts {
    pub(crate) fn new(settings: &Settings) -> Self {
        let hub = Hub { domain: settings.hub_domain.clone(), deleted: false };
        Self {
            access_token_lifetime: settings.access_token_lifetime.max(1),
            hubs: BTreeMap::from([(settings.hub_id, hub)]),
            grants: BTreeMap::new(),
            grants_made: 0,
            codes: Codes::new(settings.code_lifetime),
            access_tokens: BTreeMap::new(),
            access_tokens_by_age: VecDeque::new(),
            refresh_tokens: BTreeMap::new(),
            replaced: VecDeque::new(),
        }
    }

    /// The account, unless it was deleted or never was.
    pub(crate) fn hub(&self, hub_id: i64) -> Option<&Hub> {
        self.hubs.get(&hub_id).filter(|hub| !hub.deleted)
    }

    /// Every account there is or was, and how many grants each has.
    pub(crate) fn hubs(&self) -> impl Iterator<Item = (i64, &Hub, usize)> {
        let grants = |id| self.grants.values().filter(|grant| grant.hub_id == id).count();
        self.hubs.iter().map(move |(id, hub)| (*id, hub, grants(*id)))
    }

    /// False if the account is there already.
    pub(crate) fn add_hub(&mut self, hub_id: i64, domain: String) -> bool {
        if self.hub(hub_id).is_some() {
            return false;
        }
        self.end_grants_of(hub_id);
        let deleted = false;
        self.hubs.insert(hub_id, Hub { domain, deleted });
        true
    }

    /// The account removes the app: no token of it is good any more. False if there is no such account.
    pub(crate) fn uninstall(&mut self, hub_id: i64) -> bool {
        if self.hub(hub_id).is_none() {
            return false;
        }
        self.end_grants_of(hub_id);
        true
    }

    /// The account goes away. Its refresh tokens are still known, as those of an account that is gone.
    pub(crate) fn delete_hub(&mut self, hub_id: i64) -> bool {
        let hub = self.hubs.get_mut(&hub_id).filter(|hub| !hub.deleted);
        hub.map(|hub| hub.deleted = true).is_some()
    }

    fn end_grants_of(&mut self, hub_id: i64) {
        self.codes.drop_those_of(hub_id);
        let ended: Vec<u64> =
            (self.grants.iter()).filter(|(_, grant)| grant.hub_id == hub_id).map(|(id, _)| *id).collect();
        for id in ended {
            self.end_grant(id);
        }
    }

    fn end_grant(&mut self, id: u64) {
        if let Some(token) = self.grants.remove(&id).and_then(|grant| grant.refresh_token) {
            self.refresh_tokens.remove(&token);
        }
    }

    /// A code is spent by the first exchange, whatever comes of it; a second ends what the first brought
    /// (RFC 6749 §4.1.2).
    pub(crate) fn exchange(
        &mut self,
        minter: &mut Minter,
        now: Timestamp,
        code: &Code,
        redirect_uri: &str,
        verifier: Option<&CodeVerifier>,
    ) -> Result<TokenSet, Denial> {
        if let Some(grant) = self.codes.take_grant(code) {
            self.end_grant(grant);
        }
        let (hub_id, scopes) = self.codes.spend(now, code, redirect_uri, verifier)?;
        if self.hubs.get(&hub_id).is_none_or(|hub| hub.deleted) {
            return Err(Denial::HubGone);
        }

        self.grants_made += 1;
        let id = self.grants_made;
        self.codes.set_grant(code, id);
        let refresh_token = minter.refresh_token();
        let key: Arc<str> = refresh_token.expose().into();
        self.refresh_tokens.insert(Arc::clone(&key), id);
        let grant = Grant { hub_id, scopes: scopes.clone(), refresh_token: Some(key), access_tokens: 0 };
        self.grants.insert(id, grant);
        Ok(self.issue(minter, now, Some((id, hub_id, refresh_token)), scopes))
    }

    pub(crate) fn refresh(
        &mut self,
        minter: &mut Minter,
        now: Timestamp,
        presented: &RefreshToken,
        scopes: &Scopes,
        rotation: Rotation,
    ) -> Result<TokenSet, Denial> {
        let unknown = Denial::UnknownRefreshToken;
        let id = *self.refresh_tokens.get(presented.expose()).ok_or(unknown)?;
        let grant = self.grants.get_mut(&id).ok_or(unknown)?;
        let hub_id = grant.hub_id;
        if grant.refresh_token.as_deref() != Some(presented.expose()) {
            if rotation == Rotation::Strict {
                self.end_grant(id);
            }
            return Err(unknown);
        }
        if self.hubs.get(&hub_id).is_none_or(|hub| hub.deleted) {
            return Err(Denial::HubGone);
        }
        if !scopes.iter().all(|scope| grant.scopes.contains(scope.as_str())) {
            return Err(Denial::MoreScopes);
        }

        let scopes = if scopes.is_empty() { &grant.scopes } else { scopes }.clone();
        let mut refresh_token = presented.clone();
        if rotation != Rotation::Keep {
            refresh_token = minter.refresh_token();
            let key: Arc<str> = refresh_token.expose().into();
            let old = grant.refresh_token.replace(Arc::clone(&key));
            self.refresh_tokens.insert(key, id);
            self.replaced.extend(old);
            if self.replaced.len() > MOST_REPLACED {
                let oldest = self.replaced.pop_front();
                oldest.map(|token| self.refresh_tokens.remove(&token));
            }
        }
        Ok(self.issue(minter, now, Some((id, hub_id, refresh_token)), scopes))
    }

    /// A token for the app itself.
    pub(crate) fn app_token(&mut self, minter: &mut Minter, now: Timestamp, scopes: Scopes) -> TokenSet {
        self.issue(minter, now, None, scopes)
    }

    fn issue(
        &mut self,
        minter: &mut Minter,
        now: Timestamp,
        grant: Option<(u64, i64, RefreshToken)>,
        scopes: Scopes,
    ) -> TokenSet {
        self.drop_expired(now);
        let access_token = minter.access_token();
        let key: Arc<str> = access_token.expose().into();
        let mut tokens = TokenSet::new(access_token, self.access_token_lifetime.into(), now);
        tokens.scopes = Some(scopes.clone());
        tokens.token_use = Some(TokenUse::ClientCredentials);
        let id = grant.map(|(id, hub_id, refresh_token)| {
            tokens.token_use = Some(TokenUse::AccessToken);
            tokens.hub_id = Some(hub_id);
            tokens.refresh_token = Some(refresh_token);
            id
        });
        if let Some(grant) = id.and_then(|id| self.grants.get_mut(&id)) {
            grant.access_tokens += 1;
        }
        self.access_tokens_by_age.push_back(Arc::clone(&key));
        let issued = IssuedAccessToken { grant: id, scopes, expires_at: tokens.expires_at };
        self.access_tokens.insert(key, issued);
        tokens
    }

    fn drop_expired(&mut self, now: Timestamp) {
        while let Some(oldest) = self.access_tokens_by_age.front() {
            let issued = self.access_tokens.get(oldest);
            if issued.is_some_and(|issued| issued.expires_at.plus(AFTERLIFE) > now) {
                return;
            }
            let grant = issued.and_then(|issued| issued.grant);
            self.access_tokens.remove(oldest);
            self.access_tokens_by_age.pop_front();
            if let Some((id, grant)) = grant.and_then(|id| self.grants.get_mut(&id).map(|grant| (id, grant)))
            {
                grant.access_tokens -= 1;
                if grant.access_tokens == 0 && grant.refresh_token.is_none() {
                    self.grants.remove(&id);
                }
            }
        }
    }

    pub(crate) fn access_token(&self, now: Timestamp, text: &str) -> AccessToken<'_> {
        let Some(issued) = self.access_tokens.get(text) else {
            return AccessToken::Unknown;
        };
        let hub_id = match issued.grant.map(|id| self.grants.get(&id)) {
            None => None,
            Some(Some(grant)) if self.hub(grant.hub_id).is_some() => Some(grant.hub_id),
            Some(_) => return AccessToken::Unknown,
        };
        if now >= issued.expires_at {
            return AccessToken::Expired;
        }
        AccessToken::Good { hub_id, scopes: &issued.scopes, expires_at: issued.expires_at }
    }

    /// Whose a token is, good or not.
    pub(crate) fn owner(&self, token: &str) -> Option<i64> {
        let grant = match self.access_tokens.get(token) {
            Some(issued) => issued.grant?,
            None => *self.refresh_tokens.get(token)?,
        };
        self.grants.get(&grant).map(|grant| grant.hub_id)
    }

    /// Whose a good refresh token is, and what was granted.
    pub(crate) fn refresh_token(&self, text: &str) -> Option<(i64, &Scopes)> {
        let grant = self.grants.get(self.refresh_tokens.get(text)?)?;
        let good = grant.refresh_token.as_deref() == Some(text) && self.hub(grant.hub_id).is_some();
        good.then_some((grant.hub_id, &grant.scopes))
    }

    /// Access tokens already given live on.
    pub(crate) fn revoke(&mut self, text: &str) {
        let grant =
            self.refresh_tokens.get(text).and_then(|id| self.grants.get_mut(id).map(|grant| (*id, grant)));
        let Some((id, grant)) = grant.filter(|(_, grant)| grant.refresh_token.as_deref() == Some(text))
        else {
            return;
        };
        grant.refresh_token = None;
        self.refresh_tokens.remove(text);
        if grant.access_tokens == 0 {
            self.grants.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Bench;

    #[test]
    fn what_nobody_can_ask_for_any_more_is_dropped() {
        let mut bench = Bench::with(|settings| settings.rotation = Rotation::Rotate);
        let mut tokens = bench.install();
        for _ in 0..500 {
            bench.wait(60);
            tokens = bench.refresh(&tokens).unwrap();
        }
        let accounts = &bench.emulator.accounts;
        assert_eq!(accounts.access_tokens.len(), 40, "half an hour of life and ten minutes after");
        assert_eq!(accounts.access_tokens_by_age.len(), 40);
        assert_eq!(accounts.grants.len(), 1);

        bench.revoke(&tokens);
        bench.wait(3600);
        let other = bench.install();
        let accounts = &bench.emulator.accounts;
        assert_eq!((accounts.access_tokens.len(), accounts.grants.len(), accounts.codes.known()), (1, 1, 1));
        bench.emulator.uninstall(other.hub_id.unwrap());
        bench.wait(3600);
        bench.install();
        let accounts = &bench.emulator.accounts;
        assert_eq!((accounts.access_tokens.len(), accounts.grants.len(), accounts.codes.known()), (1, 1, 1));
    }

    #[test]
    fn a_clock_that_jumps_back_breaks_nothing() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        bench.now = Timestamp::from_secs(0);
        bench.refresh(&tokens).unwrap();
        assert!(bench.is_active(tokens.access_token.clone()));
        bench.now = Timestamp::from_millis(u64::MAX);
        bench.refresh(&tokens).unwrap();
        assert!(!bench.is_active(tokens.access_token));
    }
}

//! Who granted what to the app: the accounts, their grants, and the codes and tokens of these grants.
//!
//! A code or token is found by its text. What no request can ask for any more is dropped.

mod access_tokens;
mod accounts;
mod codes;
mod grant_error;
mod hubs;
mod lookup;
pub(crate) mod saved;
pub(crate) mod visits;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use access_tokens::{AccessTokens, IssuedAccessToken, Owner};
use codes::Codes;
pub(crate) use codes::Consent;
pub(crate) use grant_error::GrantError;
use hs_oauth_core::{Code, CodeVerifier, RefreshToken, Scopes, Timestamp, TokenSet, TokenUse};
pub(crate) use hubs::Hub;
use hubs::Hubs;
pub(crate) use lookup::{AccessTokenStatus, GrantView};

use crate::settings::{Rotation, Settings};
use crate::token_generator::TokenGenerator;

/// The number of replaced refresh tokens that are remembered. One more drops the oldest.
const MAX_REPLACED: usize = 100_000;

pub(crate) struct Grants {
    access_token_lifetime: u32,
    hubs: Hubs,
    codes: Codes,
    grants: BTreeMap<u64, Grant>,
    last_grant: u64,
    access_tokens: AccessTokens,
    /// The id of the grant of each refresh token. Replaced refresh tokens are here too.
    refresh_tokens: BTreeMap<Arc<str>, u64>,
    replaced_refresh_tokens: VecDeque<Arc<str>>,
}

struct Grant {
    hub_id: i64,
    /// The app that it was granted to.
    client_id: Arc<str>,
    scopes: Scopes,
    /// The refresh token that is valid; `None` once it was revoked.
    refresh_token: Option<Arc<str>>,
    /// How many access tokens of this grant are remembered.
    access_tokens: usize,
    /// When the newest of them expires.
    expires_at: Option<Timestamp>,
}

impl Grants {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut hubs = Hubs::default();
        hubs.insert(settings.hub_id, settings.hub_domain.clone());
        hubs.set_lacking_scopes(settings.hub_id, settings.hub_lacks.clone());
        for hub in &settings.more_hubs {
            hubs.insert(hub.hub_id, hub.hub_domain.clone());
            hubs.set_lacking_scopes(hub.hub_id, hub.lacks.clone());
        }
        Self {
            access_token_lifetime: settings.access_token_lifetime.max(1),
            hubs,
            codes: Codes::new(settings.code_lifetime),
            grants: BTreeMap::new(),
            last_grant: 0,
            access_tokens: AccessTokens::default(),
            refresh_tokens: BTreeMap::new(),
            replaced_refresh_tokens: VecDeque::new(),
        }
    }

    fn end_all_of(&mut self, hub_id: i64, client_id: Option<&str>) {
        self.codes.remove_hub(hub_id, client_id);
        let is_of_app = |id: &u64| {
            client_id.is_none_or(|client_id| {
                self.grants.get(id).is_some_and(|grant| *grant.client_id == *client_id)
            })
        };
        let ended: Vec<_> = self.hubs.grants_of(hub_id).filter(is_of_app).collect();
        ended.into_iter().for_each(|id| self.end_grant(id));
    }

    /// Removes a grant and its refresh token. Its access tokens are found unknown from then on, because they name a grant
    /// that is gone.
    fn end_grant(&mut self, id: u64) {
        let Some(grant) = self.grants.remove(&id) else { return };
        self.hubs.remove_grant(grant.hub_id, id);
        if let Some(token) = grant.refresh_token {
            self.refresh_tokens.remove(&token);
        }
    }

    pub(crate) fn issue_code(
        &mut self,
        generator: &mut TokenGenerator,
        now: Timestamp,
        consent: Consent,
    ) -> Code {
        self.codes.issue(generator, now, consent)
    }

    /// Exchanges a code for tokens. The first exchange uses the code up, even if it fails. A second one ends the grant
    /// that the first one created (RFC 6749 §4.1.2).
    pub(crate) fn exchange(
        &mut self,
        generator: &mut TokenGenerator,
        now: Timestamp,
        client_id: &str,
        code: &Code,
        redirect_uri: &str,
        verifier: Option<&CodeVerifier>,
    ) -> Result<TokenSet, GrantError> {
        // Another app must not be able to end the grant.
        if !self.codes.is_of_app(code, client_id) {
            return Err(GrantError::UnknownCode);
        }
        if let Some(grant) = self.codes.take_grant(code) {
            self.end_grant(grant);
        }
        let (hub_id, scopes) = self.codes.redeem(now, code, redirect_uri, verifier)?;
        if !self.hubs.exists(hub_id) {
            return Err(GrantError::HubDeleted);
        }

        self.last_grant += 1;
        let id = self.last_grant;
        self.codes.set_grant(code, id);
        let refresh_token = generator.refresh_token();
        let key: Arc<str> = refresh_token.expose().into();
        self.refresh_tokens.insert(Arc::clone(&key), id);
        let grant = Grant {
            hub_id,
            client_id: client_id.into(),
            scopes: scopes.clone(),
            refresh_token: Some(key),
            access_tokens: 0,
            expires_at: None,
        };
        self.grants.insert(id, grant);
        self.hubs.add_grant(hub_id, id);
        Ok(self.issue_tokens(generator, now, id, hub_id, refresh_token, scopes))
    }

    /// Exchanges a refresh token for tokens. No `scopes` means all that were granted.
    pub(crate) fn refresh(
        &mut self,
        generator: &mut TokenGenerator,
        now: Timestamp,
        client_id: &str,
        presented: &RefreshToken,
        scopes: &Scopes,
        rotation: Rotation,
    ) -> Result<TokenSet, GrantError> {
        let unknown = GrantError::UnknownRefreshToken;
        let id = *self.refresh_tokens.get(presented.expose()).ok_or(unknown)?;
        let grant = self.grants.get_mut(&id).ok_or(unknown)?;
        if *grant.client_id != *client_id {
            return Err(GrantError::OtherApp);
        }
        let hub_id = grant.hub_id;
        if grant.refresh_token.as_deref() != Some(presented.expose()) {
            if rotation == Rotation::Strict {
                self.end_grant(id);
            }
            return Err(unknown);
        }
        if !self.hubs.exists(hub_id) {
            return Err(GrantError::HubDeleted);
        }
        if !scopes.iter().all(|scope| grant.scopes.contains(scope.as_str())) {
            return Err(GrantError::ScopeNotGranted);
        }

        let scopes = if scopes.is_empty() { &grant.scopes } else { scopes }.clone();
        let mut refresh_token = presented.clone();
        if rotation != Rotation::Keep {
            refresh_token = generator.refresh_token();
            let key: Arc<str> = refresh_token.expose().into();
            let replaced = grant.refresh_token.replace(Arc::clone(&key));
            self.refresh_tokens.insert(key, id);
            self.replaced_refresh_tokens.extend(replaced);
            if self.replaced_refresh_tokens.len() > MAX_REPLACED {
                let oldest = self.replaced_refresh_tokens.pop_front();
                oldest.map(|token| self.refresh_tokens.remove(&token));
            }
        }
        Ok(self.issue_tokens(generator, now, id, hub_id, refresh_token, scopes))
    }

    /// Issues an access token to an app itself.
    pub(crate) fn issue_app_token(
        &mut self,
        generator: &mut TokenGenerator,
        now: Timestamp,
        client_id: &str,
        scopes: Scopes,
    ) -> TokenSet {
        let mut tokens = self.issue_access_token(generator, now, Owner::App(client_id.into()), scopes);
        tokens.token_use = Some(TokenUse::ClientCredentials);
        tokens
    }

    fn issue_tokens(
        &mut self,
        generator: &mut TokenGenerator,
        now: Timestamp,
        grant: u64,
        hub_id: i64,
        refresh_token: RefreshToken,
        scopes: Scopes,
    ) -> TokenSet {
        let mut tokens = self.issue_access_token(generator, now, Owner::Grant(grant), scopes);
        tokens.token_use = Some(TokenUse::AccessToken);
        tokens.hub_id = Some(hub_id);
        tokens.refresh_token = Some(refresh_token);
        if let Some(grant) = self.grants.get_mut(&grant) {
            grant.access_tokens += 1;
            grant.expires_at = Some(tokens.expires_at);
        }
        tokens
    }

    fn issue_access_token(
        &mut self,
        generator: &mut TokenGenerator,
        now: Timestamp,
        owner: Owner,
        scopes: Scopes,
    ) -> TokenSet {
        self.forget_old_access_tokens(now);
        let mut tokens = TokenSet::new(generator.access_token(), self.access_token_lifetime.into(), now);
        tokens.scopes = Some(scopes.clone());
        let issued = IssuedAccessToken { owner, scopes, expires_at: tokens.expires_at };
        self.access_tokens.insert(tokens.access_token.expose().into(), issued);
        tokens
    }

    /// Forgets old access tokens. A grant goes with its last access token if its refresh token was revoked.
    fn forget_old_access_tokens(&mut self, now: Timestamp) {
        while let Some(forgotten) = self.access_tokens.forget_oldest(now) {
            let Owner::Grant(id) = forgotten.owner else { continue };
            let Some(grant) = self.grants.get_mut(&id) else { continue };
            grant.access_tokens -= 1;
            if grant.access_tokens == 0 && grant.refresh_token.is_none() {
                self.end_grant(id);
            }
        }
    }

    /// Revokes a refresh token, if it is valid. Access tokens that were issued before stay valid.
    pub(crate) fn revoke(&mut self, token: &str) {
        let grant =
            self.refresh_tokens.get(token).and_then(|id| self.grants.get_mut(id).map(|grant| (*id, grant)));
        let Some((id, grant)) = grant.filter(|(_, grant)| grant.refresh_token.as_deref() == Some(token))
        else {
            return;
        };
        grant.refresh_token = None;
        self.refresh_tokens.remove(token);
        if grant.access_tokens == 0 {
            self.end_grant(id);
        }
    }

    #[cfg(test)]
    pub(crate) fn code_count(&self) -> usize {
        self.codes.count()
    }
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::{AuthorizationCode, Authorize, ExchangeCode, NextStep, Refresh};

    use super::*;
    use crate::testing::{CALLBACK, Harness, refresh_token};

    /// HubSpot's guide: an access token is valid for 30 minutes.
    #[test]
    fn an_access_token_expires_to_the_second() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        harness.wait(1799);
        assert!(harness.is_active(tokens.access_token.clone()));
        harness.wait(1);
        assert!(!harness.is_active(tokens.access_token.clone()));
        harness.version = "v1".parse().unwrap();
        assert!(!harness.is_active(tokens.access_token));
    }

    /// RFC 6749 §4.1.2.
    #[test]
    fn a_code_is_valid_once_and_its_second_use_ends_the_grant() {
        let mut harness = Harness::new();
        let exchange = ExchangeCode::new(harness.code("oauth"));
        let tokens = harness.call(&exchange).unwrap();
        assert_eq!(harness.error_codes(&exchange), bad_request("invalid_grant", "BAD_AUTH_CODE"));
        assert!(!harness.is_active(tokens.access_token.clone()));
        assert_eq!(harness.refresh(&tokens).unwrap_err().next_step(), NextStep::Reauthorize);
    }

    /// HubSpot's error reference: it lists these error codes, and says that a refused code is used up.
    #[test]
    fn a_code_is_bound_to_its_lifetime_redirect_uri_and_code_verifier() {
        let mut harness = Harness::new();
        let verifier = |char: &str| Some(CodeVerifier::new(char.repeat(43)).unwrap());
        let mut exchange =
            |redirect_uri: &str,
             change: fn(&mut Harness),
             verifier: fn(&AuthorizationCode) -> Option<CodeVerifier>| {
                let code = harness.code("oauth");
                change(&mut harness);
                let code = AuthorizationCode::from_caller_who_checked_state(
                    code.code().clone(),
                    redirect_uri,
                    verifier(&code),
                );
                let error = harness.error_codes(&ExchangeCode::new(code.clone()));
                assert_eq!(
                    harness.error_codes(&ExchangeCode::new(code)),
                    bad_request("invalid_grant", "BAD_AUTH_CODE")
                );
                error
            };
        let right = |code: &AuthorizationCode| code.code_verifier().cloned();
        assert_eq!(
            exchange(CALLBACK, |harness| harness.wait(60), right),
            bad_request("invalid_grant", "EXPIRED_AUTH_CODE")
        );
        assert_eq!(
            exchange("http://localhost:3000/oauth/callback/", |_| {}, right),
            bad_request("invalid_grant", "MISMATCH_REDIRECT_URI_AUTH_CODE")
        );
        assert_eq!(
            exchange(CALLBACK, |_| {}, |_| Some(CodeVerifier::new("a".repeat(43)).unwrap())),
            bad_request("invalid_grant", "BAD_CODE_VERIFIER")
        );
        assert_eq!(exchange(CALLBACK, |_| {}, |_| None), bad_request("invalid_grant", "BAD_CODE_VERIFIER"));

        let without_challenge = harness.authorize(&Authorize::new("oauth".parse().unwrap()).without_pkce());
        let with_verifier = AuthorizationCode::from_caller_who_checked_state(
            without_challenge.code().clone(),
            CALLBACK,
            verifier("b"),
        );
        assert_eq!(
            harness.error_codes(&ExchangeCode::new(with_verifier)),
            bad_request("invalid_grant", "BAD_CODE_VERIFIER")
        );

        let unknown =
            AuthorizationCode::from_caller_who_checked_state(Code::new("nope").unwrap(), CALLBACK, None);
        assert_eq!(
            harness.error_codes(&ExchangeCode::new(unknown)),
            bad_request("invalid_grant", "BAD_AUTH_CODE")
        );
    }

    /// RFC 7636 §4.6: a code that was requested without a challenge needs no verifier.
    #[test]
    fn an_app_without_pkce_can_exchange_its_code() {
        let mut harness = Harness::new();
        let code = harness.authorize(&Authorize::new("oauth".parse().unwrap()).without_pkce());
        assert!(harness.call(&ExchangeCode::new(code)).is_ok());
    }

    #[test]
    fn each_rotation_treats_the_used_refresh_token_as_documented() {
        for rotation in [Rotation::Keep, Rotation::Rotate, Rotation::Strict] {
            let mut harness = Harness::configured(|settings| settings.rotation = rotation);
            let first = harness.install();
            let second = harness.refresh(&first).unwrap();
            assert_eq!(second.refresh_token == first.refresh_token, rotation == Rotation::Keep);
            if rotation == Rotation::Keep {
                continue;
            }
            // RFC 9700 §4.14.2: a server may treat the reuse as theft. Only `Strict` does.
            assert_eq!(harness.refresh(&first).unwrap_err().next_step(), NextStep::Reauthorize);
            assert!(!harness.is_active(refresh_token(&first)));
            let survives = rotation == Rotation::Rotate;
            assert_eq!(harness.refresh(&second).is_ok(), survives);
            assert_eq!(harness.is_active(second.access_token.clone()), survives);
        }
    }

    /// RFC 6749 §6.
    #[test]
    fn a_refresh_can_ask_for_fewer_scopes_but_not_for_more() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let refresh =
            |scopes: &str| Refresh::new(refresh_token(&tokens)).with_scopes(scopes.parse().unwrap());
        let narrowed = harness.call(&refresh("oauth")).unwrap();
        assert_eq!(narrowed.scopes.unwrap().to_string(), "oauth");
        assert_eq!(
            harness.error_codes(&refresh("oauth tickets")),
            bad_request("invalid_scope", "BAD_SCOPES")
        );
        assert_eq!(harness.call(&refresh("")).unwrap().scopes.unwrap().len(), 2);
    }

    /// HubSpot's page on revocation and its error reference: an uninstall and a deleted account have different errors.
    #[test]
    fn an_uninstall_ends_all_grants_and_a_deleted_account_has_its_own_error() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        assert!(harness.emulator.uninstall(62515));
        assert!(!harness.is_active(tokens.access_token.clone()));
        assert_eq!(
            harness.error_codes(&Refresh::new(refresh_token(&tokens))),
            bad_request("invalid_grant", "BAD_REFRESH_TOKEN")
        );

        let tokens = harness.install();
        let code = harness.code("oauth");
        assert!(harness.emulator.delete_hub(62515));
        assert!(!harness.is_active(tokens.access_token.clone()));
        assert!(!harness.is_active(refresh_token(&tokens)));
        assert_eq!(
            harness.error_codes(&Refresh::new(refresh_token(&tokens))),
            bad_request("access_denied", "BAD_HUB")
        );
        assert_eq!(harness.error_codes(&ExchangeCode::new(code)), bad_request("access_denied", "BAD_HUB"));
        assert_eq!(harness.refresh(&tokens).unwrap_err().next_step(), NextStep::Reauthorize);

        assert!(harness.emulator.add_hub(62515, "again.example.com"));
        assert_eq!(
            harness.error_codes(&Refresh::new(refresh_token(&tokens))),
            bad_request("invalid_grant", "BAD_REFRESH_TOKEN")
        );
        harness.install();
    }

    #[test]
    fn old_codes_tokens_and_grants_are_dropped() {
        let mut harness = Harness::configured(|settings| settings.rotation = Rotation::Rotate);
        let mut tokens = harness.install();
        for _ in 0..500 {
            harness.wait(60);
            tokens = harness.refresh(&tokens).unwrap();
        }
        let grants = &harness.emulator.state.grants;
        assert_eq!(grants.access_tokens.count(), 40, "half an hour of lifetime and ten minutes after it");
        assert_eq!(grants.grants.len(), 1);

        harness.revoke(&tokens);
        harness.wait(3600);
        let other = harness.install();
        let grants = &harness.emulator.state.grants;
        assert_eq!((grants.access_tokens.count(), grants.grants.len(), grants.code_count()), (1, 1, 1));
        harness.emulator.uninstall(other.hub_id.unwrap());
        harness.wait(3600);
        harness.install();
        let grants = &harness.emulator.state.grants;
        assert_eq!((grants.access_tokens.count(), grants.grants.len(), grants.code_count()), (1, 1, 1));
    }

    #[test]
    fn a_clock_that_jumps_does_no_harm() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        harness.now = Timestamp::from_secs(0);
        harness.refresh(&tokens).unwrap();
        assert!(harness.is_active(tokens.access_token.clone()));
        harness.now = Timestamp::from_millis(u64::MAX);
        harness.refresh(&tokens).unwrap();
        assert!(!harness.is_active(tokens.access_token));
    }

    fn bad_request(error: &str, code: &str) -> (u16, String, String) {
        (400, error.to_owned(), code.to_owned())
    }
}

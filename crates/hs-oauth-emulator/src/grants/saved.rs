//! The form in which accounts, grants, codes and tokens are written into a file.

use std::collections::BTreeMap;
use std::sync::Arc;

use hs_oauth_core::{Scopes, Timestamp};
use serde::{Deserialize, Serialize};

use super::access_tokens::{AccessTokens, IssuedAccessToken, Owner};
use super::codes::{Codes, Consent, IssuedCode};
use super::{Grant, Grants};
use crate::settings::Settings;

/// Everything that [`Grants`] remember, oldest first.
#[derive(Serialize, Deserialize)]
pub(crate) struct SavedGrants {
    hubs: Vec<SavedHub>,
    last_grant: u64,
    grants: Vec<SavedGrant>,
    replaced_refresh_tokens: Vec<SavedRefreshToken>,
    access_tokens: Vec<SavedAccessToken>,
    codes: Vec<SavedCode>,
}

#[derive(Serialize, Deserialize)]
struct SavedHub {
    hub_id: i64,
    hub_domain: String,
    #[serde(default, skip_serializing_if = "Scopes::is_empty")]
    lacks: Scopes,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

#[derive(Serialize, Deserialize)]
struct SavedGrant {
    id: u64,
    hub_id: i64,
    client_id: Arc<str>,
    scopes: Scopes,
    /// Absent once it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<Arc<str>>,
}

#[derive(Serialize, Deserialize)]
struct SavedRefreshToken {
    refresh_token: Arc<str>,
    grant: u64,
}

/// It has either a grant or, if it was issued to the app itself, a client id.
#[derive(Serialize, Deserialize)]
struct SavedAccessToken {
    access_token: Arc<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<Arc<str>>,
    scopes: Scopes,
    expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct SavedCode {
    code: Arc<str>,
    client_id: String,
    hub_id: i64,
    scopes: Scopes,
    redirect_uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_challenge: Option<String>,
    expires_at: Timestamp,
    used: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<u64>,
}

impl Grants {
    /// Returns everything that has to last.
    pub(crate) fn to_saved(&self) -> SavedGrants {
        let grant_of = |token: &Arc<str>| self.refresh_tokens.get(token).copied();
        SavedGrants {
            hubs: (self.hubs.all())
                .map(|(hub_id, hub)| SavedHub {
                    hub_id,
                    hub_domain: hub.domain.clone(),
                    lacks: hub.lacks.clone(),
                    deleted: hub.is_deleted,
                })
                .collect(),
            last_grant: self.last_grant,
            grants: (self.grants.iter())
                .map(|(id, grant)| SavedGrant {
                    id: *id,
                    hub_id: grant.hub_id,
                    client_id: Arc::clone(&grant.client_id),
                    scopes: grant.scopes.clone(),
                    refresh_token: grant.refresh_token.clone(),
                })
                .collect(),
            replaced_refresh_tokens: (self.replaced_refresh_tokens.iter())
                .filter_map(|token| {
                    Some(SavedRefreshToken { refresh_token: Arc::clone(token), grant: grant_of(token)? })
                })
                .collect(),
            access_tokens: self.access_tokens.oldest_first().map(SavedAccessToken::from).collect(),
            codes: self.codes.oldest_first().map(SavedCode::from).collect(),
        }
    }

    /// Returns the grants that were saved. The accounts of `settings` are among their accounts. What belongs to a grant that was not saved
    /// is left out.
    pub(crate) fn from_saved(settings: &Settings, saved: SavedGrants) -> Self {
        let mut grants = Self::new(settings);
        for hub in saved.hubs {
            grants.hubs.insert(hub.hub_id, hub.hub_domain);
            grants.hubs.set_lacking_scopes(hub.hub_id, hub.lacks);
            if hub.deleted {
                grants.hubs.delete(hub.hub_id);
            }
        }
        grants.last_grant = saved.last_grant;
        for SavedGrant { id, hub_id, client_id, scopes, refresh_token } in saved.grants {
            if let Some(token) = &refresh_token {
                grants.refresh_tokens.insert(Arc::clone(token), id);
            }
            let grant =
                Grant { hub_id, client_id, scopes, refresh_token, access_tokens: 0, expires_at: None };
            grants.grants.insert(id, grant);
            grants.hubs.add_grant(hub_id, id);
            grants.last_grant = grants.last_grant.max(id);
        }
        for SavedRefreshToken { refresh_token, grant } in saved.replaced_refresh_tokens {
            grants.refresh_tokens.insert(Arc::clone(&refresh_token), grant);
            grants.replaced_refresh_tokens.push_back(refresh_token);
        }
        grants.access_tokens = read_access_tokens(&mut grants.grants, saved.access_tokens);
        grants.codes = read_codes(settings, saved.codes);
        grants
    }
}

fn read_access_tokens(grants: &mut BTreeMap<u64, Grant>, saved: Vec<SavedAccessToken>) -> AccessTokens {
    let mut access_tokens = AccessTokens::default();
    for SavedAccessToken { access_token, grant, client_id, scopes, expires_at } in saved {
        let owner = match (grant, client_id) {
            (Some(id), _) => Owner::Grant(id),
            (None, Some(client_id)) => Owner::App(client_id),
            (None, None) => continue,
        };
        if let Some(grant) = grant.and_then(|id| grants.get_mut(&id)) {
            grant.access_tokens += 1;
            grant.expires_at = Some(expires_at);
        }
        access_tokens.insert(access_token, IssuedAccessToken { owner, scopes, expires_at });
    }
    access_tokens
}

fn read_codes(settings: &Settings, saved: Vec<SavedCode>) -> Codes {
    let mut codes = Codes::new(settings.code_lifetime);
    for code in saved {
        let SavedCode { client_id, hub_id, scopes, redirect_uri, code_challenge, .. } = code;
        let consent = Consent { client_id, hub_id, scopes, redirect_uri, code_challenge };
        let issued =
            IssuedCode { consent, expires_at: code.expires_at, is_used: code.used, grant: code.grant };
        codes.insert(code.code, issued);
    }
    codes
}

impl From<(&Arc<str>, &IssuedAccessToken)> for SavedAccessToken {
    fn from((token, issued): (&Arc<str>, &IssuedAccessToken)) -> Self {
        let (grant, client_id) = match &issued.owner {
            Owner::Grant(id) => (Some(*id), None),
            Owner::App(client_id) => (None, Some(Arc::clone(client_id))),
        };
        Self {
            access_token: Arc::clone(token),
            grant,
            client_id,
            scopes: issued.scopes.clone(),
            expires_at: issued.expires_at,
        }
    }
}

impl From<(&Arc<str>, &IssuedCode)> for SavedCode {
    fn from((code, issued): (&Arc<str>, &IssuedCode)) -> Self {
        let Consent { client_id, hub_id, scopes, redirect_uri, code_challenge } = &issued.consent;
        Self {
            code: Arc::clone(code),
            client_id: client_id.clone(),
            hub_id: *hub_id,
            scopes: scopes.clone(),
            redirect_uri: redirect_uri.clone(),
            code_challenge: code_challenge.clone(),
            expires_at: issued.expires_at,
            used: issued.is_used,
            grant: issued.grant,
        }
    }
}

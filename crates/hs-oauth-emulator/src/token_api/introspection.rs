use hs_oauth_core::{
    AccessToken, AccessTokenInfo, ApiVersion, Introspection, RefreshToken, RefreshTokenInfo, Signature,
    SignedAccessToken, Timestamp, Token,
};

use crate::apps::RegisteredApp;
use crate::grants::AccessTokenStatus;
use crate::state::State;

/// Returns what is known about a token. One of another app than `client_id` is not active. Any app's is, if the request names no app.
pub(super) fn introspect(
    state: &State,
    now: Timestamp,
    version: ApiVersion,
    client_id: Option<&str>,
    token: &Token,
) -> Introspection {
    let is_v1 = version == ApiVersion::V1;
    let text = token.expose();
    let as_access_token = || {
        access_token_info(state, now, is_v1, client_id, text).map(Box::new).map(Introspection::AccessToken)
    };
    let as_refresh_token =
        || refresh_token_info(state, is_v1, client_id, text).map(Box::new).map(Introspection::RefreshToken);
    // On v1, access tokens and refresh tokens have addresses of their own. On other versions the request only gives a
    // hint, which may be wrong (RFC 7662 §2.1).
    match token {
        Token::Access(_) if is_v1 => as_access_token(),
        Token::Refresh(_) if is_v1 => as_refresh_token(),
        _ => as_access_token().or_else(as_refresh_token),
    }
    .unwrap_or(Introspection::Inactive)
}

fn access_token_info(
    state: &State,
    now: Timestamp,
    is_v1: bool,
    client_id: Option<&str>,
    token: &str,
) -> Option<AccessTokenInfo> {
    let AccessTokenStatus::Valid { hub_id, client_id: owner, scopes, expires_at } =
        state.grants.access_token_status(now, token)
    else {
        return None;
    };
    let app = app_of(state, client_id, owner)?;
    let settings = &state.settings;
    let hub_id = hub_id.unwrap_or(settings.hub_id);
    let expires_in = expires_at.since(now).as_secs();
    let mut info =
        AccessTokenInfo::new(AccessToken::new(token).ok()?, hub_id, app.app_id, scopes.clone(), expires_in);
    info.user_id = Some(settings.user.id);
    info.client_id = (!is_v1).then(|| app.client_id.to_owned());
    info.token_type = Some(if is_v1 { "access" } else { "bearer" }.to_owned());
    info.is_private_distribution = Some(false);
    info.user = Some(settings.user.email.clone());
    info.hub_domain = state.grants.hub(hub_id).map(|hub| hub.domain.clone());
    info.signed_access_token = Some(Box::new(signed_access_token(state, app, token, hub_id, expires_at)));
    Some(info)
}

fn signed_access_token(
    state: &State,
    app: RegisteredApp<'_>,
    token: &str,
    hub_id: i64,
    expires_at: Timestamp,
) -> SignedAccessToken {
    let settings = &state.settings;
    let mut signed = SignedAccessToken::default();
    signed.app_id = Some(app.app_id);
    signed.app_install_id = Some(hub_id.to_string());
    signed.audience = Some(String::new());
    signed.expires_at = Some(i64::try_from(expires_at.as_millis()).unwrap_or(i64::MAX));
    signed.hub_id = Some(hub_id);
    signed.hublet = Some("na1".to_owned());
    signed.installing_user_id = Some(settings.user.id);
    signed.user_id = Some(settings.user.id);
    signed.is_private_distribution = Some(false);
    signed.is_service_account = Some(false);
    signed.is_user_level = Some(false);
    signed.new_signature = Signature::new(state.token_generator.signature(token)).ok();
    signed.signature = signed.new_signature.clone();
    // Only HubSpot can read these four, so any value will do.
    signed.scopes = Some("AAEAAQ==".to_owned());
    signed.scope_to_scope_group_pks = Some("AAEAAQ==".to_owned());
    signed.trial_scopes = Some(String::new());
    signed.trial_scope_to_scope_group_pks = Some(String::new());
    signed
}

/// Returns the app that owns a token, if the request may know of it and the app is still registered.
fn app_of<'s>(state: &'s State, client_id: Option<&str>, owner: &str) -> Option<RegisteredApp<'s>> {
    state.settings.app(owner).filter(|_| client_id.is_none_or(|client_id| client_id == owner))
}

fn refresh_token_info(
    state: &State,
    is_v1: bool,
    client_id: Option<&str>,
    token: &str,
) -> Option<RefreshTokenInfo> {
    let (hub_id, owner, scopes) = state.grants.refresh_token(token)?;
    let app = app_of(state, client_id, owner)?;
    let settings = &state.settings;
    let token = RefreshToken::new(token).ok()?;
    let mut info = RefreshTokenInfo::new(token, hub_id, app.client_id.to_owned(), scopes.clone());
    info.user_id = Some(settings.user.id);
    info.app_id = (!is_v1).then_some(app.app_id);
    info.token_type = Some(if is_v1 { "refresh" } else { "bearer" }.to_owned());
    info.user = Some(settings.user.email.clone());
    info.hub_domain = state.grants.hub(hub_id).map(|hub| hub.domain.clone());
    Some(info)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Harness, json, refresh_token};

    const CLIENT: &str =
        "client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890&client_secret=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0";

    /// RFC 7662 §2.1: the server looks among all tokens if the hint is wrong.
    #[test]
    fn a_token_is_found_even_with_a_wrong_hint() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        for (token, kind) in [
            (tokens.access_token.expose(), "access_token"),
            (refresh_token(&tokens).expose(), "refresh_token"),
        ] {
            for hint in ["", "&token_type_hint=access_token", "&token_type_hint=refresh_token"] {
                let response =
                    harness.post("/oauth/v3/token/introspect", &format!("{CLIENT}&token={token}{hint}"));
                assert_eq!(json(&response)["token_use"], kind);
            }
        }
        // On v1, access tokens and refresh tokens have addresses of their own.
        let response = harness.get(&format!("/oauth/v1/access-tokens/{}", refresh_token(&tokens).expose()));
        assert_eq!(response.status(), 401);
    }
}

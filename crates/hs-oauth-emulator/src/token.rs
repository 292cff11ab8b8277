//! The token API of every version: `POST /oauth/{version}/token`, `…/introspect`, `…/revoke`, and the lookups of `v1`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hs_oauth_core::server::{Call, PresentedClient, Received, Rejection, Serve};
use hs_oauth_core::{AccessTokenInfo, ApiError, ApiVersion, ClientCredentials, Credential, ErrorDetail, ExchangeCode, HubSpotCode, IdToken, Introspect, Introspection, Refresh, RefreshToken, RefreshTokenInfo, Revoke, SignedAccessToken, Timestamp, Token, TokenSet};
use http::{Method, Request, StatusCode};

use crate::accounts::{AccessToken, Accounts, Denial};
use crate::answers::{self, Answer, bad_request, error};
use crate::emulator::Emulator;
use crate::settings::Settings;

type Refused = Box<ApiError>;

/// The answer to a request that was read as `received`.
pub(crate) fn answer(
    emulator: &mut Emulator,
    now: Timestamp,
    request: &Request<Vec<u8>>,
    received: Result<Received, Rejection>,
) -> Answer {
    let method = request.method();
    // The lookups of v1 name no client.
    let is_lookup = method != Method::POST;
    let answer = match received {
        Ok(received) if is_lookup => perform(emulator, now, &received),
        Ok(received) => authenticate(&emulator.settings, &received.client)
            .and_then(|()| perform(emulator, now, &received)),
        Err(Rejection::NotFound) => Err(answers::nothing_here()),
        Err(Rejection::MethodNotAllowed { allow }) => {
            return answers::wrong_method(&mut emulator.minter, method, with_standard_methods(allow));
        }
        Err(Rejection::UnsupportedMediaType) => {
            Err(answers::unsupported_media_type("application/x-www-form-urlencoded"))
        }
        Err(rejection) if is_lookup => reject(request, &rejection),
        Err(rejection) => PresentedClient::read_response(request)
            .map_err(|rejection| refusal(&rejection))
            .and_then(|client| authenticate(&emulator.settings, &client))
            .and_then(|()| reject(request, &rejection)),
    };
    answer.unwrap_or_else(|error| answers::refused(&mut emulator.minter, error))
}

/// Whose token or code a request came with, if that is known.
pub(crate) fn owner(accounts: &Accounts, received: &Received) -> Option<i64> {
    match &received.call {
        Call::ExchangeCode(exchange) => accounts.codes.owner(exchange.code().code()),
        Call::Refresh(refresh) => accounts.owner(refresh.refresh_token().expose()),
        Call::Introspect(introspect) => accounts.owner(introspect.token().expose()),
        Call::Revoke(revoke) => accounts.owner(revoke.refresh_token().expose()),
        _ => None,
    }
}

fn with_standard_methods(allow: &'static str) -> &'static str {
    match allow {
        "GET" => "GET, HEAD, OPTIONS",
        "GET, DELETE" => "GET, HEAD, DELETE, OPTIONS",
        _ => "POST, OPTIONS",
    }
}

/// Credentials count only in the body (with the exception that `v1` makes for itself).
fn authenticate(settings: &Settings, client: &PresentedClient) -> Result<(), Refused> {
    let refused = |code, message| Err(error(StatusCode::BAD_REQUEST, "invalid_client", code, message));
    if client.client_id.as_deref() != Some(&settings.client_id) {
        return refused("BAD_CLIENT_ID", "missing or unknown client id");
    }
    match &client.credential {
        Credential::Secret(secret) if secret.expose() == settings.client_secret => Ok(()),
        Credential::Assertion(_) => {
            refused("BAD_CLIENT_SECRET", "the emulator knows no key to verify an assertion with")
        }
        _ => refused("BAD_CLIENT_SECRET", "missing or invalid client secret"),
    }
}

fn perform(emulator: &mut Emulator, now: Timestamp, received: &Received) -> Result<Answer, Refused> {
    let Emulator { settings, accounts, minter, rotation, .. } = emulator;
    let version = received.version;
    match &received.call {
        Call::ExchangeCode(exchange) => {
            let code = exchange.code();
            let tokens = accounts
                .exchange(minter, now, code.code(), code.redirect_uri(), code.code_verifier())
                .map_err(denied)?;
            Ok(ExchangeCode::to_response(&completed(settings, now, tokens), version))
        }
        Call::Refresh(refresh) => {
            let scopes = refresh.scopes();
            let tokens =
                accounts.refresh(minter, now, refresh.refresh_token(), scopes, *rotation).map_err(denied)?;
            Ok(Refresh::to_response(&completed(settings, now, tokens), version))
        }
        Call::ClientCredentials(request) => {
            let tokens = accounts.app_token(minter, now, request.scopes().clone());
            Ok(ClientCredentials::to_response(&tokens, version))
        }
        Call::Introspect(introspect) => match introspection(emulator, now, version, introspect.token()) {
            Introspection::Inactive if version == ApiVersion::V1 => Err(unknown_token()),
            introspection => Ok(Introspect::to_response(&introspection, version)),
        },
        Call::Revoke(revoke) => {
            let token = revoke.refresh_token().expose();
            let is_known = accounts.refresh_token(token).is_some();
            accounts.revoke(token);
            match is_known || version != ApiVersion::V1 {
                true => Ok(Revoke::to_response(&(), version)),
                false => Err(unknown_token()),
            }
        }
        _ => Err(answers::nothing_here()),
    }
}

/// What a grant's tokens carry besides.
fn completed(settings: &Settings, now: Timestamp, mut tokens: TokenSet) -> TokenSet {
    tokens.user_id = Some(settings.user.id);
    if tokens.scopes.as_ref().is_some_and(|scopes| scopes.contains("openid")) {
        tokens.id_token = id_token(settings, now, &tokens);
    }
    tokens
}

/// An unsigned ID token (RFC 7519 §6): the emulator has no key, so nobody can take it for HubSpot's.
fn id_token(settings: &Settings, now: Timestamp, tokens: &TokenSet) -> Option<IdToken> {
    let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let header = part(serde_json::json!({ "alg": "none", "typ": "JWT" }));
    let claims = part(serde_json::json!({
        "iss": "hs-oauth-emulator",
        "aud": settings.client_id,
        "sub": settings.user.id.to_string(),
        "email": settings.user.email,
        "hub_id": tokens.hub_id,
        "iat": now.as_millis() / 1000,
        "exp": tokens.expires_at.as_millis() / 1000,
    }));
    IdToken::new(format!("{header}.{claims}.")).ok()
}

fn introspection(emulator: &Emulator, now: Timestamp, version: ApiVersion, token: &Token) -> Introspection {
    // On v1 each kind has its own address; elsewhere the hint is only a hint (RFC 7662 §2.1).
    let is_v1 = version == ApiVersion::V1;
    let text = token.expose();
    let access =
        || access_token_info(emulator, now, is_v1, text).map(Box::new).map(Introspection::AccessToken);
    let refresh = || refresh_token_info(emulator, is_v1, text).map(Box::new).map(Introspection::RefreshToken);
    match token {
        Token::Access(_) if is_v1 => access(),
        Token::Refresh(_) if is_v1 => refresh(),
        _ => access().or_else(refresh),
    }
    .unwrap_or(Introspection::Inactive)
}

fn access_token_info(
    emulator: &Emulator,
    now: Timestamp,
    is_v1: bool,
    text: &str,
) -> Option<AccessTokenInfo> {
    let AccessToken::Good { hub_id, scopes, expires_at } = emulator.accounts.access_token(now, text) else {
        return None;
    };
    let settings = &emulator.settings;
    let hub_id = hub_id.unwrap_or(settings.hub_id);
    let token = hs_oauth_core::AccessToken::new(text).ok()?;
    let expires_in = expires_at.since(now).as_secs();
    let mut info = AccessTokenInfo::new(token, hub_id, settings.app_id, scopes.clone(), expires_in);
    info.user_id = Some(settings.user.id);
    info.client_id = (!is_v1).then(|| settings.client_id.clone());
    info.token_type = Some(if is_v1 { "access" } else { "bearer" }.to_owned());
    info.is_private_distribution = Some(false);
    info.user = Some(settings.user.email.clone());
    info.hub_domain = emulator.accounts.hub(hub_id).map(|hub| hub.domain.clone());

    let mut signed = SignedAccessToken::default();
    signed.app_id = Some(settings.app_id);
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
    signed.new_signature = hs_oauth_core::Signature::new(emulator.minter.signature(text)).ok();
    signed.signature = signed.new_signature.clone();
    // Opaque to everyone but HubSpot.
    signed.scopes = Some("AAEAAQ==".to_owned());
    signed.scope_to_scope_group_pks = Some("AAEAAQ==".to_owned());
    signed.trial_scopes = Some(String::new());
    signed.trial_scope_to_scope_group_pks = Some(String::new());
    info.signed_access_token = Some(Box::new(signed));
    Some(info)
}

fn refresh_token_info(emulator: &Emulator, is_v1: bool, text: &str) -> Option<RefreshTokenInfo> {
    let (hub_id, scopes) = emulator.accounts.refresh_token(text)?;
    let settings = &emulator.settings;
    let token = RefreshToken::new(text).ok()?;
    let mut info = RefreshTokenInfo::new(token, hub_id, settings.client_id.clone(), scopes.clone());
    info.user_id = Some(settings.user.id);
    info.app_id = (!is_v1).then_some(settings.app_id);
    info.token_type = Some(if is_v1 { "refresh" } else { "bearer" }.to_owned());
    info.user = Some(settings.user.email.clone());
    info.hub_domain = emulator.accounts.hub(hub_id).map(|hub| hub.domain.clone());
    Some(info)
}

fn denied(denial: Denial) -> Refused {
    let (code, status, message) = match denial {
        Denial::UnknownCode => ("invalid_grant", "BAD_AUTH_CODE", "missing or unknown auth code"),
        Denial::ExpiredCode => ("invalid_grant", "EXPIRED_AUTH_CODE", "the auth code is expired"),
        Denial::OtherRedirectUri => (
            "invalid_grant",
            "MISMATCH_REDIRECT_URI_AUTH_CODE",
            "the redirect uri is not the one the auth code was issued for",
        ),
        Denial::WrongVerifier => {
            ("invalid_grant", "BAD_CODE_VERIFIER", "the code verifier does not fit the code challenge")
        }
        Denial::UnknownRefreshToken => {
            ("invalid_grant", "BAD_REFRESH_TOKEN", "refresh token is invalid, expired or revoked")
        }
        Denial::MoreScopes => ("invalid_scope", "BAD_SCOPES", "a scope was asked for that was not granted"),
        Denial::HubGone => ("access_denied", "BAD_HUB", "missing or unknown hub id"),
    };
    error(StatusCode::BAD_REQUEST, code, status, message)
}

/// How `v1` answers a lookup or a `DELETE` of a token it does not know.
fn unknown_token() -> Refused {
    let mut unknown = error(StatusCode::UNAUTHORIZED, "invalid_token", "error", "Invalid or expired token");
    unknown.sub_category = Some(HubSpotCode::InvalidToken);
    unknown
}

/// The answer to a request that could not be read whole. A token that cannot be is an unknown token.
fn reject(request: &Request<Vec<u8>>, rejection: &Rejection) -> Result<Answer, Refused> {
    let is_malformed = matches!(rejection, Rejection::Malformed(_));
    match (request.method(), request.uri().path().rsplit('/').next()) {
        (&Method::GET | &Method::DELETE, _) => Err(unknown_token()),
        (_, Some("introspect")) if is_malformed => {
            Ok(Introspect::to_response(&Introspection::Inactive, ApiVersion::LATEST))
        }
        (_, Some("revoke")) if is_malformed => Ok(Revoke::to_response(&(), ApiVersion::LATEST)),
        _ => Err(refusal(rejection)),
    }
}

fn refusal(rejection: &Rejection) -> Refused {
    let mut refusal = bad_request(rejection.to_string());
    match rejection {
        Rejection::Malformed(invalid) => match invalid.argument {
            "code" => return denied(Denial::UnknownCode),
            "code_verifier" => return denied(Denial::WrongVerifier),
            "refresh_token" => return denied(Denial::UnknownRefreshToken),
            "scope" => return denied(Denial::MoreScopes),
            "client_secret" | "client_assertion" => {
                refusal.error = Some("invalid_client".into());
                refusal.code = Some(HubSpotCode::BadClientSecret);
            }
            _ => {}
        },
        Rejection::UnsupportedGrantType => {
            refusal.error = Some("unsupported_grant_type".into());
            refusal.code = Some(HubSpotCode::BadGrantType);
        }
        Rejection::Missing(name) => {
            let mut detail = ErrorDetail::default();
            detail.message = Some(format!("The '{name}' parameter is required"));
            detail.code = Some("MISSING_REQUIRED_FIELD".to_owned());
            detail.location = Some("body".to_owned());
            refusal.sub_category = Some("MISSING_PARAMETER".into());
            refusal.errors = vec![detail];
        }
        _ => {}
    }
    refusal
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use hs_oauth_core::{AuthorizationCode, Authorize, ClientCredentials, Code, CodeVerifier, Endpoint, ExchangeCode, Introspect, Introspection, NextStep, Refresh, RefreshToken, Revoke, TokenUse};
    use serde_json::Value;

    use crate::settings::Rotation;
    use crate::testing::{ALL_VERSIONS, Bench, CALLBACK, assert_refusal, json, refresh_token};

    const CLIENT: &str =
        "client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890&client_secret=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0";

    /// HubSpot's OpenAPI files, AccessTokenResponse and the two info responses.
    #[test]
    fn a_grant_lives_on_every_version_from_install_to_revocation() {
        for version in ALL_VERSIONS {
            let mut bench = Bench::new().on(version);
            let tokens = bench.install();
            assert_eq!(tokens.token_use, Some(TokenUse::AccessToken));
            assert_eq!(
                (tokens.hub_id, tokens.user_id, tokens.expires_in),
                (Some(62515), Some(123_456), 1800)
            );
            assert_eq!(tokens.scopes.as_ref().unwrap().to_string(), "oauth crm.objects.contacts.read");
            assert_eq!(tokens.id_token, None);
            assert!(tokens.access_token.expose().len() > 100);

            bench.wait(10);
            let renewed = bench.refresh(&tokens).unwrap();
            assert_ne!(renewed.access_token, tokens.access_token);
            assert_eq!(renewed.refresh_token, tokens.refresh_token);

            let Introspection::AccessToken(info) = bench.introspect(tokens.access_token.clone()) else {
                panic!("{version}");
            };
            assert_eq!(
                (info.hub_id, info.user_id, info.app_id, info.expires_in),
                (62515, Some(123_456), 456_789, 1790)
            );
            assert_eq!(info.client_id.is_some(), version != "v1");
            assert_eq!(info.token_type.as_deref(), Some(if version == "v1" { "access" } else { "bearer" }));
            let signed = info.signed_access_token.unwrap();
            assert_eq!(signed.expires_at, Some(i64::try_from(tokens.expires_at.as_millis()).unwrap()));
            let signed = serde_json::to_value(&signed).unwrap();
            assert_eq!(signed.as_object().unwrap().len(), 17, "every field of SignedAccessToken: {signed}");

            let Introspection::RefreshToken(info) = bench.introspect(refresh_token(&tokens)) else {
                panic!("{version}");
            };
            assert_eq!(
                (info.hub_id, info.client_id.as_str()),
                (62515, "a1b2c3d4-e5f6-7890-abcd-ef1234567890")
            );
            assert!(info.token_type.is_some());

            bench.revoke(&tokens);
            bench.revoke(&tokens);
            assert!(!bench.is_active(refresh_token(&tokens)));
            assert_eq!(bench.refresh(&tokens).unwrap_err().next_step(), NextStep::Reauthorize);
            // HubSpot: access tokens already issued live on.
            assert!(bench.is_active(renewed.access_token));
        }
    }

    /// HubSpot's API reference: an app migrates by changing one version.
    #[test]
    fn a_token_of_one_version_is_good_on_every_other() {
        let mut bench = Bench::new().on("v1");
        let tokens = bench.install();
        for version in ALL_VERSIONS {
            bench.version = version.parse().unwrap();
            bench.refresh(&tokens).unwrap();
            assert!(bench.is_active(tokens.access_token.clone()), "{version}");
        }
    }

    /// HubSpot's guide: 30 minutes.
    #[test]
    fn an_access_token_ends_to_the_second() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        bench.wait(1799);
        assert!(bench.is_active(tokens.access_token.clone()));
        bench.wait(1);
        assert!(!bench.is_active(tokens.access_token.clone()));
        bench.version = "v1".parse().unwrap();
        assert!(!bench.is_active(tokens.access_token));
    }

    /// RFC 6749 §4.1.2.
    #[test]
    fn a_code_is_good_once_and_its_second_use_ends_what_the_first_brought() {
        let mut bench = Bench::new();
        let exchange = ExchangeCode::new(bench.code("oauth"));
        let tokens = bench.call(&exchange).unwrap();
        assert_eq!(bench.refusal(&exchange), refused("invalid_grant", "BAD_AUTH_CODE"));
        assert!(!bench.is_active(tokens.access_token.clone()));
        assert_eq!(bench.refresh(&tokens).unwrap_err().next_step(), NextStep::Reauthorize);
    }

    /// HubSpot's error reference: the codes, and that a refused code is spent.
    #[test]
    fn a_code_is_bound_to_time_address_and_verifier() {
        let mut bench = Bench::new();
        let verifier = |char: &str| Some(CodeVerifier::new(char.repeat(43)).unwrap());
        let mut exchange =
            |redirect_uri: &str,
             change: fn(&mut Bench),
             verifier: fn(&AuthorizationCode) -> Option<CodeVerifier>| {
                let code = bench.code("oauth");
                change(&mut bench);
                let code = AuthorizationCode::from_caller_who_checked_state(
                    code.code().clone(),
                    redirect_uri,
                    verifier(&code),
                );
                let refusal = bench.refusal(&ExchangeCode::new(code.clone()));
                assert_eq!(
                    bench.refusal(&ExchangeCode::new(code)),
                    refused("invalid_grant", "BAD_AUTH_CODE")
                );
                refusal
            };
        let right = |code: &AuthorizationCode| code.code_verifier().cloned();
        assert_eq!(
            exchange(CALLBACK, |bench| bench.wait(60), right),
            refused("invalid_grant", "EXPIRED_AUTH_CODE")
        );
        assert_eq!(
            exchange("http://localhost:3000/oauth/callback/", |_| {}, right),
            refused("invalid_grant", "MISMATCH_REDIRECT_URI_AUTH_CODE")
        );
        assert_eq!(
            exchange(CALLBACK, |_| {}, |_| Some(CodeVerifier::new("a".repeat(43)).unwrap())),
            refused("invalid_grant", "BAD_CODE_VERIFIER")
        );
        assert_eq!(exchange(CALLBACK, |_| {}, |_| None), refused("invalid_grant", "BAD_CODE_VERIFIER"));

        let unasked = bench.code_with(&Authorize::new("oauth".parse().unwrap()).without_pkce());
        let with_verifier =
            AuthorizationCode::from_caller_who_checked_state(unasked.code().clone(), CALLBACK, verifier("b"));
        assert_eq!(
            bench.refusal(&ExchangeCode::new(with_verifier)),
            refused("invalid_grant", "BAD_CODE_VERIFIER")
        );

        let unknown =
            AuthorizationCode::from_caller_who_checked_state(Code::new("nope").unwrap(), CALLBACK, None);
        assert_eq!(bench.refusal(&ExchangeCode::new(unknown)), refused("invalid_grant", "BAD_AUTH_CODE"));
    }

    /// RFC 7636 §4.6 the other way round: an app without PKCE needs no verifier.
    #[test]
    fn an_app_without_pkce_exchanges_its_code() {
        let mut bench = Bench::new();
        let code = bench.code_with(&Authorize::new("oauth".parse().unwrap()).without_pkce());
        assert!(bench.call(&ExchangeCode::new(code)).is_ok());
    }

    /// HubSpot's error reference: the body of January 2026, whole.
    #[test]
    fn an_unknown_refresh_token_is_refused_in_hubspots_words() {
        let mut bench = Bench::new();
        let answer = bench
            .post("/oauth/2026-09/token", &format!("{CLIENT}&grant_type=refresh_token&refresh_token=nope"));
        assert_eq!(answer.status(), 400);
        assert_refusal(&answer);
        let body = json(&answer);
        let text = "refresh token is invalid, expired or revoked";
        for (name, value) in [
            ("error", "invalid_grant"),
            ("error_description", text),
            ("status", "BAD_REFRESH_TOKEN"),
            ("message", text),
        ] {
            assert_eq!(body[name], value);
        }
    }

    #[test]
    fn rotation_keeps_or_replaces_or_punishes() {
        for rotation in [Rotation::Keep, Rotation::Rotate, Rotation::Strict] {
            let mut bench = Bench::with(|settings| settings.rotation = rotation);
            let first = bench.install();
            let second = bench.refresh(&first).unwrap();
            assert_eq!(second.refresh_token == first.refresh_token, rotation == Rotation::Keep);
            if rotation == Rotation::Keep {
                continue;
            }
            // RFC 9700 §4.14.2: only the strict server takes reuse for theft.
            assert_eq!(bench.refresh(&first).unwrap_err().next_step(), NextStep::Reauthorize);
            assert!(!bench.is_active(refresh_token(&first)));
            let survives = rotation == Rotation::Rotate;
            assert_eq!(bench.refresh(&second).is_ok(), survives);
            assert_eq!(bench.is_active(second.access_token.clone()), survives);
        }
    }

    /// RFC 6749 §6.
    #[test]
    fn a_refresh_may_narrow_the_scopes_and_not_widen_them() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        let asking = |scopes: &str| Refresh::new(refresh_token(&tokens)).scopes(scopes.parse().unwrap());
        let narrowed = bench.call(&asking("oauth")).unwrap();
        assert_eq!(narrowed.scopes.unwrap().to_string(), "oauth");
        assert_eq!(bench.refusal(&asking("oauth tickets")), refused("invalid_scope", "BAD_SCOPES"));
        assert_eq!(bench.call(&asking("")).unwrap().scopes.unwrap().len(), 2);
    }

    /// HubSpot's OpenAPI files of v1, v3 and 2026-03; 2026-09 is served too.
    #[test]
    fn client_credentials_give_a_token_for_the_app_itself() {
        for version in ALL_VERSIONS {
            let mut bench = Bench::new().on(version);
            let request = ClientCredentials::new("developer.webhooks_journal.read".parse().unwrap());
            let tokens = bench.call(&request).unwrap();
            assert_eq!(tokens.token_use, Some(TokenUse::ClientCredentials));
            assert_eq!((tokens.refresh_token, tokens.hub_id), (None, None));
            assert!(bench.is_active(tokens.access_token));
        }
    }

    /// OpenID Connect Core §2; RFC 7519 §6.
    #[test]
    fn an_id_token_comes_with_the_openid_scope_only_and_is_unsigned() {
        let mut bench = Bench::new();
        assert_eq!(bench.install_with("oauth").id_token, None);
        let id_token = bench.install_with("oauth openid").id_token.unwrap();
        let parts: Vec<_> = id_token.expose().split('.').collect();
        assert_eq!((parts.len(), parts[2]), (3, ""));
        let read = |part: &str| -> Value {
            let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
            serde_json::from_slice(&json).unwrap()
        };
        assert_eq!(read(parts[0])["alg"], "none");
        assert_eq!(read(parts[1])["aud"], "a1b2c3d4-e5f6-7890-abcd-ef1234567890");
    }

    /// HubSpot's page on revocation and error reference: uninstalled is not deleted.
    #[test]
    fn an_uninstall_ends_everything_and_a_deleted_account_says_so() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        assert!(bench.emulator.uninstall(62515));
        assert!(!bench.is_active(tokens.access_token.clone()));
        assert_eq!(
            bench.refusal(&Refresh::new(refresh_token(&tokens))),
            refused("invalid_grant", "BAD_REFRESH_TOKEN")
        );

        let tokens = bench.install();
        let code = bench.code("oauth");
        assert!(bench.emulator.delete_hub(62515));
        assert!(!bench.is_active(tokens.access_token.clone()));
        assert!(!bench.is_active(refresh_token(&tokens)));
        assert_eq!(bench.refusal(&Refresh::new(refresh_token(&tokens))), refused("access_denied", "BAD_HUB"));
        assert_eq!(bench.refusal(&ExchangeCode::new(code)), refused("access_denied", "BAD_HUB"));
        assert_eq!(bench.refresh(&tokens).unwrap_err().next_step(), NextStep::Reauthorize);

        assert!(bench.emulator.add_hub(62515, "again.example.com"));
        assert_eq!(
            bench.refusal(&Refresh::new(refresh_token(&tokens))),
            refused("invalid_grant", "BAD_REFRESH_TOKEN")
        );
        bench.install();
    }

    /// RFC 6749 §5.2, HubSpot's error reference: credentials count in the body only, and are checked before anything else.
    #[test]
    fn the_client_is_authenticated_first() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        let refresh = format!("grant_type=refresh_token&refresh_token={}", refresh_token(&tokens).expose());
        let id = "client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890";
        let assertion = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
             &client_assertion=a.b.c";
        for (form, code) in [
            (refresh.clone(), "BAD_CLIENT_ID"),
            (format!("{refresh}&client_id=nobody&client_secret=x"), "BAD_CLIENT_ID"),
            (format!("{refresh}&{id}"), "BAD_CLIENT_SECRET"),
            (format!("{refresh}&{id}&client_secret="), "BAD_CLIENT_SECRET"),
            (format!("{refresh}&{id}&client_secret=wrong"), "BAD_CLIENT_SECRET"),
            (format!("{refresh}&{id}&client_secret=%00"), "BAD_CLIENT_SECRET"),
            (format!("{refresh}&{id}&{assertion}"), "BAD_CLIENT_SECRET"),
            (format!("grant_type=password&{id}&client_secret=wrong"), "BAD_CLIENT_SECRET"),
            (format!("token=%00&{id}&client_secret=wrong"), "BAD_CLIENT_SECRET"),
            (String::new(), "BAD_CLIENT_ID"),
        ] {
            for version in ALL_VERSIONS {
                let paths = ["token", "token/introspect", "token/revoke"];
                for path in paths.iter().take(if version == "v1" { 1 } else { 3 }) {
                    let answer = bench.post(&format!("/oauth/{version}/{path}"), &form);
                    assert_eq!(answer.status(), 400, "{form}");
                    assert_refusal(&answer);
                    let body = json(&answer);
                    assert_eq!(
                        (&body["error"], &body["status"]),
                        (&"invalid_client".into(), &code.into()),
                        "{path} {form}"
                    );
                }
            }
        }
        let in_header = http::Request::post("/oauth/v3/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", "Basic YTFiMmMzZDQ6eA==");
        let answer = bench.send(in_header.body(refresh.into_bytes()).unwrap());
        assert_eq!(json(&answer)["status"], "BAD_CLIENT_ID");
        assert!(bench.refresh(&tokens).is_ok());
    }

    /// HubSpot's OpenAPI file of v1: the only version that takes secrets in the query.
    #[test]
    fn v1_takes_secret_and_refresh_token_in_the_query_and_no_other_version_does() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        let query = format!(
            "client_secret=0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0&refresh_token={}",
            refresh_token(&tokens).expose()
        );
        let form = "grant_type=refresh_token&client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890";
        assert_eq!(bench.post(&format!("/oauth/v1/token?{query}"), form).status(), 200);
        let answer = bench.post(&format!("/oauth/v3/token?{query}"), form);
        assert_eq!(json(&answer)["status"], "BAD_CLIENT_SECRET");
    }

    /// RFC 6749 §3.2 and §5.2.
    #[test]
    fn what_cannot_be_read_is_refused_by_its_code() {
        let mut bench = Bench::new();
        for (form, error) in [
            ("", "invalid_request"),
            ("&grant_type=", "invalid_request"),
            ("&grant_type=password", "unsupported_grant_type"),
            ("&grant_type=refresh_token", "invalid_request"),
            ("&grant_type=authorization_code&code=x", "invalid_request"),
            ("&grant_type=authorization_code&redirect_uri=x", "invalid_request"),
            ("&grant_type=refresh_token&refresh_token=a&refresh_token=b", "invalid_request"),
            ("&client_secret=x&grant_type=refresh_token&refresh_token=a", "invalid_request"),
            ("&grant_type=refresh_token&refresh_token=%00", "invalid_grant"),
            ("&grant_type=refresh_token&refresh_token=..", "invalid_grant"),
            ("&grant_type=authorization_code&redirect_uri=x&code=%C3%A9", "invalid_grant"),
            ("&grant_type=authorization_code&redirect_uri=x&code=x&code_verifier=short", "invalid_grant"),
            ("&grant_type=client_credentials&scope=%22", "invalid_scope"),
        ] {
            let answer = bench.post("/oauth/v3/token", &format!("{CLIENT}{form}"));
            assert_eq!(answer.status(), 400, "{form}");
            assert_refusal(&answer);
            assert_eq!(json(&answer)["error"], error, "{form}");
        }
        let answer = bench.post("/oauth/v3/token", &format!("{CLIENT}&grant_type=refresh_token"));
        assert_eq!(json(&answer)["errors"][0]["message"], "The 'refresh_token' parameter is required");
    }

    /// RFC 7662 §2.2: no more than that it is not active; RFC 7009 §2.2: an unknown token counts as revoked.
    #[test]
    fn a_token_that_cannot_be_is_an_unknown_token() {
        let mut bench = Bench::new();
        for token in ["nope", "%00", "%0a", "a%20b", "..", "%C3%A9", &"x".repeat(20_000)] {
            for hint in
                ["", "&token_type_hint=access_token", "&token_type_hint=refresh_token", "&token_type_hint=x"]
            {
                let answer =
                    bench.post("/oauth/v3/token/introspect", &format!("{CLIENT}&token={token}{hint}"));
                assert_eq!(
                    (answer.status().as_u16(), answer.body().as_slice()),
                    (200, br#"{"active":false}"#.as_slice())
                );
                assert_eq!(answer.headers()["cache-control"], "no-store");
            }
            let answer = bench.post("/oauth/2026-09/token/revoke", &format!("{CLIENT}&token={token}"));
            assert_eq!(answer.status(), 200);
            for kind in ["access", "refresh"] {
                let path = format!("/oauth/v1/{kind}-tokens/{token}");
                let answer = bench.get(&path);
                assert_eq!(answer.status(), 401, "{path}");
                assert_refusal(&answer);
                let body = json(&answer);
                assert_eq!(
                    (&body["category"], &body["subCategory"]),
                    (&"UNAUTHORIZED".into(), &"INVALID_TOKEN".into())
                );
            }
            let request = http::Request::delete(format!("/oauth/v1/refresh-tokens/{token}"));
            let answer = bench.send(request.body(Vec::new()).unwrap());
            assert_eq!(answer.status(), 401, "{token}");
            assert_refusal(&answer);
        }
    }

    /// HubSpot's OpenAPI file of v1: 401 for a refresh token that is not valid.
    #[test]
    fn v1_deletes_a_refresh_token_once() {
        let mut bench = Bench::with(|settings| settings.rotation = Rotation::Rotate).on("v1");
        let replaced = bench.install();
        let tokens = bench.refresh(&replaced).unwrap();
        let mut delete = |tokens| {
            let path = format!("/oauth/v1/refresh-tokens/{}", refresh_token(tokens).expose());
            bench.send(http::Request::delete(path).body(Vec::new()).unwrap())
        };
        assert_eq!(delete(&replaced).status(), 401);
        let first = delete(&tokens);
        assert_eq!((first.status().as_u16(), first.body().len()), (204, 0));
        let second = delete(&tokens);
        assert_refusal(&second);
        let body = json(&second);
        assert_eq!(
            (second.status().as_u16(), &body["category"], &body["subCategory"]),
            (401, &"UNAUTHORIZED".into(), &"INVALID_TOKEN".into())
        );
        bench.revoke(&tokens);
    }

    /// RFC 7662 §2.1: the hint is only a hint.
    #[test]
    fn a_wrong_hint_finds_the_token_all_the_same() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        for (token, kind) in [
            (tokens.access_token.expose(), "access_token"),
            (refresh_token(&tokens).expose(), "refresh_token"),
        ] {
            for hint in ["", "&token_type_hint=access_token", "&token_type_hint=refresh_token"] {
                let answer =
                    bench.post("/oauth/v3/token/introspect", &format!("{CLIENT}&token={token}{hint}"));
                assert_eq!(json(&answer)["token_use"], kind);
            }
        }
        // On v1 each kind has its own address.
        let answer = bench.get(&format!("/oauth/v1/access-tokens/{}", refresh_token(&tokens).expose()));
        assert_eq!(answer.status(), 401);
    }

    #[test]
    fn answers_say_no_more_than_hubspots_do() {
        let mut bench = Bench::new();
        let tokens = bench.install();
        let app = bench.app();
        let members = |bench: &mut Bench, request| {
            let answer = bench.send(request);
            assert_eq!(answer.headers()["content-type"], "application/json");
            assert_eq!(answer.headers()["cache-control"], "no-store");
            json(&answer).as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
        };
        let refresh = Refresh::new(refresh_token(&tokens)).to_http(&app);
        assert_eq!(
            members(&mut bench, refresh),
            "access_token expires_in hub_id refresh_token scopes token_type token_use user_id"
        );
        let introspect = Introspect::new(tokens.access_token.clone()).to_http(&app);
        assert_eq!(
            members(&mut bench, introspect),
            "active app_id client_id expires_in hub_domain hub_id is_private_distribution scopes signed_access_token \
             token token_type token_use user user_id"
        );
        let introspect = Introspect::new(refresh_token(&tokens)).to_http(&app);
        assert_eq!(
            members(&mut bench, introspect),
            "active app_id client_id hub_domain hub_id scopes token token_type token_use user user_id"
        );
        let unknown = Introspect::new(RefreshToken::new("nope").unwrap()).to_http(&app);
        assert_eq!(members(&mut bench, unknown), "active");
        let revoke = Revoke::new(refresh_token(&tokens)).to_http(&app);
        assert_eq!(members(&mut bench, revoke), "");
    }

    fn refused(error: &str, code: &str) -> (u16, String, String) {
        (400, error.to_owned(), code.to_owned())
    }
}

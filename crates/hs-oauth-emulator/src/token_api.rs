//! The token API of every version: `POST /oauth/{version}/token`, `…/token/introspect`, `…/token/revoke`, and the
//! lookups and the `DELETE` of `v1`.

mod client_authentication;
mod errors;
mod id_token;
mod introspection;

use client_authentication::authenticate;
use hs_oauth_core::server::{Call, PresentedClient, Received, Rejection, Serve};
use hs_oauth_core::{
    ApiError, ApiVersion, ClientCredentials, ExchangeCode, Introspect, Introspection, Refresh, Revoke,
    Timestamp, TokenSet,
};
use http::{Method, Request, Response};

use crate::grants::Grants;
use crate::responses;
use crate::settings::Settings;
use crate::state::State;

/// Returns the response to a request to the token API. `received` is the request as the client's own types read it.
pub(crate) fn respond(
    state: &mut State,
    now: Timestamp,
    request: &Request<Vec<u8>>,
    received: Result<Received, Rejection>,
) -> Response<Vec<u8>> {
    let method = request.method();
    // The GET and DELETE requests of v1 name no client, so there is none to authenticate.
    let names_client = method == Method::POST;
    let result = match received {
        Ok(received) if !names_client => perform(state, now, None, &received),
        Ok(received) => authenticate(&state.settings, &received.client)
            .map(|app| app.client_id.to_owned())
            .and_then(|client_id| perform(state, now, Some(&client_id), &received)),
        Err(Rejection::NotFound) => Err(responses::unknown_address()),
        Err(Rejection::MethodNotAllowed { allow }) => {
            let allow = add_standard_methods(allow);
            return responses::method_not_allowed(&mut state.token_generator, method, allow);
        }
        Err(Rejection::UnsupportedMediaType) => {
            Err(responses::unsupported_media_type("application/x-www-form-urlencoded"))
        }
        Err(rejection) if !names_client => errors::respond_to_rejected(request, &rejection),
        Err(rejection) => PresentedClient::read_request(request)
            .map_err(|rejection| errors::from_rejection(&rejection))
            .and_then(|client| authenticate(&state.settings, &client).map(drop))
            .and_then(|()| errors::respond_to_rejected(request, &rejection)),
    };
    result.unwrap_or_else(|error| responses::error_response(&mut state.token_generator, error))
}

/// Returns the account whose token or code came with a request, if the token or code is known.
pub(crate) fn owner(grants: &Grants, received: &Received) -> Option<i64> {
    match &received.call {
        Call::ExchangeCode(exchange) => grants.owner_of_code(exchange.code().code()),
        Call::Refresh(refresh) => grants.owner(refresh.refresh_token().expose()),
        Call::Introspect(introspect) => grants.owner(introspect.token().expose()),
        Call::Revoke(revoke) => grants.owner(revoke.refresh_token().expose()),
        Call::AccountDetails(details) => grants.owner(details.access_token().expose()),
        Call::Uninstall(uninstall) => grants.owner(uninstall.access_token().expose()),
        _ => None,
    }
}

/// Adds `OPTIONS`, and `HEAD` where `GET` is allowed.
fn add_standard_methods(allow: &'static str) -> &'static str {
    match allow {
        "GET" => "GET, HEAD, OPTIONS",
        "GET, DELETE" => "GET, HEAD, DELETE, OPTIONS",
        _ => "POST, OPTIONS",
    }
}

/// `client_id` is the app's that sent the request, unless the request names none.
fn perform(
    state: &mut State,
    now: Timestamp,
    client_id: Option<&str>,
    received: &Received,
) -> Result<Response<Vec<u8>>, Box<ApiError>> {
    let State { settings, grants, token_generator: generator, rotation, .. } = state;
    let version = received.version;
    let first = settings.first_app().client_id;
    let app = client_id.unwrap_or(first);
    match &received.call {
        Call::ExchangeCode(exchange) => {
            let code = exchange.code();
            let tokens = grants
                .exchange(generator, now, app, code.code(), code.redirect_uri(), code.code_verifier())
                .map_err(errors::from_grant_error)?;
            Ok(ExchangeCode::to_response(&add_user(settings, now, app, tokens), version))
        }
        Call::Refresh(refresh) => {
            let scopes = refresh.scopes();
            let tokens = grants
                .refresh(generator, now, app, refresh.refresh_token(), scopes, *rotation)
                .map_err(errors::from_grant_error)?;
            Ok(Refresh::to_response(&add_user(settings, now, app, tokens), version))
        }
        Call::ClientCredentials(request) => {
            let tokens = grants.issue_app_token(generator, now, app, request.scopes().clone());
            Ok(ClientCredentials::to_response(&tokens, version))
        }
        Call::Introspect(introspect) => {
            match introspection::introspect(state, now, version, client_id, introspect.token()) {
                Introspection::Inactive if version == ApiVersion::V1 => Err(errors::unknown_token()),
                introspection => Ok(Introspect::to_response(&introspection, version)),
            }
        }
        Call::Revoke(revoke) => {
            let token = revoke.refresh_token().expose();
            let is_of_app = |owner: &str| client_id.is_none_or(|client_id| client_id == owner);
            let is_valid = grants.refresh_token(token).is_some_and(|(_, owner, _)| is_of_app(owner));
            if is_valid {
                grants.revoke(token);
            }
            match is_valid || version != ApiVersion::V1 {
                true => Ok(Revoke::to_response(&(), version)),
                false => Err(errors::unknown_token()),
            }
        }
        _ => Err(responses::unknown_address()),
    }
}

/// Adds the user's id to the tokens of a grant, and the ID token if the scope `openid` was granted.
fn add_user(settings: &Settings, now: Timestamp, client_id: &str, mut tokens: TokenSet) -> TokenSet {
    tokens.user_id = Some(settings.user.id);
    if tokens.scopes.as_ref().is_some_and(|scopes| scopes.contains("openid")) {
        tokens.id_token = id_token::unsigned_id_token(settings, now, client_id, &tokens);
    }
    tokens
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::{
        ClientCredentials, Endpoint, Introspect, Introspection, NextStep, Refresh, RefreshToken, Revoke,
        TokenUse,
    };
    use http::Request;

    use crate::settings::Rotation;
    use crate::testing::{ALL_VERSIONS, Harness, assert_error_response, json, refresh_token};

    /// HubSpot's OpenAPI files: `AccessTokenResponse` and the two introspection responses.
    #[test]
    fn a_grant_can_be_used_on_every_version_from_install_to_revocation() {
        for version in ALL_VERSIONS {
            let mut harness = Harness::new().with_version(version);
            let tokens = harness.install();
            assert_eq!(tokens.token_use, Some(TokenUse::AccessToken));
            assert_eq!(
                (tokens.hub_id, tokens.user_id, tokens.expires_in),
                (Some(62515), Some(123_456), 1800)
            );
            assert_eq!(tokens.scopes.as_ref().unwrap().to_string(), "oauth crm.objects.contacts.read");
            assert_eq!(tokens.id_token, None);
            assert!(tokens.access_token.expose().len() > 100);

            harness.wait(10);
            let renewed = harness.refresh(&tokens).unwrap();
            assert_ne!(renewed.access_token, tokens.access_token);
            assert_eq!(renewed.refresh_token, tokens.refresh_token);

            let Introspection::AccessToken(info) = harness.introspect(tokens.access_token.clone()) else {
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

            let Introspection::RefreshToken(info) = harness.introspect(refresh_token(&tokens)) else {
                panic!("{version}");
            };
            assert_eq!(
                (info.hub_id, info.client_id.as_str()),
                (62515, "a1b2c3d4-e5f6-7890-abcd-ef1234567890")
            );
            assert!(info.token_type.is_some());

            harness.revoke(&tokens);
            harness.revoke(&tokens);
            assert!(!harness.is_active(refresh_token(&tokens)));
            assert_eq!(harness.refresh(&tokens).unwrap_err().next_step(), NextStep::Reauthorize);
            // HubSpot: access tokens that were issued before stay valid.
            assert!(harness.is_active(renewed.access_token));
        }
    }

    /// HubSpot's API reference: an app migrates by changing the version in its paths.
    #[test]
    fn a_token_of_one_version_is_valid_on_every_other_version() {
        let mut harness = Harness::new().with_version("v1");
        let tokens = harness.install();
        for version in ALL_VERSIONS {
            harness.version = version.parse().unwrap();
            harness.refresh(&tokens).unwrap();
            assert!(harness.is_active(tokens.access_token.clone()), "{version}");
        }
    }

    /// HubSpot's OpenAPI files of v1, v3 and 2026-03 have this grant type. The emulator serves it on 2026-09 too.
    #[test]
    fn client_credentials_give_a_token_to_the_app_itself() {
        for version in ALL_VERSIONS {
            let mut harness = Harness::new().with_version(version);
            let request = ClientCredentials::new("developer.webhooks_journal.read".parse().unwrap());
            let tokens = harness.call(&request).unwrap();
            assert_eq!(tokens.token_use, Some(TokenUse::ClientCredentials));
            assert_eq!((tokens.refresh_token, tokens.hub_id), (None, None));
            assert!(harness.is_active(tokens.access_token));
        }
    }

    /// HubSpot's OpenAPI file of v1: the status is 401 for a refresh token that is not valid.
    #[test]
    fn v1_deletes_a_refresh_token_once() {
        let mut harness =
            Harness::configured(|settings| settings.rotation = Rotation::Rotate).with_version("v1");
        let replaced = harness.install();
        let tokens = harness.refresh(&replaced).unwrap();
        let mut delete = |tokens| {
            let path = format!("/oauth/v1/refresh-tokens/{}", refresh_token(tokens).expose());
            harness.send(Request::delete(path).body(Vec::new()).unwrap())
        };
        assert_eq!(delete(&replaced).status(), 401);
        let first = delete(&tokens);
        assert_eq!((first.status().as_u16(), first.body().len()), (204, 0));
        let second = delete(&tokens);
        assert_error_response(&second);
        let body = json(&second);
        assert_eq!(
            (second.status().as_u16(), &body["category"], &body["subCategory"]),
            (401, &"UNAUTHORIZED".into(), &"INVALID_TOKEN".into())
        );
        harness.revoke(&tokens);
    }

    #[test]
    fn responses_have_the_members_of_hubspots_responses_and_no_others() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        let app = harness.app();
        let members = |harness: &mut Harness, request| {
            let response = harness.send(request);
            assert_eq!(response.headers()["content-type"], "application/json");
            assert_eq!(response.headers()["cache-control"], "no-store");
            json(&response).as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
        };
        let refresh = Refresh::new(refresh_token(&tokens)).to_http(&app);
        assert_eq!(
            members(&mut harness, refresh),
            "access_token expires_in hub_id refresh_token scopes token_type token_use user_id"
        );
        let introspect = Introspect::new(tokens.access_token.clone()).to_http(&app);
        assert_eq!(
            members(&mut harness, introspect),
            "active app_id client_id expires_in hub_domain hub_id is_private_distribution scopes signed_access_token \
             token token_type token_use user user_id"
        );
        let introspect = Introspect::new(refresh_token(&tokens)).to_http(&app);
        assert_eq!(
            members(&mut harness, introspect),
            "active app_id client_id hub_domain hub_id scopes token token_type token_use user user_id"
        );
        let unknown = Introspect::new(RefreshToken::new("nope").unwrap()).to_http(&app);
        assert_eq!(members(&mut harness, unknown), "active");
        let revoke = Revoke::new(refresh_token(&tokens)).to_http(&app);
        assert_eq!(members(&mut harness, revoke), "");
    }
}

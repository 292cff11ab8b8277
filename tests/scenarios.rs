//! What an application lives through, on every version, over both transports and real sockets, against the emulator.

use std::time::{Duration, SystemTime};

use hs_oauth_core::{
    ApiVersion, App, Authorization, AuthorizationCode, Authorize, ClientCredentials, ClientSecret,
    CodeVerifier, Error, ExchangeCode, HubSpotCode, Introspect, Introspection, NextStep, OAuthCode, Refresh,
    RefreshToken, RetryPolicy, Revoke, TokenSet, TokenUse, TransportErrorKind,
};
use hs_oauth_emulator::{Fault, Rotation, Server, Settings, Target};

use crate::both::Client;

const VERSIONS: [&str; 4] = ["v1", "v3", "2026-03", "2026-09"];

struct Scene {
    hubspot: Server,
    client: Client,
    app: App,
}

/// Runs `scenario` on every version over each transport, each time against an emulator of its own.
fn everywhere(scenario: impl Fn(&Scene)) {
    for version in VERSIONS {
        on(version.parse().unwrap(), &scenario);
    }
}

/// Runs `scenario` over each transport.
fn on(version: ApiVersion, scenario: impl Fn(&Scene)) {
    for index in 0..2 {
        let hubspot = Server::start("127.0.0.1:0", Settings::new([3; 32])).unwrap();
        let app = app(&hubspot, version);
        let client = Client::both(&app).into_iter().nth(index).unwrap();
        scenario(&Scene { hubspot, client, app });
    }
}

fn app(hubspot: &Server, version: ApiVersion) -> App {
    let settings = hubspot.settings();
    App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret).unwrap())
        .with_redirect_uri(&settings.redirect_uris[0])
        .with_api_base(hubspot.url())
        .with_app_base(hubspot.url())
        .version(version)
        .build()
        .unwrap()
}

impl Scene {
    fn begin(&self, scopes: &str) -> Authorization {
        Authorize::new(scopes.parse().unwrap()).begin(&self.app).unwrap()
    }

    fn code(&self, scopes: &str) -> AuthorizationCode {
        let Authorization { url, pending, .. } = self.begin(scopes);
        let callback = self.hubspot.connect(&url).unwrap();
        pending.accept(callback.split_once('?').unwrap().1).unwrap()
    }

    fn install(&self) -> (TokenSet, RefreshToken) {
        let code = self.code("oauth crm.objects.contacts.read");
        let tokens = self.client.call(&ExchangeCode::new(code)).unwrap();
        let refresh_token = tokens.refresh_token.clone().unwrap();
        (tokens, refresh_token)
    }

    fn refresh(&self, token: &RefreshToken) -> Result<TokenSet, Error> {
        self.client.call(&Refresh::new(token.clone()))
    }

    fn is_active(&self, token: impl Into<hs_oauth_core::Token>) -> bool {
        self.client.call(&Introspect::new(token)).unwrap().is_active()
    }

    fn fault(&self, fault: Fault) {
        self.hubspot.emulator(|emulator| emulator.inject(fault));
    }

    fn sent(&self, target: Target) -> usize {
        self.hubspot
            .emulator(|emulator| emulator.journal().filter(|entry| entry.operation == Some(target)).count())
    }
}

fn refusal(error: &Error) -> &hs_oauth_core::ApiError {
    error.as_api().unwrap_or_else(|| panic!("{error:?}"))
}

/// The version is the only thing that differs between the four.
#[test]
fn an_app_installs_introspects_refreshes_revokes_and_is_refused() {
    everywhere(|scene| {
        let (tokens, refresh_token) = scene.install();
        assert_eq!((tokens.hub_id, tokens.user_id, tokens.expires_in), (Some(62_515), Some(123_456), 1800));
        assert_eq!(tokens.token_use, Some(TokenUse::AccessToken));
        assert_eq!(tokens.scopes.unwrap().to_string(), "oauth crm.objects.contacts.read");

        let access = scene.client.call(&Introspect::new(tokens.access_token.clone())).unwrap();
        let Introspection::AccessToken(info) = access else { panic!("{access:?}") };
        assert_eq!((info.hub_id, &info.token), (62_515, &tokens.access_token));
        assert!(info.signed_access_token.unwrap().audience.is_some());
        let refresh = scene.client.call(&Introspect::new(refresh_token.clone())).unwrap();
        let Introspection::RefreshToken(info) = refresh else { panic!("{refresh:?}") };
        assert_eq!((info.hub_id, info.client_id.as_str()), (62_515, scene.app.client_id()));

        let refreshed = scene.refresh(&refresh_token).unwrap();
        assert_ne!(refreshed.access_token, tokens.access_token);
        assert_eq!(refreshed.refresh_token.as_ref(), Some(&refresh_token));

        scene.client.call(&Revoke::new(refresh_token.clone())).unwrap();
        assert!(!scene.is_active(refresh_token.clone()));
        // HubSpot's page on revocation: access tokens already given live on.
        assert!(scene.is_active(refreshed.access_token));
        let refused = scene.refresh(&refresh_token).unwrap_err();
        assert_eq!((refused.next_step(), refusal(&refused).status.as_u16()), (NextStep::Reauthorize, 400));
        assert_eq!(refusal(&refused).error, Some(OAuthCode::InvalidGrant));
        assert_eq!(refusal(&refused).code, Some(HubSpotCode::BadRefreshToken));
        assert!(refusal(&refused).correlation_id.is_some());
        // RFC 7009 §2.2: a token that is not known counts as revoked.
        scene.client.call(&Revoke::new(refresh_token)).unwrap();
    });
}

/// The reason people pick this library this winter.
#[test]
fn a_grant_of_v1_goes_on_under_any_later_version_with_one_value_changed() {
    on(ApiVersion::V1, |scene| {
        let (_, refresh_token) = scene.install();
        scene.hubspot.emulator(|emulator| emulator.set_removed_versions(["v1"]));
        let removed = scene.refresh(&refresh_token).unwrap_err();
        assert_eq!(removed.next_step(), NextStep::FixConfiguration, "v1 is gone, the grant is not");
        // A version that is gone knows no token: it must not look as if this one were inactive.
        let removed = scene.client.call(&Introspect::new(refresh_token.clone())).unwrap_err();
        assert_eq!(removed.next_step(), NextStep::FixConfiguration);

        for version in [ApiVersion::V3, ApiVersion::LATEST] {
            for client in Client::both(&app(&scene.hubspot, version)) {
                assert!(client.call(&Refresh::new(refresh_token.clone())).is_ok());
                assert!(client.call(&Introspect::new(refresh_token.clone())).unwrap().is_active());
            }
        }
    });
}

#[test]
fn a_rotated_token_replaces_the_old_one_and_strict_rotation_ends_the_grant_on_reuse() {
    for (rotation, survives_reuse) in [(Rotation::Rotate, true), (Rotation::Strict, false)] {
        everywhere(|scene| {
            let (_, old) = scene.install();
            scene.hubspot.emulator(|emulator| emulator.set_rotation(rotation));
            let new = scene.refresh(&old).unwrap().refresh_token.unwrap();
            assert_ne!(old, new);
            assert_eq!(scene.refresh(&old).unwrap_err().next_step(), NextStep::Reauthorize);
            assert_eq!(scene.refresh(&new).is_ok(), survives_reuse, "{rotation:?}");
        });
    }
}

/// RFC 6749 §4.1.2 and §4.1.3, RFC 7636 §4.6: each has its own answer, and all mean the same to the caller.
#[test]
fn a_code_that_is_spent_late_or_not_ours_asks_for_a_new_authorization() {
    everywhere(|scene| {
        let refused = |code: AuthorizationCode| {
            let error = scene.client.call(&ExchangeCode::new(code)).unwrap_err();
            assert_eq!(error.next_step(), NextStep::RestartAuthorization);
            refusal(&error).code.clone().unwrap()
        };
        let spent = scene.code("oauth");
        assert!(scene.client.call(&ExchangeCode::new(spent.clone())).is_ok());
        assert_eq!(refused(spent), HubSpotCode::BadAuthCode);

        let late = scene.code("oauth");
        scene.hubspot.emulator(|emulator| emulator.advance(Duration::from_secs(61)));
        assert_eq!(refused(late), HubSpotCode::ExpiredAuthCode);

        let with = |redirect_uri: &str, verifier: Option<&str>| {
            AuthorizationCode::from_caller_who_checked_state(
                scene.code("oauth").code().clone(),
                redirect_uri,
                verifier.map(|text| CodeVerifier::new(text).unwrap()),
            )
        };
        let redirect_uri = scene.app.redirect_uri().unwrap();
        assert_eq!(refused(with(redirect_uri, None)), HubSpotCode::BadCodeVerifier);
        assert_eq!(refused(with(redirect_uri, Some(&"x".repeat(43)))), HubSpotCode::BadCodeVerifier);
        assert_eq!(
            refused(with("http://localhost:3000/other", None)),
            HubSpotCode::MismatchRedirectUriAuthCode
        );
    });
}

#[test]
fn a_wrong_secret_is_the_apps_fault_and_costs_no_grant() {
    everywhere(|scene| {
        let (_, refresh_token) = scene.install();
        let wrong = App::hubspot(scene.app.client_id(), ClientSecret::new("wrong").unwrap())
            .with_api_base(scene.hubspot.url())
            .version(scene.app.version())
            .build()
            .unwrap();
        for client in Client::both(&wrong) {
            let error = client.call(&Refresh::new(refresh_token.clone())).unwrap_err();
            assert_eq!(error.next_step(), NextStep::FixConfiguration);
            assert_eq!(refusal(&error).error, Some(OAuthCode::InvalidClient));
        }
        assert!(scene.refresh(&refresh_token).is_ok());
    });
}

#[test]
fn an_uninstalled_app_and_a_deleted_account_ask_to_reconnect() {
    everywhere(|scene| {
        let (tokens, refresh_token) = scene.install();
        assert!(scene.hubspot.emulator(|emulator| emulator.uninstall(62_515)));
        assert!(!scene.is_active(tokens.access_token));
        let error = scene.refresh(&refresh_token).unwrap_err();
        assert_eq!(
            (error.next_step(), &refusal(&error).code),
            (NextStep::Reauthorize, &Some(HubSpotCode::BadRefreshToken))
        );

        let (_, refresh_token) = scene.install();
        assert!(scene.hubspot.emulator(|emulator| emulator.delete_hub(62_515)));
        let error = scene.refresh(&refresh_token).unwrap_err();
        assert_eq!(
            (error.next_step(), &refusal(&error).code),
            (NextStep::Reauthorize, &Some(HubSpotCode::BadHub))
        );
        assert_eq!(refusal(&error).error, Some(OAuthCode::AccessDenied));
    });
}

#[test]
fn an_access_token_ends_when_it_says() {
    everywhere(|scene| {
        let before = SystemTime::now();
        let (tokens, refresh_token) = scene.install();
        let lifetime = tokens.expires_at.since(before.into());
        assert!((1800..1830).contains(&lifetime.as_secs()), "{lifetime:?}");
        scene.hubspot.emulator(|emulator| emulator.advance(Duration::from_secs(1799)));
        assert!(scene.is_active(tokens.access_token.clone()));
        scene.hubspot.emulator(|emulator| emulator.advance(Duration::from_secs(2)));
        assert!(!scene.is_active(tokens.access_token));
        assert!(scene.is_active(refresh_token), "a refresh token does not expire");
    });
}

#[test]
fn a_person_who_cancels_gives_no_code() {
    on(ApiVersion::LATEST, |scene| {
        let Authorization { url, pending, .. } = scene.begin("oauth");
        let callback = scene.hubspot.cancel(&url).unwrap();
        let refused = pending.accept(callback.split_once('?').unwrap().1).unwrap_err();
        assert!(refused.to_string().contains("access_denied"), "{refused}");
        assert_eq!(refused.next_step(), NextStep::RestartAuthorization);
    });
}

#[test]
fn an_app_gets_a_token_for_itself() {
    everywhere(|scene| {
        let grant = ClientCredentials::new("developer.webhooks_journal.read".parse().unwrap());
        let tokens = scene.client.call(&grant).unwrap();
        assert_eq!((tokens.refresh_token, tokens.token_use), (None, Some(TokenUse::ClientCredentials)));
        assert_eq!(tokens.scopes.unwrap().to_string(), "developer.webhooks_journal.read");
    });
}

#[test]
fn openid_brings_an_id_token_and_fewer_scopes_can_be_asked_for() {
    everywhere(|scene| {
        let code = scene.code("oauth openid crm.objects.contacts.read");
        let tokens = scene.client.call(&ExchangeCode::new(code)).unwrap();
        assert!(tokens.id_token.is_some());
        let refresh = Refresh::new(tokens.refresh_token.unwrap());
        let fewer = scene.client.call(&refresh.clone().scopes("oauth".parse().unwrap())).unwrap();
        assert_eq!(fewer.scopes.unwrap().to_string(), "oauth");
        let more = scene.client.call(&refresh.scopes("content".parse().unwrap())).unwrap_err();
        assert_eq!(more.next_step(), NextStep::FixConfiguration);
        assert_eq!(refusal(&more).code, Some(HubSpotCode::BadScopes));
    });
}

#[test]
fn an_outage_is_waited_out_and_a_rate_limit_kept_to() {
    everywhere(|scene| {
        let (_, refresh_token) = scene.install();
        scene.fault(Fault::status(502).on(Target::Refresh).times(2));
        assert!(scene.refresh(&refresh_token).is_ok());
        assert_eq!(scene.sent(Target::Refresh), 3);

        scene.fault(Fault::status(429).retry_after(60).on(Target::Refresh));
        let limited = scene.refresh(&refresh_token).unwrap_err();
        assert_eq!(limited.next_step(), NextStep::RetryAfter(Some(Duration::from_secs(60))));
        assert_eq!(scene.sent(Target::Refresh), 4);

        scene.fault(Fault::status(477).retry_after(43_200));
        let moving = scene.refresh(&refresh_token).unwrap_err();
        assert_eq!(moving.next_step(), NextStep::RetryAfter(Some(Duration::from_secs(43_200))));
    });
}

/// "A code exchange is never sent twice unless it surely never left", seen from the server.
#[test]
fn a_lost_answer_repeats_a_refresh_and_never_a_code() {
    for fault in [Fault::drop_before, Fault::drop_after, || Fault::truncate(20), || Fault::status(503)] {
        everywhere(|scene| {
            let (_, refresh_token) = scene.install();
            let exchanged = scene.sent(Target::ExchangeCode);
            let code = scene.code("oauth");
            scene.fault(fault());
            assert!(scene.client.call(&ExchangeCode::new(code)).is_err());
            assert_eq!(scene.sent(Target::ExchangeCode), exchanged + 1);

            scene.fault(fault());
            assert!(scene.refresh(&refresh_token).is_ok());
            assert_eq!(scene.sent(Target::Refresh), 2);
        });
    }
}

#[test]
fn a_slow_server_is_given_up() {
    for index in 0..2 {
        let hubspot = Server::start("127.0.0.1:0", Settings::new([3; 32])).unwrap();
        let app = app(&hubspot, ApiVersion::LATEST);
        let client = Client::both(&app).into_iter().nth(index).unwrap();
        let scene =
            Scene { client: client.timeout(Duration::from_secs(1)).retry(RetryPolicy::NEVER), hubspot, app };
        let (_, refresh_token) = scene.install();
        scene.fault(Fault::delay(Duration::from_secs(20)));
        match scene.refresh(&refresh_token).unwrap_err() {
            Error::Transport(error) => assert_eq!(error.kind(), TransportErrorKind::Timeout),
            other => panic!("{other:?}"),
        }
    }
}

/// A token that replaced another and came in an answer that breaks a rule.
#[test]
fn a_new_refresh_token_in_a_bad_answer_is_in_the_error() {
    everywhere(|scene| {
        let (_, refresh_token) = scene.install();
        let body =
            r#"{"access_token":"a","refresh_token":"na1-new","token_type":"bearer","expires_in":"soon"}"#;
        scene.fault(Fault::raw_body(body, "application/json"));
        let error = scene.refresh(&refresh_token).unwrap_err();
        assert_eq!(error.rescued_refresh_token().unwrap().expose(), "na1-new");
        assert_eq!(error.next_step(), NextStep::ReportBug);
        assert!(error.to_string().contains("`expires_in`"), "{error}");
    });
}

//! The life of an application on every version, over both transports and real sockets, against the emulator.

use std::time::{Duration, SystemTime};

use hs_oauth_core::{
    ApiVersion, App, Authorization, AuthorizationCode, Authorize, CallbackError, ClientCredentials,
    ClientSecret, CodeVerifier, Error, ExchangeCode, HubSpotCode, Introspect, Introspection, NextStep,
    OAuthCode, PendingAuthorizations, Refresh, RefreshToken, RetryPolicy, Revoke, TokenSet, TokenUse,
    TransportErrorKind,
};
use hs_oauth_emulator::{Fault, Rotation, Server, Settings, Target};

use crate::both::Client;

const VERSIONS: [&str; 4] = ["v1", "v3", "2026-03", "2026-09"];

struct Setup {
    hubspot: Server,
    client: Client,
    app: App,
}

/// Runs `scenario` on every version over each transport, each time against an emulator of its own.
fn everywhere(scenario: impl Fn(&Setup)) {
    for version in VERSIONS {
        on(version.parse().unwrap(), &scenario);
    }
}

/// The default policy with more time for further tries, so that a slow machine makes as many as a fast one.
const RETRY: RetryPolicy = RetryPolicy::new().with_budget(Duration::from_secs(50));

/// Runs `scenario` over each transport.
fn on(version: ApiVersion, scenario: impl Fn(&Setup)) {
    for index in 0..2 {
        let hubspot = Server::start("127.0.0.1:0", Settings::new([3; 32])).unwrap();
        let app = app(&hubspot, version);
        let client = Client::both(&app).into_iter().nth(index).unwrap().with_retry_policy(RETRY);
        scenario(&Setup { hubspot, client, app });
    }
}

fn app(hubspot: &Server, version: ApiVersion) -> App {
    let settings = hubspot.settings();
    App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret).unwrap())
        .with_redirect_uri(&settings.redirect_uris[0])
        .with_api_base(hubspot.url())
        .with_app_base(hubspot.url())
        .with_version(version)
        .build()
        .unwrap()
}

impl Setup {
    fn begin(&self, scopes: &str) -> Authorization {
        Authorize::new(scopes.parse().unwrap()).begin(&self.app, SystemTime::now().into()).unwrap()
    }

    fn code(&self, scopes: &str) -> AuthorizationCode {
        let Authorization { url, pending, .. } = self.begin(scopes);
        let callback = self.hubspot.connect(&url).unwrap();
        pending.accept(SystemTime::now().into(), callback.split_once('?').unwrap().1).unwrap()
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

fn api_error(error: &Error) -> &hs_oauth_core::ApiError {
    error.as_api().unwrap_or_else(|| panic!("{error:?}"))
}

/// The version is the only thing that differs between the four.
#[test]
fn an_app_installs_introspects_refreshes_and_revokes_and_then_gets_an_error() {
    everywhere(|setup| {
        let (tokens, refresh_token) = setup.install();
        assert_eq!((tokens.hub_id, tokens.user_id, tokens.expires_in), (Some(62_515), Some(123_456), 1800));
        assert_eq!(tokens.token_use, Some(TokenUse::AccessToken));
        assert_eq!(tokens.scopes.unwrap().to_string(), "oauth crm.objects.contacts.read");

        let access = setup.client.call(&Introspect::new(tokens.access_token.clone())).unwrap();
        let Introspection::AccessToken(info) = access else { panic!("{access:?}") };
        assert_eq!((info.hub_id, &info.token), (62_515, &tokens.access_token));
        assert!(info.signed_access_token.unwrap().audience.is_some());
        let refresh = setup.client.call(&Introspect::new(refresh_token.clone())).unwrap();
        let Introspection::RefreshToken(info) = refresh else { panic!("{refresh:?}") };
        assert_eq!((info.hub_id, info.client_id.as_str()), (62_515, setup.app.client_id()));

        let refreshed = setup.refresh(&refresh_token).unwrap();
        assert_ne!(refreshed.access_token, tokens.access_token);
        assert_eq!(refreshed.refresh_token.as_ref(), Some(&refresh_token));

        setup.client.call(&Revoke::new(refresh_token.clone())).unwrap();
        assert!(!setup.is_active(refresh_token.clone()));
        // HubSpot's page on revocation: access tokens that were issued before live on.
        assert!(setup.is_active(refreshed.access_token));
        let error = setup.refresh(&refresh_token).unwrap_err();
        assert_eq!((error.next_step(), api_error(&error).status.as_u16()), (NextStep::Reauthorize, 400));
        assert_eq!(api_error(&error).error, Some(OAuthCode::InvalidGrant));
        assert_eq!(api_error(&error).code, Some(HubSpotCode::BadRefreshToken));
        assert!(api_error(&error).correlation_id.is_some());
        // RFC 7009 §2.2: a token that is not known counts as revoked.
        setup.client.call(&Revoke::new(refresh_token)).unwrap();
    });
}

/// A grant does not belong to a version of the API.
#[test]
fn a_grant_of_v1_goes_on_with_any_later_version() {
    on(ApiVersion::V1, |setup| {
        let (_, refresh_token) = setup.install();
        setup.hubspot.emulator(|emulator| emulator.set_removed_versions(["v1"]));
        let removed = setup.refresh(&refresh_token).unwrap_err();
        assert_eq!(removed.next_step(), NextStep::FixConfiguration, "v1 is gone, the grant is not");
        // A version that was removed knows no token. This one must not seem inactive.
        let removed = setup.client.call(&Introspect::new(refresh_token.clone())).unwrap_err();
        assert_eq!(removed.next_step(), NextStep::FixConfiguration);

        for version in [ApiVersion::V3, ApiVersion::LATEST] {
            for client in Client::both(&app(&setup.hubspot, version)) {
                assert!(client.call(&Refresh::new(refresh_token.clone())).is_ok());
                assert!(client.call(&Introspect::new(refresh_token.clone())).unwrap().is_active());
            }
        }
    });
}

#[test]
fn a_rotated_token_replaces_the_old_one_and_strict_rotation_ends_the_grant_on_reuse() {
    for (rotation, survives_reuse) in [(Rotation::Rotate, true), (Rotation::Strict, false)] {
        everywhere(|setup| {
            let (_, old) = setup.install();
            setup.hubspot.emulator(|emulator| emulator.set_rotation(rotation));
            let new = setup.refresh(&old).unwrap().refresh_token.unwrap();
            assert_ne!(old, new);
            assert_eq!(setup.refresh(&old).unwrap_err().next_step(), NextStep::Reauthorize);
            assert_eq!(setup.refresh(&new).is_ok(), survives_reuse, "{rotation:?}");
        });
    }
}

/// RFC 6749 §4.1.2 and §4.1.3, RFC 7636 §4.6: each case has its own error, and all have the same next step.
#[test]
fn a_code_that_is_used_expired_or_not_ours_needs_a_new_authorization() {
    everywhere(|setup| {
        let error = |code: AuthorizationCode| {
            let error = setup.client.call(&ExchangeCode::new(code)).unwrap_err();
            assert_eq!(error.next_step(), NextStep::RestartAuthorization);
            api_error(&error).code.clone().unwrap()
        };
        let spent = setup.code("oauth");
        assert!(setup.client.call(&ExchangeCode::new(spent.clone())).is_ok());
        assert_eq!(error(spent), HubSpotCode::BadAuthCode);

        let late = setup.code("oauth");
        setup.hubspot.emulator(|emulator| emulator.advance(Duration::from_secs(61)));
        assert_eq!(error(late), HubSpotCode::ExpiredAuthCode);

        let with = |redirect_uri: &str, verifier: Option<&str>| {
            AuthorizationCode::from_caller_who_checked_state(
                setup.code("oauth").code().clone(),
                redirect_uri,
                verifier.map(|text| CodeVerifier::new(text).unwrap()),
            )
        };
        let redirect_uri = setup.app.redirect_uri().unwrap();
        assert_eq!(error(with(redirect_uri, None)), HubSpotCode::BadCodeVerifier);
        assert_eq!(error(with(redirect_uri, Some(&"x".repeat(43)))), HubSpotCode::BadCodeVerifier);
        assert_eq!(
            error(with("http://localhost:3000/other", None)),
            HubSpotCode::MismatchRedirectUriAuthCode
        );
    });
}

/// RFC 6749 §4.1.2: HubSpot may take back the tokens of a code that is used twice.
#[test]
fn a_callback_page_that_is_loaded_again_sends_no_second_code_and_tabs_do_not_disturb_each_other() {
    on(ApiVersion::LATEST, |setup| {
        let mut session = PendingAuthorizations::new();
        let mut open_tab = || {
            let Authorization { url, pending, .. } = setup.begin("oauth");
            session.insert(SystemTime::now().into(), pending);
            let callback = setup.hubspot.connect(&url).unwrap();
            callback.split_once('?').unwrap().1.to_owned()
        };
        let callbacks = [open_tab(), open_tab()];
        let mut load = |query: &str| session.accept(SystemTime::now().into(), query);
        let tokens = callbacks.each_ref().map(|query| {
            let tokens = setup.client.call(&ExchangeCode::new(load(query).unwrap())).unwrap();
            assert_eq!(load(query).unwrap_err(), CallbackError::NotPending, "loaded again");
            tokens
        });
        assert_eq!(setup.sent(Target::ExchangeCode), 2, "one for each tab");
        for tokens in tokens {
            assert!(setup.refresh(&tokens.refresh_token.unwrap()).is_ok());
        }
    });
}

#[test]
fn a_wrong_secret_is_an_error_of_the_app_and_ends_no_grant() {
    everywhere(|setup| {
        let (_, refresh_token) = setup.install();
        let wrong = App::hubspot(setup.app.client_id(), ClientSecret::new("wrong").unwrap())
            .with_api_base(setup.hubspot.url())
            .with_version(setup.app.version())
            .build()
            .unwrap();
        for client in Client::both(&wrong) {
            let error = client.call(&Refresh::new(refresh_token.clone())).unwrap_err();
            assert_eq!(error.next_step(), NextStep::FixConfiguration);
            assert_eq!(api_error(&error).error, Some(OAuthCode::InvalidClient));
        }
        assert!(setup.refresh(&refresh_token).is_ok());
    });
}

#[test]
fn after_an_uninstall_or_a_deleted_account_the_app_has_to_be_connected_again() {
    everywhere(|setup| {
        let (tokens, refresh_token) = setup.install();
        assert!(setup.hubspot.emulator(|emulator| emulator.uninstall(62_515)));
        assert!(!setup.is_active(tokens.access_token));
        let error = setup.refresh(&refresh_token).unwrap_err();
        assert_eq!(
            (error.next_step(), &api_error(&error).code),
            (NextStep::Reauthorize, &Some(HubSpotCode::BadRefreshToken))
        );

        let (_, refresh_token) = setup.install();
        assert!(setup.hubspot.emulator(|emulator| emulator.delete_hub(62_515)));
        let error = setup.refresh(&refresh_token).unwrap_err();
        assert_eq!(
            (error.next_step(), &api_error(&error).code),
            (NextStep::Reauthorize, &Some(HubSpotCode::BadHub))
        );
        assert_eq!(api_error(&error).error, Some(OAuthCode::AccessDenied));
    });
}

#[test]
fn an_access_token_ends_when_it_says() {
    everywhere(|setup| {
        let before = SystemTime::now();
        let (tokens, refresh_token) = setup.install();
        let lifetime = tokens.expires_at.since(before.into());
        let at_most = before.elapsed().unwrap() + Duration::from_millis(1_800_001);
        assert!(lifetime >= Duration::from_secs(1800) && lifetime <= at_most, "{lifetime:?}");
        // The emulator's clock goes on during the test, so the last minute is left for that.
        setup.hubspot.emulator(|emulator| emulator.advance(Duration::from_secs(1740)));
        assert!(setup.is_active(tokens.access_token.clone()));
        setup.hubspot.emulator(|emulator| emulator.advance(Duration::from_secs(60)));
        assert!(!setup.is_active(tokens.access_token));
        assert!(setup.is_active(refresh_token), "a refresh token does not expire");
    });
}

#[test]
fn a_user_who_cancels_gives_no_code() {
    on(ApiVersion::LATEST, |setup| {
        let Authorization { url, pending, .. } = setup.begin("oauth");
        let callback = setup.hubspot.cancel(&url).unwrap();
        let error =
            pending.accept(SystemTime::now().into(), callback.split_once('?').unwrap().1).unwrap_err();
        assert!(error.to_string().contains("access_denied"), "{error}");
        assert_eq!(error.next_step(), NextStep::RestartAuthorization);
    });
}

#[test]
fn an_app_gets_a_token_for_itself() {
    everywhere(|setup| {
        let grant = ClientCredentials::new("developer.webhooks_journal.read".parse().unwrap());
        let tokens = setup.client.call(&grant).unwrap();
        assert_eq!((tokens.refresh_token, tokens.token_use), (None, Some(TokenUse::ClientCredentials)));
        assert_eq!(tokens.scopes.unwrap().to_string(), "developer.webhooks_journal.read");
    });
}

#[test]
fn openid_brings_an_id_token_and_fewer_scopes_can_be_asked_for() {
    everywhere(|setup| {
        let code = setup.code("oauth openid crm.objects.contacts.read");
        let tokens = setup.client.call(&ExchangeCode::new(code)).unwrap();
        assert!(tokens.id_token.is_some());
        let refresh = Refresh::new(tokens.refresh_token.unwrap());
        let fewer = setup.client.call(&refresh.clone().with_scopes("oauth".parse().unwrap())).unwrap();
        assert_eq!(fewer.scopes.unwrap().to_string(), "oauth");
        let more = setup.client.call(&refresh.with_scopes("content".parse().unwrap())).unwrap_err();
        assert_eq!(more.next_step(), NextStep::FixConfiguration);
        assert_eq!(api_error(&more).code, Some(HubSpotCode::BadScopes));
    });
}

#[test]
fn an_outage_is_waited_out_and_a_rate_limit_is_kept_to() {
    everywhere(|setup| {
        let (_, refresh_token) = setup.install();
        setup.fault(Fault::status(502).with_target(Target::Refresh).with_count(2));
        assert!(setup.refresh(&refresh_token).is_ok());
        assert_eq!(setup.sent(Target::Refresh), 3);

        setup.fault(Fault::status(429).with_retry_after(60).with_target(Target::Refresh));
        let limited = setup.refresh(&refresh_token).unwrap_err();
        assert_eq!(limited.next_step(), NextStep::RetryAfter(Some(Duration::from_secs(60))));
        assert_eq!(setup.sent(Target::Refresh), 4);

        setup.fault(Fault::status(477).with_retry_after(43_200));
        let moving = setup.refresh(&refresh_token).unwrap_err();
        assert_eq!(moving.next_step(), NextStep::RetryAfter(Some(Duration::from_secs(43_200))));
    });
}

/// A code is never sent twice unless the request surely never left.
#[test]
fn after_a_lost_response_a_refresh_is_repeated_and_a_code_is_not() {
    for fault in [Fault::drop_before, Fault::drop_after, || Fault::truncate(20), || Fault::status(503)] {
        everywhere(|setup| {
            let (_, refresh_token) = setup.install();
            let exchanged = setup.sent(Target::ExchangeCode);
            let code = setup.code("oauth");
            setup.fault(fault());
            assert!(setup.client.call(&ExchangeCode::new(code)).is_err());
            assert_eq!(setup.sent(Target::ExchangeCode), exchanged + 1);

            setup.fault(fault());
            assert!(setup.refresh(&refresh_token).is_ok());
            assert_eq!(setup.sent(Target::Refresh), 2);
        });
    }
}

#[test]
fn a_slow_server_is_given_up() {
    on(ApiVersion::LATEST, |setup| {
        let (_, refresh_token) = setup.install();
        setup.fault(Fault::delay(Duration::from_secs(3600)));
        let client =
            setup.client.clone().with_timeout(Duration::from_secs(6)).with_retry_policy(RetryPolicy::NEVER);
        match client.call(&Refresh::new(refresh_token)).unwrap_err() {
            Error::Transport(error) => assert_eq!(error.kind(), TransportErrorKind::Timeout),
            other => panic!("{other:?}"),
        }
    });
}

/// A refresh token that replaced another, in a response that breaks a rule.
#[test]
fn a_new_refresh_token_in_a_bad_response_is_in_the_error() {
    everywhere(|setup| {
        let (_, refresh_token) = setup.install();
        let body =
            r#"{"access_token":"a","refresh_token":"na1-new","token_type":"bearer","expires_in":"soon"}"#;
        setup.fault(Fault::raw_body(body, "application/json"));
        let error = setup.refresh(&refresh_token).unwrap_err();
        assert_eq!(error.rescued_refresh_token().unwrap().expose(), "na1-new");
        assert_eq!(error.next_step(), NextStep::ReportBug);
        assert!(error.to_string().contains("`expires_in`"), "{error}");
    });
}

//! The apps that are registered with HubSpot: the one that the settings describe themselves, and the others in them.

use std::fmt;

use crate::registered_scopes::RegisteredScopes;

/// An app besides the one that [`Settings`](crate::Settings) describe themselves. It has a secret, redirect URIs and scopes of its own, and what an account
/// grants to it is of no use to another app.
#[derive(Clone)]
#[non_exhaustive]
pub struct AppSettings {
    /// The app's public client id. An app whose id another one has already is never found.
    pub client_id: String,
    /// The app's client secret.
    pub client_secret: String,
    /// The app's name on the consent page. Default `Another app`.
    pub app_name: String,
    /// The app's id in introspection responses. Default 456790.
    pub app_id: i64,
    /// The registered redirect URIs, as those of [`Settings`](crate::Settings). Default `http://localhost:3000/oauth/callback`.
    pub redirect_uris: Vec<String>,
    /// The scopes that are registered for the app. Without them, the app can ask for any scope. Default `None`.
    pub registered_scopes: Option<RegisteredScopes>,
}

impl AppSettings {
    /// Returns the defaults, with these credentials.
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            app_name: "Another app".to_owned(),
            app_id: 456_790,
            redirect_uris: vec!["http://localhost:3000/oauth/callback".to_owned()],
            registered_scopes: None,
        }
    }
}

impl fmt::Debug for AppSettings {
    /// Shows everything but the client secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppSettings")
            .field("client_id", &self.client_id)
            .field("app_name", &self.app_name)
            .field("app_id", &self.app_id)
            .field("redirect_uris", &self.redirect_uris)
            .field("registered_scopes", &self.registered_scopes)
            .finish_non_exhaustive()
    }
}

/// One of the apps, wherever in the settings it is described.
#[derive(Clone, Copy)]
pub(crate) struct RegisteredApp<'s> {
    pub(crate) client_id: &'s str,
    pub(crate) client_secret: &'s str,
    pub(crate) name: &'s str,
    pub(crate) app_id: i64,
    pub(crate) redirect_uris: &'s [String],
    pub(crate) scopes: Option<&'s RegisteredScopes>,
}

impl<'s> From<&'s AppSettings> for RegisteredApp<'s> {
    fn from(app: &'s AppSettings) -> Self {
        Self {
            client_id: &app.client_id,
            client_secret: &app.client_secret,
            name: &app.app_name,
            app_id: app.app_id,
            redirect_uris: &app.redirect_uris,
            scopes: app.registered_scopes.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::{App, ClientSecret, TokenSet};
    use hs_oauth_core::{
        ClientCredentials, Endpoint, ExchangeCode, Introspect, Introspection, NextStep, Refresh, Revoke,
        Uninstall,
    };
    use http::Method;

    use super::*;
    use crate::testing::{CALLBACK, Harness, refresh_token};

    const OTHER: &str = "11111111-2222-3333-4444-555555555555";

    fn two_apps() -> Harness {
        Harness::configured(|settings| {
            let mut other = AppSettings::new(OTHER, "the-secret-of-the-other-app");
            other.redirect_uris = vec!["https://other.example/cb".to_owned()];
            other.registered_scopes = RegisteredScopes::new(
                "oauth tickets".parse().unwrap(),
                Default::default(),
                Default::default(),
            )
            .ok();
            settings.more_apps = vec![other];
        })
    }

    fn other_app(harness: &Harness) -> App {
        App::hubspot(OTHER, ClientSecret::new("the-secret-of-the-other-app").unwrap())
            .with_redirect_uri("https://other.example/cb")
            .with_version(harness.version)
            .build()
            .unwrap()
    }

    fn call_as<E: Endpoint>(
        harness: &mut Harness,
        app: &App,
        endpoint: &E,
    ) -> Result<E::Output, hs_oauth_core::Error> {
        let response = harness.send(endpoint.to_http(app));
        endpoint.read_response(app, harness.now, &response)
    }

    fn install_other(harness: &mut Harness) -> TokenSet {
        let app = other_app(harness);
        let code =
            harness.authorize_as(&app, &hs_oauth_core::Authorize::new("oauth tickets".parse().unwrap()));
        call_as(harness, &app, &ExchangeCode::new(code)).unwrap()
    }

    #[test]
    fn each_app_has_its_own_secret_redirect_uris_and_scopes() {
        let mut harness = two_apps();
        let (first, other) = (harness.install(), install_other(&mut harness));
        assert_eq!(first.scopes.unwrap().to_string(), "oauth crm.objects.contacts.read");
        assert_eq!(other.scopes.unwrap().to_string(), "oauth tickets");

        let page = |harness: &mut Harness, client_id: &str, redirect_uri: &str, scope: &str| {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("client_id", client_id)
                .append_pair("redirect_uri", redirect_uri)
                .append_pair("scope", scope)
                .finish();
            harness.get(&format!("/oauth/authorize?{query}")).status().as_u16()
        };
        assert_eq!(page(&mut harness, OTHER, "https://other.example/cb", "oauth tickets"), 200);
        assert_eq!(page(&mut harness, OTHER, CALLBACK, "oauth tickets"), 400);
        assert_eq!(page(&mut harness, OTHER, "https://other.example/cb", "oauth"), 400);

        let client = format!("client_id={OTHER}&client_secret={}", harness.emulator.settings().client_secret);
        let response = harness.post("/oauth/v3/token", &format!("{client}&grant_type=client_credentials"));
        assert_eq!(crate::testing::json(&response)["status"], "BAD_CLIENT_SECRET");
    }

    /// RFC 6749 §5.2 and §10.4; reports of other projects name the message for a refresh token of another app.
    #[test]
    fn a_code_or_token_of_one_app_is_of_no_use_to_another_and_stays_good_for_its_own() {
        let mut harness = two_apps();
        let (own, other) = (harness.app(), other_app(&harness));
        let code = harness.code("oauth");
        let error = call_as(&mut harness, &other, &ExchangeCode::new(code.clone())).unwrap_err();
        assert_eq!(error.as_api().unwrap().code, Some(hs_oauth_core::HubSpotCode::BadAuthCode));
        let tokens = call_as(&mut harness, &own, &ExchangeCode::new(code)).unwrap();

        let error = call_as(&mut harness, &other, &Refresh::new(refresh_token(&tokens))).unwrap_err();
        let error = error.as_api().unwrap();
        assert_eq!(error.code, Some(hs_oauth_core::HubSpotCode::BadRefreshToken));
        assert_eq!(error.message.as_deref(), Some("refresh token was not issued to this client"));
        call_as(&mut harness, &other, &Revoke::new(refresh_token(&tokens))).unwrap();
        for token in [hs_oauth_core::Token::from(refresh_token(&tokens)), tokens.access_token.clone().into()]
        {
            let introspection = call_as(&mut harness, &other, &Introspect::new(token)).unwrap();
            assert_eq!(introspection, Introspection::Inactive);
        }
        assert!(harness.is_active(tokens.access_token.clone()));
        harness.refresh(&tokens).unwrap();
    }

    #[test]
    fn an_introspection_names_the_app_of_the_token() {
        let mut harness = two_apps();
        let tokens = install_other(&mut harness);
        let other = other_app(&harness);
        let own = call_as(&mut harness, &other, &ClientCredentials::new("oauth".parse().unwrap())).unwrap();
        for token in [tokens.access_token.clone(), own.access_token] {
            let info = call_as(&mut harness, &other, &Introspect::new(token)).unwrap();
            let Introspection::AccessToken(info) = info else { panic!() };
            assert_eq!((info.client_id.as_deref(), info.app_id), (Some(OTHER), 456_790));
        }
        let Introspection::RefreshToken(info) =
            call_as(&mut harness, &other, &Introspect::new(refresh_token(&tokens))).unwrap()
        else {
            panic!()
        };
        assert_eq!((info.client_id.as_str(), info.app_id), (OTHER, Some(456_790)));
    }

    #[test]
    fn an_app_that_uninstalls_itself_leaves_the_others_in_the_account() {
        let mut harness = two_apps();
        let (first, other) = (harness.install(), install_other(&mut harness));
        let app = other_app(&harness);
        call_as(&mut harness, &app, &Uninstall::new(other.access_token.clone())).unwrap();
        let error = call_as(&mut harness, &app, &Refresh::new(refresh_token(&other))).unwrap_err();
        assert_eq!(error.next_step(), NextStep::Reauthorize);
        harness.refresh(&first).unwrap();

        let other = install_other(&mut harness);
        let body = format!("{{\"client_id\":\"{OTHER}\"}}");
        assert_eq!(harness.control(Method::POST, "/hubs/62515/uninstall", &body).1["installs"], 1);
        assert!(call_as(&mut harness, &app, &Refresh::new(refresh_token(&other))).is_err());
        assert_eq!(harness.control(Method::POST, "/hubs/62515/uninstall", r#"{"client_id":"x"}"#).0, 400);
        assert_eq!(harness.control(Method::POST, "/hubs/62515/uninstall", "{}").1["installs"], 0);
    }

    #[test]
    fn no_secret_of_any_app_is_in_the_journal_or_in_debug_output() {
        let mut harness = two_apps();
        let secret = "the-secret-of-the-other-app";
        harness.get(&format!("/x{secret}?scope={secret}&client_id={secret}"));
        let journal = serde_json::to_string(&harness.emulator.journal().collect::<Vec<_>>()).unwrap();
        assert!(!journal.contains(secret), "{journal}");
        assert!(!format!("{:?}", harness.emulator).contains(secret));
    }
}

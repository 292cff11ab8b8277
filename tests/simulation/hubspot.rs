//! HubSpot: the emulator, without a network. It handles a request at once, and the caller gives the time.

use std::collections::HashMap;

use hs_oauth_core::{
    Account, App, Authorize, ClientSecret, Endpoint, ExchangeCode, Introspect, Introspection, Randomness,
    Refresh, RefreshToken, Timestamp, TokenSet,
};
use hs_oauth_emulator::{Emulator, Rotation, Settings};
use http::Response;

pub(super) const HUB: i64 = 62515;
pub(super) const ACCOUNT: Account = Account::hub(HUB);

/// What a process is configured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deployment {
    /// The app that the account has installed.
    Right,
    /// The same app with a wrong client secret.
    WrongSecret,
    /// Another app, with its own client secret.
    OtherApp,
}

pub(super) struct HubSpot {
    pub(super) app: App,
    app_with_wrong_secret: App,
    other_app: App,
    pub(super) emulator: Emulator,
    /// When each access token expires, in milliseconds of the true time.
    expires_at: HashMap<String, u64>,
    installs: u8,
}

impl HubSpot {
    pub(super) fn new(rotation: Rotation, access_token_lifetime: u32) -> Self {
        let mut settings = Settings::new([5; 32]);
        settings.rotation = rotation;
        settings.access_token_lifetime = access_token_lifetime;
        settings.auto_approve = true;
        let app = |client_id: &str, secret: &str| {
            App::hubspot(client_id, ClientSecret::new(secret).unwrap())
                .with_redirect_uri(&settings.redirect_uris[0])
                .build()
                .unwrap()
        };
        Self {
            app: app(&settings.client_id, &settings.client_secret),
            app_with_wrong_secret: app(&settings.client_id, "not-the-secret"),
            other_app: app("another-app", &settings.client_secret),
            emulator: Emulator::new(settings),
            expires_at: HashMap::new(),
            installs: 0,
        }
    }

    pub(super) fn app(&self, deployment: Deployment) -> &App {
        match deployment {
            Deployment::Right => &self.app,
            Deployment::WrongSecret => &self.app_with_wrong_secret,
            Deployment::OtherApp => &self.other_app,
        }
    }

    /// Connects the account, and exchanges the code for tokens.
    pub(super) fn connect(&mut self, now: u64) -> TokenSet {
        self.installs += 1;
        let randomness = Randomness::new([self.installs; 32], [7; 32]);
        let authorization =
            Authorize::new("oauth".parse().unwrap()).begin_with(&self.app, at(now), randomness).unwrap();
        let callback = self.emulator.connect(at(now), &authorization.url).unwrap();
        let code = authorization.pending.accept(at(now), callback.split_once('?').unwrap().1).unwrap();
        self.call(now, &ExchangeCode::new(code)).unwrap()
    }

    pub(super) fn call<E: Endpoint>(
        &mut self,
        now: u64,
        endpoint: &E,
    ) -> Result<E::Output, hs_oauth_core::Error> {
        let response = self.handle(now, endpoint);
        endpoint.read_response(&self.app, at(now), &response)
    }

    pub(super) fn handle<E: Endpoint>(&mut self, now: u64, endpoint: &E) -> Response<Vec<u8>> {
        let response = self.emulator.handle(at(now), endpoint.to_http(&self.app));
        if let Ok(body) = serde_json::from_slice::<serde_json::Value>(response.body())
            && let (Some(token), Some(expires_in)) =
                (body["access_token"].as_str(), body["expires_in"].as_u64())
        {
            self.expires_at.insert(token.to_owned(), now + expires_in * 1000);
        }
        response
    }

    /// Handles a request that a process sends which is configured so.
    pub(super) fn handle_from<E: Endpoint>(
        &mut self,
        deployment: Deployment,
        now: u64,
        endpoint: &E,
    ) -> Response<Vec<u8>> {
        match deployment {
            Deployment::Right => self.handle(now, endpoint),
            Deployment::WrongSecret => {
                self.emulator.handle(at(now), endpoint.to_http(&self.app_with_wrong_secret))
            }
            // HubSpot knows that app, but the app has no such refresh token.
            Deployment::OtherApp => self.handle(now, &Refresh::new("na1-unknown".parse().unwrap())),
        }
    }

    /// Returns when the access token expires by HubSpot's own clock, in milliseconds.
    pub(super) fn expiry_of(&self, tokens: &TokenSet) -> u64 {
        self.expires_at[tokens.access_token.expose()]
    }

    /// Returns whether the refresh token is good.
    pub(super) fn is_active(&mut self, now: u64, token: &RefreshToken) -> bool {
        !matches!(self.call(now, &Introspect::new(token.clone())).unwrap(), Introspection::Inactive)
    }
}

pub(super) fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_millis(milliseconds)
}

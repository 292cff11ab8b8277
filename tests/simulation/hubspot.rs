//! The emulator, without a wire: what a run sends is handled at once, at a time of the caller's choosing.

use std::collections::HashMap;

use hs_oauth_core::{
    App, Authorize, ClientSecret, Endpoint, ExchangeCode, Introspect, Introspection, Randomness,
    RefreshToken, Timestamp, TokenSet,
};
use hs_oauth_emulator::{Emulator, Rotation, Settings};
use http::Response;

pub(super) const HUB: i64 = 62515;

pub(super) struct HubSpot {
    pub(super) app: App,
    pub(super) emulator: Emulator,
    /// When each access token really ends, by the text.
    ends: HashMap<String, u64>,
    installs: u8,
}

impl HubSpot {
    pub(super) fn new(rotation: Rotation, access_token_lifetime: u32) -> Self {
        let mut settings = Settings::new([5; 32]);
        settings.rotation = rotation;
        settings.access_token_lifetime = access_token_lifetime;
        settings.auto_approve = true;
        let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret).unwrap())
            .with_redirect_uri(&settings.redirect_uris[0])
            .build()
            .unwrap();
        Self { app, emulator: Emulator::new(settings), ends: HashMap::new(), installs: 0 }
    }

    /// A person connects the account, and the code is exchanged.
    pub(super) fn connect(&mut self, now: u64) -> TokenSet {
        self.installs += 1;
        let randomness = Randomness::new([self.installs; 32], [7; 32]);
        let authorization =
            Authorize::new("oauth".parse().unwrap()).begin_with(&self.app, randomness).unwrap();
        let callback = self.emulator.connect(at(now), &authorization.url).unwrap();
        let code = authorization.pending.accept(callback.split_once('?').unwrap().1).unwrap();
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
            self.ends.insert(token.to_owned(), now + expires_in * 1000);
        }
        response
    }

    /// When that access token ends, by HubSpot's own clock.
    pub(super) fn end_of(&self, tokens: &TokenSet) -> u64 {
        self.ends[tokens.access_token.expose()]
    }

    pub(super) fn knows(&mut self, now: u64, token: &RefreshToken) -> bool {
        !matches!(self.call(now, &Introspect::new(token.clone())).unwrap(), Introspection::Inactive)
    }
}

pub(super) fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_millis(milliseconds)
}

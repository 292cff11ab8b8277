//! What the tests share: an emulator, a clock, and the client's side of the protocol.

use hs_oauth_core::{
    ApiVersion, App, AuthorizationCode, Authorize, ClientSecret, Endpoint, Error, ExchangeCode, Introspect,
    Introspection, Refresh, RefreshToken, Revoke, Timestamp, Token, TokenSet,
};
use http::header::CONTENT_TYPE;
use http::{Method, Request, Response};
use serde_json::Value;

use crate::emulator::Emulator;
use crate::settings::Settings;

pub(crate) const ALL_VERSIONS: [&str; 4] = crate::SERVED_VERSIONS;
pub(crate) const CALLBACK: &str = "http://localhost:3000/oauth/callback";

/// An emulator, the time by its caller's clock, and the version of the API that the client uses.
pub(crate) struct Harness {
    pub(crate) emulator: Emulator,
    pub(crate) now: Timestamp,
    pub(crate) version: ApiVersion,
}

impl Harness {
    pub(crate) fn new() -> Self {
        Self::configured(|_| {})
    }

    /// Returns a harness whose emulator has the default settings with this change.
    pub(crate) fn configured(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new([42; 32]);
        change(&mut settings);
        Self {
            emulator: Emulator::new(settings),
            now: Timestamp::from_secs(1_795_000_000),
            version: ApiVersion::LATEST,
        }
    }

    pub(crate) fn with_version(mut self, version: &str) -> Self {
        self.version = version.parse().unwrap();
        self
    }

    /// Moves the clock forward.
    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus(std::time::Duration::from_secs(seconds));
    }

    pub(crate) fn app(&self) -> App {
        self.app_with_secret("0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0")
    }

    pub(crate) fn app_with_secret(&self, secret: &str) -> App {
        App::hubspot("a1b2c3d4-e5f6-7890-abcd-ef1234567890", ClientSecret::new(secret).unwrap())
            .with_redirect_uri(CALLBACK)
            .with_version(self.version)
            .build()
            .unwrap()
    }

    pub(crate) fn call<E: Endpoint>(&mut self, endpoint: &E) -> Result<E::Output, Error> {
        let app = self.app();
        let response = self.emulator.handle(self.now, endpoint.to_http(&app));
        endpoint.read_response(&app, self.now, &response)
    }

    /// Returns the HTTP status, the `error` and HubSpot's code of the error response to a call.
    pub(crate) fn error_codes<E: Endpoint>(&mut self, endpoint: &E) -> (u16, String, String)
    where
        E::Output: std::fmt::Debug,
    {
        let error = self.call(endpoint).unwrap_err();
        let error = error.as_api().unwrap();
        let code = error.code.as_ref().or(error.sub_category.as_ref());
        (
            error.status.as_u16(),
            error.error.as_ref().unwrap().to_string(),
            code.map(ToString::to_string).unwrap_or_default(),
        )
    }

    /// Returns the code of an authorization for these scopes.
    pub(crate) fn code(&mut self, scopes: &str) -> AuthorizationCode {
        self.authorize(&Authorize::new(scopes.parse().unwrap()))
    }

    pub(crate) fn authorize(&mut self, authorize: &Authorize) -> AuthorizationCode {
        let app = self.app();
        self.authorize_as(&app, authorize)
    }

    pub(crate) fn authorize_as(&mut self, app: &App, authorize: &Authorize) -> AuthorizationCode {
        let randomness = hs_oauth_core::Randomness::new([5; 32], [6; 32]);
        let authorization = authorize.begin_with(app, self.now, randomness).unwrap();
        let callback = self.emulator.connect(self.now, &authorization.url).unwrap();
        let query = callback.split_once('?').unwrap().1;
        authorization.pending.accept(self.now, query).unwrap()
    }

    pub(crate) fn install(&mut self) -> TokenSet {
        self.install_with_scopes("oauth crm.objects.contacts.read")
    }

    pub(crate) fn install_with_scopes(&mut self, scopes: &str) -> TokenSet {
        let code = self.code(scopes);
        self.call(&ExchangeCode::new(code)).unwrap()
    }

    pub(crate) fn refresh(&mut self, tokens: &TokenSet) -> Result<TokenSet, Error> {
        self.call(&Refresh::new(refresh_token(tokens)))
    }

    pub(crate) fn revoke(&mut self, tokens: &TokenSet) {
        self.call(&Revoke::new(refresh_token(tokens))).unwrap();
    }

    pub(crate) fn introspect(&mut self, token: impl Into<Token>) -> Introspection {
        self.call(&Introspect::new(token)).unwrap()
    }

    pub(crate) fn is_active(&mut self, token: impl Into<Token>) -> bool {
        self.introspect(token).is_active()
    }

    pub(crate) fn send(&mut self, request: Request<Vec<u8>>) -> Response<Vec<u8>> {
        self.emulator.handle(self.now, request)
    }

    pub(crate) fn get(&mut self, path: &str) -> Response<Vec<u8>> {
        self.send(Request::get(path).body(Vec::new()).unwrap())
    }

    pub(crate) fn post(&mut self, path: &str, form: &str) -> Response<Vec<u8>> {
        let request = Request::post(path).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(form.as_bytes().to_vec()).unwrap())
    }

    /// Calls the control API and returns the status and the body.
    pub(crate) fn control(&mut self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/_emulator{path}"))
            .header(CONTENT_TYPE, "application/json");
        let response = self.send(request.body(body.as_bytes().to_vec()).unwrap());
        let body = serde_json::from_slice(response.body()).unwrap_or_default();
        (response.status().as_u16(), body)
    }
}

pub(crate) fn refresh_token(tokens: &TokenSet) -> RefreshToken {
    tokens.refresh_token.clone().unwrap()
}

/// Opens the consent page at `path` and returns the ticket in its form.
pub(crate) fn ticket(harness: &mut Harness, path: &str) -> String {
    let page = harness.get(path);
    assert_eq!(page.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
    assert!(!page.headers().contains_key("location"));
    let page = String::from_utf8(page.into_body()).unwrap();
    let (_, rest) = page.split_once("name=\"ticket\" value=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}

pub(crate) fn json(response: &Response<Vec<u8>>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

/// Checks what strict clients require of every error response.
pub(crate) fn assert_error_response(response: &Response<Vec<u8>>) {
    assert!(response.status().is_client_error(), "{response:?}");
    assert_error_body(response);
}

/// Checks what strict clients require of an error response with any status.
pub(crate) fn assert_error_body(response: &Response<Vec<u8>>) {
    let headers = response.headers();
    assert_eq!(headers[CONTENT_TYPE], "application/json");
    assert_eq!(headers["cache-control"], "no-store");
    assert!(!headers.contains_key("www-authenticate"));
    let body = json(response);
    for name in ["error", "error_description", "status", "message", "category", "correlationId"] {
        assert!(body[name].is_string(), "{name} in {body}");
    }
    let description = body["error_description"].as_str().unwrap();
    let allowed = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    assert!(description.bytes().all(allowed), "RFC 6749 §5.2: {description}");
    let id = body["correlationId"].as_str().unwrap();
    let parts: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
}

//! The servers and clients of a case.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hs_oauth_core::{
    AccessToken, App, AuthorizationCode, ClientSecret, Code, ExchangeCode, RefreshToken, RetryPolicy,
    TokenSet,
};
use rustls::ServerConfig;

use super::server::{Act, Script, Server};
use crate::both::Client;
use crate::manager::setup::HUB;
use crate::manager::setup::now;
use crate::raw_server::BlackHole;

/// Part of every secret, and of no other text.
pub(crate) const SECRET_MARK: &str = "qZx7";
/// The refresh token that is stored at first.
pub(crate) const OLD: &str = "na1-qZx7-old-refresh";

/// The refresh token that the misbehaving server gives.
pub(crate) const NEW: &str = "na1-qZx7-new-refresh";

pub(crate) type AgentBuilder = ureq::config::ConfigBuilder<ureq::typestate::AgentScope>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransportKind {
    Async,
    Blocking,
}

/// The servers and clients of a case.
pub(crate) struct Setup {
    /// The client that calls the server while it misbehaves.
    pub(crate) client: Client,
    /// The client that calls the server when it behaves again.
    pub(crate) good_client: Client,
    pub(crate) server: Server,
    /// The TLS that `server` needs when it behaves again.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) others: Vec<Other>,
}

/// Another party that must not learn a secret.
pub(crate) enum Other {
    /// A server to which nothing may connect.
    Untouched(Server),
    /// A server that may receive bytes, but no secret in the clear.
    Blind(Server),
    /// A port from which nothing comes back while this value exists.
    Silent(BlackHole),
    /// A port that takes no connection while this value exists.
    Refusing(socket2::Socket),
}

impl Setup {
    pub(crate) fn plain(transport: TransportKind, script: Script, timeout: Duration) -> Self {
        let server = Server::start(script);
        let good_client = transport.client(&app(&server.url()));
        Self {
            client: good_client.clone().with_timeout(timeout),
            good_client,
            server,
            tls: None,
            others: Vec::new(),
        }
    }
}

/// The default policy with more time for further tries, so that a slow machine makes as many as a fast one.
const RETRY: RetryPolicy = RetryPolicy::new().with_budget(Duration::from_secs(600));

impl TransportKind {
    /// Returns a client over HTTP clients that the caller has changed.
    pub(crate) fn client_with(
        self,
        app: &App,
        reqwest: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
        ureq: impl FnOnce(AgentBuilder) -> AgentBuilder,
    ) -> Client {
        let client = match self {
            Self::Async => {
                let http = reqwest(hs_oauth_async::http_builder()).build().unwrap();
                Client::reqwest(hs_oauth_async::Client::with_http(app.clone(), http))
            }
            Self::Blocking => {
                let http = ureq(ureq::Agent::config_builder()).build().new_agent();
                Client::Blocking(hs_oauth_blocking::Client::with_http(app.clone(), http))
            }
        };
        client.with_retry_policy(RETRY)
    }

    /// Returns a default client.
    pub(crate) fn client(self, app: &App) -> Client {
        /// The HTTP client that [`hs_oauth_async::Client::new`] makes for plain HTTP. It reads the system's certificates, which takes
        /// longer than most cases, so all cases share it.
        static PLAIN: LazyLock<reqwest::Client> =
            LazyLock::new(|| hs_oauth_async::http_builder().no_proxy().build().unwrap());
        let client = match self {
            Self::Async if app.is_plain_http() => {
                Client::reqwest(hs_oauth_async::Client::with_http(app.clone(), PLAIN.clone()))
            }
            Self::Async => Client::reqwest(hs_oauth_async::Client::new(app.clone()).unwrap()),
            Self::Blocking => Client::Blocking(hs_oauth_blocking::Client::new(app.clone())),
        };
        client.with_retry_policy(RETRY)
    }
}

pub(crate) fn app(base: &str) -> App {
    let secret = ClientSecret::new("qZx7-client-secret").unwrap();
    App::hubspot("client-id", secret).with_api_base(base).build().unwrap()
}

pub(crate) fn exchange() -> ExchangeCode {
    let code = Code::new("qZx7-one-time").unwrap();
    ExchangeCode::new(AuthorizationCode::from_caller_who_checked_state(code, "https://example.com/cb", None))
}

/// Returns the tokens that are stored at first.
pub(crate) fn stored_tokens() -> TokenSet {
    let mut tokens = TokenSet::new(AccessToken::new("qZx7-old-access").unwrap(), 1800, now());
    tokens.refresh_token = Some(RefreshToken::new(OLD).unwrap());
    tokens.hub_id = Some(HUB.hub_id);
    tokens
}

/// Returns the body of a correct response of the misbehaving server.
pub(crate) fn token_response() -> String {
    body(r#""qZx7-new-access""#, "1800")
}

/// Returns a response's body with any JSON as its access token and as its lifetime.
pub(crate) fn body(access_token: &str, expires_in: &str) -> String {
    format!(
        r#"{{"access_token":{access_token},"refresh_token":"{NEW}","token_type":"bearer","expires_in":{expires_in}}}"#
    )
}

/// Returns the body of the response when the server behaves again.
pub(crate) fn good_token_response() -> &'static str {
    r#"{"access_token":"qZx7-good-access","refresh_token":"na1-qZx7-good-refresh","token_type":"bearer","expires_in":1800}"#
}

/// Returns a whole response that ends the connection.
pub(crate) fn response(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Returns a script that reads a request and sends these bytes.
pub(crate) fn respond_with(bytes: impl AsRef<[u8]>) -> Script {
    vec![Act::Read, Act::Send(bytes.as_ref().to_vec())]
}

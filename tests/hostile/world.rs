//! Where a case takes place: the server, whoever else could be told a secret, and the clients on both sides of it.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hs_oauth_core::{
    AccessToken, App, AuthorizationCode, ClientSecret, Code, ExchangeCode, RefreshToken, TokenSet,
};
use rustls::ServerConfig;

use super::server::{Act, Script, Server};
use crate::both::Client;
use crate::manager::scene::now;
use crate::raw_server::BlackHole;

/// In every secret, and in no other text here.
pub(crate) const MARK: &str = "qZx7";
/// The refresh token that is held before.
pub(crate) const OLD: &str = "na1-qZx7-old-refresh";

/// The refresh token that the misbehaving server gives.
pub(crate) const NEW: &str = "na1-qZx7-new-refresh";

pub(crate) type AgentBuilder = ureq::config::ConfigBuilder<ureq::typestate::AgentScope>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Async,
    Blocking,
}

/// Where a case takes place.
pub(crate) struct World {
    /// The client that meets the misbehaviour.
    pub(crate) hostile: Client,
    /// The client that is used when all is well again.
    pub(crate) good: Client,
    pub(crate) server: Server,
    /// What `server` has to show when it behaves.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) others: Vec<Other>,
}

/// Whoever else could be told a secret.
pub(crate) enum Other {
    /// Must not even be connected to.
    Untouched(Server),
    /// May carry what it cannot read.
    Blind(Server),
    /// Hears nothing while this is alive.
    Silent(BlackHole),
    /// Takes no connection while this is alive.
    Refusing(socket2::Socket),
}

impl World {
    pub(crate) fn plain(side: Side, script: Script, timeout: Duration) -> Self {
        let server = Server::start(script);
        let good = side.client(&app(&server.url()));
        Self { hostile: good.clone().timeout(timeout), good, server, tls: None, others: Vec::new() }
    }
}

impl Side {
    /// A client over an HTTP client of the caller's.
    pub(crate) fn client_with(
        self,
        app: &App,
        reqwest: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
        ureq: impl FnOnce(AgentBuilder) -> AgentBuilder,
    ) -> Client {
        match self {
            Self::Async => {
                let http = reqwest(hs_oauth_async::http_builder()).build().unwrap();
                Client::reqwest(hs_oauth_async::Client::with_http(app.clone(), http))
            }
            Self::Blocking => {
                let http = ureq(ureq::Agent::config_builder()).build().new_agent();
                Client::Blocking(hs_oauth_blocking::Client::with_http(app.clone(), http))
            }
        }
    }

    /// A client with defaults.
    pub(crate) fn client(self, app: &App) -> Client {
        /// What [`hs_oauth_async::Client::new`] makes for plain HTTP. Reading the system's certificates takes longer than most
        /// cases, so this is made once.
        static PLAIN: LazyLock<reqwest::Client> =
            LazyLock::new(|| hs_oauth_async::http_builder().no_proxy().build().unwrap());
        match self {
            Self::Async if app.is_plain_http() => {
                Client::reqwest(hs_oauth_async::Client::with_http(app.clone(), PLAIN.clone()))
            }
            Self::Async => Client::reqwest(hs_oauth_async::Client::new(app.clone()).unwrap()),
            Self::Blocking => Client::Blocking(hs_oauth_blocking::Client::new(app.clone())),
        }
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

/// The tokens that are held before anything goes wrong.
pub(crate) fn held() -> TokenSet {
    let mut tokens = TokenSet::new(AccessToken::new("qZx7-old-access").unwrap(), 1800, now());
    tokens.refresh_token = Some(RefreshToken::new(OLD).unwrap());
    tokens
}

/// An answer as it should be.
pub(crate) fn tokens() -> String {
    body(r#""qZx7-new-access""#, "1800")
}

/// An answer with a new access token and a lifetime of whatever kind.
pub(crate) fn body(access_token: &str, expires_in: &str) -> String {
    format!(
        r#"{{"access_token":{access_token},"refresh_token":"{NEW}","token_type":"bearer","expires_in":{expires_in}}}"#
    )
}

/// What the server says once it behaves.
pub(crate) fn good_tokens() -> &'static str {
    r#"{"access_token":"qZx7-good-access","refresh_token":"na1-qZx7-good-refresh","token_type":"bearer","expires_in":1800}"#
}

/// A whole answer that ends the connection.
pub(crate) fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Reads a request and says this.
pub(crate) fn say(bytes: impl AsRef<[u8]>) -> Script {
    vec![Act::Read, Act::Say(bytes.as_ref().to_vec())]
}

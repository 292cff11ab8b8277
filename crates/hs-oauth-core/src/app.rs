use core::net::{Ipv4Addr, Ipv6Addr};
use std::borrow::Cow;
use std::env::VarError;
use std::fmt;

use http::Uri;
use http::uri::Scheme;
use zeroize::Zeroizing;

use crate::form;
use crate::invalid_argument::{InvalidArgument, InvalidArgumentKind};
use crate::secret::{self, ClientAssertion, ClientSecret};
use crate::version::{self, ApiVersion, Resource};

const API_BASE: &str = "https://api.hubapi.com";
const APP_BASE: &str = "https://app.hubspot.com";
const MCP_BASE: &str = "https://mcp.hubspot.com";
const MAX_URL_SIZE: usize = 2048;

/// An app as HubSpot knows it: who it is, where it is sent back to, which generation of the API it speaks, and where.
///
/// Checked once, when it is made; building a request from it cannot fail. Credentials go to https addresses only, or
/// to plain http on loopback.
///
/// ```
/// use hs_oauth_core::{ApiVersion, App, ClientSecret};
///
/// let app = App::hubspot("a1b2c3d4-e5f6-7890-abcd-ef1234567890", ClientSecret::new("s3cret")?)
///     .with_redirect_uri("https://myapp.example.com/oauth/callback")
///     .with_version(ApiVersion::LATEST)
///     .build()?;
/// assert_eq!(app.version().to_string(), "2026-09");
/// # Ok::<(), hs_oauth_core::InvalidArgument>(())
/// ```
#[derive(Clone)]
pub struct App {
    client_id: String,
    credential: Credential,
    redirect_uri: Option<String>,
    version: ApiVersion,
    kind: Kind,
    api_base: String,
    app_base: String,
    /// `client_id=…&client_secret=…`, encoded once.
    client_form: Zeroizing<String>,
    /// `client_id=…&redirect_uri=…`, encoded once.
    authorize_form: String,
    token_uri: Uri,
    introspect_uri: Uri,
    revoke_uri: Uri,
}

/// How an app proves who it is. Always sent in the body of a request, never in a URL or a header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// `client_secret` (RFC 6749 §2.3.1).
    Secret(ClientSecret),
    /// `client_assertion` with the JWT bearer type (RFC 7523 §2.2). HubSpot's files name it for `v3` and `2026-03`.
    Assertion(ClientAssertion),
    /// Nothing: a public client (RFC 6749 §2.1). Enough to build an authorization URL; HubSpot's token endpoint refuses it.
    Public,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Standard,
    Mcp,
}

/// An [`App`] being put together; see [`App::hubspot`].
#[derive(Clone, Debug)]
#[must_use = "nothing is checked until build() is called"]
pub struct AppBuilder {
    client_id: String,
    credential: Credential,
    redirect_uri: Option<String>,
    version: ApiVersion,
    kind: Kind,
    api_base: String,
    app_base: String,
}

impl App {
    /// An app of HubSpot's: authorizes at `https://app.hubspot.com`, gets tokens at `https://api.hubapi.com`, speaks
    /// [`ApiVersion::LATEST`].
    pub fn hubspot(client_id: impl Into<String>, credential: impl Into<Credential>) -> AppBuilder {
        AppBuilder {
            client_id: client_id.into(),
            credential: credential.into(),
            redirect_uri: None,
            version: ApiVersion::LATEST,
            kind: Kind::Standard,
            api_base: API_BASE.to_owned(),
            app_base: APP_BASE.to_owned(),
        }
    }

    /// An MCP auth app: both authorizes and gets tokens at `https://mcp.hubspot.com`, speaks `v3`, sends no scopes when
    /// it authorizes (HubSpot decides them) and always uses PKCE, which HubSpot requires there.
    pub fn hubspot_mcp(client_id: impl Into<String>, credential: impl Into<Credential>) -> AppBuilder {
        AppBuilder {
            version: ApiVersion::V3,
            kind: Kind::Mcp,
            api_base: MCP_BASE.to_owned(),
            app_base: MCP_BASE.to_owned(),
            ..Self::hubspot(client_id, credential)
        }
    }

    /// The app the environment describes: `HUBSPOT_CLIENT_ID` and `HUBSPOT_CLIENT_SECRET`, and if they are set
    /// `HUBSPOT_REDIRECT_URI`, `HUBSPOT_API_VERSION`, `HUBSPOT_API_BASE` and `HUBSPOT_APP_BASE`. An empty variable
    /// counts as not set.
    ///
    /// # Errors
    /// [`InvalidArgument`] naming the variable that is missing or that cannot be used.
    pub fn from_env() -> Result<Self, InvalidArgument> {
        Self::from_vars(std::env::var)
    }

    /// [`App::from_env`] with the variables answered by `var`, as [`std::env::var`] would.
    ///
    /// # Errors
    /// As [`App::from_env`].
    pub fn from_vars(
        var: impl Fn(&'static str) -> Result<String, VarError>,
    ) -> Result<Self, InvalidArgument> {
        let optional = |name| match var(name) {
            Ok(value) if value.is_empty() => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(InvalidArgument::new(name, InvalidArgumentKind::NotUnicode)),
        };
        let required = |name| optional(name)?.ok_or(InvalidArgument::new(name, InvalidArgumentKind::Missing));

        let secret = ClientSecret::new(required("HUBSPOT_CLIENT_SECRET")?)
            .map_err(|invalid| invalid.named("HUBSPOT_CLIENT_SECRET"))?;
        let mut app = Self::hubspot(required("HUBSPOT_CLIENT_ID")?, secret);
        if let Some(uri) = optional("HUBSPOT_REDIRECT_URI")? {
            app = app.with_redirect_uri(uri);
        }
        if let Some(version) = optional("HUBSPOT_API_VERSION")? {
            let version = version.parse::<ApiVersion>();
            app = app.with_version(version.map_err(|invalid| invalid.named("HUBSPOT_API_VERSION"))?);
        }
        if let Some(base) = optional("HUBSPOT_API_BASE")? {
            app = app.with_api_base(base);
        }
        if let Some(base) = optional("HUBSPOT_APP_BASE")? {
            app = app.with_app_base(base);
        }
        app.build().map_err(|invalid| {
            invalid.named(match invalid.argument {
                "client_id" => "HUBSPOT_CLIENT_ID",
                "redirect_uri" => "HUBSPOT_REDIRECT_URI",
                "api_base" => "HUBSPOT_API_BASE",
                "app_base" => "HUBSPOT_APP_BASE",
                other => other,
            })
        })
    }

    /// The public half of the app's identity.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The secret half.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Where HubSpot sends the browser after consent, if the app has such a place.
    pub fn redirect_uri(&self) -> Option<&str> {
        self.redirect_uri.as_deref()
    }

    /// The generation of the API the app speaks.
    pub fn version(&self) -> ApiVersion {
        self.version
    }

    /// The address token requests go under, without a slash at the end.
    pub fn api_base(&self) -> &str {
        &self.api_base
    }

    /// The address the browser is sent to for consent, without a slash at the end.
    pub fn app_base(&self) -> &str {
        &self.app_base
    }

    /// Whether token requests go over plain http, which is to loopback and so to no proxy: a proxy would see the credentials.
    pub fn is_plain_http(&self) -> bool {
        self.token_uri.scheme() == Some(&Scheme::HTTP)
    }

    pub(crate) fn client_form(&self) -> &str {
        &self.client_form
    }

    /// The text of the credential, to be kept out of everything that is printed.
    pub(crate) fn credential_text(&self) -> Option<&str> {
        match &self.credential {
            Credential::Secret(secret) => Some(secret.expose()),
            Credential::Assertion(assertion) => Some(assertion.expose()),
            Credential::Public => None,
        }
    }

    pub(crate) fn uri(&self, resource: Resource<'_>) -> Uri {
        match resource {
            Resource::Token => self.token_uri.clone(),
            Resource::Introspect => self.introspect_uri.clone(),
            Resource::Revoke => self.revoke_uri.clone(),
            // Always a URI: the base was one when the app was made, the path is escaped, and the limits on both keep the
            // whole under the 64 KiB a `Uri` holds.
            Resource::AccessToken(_) | Resource::RefreshToken(_) => {
                Uri::try_from(format!("{}{}", self.api_base, self.version.path(resource))).unwrap_or_default()
            }
        }
    }

    /// The address of the consent page with the app's own parameters, and room for so many bytes more.
    pub(crate) fn authorize_url(&self, hub_id: Option<i64>, room: usize) -> String {
        let path = match (self.kind, hub_id) {
            (Kind::Mcp, _) => Cow::Borrowed(version::MCP_AUTHORIZE_PATH),
            (Kind::Standard, None) => Cow::Borrowed(version::AUTHORIZE_PATH),
            (Kind::Standard, Some(hub_id)) => Cow::Owned(version::authorize_path(hub_id)),
        };
        let parts = [&self.app_base, &*path, "?", &self.authorize_form];
        let mut url = String::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>() + room);
        url.extend(parts);
        url
    }

    pub(crate) fn is_mcp(&self) -> bool {
        self.kind == Kind::Mcp
    }
}

impl AppBuilder {
    /// Where HubSpot sends the browser after consent. Must equal one of the app's registered URIs to the byte; needed
    /// for authorization, not for refreshing.
    pub fn with_redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(uri.into());
        self
    }

    /// The generation of the API to speak.
    pub fn with_version(mut self, version: ApiVersion) -> Self {
        self.version = version;
        self
    }

    /// Where token requests go instead of HubSpot: an emulator, a proxy. A path in it is kept.
    pub fn with_api_base(mut self, url: impl Into<String>) -> Self {
        self.api_base = url.into();
        self
    }

    /// Where the browser goes for consent instead of `https://app.hubspot.com`: an emulator, or
    /// `https://app-eu1.hubspot.com`.
    pub fn with_app_base(mut self, url: impl Into<String>) -> Self {
        self.app_base = url.into();
        self
    }

    /// Checks everything and makes the app.
    ///
    /// # Errors
    /// [`InvalidArgument`] naming `client_id`, `redirect_uri`, `api_base` or `app_base`: empty or too long, with characters
    /// that may not stand there, not an absolute URL, neither https nor loopback, or with a user name, a fragment or (in a
    /// base) a query.
    pub fn build(self) -> Result<App, InvalidArgument> {
        secret::check(&self.client_id, secret::is_printable)
            .map_err(|kind| InvalidArgument::new("client_id", kind))?;
        if let Some(uri) = &self.redirect_uri {
            check_url("redirect_uri", uri)?;
            // HubSpot keeps the query and adds its own parameters: each would be there twice.
            let query = uri.split_once('?').map_or("", |(_, query)| query);
            if form_urlencoded::parse(query.as_bytes())
                .any(|(name, _)| matches!(&*name, "code" | "state" | "error"))
            {
                let reason = InvalidArgumentKind::UrlPart("a parameter `code`, `state` or `error`");
                return Err(InvalidArgument::new("redirect_uri", reason));
            }
        }
        let api_base = check_base("api_base", self.api_base)?;
        let app_base = check_base("app_base", self.app_base)?;

        let uri = |resource| {
            Uri::try_from(format!("{api_base}{}", self.version.path(resource)))
                .map_err(|_| InvalidArgument::new("api_base", InvalidArgumentKind::NotAUrl))
        };
        Ok(App {
            token_uri: uri(Resource::Token)?,
            introspect_uri: uri(Resource::Introspect)?,
            revoke_uri: uri(Resource::Revoke)?,
            client_form: client_form(&self.client_id, &self.credential),
            authorize_form: authorize_form(&self.client_id, self.redirect_uri.as_deref()),
            client_id: self.client_id,
            credential: self.credential,
            redirect_uri: self.redirect_uri,
            version: self.version,
            kind: self.kind,
            api_base,
            app_base,
        })
    }
}

impl From<ClientSecret> for Credential {
    fn from(secret: ClientSecret) -> Self {
        Self::Secret(secret)
    }
}

impl From<ClientAssertion> for Credential {
    fn from(assertion: ClientAssertion) -> Self {
        Self::Assertion(assertion)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("client_id", &self.client_id)
            .field("credential", &self.credential)
            .field("redirect_uri", &self.redirect_uri)
            .field("version", &self.version)
            .field("api_base", &self.api_base)
            .field("app_base", &self.app_base)
            .finish_non_exhaustive()
    }
}

/// The assertion type of RFC 7523 §2.2.
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn client_form(client_id: &str, credential: &Credential) -> Zeroizing<String> {
    let fields = match credential {
        Credential::Secret(secret) => [("client_secret", secret.expose()), ("", "")],
        Credential::Assertion(assertion) => {
            [("client_assertion_type", JWT_BEARER), ("client_assertion", assertion.expose())]
        }
        Credential::Public => [("", ""); 2],
    };
    let fields =
        || std::iter::once(("client_id", client_id)).chain(fields).filter(|(name, _)| !name.is_empty());
    // The room is made at once: a string that grows leaves copies of the secret behind.
    let room = fields().map(|(name, value)| form::room_for(name, value)).sum();
    let mut encoded = Zeroizing::new(String::with_capacity(room));
    for (name, value) in fields() {
        form::push(&mut encoded, name, value);
    }
    encoded
}

fn authorize_form(client_id: &str, redirect_uri: Option<&str>) -> String {
    let mut encoded = String::new();
    form::push(&mut encoded, "client_id", client_id);
    if let Some(uri) = redirect_uri {
        form::push(&mut encoded, "redirect_uri", uri);
    }
    encoded
}

fn check_base(argument: &'static str, url: String) -> Result<String, InvalidArgument> {
    check_url(argument, &url)?;
    if url.contains('?') {
        return Err(InvalidArgument::new(argument, InvalidArgumentKind::UrlPart("a query")));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn check_url(argument: &'static str, url: &str) -> Result<(), InvalidArgument> {
    let invalid = |kind| Err(InvalidArgument::new(argument, kind));
    if url.is_empty() {
        return invalid(InvalidArgumentKind::Missing);
    }
    if url.len() > MAX_URL_SIZE {
        return invalid(InvalidArgumentKind::TooLong { limit: MAX_URL_SIZE });
    }
    if let Some(at) = url.bytes().position(|byte| !byte.is_ascii_graphic() || byte == b'\\') {
        return invalid(InvalidArgumentKind::Character { at });
    }
    if url.contains('#') {
        return invalid(InvalidArgumentKind::UrlPart("a fragment"));
    }
    let Ok(uri) = url.parse::<Uri>() else {
        return invalid(InvalidArgumentKind::NotAUrl);
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return invalid(InvalidArgumentKind::NotAUrl);
    };
    if authority.as_str().contains('@') {
        return invalid(InvalidArgumentKind::UrlPart("a user name or password"));
    }
    match scheme {
        _ if !is_host_and_port(authority.as_str(), authority.host()) => invalid(InvalidArgumentKind::NotAUrl),
        "https" => Ok(()),
        "http" if is_loopback(authority.host()) => Ok(()),
        "http" => invalid(InvalidArgumentKind::NotHttps),
        _ => invalid(InvalidArgumentKind::NotAUrl),
    }
}

/// `http::Uri` is lenient here, and each HTTP client in its own way.
fn is_host_and_port(authority: &str, host: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let is_host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']').is_some_and(|host| host.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty(),
    };
    is_host
        && match authority.strip_prefix(host) {
            Some("") => true,
            Some(rest) => rest.strip_prefix(':').is_some_and(is_port),
            None => false,
        }
}

/// Whether a credential may go there: by https, or by http to loopback. `host` as it stands in a URL.
pub fn may_carry_credentials(scheme: &str, host: &str) -> bool {
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http") && is_loopback(host)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> AppBuilder {
        App::hubspot("id", ClientSecret::new("s3cret").unwrap())
    }

    #[test]
    fn the_presets_go_to_hubspots_own_hosts() {
        let app = builder().build().unwrap();
        assert_eq!(app.uri(Resource::Token), "https://api.hubapi.com/oauth/2026-09/token");
        assert_eq!(app.authorize_url(Some(7), 0), "https://app.hubspot.com/oauth/7/authorize?client_id=id");

        let mcp = App::hubspot_mcp("id", ClientSecret::new("s3cret").unwrap()).build().unwrap();
        assert_eq!(mcp.uri(Resource::Token), "https://mcp.hubspot.com/oauth/v3/token");
        assert_eq!(
            mcp.authorize_url(Some(7), 0),
            "https://mcp.hubspot.com/oauth/authorize/user?client_id=id"
        );
    }

    #[test]
    fn credentials_go_to_https_or_loopback_only() {
        for base in [
            "https://example.com",
            "https://example.com:8443/proxy/",
            "http://localhost:1",
            "http://LOCALHOST",
        ] {
            assert!(builder().with_api_base(base).build().is_ok(), "{base}");
        }
        for base in ["http://127.0.0.1:4380", "http://127.9.9.9", "http://[::1]:80"] {
            assert!(builder().with_api_base(base).build().is_ok(), "{base}");
        }
        for (base, reason) in [
            ("", InvalidArgumentKind::Missing),
            ("http://example.com", InvalidArgumentKind::NotHttps),
            ("http://localhost.example.com", InvalidArgumentKind::NotHttps),
            ("http://127.0.0.1.example.com", InvalidArgumentKind::NotHttps),
            ("http://127.1", InvalidArgumentKind::NotHttps),
            ("http://10.0.0.1", InvalidArgumentKind::NotHttps),
            ("http://0.0.0.0", InvalidArgumentKind::NotHttps),
            ("http://127.0.0.1@example.com", InvalidArgumentKind::UrlPart("a user name or password")),
            ("https://user:pass@example.com", InvalidArgumentKind::UrlPart("a user name or password")),
            ("https://example.com/?a=b", InvalidArgumentKind::UrlPart("a query")),
            ("https://example.com/#a", InvalidArgumentKind::UrlPart("a fragment")),
            ("http://127.0.0.1\\@example.com", InvalidArgumentKind::Character { at: 16 }),
            ("https://exam ple.com", InvalidArgumentKind::Character { at: 12 }),
            ("https://ex\u{e4}mple.com", InvalidArgumentKind::Character { at: 10 }),
            ("ftp://example.com", InvalidArgumentKind::NotAUrl),
            ("example.com", InvalidArgumentKind::NotAUrl),
            ("/oauth", InvalidArgumentKind::NotAUrl),
            ("https://", InvalidArgumentKind::NotAUrl),
            ("https://:80", InvalidArgumentKind::NotAUrl),
            ("http://[::1]evil.example.com", InvalidArgumentKind::NotAUrl),
            ("https://example.com:99999", InvalidArgumentKind::NotAUrl),
            ("https://example.com:-1", InvalidArgumentKind::NotAUrl),
            ("https://example.com:", InvalidArgumentKind::NotAUrl),
            ("https://[zz]", InvalidArgumentKind::NotAUrl),
        ] {
            let invalid = builder().with_api_base(base).build().unwrap_err();
            assert_eq!(invalid, InvalidArgument::new("api_base", reason), "{base}");
        }
    }

    #[test]
    fn a_redirect_uri_keeps_its_query_to_the_byte() {
        let uri = "https://myapp.example.com/cb?tenant=a%20b&x=";
        assert_eq!(builder().with_redirect_uri(uri).build().unwrap().redirect_uri(), Some(uri));
        for name in ["code", "state", "error", "st%61te"] {
            let uri = format!("https://myapp.example.com/cb?{name}=1");
            assert_eq!(
                builder().with_redirect_uri(uri).build().unwrap_err().argument,
                "redirect_uri",
                "{name}"
            );
        }
        assert_eq!(builder().with_redirect_uri("myapp://cb").build().unwrap_err().argument, "redirect_uri");
    }

    #[test]
    fn the_environment_names_the_variable_that_is_wrong() {
        let from = |pairs: &'static [(&str, &str)]| {
            App::from_vars(|name| {
                pairs
                    .iter()
                    .find(|pair| pair.0 == name)
                    .map(|pair| pair.1.to_owned())
                    .ok_or(VarError::NotPresent)
            })
        };
        const ID: (&str, &str) = ("HUBSPOT_CLIENT_ID", "id");
        const SECRET: (&str, &str) = ("HUBSPOT_CLIENT_SECRET", "s3cret");
        assert_eq!(from(&[ID, SECRET, ("HUBSPOT_API_VERSION", "")]).unwrap().version(), ApiVersion::LATEST);
        assert_eq!(from(&[ID, SECRET, ("HUBSPOT_API_VERSION", "v1")]).unwrap().version(), ApiVersion::V1);
        for (app, variable) in [
            (from(&[SECRET]), "HUBSPOT_CLIENT_ID"),
            (from(&[ID]), "HUBSPOT_CLIENT_SECRET"),
            (from(&[ID, ("HUBSPOT_CLIENT_SECRET", "")]), "HUBSPOT_CLIENT_SECRET"),
            (from(&[("HUBSPOT_CLIENT_ID", "a\tb"), SECRET]), "HUBSPOT_CLIENT_ID"),
            (from(&[ID, SECRET, ("HUBSPOT_API_VERSION", "v2")]), "HUBSPOT_API_VERSION"),
            (from(&[ID, SECRET, ("HUBSPOT_API_BASE", "http://example.com")]), "HUBSPOT_API_BASE"),
            (from(&[ID, SECRET, ("HUBSPOT_APP_BASE", "x")]), "HUBSPOT_APP_BASE"),
            (from(&[ID, SECRET, ("HUBSPOT_REDIRECT_URI", "x")]), "HUBSPOT_REDIRECT_URI"),
        ] {
            assert_eq!(app.unwrap_err().argument, variable);
        }
    }

    #[test]
    fn debug_hides_the_secret_everywhere() {
        let builder = App::hubspot("id", ClientSecret::new("canary").unwrap());
        assert!(!format!("{builder:?} {:#?}", builder.clone().build().unwrap()).contains("canary"));
    }
}

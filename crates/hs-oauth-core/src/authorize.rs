//! The way to a first token: the URL a browser is sent to, what the application keeps meanwhile, and the callback.

use std::borrow::Cow;
use std::fmt;

use serde_core::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_core::ser::SerializeStruct;
use serde_core::{Deserialize, Deserializer, Serialize, Serializer};

use crate::app::App;
use crate::error::{NextStep, OAuthCode, Redact};
use crate::form;
use crate::invalid_argument::{InvalidArgument, Reason};
use crate::kept;
use crate::scope::Scopes;
use crate::secret::{Code, CodeVerifier, State};
use crate::text::Text;

/// The longest callback query that is read, in bytes. HubSpot's have a few hundred.
pub const LONGEST_CALLBACK: usize = 16 * 1024;

/// What an application asks an account for. [`Authorize::begin`] makes the URL of it.
///
/// ```
/// use hs_oauth_core::{App, Authorize, ClientSecret};
///
/// let app = App::hubspot("client-id", ClientSecret::new("s3cret")?)
///     .redirect_uri("https://myapp.example.com/oauth/callback")
///     .build()?;
/// let authorization = Authorize::scopes("oauth crm.objects.contacts.read".parse()?).begin(&app)?;
/// // Send the browser to `authorization.url`; keep `authorization.pending` in its session.
/// assert!(authorization.url.starts_with("https://app.hubspot.com/oauth/authorize?client_id=client-id&"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "nothing happens until begin() is called"]
pub struct Authorize {
    scopes: Scopes,
    optional_scopes: Scopes,
    hub_id: Option<i64>,
    pkce: bool,
}

/// An authorization under way.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// Where to send the browser.
    pub url: AuthorizationUrl,
    /// What to keep, in that browser's session, until it comes back.
    pub pending: PendingAuthorization,
}

/// The address of HubSpot's consent page, with everything the app asks for in it. Displays as the URL; its `Debug` form
/// leaves the query out, which holds the `state`.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorizationUrl(String);

/// What an application keeps in the browser's session between sending it away and getting it back. Serializable, for
/// sessions that are stored; it holds secrets, so the store must be one the browser cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingAuthorization {
    state: State,
    code_verifier: Option<CodeVerifier>,
    redirect_uri: String,
}

/// A code out of a callback whose `state` was checked, with all that its exchange needs.
///
/// [`PendingAuthorization::accept`] is the way to one, so that the check against cross-site request forgery (RFC 6749
/// §10.12) cannot be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationCode {
    code: Code,
    code_verifier: Option<CodeVerifier>,
    redirect_uri: String,
}

/// The random bytes an authorization is made of. Each may be used once.
pub struct Randomness([[u8; 32]; 2]);

impl Authorize {
    /// Asks for these scopes. All must be granted or the install fails. An MCP auth app sends none: there HubSpot decides.
    pub const fn scopes(scopes: Scopes) -> Self {
        Self { scopes, optional_scopes: Scopes::NONE, hub_id: None, pkce: true }
    }

    /// Asks for these besides; HubSpot leaves out those the account cannot grant.
    pub fn optional_scopes(mut self, scopes: Scopes) -> Self {
        self.optional_scopes = scopes;
        self
    }

    /// Preselects the account.
    pub const fn hub_id(mut self, hub_id: i64) -> Self {
        self.hub_id = Some(hub_id);
        self
    }

    /// Leaves PKCE out. Only for an app whose exchange is done by software that cannot send a `code_verifier`; an MCP
    /// auth app has it all the same.
    pub const fn without_pkce(mut self) -> Self {
        self.pkce = false;
        self
    }

    /// Begins an authorization with random bytes from the operating system.
    ///
    /// # Errors
    /// [`BeginError`] if the app has no redirect URI or the operating system gives no random bytes.
    #[cfg(feature = "os-random")]
    pub fn begin(&self, app: &App) -> Result<Authorization, BeginError> {
        Ok(self.begin_with(app, Randomness::from_os()?)?)
    }

    /// Begins an authorization with the random bytes given.
    ///
    /// # Errors
    /// [`InvalidArgument`] naming `redirect_uri` if the app has none.
    pub fn begin_with(&self, app: &App, randomness: Randomness) -> Result<Authorization, InvalidArgument> {
        let redirect_uri = app.redirect_uri().ok_or(InvalidArgument::new("redirect_uri", Reason::Missing))?;
        let [state, code_verifier] = &randomness.0;
        let state = State::from_random(state);
        let code_verifier = (self.pkce || app.is_mcp()).then(|| CodeVerifier::from_random(code_verifier));
        let pending = PendingAuthorization { state, code_verifier, redirect_uri: redirect_uri.to_owned() };
        Ok(Authorization { url: self.url(app, &pending), pending })
    }

    fn url(&self, app: &App, pending: &PendingAuthorization) -> AuthorizationUrl {
        let mut url = app.authorize_url(self.hub_id, 512);
        if !app.is_mcp() {
            for (name, scopes) in [("scope", &self.scopes), ("optional_scope", &self.optional_scopes)] {
                for (index, scope) in scopes.iter().enumerate() {
                    match index {
                        0 => form::push(&mut url, name, scope.as_str()),
                        _ => {
                            url.push_str("%20");
                            form::push_value(&mut url, scope.as_str());
                        }
                    }
                }
            }
        }
        // Base64url has nothing to escape.
        url.push_str("&state=");
        url.push_str(pending.state.expose());
        if let Some(verifier) = &pending.code_verifier {
            url.push_str("&code_challenge=");
            verifier.push_challenge(&mut url);
            url.push_str("&code_challenge_method=S256");
        }
        AuthorizationUrl(url)
    }
}

impl AuthorizationUrl {
    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for AuthorizationUrl {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AuthorizationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AuthorizationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.0.split_once('?').map_or(self.0.as_str(), |(address, _)| address);
        write!(f, "AuthorizationUrl({address}?[redacted])")
    }
}

impl PendingAuthorization {
    /// The value the callback has to bring back.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The PKCE secret, if the authorization has one.
    pub fn code_verifier(&self) -> Option<&CodeVerifier> {
        self.code_verifier.as_ref()
    }

    /// The redirect URI the authorization was begun with.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Reads the query HubSpot sent the browser back with (`code=…&state=…`, with or without the `?`) and gives the code
    /// if the callback belongs to this authorization.
    ///
    /// # Errors
    /// [`CallbackError`], always before the code is looked at if the `state` is not the one sent: missing, repeated or
    /// different. Nothing is lost by an error; the right callback may still come.
    pub fn accept(&self, query: &str) -> Result<AuthorizationCode, CallbackError> {
        if query.len() > LONGEST_CALLBACK {
            return Err(CallbackError::TooLong);
        }
        let query = query.strip_prefix('?').unwrap_or(query).as_bytes();
        let one = |name: &'static str| {
            let mut values = form_urlencoded::parse(query).filter(|pair| pair.0 == name).map(|pair| pair.1);
            match (values.next(), values.next()) {
                (_, Some(_)) => Err(CallbackError::Repeated(name)),
                (value, None) => Ok(value.filter(|value| !value.is_empty())),
            }
        };

        let state = one("state")?.ok_or(CallbackError::Missing("state"))?;
        if !State::new(state).is_ok_and(|state| state == self.state) {
            return Err(CallbackError::StateMismatch);
        }
        if let Some(error) = one("error")? {
            let description = one("error_description")?;
            // The authorization goes on after a refusal, so its secrets are still worth having.
            let verifier = self.code_verifier.as_ref().map_or("", CodeVerifier::expose);
            let code = one("code").ok().flatten().unwrap_or_default();
            let redact = Redact::new([self.state.expose(), verifier, &code]);
            return Err(CallbackError::Refused {
                error: OAuthCode::from(redact.text(&error).as_str()),
                description: description.map(|text| redact.text(&text)),
            });
        }
        let code = one("code")?.ok_or(CallbackError::Missing("code"))?;
        Ok(AuthorizationCode {
            code: Code::new(Cow::into_owned(code)).map_err(|_| CallbackError::Malformed("code"))?,
            code_verifier: self.code_verifier.clone(),
            redirect_uri: self.redirect_uri.clone(),
        })
    }
}

impl AuthorizationCode {
    /// A code from a callback whose `state` **the caller has checked**, or that no browser brought: a code pasted into
    /// a terminal, a test. A web application that calls this invites cross-site request forgery; it wants
    /// [`PendingAuthorization::accept`].
    ///
    /// `redirect_uri` is the one the authorization was begun with, `code_verifier` the PKCE secret if there was one.
    pub fn from_caller_who_checked_state(
        code: Code,
        redirect_uri: impl Into<String>,
        code_verifier: Option<CodeVerifier>,
    ) -> Self {
        Self { code, code_verifier, redirect_uri: redirect_uri.into() }
    }

    /// The code.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// The PKCE secret, if the authorization has one.
    pub fn code_verifier(&self) -> Option<&CodeVerifier> {
        self.code_verifier.as_ref()
    }

    /// The redirect URI the authorization was begun with.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }
}

impl Randomness {
    /// Bytes from a source nobody can predict: those that make the `state`, and those that make the code verifier.
    pub fn new(state: [u8; 32], code_verifier: [u8; 32]) -> Self {
        Self([state, code_verifier])
    }

    /// 64 bytes from the operating system.
    ///
    /// # Errors
    /// [`BeginError::Randomness`] if it gives none.
    #[cfg(feature = "os-random")]
    pub fn from_os() -> Result<Self, BeginError> {
        let mut randomness = Self([[0; 32]; 2]);
        getrandom::fill(randomness.0.as_flattened_mut())
            .map_err(|error| BeginError::Randomness(RandomnessError::new(error)))?;
        Ok(randomness)
    }
}

impl Drop for Randomness {
    fn drop(&mut self) {
        self.0 = [[0; 32]; 2];
        zeroize::optimization_barrier(&self.0);
    }
}

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Randomness([redacted])")
    }
}

impl Serialize for PendingAuthorization {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { state, code_verifier, redirect_uri } = self;
        let mut object = serializer.serialize_struct(PENDING, PENDING_FIELDS.len())?;
        object.serialize_field("state", state)?;
        object.serialize_field("code_verifier", code_verifier)?;
        object.serialize_field("redirect_uri", redirect_uri)?;
        object.end()
    }
}

const PENDING: &str = "PendingAuthorization";

const PENDING_FIELDS: &[&str] = &["state", "code_verifier", "redirect_uri"];

impl<'de> Deserialize<'de> for PendingAuthorization {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PendingVisitor;

        impl<'de> Visitor<'de> for PendingVisitor {
            type Value = PendingAuthorization;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an authorization under way")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<PendingAuthorization, A::Error> {
                let (mut state, mut code_verifier, mut redirect_uri) = (None, None, None);
                while let Some(Text(name)) = object.next_key()? {
                    match &*name {
                        "state" => kept::read(&mut state, "state", &mut object)?,
                        "code_verifier" => kept::read(&mut code_verifier, "code_verifier", &mut object)?,
                        "redirect_uri" => kept::read(&mut redirect_uri, "redirect_uri", &mut object)?,
                        _ => drop(object.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(PendingAuthorization {
                    state: kept::needed(state, "state")?,
                    code_verifier: code_verifier.unwrap_or_default(),
                    redirect_uri: kept::needed(redirect_uri, "redirect_uri")?,
                })
            }

            /// Formats without names: sessions are kept in such, too.
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<PendingAuthorization, A::Error> {
                Ok(PendingAuthorization {
                    state: kept::needed(list.next_element()?, "state")?,
                    code_verifier: kept::needed(list.next_element()?, "code_verifier")?,
                    redirect_uri: kept::needed(list.next_element()?, "redirect_uri")?,
                })
            }
        }

        deserializer.deserialize_struct(PENDING, PENDING_FIELDS, PendingVisitor)
    }
}

/// Why an authorization could not begin.
#[cfg(feature = "os-random")]
#[derive(Debug)]
#[non_exhaustive]
pub enum BeginError {
    /// The app has no redirect URI.
    App(InvalidArgument),
    /// The operating system gave no random bytes.
    Randomness(RandomnessError),
}

/// What the operating system said when it gave no random bytes.
#[cfg(feature = "os-random")]
#[derive(Debug)]
pub struct RandomnessError(String);

#[cfg(feature = "os-random")]
impl RandomnessError {
    pub(crate) fn new(error: getrandom::Error) -> Self {
        Self(error.to_string())
    }
}

#[cfg(feature = "os-random")]
impl fmt::Display for BeginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(error) => error.fmt(f),
            Self::Randomness(_) => f.write_str("the operating system gives no random bytes"),
        }
    }
}

#[cfg(feature = "os-random")]
impl std::error::Error for BeginError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::App(error) => error.source(),
            Self::Randomness(error) => Some(error),
        }
    }
}

#[cfg(feature = "os-random")]
impl From<InvalidArgument> for BeginError {
    fn from(error: InvalidArgument) -> Self {
        Self::App(error)
    }
}

#[cfg(feature = "os-random")]
impl fmt::Display for RandomnessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(feature = "os-random")]
impl std::error::Error for RandomnessError {}

/// Why a callback gave no code. The authorization has to be begun again, or was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallbackError {
    /// A parameter is not there, or empty. Without `state` the callback may be forged.
    Missing(&'static str),
    /// A parameter is there more than once (RFC 6749 §3.1).
    Repeated(&'static str),
    /// The `state` is not the one this authorization was begun with: another tab's, an old one, or forged.
    StateMismatch,
    /// A parameter has characters that may not stand in it.
    Malformed(&'static str),
    /// The person or HubSpot refused (RFC 6749 §4.1.2.1).
    Refused {
        /// The error code: [`OAuthCode::AccessDenied`] when the person said no.
        error: OAuthCode,
        /// What HubSpot says about it. The authorization's secrets are taken out, control characters replaced, and the text is
        /// cut at 512 characters.
        description: Option<String>,
    },
    /// The query is longer than [`LONGEST_CALLBACK`].
    TooLong,
}

impl fmt::Display for CallbackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "the callback has no `{name}`"),
            Self::Repeated(name) => write!(f, "the callback has `{name}` more than once"),
            Self::StateMismatch => f.write_str("the callback's `state` belongs to another authorization"),
            Self::Malformed(name) => {
                write!(f, "the callback's `{name}` has characters that may not stand in it")
            }
            Self::Refused { error, description: None } => write!(f, "the authorization was refused: {error}"),
            Self::Refused { error, description: Some(text) } => {
                write!(f, "the authorization was refused: {error} ({text})")
            }
            Self::TooLong => write!(f, "the callback is longer than {LONGEST_CALLBACK} bytes"),
        }
    }
}

impl std::error::Error for CallbackError {}

impl CallbackError {
    /// What to do next: start again, unless the refusal says that the app is set up wrongly or that HubSpot is busy.
    pub const fn next_step(&self) -> NextStep {
        match self {
            Self::Refused {
                error:
                    OAuthCode::InvalidRequest
                    | OAuthCode::InvalidScope
                    | OAuthCode::UnauthorizedClient
                    | OAuthCode::UnsupportedResponseType,
                ..
            } => NextStep::FixConfiguration,
            Self::Refused { error: OAuthCode::ServerError | OAuthCode::TemporarilyUnavailable, .. } => {
                NextStep::RetryAfter(None)
            }
            _ => NextStep::RestartAuthorization,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ClientSecret;

    fn app() -> App {
        App::hubspot("client id", ClientSecret::new("s3cret").unwrap())
            .redirect_uri("https://myapp.example.com/cb?tenant=a%20b")
            .build()
            .unwrap()
    }

    fn randomness() -> Randomness {
        Randomness::new([0xff; 32], [0; 32])
    }

    fn pending() -> PendingAuthorization {
        Authorize::scopes("oauth".parse().unwrap()).begin_with(&app(), randomness()).unwrap().pending
    }

    const STATE: &str = "__________________________________________8";

    /// HubSpot's authorization page: parameter names and `%20` as HubSpot's own SDKs send them; RFC 7636 §4.3.
    #[test]
    fn the_url_is_what_hubspots_own_clients_send() {
        let authorize = Authorize::scopes("oauth crm.read".parse().unwrap());
        let plain = authorize.clone().without_pkce().begin_with(&app(), randomness()).unwrap();
        let base = "https://app.hubspot.com/oauth/authorize?client_id=client%20id\
                    &redirect_uri=https%3A%2F%2Fmyapp.example.com%2Fcb%3Ftenant%3Da%2520b&scope=oauth%20crm.read";
        assert_eq!(plain.url.as_str(), format!("{base}&state={STATE}"));

        let full = authorize.optional_scopes("content".parse().unwrap()).hub_id(62515);
        let full = full.begin_with(&app(), randomness()).unwrap();
        let base = base.replace("/oauth/", "/oauth/62515/");
        // SHA-256 of 43 letters A, the base64url of 32 zero bytes.
        let challenge = CodeVerifier::new("A".repeat(43)).unwrap().challenge();
        assert_eq!(
            full.url.as_str(),
            format!(
                "{base}&optional_scope=content&state={STATE}&code_challenge={challenge}&code_challenge_method=S256"
            )
        );
    }

    #[test]
    fn an_mcp_auth_app_sends_no_scope_and_always_pkce() {
        let app = App::hubspot_mcp("id", ClientSecret::new("s3cret").unwrap())
            .redirect_uri("http://localhost:1/cb");
        let authorize = Authorize::scopes("oauth".parse().unwrap()).without_pkce();
        let url = authorize.begin_with(&app.build().unwrap(), randomness()).unwrap().url;
        assert!(
            url.starts_with("https://mcp.hubspot.com/oauth/authorize/user?client_id=id&redirect_uri="),
            "{url}"
        );
        assert!(!url.contains("scope") && url.ends_with("code_challenge_method=S256"), "{url}");
    }

    #[test]
    fn an_app_without_a_redirect_uri_cannot_begin() {
        let app = App::hubspot("id", ClientSecret::new("s3cret").unwrap()).build().unwrap();
        let begun = Authorize::scopes(Scopes::NONE).begin_with(&app, randomness());
        assert_eq!(begun.unwrap_err().argument, "redirect_uri");
    }

    #[cfg(feature = "os-random")]
    #[test]
    fn two_authorizations_share_neither_state_nor_verifier() {
        let begin = || Authorize::scopes(Scopes::NONE).begin(&app()).unwrap().pending;
        let (one, two) = (begin(), begin());
        assert_ne!(one.state, two.state);
        assert_ne!(one.code_verifier, two.code_verifier);
        assert_ne!(one.state.expose(), one.code_verifier.unwrap().expose());
    }

    /// RFC 6749 §4.1.2.
    #[test]
    fn the_right_callback_gives_the_code_and_all_its_exchange_needs() {
        for query in [
            format!("code=abc%2Fdef&state={STATE}"),
            format!("?state={STATE}&code=abc/def&hub_id=62515&unknown"),
        ] {
            let code = pending().accept(&query).unwrap();
            assert_eq!(code.code().expose(), "abc/def");
            assert_eq!(code.redirect_uri(), "https://myapp.example.com/cb?tenant=a%20b");
            assert_eq!(code.code_verifier().unwrap().expose(), "A".repeat(43));
        }
    }

    /// RFC 6749 §10.12 and §3.1.
    #[test]
    fn every_other_callback_is_refused_by_reason() {
        let other = format!("{}9", STATE.strip_suffix('8').unwrap());
        let refused = |error: &str, description: Option<&str>| CallbackError::Refused {
            error: error.into(),
            description: description.map(str::to_owned),
        };
        for (query, error) in [
            (String::new(), CallbackError::Missing("state")),
            ("code=abc".to_owned(), CallbackError::Missing("state")),
            ("code=abc&state=".to_owned(), CallbackError::Missing("state")),
            (format!("code=abc&state={other}"), CallbackError::StateMismatch),
            (format!("code=abc&state={STATE}8"), CallbackError::StateMismatch),
            (format!("code=abc&state={}", STATE.strip_prefix('_').unwrap()), CallbackError::StateMismatch),
            (format!("code=abc&state=%00{STATE}"), CallbackError::StateMismatch),
            (format!("code=abc&state={STATE}&state={STATE}"), CallbackError::Repeated("state")),
            (format!("code=abc&state={STATE}&st%61te={other}"), CallbackError::Repeated("state")),
            (format!("state={STATE}"), CallbackError::Missing("code")),
            (format!("state={STATE}&code="), CallbackError::Missing("code")),
            (format!("state={STATE}&code=a&code=b"), CallbackError::Repeated("code")),
            (format!("state={STATE}&code=a%0d%0ab"), CallbackError::Malformed("code")),
            (format!("state={STATE}&code=%ff"), CallbackError::Malformed("code")),
            (format!("state={STATE}&error=access_denied"), refused("access_denied", None)),
            (
                format!("state={STATE}&error=access_denied&error_description=no%0athanks&code=abc"),
                refused("access_denied", Some("no\u{fffd}thanks")),
            ),
            ("error=access_denied".to_owned(), CallbackError::Missing("state")),
            (format!("error=access_denied&state={other}"), CallbackError::StateMismatch),
            ("a=".repeat(LONGEST_CALLBACK), CallbackError::TooLong),
        ] {
            let refused = pending().accept(&query).unwrap_err();
            assert_eq!(refused, error, "{query}");
            assert_eq!(refused.next_step(), NextStep::RestartAuthorization);
        }
    }

    #[test]
    fn a_refusal_that_echoes_the_secrets_does_not_show_them() {
        let pending = pending();
        let verifier = pending.code_verifier().unwrap().expose();
        let code = "CODE____-4b5a-4978";
        for text in [STATE, code, &format!("of+{verifier}+"), &STATE.replace('_', "%255F")] {
            for query in [format!("error={text}"), format!("error=access_denied&error_description={text}")] {
                let refused = pending.accept(&format!("{query}&state={STATE}&code={code}")).unwrap_err();
                let shown = format!("{refused} {refused:?}");
                assert!(shown.contains("[redacted]"), "{shown}");
                assert!(
                    !shown.contains("____") && !shown.contains("5F%5F") && !shown.contains("AAAA"),
                    "{shown}"
                );
            }
        }
    }

    /// RFC 6749 §4.1.2.1.
    #[test]
    fn a_refusal_says_whose_turn_it_is() {
        for (error, next) in [
            ("access_denied", NextStep::RestartAuthorization),
            ("invalid_request", NextStep::FixConfiguration),
            ("invalid_scope", NextStep::FixConfiguration),
            ("unauthorized_client", NextStep::FixConfiguration),
            ("unsupported_response_type", NextStep::FixConfiguration),
            ("server_error", NextStep::RetryAfter(None)),
            ("temporarily_unavailable", NextStep::RetryAfter(None)),
            ("something_new", NextStep::RestartAuthorization),
        ] {
            let refused = pending().accept(&format!("state={STATE}&error={error}")).unwrap_err();
            assert_eq!(refused.next_step(), next, "{error}");
        }
    }

    #[test]
    fn what_is_pending_survives_a_session_store_and_shows_nothing() {
        let authorization =
            Authorize::scopes("oauth".parse().unwrap()).begin_with(&app(), randomness()).unwrap();
        let stored = serde_json::to_string(&authorization.pending).unwrap();
        assert_eq!(serde_json::from_str::<PendingAuthorization>(&stored).unwrap(), authorization.pending);
        let shown = format!("{authorization:?} {:?}", randomness());
        assert!(!shown.contains(STATE) && !shown.contains("AAAA") && !shown.contains("255"), "{shown}");
    }
}

//! The authorization URL, to which the application sends a browser.

use std::fmt;
use std::time::Duration;

use crate::app::App;
use crate::callback::PendingAuthorization;
use crate::form;
use crate::invalid_argument::{InvalidArgument, InvalidArgumentKind};
#[cfg(feature = "os-random")]
use crate::next_step::NextStep;
#[cfg(feature = "os-random")]
use crate::random::RandomnessError;
use crate::scope::{MAX_SCOPE_SIZE, Scopes};
use crate::secret::{CodeVerifier, State};
use crate::timestamp::Timestamp;

/// What an application asks an account for. [`Authorize::begin`] makes the authorization URL.
///
/// ```
/// use std::time::SystemTime;
/// use hs_oauth_core::{App, Authorize, ClientSecret, Scopes};
///
/// let app = App::hubspot("client-id", ClientSecret::new("s3cret")?)
///     .with_redirect_uri("https://myapp.example.com/oauth/callback")
///     .build()?;
/// let scopes = Scopes::from_names(["oauth", "crm.objects.contacts.read"])?;
/// let authorization = Authorize::new(scopes).begin(&app, SystemTime::now().into())?;
/// // Send the browser to `authorization.url`; keep `authorization.pending` in its session.
/// assert!(authorization.url.starts_with("https://app.hubspot.com/oauth/authorize?client_id=client-id&"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "nothing happens until begin() is called"]
pub struct Authorize {
    scopes: Scopes,
    conditional_scopes: Scopes,
    optional_scopes: Scopes,
    hub_id: Option<i64>,
    pkce: bool,
    max_age: Duration,
}

/// How long an authorization is accepted after it began, if nothing else is set.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// An authorization that has begun.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// The URL to send the browser to.
    pub url: AuthorizationUrl,
    /// What the application stores in the browser's session until the callback.
    pub pending: PendingAuthorization,
}

/// The address of HubSpot's consent page, with everything that the app asks for.
///
/// `Display` shows the whole URL. `Debug` leaves out the query, since it has the `state` in it.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthorizationUrl(String);

/// The random bytes for the `state` and the code verifier of one authorization. They must not be used twice.
pub struct Randomness([[u8; 32]; 2]);

impl Authorize {
    /// Asks for these scopes: all that the app has registered as required, `oauth` among them. If one of them is left out, or cannot be
    /// granted, HubSpot refuses the install. It does not call back then, but shows the person a page of its own.
    ///
    /// An MCP auth app sends no scopes, since HubSpot decides them.
    pub const fn new(scopes: Scopes) -> Self {
        Self {
            scopes,
            conditional_scopes: Scopes::NONE,
            optional_scopes: Scopes::NONE,
            hub_id: None,
            pkce: true,
            max_age: MAX_AGE,
        }
    }

    /// Asks for these scopes, too, which the app has registered as conditionally required: those that it needs of this account. An account
    /// whose subscription lacks one of them cannot install the app.
    pub fn with_conditional_scopes(mut self, scopes: Scopes) -> Self {
        self.conditional_scopes = scopes;
        self
    }

    /// Asks for these scopes, too, which the app has registered as optional. HubSpot leaves out those that the account cannot grant, and
    /// does not say so: [`TokenSet::missing`](crate::TokenSet::missing) does.
    pub fn with_optional_scopes(mut self, scopes: Scopes) -> Self {
        self.optional_scopes = scopes;
        self
    }

    /// Preselects an account on the consent page.
    pub const fn with_hub_id(mut self, hub_id: i64) -> Self {
        self.hub_id = Some(hub_id);
        self
    }

    /// Leaves PKCE (RFC 7636) out. This is only for an app whose code is exchanged by software that cannot send a `code_verifier`. An MCP
    /// auth app uses PKCE all the same.
    pub const fn without_pkce(mut self) -> Self {
        self.pkce = false;
        self
    }

    /// Sets how long after its begin the authorization is accepted: an hour unless set. A person may have to log in, or ask somebody
    /// else, before they can connect.
    pub const fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Begins an authorization with random bytes from the operating system. `now` is the time, from which its age counts.
    ///
    /// # Errors
    /// [`BeginError::App`] for what [`begin_with`](Self::begin_with) refuses. [`BeginError::Randomness`] if the operating system gives no
    /// random bytes.
    #[cfg(feature = "os-random")]
    pub fn begin(&self, app: &App, now: Timestamp) -> Result<Authorization, BeginError> {
        Ok(self.begin_with(app, now, Randomness::from_os()?)?)
    }

    /// Begins an authorization with these random bytes. `now` is the time, from which its age counts.
    ///
    /// # Errors
    /// [`InvalidArgument`] naming `redirect_uri` if the app has none, `scope` if `oauth` is not among the scopes, or `conditional_scope`
    /// or `optional_scope` if one of these is in an earlier list, too. Each of the three also if a name in it is none that
    /// [`Scope::new`](crate::Scope::new) accepts, which a list that was deserialized may have. HubSpot would show each of these to the
    /// person only, and never call back. The scopes of an MCP auth app are not looked at.
    pub fn begin_with(
        &self,
        app: &App,
        now: Timestamp,
        randomness: Randomness,
    ) -> Result<Authorization, InvalidArgument> {
        let redirect_uri =
            app.redirect_uri().ok_or(InvalidArgument::new("redirect_uri", InvalidArgumentKind::Missing))?;
        let [state, code_verifier] = &randomness.0;
        let state = State::from_random(state);
        let code_verifier = (self.pkce || app.is_mcp()).then(|| CodeVerifier::from_random(code_verifier));
        let redirect_uri = redirect_uri.to_owned();
        let mut pending = PendingAuthorization::new(state, code_verifier, redirect_uri, now, self.max_age);
        let mut url = app.authorize_url(self.hub_id, 512);
        if !app.is_mcp() {
            self.check_scopes()?;
            let required = [("scope", &self.scopes), ("conditional_scope", &self.conditional_scopes)];
            let asked = push_scopes(&mut url, "scope", &required)?;
            let optional =
                push_scopes(&mut url, "optional_scope", &[("optional_scope", &self.optional_scopes)])?;
            pending = pending.asking_for(asked, optional);
        }
        // State and challenge are base64url, which needs no escaping.
        url.push_str("&state=");
        url.push_str(pending.state().expose());
        if let Some(verifier) = pending.code_verifier() {
            url.push_str("&code_challenge=");
            verifier.push_challenge(&mut url);
            url.push_str("&code_challenge_method=S256");
        }
        Ok(Authorization { url: AuthorizationUrl(url), pending })
    }

    /// Checks that HubSpot can accept the scopes, as far as that can be known here.
    fn check_scopes(&self) -> Result<(), InvalidArgument> {
        let Self { scopes, conditional_scopes, optional_scopes, .. } = self;
        if !scopes.contains("oauth") && !conditional_scopes.contains("oauth") {
            return Err(InvalidArgument::new("scope", InvalidArgumentKind::NoOauthScope));
        }
        check_new("conditional_scope", conditional_scopes, scopes)?;
        check_new("optional_scope", optional_scopes, scopes)?;
        check_new("optional_scope", optional_scopes, conditional_scopes)
    }
}

/// Appends the parameter with the scopes of these lists, of which each has its argument's name, if there are any. Returns their names with
/// spaces between them.
fn push_scopes(
    url: &mut String,
    name: &str,
    lists: &[(&'static str, &Scopes)],
) -> Result<String, InvalidArgument> {
    let room = lists.iter().flat_map(|list| list.1).map(|scope| scope.as_str().len() + 1).sum();
    let mut names = String::with_capacity(room);
    for (argument, scopes) in lists {
        for (index, scope) in scopes.iter().enumerate() {
            let (before, text) = (url.len(), scope.as_str());
            let added = if names.is_empty() {
                form::push(url, name, text);
                "&=".len() + name.len()
            } else {
                names.push(' ');
                url.push_str("%20");
                form::push_value(url, text);
                "%20".len()
            };
            // What needs no escape may stand in a scope.
            if url.len() != before + added + text.len() || !(1..=MAX_SCOPE_SIZE).contains(&text.len()) {
                scope.check().map_err(|kind| InvalidArgument::new(argument, kind).in_list(index))?;
            }
            names.push_str(text);
        }
    }
    Ok(names)
}

/// Checks that none of the scopes of a list is among the earlier ones.
fn check_new(argument: &'static str, scopes: &Scopes, earlier: &Scopes) -> Result<(), InvalidArgument> {
    match scopes.iter().position(|scope| earlier.contains(scope.as_str())) {
        None => Ok(()),
        Some(index) => Err(InvalidArgument::new(argument, InvalidArgumentKind::InTwoLists).in_list(index)),
    }
}

impl AuthorizationUrl {
    /// Returns the whole URL. It has the `state` in it.
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

impl Randomness {
    /// Takes the bytes that make the `state` and those that make the code verifier. Nobody else may be able to predict them.
    pub fn new(state: [u8; 32], code_verifier: [u8; 32]) -> Self {
        Self([state, code_verifier])
    }

    /// Returns 64 bytes from the operating system.
    ///
    /// # Errors
    /// [`BeginError::Randomness`] if the operating system gives no random bytes.
    #[cfg(feature = "os-random")]
    pub fn from_os() -> Result<Self, BeginError> {
        let mut randomness = Self([[0; 32]; 2]);
        getrandom::fill(randomness.0.as_flattened_mut())
            .map_err(|error| BeginError::Randomness(RandomnessError::new(error)))?;
        Ok(randomness)
    }
}

impl Randomness {
    /// Returns the bytes that make the `state`.
    pub(crate) const fn state(&self) -> &[u8; 32] {
        let [state, _] = &self.0;
        state
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

/// Why an authorization could not begin.
#[cfg(feature = "os-random")]
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// The app has no redirect URI, or the scopes are not such that HubSpot can accept them.
    #[error(transparent)]
    App(#[from] InvalidArgument),
    /// The operating system gave no random bytes.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
}

#[cfg(feature = "os-random")]
impl BeginError {
    /// Returns what to do next: fix the configuration, of the app or of the host.
    pub const fn next_step(&self) -> NextStep {
        match self {
            Self::App(error) => error.next_step(),
            Self::Randomness(error) => error.next_step(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ClientSecret;

    fn app() -> App {
        App::hubspot("client id", ClientSecret::new("s3cret").unwrap())
            .with_redirect_uri("https://myapp.example.com/cb?tenant=a%20b")
            .build()
            .unwrap()
    }

    fn randomness() -> Randomness {
        Randomness::new([0xff; 32], [0; 32])
    }

    const STATE: &str = "__________________________________________8";
    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    #[test]
    fn an_authorization_knows_when_it_began_and_until_when_it_is_accepted() {
        let authorize = Authorize::new("oauth".parse().unwrap());
        let pending = authorize.begin_with(&app(), NOW, randomness()).unwrap().pending;
        assert_eq!((pending.begun_at(), pending.expires_at().since(NOW).as_secs()), (NOW, 3600));
        let short = authorize.with_max_age(Duration::from_secs(90)).begin_with(&app(), NOW, randomness());
        assert_eq!(short.unwrap().pending.expires_at().since(NOW).as_secs(), 90);
    }

    /// HubSpot's authorization page: parameter names and `%20` as HubSpot's own SDKs send them; RFC 7636 §4.3.
    #[test]
    fn the_url_is_the_one_that_hubspots_own_sdks_build() {
        let authorize = Authorize::new("oauth crm.read".parse().unwrap());
        let plain = authorize.clone().without_pkce().begin_with(&app(), NOW, randomness()).unwrap();
        let base = "https://app.hubspot.com/oauth/authorize?client_id=client%20id\
                    &redirect_uri=https%3A%2F%2Fmyapp.example.com%2Fcb%3Ftenant%3Da%2520b&scope=oauth%20crm.read";
        assert_eq!(plain.url.as_str(), format!("{base}&state={STATE}"));

        let full = authorize.with_optional_scopes("content".parse().unwrap()).with_hub_id(62515);
        let full = full.begin_with(&app(), NOW, randomness()).unwrap();
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

    /// HubSpot's "Scopes": every app has to ask for `oauth`.
    #[test]
    fn an_authorization_without_the_scope_oauth_cannot_begin() {
        for (required, conditional) in [("", ""), ("crm.read", ""), ("oauth2", ""), ("crm.read", "content")] {
            let authorize = Authorize::new(required.parse().unwrap())
                .with_conditional_scopes(conditional.parse().unwrap())
                .with_optional_scopes("oauth".parse().unwrap());
            let invalid = authorize.begin_with(&app(), NOW, randomness()).unwrap_err();
            assert_eq!((invalid.argument, invalid.kind), ("scope", InvalidArgumentKind::NoOauthScope));
            assert_eq!(invalid.to_string(), "`scope` lacks `oauth`, which HubSpot requires of every app");
        }
    }

    /// HubSpot's "Scopes": conditionally required ones are in `scope` for the accounts of which the app needs them.
    #[test]
    fn conditionally_required_scopes_are_asked_for_like_required_ones() {
        let authorize = Authorize::new("oauth crm.read".parse().unwrap())
            .with_optional_scopes("tickets".parse().unwrap());
        let query = |authorize: &Authorize| {
            let begun = authorize.clone().without_pkce().begin_with(&app(), NOW, randomness()).unwrap();
            begun.url.split_once("&scope=").unwrap().1.split_once("&state=").unwrap().0.to_owned()
        };
        assert_eq!(query(&authorize), "oauth%20crm.read&optional_scope=tickets");
        let authorize = authorize.with_conditional_scopes("content automation".parse().unwrap());
        assert_eq!(query(&authorize), "oauth%20crm.read%20content%20automation&optional_scope=tickets");
        let authorize = Authorize::new(Scopes::NONE).with_conditional_scopes("oauth".parse().unwrap());
        assert_eq!(query(&authorize), "oauth");
    }

    /// An app has registered each of its scopes once.
    #[test]
    fn a_scope_in_two_lists_is_an_error_that_names_list_and_place() {
        for (required, conditional, optional, argument, index) in [
            ("oauth a", "b a", "", "conditional_scope", 1),
            ("oauth a", "", "b c a", "optional_scope", 2),
            ("oauth a", "b", "b", "optional_scope", 0),
            ("oauth", "", "oauth", "optional_scope", 0),
        ] {
            let authorize = Authorize::new(required.parse().unwrap())
                .with_conditional_scopes(conditional.parse().unwrap())
                .with_optional_scopes(optional.parse().unwrap());
            let invalid = authorize.begin_with(&app(), NOW, randomness()).unwrap_err();
            assert_eq!(invalid.kind, InvalidArgumentKind::InTwoLists);
            assert_eq!((invalid.argument, invalid.index), (argument, Some(index)));
        }
    }

    /// A list that was deserialized, such as one of a configuration, is as its text has it. HubSpot would show its page for these.
    #[test]
    fn a_deserialized_list_with_a_name_that_is_no_scope_cannot_begin() {
        use InvalidArgumentKind::{Character, Comma, Missing, TooLong};
        let list = |json: &str| serde_json::from_str::<Scopes>(json).unwrap();
        let long = format!(r#"["oauth","{}"]"#, "a".repeat(1025));
        for (json, index, kind) in [
            (r#"["oauth","crm.read,content"]"#, 1, Comma { at: 8 }),
            (r#"["oauth","crm.read content"]"#, 1, Character { at: 8 }),
            (r#"["","oauth"]"#, 0, Missing),
            (r#"["oauth","a","\u00e9"]"#, 2, Character { at: 0 }),
            (&long, 1, TooLong { limit: 1024 }),
        ] {
            let invalid = Authorize::new(list(json)).begin_with(&app(), NOW, randomness()).unwrap_err();
            assert_eq!(
                (invalid.argument, invalid.index, invalid.kind),
                ("scope", Some(index), kind),
                "{json}"
            );
        }
        let other = || list(r#"["a","b,c"]"#);
        let authorize = || Authorize::new("oauth".parse().unwrap());
        for (authorize, argument) in [
            (authorize().with_conditional_scopes(other()), "conditional_scope"),
            (authorize().with_optional_scopes(other()), "optional_scope"),
        ] {
            let invalid = authorize.begin_with(&app(), NOW, randomness()).unwrap_err();
            assert_eq!((invalid.argument, invalid.index), (argument, Some(1)));
        }
        let escaped = Authorize::new(list(r#"["oauth","https://example.com/a"]"#));
        let url = escaped.begin_with(&app(), NOW, randomness()).unwrap().url;
        assert!(url.contains("&scope=oauth%20https%3A%2F%2Fexample.com%2Fa&"), "{url}");
    }

    #[test]
    fn what_was_asked_for_is_remembered_until_the_code_is_exchanged() {
        let authorize = Authorize::new("oauth a".parse().unwrap())
            .with_conditional_scopes("b".parse().unwrap())
            .with_optional_scopes("c d".parse().unwrap());
        let pending = authorize.begin_with(&app(), NOW, randomness()).unwrap().pending;
        let stored = serde_json::to_string(&pending).unwrap();
        let pending: PendingAuthorization = serde_json::from_str(&stored).unwrap();
        let code = pending.accept(NOW, &format!("code=c&state={STATE}")).unwrap();
        assert_eq!(code.scopes().to_string(), "oauth a b");
        assert_eq!(code.optional_scopes().to_string(), "c d");
    }

    #[test]
    fn an_mcp_auth_app_sends_no_scopes_and_always_uses_pkce() {
        let app = App::hubspot_mcp("id", ClientSecret::new("s3cret").unwrap())
            .with_redirect_uri("http://localhost:1/cb");
        let authorize = Authorize::new("oauth".parse().unwrap()).without_pkce();
        let app = app.build().unwrap();
        let url = authorize.begin_with(&app, NOW, randomness()).unwrap().url;
        assert!(
            url.starts_with("https://mcp.hubspot.com/oauth/authorize/user?client_id=id&redirect_uri="),
            "{url}"
        );
        assert!(!url.contains("scope") && url.ends_with("code_challenge_method=S256"), "{url}");
        let none = Authorize::new(Scopes::NONE).begin_with(&app, NOW, randomness()).unwrap();
        assert_eq!(none.url, url);
    }

    #[test]
    fn an_app_without_a_redirect_uri_cannot_begin_an_authorization() {
        let app = App::hubspot("id", ClientSecret::new("s3cret").unwrap()).build().unwrap();
        let begun = Authorize::new("oauth".parse().unwrap()).begin_with(&app, NOW, randomness());
        assert_eq!(begun.unwrap_err().argument, "redirect_uri");
    }

    #[cfg(feature = "os-random")]
    #[test]
    fn an_error_says_what_is_wrong_and_what_to_do() {
        let no_bytes = BeginError::Randomness(RandomnessError::new(getrandom::Error::UNEXPECTED));
        let text = no_bytes.to_string();
        assert!(text.starts_with("the operating system gives no random bytes: "), "{text}");
        assert!(text.ends_with(&getrandom::Error::UNEXPECTED.to_string()), "{text}");
        let app = App::hubspot("id", ClientSecret::new("s3cret").unwrap()).build().unwrap();
        let no_uri = Authorize::new("oauth".parse().unwrap()).begin(&app, NOW).unwrap_err();
        assert_eq!(no_uri.to_string(), "`redirect_uri` is missing or empty");
        for error in [no_bytes, no_uri] {
            assert_eq!(error.next_step(), NextStep::FixConfiguration);
        }
    }

    #[cfg(feature = "os-random")]
    #[test]
    fn two_authorizations_share_neither_the_state_nor_the_code_verifier() {
        let begin = || Authorize::new("oauth".parse().unwrap()).begin(&app(), NOW).unwrap().pending;
        let (one, two) = (begin(), begin());
        assert_ne!(one.state(), two.state());
        assert_ne!(one.code_verifier(), two.code_verifier());
        assert_ne!(one.state().expose(), one.code_verifier().unwrap().expose());
    }

    #[test]
    fn a_pending_authorization_is_read_back_and_shows_no_secret() {
        let authorization =
            Authorize::new("oauth".parse().unwrap()).begin_with(&app(), NOW, randomness()).unwrap();
        let stored = serde_json::to_string(&authorization.pending).unwrap();
        assert_eq!(serde_json::from_str::<PendingAuthorization>(&stored).unwrap(), authorization.pending);
        let shown = format!("{authorization:?} {:?}", randomness());
        assert!(!shown.contains(STATE) && !shown.contains("AAAA") && !shown.contains("255"), "{shown}");
    }
}

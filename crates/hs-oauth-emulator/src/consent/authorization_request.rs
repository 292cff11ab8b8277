//! Reads and checks the authorization request in the query of `GET /oauth/authorize` (RFC 6749 §4.1.1, RFC 7636 §4.3).

use hs_oauth_core::Scopes;
use http::Request;

use super::redirect_target::RedirectTarget;
use crate::apps::RegisteredApp;
use crate::own_address::own_callback;
use crate::raw_query::{decoded, raw_values};
use crate::redirect_uri::check_redirect_uri;
use crate::registered_scopes::{ScopeMismatch, check_unregistered};
use crate::settings::Settings;

/// The paths of the authorization page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthorizationPath {
    /// `/oauth/authorize`: the user chooses the account.
    AnyHub,
    /// `/oauth/{hub_id}/authorize`: the path names the account.
    Hub(i64),
    /// `/oauth/authorize/user`, for MCP auth apps. They send no scopes and must use PKCE.
    Mcp,
}

/// A valid authorization request.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizationRequest {
    pub(crate) client_id: String,
    pub(crate) redirect_target: RedirectTarget,
    pub(crate) scopes: Scopes,
    pub(crate) optional_scopes: Scopes,
    pub(crate) code_challenge: Option<String>,
    /// The only account that may be chosen, if the path names one.
    pub(crate) hub_id: Option<i64>,
}

/// Why an authorization request is invalid.
#[derive(Debug)]
pub(crate) enum AuthorizationError {
    /// The app is unknown, or its redirect URI is unknown or unusable. The browser must not be redirected: a page has
    /// to show this message.
    Page(String),
    /// The scopes do not agree with those that are registered for the app. HubSpot does not redirect the browser then: a page has to
    /// show which ones.
    Scopes(ScopeMismatch),
    /// Anything else. The browser is redirected to the app with this error (RFC 6749 §4.1.2.1).
    Redirect { target: RedirectTarget, error: &'static str, description: &'static str },
}

impl AuthorizationPath {
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        match path.strip_prefix("/oauth/")? {
            "authorize" => Some(Self::AnyHub),
            "authorize/user" => Some(Self::Mcp),
            rest => {
                let hub_id = rest.strip_suffix("/authorize")?;
                let is_number = hub_id.bytes().all(|byte| byte.is_ascii_digit());
                hub_id.parse().ok().filter(|_| is_number).map(Self::Hub)
            }
        }
    }
}

impl AuthorizationRequest {
    /// Reads the query of a request to one of the authorization paths. Besides its registered redirect URIs, an app may use the
    /// emulator's own.
    pub(crate) fn from_request(
        settings: &Settings,
        path: AuthorizationPath,
        request: &Request<Vec<u8>>,
    ) -> Result<Self, AuthorizationError> {
        let own_callback = own_callback(request);
        Self::from_query(settings, path, request.uri().query().unwrap_or(""), own_callback.as_deref())
    }

    fn from_query(
        settings: &Settings,
        path: AuthorizationPath,
        query: &str,
        own_callback: Option<&str>,
    ) -> Result<Self, AuthorizationError> {
        let query = Query(query);
        let (app, target) =
            query.redirect_target(settings, own_callback).map_err(AuthorizationError::Page)?;
        if path != AuthorizationPath::Mcp {
            let scope = query.scope_names(&["scope"]);
            let optional = query.scope_names(&["optional_scope", "optional_scopes"]);
            match app.scopes {
                Some(registered) => registered.check(&scope, &optional),
                None => check_unregistered(&scope, &optional),
            }
            .map_err(AuthorizationError::Scopes)?;
        }
        match query.authorization_request(path, app, &target) {
            Ok(request) => Ok(request),
            Err((error, description)) => Err(AuthorizationError::Redirect { target, error, description }),
        }
    }
}

/// The scopes of every MCP auth app. HubSpot takes them from the app's registration and not from the request.
const MCP_SCOPES: &str =
    "oauth crm.objects.contacts.read crm.objects.companies.read crm.objects.deals.read tickets";

/// `error` and `error_description` of RFC 6749 §4.1.2.1.
type ErrorParameters = (&'static str, &'static str);

struct Query<'q>(&'q str);

impl<'q> Query<'q> {
    fn redirect_target<'s>(
        &self,
        settings: &'s Settings,
        own_callback: Option<&str>,
    ) -> Result<(RegisteredApp<'s>, RedirectTarget), String> {
        let required = |name| match self.raw_value(name) {
            Ok(Some(raw)) => Ok(decoded(raw)),
            Ok(None) => Err(format!("The address has no {name}.")),
            Err(_) => Err(format!("The address has {name} more than once.")),
        };
        let app = settings.app(&required("client_id")?).ok_or("No app has this client_id.")?;
        let redirect_uri = required("redirect_uri")?;
        let state = self.raw_value("state").ok().flatten();
        if own_callback == Some(redirect_uri.as_str()) {
            return Ok((app, RedirectTarget::new(redirect_uri, state)));
        }
        if !app.redirect_uris.contains(&redirect_uri) {
            return Err("This redirect_uri is not registered for the app. It must be the same to the byte."
                .to_owned());
        }
        check_redirect_uri(&redirect_uri, settings.strict_redirects)
            .map_err(|problem| format!("This redirect_uri cannot be used: it {problem}."))?;
        Ok((app, RedirectTarget::new(redirect_uri, state)))
    }

    fn authorization_request(
        &self,
        path: AuthorizationPath,
        app: RegisteredApp<'_>,
        target: &RedirectTarget,
    ) -> Result<AuthorizationRequest, ErrorParameters> {
        self.raw_value("state")?;
        if self.value("response_type")?.is_some_and(|response_type| response_type != "code") {
            return Err(("unsupported_response_type", "the response_type must be code"));
        }
        let code_challenge = self.value("code_challenge")?;
        match (&code_challenge, self.value("code_challenge_method")?.as_deref()) {
            (None, None) if path != AuthorizationPath::Mcp => {}
            (None, None) => return Err(("invalid_request", "code_challenge is required")),
            (Some(challenge), Some("S256")) if is_challenge(challenge) => {}
            (Some(_), Some("S256")) => {
                return Err(("invalid_request", "a code_challenge of S256 is 43 characters of base64url"));
            }
            (Some(_), _) => return Err(("invalid_request", "the code_challenge_method must be S256")),
            (None, Some(_)) => {
                return Err(("invalid_request", "code_challenge_method without code_challenge"));
            }
        }
        let scopes = match path {
            AuthorizationPath::Mcp => parse_scopes(MCP_SCOPES)?,
            _ => parse_scopes(&self.value("scope")?.unwrap_or_default())?,
        };
        if scopes.is_empty() {
            return Err(("invalid_scope", "scope is missing"));
        }
        let mut optional_scopes = Scopes::NONE;
        for name in ["optional_scope", "optional_scopes"] {
            let all = parse_scopes(&self.value(name)?.unwrap_or_default())?;
            optional_scopes.extend(all.into_iter().filter(|scope| !scopes.contains(scope.as_str())));
        }
        Ok(AuthorizationRequest {
            client_id: app.client_id.to_owned(),
            redirect_target: target.clone(),
            scopes,
            optional_scopes: match path {
                AuthorizationPath::Mcp => Scopes::NONE,
                _ => optional_scopes,
            },
            code_challenge,
            hub_id: match path {
                AuthorizationPath::Hub(hub_id) => Some(hub_id),
                _ => None,
            },
        })
    }

    /// Returns every name in the parameters of these names, whether it can be a scope or not.
    fn scope_names(&self, parameters: &[&str]) -> Vec<String> {
        let values: Vec<_> =
            parameters.iter().flat_map(|name| raw_values(self.0, name)).map(decoded).collect();
        let names = values.iter().flat_map(|value| value.split([' ', '+']));
        names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    fn value(&self, name: &str) -> Result<Option<String>, ErrorParameters> {
        Ok(self.raw_value(name)?.map(decoded))
    }

    /// Returns a parameter's value as it is written, still escaped. A parameter without a value counts as absent (RFC
    /// 6749 §3.1).
    fn raw_value(&self, name: &str) -> Result<Option<&'q str>, ErrorParameters> {
        let mut values = raw_values(self.0, name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(("invalid_request", "a parameter is there more than once")),
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
        }
    }
}

/// Parses scopes that are separated by spaces or by `+`. Some apps escape the `+` that stands for a space, so it can
/// still be in the decoded text.
fn parse_scopes(text: &str) -> Result<Scopes, ErrorParameters> {
    (text.replace('+', " ").parse())
        .map_err(|_| ("invalid_scope", "a scope has characters that may not stand in it"))
}

/// Returns whether `text` can be the base64url form of a SHA-256 hash (RFC 7636 §4.2).
fn is_challenge(text: &str) -> bool {
    let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() == 43 && text.bytes().all(is_base64url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLBACK: &str = "http://localhost:3000/oauth/callback";
    const CLIENT: &str = "client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
        &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn read(path: AuthorizationPath, more: &str) -> Result<AuthorizationRequest, AuthorizationError> {
        AuthorizationRequest::from_query(&Settings::new([0; 32]), path, &format!("{CLIENT}{more}"), None)
    }

    fn valid(more: &str) -> AuthorizationRequest {
        read(AuthorizationPath::AnyHub, more).unwrap()
    }

    fn error(path: AuthorizationPath, more: &str) -> &'static str {
        match read(path, more) {
            Err(AuthorizationError::Redirect { error, .. }) => error,
            other => panic!("{more}: {other:?}"),
        }
    }

    #[test]
    fn only_the_three_authorization_paths_are_recognized() {
        assert_eq!(AuthorizationPath::from_path("/oauth/authorize"), Some(AuthorizationPath::AnyHub));
        assert_eq!(
            AuthorizationPath::from_path("/oauth/62515/authorize"),
            Some(AuthorizationPath::Hub(62515))
        );
        assert_eq!(AuthorizationPath::from_path("/oauth/authorize/user"), Some(AuthorizationPath::Mcp));
        for path in [
            "/oauth/authorize/",
            "/oauth//authorize",
            "/oauth/-1/authorize",
            "/oauth/+1/authorize",
            "/oauth/a/authorize",
            "/oauth/99999999999999999999/authorize",
        ] {
            assert_eq!(AuthorizationPath::from_path(path), None, "{path}");
        }
    }

    /// RFC 6749 §3.1.2.4: without a valid redirect URI the browser must not be redirected.
    #[test]
    fn the_browser_is_never_redirected_for_an_unknown_app_or_redirect_uri() {
        let all = CLIENT.split('&').collect::<Vec<_>>();
        let (client, uri) = (all[0], all[1]);
        for query in [
            String::new(),
            "%".to_owned(),
            client.to_owned(),
            uri.to_owned(),
            format!("client_id=nobody&{uri}&scope=oauth"),
            format!("{client}&{client}&{uri}&scope=oauth"),
            format!("{client}&{uri}&{uri}&scope=oauth"),
            format!("{client}&{uri}%2F&scope=oauth"),
            format!("{client}&redirect_uri=HTTP%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback&scope=oauth"),
            format!("{client}&redirect_uri=javascript%3Aalert(1)&scope=oauth"),
            format!("{client}&redirect_uri=&scope=oauth"),
            format!("{client}&redirect_uri=https%3A%2F%2Fevil.example%2F&scope=oauth"),
        ] {
            let error = AuthorizationRequest::from_query(
                &Settings::new([0; 32]),
                AuthorizationPath::AnyHub,
                &query,
                None,
            )
            .unwrap_err();
            assert!(matches!(error, AuthorizationError::Page(_)), "{query}");
        }
    }

    /// The app would receive each of these parameters twice.
    #[test]
    fn the_browser_is_never_redirected_to_a_uri_that_has_a_parameter_of_the_response() {
        for (parameter, is_error) in
            [("code=1", true), ("a=b&state=", true), ("%65rror", true), ("codes=1&x=state", false)]
        {
            let mut settings = Settings::new([0; 32]);
            settings.redirect_uris = vec![format!("https://a.example/cb?{parameter}")];
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("client_id", &settings.client_id)
                .append_pair("redirect_uri", &settings.redirect_uris[0])
                .append_pair("scope", "oauth")
                .finish();
            let error =
                AuthorizationRequest::from_query(&settings, AuthorizationPath::AnyHub, &query, None).err();
            assert_eq!(matches!(error, Some(AuthorizationError::Page(_))), is_error, "{parameter}");
        }
    }

    /// HubSpot's OAuth guide: a domain, and https except on this machine.
    #[test]
    fn a_redirect_uri_that_hubspot_does_not_take_is_used_only_without_strict_redirects() {
        for uri in ["http://192.0.2.7:3000/cb", "http://app.example/cb"] {
            for strict in [true, false] {
                let mut settings = Settings::new([0; 32]);
                settings.redirect_uris = vec![uri.to_owned()];
                settings.strict_redirects = strict;
                let query = form_urlencoded::Serializer::new(String::new())
                    .append_pair("client_id", &settings.client_id)
                    .append_pair("redirect_uri", uri)
                    .append_pair("scope", "oauth")
                    .finish();
                let error =
                    AuthorizationRequest::from_query(&settings, AuthorizationPath::AnyHub, &query, None)
                        .err();
                match error {
                    Some(AuthorizationError::Page(message)) if strict => {
                        assert!(message.contains("as HubSpot asks for"), "{message}");
                    }
                    other => assert!(other.is_none() && !strict, "{uri} {other:?}"),
                }
            }
        }
    }

    /// RFC 6749 §4.1.2.1, RFC 7636 §4.4.1.
    #[test]
    fn the_app_receives_the_code_of_every_other_error() {
        let challenge = format!("&code_challenge={CHALLENGE}");
        for (more, expected) in [
            ("&scope=oauth&response_type=token", "unsupported_response_type"),
            ("&scope=oauth&response_type=code%20token", "unsupported_response_type"),
            ("", "invalid_scope"),
            ("&scope=", "invalid_scope"),
            ("&scope=%20", "invalid_scope"),
            ("&scope=a%22b", "invalid_scope"),
            ("&scope=%ff", "invalid_scope"),
            ("&scope=oauth&optional_scope=a%5Cb", "invalid_scope"),
            ("&scope=a&scope=b", "invalid_request"),
            ("&scope=a&state=1&state=2", "invalid_request"),
            ("&scope=a&response_type=code&response_type=code", "invalid_request"),
            ("&scope=oauth&code_challenge_method=S256", "invalid_request"),
            ("&scope=oauth&code_challenge=short&code_challenge_method=S256", "invalid_request"),
        ] {
            assert_eq!(error(AuthorizationPath::AnyHub, more), expected, "{more}");
        }
        for method in ["", "&code_challenge_method=plain", "&code_challenge_method=s256"] {
            let more = format!("&scope=oauth{challenge}{method}");
            assert_eq!(error(AuthorizationPath::AnyHub, &more), "invalid_request", "{more}");
        }
        let repeated = format!("&scope=oauth{challenge}{challenge}&code_challenge_method=S256");
        assert_eq!(error(AuthorizationPath::AnyHub, &repeated), "invalid_request");
    }

    /// HubSpot's SDKs write `%20` and `optional_scope`. HubSpot's guide says `optional_scopes`.
    #[test]
    fn scopes_are_read_in_each_spelling() {
        for more in ["&scope=a%20b", "&scope=a+b", "&scope=a%2Bb"] {
            assert_eq!(valid(more).scopes.to_string(), "a b", "{more}");
        }
        for more in ["&scope=a&optional_scope=b%20a%20c", "&scope=a&optional_scopes=b+c"] {
            assert_eq!(valid(more).optional_scopes.to_string(), "b c", "{more}");
        }
    }

    /// HubSpot's API reference: MCP auth apps send no scope and must send a challenge.
    #[test]
    fn an_mcp_app_must_use_pkce_and_needs_no_scope() {
        assert_eq!(error(AuthorizationPath::Mcp, ""), "invalid_request");
        let more = format!("&code_challenge={CHALLENGE}&code_challenge_method=S256");
        let request = read(AuthorizationPath::Mcp, &more).unwrap();
        assert!(request.scopes.contains("oauth") && request.optional_scopes.is_empty());
        assert_eq!(request.code_challenge.as_deref(), Some(CHALLENGE));
    }

    /// RFC 6749 §4.1.2: the state is returned exactly as it was received.
    #[test]
    fn the_state_is_returned_unchanged() {
        for state in [
            "abc",
            "a%20b",
            "a+b",
            "%41",
            "%2541",
            "%C3%A9%F0%9F%98%80",
            "%FF%00",
            "x%26code%3Devil",
            "=",
            "a=b",
            "%",
            "%zz",
            "/?@!$'()*,;:",
            "a%0D%0Ab",
        ] {
            let url = valid(&format!("&scope=a&state={state}")).redirect_target.to_url(&[("code", "1")]);
            assert_eq!(url, format!("{CALLBACK}?code=1&state={state}"));
        }
        let url = valid("&scope=a&state=\u{e9}\"<[").redirect_target.to_url(&[]);
        assert_eq!(url, format!("{CALLBACK}?state=%C3%A9%22%3C%5B"));
        for none in ["", "&state="] {
            let url = valid(&format!("&scope=a{none}")).redirect_target.to_url(&[("code", "1")]);
            assert_eq!(url, format!("{CALLBACK}?code=1"));
        }
    }
}

//! `GET /oauth/authorize`: what an app asks an account for, checked (RFC 6749 §4.1.1, RFC 7636 §4.3).

use std::borrow::Cow;

use hs_oauth_core::Scopes;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::settings::{Settings, clashes_with_the_answer};

/// Which of the pages a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// `/oauth/authorize`.
    Any,
    /// `/oauth/{hub_id}/authorize`.
    Hub(i64),
    /// `/oauth/authorize/user`, for MCP auth apps: no scopes are sent, PKCE is required.
    Mcp,
}

/// What an app asks for. It may be redirected to.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) back: Back,
    pub(crate) scopes: Scopes,
    pub(crate) optional_scopes: Scopes,
    pub(crate) challenge: Option<String>,
    pub(crate) hub_id: Option<i64>,
}

/// The way back to the app: a registered URI and the state as it came.
#[derive(Clone, Debug)]
pub(crate) struct Back {
    pub(crate) redirect_uri: String,
    state: Option<String>,
}

/// Why nobody can be asked for consent.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The app is not known, or not where it wants the browser sent: a page says so, and nothing is redirected.
    Page(String),
    /// The app is told (RFC 6749 §4.1.2.1).
    Redirect { back: Back, error: &'static str, description: &'static str },
}

impl Variant {
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path.strip_prefix("/oauth/")? {
            "authorize" => Some(Self::Any),
            "authorize/user" => Some(Self::Mcp),
            rest => {
                let hub_id = rest.strip_suffix("/authorize")?;
                let digits = hub_id.bytes().all(|byte| byte.is_ascii_digit());
                hub_id.parse().ok().filter(|_| digits).map(Self::Hub)
            }
        }
    }
}

impl Asked {
    pub(crate) fn read(settings: &Settings, variant: Variant, query: &str) -> Result<Self, Refusal> {
        let query = Query(query);
        let back = query.back(settings).map_err(Refusal::Page)?;
        match query.asked(variant, &back) {
            Ok(asked) => Ok(asked),
            Err((error, description)) => Err(Refusal::Redirect { back, error, description }),
        }
    }
}

impl Back {
    /// The address that tells the app `parameters` and the state. The redirect URI's own query is kept (RFC 6749 §3.1.2).
    pub(crate) fn with(&self, parameters: &[(&str, &str)]) -> String {
        let uri = &self.redirect_uri;
        let mut address = uri.clone();
        let mut separator = match uri.contains('?') {
            false => "?",
            true if uri.ends_with(['?', '&']) => "",
            true => "&",
        };
        let state = self.state.as_deref().map(|state| ("state", Cow::Borrowed(state)));
        let parameters =
            parameters.iter().map(|(name, value)| (*name, utf8_percent_encode(value, ESCAPED).into()));
        for (name, value) in parameters.chain(state) {
            address.extend([separator, name, "=", &*value]);
            separator = "&";
        }
        address
    }
}

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What may not stand in a query (RFC 3986 §3.4). `%` is not among them: it stands for itself or begins an escape.
const NOT_IN_A_QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What an MCP auth app gets: its scopes are not asked for but belong to the app.
const MCP_SCOPES: &str =
    "oauth crm.objects.contacts.read crm.objects.companies.read crm.objects.deals.read tickets";

type Failure = (&'static str, &'static str);

struct Query<'q>(&'q str);

impl<'q> Query<'q> {
    fn back(&self, settings: &Settings) -> Result<Back, String> {
        let needed = |name| match self.one(name) {
            Ok(Some(raw)) => Ok(decoded(raw)),
            Ok(None) => Err(format!("The address has no {name}.")),
            Err(_) => Err(format!("The address has {name} more than once.")),
        };
        if needed("client_id")? != settings.client_id {
            return Err("No app has this client_id.".to_owned());
        }
        let redirect_uri = needed("redirect_uri")?;
        if !settings.redirect_uris.contains(&redirect_uri) {
            return Err("This redirect_uri is not registered for the app. It must be the same to the byte."
                .to_owned());
        }
        if clashes_with_the_answer(&redirect_uri) {
            return Err(
                "This redirect_uri has a parameter code, state or error, which the answer adds.".to_owned()
            );
        }
        // Returned as it was written, so that whatever the app meant by it, it reads the same again.
        let state = self.one("state").ok().flatten().map(verbatim);
        Ok(Back { redirect_uri, state })
    }

    fn asked(&self, variant: Variant, back: &Back) -> Result<Asked, Failure> {
        self.one("state")?;
        if self.text("response_type")?.is_some_and(|kind| kind != "code") {
            return Err(("unsupported_response_type", "the response_type must be code"));
        }
        let challenge = self.text("code_challenge")?;
        match (&challenge, self.text("code_challenge_method")?.as_deref()) {
            (None, None) if variant != Variant::Mcp => {}
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
        let scopes = match variant {
            Variant::Mcp => scopes(MCP_SCOPES)?,
            _ => scopes(&self.text("scope")?.unwrap_or_default())?,
        };
        if scopes.is_empty() {
            return Err(("invalid_scope", "scope is missing"));
        }
        let mut optional_scopes = Scopes::NONE;
        for name in ["optional_scope", "optional_scopes"] {
            let all = self::scopes(&self.text(name)?.unwrap_or_default())?;
            optional_scopes.extend(all.into_iter().filter(|scope| !scopes.contains(scope.as_str())));
        }
        Ok(Asked {
            back: back.clone(),
            scopes,
            optional_scopes: match variant {
                Variant::Mcp => Scopes::NONE,
                _ => optional_scopes,
            },
            challenge,
            hub_id: match variant {
                Variant::Hub(hub_id) => Some(hub_id),
                _ => None,
            },
        })
    }

    fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        Ok(self.one(name)?.map(decoded))
    }

    /// A parameter without a value counts as absent (RFC 6749 §3.1).
    fn one(&self, name: &str) -> Result<Option<&'q str>, Failure> {
        let mut values = (self.0.split('&'))
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .filter(|pair| decoded(pair.0) == name)
            .map(|pair| pair.1);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(("invalid_request", "a parameter is there more than once")),
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
        }
    }
}

fn decoded(raw: &str) -> String {
    percent_decode_str(&raw.replace('+', " ")).decode_utf8_lossy().into_owned()
}

fn verbatim(raw: &str) -> String {
    utf8_percent_encode(raw, NOT_IN_A_QUERY).to_string()
}

/// Scopes with spaces between them, or the `+` that stands for a space and that some apps escape.
fn scopes(text: &str) -> Result<Scopes, Failure> {
    (text.replace('+', " ").parse())
        .map_err(|_| ("invalid_scope", "a scope has characters that may not stand in it"))
}

/// Base64url of a SHA-256 (RFC 7636 §4.2).
fn is_challenge(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() == 43 && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLBACK: &str = "http://localhost:3000/oauth/callback";
    const CLIENT: &str = "client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
        &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn read(variant: Variant, more: &str) -> Result<Asked, Refusal> {
        Asked::read(&Settings::new([0; 32]), variant, &format!("{CLIENT}{more}"))
    }

    fn asked(more: &str) -> Asked {
        read(Variant::Any, more).unwrap()
    }

    fn error(variant: Variant, more: &str) -> &'static str {
        match read(variant, more) {
            Err(Refusal::Redirect { error, .. }) => error,
            other => panic!("{more}: {other:?}"),
        }
    }

    #[test]
    fn the_three_paths_are_told_apart_and_no_other_is_one() {
        assert_eq!(Variant::of("/oauth/authorize"), Some(Variant::Any));
        assert_eq!(Variant::of("/oauth/62515/authorize"), Some(Variant::Hub(62515)));
        assert_eq!(Variant::of("/oauth/authorize/user"), Some(Variant::Mcp));
        for path in [
            "/oauth/authorize/",
            "/oauth//authorize",
            "/oauth/-1/authorize",
            "/oauth/+1/authorize",
            "/oauth/a/authorize",
            "/oauth/99999999999999999999/authorize",
        ] {
            assert_eq!(Variant::of(path), None, "{path}");
        }
    }

    /// RFC 6749 §3.1.2.4: without a valid redirect URI the browser is not sent anywhere.
    #[test]
    fn an_unknown_app_or_address_is_never_redirected_to() {
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
            let refusal = Asked::read(&Settings::new([0; 32]), Variant::Any, &query).unwrap_err();
            assert!(matches!(refusal, Refusal::Page(_)), "{query}");
        }
    }

    /// Each of them would come back twice.
    #[test]
    fn a_redirect_uri_with_a_parameter_of_the_answer_is_never_redirected_to() {
        for (parameter, is_refused) in
            [("code=1", true), ("a=b&state=", true), ("%65rror", true), ("codes=1&x=state", false)]
        {
            let mut settings = Settings::new([0; 32]);
            settings.redirect_uris = vec![format!("https://a.example/cb?{parameter}")];
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("client_id", &settings.client_id)
                .append_pair("redirect_uri", &settings.redirect_uris[0])
                .append_pair("scope", "oauth")
                .finish();
            let refusal = Asked::read(&settings, Variant::Any, &query).err();
            assert_eq!(matches!(refusal, Some(Refusal::Page(_))), is_refused, "{parameter}");
        }
    }

    /// RFC 6749 §4.1.2.1, RFC 7636 §4.4.1.
    #[test]
    fn every_other_fault_is_told_to_the_app_by_its_code() {
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
            assert_eq!(error(Variant::Any, more), expected, "{more}");
        }
        for method in ["", "&code_challenge_method=plain", "&code_challenge_method=s256"] {
            let more = format!("&scope=oauth{challenge}{method}");
            assert_eq!(error(Variant::Any, &more), "invalid_request", "{more}");
        }
        let repeated = format!("&scope=oauth{challenge}{challenge}&code_challenge_method=S256");
        assert_eq!(error(Variant::Any, &repeated), "invalid_request");
    }

    /// HubSpot's SDKs write %20 and `optional_scope`; its guide says `optional_scopes`.
    #[test]
    fn scopes_are_read_in_every_spelling() {
        for more in ["&scope=a%20b", "&scope=a+b", "&scope=a%2Bb"] {
            assert_eq!(asked(more).scopes.to_string(), "a b", "{more}");
        }
        for more in ["&scope=a&optional_scope=b%20a%20c", "&scope=a&optional_scopes=b+c"] {
            assert_eq!(asked(more).optional_scopes.to_string(), "b c", "{more}");
        }
    }

    /// HubSpot's API reference: MCP auth apps send no scope and must send a challenge.
    #[test]
    fn an_mcp_app_needs_pkce_and_no_scope() {
        assert_eq!(error(Variant::Mcp, ""), "invalid_request");
        let more = format!("&code_challenge={CHALLENGE}&code_challenge_method=S256");
        let asked = read(Variant::Mcp, &more).unwrap();
        assert!(asked.scopes.contains("oauth") && asked.optional_scopes.is_empty());
        assert_eq!(asked.challenge.as_deref(), Some(CHALLENGE));
    }

    /// RFC 6749 §4.1.2: the exact value received from the client.
    #[test]
    fn the_state_comes_back_to_the_byte() {
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
            let address = asked(&format!("&scope=a&state={state}")).back.with(&[("code", "1")]);
            assert_eq!(address, format!("{CALLBACK}?code=1&state={state}"));
        }
        let address = asked("&scope=a&state=\u{e9}\"<[").back.with(&[]);
        assert_eq!(address, format!("{CALLBACK}?state=%C3%A9%22%3C%5B"));
        for none in ["", "&state="] {
            let address = asked(&format!("&scope=a{none}")).back.with(&[("code", "1")]);
            assert_eq!(address, format!("{CALLBACK}?code=1"));
        }
    }

    /// RFC 6749 §3.1.2.
    #[test]
    fn the_redirect_uris_own_query_is_kept() {
        for (uri, expected) in [
            ("https://a.example/cb", "https://a.example/cb?code=a%20b&state=s"),
            ("https://a.example/cb?", "https://a.example/cb?code=a%20b&state=s"),
            ("https://a.example/cb?x=1", "https://a.example/cb?x=1&code=a%20b&state=s"),
            ("https://a.example/cb?x=1&", "https://a.example/cb?x=1&code=a%20b&state=s"),
        ] {
            let back = Back { redirect_uri: uri.to_owned(), state: Some("s".to_owned()) };
            assert_eq!(back.with(&[("code", "a b")]), expected);
        }
    }
}

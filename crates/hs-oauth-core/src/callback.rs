//! The callback: the request by which the browser comes back from the consent page, and the check of its query.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{NextStep, OAuthCode, Redact};
use crate::invalid_argument::InvalidArgument;
use crate::scope::Scopes;
use crate::secret::{Code, CodeVerifier, State};
use crate::timestamp::Timestamp;

/// The most bytes that the query of a callback may have: 16 KiB. HubSpot's queries have a few hundred.
pub const MAX_CALLBACK_SIZE: usize = 16 * 1024;

/// What an application stores in the browser's session from the redirect to the consent page until the callback.
///
/// It can be serialized, for sessions that are stored. It has secrets in it, so the browser must not be able to read the session.
///
/// [`PendingAuthorizations`](crate::PendingAuthorizations) holds those of several tabs.
///
/// What a version without `begun_at` has stored can still be read, so that no session is lost. As nobody knows how old it is, it counts
/// as begun in 1970, and [`accept`](Self::accept) asks to start again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an authorization under way")]
pub struct PendingAuthorization {
    #[serde(rename = "state")]
    state: State,
    #[serde(rename = "code_verifier")]
    code_verifier: Option<CodeVerifier>,
    #[serde(rename = "redirect_uri")]
    redirect_uri: String,
    #[serde(rename = "begun_at", default = "unknown")]
    begun_at: Timestamp,
    #[serde(rename = "expires_at", default = "unknown")]
    expires_at: Timestamp,
    /// The scopes that were asked for as required, with spaces between them, as in the authorization URL.
    #[serde(rename = "scope", default)]
    scope: String,
    #[serde(rename = "optional_scope", default)]
    optional_scope: String,
}

/// The time that counts for an authorization that does not say when it began.
const fn unknown() -> Timestamp {
    Timestamp::from_millis(0)
}

/// An authorization code from a callback whose `state` was checked, with everything that its exchange needs.
///
/// [`PendingAuthorization::accept`] returns one, so that the check against cross-site request forgery (RFC 6749 §10.12) cannot be
/// forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationCode {
    code: Code,
    code_verifier: Option<CodeVerifier>,
    redirect_uri: String,
    scopes: Scopes,
    optional_scopes: Scopes,
}

impl PendingAuthorization {
    /// Returns an authorization that began at `begun_at` and is accepted until `max_age` later.
    pub(crate) fn new(
        state: State,
        code_verifier: Option<CodeVerifier>,
        redirect_uri: String,
        begun_at: Timestamp,
        max_age: Duration,
    ) -> Self {
        Self {
            state,
            code_verifier,
            redirect_uri,
            begun_at,
            expires_at: begun_at.plus(max_age),
            scope: String::new(),
            optional_scope: String::new(),
        }
    }

    /// Remembers the scopes that the authorization asks for.
    pub(crate) fn asking_for(self, scope: String, optional_scope: String) -> Self {
        Self { scope, optional_scope, ..self }
    }

    /// Returns the `state` of the authorization. The callback must have the same one.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Returns the PKCE secret, if the authorization has one.
    pub fn code_verifier(&self) -> Option<&CodeVerifier> {
        self.code_verifier.as_ref()
    }

    /// Returns the redirect URI that the authorization began with.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Returns the scopes that the authorization asks for as required, those included that are required of this account only. They are
    /// empty for an MCP auth app, and for an authorization that was stored before they were remembered.
    pub fn scopes(&self) -> Scopes {
        Scopes::from_response_text(&self.scope)
    }

    /// Returns the scopes that the authorization asks for as optional.
    pub fn optional_scopes(&self) -> Scopes {
        Scopes::from_response_text(&self.optional_scope)
    }

    /// Returns how many bytes it takes as JSON, or a few more.
    pub(crate) fn stored_size(&self) -> usize {
        const NAMES_AND_TIMES: usize = 144;
        let verifier = self.code_verifier.as_ref().map_or(4, |verifier| verifier.expose().len());
        let texts = [self.state.expose(), &self.redirect_uri, &self.scope, &self.optional_scope];
        texts.iter().map(|text| text.len()).sum::<usize>() + verifier + NAMES_AND_TIMES
    }

    /// Returns when the authorization began.
    pub const fn begun_at(&self) -> Timestamp {
        self.begun_at
    }

    /// Returns when the authorization becomes too old to be accepted.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Reads the query of the callback (`code=…&state=…`, with or without the `?`). Returns the code if the callback belongs to this
    /// authorization. `now` is the time of the callback.
    ///
    /// Take the authorization out of the session before the code is exchanged. Then nobody can send the code a second time by loading
    /// the page again, for which HubSpot may take back the tokens (RFC 6749 §4.1.2).
    ///
    /// # Errors
    /// [`CallbackError`] if the callback has no code that can be used. If its `state` is missing, repeated or different, or the
    /// authorization is too old, nothing else in it is read. Unless it is too old, the authorization can still be completed after an
    /// error, since the right callback may yet come.
    pub fn accept(&self, now: Timestamp, query: &str) -> Result<AuthorizationCode, CallbackError> {
        if state(query)? != self.state {
            return Err(CallbackError::StateMismatch);
        }
        if now >= self.expires_at {
            return Err(CallbackError::Expired);
        }
        let one = |name| parameter(query, name);
        if let Some(error) = one("error")? {
            let description = one("error_description")?;
            // The authorization can still be completed after a refusal, so its secrets must stay secret.
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
            scopes: self.scopes(),
            optional_scopes: self.optional_scopes(),
        })
    }
}

/// Returns the `state` of a callback.
///
/// # Errors
/// The callback's error if it is too long, or if it has no `state`, several ones, or one that no authorization can have.
pub(crate) fn state(query: &str) -> Result<State, CallbackError> {
    if query.len() > MAX_CALLBACK_SIZE {
        return Err(CallbackError::TooLong);
    }
    let state = parameter(query, "state")?.ok_or(CallbackError::Missing("state"))?;
    State::new(state).map_err(|_| CallbackError::StateMismatch)
}

/// Returns the value of a parameter, or `None` if it is absent or empty.
///
/// # Errors
/// [`CallbackError::Repeated`] if it is there more than once (RFC 6749 §3.1).
pub(crate) fn parameter<'q>(
    query: &'q str,
    name: &'static str,
) -> Result<Option<Cow<'q, str>>, CallbackError> {
    let query = query.strip_prefix('?').unwrap_or(query).as_bytes();
    let mut values = form_urlencoded::parse(query).filter(|pair| pair.0 == name).map(|pair| pair.1);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(CallbackError::Repeated(name)),
        (value, None) => Ok(value.filter(|value| !value.is_empty())),
    }
}

impl AuthorizationCode {
    /// Takes a code from a callback whose `state` **the caller has checked**, or a code that came without a browser: pasted into a
    /// terminal, or made by a test.
    ///
    /// A web application must use [`PendingAuthorization::accept`] instead, or it is open to cross-site request forgery. `redirect_uri`
    /// is the one that the authorization began with, and `code_verifier` is its PKCE secret if it has one.
    pub fn from_caller_who_checked_state(
        code: Code,
        redirect_uri: impl Into<String>,
        code_verifier: Option<CodeVerifier>,
    ) -> Self {
        let (scopes, optional_scopes) = (Scopes::NONE, Scopes::NONE);
        Self { code, code_verifier, redirect_uri: redirect_uri.into(), scopes, optional_scopes }
    }

    /// Returns the authorization code.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// Returns the PKCE secret, if the authorization has one.
    pub fn code_verifier(&self) -> Option<&CodeVerifier> {
        self.code_verifier.as_ref()
    }

    /// Returns the redirect URI that the authorization began with.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Returns the scopes that were asked for as required, those included that are required of this account only. They are empty if
    /// they are not known.
    pub const fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Returns the scopes that were asked for as optional. They are empty if they are not known.
    pub const fn optional_scopes(&self) -> &Scopes {
        &self.optional_scopes
    }
}

/// Why a callback has no code that can be used. [`CallbackError::next_step`] says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackError {
    /// A parameter is absent or empty. A callback without `state` may be forged.
    #[error("the callback has no `{_0}`")]
    Missing(&'static str),
    /// A parameter occurs more than once (RFC 6749 §3.1).
    #[error("the callback has `{_0}` more than once")]
    Repeated(&'static str),
    /// The `state` is not the one of this authorization. It comes from another tab or from an earlier authorization, or is forged.
    #[error("the callback's `state` belongs to another authorization")]
    StateMismatch,
    /// No authorization with this `state` is pending in this browser. It was completed already, since the page was loaded again or the
    /// user went back; or it began in another browser, or is forged.
    #[error(
        "no authorization with the callback's `state` is pending here; it may have been completed already"
    )]
    NotPending,
    /// The authorization began too long ago: [`Authorize::with_max_age`](crate::Authorize::with_max_age) says how long.
    #[error("the authorization began too long ago")]
    Expired,
    /// A parameter has characters that are not allowed in it.
    #[error("the callback's `{_0}` has characters that may not stand in it")]
    Malformed(&'static str),
    /// The user or HubSpot refused the authorization (RFC 6749 §4.1.2.1).
    #[error("the authorization was refused: {error}{}", parenthesized(description.as_deref()))]
    Refused {
        /// The error code: [`OAuthCode::AccessDenied`] if the user refused.
        error: OAuthCode,
        /// HubSpot's description of the error. The secrets of the authorization are removed from it, control characters are replaced,
        /// and it ends after 512 characters.
        description: Option<String>,
    },
    /// The `returnUrl` of an install from the Marketplace is not an address of HubSpot's. Somebody else wrote it, to send the browser to
    /// a place of their own. Redirect nowhere.
    #[error("the callback's `returnUrl` is not an address of HubSpot's: {url}")]
    ForgedReturnUrl {
        /// The address. The secrets of the callback are removed from it, control characters are replaced, and it ends after 512
        /// characters.
        url: String,
    },
    /// The app has no redirect URI, without which a code cannot be exchanged.
    #[error(transparent)]
    App(InvalidArgument),
    /// The query has more than [`MAX_CALLBACK_SIZE`] bytes.
    #[error("the callback is longer than {MAX_CALLBACK_SIZE} bytes")]
    TooLong,
}

impl CallbackError {
    /// Returns what to do next. That is to start the authorization again, unless the error says that the app is set up wrongly or that
    /// HubSpot is busy.
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
            Self::App(error) => error.next_step(),
            Self::Refused { error: OAuthCode::ServerError | OAuthCode::TemporarilyUnavailable, .. } => {
                NextStep::RetryAfter(None)
            }
            _ => NextStep::RestartAuthorization,
        }
    }
}

fn parenthesized(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!(" ({text})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending() -> PendingAuthorization {
        let verifier = CodeVerifier::from_random(&[0; 32]);
        let redirect_uri = "https://myapp.example.com/cb?tenant=a%20b".to_owned();
        let state = State::from_random(&[0xff; 32]);
        PendingAuthorization::new(state, Some(verifier), redirect_uri, BEGUN_AT, Duration::from_secs(3600))
            .asking_for("oauth crm.read".to_owned(), String::new())
    }

    const BEGUN_AT: Timestamp = Timestamp::from_secs(1_790_000_000);
    const NOW: Timestamp = Timestamp::from_secs(1_790_000_060);

    const STATE: &str = "__________________________________________8";

    #[test]
    fn the_stored_form_of_a_pending_authorization_is_this_text() {
        let with_verifier = r#"{"state":"__________________________________________8","code_verifier":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","redirect_uri":"https://myapp.example.com/cb?tenant=a%20b","begun_at":1790000000000,"expires_at":1790003600000,"scope":"oauth crm.read","optional_scope":""}"#;
        assert_eq!(serde_json::to_string(&pending()).unwrap(), with_verifier);
        assert_eq!(serde_json::from_str::<PendingAuthorization>(with_verifier).unwrap(), pending());

        let pending = PendingAuthorization { code_verifier: None, ..pending() };
        let without_verifier = r#"{"state":"__________________________________________8","code_verifier":null,"redirect_uri":"https://myapp.example.com/cb?tenant=a%20b","begun_at":1790000000000,"expires_at":1790003600000,"scope":"oauth crm.read","optional_scope":""}"#;
        assert_eq!(serde_json::to_string(&pending).unwrap(), without_verifier);
        assert_eq!(serde_json::from_str::<PendingAuthorization>(without_verifier).unwrap(), pending);
        let absent = without_verifier.replace(r#""code_verifier":null,"#, "");
        assert_eq!(serde_json::from_str::<PendingAuthorization>(&absent).unwrap(), pending);
    }

    #[test]
    fn a_session_stored_before_scopes_were_remembered_is_read_and_still_completed() {
        let old = r#"{"state":"__________________________________________8","code_verifier":null,"redirect_uri":"https://myapp.example.com/cb","begun_at":1790000000000,"expires_at":1790003600000}"#;
        let pending: PendingAuthorization = serde_json::from_str(old).unwrap();
        let code = pending.accept(NOW, &format!("code=abc&state={STATE}")).unwrap();
        assert!(code.scopes().is_empty() && code.optional_scopes().is_empty());
    }

    /// RFC 6749 §10.12: what nobody has finished for long may be somebody else's by now, at a shared computer.
    #[test]
    fn an_authorization_is_accepted_for_its_time_and_not_after() {
        let pending = pending();
        let query = format!("state={STATE}&code=abc");
        assert_eq!((pending.begun_at(), pending.expires_at().since(BEGUN_AT).as_secs()), (BEGUN_AT, 3600));
        let last = pending.expires_at().minus(Duration::from_millis(1));
        // The clock of another machine may be behind that of the one on which it began.
        for now in [BEGUN_AT, BEGUN_AT.minus(Duration::from_secs(30)), last] {
            assert!(pending.accept(now, &query).is_ok(), "{now}");
        }
        for now in [pending.expires_at(), pending.expires_at().plus(Duration::from_secs(1))] {
            let error = pending.accept(now, &query).unwrap_err();
            assert_eq!(error, CallbackError::Expired, "{now}");
            assert_eq!(error.next_step(), NextStep::RestartAuthorization);
            // A callback of another authorization learns nothing about this one.
            assert_eq!(pending.accept(now, "state=A&code=b"), Err(CallbackError::StateMismatch));
        }
    }

    #[test]
    fn a_session_stored_before_authorizations_had_an_age_is_read_and_asks_to_start_again() {
        let old = r#"{"state":"__________________________________________8","code_verifier":null,"redirect_uri":"https://myapp.example.com/cb"}"#;
        let pending: PendingAuthorization = serde_json::from_str(old).unwrap();
        assert_eq!(pending.begun_at(), Timestamp::from_millis(0));
        assert_eq!(pending.accept(NOW, &format!("state={STATE}&code=abc")), Err(CallbackError::Expired));
    }

    /// RFC 6749 §4.1.2.
    #[test]
    fn the_right_callback_gives_the_code_and_everything_that_its_exchange_needs() {
        for query in [
            format!("code=abc%2Fdef&state={STATE}"),
            format!("?state={STATE}&code=abc/def&hub_id=62515&unknown"),
        ] {
            let code = pending().accept(NOW, &query).unwrap();
            assert_eq!(code.code().expose(), "abc/def");
            assert_eq!(code.redirect_uri(), "https://myapp.example.com/cb?tenant=a%20b");
            assert_eq!(code.code_verifier().unwrap().expose(), "A".repeat(43));
        }
    }

    /// RFC 6749 §10.12 and §3.1.
    #[test]
    fn every_other_callback_is_an_error_that_names_the_reason() {
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
            ("a=".repeat(MAX_CALLBACK_SIZE), CallbackError::TooLong),
        ] {
            let refused = pending().accept(NOW, &query).unwrap_err();
            assert_eq!(refused, error, "{query}");
            assert_eq!(refused.next_step(), NextStep::RestartAuthorization);
        }
    }

    #[test]
    fn an_error_does_not_show_secrets_that_the_callback_repeats() {
        let pending = pending();
        let verifier = pending.code_verifier().unwrap().expose();
        let code = "CODE____-4b5a-4978";
        for text in [STATE, code, &format!("of+{verifier}+"), &STATE.replace('_', "%255F")] {
            for query in [format!("error={text}"), format!("error=access_denied&error_description={text}")] {
                let refused = pending.accept(NOW, &format!("{query}&state={STATE}&code={code}")).unwrap_err();
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
    fn each_error_code_has_its_next_step() {
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
            let refused = pending().accept(NOW, &format!("state={STATE}&error={error}")).unwrap_err();
            assert_eq!(refused.next_step(), next, "{error}");
        }
    }
}

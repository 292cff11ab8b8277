//! The way back from the consent page: what is kept meanwhile, and the check of the callback.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::error::{NextStep, OAuthCode, Redact};
use crate::secret::{Code, CodeVerifier, State};

/// The longest callback query that is read, in bytes. HubSpot's have a few hundred.
pub const MAX_CALLBACK_SIZE: usize = 16 * 1024;

/// What an application keeps in the browser's session between sending it away and getting it back. Serializable, for
/// sessions that are stored; it holds secrets, so the store must be one the browser cannot read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an authorization under way")]
pub struct PendingAuthorization {
    #[serde(rename = "state")]
    state: State,
    #[serde(rename = "code_verifier")]
    code_verifier: Option<CodeVerifier>,
    #[serde(rename = "redirect_uri")]
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

impl PendingAuthorization {
    pub(crate) const fn new(state: State, code_verifier: Option<CodeVerifier>, redirect_uri: String) -> Self {
        Self { state, code_verifier, redirect_uri }
    }

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
        if query.len() > MAX_CALLBACK_SIZE {
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

/// Why a callback gave no code. The authorization has to be begun again, or it was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackError {
    /// A parameter is absent or empty. Without `state` the callback may be forged.
    #[error("the callback has no `{_0}`")]
    Missing(&'static str),
    /// A parameter is there more than once (RFC 6749 §3.1).
    #[error("the callback has `{_0}` more than once")]
    Repeated(&'static str),
    /// The `state` is not the one of this authorization: it is another tab's, an old one, or forged.
    #[error("the callback's `state` belongs to another authorization")]
    StateMismatch,
    /// A parameter has characters that it may not have.
    #[error("the callback's `{_0}` has characters that may not stand in it")]
    Malformed(&'static str),
    /// The person or HubSpot refused (RFC 6749 §4.1.2.1).
    #[error("the authorization was refused: {error}{}", parenthesized(description.as_deref()))]
    Refused {
        /// The error code: [`OAuthCode::AccessDenied`] when the person said no.
        error: OAuthCode,
        /// HubSpot's description. The authorization's secrets are taken out, control characters are replaced, and the text is
        /// cut at 512 characters.
        description: Option<String>,
    },
    /// The query is longer than [`MAX_CALLBACK_SIZE`].
    #[error("the callback is longer than {MAX_CALLBACK_SIZE} bytes")]
    TooLong,
}

impl CallbackError {
    /// Returns what to do next: start again, unless the error says that the app is set up wrongly or that HubSpot is busy.
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

fn parenthesized(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!(" ({text})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending() -> PendingAuthorization {
        let verifier = CodeVerifier::from_random(&[0; 32]);
        let redirect_uri = "https://myapp.example.com/cb?tenant=a%20b".to_owned();
        PendingAuthorization::new(State::from_random(&[0xff; 32]), Some(verifier), redirect_uri)
    }

    const STATE: &str = "__________________________________________8";

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
            ("a=".repeat(MAX_CALLBACK_SIZE), CallbackError::TooLong),
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
}

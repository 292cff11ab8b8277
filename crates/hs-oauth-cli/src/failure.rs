//! Why a command failed: in words, as JSON and as an exit status.

use std::fmt;
use std::io;
use std::path::PathBuf;

use hs_oauth_blocking::{CallbackError, Error, InvalidArgument, NextStep, StoreError, TokenError, TokenSet};
use serde_json::{Map, Value};

use crate::environment::{self, NotUtf8, Variable};

/// Why a command gives no report.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command cannot run with these flags and variables. Nothing was sent.
    Usage(String),
    /// The callback holds no code that may be used. Nothing was sent.
    Callback(CallbackError),
    /// The call to HubSpot failed.
    Call(Error),
    /// The call failed, or the account has no token, or its tokens could not be stored.
    Token(TokenError),
    /// The store failed.
    Store(StoreError),
    /// The report could not be printed. If it held new tokens, they are in the file `saved_to`.
    NotPrinted { error: io::Error, saved_to: Option<PathBuf> },
    /// A new refresh token could be neither printed nor written to a file.
    TokensLost(io::Error),
    /// Something failed on this machine.
    Other(String),
    /// Something did not happen in time. Nothing is wrong, and the same command may succeed later.
    TimedOut(String),
    /// The account has no tokens that can be used, as this text says.
    NotConnected(String),
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// Returns the failure of a command that requires a value which is not given.
    pub(crate) fn missing(variable: &Variable) -> Self {
        Self::Usage(variable.missing())
    }

    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            _ => Self::status_of(self.next_step()),
        }
    }

    /// Returns the exit status that asks for this step.
    pub(crate) const fn status_of(step: NextStep) -> u8 {
        match step {
            NextStep::Reauthorize | NextStep::RestartAuthorization => 3,
            NextStep::FixConfiguration => 4,
            NextStep::RetryAfter(_) => 5,
            NextStep::ReportBug => 1,
        }
    }

    /// Returns what happened, for a page in the browser: without the advice, which is for the terminal.
    pub(crate) fn brief(error: &TokenError) -> String {
        without_advice(error)
    }

    /// Returns what to do next, in words.
    pub(crate) fn advice(&self) -> String {
        let step = self.next_step();
        match (self, step) {
            (Self::Usage(_), _) => "see `hs-oauth --help`".to_owned(),
            (Self::NotPrinted { saved_to: Some(path), .. }, _) => {
                format!("the new tokens are in {}: go on with those, the old refresh token may be spent", path.display())
            }
            (Self::TokensLost(_), _) => {
                "try the old refresh token, if there is one; if it is refused, the account has to connect again".to_owned()
            }
            (Self::Call(error) | Self::Token(TokenError::Call(error)), NextStep::RetryAfter(_))
                if error.rescued_refresh_token().is_some() =>
            {
                "go on with the rescued refresh token: `hs-oauth refresh` takes it; what was sent may be spent".to_owned()
            }
            (Self::NotPrinted { .. } | Self::Other(_), _) => {
                "fix the cause on this machine, then try again".to_owned()
            }
            (Self::NotConnected(_), _) => {
                "connect the account, with `hs-oauth login` or `hs-oauth authorize-url`".to_owned()
            }
            (_, NextStep::Reauthorize | NextStep::RestartAuthorization) => {
                format!("{step}, beginning with `hs-oauth login` or `hs-oauth authorize-url`")
            }
            (_, NextStep::FixConfiguration) => {
                format!("{step} (client id and secret, redirect URI, scopes, API version and base)")
            }
            _ => step.to_string(),
        }
    }

    /// Returns the object that `--json` prints.
    pub(crate) fn object(&self) -> Map<String, Value> {
        let mut object = self.rescued_tokens();
        let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
        put("error", self.error_code().into());
        put("message", self.to_string().into());
        put("next_step", self.next_step().name().into());
        if let NextStep::RetryAfter(Some(wait)) = self.next_step() {
            put("retry_after", (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).into());
        }
        if let Some(error) = self.call() {
            if let Some(status) = error.status() {
                put("status", status.as_u16().into());
            }
            if let Some(api_error) = error.as_api() {
                let code = api_error.code.as_ref().or(api_error.sub_category.as_ref());
                for (name, value) in [
                    ("code", code.map(|code| code.as_str())),
                    ("policyName", api_error.policy_name.as_deref()),
                    ("correlationId", api_error.correlation_id.as_deref()),
                ] {
                    if let Some(value) = value {
                        put(name, value.into());
                    }
                }
            }
        }
        object
    }

    /// Returns the tokens that could be read from a response that is otherwise unusable, under HubSpot's names.
    pub(crate) fn rescued_tokens(&self) -> Map<String, Value> {
        let mut tokens = Map::new();
        if let Some(unsaved) = self.unsaved_tokens() {
            if unsaved.has_access_token() {
                tokens.insert("access_token".to_owned(), unsaved.access_token.expose().into());
            }
            if let Some(token) = &unsaved.refresh_token {
                tokens.insert("refresh_token".to_owned(), token.expose().into());
            }
        }
        if let Some(error) = self.call() {
            if let Some(token) = error.rescued_access_token() {
                tokens.insert("access_token".to_owned(), token.expose().into());
            }
            if let Some(token) = error.rescued_refresh_token() {
                tokens.insert("refresh_token".to_owned(), token.expose().into());
            }
        }
        tokens
    }

    /// Returns the error of the call that failed, if one did.
    fn call(&self) -> Option<&Error> {
        match self {
            Self::Call(error) | Self::Token(TokenError::Call(error)) => Some(error),
            Self::Token(TokenError::Gone { refusal, .. }) => refusal.as_ref(),
            Self::Token(TokenError::MassRefusal { refusal }) => Some(refusal),
            _ => None,
        }
    }

    /// Returns tokens that HubSpot issued and that are stored nowhere.
    fn unsaved_tokens(&self) -> Option<&TokenSet> {
        match self {
            Self::Token(error) => error.tokens(),
            _ => None,
        }
    }

    fn next_step(&self) -> NextStep {
        match self {
            Self::Usage(_) => NextStep::FixConfiguration,
            Self::Callback(error) => error.next_step(),
            Self::Call(error) => error.next_step(),
            Self::Token(error) => error.next_step(),
            Self::Store(error) => error.next_step(),
            Self::TimedOut(_) => NextStep::RetryAfter(None),
            Self::NotConnected(_) => NextStep::Reauthorize,
            Self::NotPrinted { .. } | Self::TokensLost(_) | Self::Other(_) => NextStep::ReportBug,
        }
    }

    /// Returns what failed, for programs: the code of HubSpot or of RFC 6749 where there is one.
    fn error_code(&self) -> &str {
        match self {
            Self::Usage(_) => "usage",
            Self::Callback(CallbackError::Refused { error, .. }) => error.as_str(),
            Self::Callback(_) => "callback",
            Self::Call(error) | Self::Token(TokenError::Call(error)) => call_code(error),
            Self::Token(error) => error.name(),
            Self::Store(_) => "store",
            Self::TimedOut(_) => "timeout",
            Self::NotConnected(_) => "not_installed",
            Self::NotPrinted { .. } | Self::TokensLost(_) | Self::Other(_) => "other",
        }
    }
}

/// Returns the code of HubSpot or of RFC 6749 in an error, or what kind of error it is.
fn call_code(error: &Error) -> &str {
    match error {
        Error::Api(api_error) => {
            let error = api_error.error.as_ref().map(|error| error.as_str());
            error.or(api_error.category.as_deref()).unwrap_or("refused")
        }
        Error::Response(_) => "unusable_answer",
        Error::Transport(error) => error.kind().name(),
        _ => "no_answer",
    }
}

/// Returns the text of an error without the advice, which has a line of its own.
fn without_advice(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    text.split("; next: ").next().unwrap_or_default().to_owned()
}

impl fmt::Display for Failure {
    /// Writes what happened, without the advice.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Other(text) | Self::TimedOut(text) | Self::NotConnected(text) => {
                f.write_str(text)
            }
            Self::Callback(error) => error.fmt(f),
            Self::NotPrinted { error, .. } => write!(f, "could not write to standard output: {error}"),
            Self::TokensLost(error) => {
                write!(
                    f,
                    "the refresh token HubSpot has just issued could be neither printed nor kept: {error}"
                )
            }
            Self::Call(error) => {
                let text = error.to_string();
                // The advice has a line of its own.
                let next = format!("; next: {}", error.next_step());
                f.write_str(text.strip_suffix(&next).unwrap_or(&text))
            }
            Self::Token(error) => f.write_str(&without_advice(error)),
            Self::Store(error) => f.write_str(&without_advice(error)),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<CallbackError> for Failure {
    fn from(error: CallbackError) -> Self {
        Self::Callback(error)
    }
}

impl From<NotUtf8> for Failure {
    fn from(error: NotUtf8) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<InvalidArgument> for Failure {
    /// Names the places that the value can have come from.
    fn from(invalid: InvalidArgument) -> Self {
        let flag = format!("--{}", invalid.argument.replace('_', "-"));
        let sources = match environment::find(&flag) {
            Some(variable) => variable.sources(),
            None if matches!(invalid.argument, "scope" | "optional_scope") => flag,
            None => return Self::Usage(invalid.to_string()),
        };
        Self::Usage(format!("{invalid} (from {sources})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hs_oauth_blocking::{TransportError, TransportErrorKind};

    #[test]
    fn the_message_has_the_cause_and_leaves_the_advice_out() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = Error::Transport(TransportError::with_source(TransportErrorKind::Connect, refused));
        let failure = Failure::from(error);
        assert_eq!(failure.to_string(), "could not connect: connection refused");
        assert_eq!(failure.advice(), "try again later");
        assert_eq!(failure.exit_status(), 5);
        assert_eq!(failure.object()["next_step"], "retry_after");
    }
}

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::PathBuf;

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use hs_oauth_blocking::{CallbackError, Error, InvalidArgument, NextStep};
use serde_json::{Map, Value};

use crate::Cli;
use crate::secret;

/// Why a command gives no report.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What `--help` or `--version` asked for.
    Help(String),
    /// The command cannot be carried out as it was given; nothing was sent.
    Usage(String),
    /// The callback gave no code; nothing was sent.
    Callback(CallbackError),
    /// The call failed.
    Call(Error),
    /// The report could not be printed; if it held new tokens, they are in the file `kept`.
    Unprinted { error: io::Error, kept: Option<PathBuf> },
    /// A new refresh token could be neither printed nor kept.
    Lost(io::Error),
    /// This machine failed.
    Other(String),
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Help(_) => 0,
            Self::Usage(_) => 2,
            _ => match self.next_step() {
                NextStep::Reauthorize | NextStep::RestartAuthorization => 3,
                NextStep::FixConfiguration => 4,
                NextStep::RetryAfter(_) => 5,
                _ => 1,
            },
        }
    }

    /// What to do next, in words.
    pub(crate) fn advice(&self) -> String {
        let step = self.next_step();
        match (self, step) {
            (Self::Usage(_), _) => "see `hs-oauth --help`".to_owned(),
            (Self::Unprinted { kept: Some(path), .. }, _) => {
                format!("the new tokens are in {}: go on with those, the old refresh token may be spent", path.display())
            }
            (Self::Lost(_), _) => {
                "try the old refresh token, if there is one; if it is refused, the account has to connect again".to_owned()
            }
            (Self::Call(error), NextStep::RetryAfter(_)) if error.rescued_refresh_token().is_some() => {
                "go on with the rescued refresh token: `hs-oauth refresh` takes it; what was sent may be spent".to_owned()
            }
            (Self::Unprinted { .. } | Self::Other(_), _) => "look at this machine, then try again".to_owned(),
            (_, NextStep::Reauthorize | NextStep::RestartAuthorization) => {
                format!("{step}, beginning with `hs-oauth authorize-url`")
            }
            (_, NextStep::FixConfiguration) => {
                format!("{step} (client id and secret, redirect URI, scopes, API version and base)")
            }
            _ => step.to_string(),
        }
    }

    /// What `--json` prints.
    pub(crate) fn object(&self) -> Map<String, Value> {
        let mut object = self.rescued();
        let mut put = |name: &str, value: Value| drop(object.insert(name.to_owned(), value));
        put("error", self.code().into());
        put("message", self.to_string().into());
        put("next_step", self.next_step().name().into());
        if let NextStep::RetryAfter(Some(wait)) = self.next_step() {
            put("retry_after", (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).into());
        }
        if let Self::Call(error) = self {
            if let Some(status) = error.status() {
                put("status", status.as_u16().into());
            }
            if let Some(refusal) = error.as_api() {
                let code = refusal.code.as_ref().or(refusal.sub_category.as_ref());
                for (name, value) in [
                    ("code", code.map(|code| code.as_str())),
                    ("policyName", refusal.policy_name.as_deref()),
                    ("correlationId", refusal.correlation_id.as_deref()),
                ] {
                    if let Some(value) = value {
                        put(name, value.into());
                    }
                }
            }
        }
        object
    }

    /// The tokens of an answer that could otherwise not be used, under HubSpot's names.
    pub(crate) fn rescued(&self) -> Map<String, Value> {
        let mut tokens = Map::new();
        if let Self::Call(error) = self {
            if let Some(token) = error.rescued_access_token() {
                tokens.insert("access_token".to_owned(), token.expose().into());
            }
            if let Some(token) = error.rescued_refresh_token() {
                tokens.insert("refresh_token".to_owned(), token.expose().into());
            }
        }
        tokens
    }

    fn next_step(&self) -> NextStep {
        match self {
            Self::Help(_) | Self::Usage(_) => NextStep::FixConfiguration,
            Self::Callback(error) => error.next_step(),
            Self::Call(error) => error.next_step(),
            Self::Unprinted { .. } | Self::Lost(_) | Self::Other(_) => NextStep::ReportBug,
        }
    }

    /// What failed, for programs: HubSpot's or the RFC's own code where there is one.
    fn code(&self) -> &str {
        match self {
            Self::Help(_) | Self::Usage(_) => "usage",
            Self::Callback(CallbackError::Refused { error, .. }) => error.as_str(),
            Self::Callback(_) => "callback",
            Self::Call(Error::Api(refusal)) => {
                let error = refusal.error.as_ref().map(|error| error.as_str());
                error.or(refusal.category.as_deref()).unwrap_or("refused")
            }
            Self::Call(Error::Response(_)) => "unusable_answer",
            Self::Call(Error::Transport(error)) => error.kind().name(),
            Self::Call(_) => "no_answer",
            Self::Unprinted { .. } | Self::Lost(_) | Self::Other(_) => "other",
        }
    }
}

impl fmt::Display for Failure {
    /// What happened.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Help(text) | Self::Usage(text) | Self::Other(text) => f.write_str(text),
            Self::Callback(error) => error.fmt(f),
            Self::Unprinted { error, .. } => write!(f, "could not write to standard output: {error}"),
            Self::Lost(error) => {
                write!(
                    f,
                    "the refresh token HubSpot has just issued could be neither printed nor kept: {error}"
                )
            }
            Self::Call(error) => {
                let text = error.to_string();
                // The advice has a line of its own.
                let next = format!("; next: {}", error.next_step());
                f.write_str(text.strip_suffix(&next).unwrap_or(&text))?;
                match error.source() {
                    Some(source) => write!(f, ": {source}"),
                    None => Ok(()),
                }
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<CallbackError> for Failure {
    fn from(error: CallbackError) -> Self {
        Self::Callback(error)
    }
}

impl From<InvalidArgument> for Failure {
    fn from(invalid: InvalidArgument) -> Self {
        let argument = invalid.argument;
        let flag = format!("--{}", argument.replace('_', "-"));
        let source = match (argument, secret::find(&flag)) {
            (_, Some(secret)) => format!("{} or {flag} -", secret.variable),
            ("client_id" | "redirect_uri" | "api_version" | "api_base" | "app_base", _) => {
                format!("HUBSPOT_{} or {flag}", argument.to_ascii_uppercase())
            }
            ("scope" | "optional_scope", _) => flag,
            _ => return Self::Usage(invalid.to_string()),
        };
        Self::Usage(format!("{invalid} (from {source})"))
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Self::Help(error.to_string()),
            _ => Self::Usage(usage(&error)),
        }
    }
}

/// clap's own words repeat what was typed, which may be a secret.
fn usage(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let argument = context(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::MissingSubcommand => format!("no command: pass one of {}", commands()),
        ErrorKind::InvalidSubcommand => format!("no such command: pass one of {}", commands()),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation if argument.starts_with("--") => {
            let valid = match context(ContextKind::ValidValue) {
                valid if valid.is_empty() => valid,
                valid => format!(": it is one of {valid}"),
            };
            format!("`{argument}` has no value or one that cannot be{valid}")
        }
        ErrorKind::MissingRequiredArgument => format!("missing: {argument}"),
        ErrorKind::ArgumentConflict => match context(ContextKind::PriorArg) {
            prior if prior == argument => format!("`{argument}` may be given once"),
            prior => format!("`{argument}` and `{prior}` exclude each other"),
        },
        ErrorKind::UnknownArgument if is_flag(&argument) => format!("`{argument}` is not known here"),
        _ => "an argument does not belong there (it is not repeated: it may be a secret). Secrets come from the environment \
              or, with `-`, from standard input, never from the command line, which other processes can read"
            .to_owned(),
    }
}

fn commands() -> String {
    let cli = Cli::command();
    cli.get_subcommands().map(|command| command.get_name()).collect::<Vec<_>>().join(", ")
}

/// Whether this reads as the name of a flag, and not as a secret.
fn is_flag(argument: &str) -> bool {
    let name = argument.strip_prefix("--").unwrap_or("");
    !name.is_empty() && name.len() <= 24 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use hs_oauth_blocking::{TransportError, TransportErrorKind};

    #[test]
    fn what_happened_has_the_cause_and_leaves_the_advice_out() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let error = Error::Transport(TransportError::with_source(TransportErrorKind::Connect, refused));
        let failure = Failure::from(error);
        assert_eq!(failure.to_string(), "could not connect: connection refused");
        assert_eq!(failure.advice(), "try again later");
        assert_eq!(failure.exit_status(), 5);
        assert_eq!(failure.object()["next_step"], "retry_after");
    }

    #[test]
    fn only_what_reads_as_a_flag_is_repeated() {
        assert!(is_flag("--scopes"));
        for other in ["na1-6f18f26a", "--6f18f26a", "--CANARY", "--", "-x", "--a-secret-of-lowercase-letters"]
        {
            assert!(!is_flag(other), "{other}");
        }
    }
}

//! Code that the examples share. An application needs none of it.
//!
//! The round trips read their [`Inputs`] from the environment and print each step as a JSON line with [`Report`]. The
//! quickstarts print what they do with [`print_line`] and [`describe`].
//!
//! ```
//! use hs_oauth_core::{AccessToken, Timestamp, TokenSet};
//!
//! let tokens = TokenSet::new(AccessToken::new("CKDZpunPLhICAQEYs-gDIIGOBii1hQIy")?, 1800, Timestamp::from_secs(0));
//! hs_oauth_examples::describe(&tokens); // access token   CKDZ… (32 characters), and so on
//! # Ok::<(), hs_oauth_core::InvalidArgument>(())
//! ```

mod bearers;
mod store_address;

use std::env::VarError;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use hs_oauth_core::{
    AccessToken, App, AuthorizationCode, Code, CodeVerifier, Error, Introspection, InvalidArgument, Problem,
    RefreshToken, TokenSet,
};
use serde::Serialize;
use serde_json::{Value, json};

pub use bearers::Bearers;
pub use store_address::{Driver, StoreAddress, pool};

/// Any error that ends an example.
pub type BoxError = Box<dyn std::error::Error>;

/// The inputs of a round trip, from the environment.
#[derive(Debug)]
pub struct Inputs {
    /// The app, from the variables of [`App::from_env`].
    pub app: App,
    /// The authorization code in `HUBSPOT_CODE`, with the code verifier in `HUBSPOT_CODE_VERIFIER` if the authorization had
    /// PKCE.
    pub code: Option<AuthorizationCode>,
    /// The refresh token in `HUBSPOT_REFRESH_TOKEN`.
    pub refresh_token: Option<RefreshToken>,
}

/// The newest tokens of a round trip.
#[derive(Debug, Default)]
pub struct NewestTokens {
    /// The access token that was issued last.
    pub access_token: Option<AccessToken>,
    /// The refresh token that was issued last, or the one from the environment.
    pub refresh_token: Option<RefreshToken>,
}

/// Prints each step of a round trip as one JSON line, and knows whether every step succeeded.
#[derive(Debug, Default)]
pub struct Report {
    has_failed: bool,
    /// The next step after the last failure. Steps that are skipped because of it have the same next step.
    next_step: Option<&'static str>,
}

impl Inputs {
    /// Reads the environment. An empty variable counts as not set.
    ///
    /// # Errors
    /// If a variable is missing or invalid. The message names the variable.
    pub fn from_env() -> Result<Self, BoxError> {
        let app = App::from_env()?;
        let code = match secret("HUBSPOT_CODE", Code::new)? {
            Some(code) => {
                let redirect_uri = app.redirect_uri().ok_or("HUBSPOT_CODE needs HUBSPOT_REDIRECT_URI too")?;
                let verifier = secret("HUBSPOT_CODE_VERIFIER", CodeVerifier::new)?;
                // The state was checked before the code was put into the environment.
                Some(AuthorizationCode::from_caller_who_checked_state(code, redirect_uri, verifier))
            }
            None => None,
        };
        let refresh_token = secret("HUBSPOT_REFRESH_TOKEN", RefreshToken::new)?;
        if code.is_none() && refresh_token.is_none() {
            return Err("no code and no token: set HUBSPOT_CODE (with HUBSPOT_CODE_VERIFIER) or HUBSPOT_REFRESH_TOKEN".into());
        }
        Ok(Self { app, code, refresh_token })
    }
}

/// Reads a secret from the environment. An empty variable counts as not set.
fn secret<T>(
    variable: &str,
    new: impl FnOnce(String) -> Result<T, InvalidArgument>,
) -> Result<Option<T>, BoxError> {
    match std::env::var(variable) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(new(value).map_err(|invalid| format!("{variable}: {invalid}"))?)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(format!("{variable} is not UTF-8").into()),
    }
}

impl NewestTokens {
    /// Takes over the tokens of a response. Tokens that were rescued from an unusable response count too.
    pub fn update(&mut self, result: &Result<TokenSet, Error>) {
        let (access_token, refresh_token) = match result {
            Ok(tokens) => (Some(&tokens.access_token), tokens.refresh_token.as_ref()),
            Err(error) => (error.rescued_access_token(), error.rescued_refresh_token()),
        };
        self.access_token = access_token.cloned().or_else(|| self.access_token.take());
        self.refresh_token = refresh_token.cloned().or_else(|| self.refresh_token.take());
    }
}

impl Report {
    /// Prints a step that returned tokens, or its error.
    pub fn print_tokens(&mut self, step: &str, result: &Result<TokenSet, Error>) {
        self.print_result(step, result, |tokens| {
            json!({
                "access_token": tokens.access_token.masked(),
                "refresh_token": tokens.refresh_token.as_ref().map(|token| token.masked()),
                "expires_in": tokens.expires_in,
                "hub_id": tokens.hub_id,
                "user_id": tokens.user_id,
                "scopes": tokens.scopes,
            })
        });
    }

    /// Prints a step that introspected a token, or its error.
    pub fn print_introspection(&mut self, step: &str, result: Result<Introspection, Error>) {
        self.print_result(step, &result, |introspection| match introspection {
            Introspection::AccessToken(info) => json!({
                "active": true,
                "token_use": "access_token",
                "token": info.token.masked(),
                "hub_id": info.hub_id,
                "app_id": info.app_id,
                "scopes": info.scopes,
                "expires_in": info.expires_in,
            }),
            Introspection::RefreshToken(info) => json!({
                "active": true,
                "token_use": "refresh_token",
                "token": info.token.masked(),
                "hub_id": info.hub_id,
                "client_id": info.client_id,
                "scopes": info.scopes,
            }),
            _ => json!({ "active": false }),
        });
    }

    /// Prints a step that returned nothing, or its error.
    pub fn print_done(&mut self, step: &str, result: Result<(), Error>) {
        self.print_result(step, &result, |()| json!({}));
    }

    /// Prints steps that were skipped because there is no token for them.
    pub fn print_skipped(&mut self, steps: &[&str]) {
        for step in steps {
            let reason = "skipped: no token for this step";
            self.print_line(
                step,
                false,
                json!({ "next_step": self.next_step, "status": Value::Null, "error": reason }),
            );
        }
    }

    /// Returns exit status 0 if every step succeeded, else 1.
    pub fn exit_code(&self) -> ExitCode {
        if self.has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    /// Prints a step with the fields of its result or of its error.
    fn print_result<T>(&mut self, step: &str, result: &Result<T, Error>, fields: impl FnOnce(&T) -> Value) {
        let more = match result {
            Ok(value) => fields(value),
            Err(error) => {
                self.next_step = Some(error.next_step().name());
                error_fields(error)
            }
        };
        self.print_line(step, result.is_ok(), more);
    }

    fn print_line(&mut self, step: &str, ok: bool, more: Value) {
        #[derive(Serialize)]
        struct Line<'a> {
            step: &'a str,
            ok: bool,
            #[serde(flatten)]
            more: Value,
        }
        self.has_failed |= !ok;
        if let Ok(line) = serde_json::to_string(&Line { step, ok, more }) {
            print_line(line);
        }
    }
}

/// Returns the fields of a step that failed.
fn error_fields(error: &Error) -> Value {
    let missing: Vec<_> = match error {
        Error::Response(error) => error.problems.iter().filter_map(Problem::missing).collect(),
        _ => Vec::new(),
    };
    json!({
        "next_step": error.next_step().name(),
        "status": error.status().map(|status| status.as_u16()),
        "error": error.to_string(),
        "missing": missing,
    })
}

/// Returns the exit status of an example. An error goes to standard error, and its exit status is 2.
pub fn finish(result: Result<ExitCode, BoxError>) -> ExitCode {
    result.unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "error: {error}");
        ExitCode::from(2)
    })
}

/// A result that can be printed as a few lines, with tokens masked.
pub trait Describe {
    /// Returns a name and a value for each line.
    fn lines(&self) -> Vec<(&'static str, String)>;
}

impl Describe for TokenSet {
    fn lines(&self) -> Vec<(&'static str, String)> {
        vec![
            ("access token", self.access_token.masked()),
            ("refresh token", self.refresh_token.as_ref().map_or("none".to_owned(), RefreshToken::masked)),
            ("expires in", format!("{} s", self.expires_in)),
            ("account", self.hub_id.map_or("not said".to_owned(), |hub_id| hub_id.to_string())),
        ]
    }
}

impl Describe for Introspection {
    fn lines(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::AccessToken(info) => vec![
                ("active", "yes, an access token".to_owned()),
                ("account", info.hub_id.to_string()),
                ("scopes", info.scopes.to_string()),
                ("expires in", format!("{} s", info.expires_in)),
            ],
            Self::RefreshToken(info) => {
                vec![("active", "yes, a refresh token".to_owned()), ("account", info.hub_id.to_string())]
            }
            _ => vec![("active", "no".to_owned())],
        }
    }
}

/// Prints a result of HubSpot's, a line for each field.
pub fn describe(result: &impl Describe) {
    for (name, value) in result.lines() {
        print_line(format_args!("   {name:<14} {value}"));
    }
}

/// Prints a line to standard output.
pub fn print_line(line: impl fmt::Display) {
    // If standard output is closed, nobody reads the line, and the example goes on.
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints a line of progress to standard error.
pub fn print_progress(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Returns the most memory that this process has had, in kilobytes, if the system says so.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../crates/hs-oauth-async/src/guide/test.md")]
struct TestGuide;

#[cfg(doctest)]
#[doc = include_str!("../crates/hs-oauth-async/src/guide/migrate.md")]
struct MigrateGuide;

//! What the examples share: a round trip's beginning out of the environment, its steps as JSON lines, and a transcript's lines.
//! Nothing an application needs.
//!
//! ```
//! use hs_oauth_core::{AccessToken, Timestamp, TokenSet};
//!
//! let tokens = TokenSet::new(AccessToken::new("CKDZpunPLhICAQEYs-gDIIGOBii1hQIy")?, 1800, Timestamp::from_secs(0));
//! hs_oauth_examples::describe(&tokens); // access token   CKDZ… (32 characters), and so on
//! # Ok::<(), hs_oauth_core::InvalidArgument>(())
//! ```

use std::env::VarError;
use std::error::Error as _;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use hs_oauth_core::{
    AccessToken, App, AuthorizationCode, Code, CodeVerifier, Error, Introspection, InvalidArgument, Problem,
    RefreshToken, TokenSet,
};
use serde::Serialize;
use serde_json::{Value, json};

/// What a round trip begins with, out of the environment.
#[derive(Debug)]
pub struct Given {
    /// The app: see [`App::from_env`].
    pub app: App,
    /// `HUBSPOT_CODE`, and `HUBSPOT_CODE_VERIFIER` if the authorization had PKCE.
    pub code: Option<AuthorizationCode>,
    /// `HUBSPOT_REFRESH_TOKEN`.
    pub refresh_token: Option<RefreshToken>,
}

/// The newest tokens.
#[derive(Debug, Default)]
pub struct CurrentTokens {
    /// The access token.
    pub access_token: Option<AccessToken>,
    /// The refresh token.
    pub refresh_token: Option<RefreshToken>,
}

/// Prints one JSON line a step.
#[derive(Debug, Default)]
pub struct Report {
    failed: bool,
    /// What the last failure asks for; steps that were skipped for it ask for the same.
    next_step: Option<&'static str>,
}

impl Given {
    /// Reads the environment. An empty variable counts as not set.
    ///
    /// # Errors
    /// Names what is missing or cannot be used.
    pub fn from_env() -> Result<Self, Box<dyn std::error::Error>> {
        let app = App::from_env()?;
        let code = match secret("HUBSPOT_CODE", Code::new)? {
            Some(code) => {
                let redirect_uri =
                    app.redirect_uri().ok_or("HUBSPOT_CODE needs HUBSPOT_REDIRECT_URI beside it")?;
                let verifier = secret("HUBSPOT_CODE_VERIFIER", CodeVerifier::new)?;
                // Whoever put the code into the environment has checked the state it came with.
                Some(AuthorizationCode::from_caller_who_checked_state(code, redirect_uri, verifier))
            }
            None => None,
        };
        let refresh_token = secret("HUBSPOT_REFRESH_TOKEN", RefreshToken::new)?;
        if code.is_none() && refresh_token.is_none() {
            return Err("nothing to begin with: set HUBSPOT_CODE (with HUBSPOT_CODE_VERIFIER) or HUBSPOT_REFRESH_TOKEN".into());
        }
        Ok(Self { app, code, refresh_token })
    }
}

fn secret<T>(
    variable: &str,
    new: impl FnOnce(String) -> Result<T, InvalidArgument>,
) -> Result<Option<T>, Box<dyn std::error::Error>> {
    match std::env::var(variable) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(new(value).map_err(|invalid| format!("{variable}: {invalid}"))?)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(format!("{variable} is not UTF-8").into()),
    }
}

impl CurrentTokens {
    /// Takes over what an answer brought, even one that could not be used as a whole.
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
    /// Reports a step that gave tokens.
    pub fn tokens(&mut self, step: &str, result: &Result<TokenSet, Error>) {
        self.line(step, result, |tokens| {
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

    /// Reports a step that asked about a token.
    pub fn introspection(&mut self, step: &str, result: Result<Introspection, Error>) {
        self.line(step, &result, |introspection| match introspection {
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

    /// Reports a step that gives nothing but success.
    pub fn done(&mut self, step: &str, result: Result<(), Error>) {
        self.line(step, &result, |()| json!({}));
    }

    /// Reports steps that could not be taken for want of a token.
    pub fn skipped(&mut self, steps: &[&str]) {
        for step in steps {
            let reason = "skipped: no token to take it with";
            self.print(
                step,
                false,
                json!({ "next_step": self.next_step, "status": Value::Null, "error": reason }),
            );
        }
    }

    /// 0 if every step was ok, else 1.
    pub fn exit_code(&self) -> ExitCode {
        if self.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn line<T>(&mut self, step: &str, result: &Result<T, Error>, show: impl FnOnce(&T) -> Value) {
        let more = match result {
            Ok(value) => show(value),
            Err(error) => {
                self.next_step = Some(error.next_step().name());
                failure(error)
            }
        };
        self.print(step, result.is_ok(), more);
    }

    fn print(&mut self, step: &str, ok: bool, more: Value) {
        #[derive(Serialize)]
        struct Line<'a> {
            step: &'a str,
            ok: bool,
            #[serde(flatten)]
            more: Value,
        }
        self.failed |= !ok;
        if let Ok(line) = serde_json::to_string(&Line { step, ok, more }) {
            say(line);
        }
    }
}

fn failure(error: &Error) -> Value {
    let missing: Vec<_> = match error {
        Error::Response(error) => error.problems.iter().filter_map(Problem::missing).collect(),
        _ => Vec::new(),
    };
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    json!({
        "next_step": error.next_step().name(),
        "status": error.status().map(|status| status.as_u16()),
        "error": told,
        "missing": missing,
    })
}

/// The exit status of an example: an error before the first step is told on standard error, and is 2.
pub fn finish(result: Result<ExitCode, Box<dyn std::error::Error>>) -> ExitCode {
    result.unwrap_or_else(|error| {
        let _ = writeln!(io::stderr(), "error: {error}");
        ExitCode::from(2)
    })
}

/// Something a transcript tells in a few lines, tokens masked.
pub trait Describe {
    /// The lines: a name and a value.
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

/// Prints what HubSpot gave.
pub fn describe(answer: &impl Describe) {
    for (name, value) in answer.lines() {
        say(format_args!("   {name:<14} {value}"));
    }
}

/// Prints a line.
pub fn say(line: impl fmt::Display) {
    // Nobody is left to tell if the other end of the pipe is gone.
    let _ = writeln!(io::stdout(), "{line}");
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

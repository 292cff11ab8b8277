//! The environment variables, each with the flag that wins over it.
//!
//! The flags themselves and their help texts are declared in `settings` and in the commands.

use std::ffi::OsString;
use std::fmt;

/// An environment variable and the flag that wins over it.
#[derive(Debug)]
pub(crate) struct Variable {
    /// The name of the variable.
    pub(crate) name: &'static str,
    /// The flag, with its hyphens.
    pub(crate) flag: &'static str,
    /// What messages call the value.
    pub(crate) label: &'static str,
    /// Whether the value is a secret. The flag of a secret takes only `-`, which stands for standard input.
    pub(crate) is_secret: bool,
}

pub(crate) static PROFILE: Variable = setting("HS_OAUTH_PROFILE", "--profile", "profile");
pub(crate) static STORE: Variable = setting("HS_OAUTH_STORE", "--store", "store");
pub(crate) static CLIENT_ID: Variable = setting("HUBSPOT_CLIENT_ID", "--client-id", "client id");
pub(crate) static CLIENT_SECRET: Variable =
    secret("HUBSPOT_CLIENT_SECRET", "--client-secret", "client secret");
pub(crate) static REDIRECT_URI: Variable = setting("HUBSPOT_REDIRECT_URI", "--redirect-uri", "redirect URI");
pub(crate) static API_VERSION: Variable = setting("HUBSPOT_API_VERSION", "--api-version", "API version");
pub(crate) static API_BASE: Variable = setting("HUBSPOT_API_BASE", "--api-base", "API base");
pub(crate) static APP_BASE: Variable = setting("HUBSPOT_APP_BASE", "--app-base", "app base");
pub(crate) static CODE: Variable = secret("HUBSPOT_CODE", "--code", "authorization code");
pub(crate) static CODE_VERIFIER: Variable =
    secret("HUBSPOT_CODE_VERIFIER", "--code-verifier", "code verifier");
pub(crate) static ACCESS_TOKEN: Variable = secret("HUBSPOT_ACCESS_TOKEN", "--access-token", "access token");
pub(crate) static REFRESH_TOKEN: Variable =
    secret("HUBSPOT_REFRESH_TOKEN", "--refresh-token", "refresh token");

/// Every variable.
pub(crate) static ALL: [&Variable; 12] = [
    &PROFILE,
    &STORE,
    &CLIENT_ID,
    &CLIENT_SECRET,
    &REDIRECT_URI,
    &API_VERSION,
    &API_BASE,
    &APP_BASE,
    &CODE,
    &CODE_VERIFIER,
    &ACCESS_TOKEN,
    &REFRESH_TOKEN,
];

/// Finds the variable that a flag wins over.
pub(crate) fn find(flag: &str) -> Option<&'static Variable> {
    ALL.into_iter().find(|variable| variable.flag == flag)
}

impl Variable {
    /// Returns what a message says if a command requires the value and it is not given.
    pub(crate) fn missing(&self) -> String {
        format!("no {}: {}", self.label, self.instruction())
    }

    /// Reads the variable. An empty one counts as not set.
    pub(crate) fn read(&self) -> Result<Option<String>, NotUtf8> {
        match std::env::var_os(self.name).filter(|value| !value.is_empty()).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(_)) => Err(NotUtf8(self.name)),
        }
    }

    /// Returns the two places that the value can come from.
    pub(crate) fn sources(&self) -> String {
        let Self { name, flag, .. } = self;
        match self.is_secret {
            true => format!("{name} or {flag} -"),
            false => format!("{name} or {flag}"),
        }
    }

    /// Returns the two ways to give the value, as an instruction.
    pub(crate) fn instruction(&self) -> String {
        let Self { name, flag, .. } = self;
        match self.is_secret {
            true => format!("set {name}, or pass `{flag} -` and write it to standard input"),
            false => format!("set {name} or pass {flag}"),
        }
    }
}

/// The value of the variable with this name is not UTF-8.
#[derive(Debug)]
pub(crate) struct NotUtf8(&'static str);

impl fmt::Display for NotUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not UTF-8", self.0)
    }
}

const fn setting(name: &'static str, flag: &'static str, label: &'static str) -> Variable {
    Variable { name, flag, label, is_secret: false }
}

const fn secret(name: &'static str, flag: &'static str, label: &'static str) -> Variable {
    Variable { name, flag, label, is_secret: true }
}

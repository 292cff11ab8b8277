//! The configuration file, and the environment variables with lists of apps and accounts.

use std::fmt;
use std::path::{Path, PathBuf};

use hs_oauth_emulator::{LogFormat, Rotation};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use super::arguments::read_log_format;

/// What the configuration file says.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    pub(super) listen: Option<String>,
    pub(super) state: Option<PathBuf>,
    pub(super) seed: Option<String>,
    #[serde(default, deserialize_with = "read_log_format")]
    pub(super) log_format: Option<LogFormat>,
    pub(super) lenient_redirects: Option<bool>,
    #[serde(default)]
    pub(super) apps: Vec<AppTable>,
    #[serde(default)]
    pub(super) hubs: Vec<HubTable>,
    #[serde(default)]
    pub(super) user: UserTable,
    pub(super) rotation: Option<Rotation>,
    pub(super) access_token_lifetime: Option<u32>,
    pub(super) code_lifetime: Option<u32>,
    #[serde(default)]
    pub(super) sunset: Vec<String>,
    pub(super) auto_approve: Option<bool>,
}

/// An app in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AppTable {
    pub(super) client_id: String,
    #[serde(deserialize_with = "secret")]
    pub(super) client_secret: String,
    pub(super) app_name: Option<String>,
    pub(super) app_id: Option<i64>,
    #[serde(default)]
    pub(super) redirect_uris: Vec<String>,
    #[serde(default)]
    pub(super) required_scopes: Vec<String>,
    #[serde(default)]
    pub(super) conditional_scopes: Vec<String>,
    #[serde(default)]
    pub(super) optional_scopes: Vec<String>,
}

/// An account in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HubTable {
    pub(super) hub_id: i64,
    pub(super) hub_domain: Option<String>,
    #[serde(default)]
    pub(super) lacks: Vec<String>,
}

/// The user in the file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserTable {
    pub(super) id: Option<i64>,
    pub(super) email: Option<String>,
    pub(super) super_admin: Option<bool>,
    pub(super) marketplace_access: Option<bool>,
}

impl ConfigFile {
    /// Reads the file. The lists of apps and accounts are those of `apps` and `hubs`, if these are given: JSON, from the environment.
    ///
    /// # Errors
    /// A message that says where the mistake is, without the line itself, which may have a secret.
    pub(super) fn read(path: Option<&Path>, apps: Option<&str>, hubs: Option<&str>) -> Result<Self, String> {
        let mut config = match path {
            None => Self::default(),
            Some(path) => {
                let of_file = |problem: &dyn fmt::Display| format!("the file {}: {problem}", path.display());
                let text = std::fs::read_to_string(path).map_err(|error| of_file(&error))?;
                toml::from_str(&text).map_err(|error| {
                    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                    of_file(&format_args!("line {}: {}", before.matches('\n').count() + 1, error.message()))
                })?
            }
        };
        if let Some(apps) = apps {
            config.apps = json("HS_OAUTH_EMULATOR_APPS", apps)?;
        }
        if let Some(hubs) = hubs {
            config.hubs = json("HS_OAUTH_EMULATOR_HUBS", hubs)?;
        }
        Ok(config)
    }
}

fn json<'j, T: Deserialize<'j>>(variable: &str, text: &'j str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("{variable}: {error}"))
}

/// Reads a secret. The error for anything but text does not show it.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Secret;

    impl Visitor<'_> for Secret {
        type Value = Option<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("text")
        }

        fn visit_str<E>(self, text: &str) -> Result<Option<String>, E> {
            Ok(Some(text.to_owned()))
        }

        fn visit_i64<E>(self, _: i64) -> Result<Option<String>, E> {
            Ok(None)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Option<String>, E> {
            Ok(None)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Option<String>, E> {
            Ok(None)
        }
    }

    let secret = deserializer.deserialize_any(Secret)?;
    secret.ok_or_else(|| serde::de::Error::custom("client_secret must be text, in quotes"))
}

//! The file with the settings: `config.toml`. There is no secret in it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value};

use crate::failure::Failure;
use crate::{folders, private_file};

/// What the file says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "settings")]
pub(crate) struct Config {
    /// The name of the profile that counts if none is named.
    pub(crate) profile: Option<String>,
    /// The settings of each profile.
    #[serde(default)]
    pub(crate) profiles: BTreeMap<String, AppSettings>,
}

/// The settings of an app, without its secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, expecting = "the settings of a profile")]
pub(crate) struct AppSettings {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redirect_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_base: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) app_base: Option<String>,
    /// Whether the app is an MCP auth app.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) mcp: bool,
    /// Whether each user of an account has tokens of their own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) user_level: bool,
    /// The scopes that `login` asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) scopes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) optional_scopes: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Reads the file. A file that is not there has no settings.
pub(crate) fn read() -> Result<Config, Failure> {
    let path = folders::config_file()?;
    let text = read_text(&path)?;
    toml_edit::de::from_str(&text).map_err(|error| invalid(&path, &text, error.message(), error.span()))
}

/// Writes the settings of a profile. What else stands in the file stays as it is, comments included.
pub(crate) fn write_profile(name: &str, app: &AppSettings) -> Result<PathBuf, Failure> {
    change(|document| {
        let profiles = document.entry("profiles").or_insert_with(|| {
            let mut profiles = Table::new();
            profiles.set_implicit(true);
            Item::Table(profiles)
        });
        let Some(profiles) = profiles.as_table_like_mut() else { return Err("`profiles` is not a table") };
        let profile = profiles.entry(name).or_insert_with(|| Item::Table(Table::new()));
        let Some(profile) = profile.as_table_like_mut() else { return Err("the profile is not a table") };
        for (key, text) in [
            ("client_id", &app.client_id),
            ("redirect_uri", &app.redirect_uri),
            ("api_version", &app.api_version),
            ("api_base", &app.api_base),
            ("app_base", &app.app_base),
        ] {
            match text {
                Some(text) => set(profile, key, text.into()),
                None => drop(profile.remove(key)),
            }
        }
        for (key, flag) in [("mcp", app.mcp), ("user_level", app.user_level)] {
            match flag {
                true => set(profile, key, true.into()),
                false => drop(profile.remove(key)),
            }
        }
        for (key, scopes) in [("scopes", &app.scopes), ("optional_scopes", &app.optional_scopes)] {
            match scopes.is_empty() {
                true => drop(profile.remove(key)),
                false => set(profile, key, scopes.iter().collect::<Array>().into()),
            }
        }
        Ok(())
    })
}

/// Writes which profile counts if none is named.
pub(crate) fn write_default_profile(name: &str) -> Result<PathBuf, Failure> {
    change(|document| {
        set(document.as_table_mut(), "profile", name.into());
        Ok(())
    })
}

/// Sets a value. A comment beside the old one stays.
fn set(table: &mut dyn TableLike, key: &str, mut new: Value) {
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *new.decor_mut() = old.decor().clone();
            *old = new;
        }
        None => drop(table.insert(key, Item::Value(new))),
    }
}

/// Changes the file, and returns its path. The new file replaces the old one in one step.
fn change(edit: impl FnOnce(&mut DocumentMut) -> Result<(), &'static str>) -> Result<PathBuf, Failure> {
    let path = folders::config_file()?;
    let not_written = |error| Failure::Other(format!("could not write {}: {error}", path.display()));
    let _lock = path.parent().map(private_file::lock).transpose().map_err(not_written)?;
    let text = read_text(&path)?;
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| invalid(&path, &text, error.message(), error.span()))?;
    edit(&mut document).map_err(|problem| invalid(&path, &text, problem, None))?;
    private_file::replace(&path, &document.to_string()).map_err(not_written)?;
    Ok(path)
}

fn read_text(path: &Path) -> Result<String, Failure> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("could not read {}: {error}", path.display()))
}

/// Says what is wrong in which line, and does not show the line: somebody may have put a secret there.
fn invalid(path: &Path, text: &str, problem: &str, span: Option<std::ops::Range<usize>>) -> Failure {
    let line = span.and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
    // A value of the wrong type is repeated between backticks or quotes. Names of settings are among `expected`.
    let problem = match problem.starts_with("invalid ") {
        true => problem.rsplit_once(", expected ").map_or("an invalid value".to_owned(), |(_, expected)| {
            format!("an invalid value, expected {expected}")
        }),
        false => problem.lines().next().unwrap_or_default().to_owned(),
    };
    Failure::usage(format!("{}{line}: {problem}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        let error = toml_edit::de::from_str::<Config>(text).unwrap_err();
        invalid(Path::new("config.toml"), text, error.message(), error.span()).to_string()
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_the_line_and_nothing_of_its_values() {
        let message = problem("[profiles.a]\nclient_id = 'a'\nclient_secret = 'CANARY'\n");
        assert!(
            message.starts_with("config.toml, line 3: unknown field `client_secret`, expected "),
            "{message}"
        );
        let message = problem("[profiles.a]\nmcp = 'CANARY'\n");
        assert_eq!(message, "config.toml, line 2: an invalid value, expected a boolean");
        let message = problem("[profiles.a]\nclient_id = CANARY\n");
        assert!(message.starts_with("config.toml, line 2: ") && !message.contains("CANARY"), "{message}");
    }
}

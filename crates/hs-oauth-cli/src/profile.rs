//! Profiles. A profile is one app: its settings, its secret, and a store with the tokens of its accounts.

use std::path::{Path, PathBuf};

use crate::config_file::{self, AppSettings, Config};
use crate::failure::Failure;
use crate::folders;
use crate::store_url::StoreUrl;

/// A profile, which may not exist yet.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    name: String,
    /// Its settings, if it exists.
    settings: Option<AppSettings>,
    folder: PathBuf,
    /// Where its tokens are, if they are not in its folder.
    store: Option<StoreUrl>,
}

/// The name of the profile that counts if neither the command line nor the environment nor the file names another.
pub(crate) const DEFAULT: &str = "default";

/// The longest name, in bytes.
const MAX_NAME_SIZE: usize = 64;

impl Profile {
    /// Finds the profile with this name, or the one that counts if none is named.
    pub(crate) fn find(name: Option<&str>) -> Result<Self, Failure> {
        Self::in_config(&config_file::read()?, name)
    }

    /// Returns all profiles that exist, in the order of their names.
    pub(crate) fn all() -> Result<Vec<Self>, Failure> {
        let config = config_file::read()?;
        config.profiles.keys().map(|name| Self::in_config(&config, Some(name))).collect()
    }

    fn in_config(config: &Config, name: Option<&str>) -> Result<Self, Failure> {
        let name = name.or(config.profile.as_deref()).unwrap_or(DEFAULT);
        check_name(name)?;
        let settings = config.profiles.get(name).cloned();
        Ok(Self { name: name.to_owned(), settings, folder: folders::state()?.join(name), store: None })
    }

    /// Returns the profile with its tokens in this store.
    pub(crate) fn with_store(self, store: StoreUrl) -> Self {
        Self { store: Some(store), ..self }
    }

    /// Returns where its tokens are, if they are not in its folder.
    pub(crate) fn store(&self) -> Option<&StoreUrl> {
        self.store.as_ref()
    }

    /// Fails if somebody named a profile of which there is no trace. The default one needs none.
    pub(crate) fn require_trace(&self) -> Result<(), Failure> {
        match self.settings.is_some() || self.folder.exists() || self.name == DEFAULT {
            true => Ok(()),
            false => Err(self.unknown()?),
        }
    }

    /// Returns the failure of a command that needs a profile which does not exist.
    pub(crate) fn unknown(&self) -> Result<Failure, Failure> {
        let names: Vec<_> = Self::all()?.into_iter().map(|profile| profile.name).collect();
        let there_are = match names.is_empty() {
            true => "there is none".to_owned(),
            false => format!("there are {}", names.join(", ")),
        };
        Ok(Failure::usage(format!(
            "there is no profile {}; {there_are}: `hs-oauth login` makes one",
            self.name
        )))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the settings of its app, if the profile exists.
    pub(crate) fn settings(&self) -> Option<&AppSettings> {
        self.settings.as_ref()
    }

    /// Returns the folder in which its tokens and its secrets are. It may not exist yet.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes the settings of its app. The profile exists from then on. Returns the path of the file.
    pub(crate) fn write(&mut self, settings: AppSettings) -> Result<PathBuf, Failure> {
        let path = config_file::write_profile(&self.name, &settings)?;
        self.settings = Some(settings);
        Ok(path)
    }
}

/// Checks that a name can be that of a folder, on every system and whatever stands in it.
fn check_name(name: &str) -> Result<(), Failure> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match (1..=MAX_NAME_SIZE).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with('.') {
        true => Ok(()),
        false => Err(Failure::usage(
            "the name of a profile has 1 to 64 characters of A-Z a-z 0-9 . _ - and does not begin with a dot",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_a_name_that_cannot_lead_out_of_its_folder() {
        for name in ["default", "eu-1", "a.b_C", &"a".repeat(64)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", ".a", "a/b", "../a", "a b", "ä", "a\n", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}

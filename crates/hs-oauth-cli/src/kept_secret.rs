//! The secrets of a profile that outlast a run of the program: the key that seals its tokens, and the client secret.
//!
//! Each has a file in the profile's folder that only the user can read. If the system has a keyring, the secret is there, and the file
//! says so. Otherwise it is in the file. Where it is does not change by itself: a keyring that cannot be reached is an error.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::profile::Profile;
use crate::{keyring, private_file, waiting};

/// Which secret is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeptSecret {
    /// The key that seals the tokens of the profile.
    SealingKey,
    /// The client secret of the profile's app.
    ClientSecret,
}

/// What the file of a secret says.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// The secret itself.
    Secret(String),
    /// The name of the secret in the system's keyring.
    Keyring(String),
}

impl KeptSecret {
    /// Returns the name of its file.
    const fn file_name(self) -> &'static str {
        match self {
            Self::SealingKey => "sealing-key",
            Self::ClientSecret => "client-secret",
        }
    }

    /// Returns what messages call it.
    const fn label(self) -> &'static str {
        match self {
            Self::SealingKey => "the key of the tokens",
            Self::ClientSecret => "the client secret",
        }
    }

    /// Returns the path of its file.
    pub(crate) fn path(self, profile: &Profile) -> PathBuf {
        profile.folder().join(self.file_name())
    }

    /// Returns in words where it is kept, or that it is not.
    pub(crate) fn place(self, profile: &Profile) -> Result<String, Failure> {
        Ok(match self.read_place(profile)? {
            Some(Place::Secret(_)) => self.path(profile).display().to_string(),
            Some(Place::Keyring(_)) => "the system's keyring".to_owned(),
            None => "not kept".to_owned(),
        })
    }

    /// Returns whether it is kept, without asking the keyring for it.
    pub(crate) fn is_kept(self, profile: &Profile) -> Result<bool, Failure> {
        Ok(self.read_place(profile)?.is_some())
    }

    /// Reads it, if it is kept.
    pub(crate) fn read(self, profile: &Profile) -> Result<Option<String>, Failure> {
        match self.read_place(profile)? {
            None => Ok(None),
            Some(Place::Secret(secret)) => Ok(Some(secret)),
            Some(Place::Keyring(name)) => match wait_for_keyring(|| keyring::get(&name)) {
                Ok(secret) => Ok(Some(secret)),
                Err(error) => Err(Failure::Other(format!(
                    "{} of the profile {} is in the system's keyring, which does not give it out: {error}",
                    self.label(),
                    profile.name()
                ))),
            },
        }
    }

    /// Keeps it, in the place of what was kept.
    pub(crate) fn write(self, profile: &Profile, secret: &str) -> Result<(), Failure> {
        let path = self.path(profile);
        // The path tells it from the secrets of other profiles and of other folders.
        let name = path.display().to_string();
        let place = match wait_for_keyring(|| keyring::set(&name, secret)) {
            true => Place::Keyring(name),
            false => Place::Secret(secret.to_owned()),
        };
        let text = serde_json::to_string(&place).map_err(|error| Failure::Other(error.to_string()))?;
        private_file::replace(&path, &format!("{text}\n"))
            .map_err(|error| self.failed("write", &path, &error))
    }

    /// Reads it, and if it is not kept, keeps the one that `make` returns. Processes that do so at the same time keep one.
    pub(crate) fn read_or_make(
        self,
        profile: &Profile,
        make: impl FnOnce() -> Result<String, Failure>,
    ) -> Result<String, Failure> {
        if let Some(secret) = self.read(profile)? {
            return Ok(secret);
        }
        let _lock = private_file::lock(profile.folder())
            .map_err(|error| self.failed("lock", profile.folder(), &error))?;
        if let Some(secret) = self.read(profile)? {
            return Ok(secret);
        }
        let secret = make()?;
        self.write(profile, &secret)?;
        Ok(secret)
    }

    fn read_place(self, profile: &Profile) -> Result<Option<Place>, Failure> {
        let path = self.path(profile);
        let text = match private_file::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("read", &path, &error)),
        };
        let path = path.display();
        if private_file::is_open_to_others(&self.path(profile)) {
            return Err(Failure::usage(format!("others can read {path}: chmod 600 '{path}'")));
        }
        let place = serde_json::from_str(&text);
        place
            .map(Some)
            .map_err(|_| Failure::Other(format!("{path} is damaged: it does not hold {}", self.label())))
    }

    fn failed(self, what: &str, path: &Path, error: &io::Error) -> Failure {
        Failure::Other(format!("could not {what} {}, {}: {error}", path.display(), self.label()))
    }
}

/// Waits for the keyring, which may ask the person for a password.
fn wait_for_keyring<T>(ask: impl FnOnce() -> T) -> T {
    waiting::on("waiting for the system's keyring".to_owned(), ask)
}

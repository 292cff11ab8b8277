//! The secrets of a profile that outlast a run of the program: the key that seals its tokens, and the client secret.
//!
//! Each is in a file of the profile's folder that only the user can read.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::private_file;
use crate::profile::Profile;

/// Which secret is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeptSecret {
    /// The key that seals the tokens of the profile.
    SealingKey,
    /// The client secret of the profile's app.
    ClientSecret,
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

    /// Returns where it is kept.
    pub(crate) fn path(self, profile: &Profile) -> PathBuf {
        profile.folder().join(self.file_name())
    }

    /// Returns in words where it is kept, or that it is not.
    pub(crate) fn place(self, profile: &Profile) -> Result<String, Failure> {
        Ok(match self.read(profile)? {
            Some(_) => self.path(profile).display().to_string(),
            None => "not kept".to_owned(),
        })
    }

    /// Reads it, if it is kept.
    pub(crate) fn read(self, profile: &Profile) -> Result<Option<String>, Failure> {
        let path = self.path(profile);
        match private_file::read(&path) {
            Ok(text) => {
                check_private(&path)?;
                Ok(Some(text.trim_end().to_owned()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("read", &path, &error)),
        }
    }

    /// Keeps it, in the place of what was kept.
    pub(crate) fn write(self, profile: &Profile, secret: &str) -> Result<(), Failure> {
        let path = self.path(profile);
        private_file::replace(&path, &format!("{secret}\n"))
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
        let _lock = lock(profile.folder()).map_err(|error| self.failed("lock", profile.folder(), &error))?;
        if let Some(secret) = self.read(profile)? {
            return Ok(secret);
        }
        let secret = make()?;
        self.write(profile, &secret)?;
        Ok(secret)
    }

    fn failed(self, what: &str, path: &Path, error: &io::Error) -> Failure {
        Failure::Other(format!("could not {what} {}, {}: {error}", path.display(), self.label()))
    }
}

/// Waits until no other process makes a secret in this folder. The lock ends with the file that is returned.
fn lock(folder: &Path) -> io::Result<File> {
    private_file::create_folder(folder)?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(folder.join(".lock"))?;
    file.lock()?;
    Ok(file)
}

/// Refuses a file that others can read, since what is in it is no secret any more.
fn check_private(path: &Path) -> Result<(), Failure> {
    match private_file::is_open_to_others(path) {
        false => Ok(()),
        true => {
            let path = path.display();
            Err(Failure::usage(format!("others can read {path}: chmod 600 '{path}'")))
        }
    }
}

//! The folder of a file store, and how files in it are read, written and removed.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use hs_oauth_core::{Random, StoreError, StoreErrorKind};

use super::permissions::{self, Identity};
use crate::secret_bytes::SecretBytes;

/// A folder that belongs to the user of this process and that no other user can enter or read.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The folder itself, if it can be opened: only on Unix.
    opened: Option<File>,
    /// The folder's device and inode on Unix. No other folder of a local file system gets them while this one is open. On an overlay, the
    /// inode of a folder that nobody has open may change.
    identity: Identity,
    owner: u32,
}

/// The prefix of the files that [`Folder::probe`] writes.
const PROBE_PREFIX: &str = ".probe-";

impl Folder {
    /// Opens the folder, and creates it if it is missing.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        create(path)?;
        // The canonical path leads to the same folder when the working directory or a symbolic link changes later.
        let path = fs::canonicalize(path).map_err(|error| io_error("find", path, error))?;
        let metadata = fs::metadata(&path).map_err(|error| io_error("look at", &path, error))?;
        check_is_folder(&path, &metadata)?;
        let opened = permissions::open_folder(&path).map_err(|error| io_error("open", &path, error))?;
        let metadata = opened.as_ref().map_or(Ok(metadata), File::metadata);
        let metadata = metadata.map_err(|error| io_error("look at", &path, error))?;
        let (owner, identity) = (permissions::owner(&metadata), permissions::identity(&metadata));
        let mut folder = Self { path, opened, identity, owner };
        folder.check()?;
        // The second check finds out whether the user of this process is the owner of the folder.
        folder.owner = folder.process_user()?;
        folder.check()?;
        Ok(folder)
    }

    /// Checks that the path still leads to the folder that was opened, and that the folder is still closed to others.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let path = self.path.display();
        let metadata = fs::metadata(&self.path).map_err(|error| io_error("look at", &self.path, error))?;
        check_is_folder(&self.path, &metadata)?;
        if permissions::identity(&metadata) != self.identity {
            let message = format!("`{path}` is not the folder that was opened");
            return Err(StoreError::with_source(StoreErrorKind::Unavailable, message));
        }
        if permissions::owner(&metadata) != self.owner {
            return Err(refused(format_args!("`{path}` belongs to another user")));
        }
        if permissions::is_open_to_others(&metadata) {
            return Err(refused(format_args!("others can read or enter `{path}`: chmod 700 '{path}'")));
        }
        Ok(())
    }

    /// Returns the path of the file with this name.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the names of everything in the folder. Leaves out names that are not UTF-8, because no file of the store has one.
    pub(super) fn names(&self) -> Result<Vec<String>, StoreError> {
        let names: io::Result<Vec<_>> = fs::read_dir(&self.path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())).collect());
        let names = names.map_err(|error| io_error("list", &self.path, error))?;
        Ok(names.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// Returns the content of the file, or `None` if there is no file.
    pub(super) fn read(&self, path: &Path) -> Result<Option<SecretBytes>, StoreError> {
        let read = || -> io::Result<_> {
            if fs::symlink_metadata(path)?.is_symlink() {
                // The store creates no links. It must not read what a link leads to, nor change its permissions.
                return Err(io::Error::new(ErrorKind::Unsupported, "it is a symbolic link"));
            }
            let file = File::open(path)?;
            let metadata = file.metadata()?;
            permissions::restrict_to_owner(&file, &metadata)?;
            // A buffer that grows leaves copies of its content behind. With one byte more than the file has, it does not.
            let size = usize::try_from(metadata.len()).unwrap_or_default().saturating_add(1);
            let mut content = SecretBytes::with_capacity(size);
            // No file of the store grows, so nobody has to ask for its end.
            file.take(metadata.len()).read_to_end(&mut content)?;
            Ok(content)
        };
        match read() {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("read", path, error)),
        }
    }

    /// Replaces the file at `path`, or creates it, durably and in one step. The content is first written to a temporary file whose
    /// name begins with `prefix`.
    pub(super) fn replace(&self, path: &Path, prefix: &str, content: &[u8]) -> Result<(), StoreError> {
        let temporary = self.temporary_path(prefix)?;
        let result = (|| {
            let mut file = permissions::file_options().write(true).create_new(true).open(&temporary)?;
            file.write_all(content)?;
            file.sync_all()?;
            drop(file);
            fs::rename(&temporary, path)
        })();
        if let Err(error) = result {
            // If this fails too, the file is removed when the folder is opened the next time.
            let _ = fs::remove_file(&temporary);
            return Err(io_error("write", path, error));
        }
        self.sync()
    }

    /// Renames the file, durably.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        fs::rename(from, to).map_err(|error| io_error("rename", from, error))?;
        self.sync()
    }

    /// Removes the file, durably.
    pub(super) fn remove(&self, path: &Path) -> Result<(), StoreError> {
        fs::remove_file(path).map_err(|error| io_error("remove", path, error))?;
        self.sync()
    }

    /// Writes a file about as large as a record and removes it. Returns its metadata.
    pub(super) fn probe(&self) -> Result<fs::Metadata, StoreError> {
        let path = self.temporary_path(PROBE_PREFIX)?;
        let file = permissions::file_options().write(true).create_new(true).open(&path);
        let metadata = file.and_then(|mut file| {
            file.write_all(&[0; 4096])?;
            file.metadata()
        });
        let _ = fs::remove_file(&path);
        metadata.map_err(|error| io_error("write to", &self.path, error))
    }

    /// Returns the user of this process, which is the owner of a file that the process creates. Fails if the process cannot write
    /// to the folder.
    fn process_user(&self) -> Result<u32, StoreError> {
        for name in self.names()?.iter().filter(|name| name.starts_with(PROBE_PREFIX)) {
            // A killed process left this file behind, or a running process has it open and needs only that, not the name.
            let _ = fs::remove_file(self.file(name));
        }
        self.probe().map(|metadata| permissions::owner(&metadata))
    }

    fn temporary_path(&self, prefix: &str) -> Result<PathBuf, StoreError> {
        let random = Random::from_os();
        let mut random =
            random.map_err(|error| StoreError::with_source(StoreErrorKind::Unavailable, error))?;
        Ok(self.file(&format!("{prefix}{:032x}.tmp", random.next_u128())))
    }

    /// Makes the names in the folder durable.
    fn sync(&self) -> Result<(), StoreError> {
        sync(self.opened.as_ref(), &self.path)
    }
}

/// Returns the store error for an error of the operating system. Its message has the path and nothing of the file's content.
pub(super) fn io_error(action: &str, path: &Path, error: io::Error) -> StoreError {
    let kind = match error.kind() {
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::Unsupported
        | ErrorKind::IsADirectory
        | ErrorKind::NotADirectory => StoreErrorKind::Refused,
        _ => StoreErrorKind::Unavailable,
    };
    StoreError::with_source(kind, format!("cannot {action} `{}`: {error}", path.display()))
}

fn check_is_folder(path: &Path, metadata: &fs::Metadata) -> Result<(), StoreError> {
    match metadata.is_dir() {
        true => Ok(()),
        false => Err(refused(format_args!("`{}` is not a folder", path.display()))),
    }
}

fn refused(message: fmt::Arguments<'_>) -> StoreError {
    StoreError::with_source(StoreErrorKind::Refused, message.to_string())
}

/// Creates the folder, and the folders above it that are missing, durably.
fn create(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create(parent)?;
    match permissions::folder_builder().create(path) {
        Ok(()) => {
            let opened = permissions::open_folder(parent).map_err(|error| io_error("open", parent, error))?;
            sync(opened.as_ref(), parent)
        }
        // Another process created it first, or it is not a folder. `Folder::open` finds out which.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(io_error("create", path, error)),
    }
}

/// Makes the names in a folder durable, if the folder can be opened. `path` is for the error.
fn sync(folder: Option<&File>, path: &Path) -> Result<(), StoreError> {
    folder.map_or(Ok(()), File::sync_all).map_err(|error| io_error("flush", path, error))
}

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use hs_oauth_core::{Random, StoreError, StoreErrorKind};
use zeroize::Zeroizing;

use super::private::{self, Identity};

/// A folder that is this user's alone, and the ways to read and write files in it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    identity: Identity,
    owner: u32,
}

const PROBE: &str = ".probe-";

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        create(path)?;
        // From here on a change of the working directory or of a link moves nothing.
        let path = fs::canonicalize(path).map_err(|error| failed("find", path, error))?;
        let metadata = fs::metadata(&path).map_err(|error| failed("look at", &path, error))?;
        let mut folder =
            Self { identity: private::identity(&metadata), owner: private::owner(&metadata), path };
        folder.check()?;
        folder.owner = folder.own_user()?;
        folder.check()?;
        Ok(folder)
    }

    /// Whether this is still the folder that was opened, and still closed to others.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let path = self.path.display();
        let metadata = fs::metadata(&self.path).map_err(|error| failed("look at", &self.path, error))?;
        if !metadata.is_dir() {
            return Err(refused(format_args!("`{path}` is not a folder")));
        }
        if private::identity(&metadata) != self.identity {
            let message = format!("`{path}` is not the folder that was opened");
            return Err(StoreError::with_source(StoreErrorKind::Unavailable, message));
        }
        if private::owner(&metadata) != self.owner {
            return Err(refused(format_args!("`{path}` belongs to another user")));
        }
        if private::is_open_to_others(&metadata) {
            return Err(refused(format_args!("others can read or enter `{path}`: chmod 700 '{path}'")));
        }
        Ok(())
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The names that are text; a store gives its files no others.
    pub(super) fn names(&self) -> Result<Vec<String>, StoreError> {
        let listed: io::Result<Vec<_>> = fs::read_dir(&self.path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())).collect());
        let listed = listed.map_err(|error| failed("list", &self.path, error))?;
        Ok(listed.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    /// What is in the file; none if there is no file.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let read = || -> io::Result<_> {
            if fs::symlink_metadata(path)?.is_symlink() {
                // The store makes none, and what it leads to is not the store's to read or to close to others.
                return Err(io::Error::new(ErrorKind::Unsupported, "it is a symbolic link"));
            }
            let mut file = File::open(path)?;
            let metadata = file.metadata()?;
            private::tighten(&file, &metadata)?;
            // With room for one byte more the end is found without growing, which would leave a copy behind.
            let size = usize::try_from(metadata.len()).unwrap_or_default().saturating_add(1);
            let mut content = Zeroizing::new(Vec::with_capacity(size));
            file.read_to_end(&mut content)?;
            Ok(content)
        };
        match read() {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", path, error)),
        }
    }

    /// Puts a file with this content in the place of whatever is there, in one step that lasts. `prefix` begins the name of
    /// the file it is written to first.
    pub(super) fn replace(&self, path: &Path, prefix: &str, content: &[u8]) -> Result<(), StoreError> {
        let temporary = self.unique(prefix)?;
        let written = (|| {
            let mut file = private::file().write(true).create_new(true).open(&temporary)?;
            file.write_all(content)?;
            file.sync_all()?;
            drop(file);
            fs::rename(&temporary, path)
        })();
        if let Err(error) = written {
            // What cannot be removed now is, when the folder is next opened.
            let _ = fs::remove_file(&temporary);
            return Err(failed("write", path, error));
        }
        self.sync()
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        fs::rename(from, to).map_err(|error| failed("rename", from, error))?;
        self.sync()
    }

    pub(super) fn remove(&self, path: &Path) -> Result<(), StoreError> {
        fs::remove_file(path).map_err(|error| failed("remove", path, error))?;
        self.sync()
    }

    fn sync(&self) -> Result<(), StoreError> {
        sync(&self.path)
    }

    fn unique(&self, prefix: &str) -> Result<PathBuf, StoreError> {
        let random = Random::from_os();
        let mut random = random.map_err(|error| StoreError::with_source(StoreErrorKind::Unavailable, error))?;
        Ok(self.file(&format!("{prefix}{:032x}.tmp", random.next_u128())))
    }

    /// The user this process acts as, seen at a file it makes; and with that, whether it can make one.
    fn own_user(&self) -> Result<u32, StoreError> {
        for name in self.names()?.iter().filter(|name| name.starts_with(PROBE)) {
            // Of a process that was killed; or of one that has its handle and needs the name no longer.
            let _ = fs::remove_file(self.file(name));
        }
        self.probe().map(|metadata| private::owner(&metadata))
    }

    /// Makes a file about as large as a record, and removes it.
    pub(super) fn probe(&self) -> Result<fs::Metadata, StoreError> {
        let probe = self.unique(PROBE)?;
        let made = private::file().write(true).create_new(true).open(&probe);
        let metadata = made.and_then(|mut file| {
            file.write_all(&[0; 4096])?;
            file.metadata()
        });
        let _ = fs::remove_file(&probe);
        metadata.map_err(|error| failed("write to", &self.path, error))
    }
}

/// A failure of the operating system, told without what is in the file.
pub(super) fn failed(what: &str, path: &Path, error: io::Error) -> StoreError {
    let failure = match error.kind() {
        ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::Unsupported
        | ErrorKind::IsADirectory
        | ErrorKind::NotADirectory => StoreErrorKind::Refused,
        _ => StoreErrorKind::Unavailable,
    };
    StoreError::with_source(failure, format!("cannot {what} `{}`: {error}", path.display()))
}

fn refused(message: fmt::Arguments<'_>) -> StoreError {
    StoreError::with_source(StoreErrorKind::Refused, message.to_string())
}

/// Makes the folder and those above it that are missing, to last.
fn create(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    let above = match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    create(above)?;
    match private::folder().create(path) {
        Ok(()) => sync(above),
        // Another process was faster; or it is no folder, which is seen later.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed("make", path, error)),
    }
}

/// Makes the names in a folder last. Only Unix knows that a folder can be flushed.
fn sync(folder: &Path) -> Result<(), StoreError> {
    if cfg!(unix) {
        let flushed = File::open(folder).and_then(|folder| folder.sync_all());
        flushed.map_err(|error| failed("flush", folder, error))?;
    }
    Ok(())
}

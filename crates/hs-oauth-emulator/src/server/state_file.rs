//! The file that keeps what the emulator saves. It is replaced as a whole, and only its owner can read it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A state file that no other emulator uses.
pub(super) struct StateFile {
    path: PathBuf,
    /// What is in the file.
    content: Vec<u8>,
    /// Locked for as long as the file is in use. The state file itself cannot be: each save puts another one in its place.
    _lock: File,
}

impl StateFile {
    /// Opens the file at `path`, which need not exist.
    ///
    /// # Errors
    /// A message that names the file, if another emulator uses it or if it cannot be read.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let lock = owner_only().write(true).create(true).truncate(false).open(beside(path, ".lock"));
        let lock = lock.map_err(|error| named("lock", path, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(named("use", path, &"another emulator uses it"));
            }
            Err(TryLockError::Error(error)) => return Err(named("lock", path, &error)),
        }
        let content = match fs::read(path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(named("read", path, &error)),
        };
        Ok(Self { path: path.to_owned(), content, _lock: lock })
    }

    /// Returns what is in the file; `None` if there is no file yet.
    pub(super) fn content(&self) -> Option<&[u8]> {
        Some(self.content.as_slice()).filter(|content| !content.is_empty())
    }

    /// Returns the error for a content that cannot be used.
    pub(super) fn unreadable(&self, problem: &str) -> io::Error {
        named("read", &self.path, &format_args!("{problem}; move it away to begin anew"))
    }

    /// Replaces what is in the file in one step, unless it is the same already.
    ///
    /// # Errors
    /// A message that names the file, if it cannot be written. It is as it was then.
    pub(super) fn replace(&mut self, content: Vec<u8>) -> io::Result<()> {
        if content == self.content {
            return Ok(());
        }
        let temporary = beside(&self.path, ".new");
        let write = || {
            // It may be left of an emulator that was killed, and be anybody's to read.
            let _ = fs::remove_file(&temporary);
            let mut file = owner_only().write(true).create_new(true).open(&temporary)?;
            file.write_all(&content)?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)
        };
        write().map_err(|error| named("write", &self.path, &error))?;
        self.content = content;
        Ok(())
    }
}

/// Returns the path of a file in the same folder, whose name ends so.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(end);
    path.with_file_name(name)
}

/// Returns the error that says which file it is about.
fn named(what: &str, path: &Path, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("cannot {what} the state file {}: {error}", path.display()))
}

/// Returns options to create a file that only its owner can read and write.
fn owner_only() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let mut file = StateFile::open(&path).unwrap();
        assert_eq!(file.content(), None);
        // What a killed emulator left, for anybody to read.
        fs::write(beside(&path, ".new"), "half of").unwrap();
        for content in ["one", "two"] {
            file.replace(content.into()).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content.as_bytes());
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
                assert_eq!((mode(&path), mode(&beside(&path, ".lock"))), (0o600, 0o600));
            }
        }
        drop(file);
        assert_eq!(StateFile::open(&path).unwrap().content(), Some(b"two".as_slice()));
        let names = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(names, 2, "the file and its lock");
    }

    #[test]
    fn two_emulators_do_not_use_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let first = StateFile::open(&path).unwrap();
        let error = StateFile::open(&path).err().unwrap().to_string();
        assert!(error.contains("another emulator uses it") && error.contains("state.json"), "{error}");
        drop(first);
        StateFile::open(&path).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named_and_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let mut file = StateFile::open(&path).unwrap();
        file.replace("one".into()).unwrap();
        // A folder that is not empty cannot be replaced by a file.
        fs::create_dir_all(beside(&path, ".new").join("x")).unwrap();
        let error = file.replace("two".into()).unwrap_err().to_string();
        assert!(error.contains("state.json"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"one");
        fs::remove_dir_all(beside(&path, ".new")).unwrap();
        file.replace("two".into()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert!(StateFile::open(&folder.path().join("no/such/folder")).is_err());
    }
}

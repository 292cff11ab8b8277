mod folder;
mod lock;
mod permissions;
mod record_file;
mod version_mark;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use hs_oauth_core::renewal::{Record, Stored};
use hs_oauth_core::{Account, StoreError};

use crate::json;
use crate::{Cursor, Entry, Page, Swapped, TokenStore, check_account};
use folder::Folder;
use lock::StripeLocks;
use record_file::RecordFile;

/// Stores records in a folder of its own, one file for each account. It is for one machine, with any number of processes and
/// threads.
///
/// The files hold the tokens in clear text, unless `Sealed` wraps the store. On Unix the folder must belong to the user of the
/// process and be closed to everyone else (mode 0700), and every file gets the mode 0600. A file with a wider mode is restricted
/// when it is read. Every operation checks the folder again. On other systems the owner of the folder must restrict who can
/// read it.
///
/// - **Writes are durable and atomic.** The store writes a new file beside the old one, flushes it, renames it over the old one
///   and flushes the folder. If the process is killed or the machine goes down, the folder holds the old record or the new one.
/// - **Writers take turns.** They use 64 locks of the operating system, which are released when a process ends. Readers take no
///   lock. The file system must have such locks, and its rename must be atomic. That is so for every local file system, and
///   rarely for one on a network.
/// - **A process that is stopped during a write** keeps one of the locks, and holds up only writes for the accounts that share it.
/// - **Damaged files are set aside.** A file that is not a record of its account is renamed to `62515.json.damaged-1` in the
///   same folder, and reported once as [`Damaged`](crate::StoreErrorKind::Damaged). From then on the account has no record. A
///   record in a newer format is [`Unreadable`](crate::StoreErrorKind::Unreadable). It stays where it is and is not written over.
/// - **Files whose names begin with a dot belong to the store.** They are locks, and numbers above every version given out. Copy
///   them together with the records. Remove none of them while a process uses the folder, and restore a copy of the folder only
///   while no process uses it.
#[derive(Debug)]
pub struct FileStore {
    folder: Folder,
    locks: StripeLocks,
}

impl FileStore {
    /// Opens the folder. If it or a folder above it is missing, it is created with mode 0700. If the path is a symbolic link, it
    /// is followed now and never again.
    ///
    /// # Errors
    /// [`StoreErrorKind::Refused`](crate::StoreErrorKind::Refused) if the path is not a folder, the folder cannot be written to, it
    /// belongs to another user, or others can read or enter it. In the last case the message has the `chmod` command that
    /// helps. [`StoreErrorKind::Unavailable`](crate::StoreErrorKind::Unavailable) for other errors of the operating system.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        let folder = Folder::open(folder.as_ref())?;
        lock::remove_leftovers(&folder)?;
        Ok(Self { folder, locks: StripeLocks::new() })
    }

    /// Sets how long a write waits for writers in other threads and processes. The default is 10 seconds.
    ///
    /// A write that has waited in vain fails with [`StoreErrorKind::Unavailable`](crate::StoreErrorKind::Unavailable). From then on,
    /// writes of this store that need the same lock fail almost at once, until one of them gets it.
    #[must_use]
    pub fn with_lock_timeout(mut self, timeout: Duration) -> Self {
        self.locks.timeout = timeout;
        self
    }
}

impl TokenStore for FileStore {
    fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        let file = record_file::read(&self.folder, account)?;
        // The check comes after the read, so that a file counts only if the folder was still the right one afterwards.
        self.folder.check()?;
        match file {
            RecordFile::Missing => Ok(None),
            RecordFile::Record(stored) => Ok(Some(*stored)),
            RecordFile::NewerFormat(format) => Err(json::newer_format_error(account, format)),
            // A writer may have replaced the file since. With the lock held, the file stays as it is.
            RecordFile::Damaged => {
                record_file::read_locked(&self.locks.acquire(&self.folder, account)?, account)
            }
        }
    }

    fn swap(&self, account: Account, expected: Option<u64>, record: &Record) -> Result<Swapped, StoreError> {
        check_account(account)?;
        let lock = self.locks.acquire(&self.folder, account)?;
        let current = record_file::read_locked(&lock, account)?.map(|stored| stored.version);
        if current != expected {
            return Ok(Swapped::Conflict);
        }
        let version = version_mark::next_version(&lock, current)?;
        let content = record_file::to_json(account, version, record)?;
        lock.replace(&record_file::path(&self.folder, account), &content)?;
        Ok(Swapped::Stored(version))
    }

    /// The pages are in the order of the accounts. Each page reads the names of all files, so few large pages are faster than many small ones.
    fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let after = cursor.map(Cursor::account).transpose()?;
        // Reading a folder while others write to it may give a name twice.
        let mut accounts = BTreeSet::new();
        let mut has_more = false;
        for account in self.folder.names()?.iter().filter_map(|name| record_file::account_of(name)) {
            if Some(account) > after {
                accounts.insert(account);
            }
            if accounts.len() > limit.max(1) {
                accounts.pop_last();
                has_more = true;
            }
        }
        self.folder.check()?;
        let next = accounts.last().filter(|_| has_more).map(|last| Cursor::after(*last));
        // A record that was removed meanwhile is left out.
        let entry = |account| Some(Entry { account, stored: self.load(account).transpose()? });
        Ok(Page { entries: accounts.into_iter().filter_map(entry).collect(), next })
    }

    fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        let lock = self.locks.acquire(&self.folder, account)?;
        let current = record_file::read_locked(&lock, account)?.map(|stored| stored.version);
        if current != Some(expected) {
            return Ok(false);
        }
        self.folder.remove(&record_file::path(&self.folder, account))?;
        Ok(true)
    }

    /// Also writes a file and removes it, so that a full or read-only disk is found before an authorization code is spent.
    fn check(&self) -> Result<(), StoreError> {
        self.folder.check()?;
        self.folder.probe().map(drop)
    }
}

/// Returns the record that a file with this content holds, or `None` if the store would set the file aside as damaged. This is
/// for fuzz targets, which run too many inputs to write each to a disk.
///
/// # Errors
/// [`StoreErrorKind::Unreadable`](crate::StoreErrorKind::Unreadable) if a newer version of this library wrote the content.
#[cfg(feature = "contract")]
#[doc(hidden)]
pub fn read_file(account: Account, text: &[u8]) -> Result<Option<Stored>, StoreError> {
    match record_file::parse(account, text) {
        RecordFile::Record(stored) => Ok(Some(*stored)),
        RecordFile::NewerFormat(format) => Err(json::newer_format_error(account, format)),
        RecordFile::Missing | RecordFile::Damaged => Ok(None),
    }
}

#[cfg(test)]
mod tests;

mod folder;
mod kept;
mod private;
mod stripe;

use std::path::Path;

use hs_oauth_core::{Account, Record, StoreError, Stored};

use crate::json;
use crate::{Swapped, TokenStore};
use folder::Folder;
use kept::Kept;
use stripe::Stripe;

/// Records in a folder of their own, one file an account: for one machine, with any number of processes and threads.
///
/// The tokens stand in the files in the clear, unless `Sealed` wraps the store. On Unix the folder must be this user's and
/// closed to everyone else (0700), and each file is (0600; one that was put there with a wider mode is tightened when it is
/// read). The folder is looked at again with every operation. On other systems, who may read the folder is for its owner to
/// see to.
///
/// - A write is durable and whole: a new file beside the old one, flushed, renamed over it, the folder flushed. A process
///   that is killed, or a machine that goes down, leaves the old record or the new one.
/// - Writers take turns by a lock of the operating system, which a dead process does not keep. Readers take none. It needs a
///   file system with such locks and a rename that is one step: any local one, rarely one on a network.
/// - A file that is not a record of its account is set aside beside it as `62515.json.damaged-1`, and reported once as
///   [`Damaged`](crate::StoreErrorKind::Damaged); from then on the account has no record. A record in a newer format is
///   [`Unreadable`](crate::StoreErrorKind::Unreadable), stays where it is, and is not written over.
/// - The files whose names begin with a dot are the store's own: locks, and marks above every version given out. They belong
///   to the records: copy them along, remove none while a process runs, and put a copy back only when none does.
#[derive(Debug)]
pub struct FileStore {
    folder: Folder,
}

impl FileStore {
    /// Opens the folder, making it and those above it with mode 0700 if they are missing. A symbolic link is followed, once:
    /// here.
    ///
    /// # Errors
    /// [`StoreErrorKind::Refused`](crate::StoreErrorKind::Refused) if it is not a folder, cannot be written to, belongs to another
    /// user or can be read or entered by others; the message then has the `chmod` that helps.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, StoreError> {
        let folder = Folder::open(folder.as_ref())?;
        stripe::clean(&folder)?;
        Ok(Self { folder })
    }
}

impl TokenStore for FileStore {
    fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        let kept = kept::read(&self.folder, account)?;
        // After the look into the folder: one that went away or was swapped for another in between has no say.
        self.folder.check()?;
        match kept {
            Kept::Absent => Ok(None),
            Kept::Record(stored) => Ok(Some(*stored)),
            Kept::Newer(format) => Err(json::newer(account, format)),
            // Perhaps only until a writer was done: the lock tells.
            Kept::Damaged => Stripe::lock(&self.folder, account)?.current(account),
        }
    }

    fn swap(&self, account: Account, expected: Option<u64>, record: &Record) -> Result<Swapped, StoreError> {
        let stripe = Stripe::lock(&self.folder, account)?;
        let current = stripe.current(account)?.map(|stored| stored.version);
        if current != expected {
            return Ok(Swapped::Conflict);
        }
        let version = stripe.next_version(current)?;
        stripe.replace(&kept::path(&self.folder, account), &kept::write(account, version, record)?)?;
        Ok(Swapped::Stored(version))
    }

    /// Also an account whose file turns out to be damaged when it is loaded.
    fn list(&self) -> Result<Vec<Account>, StoreError> {
        let names = self.folder.names()?;
        self.folder.check()?;
        let mut accounts: Vec<Account> = names.iter().filter_map(|name| kept::account(name)).collect();
        accounts.sort_unstable();
        // A folder that is written to while it is read may give a name twice.
        accounts.dedup();
        Ok(accounts)
    }

    /// Writes a file of its own, too: a disk that is full or read-only is found before a code is spent on it.
    fn check(&self) -> Result<(), StoreError> {
        self.folder.check()?;
        self.folder.probe().map(drop)
    }

    fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        let stripe = Stripe::lock(&self.folder, account)?;
        if stripe.current(account)?.map(|stored| stored.version) != Some(expected) {
            return Ok(false);
        }
        self.folder.remove(&kept::path(&self.folder, account))?;
        Ok(true)
    }
}

/// What a store makes of a file with this content; none if it would set it aside as damaged. For the fuzz targets, which are
/// too fast for a disk.
///
/// # Errors
/// [`StoreErrorKind::Unreadable`](crate::StoreErrorKind::Unreadable) if a newer version wrote it.
#[cfg(feature = "contract")]
#[doc(hidden)]
pub fn read_file(account: Account, text: &[u8]) -> Result<Option<Stored>, StoreError> {
    match kept::parse(account, text) {
        Kept::Record(stored) => Ok(Some(*stored)),
        Kept::Newer(format) => Err(json::newer(account, format)),
        Kept::Absent | Kept::Damaged => Ok(None),
    }
}

#[cfg(test)]
mod tests;

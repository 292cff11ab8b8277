//! The lock that makes writers take turns, and the mark above all versions given out. Each is one for a 64th of the accounts:
//! one for all would make everyone wait for everyone, and one for each would be files without end.
//!
//! The lock's file is its own, is empty and stays: a lock on the record's file would be on a file that is replaced, so two
//! writers could hold one each.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hs_oauth_core::{Account, StoreError, StoreErrorKind, Stored};

use super::folder::{Folder, failed};
use super::kept::{self, Kept};
use super::private;
use crate::json;

/// How many there are: part of the layout, since all processes must agree on it.
const STRIPES: u8 = 64;

/// How long a writer is waited for: some hundred times what a write takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far the mark is raised above the version that reached it. Each raise costs a write.
const RAISE: u64 = 64;

/// A 64th of the accounts, locked until this is dropped. Each has a handle of its own, so threads take turns, too.
pub(super) struct Stripe<'a> {
    folder: &'a Folder,
    number: u8,
    _lock: File,
}

impl<'a> Stripe<'a> {
    /// Waits for the lock of the account. A process that ends, however it ends, has given it back; one that stands still has
    /// not, and is not waited for longer than [`PATIENCE`].
    pub(super) fn lock(folder: &'a Folder, account: Account) -> Result<Self, StoreError> {
        folder.check()?;
        let number = number_of(account);
        let (path, lock) = lock_file(folder, number)?;
        let began = Instant::now();
        let mut wait = Duration::from_millis(1);
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { folder, number, _lock: lock }),
                Err(TryLockError::Error(error)) if error.kind() != ErrorKind::Interrupted => {
                    return Err(failed("lock", &path, error));
                }
                Err(_) if began.elapsed() > PATIENCE => {
                    let message = format!("`{}` is locked by a process that does not go on", path.display());
                    return Err(StoreError::with_source(StoreErrorKind::Unavailable, message));
                }
                Err(_) => {
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(Duration::from_millis(16));
                }
            }
        }
    }

    /// The account's record, which stays as it is while the lock is held. What is damaged is set aside.
    pub(super) fn current(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        match kept::read(self.folder, account)? {
            Kept::Absent => Ok(None),
            Kept::Record(stored) => Ok(Some(*stored)),
            Kept::Newer(format) => Err(json::newer(account, format)),
            Kept::Damaged => Err(self.set_aside(&kept::path(self.folder, account))),
        }
    }

    /// The version after `current`, or the first of a new file.
    ///
    /// The mark is above every version given out in this stripe and is durable before they are. A new file begins at the mark,
    /// so it does not matter what was there before it: a record that was removed, a damaged one whose version cannot be read,
    /// or none. Without a mark (a new stripe, or one put back from a copy that left it out) the microseconds since 1970 are
    /// above what a disk could have written since.
    pub(super) fn next_version(&self, current: Option<u64>) -> Result<u64, StoreError> {
        let path = self.folder.file(&format!(".mark-{:02x}", self.number));
        let written = self.folder.read(&path)?;
        let written =
            written.and_then(|text| std::str::from_utf8(&text).ok()?.trim_ascii().parse::<u64>().ok());
        let mark = written.unwrap_or_else(microseconds);
        let version = match current {
            None => mark,
            Some(version) => version.saturating_add(1),
        };
        let Some(raised) = version.checked_add(RAISE) else {
            return Err(StoreError::with_source(StoreErrorKind::Refused, "there are no versions left"));
        };
        if written.is_none() || version >= mark {
            self.replace(&path, raised.max(mark).to_string().as_bytes())?;
        }
        Ok(version)
    }

    /// Puts a file with this content in the place of whatever is there.
    pub(super) fn replace(&self, path: &Path, content: &[u8]) -> Result<(), StoreError> {
        self.folder.replace(path, &format!(".{:02x}-", self.number), content)
    }

    fn set_aside(&self, path: &Path) -> StoreError {
        // Whoever sets files of this stripe aside has the lock, so a name that is free stays so.
        let free = (1_u32..)
            .map(|number| path.with_added_extension(format!("damaged-{number}")))
            .find(|aside| aside.symlink_metadata().is_err());
        let Some(aside) = free else { return StoreError::new(StoreErrorKind::Damaged) };
        match self.folder.rename(path, &aside) {
            Ok(()) => {
                let message =
                    format!("`{}` is not a record: it is now `{}`", path.display(), aside.display());
                StoreError::with_source(StoreErrorKind::Damaged, message)
            }
            Err(error) => error,
        }
    }
}

/// Removes what killed writers left. In a stripe whose lock is taken, its owner may be writing: the next to open looks again.
pub(super) fn clean(folder: &Folder) -> Result<(), StoreError> {
    let names = folder.names()?;
    for number in 0..STRIPES {
        let prefix = format!(".{number:02x}-");
        let mut left =
            names.iter().filter(|name| name.starts_with(&prefix) && name.ends_with(".tmp")).peekable();
        if left.peek().is_none() {
            continue;
        }
        let (path, lock) = lock_file(folder, number)?;
        match lock.try_lock() {
            // They were listed before the lock was had, so none is of a writer still at work.
            Ok(()) => left.for_each(|name| drop(folder.remove(&folder.file(name)))),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(failed("lock", &path, error)),
        }
    }
    Ok(())
}

fn lock_file(folder: &Folder, number: u8) -> Result<(PathBuf, File), StoreError> {
    let path = folder.file(&format!(".lock-{number:02x}"));
    let lock = private::file().read(true).write(true).create(true).truncate(false).open(&path);
    let lock = lock.map_err(|error| failed("open", &path, error))?;
    Ok((path, lock))
}

/// FNV-1a of the account's text: the same in every process and every version of this library.
fn number_of(account: Account) -> u8 {
    let hash = account.to_string().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    u8::try_from(hash % u64::from(STRIPES)).unwrap_or_default()
}

fn microseconds() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or_default().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processes of two versions share a folder during an update: both must lock the same file.
    #[test]
    fn an_account_has_the_stripe_it_always_had() {
        assert_eq!(number_of(Account::hub(62515)), 38);
        let mut used = [false; STRIPES as usize];
        (0..1000).for_each(|hub_id| used[usize::from(number_of(Account::hub(hub_id)))] = true);
        assert!(used.iter().all(|used| *used));
    }
}

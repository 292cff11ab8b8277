//! The locks that make writers take turns. The accounts are divided into 64 stripes, and each stripe has a lock. With one lock
//! for all accounts every writer would wait for every other. With one lock for each account the number of lock files would have
//! no limit.
//!
//! A lock is an empty file of its own, which is never removed. The record's file cannot be the lock, because a write replaces it:
//! one writer could lock the old file while another locks the new one.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hs_oauth_core::{Account, StoreError, StoreErrorKind};

use super::folder::{Folder, io_error};
use super::permissions;

/// The number of stripes. It is part of the layout of the folder: all processes must agree on it.
const STRIPES: u8 = 64;

/// How long a writer waits for the lock. A write takes about a hundredth of it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// The lock of a stripe, held until this is dropped. Every `StripeLock` opens the lock file anew, so threads of one process
/// exclude each other too.
pub(super) struct StripeLock<'a> {
    folder: &'a Folder,
    stripe: u8,
    _file: File,
}

impl<'a> StripeLock<'a> {
    /// Waits for the lock of the account's stripe.
    ///
    /// The lock of a process that ends is released, however the process ends. A process that hangs keeps its lock, so this gives
    /// up after [`LOCK_TIMEOUT`].
    pub(super) fn acquire(folder: &'a Folder, account: Account) -> Result<Self, StoreError> {
        folder.check()?;
        let stripe = stripe_of(account);
        let (path, file) = open_lock_file(folder, stripe)?;
        let start = Instant::now();
        let mut wait = Duration::from_millis(1);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { folder, stripe, _file: file }),
                Err(TryLockError::Error(error)) if error.kind() != ErrorKind::Interrupted => {
                    return Err(io_error("lock", &path, error));
                }
                Err(_) if start.elapsed() > LOCK_TIMEOUT => {
                    let message = format!(
                        "another process or thread has locked `{}` for more than {} seconds",
                        path.display(),
                        LOCK_TIMEOUT.as_secs()
                    );
                    return Err(StoreError::with_source(StoreErrorKind::Unavailable, message));
                }
                Err(_) => {
                    std::thread::sleep(wait);
                    wait = (wait * 2).min(Duration::from_millis(16));
                }
            }
        }
    }

    pub(super) const fn folder(&self) -> &'a Folder {
        self.folder
    }

    /// Returns the number of the stripe, from 0 to 63.
    pub(super) const fn stripe(&self) -> u8 {
        self.stripe
    }

    /// Replaces the file at `path`, or creates it, durably and in one step.
    pub(super) fn replace(&self, path: &Path, content: &[u8]) -> Result<(), StoreError> {
        self.folder.replace(path, &temporary_prefix(self.stripe), content)
    }
}

/// Removes the temporary files that killed writers left behind. Skips a stripe that is locked, because its files may belong to
/// the writer that holds the lock. The next process that opens the folder looks at it again.
pub(super) fn remove_leftovers(folder: &Folder) -> Result<(), StoreError> {
    let names = folder.names()?;
    for stripe in 0..STRIPES {
        let prefix = temporary_prefix(stripe);
        let mut leftovers =
            names.iter().filter(|name| name.starts_with(&prefix) && name.ends_with(".tmp")).peekable();
        if leftovers.peek().is_none() {
            continue;
        }
        let (path, file) = open_lock_file(folder, stripe)?;
        match file.try_lock() {
            // The names were listed before the lock was taken, so the writer of each of these files is done or dead.
            Ok(()) => leftovers.for_each(|name| drop(folder.remove(&folder.file(name)))),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &path, error)),
        }
    }
    Ok(())
}

fn temporary_prefix(stripe: u8) -> String {
    format!(".{stripe:02x}-")
}

fn open_lock_file(folder: &Folder, stripe: u8) -> Result<(PathBuf, File), StoreError> {
    let path = folder.file(&format!(".lock-{stripe:02x}"));
    let file = permissions::file_options().read(true).write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|error| io_error("open", &path, error))?;
    Ok((path, file))
}

/// Returns the stripe of the account, by the FNV-1a hash of its text. It is the same in every process and every version of this
/// library.
fn stripe_of(account: Account) -> u8 {
    let hash = account.to_string().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    u8::try_from(hash % u64::from(STRIPES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// During an update, processes of two versions share a folder. Both must lock the same file.
    #[test]
    fn an_account_has_the_same_stripe_in_every_version() {
        assert_eq!(stripe_of(Account::hub(62515)), 38);
        let mut used = [false; STRIPES as usize];
        (0..1000).for_each(|hub_id| used[usize::from(stripe_of(Account::hub(hub_id)))] = true);
        assert!(used.iter().all(|used| *used));
    }
}

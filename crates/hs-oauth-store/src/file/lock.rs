//! The locks that make writers take turns. The accounts are divided into 64 stripes, and each stripe has a lock. With one lock
//! for all accounts every writer would wait for every other. With one lock for each account the number of lock files would have
//! no limit.
//!
//! A lock is an empty file of its own, which is never removed. The record's file cannot be the lock, because a write replaces it:
//! one writer could lock the old file while another locks the new one.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hs_oauth_core::{Account, StoreError, StoreErrorKind};

use super::folder::{Folder, io_error};
use super::permissions;
use crate::stripe::{STRIPES, stripe_of};

/// How long a writer waits for a lock, unless the application sets another time. A write takes about a hundredth of it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a writer waits if the writer before it has waited in vain.
const TIMEOUT_AFTER_TIMEOUT: Duration = Duration::from_millis(20);

/// The locks of one store.
#[derive(Debug)]
pub(super) struct StripeLocks {
    pub(super) timeout: Duration,
    /// A bit for each stripe: set if the last writer has waited in vain.
    timed_out: AtomicU64,
}

/// The lock of a stripe, held until this is dropped. Every `StripeLock` opens the lock file anew, so threads of one process
/// exclude each other too.
pub(super) struct StripeLock<'a> {
    folder: &'a Folder,
    stripe: u8,
    pub(super) file: File,
}

impl StripeLocks {
    pub(super) fn new() -> Self {
        Self { timeout: DEFAULT_TIMEOUT, timed_out: AtomicU64::new(0) }
    }

    /// Waits for the lock of the account's stripe.
    ///
    /// The lock of a process that ends is released, however the process ends. A process that hangs or is stopped keeps its lock, so
    /// this gives up after the timeout. After that, writers hardly wait for this lock until one of them gets it. Otherwise such a
    /// process would occupy every thread that works for many accounts, for the whole timeout with each account of the stripe.
    pub(super) fn acquire<'a>(
        &self,
        folder: &'a Folder,
        account: Account,
    ) -> Result<StripeLock<'a>, StoreError> {
        folder.check()?;
        let stripe = stripe_of(account);
        let bit = 1_u64 << stripe;
        let timeout = match self.timed_out.load(Ordering::Relaxed) & bit {
            0 => self.timeout,
            _ => self.timeout.min(TIMEOUT_AFTER_TIMEOUT),
        };
        let (path, file) = open_lock_file(folder, stripe)?;
        let start = Instant::now();
        let mut wait = Duration::from_millis(1);
        loop {
            match file.try_lock() {
                Ok(()) => {
                    self.timed_out.fetch_and(!bit, Ordering::Relaxed);
                    return Ok(StripeLock { folder, stripe, file });
                }
                Err(TryLockError::Error(error)) if error.kind() != ErrorKind::Interrupted => {
                    return Err(io_error("lock", &path, error));
                }
                Err(_) if start.elapsed() > timeout => {
                    self.timed_out.fetch_or(bit, Ordering::Relaxed);
                    let message = format!(
                        "another process or thread has locked `{}` for more than {:?}; if it is stopped, continue or end it",
                        path.display(),
                        self.timeout
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
}

impl<'a> StripeLock<'a> {
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

impl Drop for StripeLock<'_> {
    /// Releases the lock. Closing the file would not: a process that was forked meanwhile has the open file too, and with it the lock.
    fn drop(&mut self) {
        // If this fails, the lock is released when the last process has closed the file.
        let _ = self.file.unlock();
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
            Ok(()) => {
                let _lock = StripeLock { folder, stripe, file };
                leftovers.for_each(|name| drop(folder.remove(&folder.file(name))));
            }
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

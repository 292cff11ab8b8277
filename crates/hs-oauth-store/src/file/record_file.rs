//! The file of an account: `62515.json` with the content `{"account":"62515","version":7,"record":{…}}`.

use std::path::{Path, PathBuf};

use hs_oauth_core::renewal::{Record, Stored};
use hs_oauth_core::{Account, StoreError, StoreErrorKind};
use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::lock::StripeLock;
use crate::json::{self, AnyFormat, ReadError};
use crate::secret_bytes::SecretBytes;

/// The file of an account, as it was read.
pub(super) enum RecordFile {
    /// There is no file.
    Missing,
    /// The file holds this record.
    Record(Box<Stored>),
    /// The file holds a record in the format of this number, which a newer version of this library wrote.
    NewerFormat(u64),
    /// The file holds something other than a record of its account.
    Damaged,
}

/// The JSON in the file. The names of the fields are part of the stored form.
#[derive(Serialize, Deserialize)]
struct Content<R> {
    account: Account,
    version: u64,
    record: R,
}

/// The part of the JSON that files of every record format have.
#[derive(Deserialize)]
struct AnyContent {
    record: AnyFormat,
}

const EXTENSION: &str = ".json";

/// Returns the path of the account's file.
pub(super) fn path(folder: &Folder, account: Account) -> PathBuf {
    folder.file(&format!("{account}{EXTENSION}"))
}

/// Returns the account whose file has this name, or `None` if it is not the name of a record file.
pub(super) fn account_of(name: &str) -> Option<Account> {
    name.strip_suffix(EXTENSION)?.parse().ok()
}

/// Reads the account's file without a lock.
pub(super) fn read(folder: &Folder, account: Account) -> Result<RecordFile, StoreError> {
    let text = folder.read(&path(folder, account))?;
    Ok(text.map_or(RecordFile::Missing, |text| parse(account, &text)))
}

/// Reads the account's record while the lock of its stripe is held, so that no writer changes it meanwhile. Sets a damaged file
/// aside and reports it.
pub(super) fn read_locked(lock: &StripeLock<'_>, account: Account) -> Result<Option<Stored>, StoreError> {
    let folder = lock.folder();
    match read(folder, account)? {
        RecordFile::Missing => Ok(None),
        RecordFile::Record(stored) => Ok(Some(*stored)),
        RecordFile::NewerFormat(format) => Err(json::newer_format_error(account, format)),
        RecordFile::Damaged => Err(set_aside(folder, &path(folder, account))),
    }
}

/// Reads the content of the account's file.
pub(super) fn parse(account: Account, text: &[u8]) -> RecordFile {
    match json::from_slice::<Content<Record>, AnyContent>(text, |any| any.record.format) {
        // The greatest version is never given out, because no version could follow it.
        Ok(content) if content.account == account && content.version < u64::MAX => {
            RecordFile::Record(Box::new(Stored { version: content.version, record: content.record }))
        }
        Ok(_) | Err(ReadError::Damaged) => RecordFile::Damaged,
        Err(ReadError::NewerFormat(format)) => RecordFile::NewerFormat(format),
    }
}

/// Returns the content of the account's file.
pub(super) fn to_json(account: Account, version: u64, record: &Record) -> Result<SecretBytes, StoreError> {
    json::to_vec(&Content { account, version, record })
}

/// Renames the file so that it is no longer the account's. Returns the error that reports it.
fn set_aside(folder: &Folder, path: &Path) -> StoreError {
    // The caller holds the lock that everyone needs to set this file aside, so a free name stays free.
    let free_path = (1_u32..)
        .map(|number| {
            let mut free_path = path.as_os_str().to_owned();
            free_path.push(format!(".damaged-{number}"));
            PathBuf::from(free_path)
        })
        .find(|free_path| free_path.symlink_metadata().is_err());
    let Some(free_path) = free_path else { return StoreError::new(StoreErrorKind::Damaged) };
    match folder.rename(path, &free_path) {
        Ok(()) => {
            let message =
                format!("`{}` is not a record; it was renamed to `{}`", path.display(), free_path.display());
            StoreError::with_source(StoreErrorKind::Damaged, message)
        }
        Err(error) => error,
    }
}

//! The file of an account: `62515.json` with `{"account":"62515","version":7,"record":{…}}`.

use std::path::PathBuf;

use hs_oauth_core::{Account, Record, StoreError, Stored};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::folder::Folder;
use crate::json::{self, AnyFormat, NotRead};

/// What is in the file of an account.
pub(super) enum Kept {
    /// There is no file.
    Absent,
    /// The record.
    Record(Box<Stored>),
    /// A record in this format, which a newer version of this library wrote.
    Newer(u64),
    /// Not a record of that account.
    Damaged,
}

#[derive(Serialize, Deserialize)]
struct Content<R> {
    account: Account,
    version: u64,
    record: R,
}

#[derive(Deserialize)]
struct AnyContent {
    record: AnyFormat,
}

const ENDING: &str = ".json";

pub(super) fn path(folder: &Folder, account: Account) -> PathBuf {
    folder.file(&format!("{account}{ENDING}"))
}

/// The account whose file has that name.
pub(super) fn account(name: &str) -> Option<Account> {
    name.strip_suffix(ENDING)?.parse().ok()
}

pub(super) fn read(folder: &Folder, account: Account) -> Result<Kept, StoreError> {
    let text = folder.read(&path(folder, account))?;
    Ok(text.map_or(Kept::Absent, |text| parse(account, &text)))
}

/// What the file of that account says.
pub(super) fn parse(account: Account, text: &[u8]) -> Kept {
    match json::read::<Content<Record>, AnyContent>(text, |any| any.record.format) {
        // The last version leaves no room for the next, and was never given out.
        Ok(content) if content.account == account && content.version < u64::MAX => {
            Kept::Record(Box::new(Stored { version: content.version, record: content.record }))
        }
        Ok(_) | Err(NotRead::Damaged) => Kept::Damaged,
        Err(NotRead::Newer(format)) => Kept::Newer(format),
    }
}

pub(super) fn write(
    account: Account,
    version: u64,
    record: &Record,
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    json::write(&Content { account, version, record })
}

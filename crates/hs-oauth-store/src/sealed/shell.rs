//! A sealed record: in the field `sealed` of a record that is otherwise bare.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hs_oauth_core::{Account, Record, StoreError, StoreErrorKind};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key::{self, Keys, SealingKey};
use crate::json::{self, AnyFormat, NotRead};

/// The field of a shell that holds everything.
pub(super) const FIELD: &str = "sealed";

#[derive(Serialize, Deserialize)]
pub(super) struct Seal {
    pub(super) key: String,
    pub(super) nonce: String,
    pub(super) text: String,
}

impl Keys {
    /// The record sealed with the current key: a shell to be stored in its place.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unavailable`] if the operating system gives no random bytes; [`StoreErrorKind::Refused`] if the record
    /// cannot be written.
    pub fn seal(&self, account: Account, record: &Record) -> Result<Record, StoreError> {
        let mut nonce = [0; key::NONCE];
        getrandom::fill(&mut nonce)
            .map_err(|error| StoreError::with_source(StoreErrorKind::Unavailable, error.to_string()))?;
        let key = self.current();
        let text = key.seal(&nonce, &bound_to(account, key), &json::write(record)?);
        let text =
            text.ok_or_else(|| StoreError::with_source(StoreErrorKind::Refused, "the record is too long"))?;
        let seal = Seal {
            key: key.id().to_owned(),
            nonce: URL_SAFE_NO_PAD.encode(nonce),
            text: URL_SAFE_NO_PAD.encode(text),
        };
        let mut shell = Record::without_tokens(record.grant, record.state);
        match shell.unknown.put(FIELD, &seal) {
            true => Ok(shell),
            false => Err(StoreError::new(StoreErrorKind::Refused)),
        }
    }

    /// The record inside a shell of that account.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unreadable`] if it is no shell, its key is not among these or the record's format is newer;
    /// [`StoreErrorKind::Damaged`] if it was altered, cut or made for another account.
    pub fn open(&self, account: Account, shell: &Record) -> Result<Record, StoreError> {
        if !is_sealed(shell) {
            return Err(unreadable(format!("the record of {account} is not sealed")));
        }
        let seal = shell.unknown.read::<Seal>(FIELD).ok_or_else(|| damaged(account))?;
        let Some(key) = self.find(&seal.key) else {
            // The name comes from the store, so it may be anything.
            let key = key::is_id(&seal.key).then_some(seal.key).ok_or_else(|| damaged(account))?;
            return Err(unreadable(format!(
                "the record of {account} is sealed with the key `{key}`, which is not here"
            )));
        };
        let nonce = URL_SAFE_NO_PAD.decode(&seal.nonce).ok().and_then(|nonce| nonce.try_into().ok());
        let text = URL_SAFE_NO_PAD.decode(&seal.text).ok();
        let opened =
            nonce.zip(text).and_then(|(nonce, text)| key.open(&nonce, &bound_to(account, key), &text));
        let opened: Zeroizing<Vec<u8>> = opened.ok_or_else(|| damaged(account))?;
        json::read(&opened, |any: AnyFormat| any.format).map_err(|not_read| match not_read {
            NotRead::Newer(format) => json::newer(account, format),
            NotRead::Damaged => damaged(account),
        })
    }

    /// Whether it is a shell sealed with the current key.
    pub fn is_current(&self, shell: &Record) -> bool {
        shell.unknown.read::<Seal>(FIELD).is_some_and(|seal| seal.key == self.current().id())
    }
}

/// Whether it is a shell, whatever it holds.
pub(super) fn is_sealed(record: &Record) -> bool {
    record.unknown.contains(FIELD)
}

/// What a ciphertext is good for: no other use of the key, no other key, no other account. None of the parts has a line feed.
pub(super) fn bound_to(account: Account, key: &SealingKey) -> String {
    format!("hs-oauth sealed record 1\n{}\n{account}", key.id())
}

fn unreadable(message: String) -> StoreError {
    StoreError::with_source(StoreErrorKind::Unreadable, message)
}

fn damaged(account: Account) -> StoreError {
    let message = format!("the sealed record of {account} was altered, or is another account's");
    StoreError::with_source(StoreErrorKind::Damaged, message)
}

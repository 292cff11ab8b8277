//! Sealing and opening of records. A sealed record is stored as an envelope: a record without tokens whose field `sealed` holds
//! `{"key":"2026-09","nonce":"…","text":"…"}`. The envelope repeats the grant and the state of the record in clear text. Opening
//! an envelope ignores them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hs_oauth_core::renewal::Record;
use hs_oauth_core::{Account, StoreError, StoreErrorKind};
use serde::{Deserialize, Serialize};

use super::key::{self, Keys, SealingKey};
use crate::json::{self, AnyFormat, ReadError};

/// The name of the envelope's field that holds the encrypted record.
pub(super) const FIELD: &str = "sealed";

/// The content of the field [`FIELD`]. The names of its fields are part of the stored form.
#[derive(Serialize, Deserialize)]
pub(super) struct SealedField {
    /// The ID of the key that the record is sealed with.
    pub(super) key: String,
    /// The nonce, in base64url without padding.
    pub(super) nonce: String,
    /// The ciphertext of the record's JSON with its tag, in base64url without padding.
    pub(super) text: String,
}

impl Keys {
    /// Seals the record with the current key. Returns the envelope to be stored in the record's place.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unavailable`] if the operating system gives no random bytes. [`StoreErrorKind::Refused`] if the record
    /// cannot be written as JSON or is too long for the cipher.
    pub fn seal(&self, account: Account, record: &Record) -> Result<Record, StoreError> {
        let mut nonce = [0; key::NONCE_SIZE];
        getrandom::fill(&mut nonce)
            .map_err(|error| StoreError::with_source(StoreErrorKind::Unavailable, error.to_string()))?;
        self.seal_with_nonce(account, record, &nonce)
    }

    /// Opens an envelope of that account. Returns the record inside.
    ///
    /// # Errors
    /// [`StoreErrorKind::Unreadable`] if `envelope` is not an envelope, its key is not among these keys, or the record inside has
    /// a newer format. [`StoreErrorKind::Damaged`] if the envelope was altered, cut off or made for another account.
    pub fn open(&self, account: Account, envelope: &Record) -> Result<Record, StoreError> {
        if !is_envelope(envelope) {
            return Err(unreadable(format!("the record of {account} is not sealed")));
        }
        let sealed = envelope.unknown.read::<SealedField>(FIELD).ok_or_else(|| damaged(account))?;
        let Some(key) = self.find(&sealed.key) else {
            // The ID comes from the store. Only what has the form of an ID may appear in a message.
            let key = key::is_id(&sealed.key).then_some(sealed.key).ok_or_else(|| damaged(account))?;
            return Err(unreadable(format!(
                "the record of {account} is sealed with the key `{key}`, which this process does not have"
            )));
        };
        let nonce = URL_SAFE_NO_PAD.decode(&sealed.nonce).ok().and_then(|nonce| nonce.try_into().ok());
        let ciphertext = URL_SAFE_NO_PAD.decode(&sealed.text).ok();
        let opened = nonce
            .zip(ciphertext)
            .and_then(|(nonce, ciphertext)| key.open(&nonce, &associated_data(account, key), &ciphertext));
        let opened = opened.ok_or_else(|| damaged(account))?;
        json::from_slice(&opened, |any: AnyFormat| any.format).map_err(|error| match error {
            ReadError::NewerFormat(format) => json::newer_format_error(account, format),
            ReadError::Damaged => damaged(account),
        })
    }

    /// Returns whether this is an envelope that names the current key.
    pub fn is_current(&self, envelope: &Record) -> bool {
        let sealed = envelope.unknown.read::<SealedField>(FIELD);
        sealed.is_some_and(|sealed| sealed.key == self.current().id())
    }

    pub(super) fn seal_with_nonce(
        &self,
        account: Account,
        record: &Record,
        nonce: &[u8; key::NONCE_SIZE],
    ) -> Result<Record, StoreError> {
        let key = self.current();
        let ciphertext = key.seal(nonce, &associated_data(account, key), &json::to_vec(record)?);
        let ciphertext = ciphertext
            .ok_or_else(|| StoreError::with_source(StoreErrorKind::Refused, "the record is too long"))?;
        let sealed = SealedField {
            key: key.id().to_owned(),
            nonce: URL_SAFE_NO_PAD.encode(nonce),
            text: URL_SAFE_NO_PAD.encode(ciphertext),
        };
        let mut envelope = Record::without_tokens(record.grant, record.state);
        match envelope.unknown.insert(FIELD, &sealed) {
            true => Ok(envelope),
            false => Err(StoreError::new(StoreErrorKind::Refused)),
        }
    }
}

/// Returns whether the record is an envelope, whatever its field `sealed` holds.
pub(super) fn is_envelope(record: &Record) -> bool {
    record.unknown.contains(FIELD)
}

/// Returns the associated data of the cipher. It ties a ciphertext to this use of the key, to the key and to the account. No part
/// contains a line feed, so different parts never give the same data.
pub(super) fn associated_data(account: Account, key: &SealingKey) -> String {
    format!("hs-oauth sealed record 1\n{}\n{account}", key.id())
}

fn unreadable(message: String) -> StoreError {
    StoreError::with_source(StoreErrorKind::Unreadable, message)
}

fn damaged(account: Account) -> StoreError {
    let message = format!("the sealed record of {account} was altered, or belongs to another account");
    StoreError::with_source(StoreErrorKind::Damaged, message)
}

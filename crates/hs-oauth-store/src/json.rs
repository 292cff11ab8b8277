//! Records as JSON, and what is wrong with JSON that is not a record. An error message never quotes the JSON, because it may hold a part of
//! a token.

use hs_oauth_core::renewal::{RECORD_FORMAT, Record};
use hs_oauth_core::{Account, StoreError, StoreErrorKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::secret_bytes::SecretBytes;

/// Why JSON could not be read as the expected type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// A newer version of this library wrote the JSON, in the record format of this number.
    NewerFormat(u64),
    /// The JSON is in no format that this library ever wrote.
    Damaged,
}

/// The one field that records of every format have.
#[derive(Deserialize)]
pub(crate) struct AnyFormat {
    pub(crate) format: u64,
}

/// Returns the record's JSON, for the crates of stores that keep text.
pub fn record_to_json(record: &Record) -> Result<SecretBytes, StoreError> {
    to_vec(record)
}

/// Reads the JSON of the account's record, for the crates of stores that keep text.
pub fn record_from_json(account: Account, text: &[u8]) -> Result<Record, StoreError> {
    from_slice::<Record, AnyFormat>(text, |any_format| any_format.format).map_err(|error| match error {
        ReadError::NewerFormat(format) => newer_format_error(account, format),
        ReadError::Damaged => {
            let message = format!("what is stored for {account} is not a record");
            StoreError::with_source(StoreErrorKind::Damaged, message)
        }
    })
}

/// Returns `value` as JSON.
pub(crate) fn to_vec(value: &impl Serialize) -> Result<SecretBytes, StoreError> {
    let failed = |error| StoreError::with_source(StoreErrorKind::Refused, error);
    let mut buffer = SecretBytes::with_capacity(USUAL_SIZE);
    serde_json::to_writer(&mut buffer, value).map_err(failed)?;
    Ok(buffer)
}

/// Reads JSON as a `T`. If that fails, reads it as a `P`, in which `format_of` finds the format number of the record.
pub(crate) fn from_slice<T: DeserializeOwned, P: DeserializeOwned>(
    text: &[u8],
    format_of: impl Fn(P) -> u64,
) -> Result<T, ReadError> {
    // One check of the whole text for UTF-8 is cheaper than one for each string in it.
    let text = str::from_utf8(text).map_err(|_| ReadError::Damaged)?;
    serde_json::from_str(text).map_err(|_| match serde_json::from_str(text).map(format_of) {
        Ok(format) if format > u64::from(RECORD_FORMAT) => ReadError::NewerFormat(format),
        _ => ReadError::Damaged,
    })
}

/// Returns the error for a record that only a newer version of this library can read.
pub(crate) fn newer_format_error(account: Account, format: u64) -> StoreError {
    let message = format!(
        "the record of {account} has format {format}, which only a newer version of hs-oauth can read"
    );
    StoreError::with_source(StoreErrorKind::Unreadable, message)
}

/// Enough for a record with tokens as HubSpot issues them, also while it has a lease.
const USUAL_SIZE: usize = 1536;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    #[test]
    fn a_record_of_any_size_is_written_whole() {
        let (account, mut record) = (Account::hub(62515), contract::full_record().unwrap());
        for size in [0, 1, USUAL_SIZE - 1, USUAL_SIZE, USUAL_SIZE + 1, 5 * USUAL_SIZE] {
            assert!(record.unknown.insert("later", &"x".repeat(size)));
            let text = to_vec(&record).unwrap();
            assert_eq!(**text, serde_json::to_vec(&record).unwrap());
            assert_eq!(record_from_json(account, &text).unwrap(), record);
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written_and_an_error_shows_nothing_of_it() {
        let (account, record) = (Account::hub(62515), contract::full_record().unwrap());
        assert_eq!(record_from_json(account, &record_to_json(&record).unwrap()).unwrap(), record);
        for (text, kind) in [
            (&br#"{"format":2,"tokens":"secret"}"#[..], StoreErrorKind::Unreadable),
            (br#"{"format":1,"tokens":"secret"}"#, StoreErrorKind::Damaged),
            (b"secret", StoreErrorKind::Damaged),
        ] {
            let error = record_from_json(account, text).unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains("62515") && !error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_newer_format_is_not_reported_as_damaged() {
        let error =
            |text: &[u8]| from_slice::<Record, AnyFormat>(text, |any_format| any_format.format).unwrap_err();
        assert_eq!(error(br#"{"format":2,"tokens":"elsewhere"}"#), ReadError::NewerFormat(2));
        assert_eq!(error(br#"{"format":1,"tokens":"elsewhere"}"#), ReadError::Damaged);
        assert_eq!(error(b""), ReadError::Damaged);
    }
}

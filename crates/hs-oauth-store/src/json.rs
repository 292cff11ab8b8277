//! Records as JSON in buffers that are wiped, and what is wrong with JSON that is not a record. A message never quotes it:
//! it may be half a token.

use std::io;

use hs_oauth_core::{RECORD_FORMAT, StoreError, StoreErrorKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Why JSON is not what was to be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotRead {
    /// A newer version of this library wrote it, in this format.
    Newer(u64),
    /// Nobody wrote this.
    Damaged,
}

pub(crate) fn write(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let failed = |error| StoreError::with_source(StoreErrorKind::Refused, error);
    // A buffer that grows leaves copies behind, so its size is found out first.
    let mut size = Size(0);
    serde_json::to_writer(&mut size, value).map_err(failed)?;
    let mut text = Zeroizing::new(Vec::with_capacity(size.0));
    serde_json::to_writer(&mut *text, value).map_err(failed)?;
    Ok(text)
}

/// Reads a `T`, in which `format_of` finds the number of the record's format.
pub(crate) fn read<T: DeserializeOwned, P: DeserializeOwned>(
    text: &[u8],
    format_of: impl Fn(P) -> u64,
) -> Result<T, NotRead> {
    serde_json::from_slice(text).map_err(|_| match serde_json::from_slice(text).map(format_of) {
        Ok(format) if format > u64::from(RECORD_FORMAT) => NotRead::Newer(format),
        _ => NotRead::Damaged,
    })
}

/// What every format of a record has.
#[derive(Deserialize)]
pub(crate) struct AnyFormat {
    pub(crate) format: u64,
}

pub(crate) fn newer(account: hs_oauth_core::Account, format: u64) -> StoreError {
    let message = format!("the record of {account} has format {format}, which only a newer hs-oauth reads");
    StoreError::with_source(StoreErrorKind::Unreadable, message)
}

struct Size(usize);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::Record;

    use super::*;
    use crate::contract;

    #[test]
    fn a_record_is_written_into_a_buffer_that_never_grew() {
        let record = contract::full().unwrap();
        let text = write(&record).unwrap();
        assert_eq!(text.len(), text.capacity());
        assert_eq!(serde_json::from_slice::<Record>(&text).unwrap(), record);
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let read = |text: &[u8]| read::<Record, AnyFormat>(text, |any| any.format).unwrap_err();
        assert_eq!(read(br#"{"format":2,"tokens":"elsewhere"}"#), NotRead::Newer(2));
        assert_eq!(read(br#"{"format":1,"tokens":"elsewhere"}"#), NotRead::Damaged);
        assert_eq!(read(b""), NotRead::Damaged);
    }
}

//! Answers of Redis, read without a copy. The client's own conversions quote an answer that does not fit, and it may hold a token.

use hs_oauth_store::{Account, SecretBytes, StoreError, StoreErrorKind, Stored, record_from_json};
use redis::{RedisError, Value};

use crate::error::{CallError, unexpected_answer};

/// The fields of an account's hash that `HMGET` is asked for, in its order.
pub(crate) const FIELDS: [&str; 2] = ["version", "record"];

/// Returns the record of the account in an answer to `HMGET` for the [`FIELDS`], or `None` if there is none.
pub(crate) fn stored(account: Account, answer: Value) -> Result<Option<Stored>, CallError> {
    let fields = match answer {
        Value::Array(fields) => <[Value; 2]>::try_from(fields).map_err(|_| unexpected_answer())?,
        Value::ServerError(error) => return Err(RedisError::from(error).into()),
        _ => return Err(unexpected_answer().into()),
    };
    let [version, record] = fields;
    // Without a record, the hash only keeps the last version of an account that was removed.
    let Some(record) = bytes(record)? else { return Ok(None) };
    let version =
        bytes(version)?.and_then(|text| self::version(&text)).ok_or_else(|| damaged_version(account))?;
    Ok(Some(Stored { version, record: record_from_json(account, &record)? }))
}

/// Returns the string in an answer, or `None` for nil.
pub(crate) fn bytes(answer: Value) -> Result<Option<SecretBytes>, StoreError> {
    match answer {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(SecretBytes::from(bytes))),
        _ => Err(unexpected_answer()),
    }
}

/// Returns the text in an answer: of `INFO`, of a setting, of a key.
pub(crate) fn text(answer: Value) -> Option<String> {
    match answer {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

/// Reads a version as a script writes it.
pub(crate) fn version(text: &[u8]) -> Option<u64> {
    // The scripts compare texts, so a version has one form only: without a sign, and without zeros before it.
    let [b'1'..=b'9', ..] = text else { return None };
    let version = str::from_utf8(text).ok()?.parse().ok()?;
    (version <= MAX_VERSION).then_some(version)
}

/// The numbers of Lua are exact up to this one.
const MAX_VERSION: u64 = 1 << 53;

fn damaged_version(account: Account) -> StoreError {
    let message = format!("the version of {account} in Redis is missing, or is not a number up to 2^53");
    StoreError::with_source(StoreErrorKind::Damaged, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: Account = Account::hub(62515);

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn error(answer: Value) -> StoreError {
        stored(ACCOUNT, answer).unwrap_err().into()
    }

    #[test]
    fn a_hash_without_a_record_is_that_of_an_account_that_was_removed() {
        for version in [Value::Nil, bulk("7"), bulk("x")] {
            assert!(stored(ACCOUNT, Value::Array(vec![version, Value::Nil])).unwrap().is_none());
        }
    }

    #[test]
    fn a_version_is_read_only_as_a_script_writes_it() {
        assert_eq!(version(b"1"), Some(1));
        assert_eq!(version(b"9007199254740992"), Some(MAX_VERSION));
        for text in
            ["", "0", "-1", "+1", "01", "1.0", "1e3", " 1", "9007199254740993", "99999999999999999999"]
        {
            assert_eq!(version(text.as_bytes()), None, "{text}");
            let error = error(Value::Array(vec![bulk(text), bulk("{}")]));
            assert_eq!(error.kind(), StoreErrorKind::Damaged, "{text}");
        }
    }

    #[test]
    fn an_error_shows_nothing_of_the_answer() {
        for answer in [
            bulk("secret"),
            Value::Array(vec![bulk("secret")]),
            Value::Array(vec![bulk("7"), bulk("secret")]),
            Value::Array(vec![bulk("secret"), bulk("secret")]),
            Value::Array(vec![bulk("7"), Value::SimpleString("secret".to_owned())]),
        ] {
            let error = error(answer);
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }
}

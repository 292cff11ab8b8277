//! Target `stored_record`: what a disk may contain. The input is a record, the file of an account, or a sealed record.

use std::sync::LazyLock;

use hs_oauth_core::renewal::{RECORD_FORMAT, Record};
use hs_oauth_core::{AccessToken, Account, IdToken, RefreshToken, StoreErrorKind};
use hs_oauth_store::{Keys, SealingKey, read_file};
use serde_json::{Map, Value};

use crate::json;

const ACCOUNT: Account = Account::hub(62515);
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = |id, byte| SealingKey::new(id, [byte; 32]).expect("a name");
    Keys::new(key("2026-09", 1)).with_key(key("2026-03", 2)).expect("two names")
});

/// The one seal among the seeds that was made with these keys. No mutation may produce another.
static GENUINE: LazyLock<Value> = LazyLock::new(|| {
    let sealed = include_str!("../seeds/stored_record/sealed.json");
    let sealed: Value = serde_json::from_str(sealed).expect("a seed is JSON");
    sealed.get("sealed").cloned().expect("it is sealed")
});

/// Checks, for any bytes, that a record loses nothing when it is read and written, that it shows no secret, that it can be sealed and
/// opened again, that nothing is opened that was altered or sealed elsewhere, and that a file is read only for its own account.
pub fn check(data: &[u8]) {
    if let Ok(record) = serde_json::from_slice::<Record>(data) {
        let before = serde_json::from_slice(data).expect("a record is an object");
        check_record(&record, &before, data);
    }
    check_file(data);
}

fn check_record(record: &Record, before: &Map<String, Value>, data: &[u8]) {
    let written = serde_json::to_vec(record).expect("a record can be written");
    let again: Record = serde_json::from_slice(&written).expect("and read");
    assert_eq!(again, *record);
    assert_eq!(serde_json::to_vec(&again).expect("and written again"), written);
    let after: Map<String, Value> = serde_json::from_slice(&written).expect("a record is an object");
    has_all_fields("", before, &after);
    shows_no_secret(record);

    if let Ok(opened) = KEYS.open(ACCOUNT, record) {
        let seal: Value = record.unknown.read("sealed").expect("it is sealed");
        for part in ["key", "nonce", "text"] {
            assert_eq!(seal.get(part), GENUINE.get(part), "a seal was forged");
        }
        assert_eq!(opened.format, RECORD_FORMAT);
    }

    let sealed = KEYS.seal(ACCOUNT, record).expect("a record can be sealed");
    assert_eq!(KEYS.open(ACCOUNT, &sealed).expect("and opened"), *record);
    let moved = KEYS.open(Account::hub(62516), &sealed).expect_err("it is another account's");
    assert_eq!(moved.kind(), StoreErrorKind::Damaged);
    tamper(&sealed, data);
}

/// Checks that a sealed record is not opened after one character has changed. The input decides which.
fn tamper(sealed: &Record, data: &[u8]) {
    let pick = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let pick = |shift: u32, among: usize| usize::try_from(pick >> shift).unwrap_or_default() % among;
    let mut sealed = sealed.clone();
    let mut seal: Map<String, Value> = sealed.unknown.read("sealed").expect("it is sealed");
    let part = if pick(50, 4) == 0 { "nonce" } else { "text" };
    let mut text = seal.get(part).and_then(Value::as_str).expect("it is text").as_bytes().to_vec();
    let at = pick(0, text.len());
    let letter = text.get_mut(at).expect("it is in the text");
    let old = ALPHABET.iter().position(|other| other == letter).expect("it is base64url");
    *letter = *ALPHABET.get((old + 1 + pick(40, 63)) % 64).expect("64 letters");
    seal.insert(part.to_owned(), Value::String(String::from_utf8(text).expect("it is text")));
    assert!(sealed.unknown.insert("sealed", &seal));
    let altered = KEYS.open(ACCOUNT, &sealed).expect_err("it was altered");
    assert_eq!(altered.kind(), StoreErrorKind::Damaged);
}

/// Checks that every field is still there with its value.
fn has_all_fields(path: &str, before: &Map<String, Value>, after: &Map<String, Value>) {
    for (name, value) in before {
        let new = after.get(name);
        let hex = |value: &Value| value.as_str().and_then(|text| u128::from_str_radix(text, 16).ok());
        match (path, name.as_str(), value, new) {
            ("", "tokens" | "revoke" | "lease" | "retry", Value::Null, None) => {}
            ("", "tokens" | "lease" | "retry", Value::Object(before), Some(Value::Object(after))) => {
                has_all_fields(name, before, after);
            }
            ("", "grant", id, Some(new)) | ("lease", "holder", id, Some(new)) => {
                assert_eq!(hex(id), hex(new))
            }
            ("tokens", "token_type", Value::String(kind), Some(Value::String(new))) => {
                assert!(kind.eq_ignore_ascii_case(new));
            }
            (_, _, value, new) => assert_eq!(new, Some(value), "{path}.{name}"),
        }
    }
}

fn shows_no_secret(record: &Record) {
    let mut other = record.clone();
    if let Some(tokens) = &mut other.tokens {
        tokens.access_token = AccessToken::new("x").expect("a token");
        tokens.refresh_token =
            tokens.refresh_token.as_ref().map(|_| RefreshToken::new("y").expect("a token"));
        tokens.id_token = tokens.id_token.as_ref().map(|_| IdToken::new("z").expect("a token"));
    }
    other.revoke = other.revoke.map(|_| RefreshToken::new("y").expect("a token"));
    assert_eq!(format!("{record:?}"), format!("{other:?}"), "a secret is shown");
}

fn check_file(data: &[u8]) {
    let object = json::object(data);
    let member = |name: &str| object.as_ref().and_then(|object| object.get(name).cloned());
    let record = member("record").and_then(|record| serde_json::from_value::<Record>(record).ok());
    let version =
        member("version").and_then(|version| version.as_u64()).filter(|version| *version < u64::MAX);
    let is_own = member("account") == Some(Value::from("62515"));
    match read_file(ACCOUNT, data) {
        Ok(Some(stored)) => {
            assert!(json::is_json(data));
            if object.is_some() {
                assert!(is_own);
                assert_eq!((Some(stored.version), Some(&stored.record)), (version, record.as_ref()));
            }
            if let Some(Value::Object(before)) = member("record") {
                check_record(&stored.record, &before, data);
            }
        }
        Ok(None) => {
            if let Some(object) = object.filter(|_| is_own && version.is_some() && record.is_some()) {
                // The file may have been set aside because of repeated keys. This one has none.
                let once = serde_json::to_vec(&object).expect("an object can be written");
                assert!(matches!(read_file(ACCOUNT, &once), Ok(Some(_))), "a good file is set aside");
            }
        }
        Err(error) => {
            assert_eq!(error.kind(), StoreErrorKind::Unreadable);
            if let Some(Value::Object(record)) = member("record") {
                let format = record.get("format").and_then(Value::as_u64);
                assert!(format.is_some_and(|format| format > u64::from(RECORD_FORMAT)));
            }
        }
    }
}

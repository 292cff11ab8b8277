//! The records that the suite writes.

use hs_oauth_core::renewal::{GrantId, GrantState, Record, Retry};
use hs_oauth_core::{Random, Timestamp};

/// Returns a record with this number in it.
pub(super) fn record(number: u32) -> Record {
    let mut record = Record::without_tokens(GrantId::generate(&mut Random::new([7; 32])), GrantState::Live);
    record.retry = Some(Retry::new(Timestamp::from_secs(1_790_000_000), number));
    record
}

/// Returns the number in a record of [`record`], which is in the field `retry.failures`, or 0 if there is none.
pub(super) fn failures(record: &Record) -> u32 {
    record.retry.as_ref().map_or(0, |retry| retry.failures)
}

/// Returns a record in which every field is set. Every object that may have unknown fields has some.
pub(crate) fn full_record() -> Result<Record, serde_json::Error> {
    serde_json::from_str(FULL_RECORD)
}

pub(super) const FULL_RECORD: &str = r#"{
    "format": 1, "grant": "0123456789abcdef0123456789abcdef", "state": "gone",
    "tokens": {
        "access_token": "CK-access-\"\\'<>&", "refresh_token": "na1-refresh of a kind", "token_type": "bearer",
        "expires_in": 1800, "expires_at": 1790000000001, "token_use": "access_token", "hub_id": 62515,
        "user_id": 9007199254740993, "scopes": ["crm.objects.contacts.read", "oauth"], "id_token": "a.b.c",
        "audience": ["ä€😀", {"deep": [1.5, -1, 18446744073709551615, true, null]}]
    },
    "revoke": "na1-revoke", "forgotten": true, "uninstalled": true,
    "lease": {"holder": "fedcba9876543210fedcba9876543210", "until": 1790000060000, "why": null},
    "retry": {"at": 1790000001000, "failures": 4000000000, "class": "daily"},
    "unsettled": true, "region": "na1", "": {"z": 1, "a": 2}, "numbers": [-0.0, 0.5], "nul": "a\u0000b"
}"#;

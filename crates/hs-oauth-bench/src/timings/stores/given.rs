//! The record that every store gets.

use hs_oauth_async::{Account, Record};

use crate::given::CLIENT_ID;
use crate::work::Failure;

/// Stands in [`json`] for the account's number, which its refresh token has at its end.
pub(super) const HUB: &str = "00000000";

/// Returns a record as JSON, which has the size of one with HubSpot's tokens.
pub(super) fn json() -> String {
    format!(
        r#"{{"format":1,"grant":"0123456789abcdef0123456789abcdef","client_id":"{CLIENT_ID}","state":"live","tokens":{{"access_token":"{}","refresh_token":"na1-{HUB}","token_type":"bearer","expires_in":1800,"expires_at":1790000000001,"scopes":["oauth","crm.objects.contacts.read"]}}}}"#,
        "CKu-0_9z".repeat(75)
    )
}

/// Returns the record of an account.
pub(super) fn record(account: Account) -> Result<Record, Failure> {
    Ok(serde_json::from_str(&json().replace(HUB, &hub(account)))?)
}

/// Returns the number of the account as its refresh token has it.
pub(super) fn hub(account: Account) -> String {
    format!("{:0width$}", account.hub_id, width = HUB.len())
}

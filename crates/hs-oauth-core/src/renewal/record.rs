//! What a store holds for one account. Every write is a compare-and-swap of the whole record.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use super::id::{GrantId, HolderId};
use super::retry_cause::RetryCause;
use crate::app::CredentialFingerprint;
use crate::json::UnknownFields;
use crate::secret::RefreshToken;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// The number of the layout that a [`Record`] has in JSON.
///
/// It grows only if versions of this library that know the old layout could do harm with the new one. A new field alone needs no new
/// number: a renewal by a version that does not know the field leaves it as it is.
pub const RECORD_FORMAT: u32 = 1;

/// What a store holds for one account: its tokens, which run may renew them, and when.
///
/// In JSON the tokens are in the clear. If others can read the store, wrap it in `Sealed` of `hs-oauth-store`. `Debug` shows no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "a record")]
#[non_exhaustive]
pub struct Record {
    /// The layout: [`RECORD_FORMAT`]. A record with a newer one is not read, since rewriting it could do harm.
    #[serde(rename = "format", deserialize_with = "known_format")]
    pub format: u32,
    /// The install or disconnect that wrote this record first.
    #[serde(rename = "grant")]
    pub grant: GrantId,
    /// The client id of the app that the grant was made for. Absent in a record that an older version of this library wrote, until its
    /// tokens are renewed.
    #[serde(rename = "client_id", default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The state of the grant.
    #[serde(rename = "state")]
    pub state: GrantState,
    /// The tokens last saved. They stay if the grant is gone, and are absent after a disconnect.
    #[serde(rename = "tokens", default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenSet>,
    /// After a disconnect, the refresh token that is still to be revoked.
    #[serde(rename = "revoke", default, skip_serializing_if = "Option::is_none")]
    pub revoke: Option<RefreshToken>,
    /// After a disconnect, whether the grant was left as it is at HubSpot: the account was only forgotten, or the app was uninstalled and
    /// nothing is left to revoke. A renewal that is in progress then revokes nothing either.
    #[serde(rename = "forgotten", default, skip_serializing_if = "is_false")]
    pub forgotten: bool,
    /// After a disconnect, whether the app was uninstalled from the account, so that there is nothing left to uninstall.
    #[serde(rename = "uninstalled", default, skip_serializing_if = "is_false")]
    pub uninstalled: bool,
    /// The run that may send a refresh, and until when. A lease that was not released says that its holder may have sent one.
    #[serde(rename = "lease", default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// When any process may try the next refresh, after one that failed.
    #[serde(rename = "retry", default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Whether HubSpot may have acted on a refresh whose response did not come, since these tokens were saved.
    #[serde(rename = "unsettled", default)]
    pub unsettled: bool,
    /// Fields that a later version of this library wrote.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// The state of a grant.
///
/// A further state needs a further [`RECORD_FORMAT`]: versions that do not know the state would take the record for damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GrantState {
    /// The grant is valid, as far as is known.
    #[serde(rename = "live")]
    Live,
    /// HubSpot refused the grant. Nothing is sent until the account is installed again, or until somebody asks for a recheck.
    #[serde(rename = "gone")]
    Gone,
    /// The application disconnected the account. The record is a tombstone, so that no late write brings the grant back.
    #[serde(rename = "disconnected")]
    Disconnected,
}

/// The right of one run to send one refresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "a lease")]
#[non_exhaustive]
pub struct Lease {
    /// The run that holds the lease.
    #[serde(rename = "holder")]
    pub holder: HolderId,
    /// When the lease ends, by the holder's clock.
    #[serde(rename = "until")]
    pub until: Timestamp,
    /// Fields that a later version of this library wrote.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// A back-off, which all processes observe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "a back-off")]
#[non_exhaustive]
pub struct Retry {
    /// When the next refresh may be sent.
    #[serde(rename = "at")]
    pub at: Timestamp,
    /// How many runs have failed in a row.
    #[serde(rename = "failures")]
    pub failures: u32,
    /// Why the last one failed. Absent if an older version of this library wrote the back-off.
    #[serde(rename = "cause", default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<RetryCause>,
    /// Whether HubSpot itself asked for this wait, with `Retry-After` or by a limit. If not, the wait is this library's own.
    #[serde(rename = "requested", default, skip_serializing_if = "is_false")]
    pub requested: bool,
    /// The credential with which the last one failed, if it failed because of the app's configuration. With another credential this
    /// back-off does not count.
    #[serde(rename = "credential", default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialFingerprint>,
    /// Fields that a later version of this library wrote.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// A record as a store returned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The store's version of the record. It grows with every write of this account and never comes back, not even after a
    /// removal.
    pub version: u64,
    /// The stored record.
    pub record: Record,
}

impl Record {
    /// Returns the record of a new install.
    pub fn new(grant: GrantId, tokens: TokenSet) -> Self {
        Self { tokens: Some(tokens), ..Self::without_tokens(grant, GrantState::Live) }
    }

    /// Returns the record of a disconnected account, with the refresh token that is still to be revoked.
    pub fn tombstone(grant: GrantId, revoke: Option<RefreshToken>) -> Self {
        Self { revoke, ..Self::without_tokens(grant, GrantState::Disconnected) }
    }

    /// Returns the record of an account that was forgotten. Nothing is to be revoked.
    pub fn forgotten(grant: GrantId) -> Self {
        Self { forgotten: true, ..Self::without_tokens(grant, GrantState::Disconnected) }
    }

    /// Returns the record of an account from which the app was uninstalled. Nothing is to be revoked.
    pub fn uninstalled(grant: GrantId) -> Self {
        Self { uninstalled: true, ..Self::forgotten(grant) }
    }

    /// Returns a record that has only a grant and a state. A store that encrypts records writes one beside the encrypted record.
    pub fn without_tokens(grant: GrantId, state: GrantState) -> Self {
        Self {
            format: RECORD_FORMAT,
            grant,
            client_id: None,
            state,
            tokens: None,
            revoke: None,
            forgotten: false,
            uninstalled: false,
            lease: None,
            retry: None,
            unsettled: false,
            unknown: UnknownFields::default(),
        }
    }

    /// Returns whether this record has that grant and those tokens, access token and refresh token.
    pub fn is_same(&self, grant: GrantId, tokens: &TokenSet) -> bool {
        self.grant == grant && self.tokens.as_ref().is_some_and(|stored| stored.has_same_tokens(tokens))
    }
}

impl Stored {
    /// Returns whether the account is installed: its grant is live or gone, and not disconnected.
    pub fn is_installed(&self) -> bool {
        self.record.state != GrantState::Disconnected
    }
}

impl Lease {
    /// Returns the lease of `holder` that ends at `until`.
    pub fn new(holder: HolderId, until: Timestamp) -> Self {
        Self { holder, until, unknown: UnknownFields::default() }
    }
}

impl Retry {
    /// Returns a back-off that ends at `at`, after this number of failures in a row, of which nothing else is known.
    pub fn new(at: Timestamp, failures: u32) -> Self {
        let unknown = UnknownFields::default();
        Self { at, failures, cause: None, requested: false, credential: None, unknown }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

fn known_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    match u32::deserialize(deserializer)? {
        RECORD_FORMAT => Ok(RECORD_FORMAT),
        format if format > RECORD_FORMAT => Err(D::Error::custom(format_args!(
            "format {format} is newer than this version of hs-oauth reads: update it"
        ))),
        format => Err(D::Error::custom(format_args!("there is no format {format}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::secret::AccessToken;

    fn full() -> Record {
        let mut tokens = TokenSet::new(AccessToken::new("access").unwrap(), 1800, Timestamp::from_secs(1000));
        tokens.refresh_token = Some(RefreshToken::new("refresh").unwrap());
        let mut record = Record::new(GrantId::new(0xc8b5_ac27_f7d5_f7cd), tokens);
        record.lease = Some(Lease::new(HolderId::new(u128::MAX - 1), Timestamp::from_secs(1060)));
        record.retry = Some(Retry::new(Timestamp::from_secs(1010), 3));
        record.unsettled = true;
        record
    }

    fn fingerprint() -> CredentialFingerprint {
        serde_json::from_str(r#""0f1e2d3c""#).unwrap()
    }

    fn with_unknown_fields() -> Record {
        let mut record = full();
        assert!(record.unknown.insert("region", &"na1"));
        assert!(record.tokens.as_mut().unwrap().unknown.insert("audience", &json!(["a", {"b": 1.5}])));
        assert!(record.lease.as_mut().unwrap().unknown.insert("why", &json!(null)));
        assert!(record.retry.as_mut().unwrap().unknown.insert("class", &"daily"));
        record
    }

    /// Asserts that a value is stored as exactly this text, and read back from it.
    fn assert_stored<T>(value: &T, text: &str)
    where
        T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
    {
        assert_eq!(serde_json::to_string(value).unwrap(), text);
        assert_eq!(&serde_json::from_str::<T>(text).unwrap(), value);
    }

    /// This is the layout in the stores of users. A change here needs a new format number.
    #[test]
    fn format_1_is_written_as_it_always_was() {
        assert_eq!(
            serde_json::to_value(full()).unwrap(),
            json!({
                "format": 1,
                "grant": "0000000000000000c8b5ac27f7d5f7cd",
                "state": "live",
                "tokens": {
                    "access_token": "access", "refresh_token": "refresh", "token_type": "bearer", "expires_in": 1800,
                    "expires_at": 2_800_000, "token_use": null, "hub_id": null, "user_id": null, "scopes": null, "id_token": null,
                },
                "lease": {"holder": "fffffffffffffffffffffffffffffffe", "until": 1_060_000},
                "retry": {"at": 1_010_000, "failures": 3},
                "unsettled": true,
            })
        );
        let tombstone = Record::tombstone(GrantId::new(1), Some(RefreshToken::new("r").unwrap()));
        assert_eq!(
            serde_json::to_value(tombstone).unwrap(),
            json!({"format": 1, "grant": "00000000000000000000000000000001", "state": "disconnected", "revoke": "r", "unsettled": false})
        );
    }

    /// This is what the stores of users hold, byte for byte.
    #[test]
    fn records_are_stored_byte_for_byte_as_before() {
        let mut tokens = TokenSet::new(AccessToken::new("access").unwrap(), 1800, Timestamp::from_secs(1000));
        let live = Record::new(GrantId::new(1), tokens.clone());
        assert_stored(
            &live,
            r#"{"format":1,"grant":"00000000000000000000000000000001","state":"live","tokens":{"access_token":"access","expires_in":1800,"expires_at":2800000,"refresh_token":null,"token_type":"bearer","token_use":null,"hub_id":null,"user_id":null,"scopes":null,"id_token":null},"unsettled":false}"#,
        );
        tokens.refresh_token = Some(RefreshToken::new("refresh").unwrap());
        let gone =
            Record { state: GrantState::Gone, unsettled: true, ..Record::new(GrantId::new(1), tokens) };
        assert_stored(
            &gone,
            r#"{"format":1,"grant":"00000000000000000000000000000001","state":"gone","tokens":{"access_token":"access","expires_in":1800,"expires_at":2800000,"refresh_token":"refresh","token_type":"bearer","token_use":null,"hub_id":null,"user_id":null,"scopes":null,"id_token":null},"unsettled":true}"#,
        );
        assert_stored(
            &Record::tombstone(GrantId::new(1), None),
            r#"{"format":1,"grant":"00000000000000000000000000000001","state":"disconnected","unsettled":false}"#,
        );
        let revoke = RefreshToken::new("refresh").unwrap();
        assert_stored(
            &Record::tombstone(GrantId::new(1), Some(revoke)),
            r#"{"format":1,"grant":"00000000000000000000000000000001","state":"disconnected","revoke":"refresh","unsettled":false}"#,
        );
        assert_stored(
            &Record::forgotten(GrantId::new(1)),
            r#"{"format":1,"grant":"00000000000000000000000000000001","state":"disconnected","forgotten":true,"unsettled":false}"#,
        );
        assert_stored(
            &Record::uninstalled(GrantId::new(1)),
            r#"{"format":1,"grant":"00000000000000000000000000000001","state":"disconnected","forgotten":true,"uninstalled":true,"unsettled":false}"#,
        );
        assert_stored(
            &full(),
            r#"{"format":1,"grant":"0000000000000000c8b5ac27f7d5f7cd","state":"live","tokens":{"access_token":"access","expires_in":1800,"expires_at":2800000,"refresh_token":"refresh","token_type":"bearer","token_use":null,"hub_id":null,"user_id":null,"scopes":null,"id_token":null},"lease":{"holder":"fffffffffffffffffffffffffffffffe","until":1060000},"retry":{"at":1010000,"failures":3},"unsettled":true}"#,
        );
        assert_stored(
            &with_unknown_fields(),
            r#"{"format":1,"grant":"0000000000000000c8b5ac27f7d5f7cd","state":"live","tokens":{"access_token":"access","expires_in":1800,"expires_at":2800000,"refresh_token":"refresh","token_type":"bearer","token_use":null,"hub_id":null,"user_id":null,"scopes":null,"id_token":null,"audience":["a",{"b":1.5}]},"lease":{"holder":"fffffffffffffffffffffffffffffffe","until":1060000,"why":null},"retry":{"at":1010000,"failures":3,"class":"daily"},"unsettled":true,"region":"na1"}"#,
        );
    }

    /// This is what the stores of users hold, byte for byte.
    #[test]
    fn the_parts_of_a_record_are_stored_byte_for_byte_as_before() {
        let full = with_unknown_fields();
        assert_stored(
            &Lease::new(HolderId::new(2), Timestamp::from_secs(1060)),
            r#"{"holder":"00000000000000000000000000000002","until":1060000}"#,
        );
        assert_stored(
            full.lease.as_ref().unwrap(),
            r#"{"holder":"fffffffffffffffffffffffffffffffe","until":1060000,"why":null}"#,
        );
        assert_stored(&Retry::new(Timestamp::from_secs(1010), 3), r#"{"at":1010000,"failures":3}"#);
        assert_stored(full.retry.as_ref().unwrap(), r#"{"at":1010000,"failures":3,"class":"daily"}"#);
        for (state, text) in [
            (GrantState::Live, r#""live""#),
            (GrantState::Gone, r#""gone""#),
            (GrantState::Disconnected, r#""disconnected""#),
        ] {
            assert_stored(&state, text);
        }
    }

    /// This is what the stores of users hold, byte for byte.
    #[test]
    fn the_app_and_the_cause_of_a_back_off_are_stored_byte_for_byte_as_before() {
        let mut record = full();
        record.client_id = Some("a1b2c3d4-e5f6-7890-abcd-ef1234567890".to_owned());
        let retry = record.retry.as_mut().unwrap();
        (retry.cause, retry.credential) = (Some(RetryCause::ClientRefused), Some(fingerprint()));
        assert_stored(
            &record,
            r#"{"format":1,"grant":"0000000000000000c8b5ac27f7d5f7cd","client_id":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","state":"live","tokens":{"access_token":"access","expires_in":1800,"expires_at":2800000,"refresh_token":"refresh","token_type":"bearer","token_use":null,"hub_id":null,"user_id":null,"scopes":null,"id_token":null},"lease":{"holder":"fffffffffffffffffffffffffffffffe","until":1060000},"retry":{"at":1010000,"failures":3,"cause":"client_refused","credential":"0f1e2d3c"},"unsettled":true}"#,
        );
        let mut tombstone = Record::tombstone(GrantId::new(1), None);
        tombstone.client_id = Some("id".to_owned());
        assert_stored(
            &tombstone,
            r#"{"format":1,"grant":"00000000000000000000000000000001","client_id":"id","state":"disconnected","unsettled":false}"#,
        );

        let mut retry = Retry::new(Timestamp::from_secs(1010), 3);
        (retry.cause, retry.requested) = (Some(RetryCause::RateLimited), true);
        assert_stored(&retry, r#"{"at":1010000,"failures":3,"cause":"rate_limited","requested":true}"#);
        (retry.cause, retry.requested) = (Some(RetryCause::Unavailable), false);
        assert_stored(&retry, r#"{"at":1010000,"failures":3,"cause":"unavailable"}"#);
        (retry.cause, retry.credential) = (Some(RetryCause::MassRefusal), Some(fingerprint()));
        assert!(retry.unknown.insert("class", &"daily"));
        assert_stored(
            &retry,
            r#"{"at":1010000,"failures":3,"cause":"mass_refusal","credential":"0f1e2d3c","class":"daily"}"#,
        );
        retry.cause = Some(RetryCause::Other("solar_flare".to_owned()));
        assert_stored(
            &retry,
            r#"{"at":1010000,"failures":3,"cause":"solar_flare","credential":"0f1e2d3c","class":"daily"}"#,
        );
    }

    /// They stay as they are until a run has something to write in them. The versions of the library that wrote them may run beside this one.
    #[test]
    fn records_of_older_versions_are_read_and_written_back_without_the_app_and_the_cause() {
        for text in [
            r#"{"format":1,"grant":"0000000000000000c8b5ac27f7d5f7cd","state":"live","tokens":{"access_token":"access","expires_in":1800,"expires_at":2800000,"refresh_token":"refresh","token_type":"bearer","token_use":null,"hub_id":null,"user_id":null,"scopes":null,"id_token":null},"lease":{"holder":"fffffffffffffffffffffffffffffffe","until":1060000},"retry":{"at":1010000,"failures":3},"unsettled":true}"#,
            r#"{"format":1,"grant":"00000000000000000000000000000001","state":"disconnected","revoke":"refresh","unsettled":false}"#,
        ] {
            let record: Record = serde_json::from_str(text).unwrap();
            assert_eq!(record.client_id, None);
            if let Some(Retry { cause, requested, credential, .. }) = &record.retry {
                assert_eq!((cause, requested, credential), (&None, &false, &None));
            }
            assert_eq!(serde_json::to_string(&record).unwrap(), text);
        }
    }

    #[test]
    fn fields_that_a_later_version_wrote_are_kept_wherever_they_are() {
        let mut later = serde_json::to_value(full()).unwrap();
        later["region"] = json!("na1");
        later["tokens"]["audience"] = json!(["a", {"b": 1.5}]);
        later["lease"]["why"] = json!(null);
        later["retry"]["class"] = json!("daily");
        let record: Record = serde_json::from_value(later.clone()).unwrap();
        assert_eq!(serde_json::to_value(&record).unwrap(), later);
        let shown = format!("{record:?}");
        assert!(shown.contains("\"region\"") && !shown.contains("na1"), "{shown}");
    }

    /// serde_json reads a fraction to the last digit only with the feature `float_roundtrip`. Without it, each write would change the
    /// fraction a little more.
    #[test]
    fn a_fraction_that_a_later_version_wrote_stays_the_same() {
        let mut text = serde_json::to_string(&full()).unwrap();
        assert_eq!(text.pop(), Some('}'));
        text += r#","shares":[1.8446744922337205e+37,0.1,5e-324,31.245270191439438]}"#;
        let record: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
    }

    #[test]
    fn a_newer_format_is_an_error_that_says_what_to_do() {
        let mut newer = serde_json::to_value(full()).unwrap();
        newer["format"] = json!(2);
        let refused = serde_json::from_value::<Record>(newer.clone()).unwrap_err().to_string();
        assert!(refused.contains("update"), "{refused}");
        newer["format"] = json!(0);
        assert!(serde_json::from_value::<Record>(newer).is_err());
    }

    #[test]
    fn a_record_is_read_back_and_shows_no_secret() {
        let record = full();
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        let shown = format!("{record:?}");
        assert!(!shown.contains("\"access\"") && !shown.contains("\"refresh\""), "{shown}");
    }

    #[test]
    fn a_record_is_the_same_if_grant_access_token_and_refresh_token_are_the_same() {
        let record = full();
        let tokens = record.tokens.clone().unwrap();
        assert!(record.is_same(record.grant, &tokens));
        assert!(!record.is_same(GrantId::new(1), &tokens));
        let mut other = tokens.clone();
        other.access_token = AccessToken::new("other").unwrap();
        assert!(!record.is_same(record.grant, &other));
        other = tokens;
        other.refresh_token = None;
        assert!(!record.is_same(record.grant, &other));
    }
}

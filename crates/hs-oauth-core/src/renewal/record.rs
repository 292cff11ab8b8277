//! What a store holds of one account. Every write is a compare-and-swap of the whole record.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::json::UnknownFields;
use crate::random::Random;
use crate::secret::RefreshToken;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// The layout of a [`Record`] in JSON.
///
/// It grows only when versions that know the old layout could do harm with the new one. A field that is merely new needs no new
/// layout: versions that do not know it keep it.
pub const RECORD_FORMAT: u32 = 1;

/// What a store holds of one account: its tokens, who may renew them, and when.
///
/// In JSON the tokens are in the clear. Wrap a store that others can read in `Sealed` of `hs-oauth-store`. `Debug` shows no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "a record")]
#[non_exhaustive]
pub struct Record {
    /// The layout: [`RECORD_FORMAT`]. A newer one is refused, since rewriting it could do harm.
    #[serde(rename = "format", deserialize_with = "known_format")]
    pub format: u32,
    /// The install or disconnect that this record came of.
    #[serde(rename = "grant")]
    pub grant: GrantId,
    /// The state of the grant.
    #[serde(rename = "state")]
    pub state: GrantState,
    /// The tokens last saved. They stay when the grant is gone, and are absent after a disconnect.
    #[serde(rename = "tokens", default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenSet>,
    /// After a disconnect, the refresh token that is still to be revoked.
    #[serde(rename = "revoke", default, skip_serializing_if = "Option::is_none")]
    pub revoke: Option<RefreshToken>,
    /// Who may send a refresh, and until when. A lease that was never released says that its holder may have sent one.
    #[serde(rename = "lease", default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
    /// When the next refresh may be tried, by any process.
    #[serde(rename = "retry", default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Whether a refresh may have taken effect unseen since these tokens were saved.
    #[serde(rename = "unsettled", default)]
    pub unsettled: bool,
    /// Fields that a later version of this library wrote.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// The state of a grant.
///
/// A further state needs a further [`RECORD_FORMAT`]: versions that do not know the state could only take the record for damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GrantState {
    /// The grant is good, as far as anyone knows.
    #[serde(rename = "live")]
    Live,
    /// HubSpot refused the grant. Nothing is sent until a new install.
    #[serde(rename = "gone")]
    Gone,
    /// The grant was given up here. The record is a tombstone, so that no late write brings the grant back.
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

/// A back-off that all processes keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "a back-off")]
#[non_exhaustive]
pub struct Retry {
    /// When the next refresh may be tried.
    #[serde(rename = "at")]
    pub at: Timestamp,
    /// How many runs have failed in a row.
    #[serde(rename = "failures")]
    pub failures: u32,
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
    /// The record.
    pub record: Record,
}

/// Which install or disconnect a record came of. It is only ever compared for equality.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct GrantId(u128);

/// Which run holds a lease. It is only ever compared for equality.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct HolderId(u128);

impl Record {
    /// Returns the record of a fresh install.
    pub fn new(grant: GrantId, tokens: TokenSet) -> Self {
        Self { tokens: Some(tokens), ..Self::without_tokens(grant, GrantState::Live) }
    }

    /// Returns what is left of a grant after a disconnect, with the refresh token that is still to be revoked.
    pub fn tombstone(grant: GrantId, revoke: Option<RefreshToken>) -> Self {
        Self { revoke, ..Self::without_tokens(grant, GrantState::Disconnected) }
    }

    /// Returns a record that has a grant and a state only. A store that encrypts puts one around the encrypted record.
    pub fn without_tokens(grant: GrantId, state: GrantState) -> Self {
        Self {
            format: RECORD_FORMAT,
            grant,
            state,
            tokens: None,
            revoke: None,
            lease: None,
            retry: None,
            unsettled: false,
            unknown: UnknownFields::default(),
        }
    }

    /// Returns whether this is the record of that grant with those very tokens: access token and refresh token.
    pub fn is_same(&self, grant: GrantId, tokens: &TokenSet) -> bool {
        self.grant == grant && self.tokens.as_ref().is_some_and(|stored| stored.has_same_tokens(tokens))
    }
}

impl Lease {
    /// Returns the lease of `holder` until that moment.
    pub fn new(holder: HolderId, until: Timestamp) -> Self {
        Self { holder, until, unknown: UnknownFields::default() }
    }
}

impl Retry {
    /// Returns a back-off until that moment, after so many failures in a row.
    pub fn new(at: Timestamp, failures: u32) -> Self {
        Self { at, failures, unknown: UnknownFields::default() }
    }
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

/// Implements an identifier of 128 random bits, which is stored as 32 hexadecimal digits.
macro_rules! random_id {
    ($name:ident) => {
        impl $name {
            /// Generates a new one, unlike any other.
            pub fn generate(random: &mut Random) -> Self {
                Self(random.next_u128())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:032x})"), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&format_args!("{:032x}", self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<str>::deserialize(deserializer)?;
                let is_written_so = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                let number = u128::from_str_radix(&text, 16).ok().filter(|_| is_written_so);
                number.map(Self).ok_or_else(|| D::Error::custom("not 32 hexadecimal digits"))
            }
        }
    };
}

random_id!(GrantId);
random_id!(HolderId);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::secret::AccessToken;

    fn full() -> Record {
        let mut tokens = TokenSet::new(AccessToken::new("access").unwrap(), 1800, Timestamp::from_secs(1000));
        tokens.refresh_token = Some(RefreshToken::new("refresh").unwrap());
        let mut record = Record::new(GrantId(0xc8b5_ac27_f7d5_f7cd), tokens);
        record.lease = Some(Lease::new(HolderId(u128::MAX - 1), Timestamp::from_secs(1060)));
        record.retry = Some(Retry::new(Timestamp::from_secs(1010), 3));
        record.unsettled = true;
        record
    }

    /// The layout that is in people's stores: a change here needs a new format number.
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
        let tombstone = Record::tombstone(GrantId(1), Some(RefreshToken::new("r").unwrap()));
        assert_eq!(
            serde_json::to_value(tombstone).unwrap(),
            json!({"format": 1, "grant": "00000000000000000000000000000001", "state": "disconnected", "revoke": "r", "unsettled": false})
        );
    }

    #[test]
    fn what_a_later_version_wrote_is_kept_wherever_it_stands() {
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

    #[test]
    fn a_drawn_name_is_32_hexadecimal_digits() {
        for text in ["+000000000000000000000000000000f", "f", "", "0000000000000000000000000000000g"] {
            assert!(serde_json::from_value::<GrantId>(json!(text)).is_err(), "{text}");
        }
        let text = "0000000000000000C8B5ac27f7d5f7cd";
        assert_eq!(serde_json::from_value::<GrantId>(json!(text)).unwrap(), GrantId(0xc8b5_ac27_f7d5_f7cd));
    }

    /// Every write would move it further: serde_json reads a fraction to the last digit only if it is told to.
    #[test]
    fn a_fraction_that_a_later_version_wrote_does_not_drift() {
        let mut text = serde_json::to_string(&full()).unwrap();
        assert_eq!(text.pop(), Some('}'));
        text += r#","shares":[1.8446744922337205e+37,0.1,5e-324,31.245270191439438]}"#;
        let record: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
    }

    #[test]
    fn a_newer_format_is_refused_with_what_to_do() {
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
    fn the_same_means_grant_access_token_and_refresh_token() {
        let record = full();
        let tokens = record.tokens.clone().unwrap();
        assert!(record.is_same(record.grant, &tokens));
        assert!(!record.is_same(GrantId(1), &tokens));
        let mut other = tokens.clone();
        other.access_token = AccessToken::new("other").unwrap();
        assert!(!record.is_same(record.grant, &other));
        other = tokens;
        other.refresh_token = None;
        assert!(!record.is_same(record.grant, &other));
    }
}

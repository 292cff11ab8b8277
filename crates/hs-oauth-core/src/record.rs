//! What a store holds of one account. Every write of it is a compare-and-swap of the whole.

use std::fmt;

use serde_core::de::{DeserializeOwned, Error};
use serde_core::ser::SerializeMap;
use serde_core::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::kept::kept_object;
use crate::random::Random;
use crate::secret::RefreshToken;
use crate::text::Text;
use crate::timestamp::Timestamp;
use crate::token_set::TokenSet;

/// The layout of a [`Record`] in JSON. It grows only when versions that know the old one could do harm with the new; a
/// field that is merely new is kept by those that do not know it.
pub const RECORD_FORMAT: u32 = 1;

/// What a store holds of one account: its tokens, who may renew them, and when.
///
/// In JSON the tokens stand in the clear; a store that others can read wants the wrapper `Sealed` of `hs-oauth-store`.
/// `Debug` shows no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The layout: [`RECORD_FORMAT`]. A newer one is refused, since rewriting it could do harm.
    pub format: u32,
    /// Drawn anew by every install and every disconnect.
    pub grant: Grant,
    /// What became of the grant.
    pub state: GrantState,
    /// The tokens last saved; kept when the grant is gone, absent when it was disconnected.
    pub tokens: Option<TokenSet>,
    /// After a disconnect, the refresh token still to be revoked.
    pub revoke: Option<RefreshToken>,
    /// Who may send, until when. One that was never released says that its holder may have sent.
    pub lease: Option<Lease>,
    /// When the fleet may try again.
    pub retry: Option<Retry>,
    /// Whether a refresh may have taken effect unseen since these tokens were saved.
    pub unsettled: bool,
    /// What a later version wrote here and this one does not know.
    pub unknown: Unknown,
}

/// What became of a grant. A further state needs a further [`RECORD_FORMAT`]: versions that do not know it could only take the
/// record for damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantState {
    /// It is good as far as anyone knows.
    Live,
    /// HubSpot refused it. Nothing is sent until a new install.
    Gone,
    /// It was given up here. What is left is a tombstone, so that no late write brings it back.
    Disconnected,
}

/// The right of one run to send one token request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The run.
    pub holder: Holder,
    /// When the right ends, by the holder's clock.
    pub until: Timestamp,
    /// What a later version wrote here.
    pub unknown: Unknown,
}

/// A back-off that all processes keep.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// Not before this moment.
    pub at: Timestamp,
    /// How many runs have failed in a row.
    pub failures: u32,
    /// What a later version wrote here.
    pub unknown: Unknown,
}

/// A record as a store gave it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Grows with every write of this account and never comes back, not even after a removal. The store's own.
    pub version: u64,
    /// The record.
    pub record: Record,
}

/// Which install (or disconnect) this is. Only ever compared for equality.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grant(u128);

/// Which run this is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holder(u128);

/// Fields that a later version of this library wrote: kept as they are by renewals; an install or a disconnect begins anew.
/// `Debug` shows their names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Unknown(Map<String, Value>);

impl Record {
    /// The record of a fresh install.
    pub fn new(grant: Grant, tokens: TokenSet) -> Self {
        Self { tokens: Some(tokens), ..Self::bare(grant, GrantState::Live) }
    }

    /// What stays of a grant after a disconnect, with the refresh token that is still to be revoked.
    pub fn tombstone(grant: Grant, revoke: Option<RefreshToken>) -> Self {
        Self { revoke, ..Self::bare(grant, GrantState::Disconnected) }
    }

    /// A record with neither tokens nor anything else: a shell for a store that keeps the real one sealed.
    pub fn bare(grant: Grant, state: GrantState) -> Self {
        Self {
            format: RECORD_FORMAT,
            grant,
            state,
            tokens: None,
            revoke: None,
            lease: None,
            retry: None,
            unsettled: false,
            unknown: Unknown::default(),
        }
    }

    /// Whether this is the record of that grant with those very tokens: access and refresh token.
    pub fn is_same(&self, grant: Grant, tokens: &TokenSet) -> bool {
        self.grant == grant && self.tokens.as_ref().is_some_and(|stored| stored.same_tokens(tokens))
    }
}

impl GrantState {
    const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Gone => "gone",
            Self::Disconnected => "disconnected",
        }
    }
}

impl Lease {
    /// A lease.
    pub fn new(holder: Holder, until: Timestamp) -> Self {
        Self { holder, until, unknown: Unknown::default() }
    }
}

impl Retry {
    /// A back-off.
    pub fn new(at: Timestamp, failures: u32) -> Self {
        Self { at, failures, unknown: Unknown::default() }
    }
}

impl Unknown {
    /// Whether there is nothing unknown.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The field of that name; none if there is none or it does not read as a `T`.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        T::deserialize(self.0.get(name)?).ok()
    }

    /// Whether there is a field of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Puts a field, for a layer above a store that keeps something of its own in the record. Under a name that the object
    /// itself has, it makes the object unreadable. False if `value` cannot be JSON.
    pub fn put(&mut self, name: &str, value: &impl Serialize) -> bool {
        match serde_json::to_value(value) {
            Ok(value) => {
                self.0.insert(name.to_owned(), value);
                true
            }
            Err(_) => false,
        }
    }

    #[inline]
    pub(crate) fn insert(&mut self, name: String, value: Value) {
        self.0.insert(name, value);
    }

    /// Writes every field into the object that they stand in.
    pub(crate) fn write<M: SerializeMap>(&self, object: &mut M) -> Result<(), M::Error> {
        self.0.iter().try_for_each(|(name, value)| object.serialize_entry(name, value))
    }
}

impl fmt::Debug for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

macro_rules! drawn {
    ($name:ident) => {
        impl $name {
            /// A new one, unlike any other.
            pub fn draw(random: &mut Random) -> Self {
                Self(random.next_u128())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:032x})"), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&format_args!("{:032x}", self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let Text(text) = Text::deserialize(deserializer)?;
                let is_written_so = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                let number = u128::from_str_radix(&text, 16).ok().filter(|_| is_written_so);
                number.map(Self).ok_or_else(|| D::Error::custom("not 32 hexadecimal digits"))
            }
        }
    };
}

drawn!(Grant);
drawn!(Holder);

kept_object! {
    Record {
        needed { format: known_format, grant, state, }
        optional { tokens, revoke, lease, retry, }
        defaults { unsettled, }
    }
}

fn known_format<E: Error>(format: u32) -> Result<u32, E> {
    match format {
        RECORD_FORMAT => Ok(RECORD_FORMAT),
        format if format > RECORD_FORMAT => Err(E::custom(format_args!(
            "format {format} is newer than this version of hs-oauth reads: update it"
        ))),
        format => Err(E::custom(format_args!("there is no format {format}"))),
    }
}

kept_object! {
    Lease {
        needed { holder, until, }
        optional {}
        defaults {}
    }
}

kept_object! {
    Retry {
        needed { at, failures, }
        optional {}
        defaults {}
    }
}

impl Serialize for GrantState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for GrantState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(name) = Text::deserialize(deserializer)?;
        let state =
            [Self::Live, Self::Gone, Self::Disconnected].into_iter().find(|state| state.name() == name);
        state.ok_or_else(|| D::Error::custom("a grant is `live`, `gone` or `disconnected`"))
    }
}

impl Serialize for Unknown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Unknown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(Self)
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
        let mut record = Record::new(Grant(0xc8b5_ac27_f7d5_f7cd), tokens);
        record.lease = Some(Lease::new(Holder(u128::MAX - 1), Timestamp::from_secs(1060)));
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
        let tombstone = Record::tombstone(Grant(1), Some(RefreshToken::new("r").unwrap()));
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
            assert!(serde_json::from_value::<Grant>(json!(text)).is_err(), "{text}");
        }
        let text = "0000000000000000C8B5ac27f7d5f7cd";
        assert_eq!(serde_json::from_value::<Grant>(json!(text)).unwrap(), Grant(0xc8b5_ac27_f7d5_f7cd));
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
        assert!(!record.is_same(Grant(1), &tokens));
        let mut other = tokens.clone();
        other.access_token = AccessToken::new("other").unwrap();
        assert!(!record.is_same(record.grant, &other));
        other = tokens;
        other.refresh_token = None;
        assert!(!record.is_same(record.grant, &other));
    }
}

use std::borrow::Cow;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::json::UnknownFields;
use crate::scope::Scopes;
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::timestamp::Timestamp;

/// The tokens of one grant: what HubSpot said, and when the access token ends.
///
/// Serialized under HubSpot's own field names, with `expires_at` in milliseconds since 1970, and with null for what HubSpot did not
/// say. The tokens are in the clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "a set of tokens")]
#[non_exhaustive]
pub struct TokenSet {
    /// The token that a HubSpot API takes as `Authorization: Bearer …`.
    #[serde(rename = "access_token")]
    pub access_token: AccessToken,
    /// The life of the access token in seconds, at least 1. HubSpot gives 1800.
    #[serde(rename = "expires_in")]
    pub expires_in: u64,
    /// The moment the access token ends: `expires_in` after the request was **sent**, so that a slow response cannot make the token
    /// look fresher than it is.
    ///
    /// It is at most a day later. HubSpot's tokens live half an hour, and a token that never seems to end is never renewed.
    #[serde(rename = "expires_at")]
    pub expires_at: Timestamp,
    /// The token that the next access token is requested with. Absent with client credentials. If HubSpot's response to a refresh
    /// has none, this is the one that was sent (RFC 6749 §6).
    #[serde(rename = "refresh_token", default)]
    pub refresh_token: Option<RefreshToken>,
    /// How the access token is used.
    #[serde(rename = "token_type", default)]
    pub token_type: TokenType,
    /// What the token is for. `v1` does not say.
    #[serde(rename = "token_use", default)]
    pub token_use: Option<TokenUse>,
    /// The account. `v1` may not say.
    #[serde(rename = "hub_id", default)]
    pub hub_id: Option<i64>,
    /// The person who installed the app.
    #[serde(rename = "user_id", default)]
    pub user_id: Option<i64>,
    /// The scopes that were granted, if HubSpot says so. `v1` may not say.
    #[serde(rename = "scopes", default)]
    pub scopes: Option<Scopes>,
    /// The ID token, if the `openid` scope was granted.
    #[serde(rename = "id_token", default)]
    pub id_token: Option<IdToken>,
    /// Fields that a later version of this library wrote into the stored set. Unknown fields of a response do not come here.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// How an access token is used (RFC 6749 §7.1).
///
/// A response with any other type is an error, since the token must not be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum TokenType {
    /// As a bearer token (RFC 6750).
    #[default]
    #[serde(rename = "bearer")]
    Bearer,
}

/// What a token is for. An open set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "Cow<'_, str>")]
#[non_exhaustive]
pub enum TokenUse {
    /// `access_token`: acts for an account.
    AccessToken,
    /// `refresh_token`. Only introspection says this.
    RefreshToken,
    /// `client_credentials`: acts for the app itself.
    ClientCredentials,
    /// A use that this release has no name for.
    Other(String),
}

/// The longest life that an access token is believed to have.
const MAX_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

impl TokenSet {
    /// Returns a set with what every response has. The other fields are for the caller to fill in.
    ///
    /// `expires_in` is in seconds, `sent_at` is the time just before the request was sent.
    pub fn new(access_token: AccessToken, expires_in: u64, sent_at: Timestamp) -> Self {
        Self {
            access_token,
            expires_in,
            expires_at: sent_at.plus(Duration::from_secs(expires_in).min(MAX_LIFE)),
            refresh_token: None,
            token_type: TokenType::Bearer,
            token_use: None,
            hub_id: None,
            user_id: None,
            scopes: None,
            id_token: None,
            unknown: UnknownFields::default(),
        }
    }

    /// Returns whether access token and refresh token are the same in both sets.
    pub fn has_same_tokens(&self, other: &Self) -> bool {
        self.access_token == other.access_token && self.refresh_token == other.refresh_token
    }
}

impl TokenType {
    /// Returns the type of that name, in upper or lower case (RFC 6749 §5.1).
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        name.eq_ignore_ascii_case("bearer").then_some(Self::Bearer)
    }
}

impl TokenUse {
    /// Returns the use as HubSpot writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::Other(name) => name,
        }
    }
}

impl From<Cow<'_, str>> for TokenUse {
    fn from(name: Cow<'_, str>) -> Self {
        match &*name {
            "access_token" => Self::AccessToken,
            "refresh_token" => Self::RefreshToken,
            "client_credentials" => Self::ClientCredentials,
            _ => Self::Other(name.into_owned()),
        }
    }
}

impl Serialize for TokenUse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TokenType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Cow::<str>::deserialize(deserializer)?;
        Self::from_name(&name).ok_or_else(|| D::Error::custom("not a token type that is understood"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// RFC 6749 §5.1: the parameter's value is case insensitive.
    #[test]
    fn a_stored_token_type_is_read_in_any_case_and_no_other_type_is_read() {
        for name in ["bearer", "Bearer", "BEARER"] {
            assert_eq!(serde_json::from_value::<TokenType>(json!(name)).unwrap(), TokenType::Bearer);
        }
        assert!(serde_json::from_value::<TokenType>(json!("mac")).is_err());
    }
}

//! The tokens of a grant.

use std::borrow::Cow;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::json::UnknownFields;
use crate::open_set::open_set;
use crate::scope::Scopes;
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::timestamp::Timestamp;

/// The tokens of one grant, as HubSpot sent them, and the time at which the access token expires.
///
/// It is serialized with HubSpot's own field names, with `expires_at` in milliseconds since 1970, and with null for a field that
/// HubSpot did not send. The tokens in it are in the clear.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "a set of tokens")]
#[non_exhaustive]
pub struct TokenSet {
    /// The token that HubSpot's APIs accept as `Authorization: Bearer …`.
    #[serde(rename = "access_token")]
    pub access_token: AccessToken,
    /// The lifetime of the access token in seconds, at least 1. HubSpot sends 1800.
    #[serde(rename = "expires_in")]
    pub expires_in: u64,
    /// The time at which the access token expires.
    ///
    /// It is `expires_in` after the request was **sent**, so that a slow response cannot make the token look fresher than it is. It
    /// is at most one day after that: HubSpot's tokens live half an hour, and a token that never seems to expire is never renewed.
    #[serde(rename = "expires_at")]
    pub expires_at: Timestamp,
    /// The token that the next access token is requested with.
    ///
    /// It is absent with client credentials. If the response to a refresh has none, this is the one that was sent (RFC 6749 §6).
    #[serde(rename = "refresh_token", default)]
    pub refresh_token: Option<RefreshToken>,
    /// The type of the access token, which says how it is used.
    #[serde(rename = "token_type", default)]
    pub token_type: TokenType,
    /// The purpose of the token. Absent on `v1`.
    #[serde(rename = "token_use", default)]
    pub token_use: Option<TokenUse>,
    /// The hub id of the account. May be absent on `v1`.
    #[serde(rename = "hub_id", default)]
    pub hub_id: Option<i64>,
    /// The user id of the person who installed the app.
    #[serde(rename = "user_id", default)]
    pub user_id: Option<i64>,
    /// The scopes that were granted. May be absent on `v1`.
    #[serde(rename = "scopes", default)]
    pub scopes: Option<Scopes>,
    /// The ID token. Present if the scope `openid` was granted.
    #[serde(rename = "id_token", default)]
    pub id_token: Option<IdToken>,
    /// Fields that a later version of this library wrote into the stored set. Unknown fields of a response are not among them.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// The type of an access token, which says how it is used (RFC 6749 §7.1).
///
/// A response with another type is an error, since a client must not use a token whose type it does not understand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum TokenType {
    /// A bearer token: any party that has it can use it (RFC 6750 §1.2).
    #[default]
    #[serde(rename = "bearer")]
    Bearer,
}

open_set! {
    /// The purpose of a token. This is an open set.
    #[derive(Deserialize)]
    #[serde(from = "Cow<'_, str>")]
    TokenUse {
        /// The token is an access token for an account.
        AccessToken = "access_token",
        /// The token is a refresh token. Only introspection says this.
        RefreshToken = "refresh_token",
        /// The token is an access token for the app itself.
        ClientCredentials = "client_credentials",
    }
}

/// The longest lifetime that an access token is assumed to have.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

impl TokenSet {
    /// Returns a set with the fields that every response has. The caller fills in the other fields.
    ///
    /// `expires_in` is in seconds. `sent_at` is the time just before the request was sent.
    pub fn new(access_token: AccessToken, expires_in: u64, sent_at: Timestamp) -> Self {
        Self {
            access_token,
            expires_in,
            expires_at: sent_at.plus(Duration::from_secs(expires_in).min(MAX_LIFETIME)),
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

    /// Returns a set of which only the refresh token is known, such as one that another program kept.
    ///
    /// The access token has expired in 1970, so it is never handed out, and the first use renews it. Its text says that there is none. Its
    /// lifetime is that of HubSpot's tokens, so that the first renewal has as much time as the later ones.
    pub fn from_refresh_token(refresh_token: RefreshToken) -> Self {
        let tokens = Self::new(AccessToken::absent(), 1800, Timestamp::from_millis(0));
        Self { expires_at: Timestamp::from_millis(0), refresh_token: Some(refresh_token), ..tokens }
    }

    /// Returns whether the access token is one that HubSpot issued. It is not if the set was made by
    /// [`from_refresh_token`](Self::from_refresh_token) and has not been renewed since.
    pub fn has_access_token(&self) -> bool {
        self.access_token != AccessToken::absent()
    }

    /// Returns when the access token was requested: its lifetime before it expires.
    pub fn requested_at(&self) -> Timestamp {
        self.expires_at.minus(Duration::from_secs(self.expires_in).min(MAX_LIFETIME))
    }

    /// Returns those of these scopes that were not granted, in their order.
    ///
    /// If HubSpot did not name the scopes, as on `v1`, none is known to be missing, and none is returned.
    pub fn missing(&self, scopes: &Scopes) -> Scopes {
        self.scopes.as_ref().map_or(Scopes::NONE, |granted| scopes.without(granted))
    }

    /// Returns whether both sets have the same access token and the same refresh token.
    pub fn has_same_tokens(&self, other: &Self) -> bool {
        self.access_token == other.access_token && self.refresh_token == other.refresh_token
    }
}

impl TokenType {
    /// Returns the type of this name, in upper or lower case (RFC 6749 §5.1), or `None` if it is unknown.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        name.eq_ignore_ascii_case("bearer").then_some(Self::Bearer)
    }
}

// Not derived: upper and lower case are the same here.
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

    fn minimal() -> TokenSet {
        TokenSet::new(AccessToken::new("CK-1").unwrap(), 1800, Timestamp::from_secs(1_790_000_000))
    }

    #[test]
    fn the_stored_form_of_a_full_set_is_this_text() {
        let tokens = TokenSet {
            refresh_token: Some(RefreshToken::new("na1-2").unwrap()),
            token_use: Some(TokenUse::AccessToken),
            hub_id: Some(62515),
            user_id: Some(7),
            scopes: Some("oauth crm.objects.contacts.read".parse().unwrap()),
            id_token: Some(IdToken::new("e.y.J").unwrap()),
            unknown: serde_json::from_str(r#"{"later":{"a":[1.50,null]}}"#).unwrap(),
            ..minimal()
        };
        let text = concat!(
            r#"{"access_token":"CK-1","expires_in":1800,"expires_at":1790001800000,"refresh_token":"na1-2","#,
            r#""token_type":"bearer","token_use":"access_token","hub_id":62515,"user_id":7,"#,
            r#""scopes":["oauth","crm.objects.contacts.read"],"id_token":"e.y.J","later":{"a":[1.5,null]}}"#,
        );
        assert_eq!(serde_json::to_string(&tokens).unwrap(), text);
        assert_eq!(serde_json::from_str::<TokenSet>(text).unwrap(), tokens);
    }

    #[test]
    fn the_stored_form_of_a_minimal_set_is_this_text() {
        let text = concat!(
            r#"{"access_token":"CK-1","expires_in":1800,"expires_at":1790001800000,"refresh_token":null,"#,
            r#""token_type":"bearer","token_use":null,"hub_id":null,"user_id":null,"scopes":null,"id_token":null}"#,
        );
        assert_eq!(serde_json::to_string(&minimal()).unwrap(), text);
        assert_eq!(serde_json::from_str::<TokenSet>(text).unwrap(), minimal());
    }

    #[test]
    fn a_set_of_only_a_refresh_token_has_expired_and_is_read_back_as_such() {
        let tokens = TokenSet::from_refresh_token(RefreshToken::new("na1-2").unwrap());
        assert!(!tokens.has_access_token() && minimal().has_access_token());
        assert_eq!((tokens.expires_in, tokens.expires_at), (1800, Timestamp::from_millis(0)));
        let read: TokenSet = serde_json::from_str(&serde_json::to_string(&tokens).unwrap()).unwrap();
        assert!(!read.has_access_token());
        assert_eq!(read, tokens);
    }

    /// HubSpot's "Scopes": optional ones that the account cannot grant are left out, silently.
    #[test]
    fn a_set_says_which_of_the_scopes_that_were_asked_for_are_missing() {
        let tokens = TokenSet { scopes: Some("oauth crm.read crm.write".parse().unwrap()), ..minimal() };
        for (asked, missing) in [
            ("crm.write oauth", ""),
            ("content oauth tickets", "content tickets"),
            ("", ""),
            ("crm crm.read.x", "crm crm.read.x"),
        ] {
            assert_eq!(tokens.missing(&asked.parse().unwrap()).to_string(), missing);
            assert_eq!(minimal().missing(&asked.parse().unwrap()), Scopes::NONE, "nobody knows");
        }
        let nothing = TokenSet { scopes: Some(Scopes::NONE), ..minimal() };
        assert_eq!(nothing.missing(&"oauth".parse().unwrap()).to_string(), "oauth");
    }

    #[test]
    fn a_token_type_is_stored_in_lower_case() {
        assert_eq!(serde_json::to_string(&TokenType::Bearer).unwrap(), r#""bearer""#);
    }

    #[test]
    fn a_token_use_is_stored_as_hubspot_writes_it() {
        for (token_use, name) in [
            (TokenUse::AccessToken, "access_token"),
            (TokenUse::RefreshToken, "refresh_token"),
            (TokenUse::ClientCredentials, "client_credentials"),
            (TokenUse::Other("a \"new\" use".to_owned()), r#"a \"new\" use"#),
        ] {
            let text = format!("\"{name}\"");
            assert_eq!(serde_json::to_string(&token_use).unwrap(), text);
            assert_eq!(serde_json::from_str::<TokenUse>(&text).unwrap(), token_use);
        }
        assert!(serde_json::from_str::<TokenUse>("7").is_err());
    }
}

//! A row of a table.

use std::fmt;

use hmac_sha256::Hash;
use hs_oauth_blocking::{Account, RefreshToken};

/// A row, with the number of its line.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) content: Result<Grant, Invalid>,
}

/// The grant of an account.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) hub_id: i64,
    pub(crate) user_id: Option<i64>,
    /// The app that the grant is for, if the table says so.
    pub(crate) client_id: Option<String>,
    pub(crate) refresh_token: RefreshToken,
}

/// Why a row holds no grant. The text has nothing of the row in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invalid(pub(crate) String);

/// The fields of a row as they stand in the table.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    pub(crate) hub_id: Option<&'a str>,
    pub(crate) user_id: Option<&'a str>,
    pub(crate) client_id: Option<&'a str>,
    pub(crate) refresh_token: Option<&'a str>,
}

/// A field that a table may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    HubId,
    UserId,
    ClientId,
    RefreshToken,
}

impl Field {
    /// Returns the field with this name. Case and separators do not matter: `hub_id`, `hubId`, `Hub ID`.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        match plain.to_ascii_lowercase().as_str() {
            "hubid" | "portalid" | "accountid" | "hub" | "portal" | "account" => Some(Self::HubId),
            "userid" => Some(Self::UserId),
            "clientid" => Some(Self::ClientId),
            "refreshtoken" => Some(Self::RefreshToken),
            _ => None,
        }
    }
}

impl<'a> Fields<'a> {
    /// Sets a field. An empty value counts as missing.
    pub(crate) fn set(&mut self, field: Field, value: &'a str) {
        let value = Some(value.trim()).filter(|value| !value.is_empty());
        match field {
            Field::HubId => self.hub_id = value,
            Field::UserId => self.user_id = value,
            Field::ClientId => self.client_id = value,
            Field::RefreshToken => self.refresh_token = value,
        }
    }

    /// Returns the grant that the fields hold.
    pub(crate) fn grant(&self) -> Result<Grant, Invalid> {
        let hub_id = self.hub_id.ok_or_else(|| Invalid::new("there is no hub id"))?;
        let token = self.refresh_token.ok_or_else(|| Invalid::new("there is no refresh token"))?;
        Ok(Grant {
            hub_id: id(hub_id).ok_or_else(|| Invalid::new("the hub id is no positive number"))?,
            user_id: match self.user_id {
                None => None,
                Some(user_id) => {
                    Some(id(user_id).ok_or_else(|| Invalid::new("the user id is no positive number"))?)
                }
            },
            client_id: self.client_id.map(str::to_owned),
            refresh_token: RefreshToken::new(token).map_err(|_| {
                Invalid::new("the refresh token has characters that no token has, or is too long")
            })?,
        })
    }
}

impl Grant {
    /// Returns the account. Where tokens are those of whole hubs, the user who connected the app does not matter.
    pub(crate) fn account(&self, user_level: bool) -> Result<Account, Invalid> {
        match (user_level, self.user_id) {
            (false, _) => Ok(Account::hub(self.hub_id)),
            (true, Some(user_id)) => Ok(Account::user(self.hub_id, user_id)),
            (true, None) => {
                Err(Invalid::new("there is no user id, and the tokens of the profile are those of users"))
            }
        }
    }

    /// Returns what tells this grant of an account from every other one, without telling the token.
    pub(crate) fn digest(&self, account: Account) -> Digest {
        let mut hash = Hash::new();
        hash.update(account.to_string());
        hash.update([0]);
        hash.update(self.refresh_token.expose());
        let hash = hash.finalize();
        Digest(hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }
}

/// A part of the SHA-256 of an account and its refresh token, in hexadecimal digits. A token cannot be guessed from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Digest(String);

impl Digest {
    /// Reads a digest that was written.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_digest = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Invalid {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

fn id(text: &str) -> Option<i64> {
    text.parse().ok().filter(|id| *id > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fields_are_known_in_the_spellings_that_tables_have() {
        for name in ["hub_id", "hubId", "Hub ID", "portalId", "portal_id", "account-id", "HUB_ID"] {
            assert_eq!(Field::of_name(name), Some(Field::HubId), "{name}");
        }
        assert_eq!(Field::of_name("refreshToken"), Some(Field::RefreshToken));
        assert_eq!(Field::of_name("access_token"), None);
    }

    #[test]
    fn a_row_that_holds_no_grant_says_why_without_its_values() {
        let grant = |hub_id, user_id, refresh_token| {
            let fields = Fields { hub_id, user_id, client_id: None, refresh_token };
            fields.grant().map(drop).map_err(|error| error.0)
        };
        assert_eq!(grant(Some("7"), Some("8"), Some("na1-a")), Ok(()));
        for (hub_id, user_id, token, part) in [
            (None, None, Some("CANARY"), "no hub id"),
            (Some("7"), None, None, "no refresh token"),
            (Some("CANARY"), None, Some("na1-a"), "hub id is no"),
            (Some("-7"), None, Some("na1-a"), "hub id is no"),
            (Some("7"), Some("CANARY"), Some("na1-a"), "user id is no"),
            (Some("7"), None, Some("CANARY\u{7f}ä"), "characters"),
        ] {
            let message = grant(hub_id, user_id, token).unwrap_err();
            assert!(message.contains(part) && !message.contains("CANARY"), "{message}");
        }
    }
}

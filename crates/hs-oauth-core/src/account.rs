use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::invalid_argument::{InvalidArgument, InvalidArgumentKind};
use crate::token_set::TokenSet;

/// Whose tokens: a HubSpot account (hub), and for user-level apps also the user in it.
///
/// Written as `62515`, or `62515-7` with a user; so it is in JSON, too, and in the names of files and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Account {
    /// HubSpot's number for the account.
    pub hub_id: i64,
    /// HubSpot's number for the user, if each user of an account has tokens of their own.
    pub user_id: Option<i64>,
}

impl Account {
    /// A whole account, as apps installed once for everyone have it.
    pub const fn hub(hub_id: i64) -> Self {
        Self { hub_id, user_id: None }
    }

    /// One user in an account, for apps that each user connects.
    pub const fn user(hub_id: i64, user_id: i64) -> Self {
        Self { hub_id, user_id: Some(user_id) }
    }

    /// The account these tokens are for; with the user in it if `user_level`. None if HubSpot did not say: on `v1`, ask
    /// [`Introspect`](crate::Introspect).
    pub fn from_tokens(tokens: &TokenSet, user_level: bool) -> Option<Self> {
        match user_level {
            false => tokens.hub_id.map(Self::hub),
            true => Some(Self::user(tokens.hub_id?, tokens.user_id?)),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user_id {
            None => write!(f, "{}", self.hub_id),
            Some(user_id) => write!(f, "{}-{user_id}", self.hub_id),
        }
    }
}

impl FromStr for Account {
    type Err = InvalidArgument;

    /// Reads what `Display` writes, and nothing else: one account has one name.
    fn from_str(text: &str) -> Result<Self, InvalidArgument> {
        let invalid = InvalidArgument::new("account", InvalidArgumentKind::NotAnAccount);
        // A dash at the very start is a sign.
        let dash = text.char_indices().skip(1).find(|(_, character)| *character == '-').map(|(at, _)| at);
        let account = match dash.and_then(|at| text.split_at_checked(at)) {
            None => Self::hub(text.parse().map_err(|_| invalid)?),
            Some((hub_id, user_id)) => {
                let user_id = user_id.strip_prefix('-').unwrap_or_default();
                Self::user(hub_id.parse().map_err(|_| invalid)?, user_id.parse().map_err(|_| invalid)?)
            }
        };
        match account.to_string() == text {
            true => Ok(account),
            false => Err(invalid),
        }
    }
}

impl Serialize for Account {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::AccessToken;
    use crate::timestamp::Timestamp;

    #[test]
    fn an_account_is_read_back_from_its_text_and_from_no_other() {
        for account in
            [Account::hub(62515), Account::user(62515, 7), Account::user(-1, -2), Account::hub(i64::MIN)]
        {
            assert_eq!(account.to_string().parse(), Ok(account));
            let json = serde_json::to_string(&account).unwrap();
            assert_eq!(json, format!("\"{account}\""));
            assert_eq!(serde_json::from_str::<Account>(&json).unwrap(), account);
        }
        for text in [
            "",
            "-",
            "62515-",
            "+5",
            "05",
            "62515-07",
            "1-2-3",
            "1 ",
            "6\u{661}",
            "99999999999999999999",
            "a",
        ] {
            assert!(text.parse::<Account>().is_err(), "{text}");
        }
    }

    #[test]
    fn tokens_are_an_accounts_or_for_user_level_apps_a_users_in_it() {
        let mut tokens = TokenSet::new(AccessToken::new("a").unwrap(), 1800, Timestamp::from_secs(0));
        tokens.user_id = Some(7);
        assert_eq!((Account::from_tokens(&tokens, false), Account::from_tokens(&tokens, true)), (None, None));
        tokens.hub_id = Some(62515);
        assert_eq!(Account::from_tokens(&tokens, false), Some(Account::hub(62515)));
        assert_eq!(Account::from_tokens(&tokens, true), Some(Account::user(62515, 7)));
    }
}

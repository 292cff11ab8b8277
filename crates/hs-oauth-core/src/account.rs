//! The account that tokens belong to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::invalid_argument::{InvalidArgument, InvalidArgumentKind};
use crate::token_set::TokenSet;

/// The account that tokens belong to: a HubSpot account (hub), and for user-level apps also one of its users.
///
/// It is written as `62515`, or as `62515-7` with a user. This is its form in JSON, too, and in the names of files and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[non_exhaustive]
pub struct Account {
    /// The number that HubSpot gave the account.
    pub hub_id: i64,
    /// The number that HubSpot gave the user, if each user of an account has tokens of their own.
    pub user_id: Option<i64>,
}

impl Account {
    /// Returns a whole account, for apps that are installed once for all its users.
    pub const fn hub(hub_id: i64) -> Self {
        Self { hub_id, user_id: None }
    }

    /// Returns one user of an account, for apps that each user connects.
    pub const fn user(hub_id: i64, user_id: i64) -> Self {
        Self { hub_id, user_id: Some(user_id) }
    }

    /// Returns the account of these tokens, with its user if `user_level`.
    ///
    /// Returns `None` if HubSpot did not name it. On `v1`, [`Introspect`](crate::Introspect) asks for it.
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

    /// Reads what `Display` writes, and nothing else, so that an account has exactly one name.
    ///
    /// # Errors
    /// [`InvalidArgument`] naming `account` if the text is anything else.
    fn from_str(text: &str) -> Result<Self, InvalidArgument> {
        let invalid = InvalidArgument::new("account", InvalidArgumentKind::NotAnAccount);
        // A dash at the very start is a minus sign.
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

impl TryFrom<String> for Account {
    type Error = InvalidArgument;

    fn try_from(text: String) -> Result<Self, InvalidArgument> {
        text.parse()
    }
}

impl From<Account> for String {
    fn from(account: Account) -> Self {
        account.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::AccessToken;
    use crate::timestamp::Timestamp;

    #[test]
    fn an_account_is_stored_as_its_name() {
        let json = |account: Account| serde_json::to_string(&account).unwrap();
        assert_eq!(json(Account::hub(62515)), r#""62515""#);
        assert_eq!(json(Account::user(62515, 7)), r#""62515-7""#);
        assert_eq!(json(Account::user(-1, -2)), r#""-1--2""#);
        let error = |json| serde_json::from_str::<Account>(json).unwrap_err().to_string();
        assert_eq!(error("7"), "invalid type: integer `7`, expected a string at line 1 column 1");
        let text = "`account` is not an account: use a hub's number, or a hub's and a user's such as 62515-7";
        assert_eq!(error(r#""a""#), text);
    }

    #[test]
    fn an_account_is_read_from_its_name_and_from_no_other_text() {
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
    fn tokens_belong_to_an_account_or_for_user_level_apps_to_one_of_its_users() {
        let mut tokens = TokenSet::new(AccessToken::new("a").unwrap(), 1800, Timestamp::from_secs(0));
        tokens.user_id = Some(7);
        assert_eq!((Account::from_tokens(&tokens, false), Account::from_tokens(&tokens, true)), (None, None));
        tokens.hub_id = Some(62515);
        assert_eq!(Account::from_tokens(&tokens, false), Some(Account::hub(62515)));
        assert_eq!(Account::from_tokens(&tokens, true), Some(Account::user(62515, 7)));
    }
}

//! The keys of a store: `hs_oauth:{62515}` is the hash of an account. The braces keep all of a key's data on one node of a cluster.

use std::sync::Arc;

use hs_oauth_store::{Account, StoreError, check_account};

use crate::error::refused;

/// The keys that begin with a prefix.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: Arc<str>,
}

const MAX_PREFIX: usize = 64;

impl Keys {
    /// # Errors
    /// [`Refused`](hs_oauth_store::StoreErrorKind::Refused) if the prefix is not an identifier.
    pub(crate) fn new(prefix: &str) -> Result<Self, StoreError> {
        let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let is_next = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
        let is_identifier = prefix.bytes().next().is_some_and(is_first) && prefix.bytes().all(is_next);
        if is_identifier && prefix.len() <= MAX_PREFIX {
            return Ok(Self { prefix: prefix.into() });
        }
        Err(refused(format!(
            "the prefix of the keys has to be 1 to {MAX_PREFIX} of a-z A-Z 0-9 _ - . : and to begin with a letter or _"
        )))
    }

    /// Returns the keys that begin with `hs_oauth`.
    pub(crate) fn with_default_prefix() -> Self {
        Self { prefix: "hs_oauth".into() }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the key of the account's hash.
    pub(crate) fn key(&self, account: Account) -> String {
        format!("{}:{{{account}}}", self.prefix)
    }

    /// Returns the key of the hash that a check writes to.
    pub(crate) fn probe(&self) -> String {
        format!("{}:{{check}}", self.prefix)
    }

    /// Returns the pattern of all keys. No character of a prefix has a meaning in it.
    pub(crate) fn pattern(&self) -> String {
        format!("{}:{{*}}", self.prefix)
    }

    /// Returns the account of a key, or `None` if it is not the key of an account.
    pub(crate) fn account(&self, key: &str) -> Option<Account> {
        let name = key.strip_prefix(&*self.prefix)?.strip_prefix(":{")?.strip_suffix('}')?;
        name.parse().ok().filter(|account| check_account(*account).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_one_key_and_the_key_one_account() {
        let keys = Keys::new("app.tokens:v1").unwrap();
        for account in [Account::hub(62515), Account::user(62515, 7), Account::user(i64::MAX, i64::MAX)] {
            assert_eq!(keys.account(&keys.key(account)), Some(account));
        }
        assert_eq!(keys.key(Account::user(62515, 7)), "app.tokens:v1:{62515-7}");
        for key in
            ["", "app.tokens:v1", "app.tokens:v1:{}", "app.tokens:v1:{062515}", "app.tokens:v1:{-1}", "x:{1}"]
        {
            assert_eq!(keys.account(key), None, "{key}");
        }
        assert_eq!(keys.account(&keys.probe()), None);
    }

    #[test]
    fn a_prefix_is_an_identifier() {
        Keys::new(Keys::with_default_prefix().prefix()).unwrap();
        let long = "a".repeat(MAX_PREFIX + 1);
        for prefix in ["", " ", "1a", "-a", "a*", "a?", "a[b]", "a{b}", "a b", "a\n", "ä", "a\\", &long] {
            assert!(Keys::new(prefix).is_err(), "{prefix}");
        }
    }
}

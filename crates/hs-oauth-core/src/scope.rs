//! Scopes, the permissions of a grant.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use serde::de::SeqAccess;
use serde::{Deserialize, Serialize};

use crate::invalid_argument::{InvalidArgument, InvalidArgumentKind};
use crate::json::{Field, FromJson};

/// The most bytes that the name of a scope may have.
pub(crate) const MAX_SCOPE_SIZE: usize = 1024;

/// One permission, named as in HubSpot's documentation: `oauth`, `crm.objects.contacts.read`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scope(String);

impl Scope {
    /// Returns the scope of this name.
    ///
    /// # Errors
    /// [`InvalidArgument`] for `scope` if the name is empty, is longer than 1024 bytes, or has a comma, a quote, a backslash or a
    /// character that is not visible ASCII (RFC 6749 §3.3).
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidArgument> {
        let scope = Self(name.into());
        match scope.check() {
            Ok(()) => Ok(scope),
            Err(kind) => Err(InvalidArgument::new("scope", kind)),
        }
    }

    /// Checks the name of a scope that [`new`](Self::new) may not have made.
    pub(crate) fn check(&self) -> Result<(), InvalidArgumentKind> {
        let name = &self.0;
        let is_forbidden = |byte: u8| !byte.is_ascii_graphic() || byte == b'"' || byte == b'\\';
        if name.is_empty() {
            Err(InvalidArgumentKind::Missing)
        } else if name.len() > MAX_SCOPE_SIZE {
            Err(InvalidArgumentKind::TooLong { limit: MAX_SCOPE_SIZE })
        } else if let Some(at) = name.bytes().position(is_forbidden) {
            Err(InvalidArgumentKind::Character { at })
        } else if let Some(at) = name.bytes().position(|byte| byte == b',') {
            // RFC 6749 allows it, but no scope of HubSpot's has one. It is a list that was not written as HubSpot reads it.
            Err(InvalidArgumentKind::Comma { at })
        } else {
            Ok(())
        }
    }

    /// Returns a scope of a response. Its name is not checked.
    pub(crate) fn from_response(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Returns the name of the scope.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Scope {
    type Err = InvalidArgument;

    fn from_str(name: &str) -> Result<Self, InvalidArgument> {
        Self::new(name)
    }
}

/// An ordered list of scopes.
///
/// Scopes that an app requests are each in it once. Scopes that HubSpot granted are in it as HubSpot sent them. As text, the names have
/// single spaces between them (RFC 6749 §3.3). Serialized, they are an array, as in HubSpot's responses.
///
/// ```
/// let scopes: hs_oauth_core::Scopes = "oauth crm.objects.contacts.read".parse()?;
/// assert!(scopes.contains("oauth"));
/// # Ok::<(), hs_oauth_core::InvalidArgument>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// The empty list of scopes.
    pub const NONE: Self = Self(Vec::new());

    /// Returns the scopes of these names, in their order. A name that occurs again is left out.
    ///
    /// ```
    /// let scopes = hs_oauth_core::Scopes::from_names(["oauth", "crm.objects.contacts.read"])?;
    /// assert_eq!(scopes.to_string(), "oauth crm.objects.contacts.read");
    /// # Ok::<(), hs_oauth_core::InvalidArgument>(())
    /// ```
    ///
    /// # Errors
    /// The error of [`Scope::new`] for the first name that is not one of a scope. Its [`index`](InvalidArgument::index) says which.
    pub fn from_names<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Result<Self, InvalidArgument> {
        let scope = |(index, name)| Scope::new(name).map_err(|invalid| invalid.in_list(index));
        names.into_iter().enumerate().map(scope).collect()
    }

    /// Returns whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of scopes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the scope of this name is in the list.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|scope| scope.0 == name)
    }

    /// Returns those of these scopes that are not in the other list, in their order.
    pub fn without(&self, others: &Self) -> Self {
        // A set, since the lists may come from outside.
        let others: HashSet<&Scope> = others.iter().collect();
        Self(self.iter().filter(|scope| !others.contains(scope)).cloned().collect())
    }

    /// Returns an iterator over the scopes, in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Scope> {
        self.0.iter()
    }

    /// Returns the scopes of a response, as HubSpot sent them.
    pub(crate) const fn from_response(scopes: Vec<Scope>) -> Self {
        Self(scopes)
    }

    /// Returns the scopes of a response that has them as one string with spaces between the names.
    pub(crate) fn from_response_text(names: &str) -> Self {
        Self(names.split_ascii_whitespace().map(Scope::from_response).collect())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(&scope.0)?;
        }
        Ok(())
    }
}

impl FromStr for Scopes {
    type Err = InvalidArgument;

    /// Reads names with white space between them, not commas. Each scope is in the result once. A text without names gives [`Scopes::NONE`].
    ///
    /// # Errors
    /// The errors of [`Scopes::from_names`].
    fn from_str(names: &str) -> Result<Self, InvalidArgument> {
        Self::from_names(names.split_ascii_whitespace())
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut all = Self::NONE;
        all.extend(scopes);
        all
    }
}

impl Extend<Scope> for Scopes {
    fn extend<I: IntoIterator<Item = Scope>>(&mut self, scopes: I) {
        // A set, since a search would be slow for a long list, and the list may come from outside.
        let mut seen: HashSet<Scope> = self.0.iter().cloned().collect();
        self.0.extend(scopes.into_iter().filter(|scope| seen.insert(scope.clone())));
    }
}

impl<'a> IntoIterator for &'a Scopes {
    type Item = &'a Scope;
    type IntoIter = std::slice::Iter<'a, Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Scopes {
    type Item = Scope;
    type IntoIter = std::vec::IntoIter<Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl FromJson<'_> for Scope {
    fn from_text(name: &str) -> Option<Self> {
        Some(Self::from_response(name))
    }
}

impl<'a> FromJson<'a> for Scopes {
    fn from_array<A: SeqAccess<'a>>(list: &mut A) -> Result<Option<Self>, A::Error> {
        let mut scopes = Vec::with_capacity(8);
        while let Some(scope) = list.next_element::<Field<Scope>>()? {
            match scope {
                Field::Read(scope) => scopes.push(scope),
                _ => return Ok(None),
            }
        }
        Ok(Some(Self::from_response(scopes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6749 §3.3.
    #[test]
    fn a_scope_is_visible_ascii_without_quotes_and_backslashes() {
        assert!(Scope::new("crm.objects.contacts.read").is_ok());
        assert!(Scope::new("https://example.com/scope").is_ok());
        for name in ["", "a b", "a\"b", "a\\b", "a\nb", "é"] {
            assert_eq!(Scope::new(name).unwrap_err().argument, "scope", "{name:?}");
        }
    }

    /// HubSpot's scopes have spaces between them (RFC 6749 §3.3). One scope with commas in it is one that no app has registered.
    #[test]
    fn a_list_written_with_commas_is_an_error_that_says_so() {
        for (names, index, at) in [
            ("oauth,crm.objects.contacts.read", 0, 5),
            ("oauth, crm.objects.contacts.read", 0, 5),
            ("oauth crm.read,content", 1, 8),
            (",", 0, 0),
        ] {
            let invalid = names.parse::<Scopes>().unwrap_err();
            assert_eq!(invalid.kind, InvalidArgumentKind::Comma { at }, "{names}");
            assert_eq!((invalid.argument, invalid.index), ("scope", Some(index)), "{names}");
        }
        let text = Scope::new("a,b").unwrap_err().to_string();
        assert_eq!(text, "`scope` has a comma at byte 1: put spaces between scopes");
        // What was granted is read as it is.
        assert!(serde_json::from_str::<Scopes>(r#"["a,b"]"#).is_ok());
    }

    #[test]
    fn the_scopes_that_another_list_lacks_keep_their_order() {
        let without = |some: &str, others: &str| {
            some.parse::<Scopes>().unwrap().without(&others.parse().unwrap()).to_string()
        };
        assert_eq!(without("oauth a b c", "b oauth d"), "a c");
        assert_eq!(without("a b", ""), "a b");
        assert_eq!(without("", "a b"), "");
        assert_eq!(without("a b", "b a"), "");
    }

    #[test]
    fn a_hundred_thousand_scopes_are_read_without_delay() {
        let many = (0..100_000).map(|number| format!("s{number} ")).collect::<String>();
        assert_eq!(many.parse::<Scopes>().unwrap().len(), 100_000);
    }

    #[test]
    fn a_list_of_names_becomes_scopes_and_the_error_says_which_name_is_wrong() {
        let scopes = Scopes::from_names(["oauth", "crm.read", "oauth"]).unwrap();
        assert_eq!(scopes, "oauth crm.read".parse().unwrap());
        assert_eq!(Scopes::from_names(vec!["oauth".to_owned()]).unwrap().len(), 1);
        assert_eq!(Scopes::from_names([""; 0]).unwrap(), Scopes::NONE);

        let invalid = Scopes::from_names(["oauth", "crm.read content", "\""]).unwrap_err();
        assert_eq!((invalid.argument, invalid.index), ("scope", Some(1)));
        assert_eq!(invalid.to_string(), "`scope` number 2 has a character at byte 8 that is not allowed");
        assert_eq!("oauth é".parse::<Scopes>().unwrap_err().index, Some(1));
        assert_eq!(Scope::new("").unwrap_err().to_string(), "`scope` is missing or empty");
    }

    #[test]
    fn scopes_keep_their_order_and_lose_their_duplicates() {
        let scopes: Scopes = " oauth  crm.read\toauth content ".parse().unwrap();
        assert_eq!(scopes.to_string(), "oauth crm.read content");
        assert_eq!(serde_json::to_string(&scopes).unwrap(), r#"["oauth","crm.read","content"]"#);
        assert_eq!("".parse::<Scopes>().unwrap(), Scopes::NONE);
    }

    #[test]
    fn scopes_are_stored_as_an_array_of_names() {
        let scopes: Scopes = "oauth crm.objects.contacts.read".parse().unwrap();
        for (scopes, text) in [(scopes, r#"["oauth","crm.objects.contacts.read"]"#), (Scopes::NONE, "[]")] {
            assert_eq!(serde_json::to_string(&scopes).unwrap(), text);
            assert_eq!(serde_json::from_str::<Scopes>(text).unwrap(), scopes);
        }
        assert_eq!(serde_json::to_string(&Scope::new("oauth").unwrap()).unwrap(), r#""oauth""#);
    }
}

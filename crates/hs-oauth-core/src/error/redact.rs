//! Redaction: secrets of the request are removed from what a server says.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::mem::swap;

use super::encoded_secret::{MIN_ENCODED_LEN, encoded_forms, has_encoded_secret};
use crate::json::{Field, ListMap, Scalar, TextMap};
use crate::text::excerpt;

/// Removes the request's secrets from texts of the response, so that a server that echoes its input cannot get a secret into a log.
pub(crate) struct Redact<'s> {
    secrets: [&'s str; 3],
    /// Computed for the first text that needs them. Few texts do, but a response may have a hundred thousand that do.
    encoded_forms: OnceCell<Vec<String>>,
}

impl<'s> Redact<'s> {
    /// Returns a redaction of these secrets. Empty ones are ignored.
    pub(crate) fn new([mut first, mut second, mut third]: [&'s str; 3]) -> Self {
        // The longest comes first. If one secret contains another, removing the shorter one first would leave the rest of the longer.
        let order = |one: &mut &'s str, other: &mut &'s str| {
            if one.len() < other.len() {
                swap(one, other);
            }
        };
        order(&mut first, &mut second);
        order(&mut second, &mut third);
        order(&mut first, &mut second);
        Self { secrets: [first, second, third], encoded_forms: OnceCell::new() }
    }

    /// Returns an excerpt of the text without the secrets, or just `[redacted]` if it has one in an encoded form.
    pub(crate) fn text(&self, text: &str) -> String {
        let text = self.without_secrets(Cow::Borrowed(text), |secret| secret.len() >= MIN_ENCODED_LEN);
        let encoded_forms = || self.encoded_forms.get_or_init(|| encoded_forms(self.secrets())).as_slice();
        if has_encoded_secret(&text, self.secrets(), encoded_forms) {
            return "[redacted]".to_owned();
        }
        // Short secrets are removed last, since one may be a part of the encoded form of a long one.
        excerpt(&self.without_secrets(text, |secret| secret.len() < MIN_ENCODED_LEN))
    }

    /// Replaces those secrets that `which` selects.
    fn without_secrets<'t>(&self, mut text: Cow<'t, str>, which: impl Fn(&str) -> bool) -> Cow<'t, str> {
        for secret in self.secrets().filter(|secret| which(secret)) {
            if contains(&text, secret) {
                text = Cow::Owned(text.replace(secret, "[redacted]"));
            }
        }
        text
    }

    fn secrets(&self) -> impl Iterator<Item = &'s str> {
        self.secrets.into_iter().filter(|secret| !secret.is_empty())
    }

    /// Returns the field's text without secrets, or `None` if the field is not a string.
    pub(super) fn field(&self, field: Scalar<'_>) -> Option<String> {
        field.into_text().map(|text| self.text(&text))
    }

    /// Returns a known code as it is. Removes the secrets from an unknown one.
    pub(super) fn code<C>(&self, code: &str, known: fn(&str) -> Option<C>, other: fn(String) -> C) -> C {
        known(code).unwrap_or_else(|| other(self.text(code)))
    }

    #[inline]
    pub(super) fn context(&self, context: Field<ListMap<'_>>) -> BTreeMap<String, Vec<String>> {
        let mut lists = BTreeMap::new();
        for (name, values) in context.into_value().unwrap_or_default() {
            lists.insert(self.text(&name), values.iter().map(|value| self.text(value)).collect());
        }
        lists
    }

    #[inline]
    pub(super) fn links(&self, links: Field<TextMap<'_>>) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for (name, link) in links.into_value().unwrap_or_default() {
            texts.insert(self.text(&name), self.text(&link));
        }
        texts
    }
}

/// Returns whether `text` contains `secret`.
///
/// A message is rarely much longer than a secret. Then it is faster to try each position than to prepare a search.
fn contains(text: &str, secret: &str) -> bool {
    match text.len().checked_sub(secret.len()) {
        None => false,
        Some(0..256) => {
            let (text, secret) = (text.as_bytes(), secret.as_bytes());
            text.windows(secret.len().max(1)).any(|at| at.first() == secret.first() && at == secret)
        }
        Some(_) => text.contains(secret),
    }
}

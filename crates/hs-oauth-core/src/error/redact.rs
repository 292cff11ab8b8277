use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::mem::swap;

use super::encoded_secret::{MIN_ENCODED_LEN, disguises, is_disguised};
use crate::json::{Field, ListMap, Scalar, TextMap};
use crate::text::excerpt;

/// Takes the request's secrets out of what the server says: a server that echoes its input must not get it into a log.
pub(crate) struct Redact<'s> {
    secrets: [&'s str; 3],
    /// Made when the first text wants them: few do, but an answer may have a hundred thousand that do.
    disguises: OnceCell<Vec<String>>,
}

impl<'s> Redact<'s> {
    /// Takes out these; an empty one stands for none.
    pub(crate) fn new([mut first, mut second, mut third]: [&'s str; 3]) -> Self {
        // The longest comes first: if one secret holds another, the rest of it must not be left standing.
        let order = |one: &mut &'s str, other: &mut &'s str| {
            if one.len() < other.len() {
                swap(one, other);
            }
        };
        order(&mut first, &mut second);
        order(&mut second, &mut third);
        order(&mut first, &mut second);
        Self { secrets: [first, second, third], disguises: OnceCell::new() }
    }

    pub(crate) fn text(&self, text: &str) -> String {
        let text = self.without(Cow::Borrowed(text), |secret| secret.len() >= MIN_ENCODED_LEN);
        let disguises = || self.disguises.get_or_init(|| disguises(self.secrets())).as_slice();
        if is_disguised(&text, self.secrets(), disguises) {
            return "[redacted]".to_owned();
        }
        // Only now: a short one may be a part of the letters in which a long one is disguised.
        excerpt(&self.without(text, |secret| secret.len() < MIN_ENCODED_LEN))
    }

    fn without<'t>(&self, mut text: Cow<'t, str>, which: impl Fn(&str) -> bool) -> Cow<'t, str> {
        for secret in self.secrets().filter(|secret| which(secret)) {
            if holds(&text, secret) {
                text = Cow::Owned(text.replace(secret, "[redacted]"));
            }
        }
        text
    }

    fn secrets(&self) -> impl Iterator<Item = &'s str> {
        self.secrets.into_iter().filter(|secret| !secret.is_empty())
    }

    pub(super) fn field(&self, field: Scalar<'_>) -> Option<String> {
        field.into_text().map(|text| self.text(&text))
    }

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

/// Whether `secret` stands in `text`. A message is rarely longer than a secret by much; then trying each place beats
/// preparing a search.
fn holds(text: &str, secret: &str) -> bool {
    match text.len().checked_sub(secret.len()) {
        None => false,
        Some(0..256) => {
            let (text, secret) = (text.as_bytes(), secret.as_bytes());
            text.windows(secret.len().max(1)).any(|at| at.first() == secret.first() && at == secret)
        }
        Some(_) => text.contains(secret),
    }
}

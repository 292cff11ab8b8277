use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::utf8_percent_encode;

use crate::answer::{Field, Scalar};
use crate::form::UNRESERVED;
use crate::printable::excerpt;

/// Takes the request's secrets out of what the server says: a server that echoes its input must not get it into a log.
pub(super) struct Redact<F>(pub(super) F);

impl<'s, S: Iterator<Item = &'s str>, F: Fn() -> S> Redact<F> {
    pub(super) fn text(&self, text: &str) -> String {
        let is_escaped = text.bytes().fold(false, |any, byte| any | (byte == b'%'));
        let mut text = Cow::Borrowed(text);
        for secret in (self.0)() {
            if holds(&text, secret) {
                text = Cow::Owned(text.replace(secret, "[redacted]"));
            }
            if is_escaped {
                let encoded = utf8_percent_encode(secret, UNRESERVED).to_string();
                text = Cow::Owned(text.replace(&encoded, "[redacted]"));
            }
        }
        excerpt(&text)
    }

    pub(super) fn field(&self, field: Scalar<'_>) -> Option<String> {
        field.text().map(|text| self.text(&text))
    }

    pub(super) fn code<C>(&self, code: &str, known: fn(&str) -> Option<C>, other: fn(String) -> C) -> C {
        known(code).unwrap_or_else(|| other(self.text(code)))
    }

    pub(super) fn context(
        &self,
        context: Field<BTreeMap<String, Vec<String>>>,
    ) -> BTreeMap<String, Vec<String>> {
        let Some(context) = context.read() else { return BTreeMap::new() };
        context
            .into_iter()
            .map(|(name, values)| (self.text(&name), values.iter().map(|value| self.text(value)).collect()))
            .collect()
    }

    pub(super) fn links(&self, links: Field<BTreeMap<String, String>>) -> BTreeMap<String, String> {
        let Some(links) = links.read() else { return BTreeMap::new() };
        links.iter().map(|(name, link)| (self.text(name), self.text(link))).collect()
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

//! What came in, with every secret masked: nothing in the journal, or in a log line, is of use to anyone who reads it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write;

use hs_oauth_core::Timestamp;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, Request, Uri};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::answers::has_body_of;
use crate::faults::Target;
use crate::ids::Minter;
use crate::settings::Settings;

/// How many requests the journal keeps: the newest.
pub const JOURNAL_LENGTH: usize = 10_000;

/// A request that came in, and how it was answered. Secrets are masked: what is left is at most their first four
/// characters and a fingerprint, by which one is known again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// Counts requests from 1, and goes on counting when the journal is cleared.
    pub number: u64,
    /// When it came, by the emulator's clock; in milliseconds since 1970 when serialized.
    pub at: Timestamp,
    /// The method, masked if a secret stands in it; so are all the parts below that are shown as they came.
    pub method: String,
    /// The path; the token in a path of `v1` is masked.
    pub path: String,
    /// The parameters of the query and then those of a form, in their order.
    pub parameters: Vec<Parameter>,
    /// `Authorization`, masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
    /// `Content-Type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `User-Agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// What was asked of the token API, if it was understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Target>,
    /// Whose token or code came in, if that is known; also of one that is good no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub_id: Option<i64>,
    /// The fault it met: `status`, `raw_body`, `delay`, `drop_before`, `drop_after` or `truncate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    /// The HTTP status of the answer, even of one that was never delivered; absent if the connection was dropped before
    /// there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// A parameter of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// Its name; one that OAuth does not know is masked too.
    pub name: String,
    /// Its value, masked unless the parameter is a public one and no secret stands in it.
    pub value: String,
}

impl Entry {
    pub(crate) fn of(mask: Mask<'_>, now: Timestamp, request: &Request<Vec<u8>>) -> Self {
        let query = request.uri().query().unwrap_or("").as_bytes();
        let is_form = has_body_of(request, "application/x-www-form-urlencoded");
        let form = if is_form { request.body().as_slice() } else { b"" };
        let parameters = form_urlencoded::parse(query)
            .chain(form_urlencoded::parse(form))
            .take(MOST_PARAMETERS)
            .map(|(name, value)| Parameter::of(mask, &name, &value))
            .collect();
        let header = |name: HeaderName| {
            let value = request.headers().get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Self {
            number: 0,
            at: now,
            method: mask.public(request.method().as_str()),
            path: mask.path(request.uri()),
            parameters,
            authorization: header(AUTHORIZATION).map(|value| match value.split_once(' ') {
                Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => {
                    format!("Bearer {}", mask.secret(secret))
                }
                _ => mask.secret(&value),
            }),
            content_type: header(CONTENT_TYPE).map(|value| mask.public(&value)),
            user_agent: header(USER_AGENT).map(|value| mask.public(&value)),
            operation: None,
            hub_id: None,
            fault: None,
            status: None,
        }
    }
}

impl Parameter {
    fn of(mask: Mask<'_>, name: &str, value: &str) -> Self {
        let is_public = PUBLIC.contains(&name);
        Self {
            name: match is_public || SECRET.contains(&name) {
                true => name.to_owned(),
                false => mask.secret(name),
            },
            value: match is_public && value.len() <= LONGEST_PUBLIC {
                true => mask.public(value),
                false => mask.secret(value),
            },
        }
    }
}

/// The newest requests.
#[derive(Default)]
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    count: u64,
}

impl Journal {
    pub(crate) fn push(&mut self, mut entry: Entry) {
        self.count += 1;
        entry.number = self.count;
        if self.entries.len() >= JOURNAL_LENGTH {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

/// What hides secrets, wherever they stand.
#[derive(Clone, Copy)]
pub(crate) struct Mask<'a> {
    pub(crate) minter: &'a Minter,
    pub(crate) settings: &'a Settings,
}

impl Mask<'_> {
    /// A path with everything masked that is, or may be, a secret.
    pub(crate) fn path(self, uri: &Uri) -> String {
        let mut path = String::new();
        let mut secret = false;
        for (index, segment) in uri.path().split('/').enumerate() {
            if index > 0 {
                path.push('/');
            }
            if (secret && !segment.is_empty()) || segment.len() >= LONG_WORD || self.hides(segment) {
                path += &self.secret(&percent_decode_str(segment).decode_utf8_lossy());
            } else {
                // Nothing that could steer a terminal.
                path.extend(segment.chars().filter(|char| !char.is_control()));
            }
            secret |= segment == "access-tokens" || segment == "refresh-tokens";
        }
        // A client secret may have a slash in it.
        if self.has_client_secret(&path) { self.secret(&path) } else { path }
    }

    /// Text that is public where it stands, unless a client put a secret there.
    pub(crate) fn public(self, text: &str) -> String {
        let Settings { client_id, redirect_uris, .. } = self.settings;
        let is_known = text == client_id || redirect_uris.iter().any(|uri| text == uri);
        let is_hidden = if is_known { self.has_client_secret(text) } else { self.hides(text) };
        if is_hidden { self.secret(text) } else { text.to_owned() }
    }

    /// At most the first four characters, never a third of the whole, and the fingerprint.
    fn secret(self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let is_short =
            text.len() < 16 || (self.settings.client_secret.len() < 16 && self.has_client_secret(text));
        let shown = if is_short { 0 } else { 4 };
        let mut masked: String = text.chars().take(shown).filter(|char| !char.is_control()).collect();
        let _ = write!(masked, "…#{}", self.minter.fingerprint(text));
        masked
    }

    /// Whether the client secret stands in a text, or a word as long as the emulator's tokens and codes are.
    fn hides(self, text: &str) -> bool {
        let in_word = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
        let has_long_word =
            |text: &str| text.split(|char| !in_word(char)).any(|word| word.len() >= LONG_WORD);
        self.has_client_secret(text) || readings(text).any(|text| has_long_word(&text))
    }

    fn has_client_secret(self, text: &str) -> bool {
        let secret = self.settings.client_secret.as_str();
        !secret.is_empty() && readings(text).any(|text| text.contains(secret))
    }
}

/// A text as it is, and what it may stand for if it was escaped.
fn readings(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let unescaped = |text: &str| Cow::Owned(percent_decode_str(text).decode_utf8_lossy().into_owned());
    [
        Some(Cow::Borrowed(text)),
        text.contains('%').then(|| unescaped(text)),
        text.contains('+').then(|| unescaped(&text.replace('+', " "))),
    ]
    .into_iter()
    .flatten()
}

/// A code has 36 characters, a token more.
const LONG_WORD: usize = 32;
const MOST_PARAMETERS: usize = 64;
const LONGEST_PUBLIC: usize = 2048;

/// Parameters that are shown as they are, unless a secret stands in them.
const PUBLIC: &[&str] = &[
    "client_assertion_type",
    "client_id",
    "code_challenge_method",
    "decision",
    "grant_type",
    "hub_id",
    "optional_scope",
    "optional_scopes",
    "redirect_uri",
    "response_type",
    "scope",
    "token_type_hint",
];

/// Parameters whose names are shown and whose values are not.
const SECRET: &[&str] = &[
    "client_assertion",
    "client_secret",
    "code",
    "code_challenge",
    "code_verifier",
    "refresh_token",
    "state",
    "ticket",
    "token",
];

#[cfg(test)]
mod tests {
    use super::*;

    const SECRETS: [&str; 3] =
        ["canary-0123456789abcdef", "na1-2b3c4d5e-6f70-4182-93a4-b5c6d7e8f901", "short"];

    fn entry(request: http::request::Builder, body: &str) -> String {
        let request = request.body(body.as_bytes().to_vec()).unwrap();
        let mask = Mask { minter: &Minter::new([9; 32]), settings: &Settings::new([9; 32]) };
        let entry = Entry::of(mask, Timestamp::from_secs(1), &request);
        serde_json::to_string(&entry).unwrap()
    }

    fn form(uri: &str) -> http::request::Builder {
        Request::post(uri).header(CONTENT_TYPE, "application/x-www-form-urlencoded")
    }

    #[test]
    fn no_secret_is_left_in_an_entry_wherever_it_stood() {
        for secret in SECRETS {
            for written in [
                entry(
                    form("/oauth/v3/token"),
                    &format!("client_secret={secret}&code={secret}&token={secret}&x={secret}"),
                ),
                entry(form("/oauth/v3/token"), &format!("{secret}=1")),
                entry(form("/oauth/v3/token"), &format!("{{\"refresh_token\":\"{secret}\"}}")),
                entry(Request::post("/oauth/v3/token"), &format!("client_secret={secret}")),
                entry(Request::get(format!("/oauth/v1/access-tokens/{secret}")), ""),
                entry(Request::get(format!("/oauth/v1/refresh-tokens/%6ea/{secret}")), ""),
                entry(form(&format!("/oauth/v1/token?client_secret={secret}&refresh_token={secret}")), ""),
                entry(
                    Request::get("/account-info/v3/details")
                        .header(AUTHORIZATION, format!("Bearer {secret}")),
                    "",
                ),
                entry(Request::get("/account-info/v3/details").header(AUTHORIZATION, secret), ""),
                entry(Request::get(format!("/oauth/authorize?state={secret}&code_challenge={secret}")), ""),
            ] {
                assert!(!written.contains(secret), "{written}");
            }
        }
    }

    #[test]
    fn a_secret_is_known_again_by_its_fingerprint_and_public_values_are_shown() {
        let one = entry(form("/t"), "grant_type=refresh_token&refresh_token=na1-2b3c4d5e-6f70-4182");
        assert!(one.contains(r#"{"name":"grant_type","value":"refresh_token"}"#), "{one}");
        assert!(one.contains(r#"{"name":"refresh_token","value":"na1-…#"#), "{one}");
        assert_eq!(one, entry(form("/t"), "grant_type=refresh_token&refresh_token=na1-2b3c4d5e-6f70-4182"));
        assert_ne!(one, entry(form("/t"), "grant_type=refresh_token&refresh_token=na1-2b3c4d5e-6f70-4183"));
    }

    #[test]
    fn the_journal_keeps_the_newest() {
        let request = Request::new(Vec::new());
        let mask = Mask { minter: &Minter::new([0; 32]), settings: &Settings::new([0; 32]) };
        let mut journal = Journal::default();
        for _ in 0..JOURNAL_LENGTH + 5 {
            journal.push(Entry::of(mask, Timestamp::from_secs(0), &request));
        }
        assert_eq!(journal.iter().len(), JOURNAL_LENGTH);
        assert_eq!(journal.iter().next().unwrap().number, 6);
    }
}

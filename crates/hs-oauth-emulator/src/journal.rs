//! The requests that came in, with every secret masked. What is left of a secret is of no use to a reader of the
//! journal.

mod mask;
mod space;

use std::collections::VecDeque;

use hs_oauth_core::Timestamp;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, Request};
pub(crate) use mask::Mask;
use serde::Serialize;
use space::Space;

use crate::content_type::has_content_type;
use crate::faults::Target;

/// The number of requests that the journal holds. One more drops the oldest.
pub const MAX_JOURNAL_LENGTH: usize = 10_000;
/// The size of the largest entry of the journal in bytes of JSON: 8 KiB. What is too much for it is left out.
pub const MAX_ENTRY_SIZE: usize = 8 * 1024;

/// A request that came in, and the status of its response.
///
/// Secrets are masked: at most their first four characters are left, and a fingerprint that is the same for the same
/// secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// The number of the request, counted from 1. The count goes on when the journal is cleared.
    pub number: u64,
    /// When the request came, by the emulator's clock. Serialized in milliseconds since 1970.
    pub at: Timestamp,
    /// The method. It is masked if it contains a secret, and so are the path, the content type and the user agent.
    pub method: String,
    /// The path. The token in a path of `v1` is masked.
    pub path: String,
    /// The parameters of the query and then those of the form, in their order.
    pub parameters: Vec<Parameter>,
    /// The header `Authorization`, masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization: Option<String>,
    /// The header `Content-Type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The header `User-Agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The operation that was requested; `None` if the request was not understood or asks for none of these operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Target>,
    /// The account whose token or code came with the request; `None` if that is unknown. A token or code that is not
    /// valid any more has an account too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub_id: Option<i64>,
    /// The fault that affected the request: `status`, `raw_body`, `members`, `delay`, `drop_before`, `drop_after` or
    /// `truncate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    /// The HTTP status of the response, even if the response was never delivered. `None` if the connection broke before
    /// there was a response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why the response is an error, and by which fault; `None` if the request succeeded. At most 400 bytes of JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether something of the request was left out, because the entry would be larger than [`MAX_ENTRY_SIZE`] or have
    /// more than 64 parameters. Texts are cut after their secrets were masked. Method and path come first, then the
    /// headers, then the parameters.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// A parameter of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// The name. It is masked unless OAuth or the consent page has a parameter of this name.
    pub name: String,
    /// The value. It is masked unless the parameter is a public one and its value contains no secret.
    pub value: String,
}

impl Entry {
    pub(crate) fn from_request(mask: Mask<'_>, now: Timestamp, request: &Request<Vec<u8>>) -> Self {
        let query = request.uri().query().unwrap_or("").as_bytes();
        let is_form = has_content_type(request, "application/x-www-form-urlencoded");
        let form = if is_form { request.body().as_slice() } else { b"" };
        let header = |name: HeaderName| {
            let value = request.headers().get(name)?;
            Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let authorization = header(AUTHORIZATION).map(|value| match value.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                format!("Bearer {}", mask.secret(token))
            }
            _ => mask.secret(&value),
        });

        let mut space = Space::new(MAX_ENTRY_SIZE - SIZE_WITHOUT_TEXTS);
        let mut entry = Self {
            number: 0,
            at: now,
            method: space.fit(mask.public(request.method().as_str())),
            path: space.fit(mask.path(request.uri())),
            parameters: Vec::new(),
            authorization: authorization.map(|value| space.fit(value)),
            content_type: header(CONTENT_TYPE).map(|value| space.fit(mask.public(&value))),
            user_agent: header(USER_AGENT).map(|value| space.fit(mask.public(&value))),
            operation: None,
            hub_id: None,
            fault: None,
            status: None,
            reason: None,
            truncated: false,
        };
        let mut parameters = form_urlencoded::parse(query).chain(form_urlencoded::parse(form));
        for (name, value) in parameters.by_ref().take(MAX_PARAMETERS) {
            if !space.take(SIZE_OF_EMPTY_PARAMETER) {
                break;
            }
            let Parameter { name, value } = Parameter::masked(mask, &name, &value);
            entry.parameters.push(Parameter { name: space.fit(name), value: space.fit(value) });
        }
        entry.truncated = space.is_exceeded() || parameters.next().is_some();
        entry
    }
}

impl Entry {
    /// Adds why the response is an error.
    pub(crate) fn set_reason(&mut self, mask: Mask<'_>, reason: &str) {
        self.reason = Some(Space::new(MAX_REASON_SIZE).fit(mask.public(reason)));
    }
}

impl Parameter {
    fn masked(mask: Mask<'_>, name: &str, value: &str) -> Self {
        let is_public = PUBLIC_PARAMETERS.contains(&name);
        Self {
            name: match is_public || SECRET_PARAMETERS.contains(&name) {
                true => name.to_owned(),
                false => mask.secret(name),
            },
            value: match is_public && value.len() <= MAX_PUBLIC_VALUE {
                true => mask.public(value),
                false => mask.secret(value),
            },
        }
    }
}

/// The newest requests, oldest first.
#[derive(Default)]
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    count: u64,
}

impl Journal {
    /// Adds an entry and gives it its number.
    pub(crate) fn push(&mut self, mut entry: Entry) {
        self.count += 1;
        entry.number = self.count;
        if self.entries.len() >= MAX_JOURNAL_LENGTH {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// Returns the number of the newest request so far; 0 if there was none.
    pub(crate) fn newest_number(&self) -> u64 {
        self.count
    }

    /// Goes on with the numbers after those of another journal, so that a reader can tell which request is newer.
    pub(crate) fn go_on_after(&mut self, other: &Self) {
        self.count = self.count.max(other.count);
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}

/// The largest size of the JSON of an entry whose texts are empty. A test has an entry with the longest of everything else.
const SIZE_WITHOUT_TEXTS: usize = 320 + r#""reason":"","#.len() + MAX_REASON_SIZE;
const MAX_REASON_SIZE: usize = 400;
const SIZE_OF_EMPTY_PARAMETER: usize = r#"{"name":"","value":""},"#.len();
/// The number of parameters of a request that the journal shows.
const MAX_PARAMETERS: usize = 64;
/// The length in bytes of the longest value that is shown. A longer one is masked even if the parameter is public.
const MAX_PUBLIC_VALUE: usize = 2048;

/// The parameters whose values are shown, unless they contain a secret.
const PUBLIC_PARAMETERS: &[&str] = &[
    "client_assertion_type",
    "client_id",
    "code_challenge_method",
    "decision",
    "grant_type",
    "hub_id",
    "optional_scope",
    "optional_scopes",
    "partner_sign_in",
    "redirect_uri",
    "response_type",
    "scope",
    "token_type_hint",
];

/// The parameters whose names are shown and whose values are masked.
const SECRET_PARAMETERS: &[&str] = &[
    "client_assertion",
    "client_secret",
    "code",
    "code_challenge",
    "code_verifier",
    "install",
    "refresh_token",
    "state",
    "ticket",
    "token",
];

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::faults::Fault;
    use crate::settings::{Rotation, Settings};
    use crate::testing::Harness;
    use crate::token_generator::TokenGenerator;
    use hs_oauth_core::RefreshToken;

    #[test]
    fn the_journal_holds_the_newest_requests() {
        let request = Request::new(Vec::new());
        let mask = Mask { token_generator: &TokenGenerator::new([0; 32]), settings: &Settings::new([0; 32]) };
        let mut journal = Journal::default();
        for _ in 0..MAX_JOURNAL_LENGTH + 5 {
            journal.push(Entry::from_request(mask, Timestamp::from_secs(0), &request));
        }
        assert_eq!(journal.iter().len(), MAX_JOURNAL_LENGTH);
        assert_eq!(journal.iter().next().unwrap().number, 6);
    }

    #[test]
    fn the_journal_names_the_account_of_a_token_even_if_the_token_was_replaced() {
        let mut harness = Harness::configured(|settings| settings.rotation = Rotation::Rotate);
        let tokens = harness.install();
        harness.refresh(&tokens).unwrap();
        harness.refresh(&tokens).unwrap_err();
        harness.introspect(tokens.access_token.clone());
        harness.introspect(RefreshToken::new("nobody-knows-this-one").unwrap());
        let entries: Vec<_> = harness.emulator.journal().filter(|entry| entry.operation.is_some()).collect();
        let shown: Vec<_> = entries.iter().map(|entry| (entry.status, entry.hub_id)).collect();
        let hub = Some(62515);
        assert_eq!(
            shown,
            [(Some(200), hub), (Some(200), hub), (Some(400), hub), (Some(200), hub), (Some(200), None)]
        );
    }

    #[test]
    fn the_journal_shows_operation_fault_and_status_but_no_secret() {
        let mut harness = Harness::new();
        let tokens = harness.install();
        harness.emulator.clear_journal();
        harness.emulator.inject(Fault::status(503));
        harness.refresh(&tokens).unwrap_err();
        harness.emulator.inject(Fault::drop_before());
        harness.refresh(&tokens).unwrap_err();
        harness.control(Method::GET, "/journal", "");
        let entries: Vec<_> = harness.emulator.journal().collect();
        assert_eq!(entries.len(), 2);
        assert_eq!((entries[1].fault, entries[1].status), (Some("drop_before"), None));
        assert_eq!(
            (entries[0].operation, entries[0].fault, entries[0].status),
            (Some(Target::Refresh), Some("status"), Some(503))
        );
        let shown = format!("{entries:?} {:?}", harness.emulator);
        assert!(!shown.contains(tokens.refresh_token.as_ref().unwrap().expose()));
        assert!(!shown.contains(&harness.emulator.settings().client_secret));
    }

    #[test]
    fn an_entry_is_cut_at_8_kib_of_json_and_says_so() {
        let mut harness = Harness::new();
        let long = |word: &str| word.repeat(9000 / word.len());
        let many = |name: &str, value: &str| format!("{name}={value}&").repeat(64);
        let get = |uri: String| Request::get(uri).header("user-agent", "app/1.0").body(Vec::new()).unwrap();
        let form = |body: String| {
            Request::post("/oauth/v3/token")
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body.into_bytes())
                .unwrap()
        };
        let mut with_everything = get(long("/short"));
        with_everything.headers_mut().insert(AUTHORIZATION, "Bearer x".parse().unwrap());
        with_everything.headers_mut().insert(CONTENT_TYPE, "text/plain".parse().unwrap());
        for request in [
            with_everything,
            get(long("/short")),
            get(format!("/?{}", many("scope", &"a.b-c%20".repeat(100)))),
            form(many("scope", &"%00".repeat(200))),
            form(many("scope", &"%22%5C".repeat(200))),
            form(many("redirect_uri", &"%F0%9F%98%80".repeat(150))),
            form(many("no-such-name", "secret")).map(|body| body.repeat(2)),
            form("a=b&".repeat(65)),
            Request::get("/").header("user-agent", long("ab ")).body(Vec::new()).unwrap(),
            Request::get("/")
                .header(CONTENT_TYPE, long("\""))
                .header("user-agent", "\t".repeat(500))
                .body(Vec::new())
                .unwrap(),
            Request::builder()
                .method(long("A").get(..31).unwrap())
                .uri(long("/a%20b"))
                .body(Vec::new())
                .unwrap(),
            Request::builder().method(long("A-.").as_str()).body(Vec::new()).unwrap(),
        ] {
            let shown = format!("{:.200}", format!("{request:?}"));
            harness.send(request);
            let mut entry = harness.emulator.journal().next_back().unwrap().clone();
            // The values that take the most space in fields of a fixed size.
            (entry.number, entry.at) = (u64::MAX, Timestamp::from_millis(u64::MAX));
            (entry.operation, entry.hub_id) = (Some(Target::ClientCredentials), Some(i64::MIN));
            (entry.fault, entry.status) = (Some("drop_before"), Some(599));
            entry.reason = Some("x".repeat(MAX_REASON_SIZE));
            let json = serde_json::to_string(&entry).unwrap();
            assert!(json.len() <= MAX_ENTRY_SIZE, "{} bytes: {shown}", json.len());
            assert!(entry.truncated && json.contains(r#""truncated":true"#), "{shown}");
        }
        harness.get(&"/short".repeat(1000));
        let entry = harness.emulator.journal().next_back().unwrap();
        assert!(!entry.truncated && entry.path.len() == 6000);
        assert!(!serde_json::to_string(entry).unwrap().contains("truncated"));
    }

    /// A text is cut after it was masked. Otherwise the rest of a secret would be too short to be noticed.
    #[test]
    fn no_part_of_a_secret_is_left_where_an_entry_is_cut() {
        let secret = Settings::new([0; 32]).client_secret;
        let token = "na1-2b3c4d5e-6f70-4182-93a4-b5c6d7e8f901";
        for (secret, written) in [
            (secret.as_str(), secret.clone()),
            (&secret, secret.bytes().map(|byte| format!("%{byte:02x}")).collect()),
            (token, token.to_owned()),
            (token, token.bytes().map(|byte| format!("%{byte:02x}")).collect()),
        ] {
            // Somewhere among these lengths, the cut falls on each byte of the secret.
            for length in 7100..7500 {
                let mut harness = Harness::new();
                let odd = |divisor: usize| "x".repeat(length % divisor);
                harness.get(&format!("{}/{}{written}", "/a".repeat(length / 2), odd(2)));
                let filler = format!("scope={}&", "%20a".repeat(length / 8)).repeat(4);
                harness.post("/oauth/v3/token", &format!("{filler}scope={}{written}", odd(8)));
                for entry in harness.emulator.journal() {
                    let shown = serde_json::to_string(entry).unwrap().replace("/a", "").replace(" a", "");
                    for text in [secret, &written] {
                        // The first four characters of a secret may be shown.
                        let parts = text.as_bytes().windows(5).map(|part| std::str::from_utf8(part).unwrap());
                        for part in parts.filter(|part| !part.contains("access")) {
                            assert!(!shown.contains(part), "{length}: {part} in {shown}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn public_values_are_in_the_journal_unchanged() {
        let uri = "https://app.example/0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f9/cb?a=%20b+c";
        let mut harness = Harness::configured(|settings| settings.redirect_uris = vec![uri.to_owned()]);
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_id", "a1b2c3d4-e5f6-7890-abcd-ef1234567890"),
            ("redirect_uri", uri),
            ("scope", "oauth crm.objects.contacts.highly_sensitive.read.v2 100%"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ];
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        harness.post("/oauth/2026-09/token", &form);
        let entry = harness.emulator.journal().next_back().unwrap();
        let shown = entry.parameters.iter().map(|pair| (pair.name.as_str(), pair.value.as_str()));
        assert_eq!(shown.collect::<Vec<_>>(), pairs);
        assert_eq!(
            (entry.path.as_str(), entry.content_type.as_deref()),
            ("/oauth/2026-09/token", Some("application/x-www-form-urlencoded"))
        );
    }
}

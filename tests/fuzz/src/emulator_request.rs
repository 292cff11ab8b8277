//! Target `emulator_request`: requests to the emulator as text, separated by lines with `---`. A request has its method and path on the
//! first line, then a line for each header, an empty line, and the body. `+60` on a line before a request advances the time by a
//! minute. `auto` on the first line of the input approves every consent.
//!
//! `{secret}` and `{id}` stand for the app's credentials. `{code}`, `{ticket}`, `{access}` and `{refresh}` stand for what the latest
//! responses issued.

use std::collections::HashSet;
use std::time::Duration;

use hs_oauth_core::{App, ClientSecret, Endpoint, Refresh, RefreshToken, Timestamp};
use hs_oauth_emulator::{Emulator, Settings};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, Uri};
use serde_json::Value;

use crate::fill::fill;
use crate::http_text::{self, line};
use crate::{SENT_AT, VERSIONS};

const MAX_REQUESTS: usize = 24;

/// Checks, for any requests in any order, that a strict client accepts each response, that a second emulator responds the same, that
/// there are no tokens without the right secret, that a code is good for tokens once, and that no secret is in the journal.
pub fn check(data: &[u8]) {
    let auto = data.strip_prefix(b"auto\n");
    let mut settings = Settings::new([7; 32]);
    settings.auto_approve = auto.is_some();
    let mut run = Run {
        secret: settings.client_secret.clone(),
        id: settings.client_id.clone(),
        emulator: Emulator::new(settings.clone()),
        twin: Emulator::new(settings),
        now: SENT_AT,
        issued: Issued::default(),
        secrets: HashSet::new(),
        exchanged: HashSet::new(),
    };
    for text in split(auto.unwrap_or(data)).take(MAX_REQUESTS) {
        run.request(text);
    }
    let journal: Vec<_> = run.emulator.journal().collect();
    let journal = serde_json::to_string(&journal).expect("a journal can be written");
    assert!(!journal.contains(&run.secret), "the secret is in the journal");
    for secret in &run.secrets {
        assert!(!journal.contains(secret), "{secret} is in the journal");
    }
    assert!(!format!("{:?}", run.emulator).contains(&run.secret));
}

/// What the latest responses issued.
#[derive(Default)]
struct Issued {
    code: String,
    ticket: String,
    access: String,
    refresh: String,
}

struct Run {
    secret: String,
    id: String,
    emulator: Emulator,
    twin: Emulator,
    now: Timestamp,
    issued: Issued,
    /// Every code, ticket and token issued so far.
    secrets: HashSet<String>,
    /// The codes that were exchanged.
    exchanged: HashSet<String>,
}

impl Run {
    fn request(&mut self, text: &[u8]) {
        let text = fill(
            text,
            &[
                ("{secret}", &self.secret),
                ("{id}", &self.id),
                ("{code}", &self.issued.code),
                ("{ticket}", &self.issued.ticket),
                ("{access}", &self.issued.access),
                ("{refresh}", &self.issued.refresh),
            ],
        );
        let mut text = text.as_slice();
        if let Some(rest) = text.strip_prefix(b"+") {
            let (seconds, rest) = line(rest);
            let seconds = std::str::from_utf8(seconds).ok().and_then(|seconds| seconds.parse().ok());
            self.now = self.now.plus(Duration::from_secs(seconds.unwrap_or_default()));
            text = rest;
        }
        let Some(request) = read(text) else { return };
        let newest =
            |emulator: &Emulator| emulator.journal().next_back().map(|entry| (entry.number, entry.fault));
        let before = newest(&self.emulator);
        let response = self.emulator.handle(self.now, request.clone());
        let twin = self.twin.handle(self.now, request.clone());
        assert_eq!(
            (response.status(), response.headers(), response.body()),
            (twin.status(), twin.headers(), twin.body())
        );

        assert!((200..=599).contains(&response.status().as_u16()), "{}", response.status());
        // The control API and the emulator's own pages are not in the journal.
        let fault =
            newest(&self.emulator).filter(|newest| Some(*newest) != before).and_then(|newest| newest.1);
        if fault.is_none() {
            self.check_response(&request, &response);
            self.learn(&request, &response);
        }
    }

    /// Checks what a strict client expects of a server, where no fault was injected.
    fn check_response(&mut self, request: &Request<Vec<u8>>, response: &Response<Vec<u8>>) {
        let status = response.status();
        assert!(!status.is_server_error() || status == 501, "{status}");
        if let Some(location) = response.headers().get(LOCATION) {
            let location = location.to_str().expect("it is ASCII");
            assert!(location.parse::<Uri>().is_ok(), "{location}");
            // The app's redirect URI, the emulator's own one, or a part of the dashboard.
            let is_expected = location.starts_with("http://localhost:3000/oauth/callback?")
                || (location.starts_with("http://") && location.contains("/callback?"))
                || location.starts_with("/#");
            assert!(is_expected, "{location}");
        }
        if request.method() == Method::HEAD {
            assert!(response.body().is_empty() && response.headers().contains_key(CONTENT_LENGTH));
            return;
        }
        let content_type =
            response.headers().get(CONTENT_TYPE).map(|value| value.to_str().expect("it is ASCII"));
        let path = request.uri().path();
        match content_type {
            Some("application/json") => {
                let body: Value = serde_json::from_slice(response.body()).expect("it is JSON");
                let error = body.get("error").and_then(Value::as_str);
                assert!(!status.is_client_error() || error.is_some(), "{body}");
                assert!(!response.headers().contains_key("www-authenticate"));
            }
            Some("text/html; charset=utf-8" | "text/event-stream") => {
                assert!(std::str::from_utf8(response.body()).is_ok())
            }
            None => assert!(response.body().is_empty()),
            Some(other) => panic!("{other}"),
        }
        let version = VERSIONS.into_iter().find(|version| {
            path.strip_prefix("/oauth/").and_then(|rest| rest.strip_prefix(version)) == Some("/token")
        });
        let is_call =
            path.starts_with("/oauth/") && (path.ends_with("/introspect") || path.ends_with("/revoke"));
        if request.method() == Method::POST && status == 200 && (version.is_some() || is_call) {
            assert!(self.has_credentials(request, version), "{request:?}");
        }
        if let (Some(version), &Method::POST) = (version, request.method()) {
            self.check_with_core(version, request, response);
        }
    }

    fn has_credentials(&self, request: &Request<Vec<u8>>, version: Option<&str>) -> bool {
        let has = |form: &[u8], name: &str, value: &str| {
            form_urlencoded::parse(form).any(|pair| pair.0 == name && pair.1 == value)
        };
        let query = request.uri().query().filter(|_| version == Some("v1")).unwrap_or_default();
        let has_secret = [request.body().as_slice(), query.as_bytes()]
            .iter()
            .any(|form| has(form, "client_secret", &self.secret));
        has_secret && has(request.body(), "client_id", &self.id)
    }

    /// Checks that core reads every response of the token endpoint as what it is.
    fn check_with_core(&mut self, version: &str, request: &Request<Vec<u8>>, response: &Response<Vec<u8>>) {
        let app = App::hubspot(self.id.as_str(), ClientSecret::new(self.secret.as_str()).expect("a secret"))
            .with_version(version.parse().expect("a version"))
            .build()
            .expect("an app");
        let refresh = Refresh::new(RefreshToken::new("na1-none").expect("a token"));
        let read = refresh.read_response(&app, self.now, response);
        assert_eq!(read.is_ok(), response.status() == 200, "{read:?}");
        let field = |name: &str| {
            form_urlencoded::parse(request.body()).find(|pair| pair.0 == name).map(|pair| pair.1.into_owned())
        };
        if read.is_ok() && field("grant_type").as_deref() == Some("authorization_code") {
            let code = field("code").expect("tokens for a code");
            assert!(self.secrets.contains(&code), "tokens for a code that was never issued");
            assert!(self.exchanged.insert(code), "tokens twice for a code");
        }
    }

    /// Stores what the next requests may use.
    fn learn(&mut self, request: &Request<Vec<u8>>, response: &Response<Vec<u8>>) {
        let body = response.body().as_slice();
        if let Some(location) = response.headers().get(LOCATION) {
            let query = location.as_bytes().splitn(2, |byte| *byte == b'?').nth(1).unwrap_or_default();
            let code = form_urlencoded::parse(query).find(|pair| pair.0 == "code");
            if let Some((_, code)) = code {
                self.issued.code = self.remember(code.into_owned());
            }
        }
        let text = String::from_utf8_lossy(body);
        if let Some((_, rest)) = text.split_once("name=\"ticket\" value=\"") {
            let ticket = rest.split('"').next().unwrap_or_default().to_owned();
            self.issued.ticket = self.remember(ticket);
        }
        if request.uri().path().ends_with("/token")
            && let Ok(tokens) = serde_json::from_slice::<Value>(body)
        {
            let member = |name: &str| tokens.get(name).and_then(Value::as_str).map(str::to_owned);
            if let Some(access) = member("access_token") {
                self.issued.access = self.remember(access);
            }
            if let Some(refresh) = member("refresh_token") {
                self.issued.refresh = self.remember(refresh);
            }
        }
    }

    fn remember(&mut self, secret: String) -> String {
        self.secrets.insert(secret.clone());
        secret
    }
}

fn split(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(data);
    std::iter::from_fn(move || {
        let data = rest?;
        let mark = b"\n---\n";
        match data.windows(mark.len()).position(|window| window == mark) {
            Some(at) => {
                let (text, after) = data.split_at(at);
                rest = after.get(mark.len()..);
                Some(text)
            }
            None => rest.take(),
        }
    })
}

fn read(text: &[u8]) -> Option<Request<Vec<u8>>> {
    let (first, rest) = line(text);
    let (method, uri) = first.split_at_checked(first.iter().position(|byte| *byte == b' ')?)?;
    let (headers, body) = http_text::headers(rest);
    let mut request = Request::new(body.to_vec());
    *request.method_mut() = Method::from_bytes(method).ok()?;
    *request.uri_mut() = Uri::try_from(uri.get(1..)?).ok()?;
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            request.headers_mut().append(name, value);
        }
    }
    Some(request)
}

//! The floor: what the tasks cost when they are written by hand, with the usual crates and no library that knows OAuth.

use std::hint::black_box;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac_sha256::HMAC;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::given;
use crate::work::{Failure, SharedWork, Task, Work, repeat, repeat_shared};

/// The characters that forms and queries escape.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The constant part of a form, encoded once, and the URI.
pub(super) struct Form {
    prefix: String,
    uri: Uri,
}

/// The eight fields of a response with tokens.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "they are read, and that is what is measured")]
pub(super) struct Tokens {
    token_type: TokenType,
    refresh_token: String,
    access_token: String,
    hub_id: i64,
    user_id: i64,
    scopes: Vec<String>,
    expires_in: u64,
    token_use: TokenUse,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum TokenType {
    #[serde(alias = "Bearer")]
    Bearer,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TokenUse {
    AccessToken,
    RefreshToken,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "they are read, and that is what is measured")]
struct ErrorResponse {
    error: String,
    error_description: String,
    status: String,
    message: String,
}

#[derive(Debug)]
enum NextStep {
    Reauthorize,
    FixConfiguration,
    TryLater,
    ReportBug,
}

struct CurrentTokens {
    bearer: HeaderValue,
    usable_until: i64,
}

pub(crate) fn prepare(task: Task) -> Result<Option<Work>, Failure> {
    match task {
        Task::Build => {
            let form = Form::new("https://api.hubapi.com")?;
            repeat::<_, Failure>(move || Ok(form.request(black_box(given::REFRESH_TOKEN))))
        }
        Task::Parse => parse(given::RESPONSE.to_vec()),
        Task::ParseError => {
            let body = given::ERROR_RESPONSE.to_vec();
            repeat(move || parse_error(black_box(&body)))
        }
        Task::Call => {
            let form = Form::new("https://api.hubapi.com")?;
            let send = |request: Request<Vec<u8>>| {
                drop(black_box(request));
                given::response()
            };
            repeat(move || call(&form, send))
        }
        Task::Authorize => {
            let prefix = authorize_prefix();
            repeat::<_, Failure>(move || {
                Ok(authorize(&prefix, black_box(given::STATE_BYTES), black_box(given::VERIFIER_BYTES)))
            })
        }
        Task::Verify => {
            let parts = given::webhook()?;
            repeat(move || verify(black_box(&parts)))
        }
        Task::Response => repeat::<_, Failure>(|| Ok(given::response())),
        Task::ErrorResponse => repeat::<_, Failure>(|| Ok(given::error_response())),
        _ => Ok(None),
    }
}

/// Prepares the reading of a response with this body.
pub(crate) fn parse(body: Vec<u8>) -> Result<Option<Work>, Failure> {
    repeat(move || tokens(black_box(&body)))
}

/// Loads the token, reads the clock, and clones the header, which a request needs.
pub(crate) fn bearer() -> Result<SharedWork, Failure> {
    load(|bearer| _ = black_box(bearer.clone()))
}

/// Loads the token and reads the clock. The header is not cloned.
pub(crate) fn lent() -> Result<SharedWork, Failure> {
    load(|bearer| _ = black_box(bearer))
}

fn load(read: impl Fn(&HeaderValue) + Send + Sync + 'static) -> Result<SharedWork, Failure> {
    // Not a static value: its clones would not count references.
    let bearer = HeaderValue::from_str(given::BEARER)?;
    let current = ArcSwap::from_pointee(CurrentTokens { bearer, usable_until: i64::MAX });
    Ok(repeat_shared(move || {
        let now = clock_gettime(ClockId::RealtimeCoarse).tv_sec;
        let tokens = current.load();
        match now < tokens.usable_until {
            true => {
                read(&tokens.bearer);
                Ok(())
            }
            false => Err("the token has expired".into()),
        }
    }))
}

impl Form {
    pub(super) fn new(server: &str) -> Result<Self, Failure> {
        let (id, secret) = (escaped(given::CLIENT_ID), escaped(given::CLIENT_SECRET));
        Ok(Self {
            prefix: format!("grant_type=refresh_token&client_id={id}&client_secret={secret}&refresh_token="),
            uri: format!("{server}{}", given::TOKEN_PATH).parse()?,
        })
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(super) fn body(&self, refresh_token: &str) -> String {
        let mut body = String::with_capacity(self.prefix.len() + refresh_token.len() + 16);
        body.push_str(&self.prefix);
        body.extend(utf8_percent_encode(refresh_token, ESCAPED));
        body
    }

    fn request(&self, refresh_token: &str) -> Request<Vec<u8>> {
        let mut request = Request::new(self.body(refresh_token).into_bytes());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        *request.headers_mut() = headers;
        request
    }
}

pub(super) fn tokens(body: &[u8]) -> Result<Tokens, Failure> {
    let tokens: Tokens = serde_json::from_slice(body)?;
    match tokens.expires_in {
        0 => Err("the token has expired".into()),
        _ => Ok(tokens),
    }
}

fn parse_error(body: &[u8]) -> Result<(ErrorResponse, NextStep), Failure> {
    let error: ErrorResponse = serde_json::from_slice(body)?;
    let next_step = match (error.error.as_str(), error.status.as_str()) {
        ("invalid_grant", _) | (_, "BAD_REFRESH_TOKEN") => NextStep::Reauthorize,
        ("invalid_client" | "unauthorized_client", _) | (_, "BAD_CLIENT_SECRET") => {
            NextStep::FixConfiguration
        }
        ("temporarily_unavailable" | "server_error", _) => NextStep::TryLater,
        _ => NextStep::ReportBug,
    };
    Ok((error, next_step))
}

fn call(form: &Form, send: impl Fn(Request<Vec<u8>>) -> Response<Vec<u8>>) -> Result<Tokens, Failure> {
    let response = send(form.request(black_box(given::REFRESH_TOKEN)));
    match response.status().is_success() {
        true => tokens(response.body()),
        false => Err("refused".into()),
    }
}

fn authorize_prefix() -> String {
    let (id, redirect_uri, scopes) =
        (escaped(given::CLIENT_ID), escaped(given::REDIRECT_URI), escaped(given::SCOPES));
    format!("{}?client_id={id}&redirect_uri={redirect_uri}&scope={scopes}&state=", given::AUTHORIZE_URL)
}

/// Returns the URL, the state and the code verifier.
fn authorize(prefix: &str, state: [u8; 32], verifier: [u8; 32]) -> (String, String, String) {
    let state = URL_SAFE_NO_PAD.encode(state);
    let verifier = URL_SAFE_NO_PAD.encode(verifier);
    let mut url = String::with_capacity(prefix.len() + 160);
    url.push_str(prefix);
    url.push_str(&state);
    url.push_str("&code_challenge=");
    URL_SAFE_NO_PAD.encode_string(Sha256::digest(&verifier), &mut url);
    url.push_str("&code_challenge_method=S256");
    (url, state, verifier)
}

/// Concatenates what is signed, and compares its HMAC with the signature in constant time. The time is not looked at, and nothing in the
/// URL is decoded.
fn verify(parts: &http::request::Parts) -> Result<(), Failure> {
    let (url, body) = black_box((given::WEBHOOK_URL, given::WEBHOOK_BODY));
    let signature = parts.headers.get("x-hubspot-signature-v3").ok_or("no signature")?;
    let timestamp = parts.headers.get("x-hubspot-request-timestamp").ok_or("no timestamp")?;
    let (method, timestamp) = (parts.method.as_str().as_bytes(), timestamp.as_bytes());
    let mut signed = Vec::with_capacity(method.len() + url.len() + body.len() + timestamp.len());
    for piece in [method, url.as_bytes(), body, timestamp] {
        signed.extend_from_slice(piece);
    }
    let mut presented = [0; 32];
    STANDARD.decode_slice(signature, &mut presented)?;
    match HMAC::verify(&signed, given::CLIENT_SECRET, &presented) {
        true => Ok(()),
        false => Err("it does not match".into()),
    }
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

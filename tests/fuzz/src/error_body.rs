//! Target `error_body`: a response as text, with the status on the first line, then a line for each header, an empty line, and the body.
//! The response is an error response, or a success that cannot be read.
//!
//! `{one}`, `{two}` and `{app}` stand for the secrets of the request. Further marks stand for the same in other encodings: see `fill`.

use std::fmt::Debug;
use std::sync::LazyLock;
use std::time::Duration;

use hs_oauth_core::{
    AccessToken, ApiError, ApiVersion, App, AuthorizationCode, ClientCredentials, ClientSecret, Code,
    CodeVerifier, Endpoint, Error, ExchangeCode, Introspect, Introspection, NextStep, Refresh, RefreshToken,
    RetryPolicy, Revoke, Scopes,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use crate::SENT_AT;
use crate::fill::{echoes, fill, has_secret};
use crate::http_text::{self, line};

const MAX_TEXT: usize = 512;
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Two requests that differ only in their secrets.
struct Pair<E> {
    /// The marks for the secrets of each request, with the texts that they stand for.
    echoes: [Vec<(String, String)>; 2],
    endpoints: [E; 2],
    apps: [Vec<App>; 2],
}

struct Style {
    exchange: Pair<ExchangeCode>,
    refresh: Pair<Refresh>,
    client_credentials: Pair<ClientCredentials>,
    of_access: Pair<Introspect>,
    of_refresh: Pair<Introspect>,
    revoke: Pair<Revoke>,
}

/// Secrets as HubSpot issues them, and secrets with every kind of character that has to be escaped.
static STYLES: LazyLock<[Style; 2]> = LazyLock::new(|| {
    [
        style([
            [
                "na1-6f18f26a-3e95-4d95-a6e5-3d5c6e5c9e5a",
                "qZx7-code-verifier-of-forty-three-characters",
                "0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0",
            ],
            [
                "na1-70c9a34b-4fa6-5ea6-b7f6-4e6d7f6dae6b",
                "kWv3-code-verifier-of-forty-three-characters",
                "1a2f3e4d-5c6b-5a89-9807-b6c5d4e3f2a1",
            ],
        ]),
        style([
            ["q+Zx/7%41=&~:;{}.q one", "qZx7-code-verifier-of-forty-three-characters", "s+Zx/9%2b?<'> app"],
            ["k+Wv/3%52=&~:;{}.k eno", "kWv3-code-verifier-of-forty-three-characters", "t+Wv/4%3c?<'> ppa"],
        ]),
    ]
});

fn style(secrets: [[&'static str; 3]; 2]) -> Style {
    fn pair<E>(secrets: [[&str; 3]; 2], names: &[&str], make: impl Fn(&str, &str) -> E) -> Pair<E> {
        let app = |secret: &str, version| {
            App::hubspot("client-id", ClientSecret::new(secret).expect("a secret"))
                .with_version(version)
                .build()
                .expect("an app")
        };
        Pair {
            echoes: secrets.map(|secrets| {
                let named = ["one", "two", "app"].into_iter().zip(secrets);
                named
                    .filter(|(name, _)| names.contains(name))
                    .flat_map(|(name, text)| echoes(name, text))
                    .collect()
            }),
            endpoints: secrets.map(|[one, two, _]| make(one, two)),
            apps: secrets.map(|[.., secret]| {
                [ApiVersion::V1, ApiVersion::LATEST].map(|version| app(secret, version)).into()
            }),
        }
    }
    let refresh_token = |one: &str| RefreshToken::new(one).expect("a token");
    // An access token has no spaces.
    let plain = secrets.map(|[one, two, app]| [one.split(' ').next().unwrap_or(one), two, app]);
    Style {
        exchange: pair(secrets, &["one", "two", "app"], |one, two| {
            ExchangeCode::new(AuthorizationCode::from_caller_who_checked_state(
                Code::new(one).expect("a code"),
                "https://example.com/cb",
                Some(CodeVerifier::new(two).expect("a verifier")),
            ))
        }),
        refresh: pair(secrets, &["one", "app"], |one, _| Refresh::new(refresh_token(one))),
        client_credentials: pair(secrets, &["app"], |_, _| ClientCredentials::new(Scopes::NONE)),
        of_access: pair(plain, &["one", "app"], |one, _| {
            Introspect::new(AccessToken::new(one).expect("a token"))
        }),
        of_refresh: pair(secrets, &["one", "app"], |one, _| Introspect::new(refresh_token(one))),
        revoke: pair(secrets, &["one", "app"], |one, _| Revoke::new(refresh_token(one))),
    }
}

/// Checks, for any response, that one without success becomes an error with its status, that the texts of the error are short and have
/// no control characters, and that the error is the same whichever secrets the server echoes. The lookups of `v1` are an exception:
/// there 401 and 404 mean that the token is unknown.
pub fn check(data: &[u8]) {
    let Some(text) = ResponseText::read(data) else { return };
    // One style for each input, since both take twice the time. Mutations change the length, and so the choice.
    let [plain, odd] = &*STYLES;
    let style = if data.len().is_multiple_of(2) { plain } else { odd };
    let latest = [ApiVersion::LATEST];
    let both = [ApiVersion::V1, ApiVersion::LATEST];
    let is_inactive = |output: &Introspection| *output == Introspection::Inactive;
    pair(&style.exchange, &latest, &text, |_| false);
    pair(&style.refresh, &latest, &text, |_| false);
    pair(&style.client_credentials, &latest, &text, |_| false);
    pair(&style.of_access, &both, &text, is_inactive);
    pair(&style.of_refresh, &both, &text, is_inactive);
    pair(&style.revoke, &both, &text, |()| true);
}

fn pair<E: Endpoint>(
    pair: &Pair<E>,
    versions: &[ApiVersion],
    text: &ResponseText<'_>,
    means_unknown: impl Fn(&E::Output) -> bool,
) where
    E::Output: Debug,
{
    let [one, other] = &pair.echoes;
    let [one, other] = [text.echoing(one), text.echoing(other)];
    let [endpoint, other_endpoint] = &pair.endpoints;
    let [apps, other_apps] = &pair.apps;
    let apps = apps.iter().zip(other_apps).filter(|(app, _)| versions.contains(&app.version()));
    for (app, other_app) in apps {
        let read = endpoint.read_response(app, SENT_AT, &one);
        let error = match read {
            Err(error) => error,
            Ok(_) if text.status.is_success() => continue,
            Ok(output) => {
                let is_lookup = app.version() == ApiVersion::V1 && matches!(text.status.as_u16(), 401 | 404);
                assert!(is_lookup && means_unknown(&output), "{} became {output:?}", text.status);
                continue;
            }
        };
        let other =
            other_endpoint.read_response(other_app, SENT_AT, &other).expect_err("the other is an error too");
        if without_rescued(&error) != without_rescued(&other) && text.has_secret(&pair.echoes) {
            continue;
        }
        assert_eq!(error.to_string(), other.to_string(), "a secret is shown");
        assert_eq!(without_rescued(&error), without_rescued(&other), "a secret is shown");
        check_error(&error, text.status, E::OPERATION);
        if let Error::Api(error) = &error {
            let again = endpoint.read_response(app, SENT_AT, &error.to_response());
            let mut whole = error.clone();
            whole.problem = None;
            assert_eq!(again.expect_err("it is an error").as_api(), Some(&*whole), "written and read again");
        }
    }
}

/// Returns an error without rescued tokens. They are shown as `[redacted]`, but only one of the two may have been able to read them.
fn without_rescued(error: &Error) -> String {
    match error {
        Error::Response(error) => {
            let mut error = (**error).clone();
            error.rescued = Default::default();
            format!("{error:?}")
        }
        error => format!("{error:?}"),
    }
}

fn check_error(error: &Error, status: StatusCode, operation: hs_oauth_core::Operation) {
    assert_eq!(error.status(), Some(status));
    let shown = error.to_string();
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    assert!(shown.chars().count() <= 4 * MAX_TEXT + 256, "{}", shown.len());
    for tries in [1, 2, u32::MAX] {
        let wait = RetryPolicy::new().wait(operation, error, tries, Duration::from_secs(1), u64::MAX);
        assert!(wait.is_none_or(|wait| wait < Duration::from_secs(10)));
    }
    match error {
        Error::Api(error) => {
            assert!(!status.is_success());
            assert_eq!(error.operation, operation);
            for_each_text(error, |text| {
                assert!(text.chars().count() <= MAX_TEXT, "{}", text.len());
                assert!(!text.chars().any(char::is_control), "{text:?}");
            });
            assert!(error.retry_after.is_none_or(|wait| wait <= MAX_WAIT));
            let step = error.next_step();
            assert_eq!(
                matches!(step, NextStep::RetryAfter(_)),
                matches!(status.as_u16(), 423 | 429 | 477 | 500..)
            );
            assert!(step != NextStep::Reauthorize || error.refuses_grant(), "{error:?}");
        }
        Error::Response(error) => {
            assert!(status.is_success());
            assert!(error.content_type.as_ref().is_none_or(|text| text.len() <= 64));
        }
        error => panic!("{error:?}"),
    }
}

/// Calls `each` with every text that came from the server.
fn for_each_text(error: &ApiError, mut each: impl FnMut(&str)) {
    let plain = [
        error.error.as_ref().map(|code| code.as_str()),
        error.error_description.as_deref(),
        error.code.as_ref().map(|code| code.as_str()),
        error.sub_category.as_ref().map(|code| code.as_str()),
        error.category.as_deref(),
        error.message.as_deref(),
        error.correlation_id.as_deref(),
        error.request_id.as_deref(),
        error.error_type.as_deref(),
        error.policy_name.as_deref(),
        error.group_name.as_deref(),
    ];
    plain.into_iter().flatten().for_each(&mut each);
    error.links.iter().flat_map(|(name, link)| [name, link]).for_each(|text| each(text));
    for detail in &error.errors {
        let plain = [&detail.message, &detail.code, &detail.sub_category, &detail.location];
        plain.into_iter().flatten().for_each(|text| each(text));
    }
    let contexts = error.errors.iter().map(|detail| &detail.context).chain([&error.context]);
    for (name, values) in contexts.flatten() {
        each(name);
        values.iter().for_each(|text| each(text));
    }
}

/// The response in an input.
struct ResponseText<'a> {
    status: StatusCode,
    headers: Vec<(HeaderName, &'a [u8])>,
    body: &'a [u8],
}

impl<'a> ResponseText<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let (first, rest) = line(data);
        let status = std::str::from_utf8(first).ok()?.trim().parse().ok()?;
        let (headers, body) = http_text::headers(rest);
        Some(Self { status: StatusCode::from_u16(status).ok()?, headers, body })
    }

    /// Returns whether the text itself contains a secret.
    fn has_secret(&self, echoes: &[Vec<(String, String)>; 2]) -> bool {
        let headers = self.headers.iter().map(|(_, value)| *value);
        let mut texts = headers.chain([self.body]).map(String::from_utf8_lossy);
        texts.any(|text| echoes.iter().any(|echoes| has_secret(&text, echoes)))
    }

    fn echoing(&self, echoes: &[(String, String)]) -> Response<Vec<u8>> {
        let values: Vec<(&str, &str)> =
            echoes.iter().map(|(mark, text)| (mark.as_str(), text.as_str())).collect();
        let mut response = Response::new(fill(self.body, &values));
        *response.status_mut() = self.status;
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_bytes(&fill(value, &values)) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

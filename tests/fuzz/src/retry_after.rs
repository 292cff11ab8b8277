//! Target `retry_after`: the first line of the input is the `Date` of a response, and each further line is a `Retry-After`. The first
//! eight bytes are also taken for a time, which is written as a date and read back.

use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use hs_oauth_core::{App, ClientSecret, Endpoint, NextStep, Operation, Refresh, RefreshToken, RetryPolicy};
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderValue, Response};

use crate::SENT_AT;

const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// The first second of the year 10000, which has no date in HTTP.
const END_OF_DATES: u64 = 253_402_300_800;

static REQUEST: LazyLock<(App, Refresh)> = LazyLock::new(|| {
    let app =
        App::hubspot("client-id", ClientSecret::new("s3cret").expect("a secret")).build().expect("an app");
    (app, Refresh::new(RefreshToken::new("na1-refresh").expect("a token")))
});

/// Checks that, for any headers, the wait is what they say in seconds or as a date, that it is at most a day, and that the longest of
/// several waits counts.
pub fn check(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n').map(HeaderValue::from_bytes);
    let date = lines.next().and_then(Result::ok);
    let values: Vec<HeaderValue> = lines.filter_map(Result::ok).collect();
    let mut longest = None;
    for value in &values {
        let wait = wait(date.as_ref(), std::slice::from_ref(value));
        assert_eq!(wait, expected(date.as_ref(), value), "{value:?}");
        longest = longest.max(wait);
    }
    assert_eq!(wait(date.as_ref(), &values), longest);

    if let Some((seed, _)) = data.split_first_chunk() {
        let moment = u64::from_le_bytes(*seed) % END_OF_DATES;
        // Also a time near the response's, so that the wait is neither zero nor the maximum.
        for moment in [moment, 1_790_000_000 - 1000 + moment % 90_000] {
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(moment));
            let value = HeaderValue::try_from(date).expect("a date is plain");
            let expected = Duration::from_secs(moment.saturating_sub(1_790_000_000)).min(MAX_WAIT);
            assert_eq!(wait(None, &[value]), Some(expected));
        }
    }
}

/// Returns the wait that core reads from the headers, which must be the same for every status.
fn wait(date: Option<&HeaderValue>, values: &[HeaderValue]) -> Option<Duration> {
    let (app, refresh) = &*REQUEST;
    let mut response = Response::new("");
    for value in values {
        response.headers_mut().append(RETRY_AFTER, value.clone());
    }
    if let Some(date) = date {
        response.headers_mut().insert(DATE, date.clone());
    }
    let mut waits = [429, 423, 477, 503, 400].map(|status| {
        *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        let error = refresh.read_response(app, SENT_AT, &response).expect_err("no success");
        let wait = error.as_api().expect("an error response").retry_after;
        assert!(wait.is_none_or(|wait| wait <= MAX_WAIT));
        let step = match status {
            429 => NextStep::RetryAfter(Some(wait.unwrap_or(Duration::from_secs(10)))),
            423 => NextStep::RetryAfter(Some(wait.unwrap_or_default().max(Duration::from_secs(2)))),
            400 => NextStep::FixConfiguration,
            _ => NextStep::RetryAfter(wait),
        };
        assert_eq!((error.next_step(), error.next_step().to_string()), (step, step.to_string()));
        let retry = RetryPolicy::new().wait(Operation::Refresh, &error, 1, Duration::ZERO, 7);
        assert!(retry.is_none_or(|retry| wait.is_none_or(|wait| retry >= wait) && retry.as_secs() < 10));
        wait
    });
    waits.sort_unstable();
    let [first, .., last] = waits;
    assert_eq!(first, last, "the status changes how the header is read");
    first
}

/// Reads a header by RFC 9110 §10.2.3, to compare with.
fn expected(date: Option<&HeaderValue>, value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.chars().all(|char| char.is_ascii_digit()) {
        let seconds = text.bytes().fold(0_u64, |sum, digit| {
            sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')).min(MAX_WAIT.as_secs())
        });
        return Some(Duration::from_secs(seconds));
    }
    let read = |text: &str| httpdate::parse_http_date(text).ok();
    let now = date.and_then(|date| read(date.to_str().ok()?));
    let now = now.unwrap_or(UNIX_EPOCH + Duration::from_millis(SENT_AT.as_millis()));
    let wait = read(text)?.duration_since(now).unwrap_or_default();
    Some(wait.min(MAX_WAIT))
}

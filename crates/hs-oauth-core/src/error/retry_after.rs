//! The `Retry-After` header (RFC 9110 §10.2.3).

use std::time::Duration;

use http::{HeaderMap, header};

use crate::timestamp::Timestamp;

/// The longest wait that is accepted. HubSpot asks for up to 24 hours while it moves an account between data centres.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns how long the `Retry-After` headers ask to wait, at most [`MAX_WAIT`].
///
/// A value is a number of seconds or a date. A date counts from the response's own `Date`, or from `sent_at` if it has none.
/// Other values are ignored. Of several values, the longest wait counts.
pub(super) fn retry_after(headers: &HeaderMap, sent_at: Timestamp) -> Option<Duration> {
    let date = |text: &str| httpdate::parse_http_date(text).ok().map(Timestamp::from);
    let wait = |value: &http::HeaderValue| {
        let text = value.to_str().ok()?.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number that does not fit is longer than any limit.
            return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
        }
        let now = headers.get(header::DATE).and_then(|value| date(value.to_str().ok()?)).unwrap_or(sent_at);
        Some(date(text)?.since(now))
    };
    headers.get_all(header::RETRY_AFTER).iter().filter_map(wait).max().map(|wait| wait.min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

    /// Returns the wait in seconds.
    fn wait(headers: &[(&'static str, &str)]) -> Option<u64> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        retry_after(&map, NOW).map(|wait| wait.as_secs())
    }

    /// RFC 9110 §10.2.3.
    #[test]
    fn retry_after_is_seconds_or_a_date_and_any_other_value_is_ignored() {
        let date = ("date", "Sat, 21 Nov 2026 12:00:00 GMT");
        for (value, seconds) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("0", Some(0)),
            ("86401", Some(86_400)),
            ("99999999999999999999999999", Some(86_400)),
            ("Sat, 21 Nov 2026 12:00:30 GMT", Some(30)),
            ("Saturday, 21-Nov-26 12:00:30 GMT", Some(30)),
            ("Sat, 21 Nov 2026 11:00:00 GMT", Some(0)),
            ("Sun, 21 Nov 2100 12:00:00 GMT", Some(86_400)),
            ("-5", None),
            ("1.5", None),
            ("+5", None),
            ("", None),
            ("soon", None),
            ("Sat, 41 Nov 2026 12:00:00 GMT", None),
        ] {
            assert_eq!(wait(&[date, ("retry-after", value)]), seconds, "{value:?}");
        }
        assert_eq!(wait(&[("retry-after", "5"), ("retry-after", "9"), ("retry-after", "x")]), Some(9));
    }

    #[test]
    fn a_date_counts_from_the_senders_clock_if_the_response_has_no_date() {
        let now = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(1_790_000_045));
        assert_eq!(wait(&[("retry-after", &now)]), Some(45));
    }
}

use std::time::Duration;

use http::{HeaderMap, header};

use crate::timestamp::Timestamp;

/// The longest wait a `Retry-After` is believed: HubSpot names up to 24 hours while it moves an account.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Seconds or a date; of several, the longest. What is neither is not there.
pub(super) fn retry_after(headers: &HeaderMap, sent_at: Timestamp) -> Option<Duration> {
    let date = |text: &str| httpdate::parse_http_date(text).ok().map(Timestamp::from);
    let wait = |value: &http::HeaderValue| {
        let text = value.to_str().ok()?.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // Digits that do not fit are a wait beyond any limit.
            return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
        }
        let now = headers.get(header::DATE).and_then(|value| date(value.to_str().ok()?)).unwrap_or(sent_at);
        Some(date(text)?.since(now))
    };
    headers.get_all(header::RETRY_AFTER).iter().filter_map(wait).max().map(|wait| wait.min(MAX_WAIT))
}

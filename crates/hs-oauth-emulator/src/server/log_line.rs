use std::time::Duration;

use hs_oauth_core::Timestamp;
use serde::Serialize;

/// The form of the lines of a server's log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// Time, method, path, status, duration and reason, for people.
    #[default]
    Text,
    /// A JSON object with the members `time`, `method`, `path`, `status`, `duration_ms` and `reason`. `status` is absent if no response
    /// was sent, and `reason` if the request succeeded.
    Json,
}

/// What the log says of a request. Its secrets are masked already.
#[derive(Serialize)]
pub(super) struct LogLine<'a> {
    #[serde(serialize_with = "as_text")]
    pub(super) time: Timestamp,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(rename = "duration_ms", serialize_with = "as_milliseconds")]
    pub(super) duration: Duration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'a str>,
}

fn as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

fn as_milliseconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    // Whole microseconds, so that the number is short.
    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    serializer.serialize_f64(f64::from(micros) / 1000.0)
}

impl LogLine<'_> {
    pub(super) fn write(&self, format: LogFormat) -> String {
        let Self { time, method, path, status, duration, reason } = self;
        match format {
            LogFormat::Json => serde_json::to_string(self).unwrap_or_default(),
            LogFormat::Text => {
                let status = status.map_or_else(|| "no response".to_owned(), |status| status.to_string());
                let millis = duration.as_secs_f64() * 1000.0;
                let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
                format!("{time} {method} {path} {status} {millis:.1} ms{reason}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_time_duration_and_reason_in_both_forms() {
        let mut line = LogLine {
            time: Timestamp::from_millis(1_795_871_420_007),
            method: "POST",
            path: "/oauth/v3/token",
            status: Some(400),
            duration: Duration::from_micros(1250),
            reason: Some("BAD_CLIENT_ID \"x\""),
        };
        assert_eq!(
            line.write(LogFormat::Text),
            "2026-11-28T13:10:20.007Z POST /oauth/v3/token 400 1.2 ms: BAD_CLIENT_ID \"x\""
        );
        assert_eq!(
            line.write(LogFormat::Json),
            r#"{"time":"2026-11-28T13:10:20.007Z","method":"POST","path":"/oauth/v3/token","status":400,"duration_ms":1.25,"reason":"BAD_CLIENT_ID \"x\""}"#
        );
        (line.status, line.reason) = (None, None);
        assert!(line.write(LogFormat::Text).ends_with("/oauth/v3/token no response 1.2 ms"));
        assert!(line.write(LogFormat::Json).ends_with("\"duration_ms\":1.25}"));
    }
}

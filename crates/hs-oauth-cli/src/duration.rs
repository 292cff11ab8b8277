//! Durations, as people write and read them.

use std::time::Duration;

/// Reads a duration of at most a day: `90s`, `5m`, `1h 30m`, or a number of seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, &'static str> {
    let duration = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => humantime::parse_duration(text).map_err(|_| "not a duration such as 90s or 5m")?,
    };
    match duration <= Duration::from_secs(24 * 60 * 60) {
        true => Ok(duration),
        false => Err("longer than a day"),
    }
}

/// Writes a duration with its two largest units: `24m 13s`.
pub(crate) fn text(duration: Duration) -> String {
    let whole = humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_with_a_unit_or_in_seconds_and_is_no_longer_than_a_day() {
        for (text, seconds) in
            [("90", 90), ("90s", 90), ("5m", 300), ("1h 30m", 5400), ("0", 0), ("24h", 86400)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "-5", "5 parsecs", "m", "86401", "2d"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_duration_is_written_with_its_two_largest_units() {
        for (millis, written) in
            [(1_453_900, "24m 13s"), (90_061_000, "1day 1h"), (999, "0s"), (60_000, "1m")]
        {
            assert_eq!(text(Duration::from_millis(millis)), written);
        }
    }
}

//! Moments in time.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// This crate reads no clock: a transport, a test or a simulation passes the time in. Arithmetic saturates, so that neither a wrong clock
/// nor a wrong response makes it panic. A timestamp is serialized as its number of milliseconds and shown as a date:
///
/// ```
/// let timestamp = hs_oauth_core::Timestamp::from_secs(1_795_871_420);
/// assert_eq!(timestamp.to_string(), "2026-11-28T13:10:20Z");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Returns the moment `milliseconds` after 1970-01-01T00:00:00Z.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// Returns the moment `seconds` after 1970-01-01T00:00:00Z, or the latest possible timestamp if that is earlier.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Returns the milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the moment `duration` after this one, or the latest possible timestamp if that is earlier. Parts of a millisecond in
    /// `duration` are left out.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(milliseconds(duration)))
    }

    /// Returns the moment `duration` before this one, or the start of 1970 if that is later. Parts of a millisecond in `duration` are
    /// left out.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(milliseconds(duration)))
    }

    /// Returns the time from `earlier` to this moment, or zero if `earlier` is later than this moment.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Returns this moment as a time of the standard library, or `None` if it is later than the operating system's last one.
    pub fn to_system_time(self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.0))
    }
}

impl fmt::Display for Timestamp {
    /// Writes the moment as a date and time in UTC (RFC 3339), such as `2026-11-28T13:10:20Z`. Milliseconds are written unless they
    /// are zero. A year after 9999 has a `+` before it, as in ISO 8601.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, in_day) = (self.0 / DAY, self.0 % DAY);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
        let sign = if year > 9999 { "+" } else { "" };
        write!(f, "{sign}{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match in_day % 1000 {
            0 => f.write_str("Z"),
            milliseconds => write!(f, ".{milliseconds:03}Z"),
        }
    }
}

/// The milliseconds of a day.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Returns the year, the month and the day of the month, `days` days after 1970-01-01 in the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last one of its year (H. Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms").
const fn date(days: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01. Every 400 years have the same number of days.
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * from_march + 2) / 5 + 1;
    let (month, year_after) = if from_march < 10 { (from_march + 3, 0) } else { (from_march - 9, 1) };
    (cycle * 400 + year + year_after, month, day_of_month)
}

impl From<SystemTime> for Timestamp {
    /// Rounds down to the millisecond. A time before 1970 becomes the start of 1970.
    #[inline]
    fn from(time: SystemTime) -> Self {
        Self(milliseconds(time.duration_since(UNIX_EPOCH).unwrap_or_default()))
    }
}

fn milliseconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000).saturating_add(u64::from(duration.subsec_millis()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let end = Timestamp::from_millis(u64::MAX);
        assert_eq!(end.plus(Duration::MAX), end);
        assert_eq!(Timestamp::from_secs(u64::MAX), end);
        assert_eq!(Timestamp::from_millis(1).since(end), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(1).minus(Duration::MAX), Timestamp::from_millis(0));
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)), Timestamp::from_millis(0));
    }

    #[test]
    fn a_timestamp_is_stored_as_its_number_of_milliseconds() {
        for (milliseconds, json) in
            [(0, "0"), (1_790_000_000_123, "1790000000123"), (u64::MAX, "18446744073709551615")]
        {
            let timestamp = Timestamp::from_millis(milliseconds);
            assert_eq!(serde_json::to_string(&timestamp).unwrap(), json);
            assert_eq!(serde_json::from_str::<Timestamp>(json).unwrap(), timestamp);
        }
    }

    /// RFC 3339 §5.6, with the examples of §5.8 that are in UTC.
    #[test]
    fn a_timestamp_is_shown_as_a_date_in_utc() {
        for (milliseconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_871_420_000, "2026-11-28T13:10:20Z"),
            (482_196_050_520, "1985-04-12T23:20:50.520Z"),
            (851_042_397_000, "1996-12-20T00:39:57Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_790_000_000_001, "2026-09-21T14:13:20.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            // RFC 3339 ends here. ISO 8601 §4.1.2.4 puts a sign before a longer year.
            (253_402_300_800_000, "+10000-01-01T00:00:00Z"),
            (u64::MAX, "+584556019-04-03T14:25:51.615Z"),
        ] {
            assert_eq!(Timestamp::from_millis(milliseconds).to_string(), date);
        }
    }

    /// The calendar day by day, for a whole cycle of leap years and more.
    #[test]
    fn every_day_of_five_centuries_follows_the_day_before() {
        let mut day = Timestamp::from_millis(0);
        for year in 1970..2470 {
            let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = if is_leap_year { 29 } else { 28 };
            let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (month, length) in (1..).zip(lengths) {
                for number in 1..=length {
                    assert_eq!(day.to_string(), format!("{year}-{month:02}-{number:02}T00:00:00Z"));
                    day = day.plus(Duration::from_secs(24 * 60 * 60));
                }
            }
        }
    }

    #[test]
    fn a_timestamp_becomes_the_system_time_that_it_was_read_from() {
        for milliseconds in [0, 1, 1_790_000_000_123, 253_402_300_799_999] {
            let timestamp = Timestamp::from_millis(milliseconds);
            assert_eq!(timestamp.to_system_time().map(Timestamp::from), Some(timestamp));
        }
    }

    /// The latest time that the operating system has may be earlier: on Windows it is in the year 30828.
    #[test]
    fn a_moment_that_the_system_has_no_time_for_is_none_and_no_panic() {
        let end = Timestamp::from_millis(u64::MAX);
        assert!(end.to_system_time().is_none_or(|time| Timestamp::from(time) == end));
    }

    #[test]
    fn a_system_time_is_read_to_the_millisecond() {
        let time = UNIX_EPOCH + Duration::from_micros(1_500_999);
        assert_eq!(Timestamp::from(time), Timestamp::from_millis(1500));
    }
}

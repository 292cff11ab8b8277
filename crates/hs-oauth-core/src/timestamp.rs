//! Moments in time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// This crate reads no clock: a transport, a test or a simulation passes the time in. Arithmetic saturates, so that neither a wrong clock
/// nor a wrong response makes it panic. A timestamp is serialized as its number of milliseconds.
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

    #[test]
    fn a_system_time_is_read_to_the_millisecond() {
        let time = UNIX_EPOCH + Duration::from_micros(1_500_999);
        assert_eq!(Timestamp::from(time), Timestamp::from_millis(1500));
    }
}

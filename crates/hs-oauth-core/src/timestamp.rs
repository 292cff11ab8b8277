use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// Core never asks what time it is: a transport, a test or a simulation says so with one of these. Arithmetic
/// saturates, so no clock and no answer, however wrong, makes it panic. Serialized as the number of milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `milliseconds` after 1970-01-01T00:00:00Z.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// The moment `seconds` after 1970-01-01T00:00:00Z; the latest one there is if that is later.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// This moment and `duration` more, to the millisecond below; the latest one there is if that is later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(milliseconds(duration)))
    }

    /// The moment `duration` before this one, to the millisecond below; 1970 if that is earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(milliseconds(duration)))
    }

    /// How long after `earlier` this is; zero if it is before.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Timestamp {
    /// Rounds down to the millisecond; a time before 1970 becomes 1970.
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
    fn a_system_time_is_read_to_the_millisecond() {
        let time = UNIX_EPOCH + Duration::from_micros(1_500_999);
        assert_eq!(Timestamp::from(time), Timestamp::from_millis(1500));
    }
}

//! How long the next connect waits.

use std::time::Duration;

use tokio::time::Instant;

/// When the next connect may begin. The first one after a connection that lasted begins at once. The others wait longer each time, so that
/// neither a server that is down nor a deadline that is too short becomes a storm of connects.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    not_before: Option<Instant>,
}

const FIRST: Duration = Duration::from_millis(25);
const LONGEST: Duration = Duration::from_millis(500);
/// A connection that was good for this long counts as one that lasted.
const LASTING: Duration = Duration::from_secs(5);

impl Backoff {
    /// Counts a connect that failed, or a connection that was given up after it had been open for `lifetime`.
    ///
    /// `jitter` is any number. It spreads the connects of many processes.
    pub(crate) fn failed(&mut self, now: Instant, lifetime: Duration, jitter: u32) {
        if lifetime >= LASTING {
            self.failures = 0;
        }
        let longest = match self.failures {
            0 => Duration::ZERO,
            failures => FIRST.saturating_mul(1 << failures.min(10)).min(LONGEST),
        };
        self.failures = self.failures.saturating_add(1);
        let part = f64::from(jitter) / f64::from(u32::MAX);
        self.not_before = Some(now + longest.mul_f64(0.5 + 0.5 * part));
    }

    /// Returns when the next connect may begin, if that is later than now.
    pub(crate) fn not_before(&self, now: Instant) -> Option<Instant> {
        self.not_before.filter(|at| *at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many connects begin within ten seconds if each connection is given up after this time.
    fn connects_in_ten_seconds(lifetime: Duration) -> u32 {
        let (start, mut backoff) = (Instant::now(), Backoff::default());
        let (mut now, mut connects) = (start, 0);
        while now < start + Duration::from_secs(10) {
            connects += 1;
            now += lifetime;
            backoff.failed(now, lifetime, 0);
            now = backoff.not_before(now).unwrap_or(now);
        }
        connects
    }

    #[test]
    fn the_first_connect_after_a_connection_begins_at_once() {
        let (now, mut backoff) = (Instant::now(), Backoff::default());
        for _ in 0..3 {
            backoff.failed(now, Duration::from_secs(60), u32::MAX);
            assert_eq!(backoff.not_before(now), None);
        }
    }

    #[test]
    fn a_stall_with_a_short_deadline_is_not_answered_with_a_storm_of_connects() {
        let connects = connects_in_ten_seconds(Duration::from_millis(1));
        assert!((10..=50).contains(&connects), "{connects}");
    }

    #[test]
    fn a_connect_waits_for_at_most_half_a_second() {
        let (now, mut backoff) = (Instant::now(), Backoff::default());
        for _ in 0..100 {
            backoff.failed(now, Duration::ZERO, u32::MAX);
            assert!(backoff.not_before(now).is_none_or(|at| at <= now + LONGEST));
        }
    }
}

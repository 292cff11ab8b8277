//! What was counted.

use std::time::Duration;

use crate::event::{BEGIN, Event};

/// In the first minute a sweep gets to know the accounts.
const WARM_UP: Duration = Duration::from_secs(60);

/// What was counted, of one cell or of all.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    pub(crate) event: Event,
    pub(crate) store_reads: Series,
    pub(crate) store_writes: Series,
    pub(crate) requests: Series,
    pub(crate) store_failures: u64,
    pub(crate) lease_conflicts: u64,
    pub(crate) lease_waits: u64,
    pub(crate) late_callers: u64,
    pub(crate) failed_callers: u64,
    pub(crate) longest_wait: Duration,
    /// The longest time from the call that waited for a new token to that token.
    pub(crate) latest_renewal: Duration,
    /// The longest time in which all calls for an account failed.
    pub(crate) longest_failure: Duration,
    /// When the last call failed.
    pub(crate) last_failure: Duration,
}

/// How often something happened in each second.
#[derive(Clone, Debug)]
pub(crate) struct Series(Vec<u32>);

impl Counts {
    pub(crate) fn new(event: Event) -> Self {
        let seconds = usize::try_from(event.watched().as_secs()).unwrap_or(0);
        let series = Series(vec![0; seconds]);
        Self {
            event,
            store_reads: series.clone(),
            store_writes: series.clone(),
            requests: series,
            store_failures: 0,
            lease_conflicts: 0,
            lease_waits: 0,
            late_callers: 0,
            failed_callers: 0,
            longest_wait: Duration::ZERO,
            latest_renewal: Duration::ZERO,
            longest_failure: Duration::ZERO,
            last_failure: Duration::ZERO,
        }
    }

    /// Adds what was counted of other accounts.
    pub(crate) fn add(&mut self, other: &Self) {
        self.store_reads.add(&other.store_reads);
        self.store_writes.add(&other.store_writes);
        self.requests.add(&other.requests);
        self.store_failures += other.store_failures;
        self.lease_conflicts += other.lease_conflicts;
        self.lease_waits += other.lease_waits;
        self.late_callers += other.late_callers;
        self.failed_callers += other.failed_callers;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        self.latest_renewal = self.latest_renewal.max(other.latest_renewal);
        self.longest_failure = self.longest_failure.max(other.longest_failure);
        self.last_failure = self.last_failure.max(other.last_failure);
    }

    /// Returns the table that is printed.
    pub(crate) fn table(&self) -> String {
        let end = self.event.end();
        let rates = [
            ("store reads a second", &self.store_reads),
            ("store writes a second", &self.store_writes),
            ("HubSpot requests a second", &self.requests),
        ];
        let mut text = format!(
            "{}\n  {:<28}{:>12}{:>12}{:>12}{:>12}\n",
            self.event.name(),
            "",
            "before",
            "during",
            "after",
            "peak"
        );
        for (name, series) in rates {
            let during = match self.event.length().is_zero() {
                true => "-".to_owned(),
                false => grouped(series.mean(BEGIN, end)),
            };
            text += &format!(
                "  {name:<28}{:>12}{during:>12}{:>12}{:>12}\n",
                grouped(series.mean(WARM_UP, BEGIN)),
                grouped(series.mean(end, self.event.watched())),
                grouped(series.peak(BEGIN))
            );
        }
        for (name, count) in [
            ("lease conflicts", self.lease_conflicts),
            ("waits for a lease", self.lease_waits),
            ("store failures", self.store_failures),
            ("late callers", self.late_callers),
            ("failed callers", self.failed_callers),
        ] {
            text += &format!("  {name:<28}{:>12}\n", grouped(count));
        }
        for (name, time) in [
            ("longest wait", self.longest_wait),
            ("latest renewal", self.latest_renewal),
            ("longest without a token", self.longest_failure),
            ("last failed call", self.last_failure.saturating_sub(end)),
        ] {
            text += &format!("  {name:<28}{:>10.1} s\n", time.as_secs_f64());
        }
        text
    }
}

impl Series {
    pub(crate) fn count(&mut self, at: Duration) {
        let second = usize::try_from(at.as_secs()).unwrap_or(usize::MAX);
        if let Some(count) = self.0.get_mut(second) {
            *count += 1;
        }
    }

    /// Returns the number of each second.
    pub(crate) fn seconds(&self) -> &[u32] {
        &self.0
    }

    /// Returns the average of a second between two moments.
    fn mean(&self, from: Duration, until: Duration) -> u64 {
        let seconds = self.between(from, until);
        let total: u64 = seconds.iter().copied().map(u64::from).sum();
        total / u64::try_from(seconds.len()).unwrap_or(1).max(1)
    }

    /// Returns the greatest number of a second from a moment on.
    fn peak(&self, from: Duration) -> u64 {
        self.between(from, Duration::MAX).iter().copied().max().unwrap_or(0).into()
    }

    fn between(&self, from: Duration, until: Duration) -> &[u32] {
        let index = |at: Duration| usize::try_from(at.as_secs()).unwrap_or(usize::MAX).min(self.0.len());
        self.0.get(index(from)..index(until)).unwrap_or(&[])
    }

    fn add(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }
}

/// Returns a number with spaces between its thousands.
pub(crate) fn grouped(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{} {:03}", grouped(number / 1000), number % 1000),
    }
}

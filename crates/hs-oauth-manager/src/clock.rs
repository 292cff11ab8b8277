//! The clock of a token manager.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hs_oauth_core::Timestamp;

/// The clock of a token manager: the system's, or one of the application's. Clones are the same clock.
#[derive(Clone, Default)]
pub struct Clock(Option<Arc<Custom>>);

/// A clock of the application's.
struct Custom {
    read: Box<dyn Fn() -> Timestamp + Send + Sync>,
    wait_time: Mutex<Option<WaitTime>>,
}

/// A time that passes with a clock of the application's and also with the system's.
#[derive(Clone, Copy)]
struct WaitTime {
    time: Timestamp,
    /// The three times when the two clocks last agreed on how much time has passed.
    base: Timestamp,
    base_read: Timestamp,
    base_instant: Instant,
}

/// How long a run that waits looks away from a clock of the application's.
const MAX_LOOK_AWAY: Duration = Duration::from_millis(20);

/// How far the two clocks may drift apart before only the faster one counts. It is more than the rounding of a clock that does not stand
/// still.
const MAX_DRIFT: Duration = Duration::from_millis(100);

impl Clock {
    /// Returns a clock of the application's.
    pub fn new(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Custom { read: Box::new(read), wait_time: Mutex::default() })))
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            None => SystemTime::now().into(),
            Some(custom) => (custom.read)(),
        }
    }

    /// Returns the time of the system's last clock tick, up to ten milliseconds ago, where that is faster to read than the current time.
    ///
    /// It is exact enough for tokens that live for minutes. Reading the exact time costs more than all the rest of handing out a bearer.
    #[inline]
    pub fn coarse_now(&self) -> Timestamp {
        match &self.0 {
            None => system_coarse_now(),
            Some(custom) => (custom.read)(),
        }
    }

    /// Returns the time for runs that wait in the queue. It passes with a clock of the application's, and also with the system's while
    /// that one stands still. So a run does not wait forever for a clock that nobody moves.
    pub fn wait_time(&self) -> Timestamp {
        let Some(custom) = &self.0 else { return self.now() };
        let read = (custom.read)();
        let mut wait_time = custom.wait_time.lock().unwrap_or_else(PoisonError::into_inner);
        wait_time.get_or_insert_with(|| WaitTime::new(read)).advance(read, Instant::now())
    }

    /// Returns how long a run waits before it looks at the clock again, if it has to wait for `time`.
    pub fn look_again_after(&self, time: Duration) -> Duration {
        match self.0 {
            None => time,
            Some(_) => time.min(MAX_LOOK_AWAY),
        }
    }
}

impl WaitTime {
    fn new(read: Timestamp) -> Self {
        Self { time: read, base: read, base_read: read, base_instant: Instant::now() }
    }

    fn advance(&mut self, read: Timestamp, instant: Instant) -> Timestamp {
        let by_clock = read.since(self.base_read);
        let by_system = instant.saturating_duration_since(self.base_instant);
        self.time = self.time.max(self.base.plus(by_clock.max(by_system)));
        if by_clock.abs_diff(by_system) > MAX_DRIFT {
            *self = Self { time: self.time, base: self.time, base_read: read, base_instant: instant };
        }
        self.time
    }
}

#[inline]
fn system_coarse_now() -> Timestamp {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
        Timestamp::from_millis(seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    SystemTime::now().into()
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Clock(application)" } else { "Clock(system)" })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000_000);

    #[test]
    fn a_clock_of_the_applications_is_read_for_every_time() {
        let millis = Arc::new(AtomicU64::new(START.as_millis()));
        let read = Arc::clone(&millis);
        let clock = Clock::new(move || Timestamp::from_millis(read.load(Ordering::Relaxed)));
        assert_eq!((clock.now(), clock.clone().coarse_now()), (START, START));
        millis.fetch_add(3_600_000, Ordering::Relaxed);
        let later = START.plus(Duration::from_secs(3600));
        assert_eq!((clock.now(), clock.clone().coarse_now()), (later, later));
    }

    #[test]
    fn the_system_clock_is_the_default() {
        let before: Timestamp = SystemTime::now().into();
        let clock = Clock::default();
        assert!(before <= clock.now());
        assert!(before.since(clock.coarse_now()) < Duration::from_secs(1));
        assert_eq!(clock.look_again_after(Duration::from_secs(9)), Duration::from_secs(9));
    }

    #[test]
    fn the_time_of_waits_passes_with_whichever_clock_is_faster() {
        let (began, millis) = (Instant::now(), Duration::from_millis);
        let mut time = WaitTime { base_instant: began, ..WaitTime::new(START) };
        assert_eq!(
            time.advance(START, began + millis(500)),
            START.plus(millis(500)),
            "the clock stands still"
        );
        let hour = Duration::from_secs(3600);
        let moved = START.plus(hour);
        assert_eq!(time.advance(moved, began + millis(500)), START.plus(millis(500) + hour), "it is moved");
        let later = began + millis(1500);
        assert_eq!(time.advance(moved, later), START.plus(millis(1500) + hour), "it stands still again");
        assert_eq!(time.advance(START, later), START.plus(millis(1500) + hour), "it is set back");
        assert_eq!(time.advance(START, later + millis(200)), START.plus(millis(1700) + hour));
    }

    #[test]
    fn the_time_of_waits_is_no_faster_than_a_clock_that_follows_the_system() {
        let began = Instant::now();
        let mut time = WaitTime { base_instant: began, ..WaitTime::new(START) };
        for step in 1..=10_000 {
            // The clock shows whole milliseconds only.
            let passed = Duration::from_micros(step * 130);
            let shown = time.advance(START.plus(passed), began + passed);
            assert_eq!(shown, START.plus(passed));
        }
    }
}

//! Waits for conditions.

use std::time::{Duration, Instant};

/// How long a test waits for an event that is sure to come. Only a hang takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "the condition did not come true");
        std::thread::sleep(Duration::from_millis(1));
    }
}

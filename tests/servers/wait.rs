//! Waits for conditions.

use std::time::{Duration, Instant};

/// How long to wait for an event that is sure to come. Only a hang takes longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a condition, but not for longer than [`PATIENCE`].
///
/// # Panics
///
/// When the condition has not come true by then.
#[track_caller]
pub fn wait_until(mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "the condition did not come true");
        std::thread::sleep(Duration::from_millis(1));
    }
}

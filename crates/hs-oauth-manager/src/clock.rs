//! The clock of the drivers.

use std::time::SystemTime;

use hs_oauth_core::Timestamp;

/// Returns the current time.
pub fn now() -> Timestamp {
    SystemTime::now().into()
}

/// Returns the time of the system's last clock tick, up to ten milliseconds ago, where that is faster to read than the current time.
///
/// It is exact enough for tokens that live for minutes. Reading the exact time costs more than all the rest of handing out a bearer.
#[inline]
pub fn coarse_now() -> Timestamp {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
        Timestamp::from_millis(seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    now()
}

use hs_oauth_core::Timestamp;

/// Now, as of the system's last tick where it tells that faster: up to ten milliseconds ago, and for tokens that live for minutes
/// that is now. The exact time costs more than all the rest of a bearer.
#[inline]
pub fn now() -> Timestamp {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
        Timestamp::from_millis(seconds.saturating_mul(1000).saturating_add(nanoseconds / 1_000_000))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    std::time::SystemTime::now().into()
}

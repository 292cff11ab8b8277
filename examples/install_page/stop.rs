//! The signals on which the service ends.

use std::io;

/// Returns what waits until the service is to end: for Ctrl-C, or for the SIGTERM of whatever runs it.
///
/// # Errors
/// The operating system's error if it does not tell of signals.
pub(crate) fn signal() -> io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    })
}

//! The end of the service, on a signal.

use std::io;
use std::time::Duration;

use axum::{Router, serve};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// How long requests may take that have begun before the signal. The manager can only be shut down after them.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Serves until Ctrl-C, or the SIGTERM of whatever runs the service, and until the requests that have begun are finished.
///
/// # Errors
/// The operating system's error if it does not tell of signals.
pub(crate) async fn serve_until_signal(listener: TcpListener, router: Router) -> io::Result<()> {
    let signal = signal()?;
    let (sender, receiver) = oneshot::channel();
    let server = serve(listener, router).with_graceful_shutdown(async {
        signal.await;
        let _ = sender.send(());
    });
    let too_long = async {
        let _ = receiver.await;
        sleep(MAX_WAIT).await;
    };
    tokio::select! {
        ended = server => ended,
        () = too_long => Ok(()),
    }
}

fn signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
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

//! The HTTP server around the emulator. It owns the socket, the clock and the thread, and leaves every response to the
//! emulator.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the server reads from a socket and a clock what the emulator gets as arguments"
)]

mod builder;
mod connections;
mod event_stream;
mod host;
mod log_line;
mod response_body;
mod saver;
mod shared;
mod state_file;
mod waiting;
mod webhook_sender;

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

pub use builder::ServerBuilder;
pub use log_line::LogFormat;
use saver::Saver;
use shared::{Phase, Shared};
use tokio::sync::watch;

use crate::emulator::Emulator;
use crate::settings::Settings;

/// An [`Emulator`] that listens on a socket, in a thread of its own.
///
/// It can be used from blocking and from async code. Dropping it closes the socket and all connections, and waits until
/// the thread has ended. [`Server::stop`] lets requests in flight finish first.
///
/// If it listens on a loopback address, it refuses requests for any other host with the status 421, so that no web page can
/// use it through a name that leads to this machine (DNS rebinding). A request is for the host in its header `Host`: an
/// address of 127.0.0.0/8, `[::1]`, `localhost` or a name under `localhost`. There is no such check on other addresses.
///
/// Idle connections keep nobody out: at most 512 connections may wait for their client, and one more closes the one that has
/// waited longest. A client has 30 seconds for the head of a request, and 30 for its body.
///
/// ```
/// use hs_oauth_emulator::{Server, Settings};
///
/// let server = Server::start("127.0.0.1:0", Settings::random()?)?;
/// assert!(server.url().starts_with("http://127.0.0.1:"));
/// assert_eq!(server.emulator(|emulator| emulator.journal().len()), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Server {
    url: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    phase: watch::Sender<Phase>,
    thread: Option<JoinHandle<()>>,
    /// Dropped after the thread has ended, so that it saves what the last request has changed.
    saver: Option<Saver>,
}

impl Server {
    /// Starts a server that listens on `address`. Port 0 chooses a free port.
    ///
    /// # Errors
    /// The operating system's error if the address is not available, or if the thread cannot be started.
    pub fn start(address: impl ToSocketAddrs, settings: Settings) -> io::Result<Self> {
        Self::builder(settings).start(address)
    }

    /// Returns a builder of a server, which can have a clock and a log of its own.
    pub fn builder(settings: Settings) -> ServerBuilder {
        ServerBuilder::new(settings)
    }

    /// Returns the URL of the server, without a slash at the end. A client uses it as the API base and as the app base.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the settings that the emulator was made with, the client secret included.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Opens an authorization URL and presses Connect, as [`Emulator::connect`] does, at the current time.
    ///
    /// # Errors
    /// The same as those of [`Emulator::connect`].
    pub fn connect(&self, url: &str) -> Result<String, String> {
        let now = (self.shared.clock)();
        self.emulator(|emulator| emulator.connect(now, url))
    }

    /// Opens an authorization URL and presses Cancel, as [`Emulator::cancel`] does, at the current time.
    ///
    /// # Errors
    /// The same as those of [`Emulator::connect`].
    pub fn cancel(&self, url: &str) -> Result<String, String> {
        let now = (self.shared.clock)();
        self.emulator(|emulator| emulator.cancel(now, url))
    }

    /// Calls `f` with the emulator, to look at it or to control it. No request is handled meanwhile.
    pub fn emulator<T>(&self, f: impl FnOnce(&mut Emulator) -> T) -> T {
        let result = f(&mut self.shared.lock());
        self.shared.set_changed();
        result
    }

    /// Stops the server gracefully: it takes no new connections, closes idle ones, and lets requests in flight finish for at most `grace`.
    /// Then it saves its state, if it has a state file.
    pub fn stop(mut self, grace: Duration) {
        self.end(Phase::Finishing(grace));
    }

    fn end(&mut self, phase: Phase) {
        self.phase.send_replace(phase);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.saver.take();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end(Phase::Stopped);
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url)
            .field("settings", self.settings())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! What all connections and threads of a server share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hs_oauth_core::Timestamp;
use tokio::sync::watch;

use super::log_line::LogFormat;
use super::waiting::Waiting;
use crate::emulator::Emulator;
use crate::settings::Settings;
use crate::token_generator::TokenGenerator;

/// How long the server still serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// No new connections are accepted, and requests in flight may finish for so long.
    Finishing(Duration),
    /// Everything ends at once.
    Stopped,
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) emulator: Mutex<Emulator>,
    /// Whether the emulator may have changed since it was saved.
    pub(super) has_changed: AtomicBool,
    /// Changes after each request, for those who wait for what has come of it.
    pub(super) handled: watch::Sender<()>,
    pub(super) settings: Settings,
    /// Makes the fingerprints of masked secrets in log lines.
    pub(super) token_generator: TokenGenerator,
    pub(super) clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    pub(super) log: Box<dyn Fn(&str) + Send + Sync>,
    pub(super) log_format: LogFormat,
    /// Whether requests for other hosts are refused.
    pub(super) checks_host: bool,
    pub(super) waiting: Arc<Waiting>,
}

impl Shared {
    /// Says that the emulator may have changed.
    pub(super) fn set_changed(&self) {
        self.has_changed.store(true, Ordering::SeqCst);
        self.handled.send_replace(());
    }

    /// Locks the emulator. No request is handled while it is locked.
    pub(super) fn lock(&self) -> MutexGuard<'_, Emulator> {
        self.emulator.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

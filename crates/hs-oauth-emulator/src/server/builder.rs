use std::fmt;
use std::io;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use hs_oauth_core::Timestamp;
use tokio::sync::watch;

use super::Server;
use super::connections::{listen, serve};
use super::log_line::LogFormat;
use super::saver::Saver;
use super::shared::{Phase, Shared};
use super::state_file::StateFile;
use super::waiting::{MAX_WAITING, Waiting};
use crate::emulator::Emulator;
use crate::settings::Settings;
use crate::token_generator::TokenGenerator;

/// Makes a [`Server`]. See [`Server::builder`].
pub struct ServerBuilder {
    settings: Settings,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    log: Box<dyn Fn(&str) + Send + Sync>,
    log_format: LogFormat,
    state_file: Option<PathBuf>,
    pub(super) max_waiting: usize,
}

impl ServerBuilder {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            clock: Box::new(|| SystemTime::now().into()),
            log: Box::new(|_| {}),
            log_format: LogFormat::default(),
            state_file: None,
            max_waiting: MAX_WAITING,
        }
    }

    /// Makes the server read the time from `clock` instead of from the system. A test that gives the same clock to its token
    /// manager needs no sleep.
    ///
    /// [`Emulator::advance`] and the control API still move the emulator's time ahead of this clock. Delays of
    /// [`Fault`](crate::Fault)s and the time limits of connections are in real time.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use hs_oauth_core::Timestamp;
    /// use hs_oauth_emulator::{Server, Settings};
    ///
    /// let seconds = Arc::new(AtomicU64::new(1_790_000_000));
    /// let clock = {
    ///     let seconds = Arc::clone(&seconds);
    ///     move || Timestamp::from_secs(seconds.load(Ordering::SeqCst))
    /// };
    /// let hubspot = Server::builder(Settings::random()?).with_clock(clock.clone()).start("127.0.0.1:0")?;
    /// // A token manager takes the same clock: `builder.with_clock(clock)`. Half an hour passes for both at once.
    /// seconds.fetch_add(1800, Ordering::SeqCst);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Calls `log` with a line for each request: the time by the server's clock, the method, the path with its secrets masked, the status,
    /// how long it took to handle, without a delay that a fault asks for, and the reason if it failed. A state file that cannot be written
    /// has a line, too.
    #[must_use]
    pub fn with_log(mut self, log: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.log = Box::new(log);
        self
    }

    /// Sets the form of the lines of the log. Default [`LogFormat::Text`].
    #[must_use]
    pub fn with_log_format(mut self, format: LogFormat) -> Self {
        self.log_format = format;
        self
    }

    /// Makes the accounts, their grants, and the clock last: the server reads them from this file at the start, and writes them into it
    /// within a second after they have changed, and when it stops. The file is replaced as a whole, and only its owner can read it. It has
    /// tokens in it. Beside it is a file whose name ends with `.lock`, so that no two servers use one file.
    ///
    /// What lasts is what [`Emulator::save`] returns.
    #[must_use]
    pub fn with_state_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_file = Some(path.into());
        self
    }

    /// Starts the server. It listens on `address`. Port 0 chooses a free port.
    ///
    /// # Errors
    /// The operating system's error if the address is not available, or if a thread cannot be started. A message that names the state file,
    /// if that cannot be used.
    pub fn start(self, address: impl ToSocketAddrs) -> io::Result<Server> {
        let Self { settings, clock, log, log_format, state_file, max_waiting } = self;
        let listener = listen(address)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut emulator = Emulator::new(settings.clone());
        let state_file = state_file.as_deref().map(StateFile::open).transpose()?;
        if let Some((file, content)) = state_file.as_ref().and_then(|file| Some((file, file.content()?))) {
            emulator.restore(content).map_err(|error| file.unreadable(&error))?;
        }
        let shared = Arc::new(Shared {
            emulator: Mutex::new(emulator),
            has_changed: AtomicBool::new(false),
            handled: watch::Sender::new(()),
            token_generator: TokenGenerator::new(settings.seed),
            settings,
            clock,
            log,
            log_format,
            checks_host: address.ip().is_loopback(),
            waiting: Arc::new(Waiting::new(max_waiting)),
        });
        let saver = state_file.map(|file| Saver::start(Arc::clone(&shared), file)).transpose()?;
        let (phase, phases) = watch::channel(Phase::Serving);
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("hs-oauth-emulator".to_owned()).spawn(move || {
            runtime.block_on(serve(listener, served, phases));
            runtime.shutdown_background();
        })?;
        Ok(Server { url: format!("http://{address}"), address, shared, phase, thread: Some(thread), saver })
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

//! Saves the emulator's state now and then, in a thread of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::shared::Shared;
use super::state_file::StateFile;

/// How long a change waits for others, so that many of them are saved at once. A killed process loses so much.
const INTERVAL: Duration = Duration::from_secs(1);

/// The thread that saves. It saves once more when it is dropped.
pub(super) struct Saver {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Saver {
    pub(super) fn start(shared: Arc<Shared>, mut file: StateFile) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let thread =
            std::thread::Builder::new().name("hs-oauth-emulator-state".to_owned()).spawn(move || {
                loop {
                    let is_last = stopped.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout);
                    if shared.has_changed.swap(false, Ordering::SeqCst) || is_last {
                        let saved = shared.lock().save();
                        if let Err(error) = file.replace(saved) {
                            (shared.log)(&format!("error: {error}"));
                            shared.has_changed.store(true, Ordering::SeqCst);
                        }
                    }
                    if is_last {
                        return;
                    }
                }
            })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

//! Says on a terminal what the program waits for, if that takes long.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use hs_oauth_blocking::App;

use crate::output::print_error;

/// How long a wait may be silent.
const SILENCE: Duration = Duration::from_secs(2);

/// Does what asks HubSpot for something, and says so if it takes long.
pub(crate) fn for_hubspot<T>(app: &App, ask: impl FnOnce() -> T) -> T {
    on(format!("waiting for {}", app.api_base()), ask)
}

/// Does something, and prints `text` if it takes long and standard error is a terminal.
pub(crate) fn on<T>(text: String, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    let (done, is_done) = channel::<()>();
    let notice = move || {
        if is_done.recv_timeout(SILENCE) == Err(RecvTimeoutError::Timeout) {
            print_error(format_args!("{text} …"));
        }
    };
    // Without a thread the wait is silent.
    let thread = thread::Builder::new().spawn(notice);
    let result = work();
    drop(done);
    // A notice that is on its way comes before what the program prints next.
    if let Ok(thread) = thread {
        let _ = thread.join();
    }
    result
}

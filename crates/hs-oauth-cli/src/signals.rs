//! What a signal does while HubSpot may be issuing tokens.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Lets the program finish when a signal asks it to end, because tokens may have been issued that exist nowhere else yet. From now on,
/// the first signal has a message for its effect, and a second one ends the program. It does nothing when it is called again.
///
/// Only Unix has such signals.
pub(crate) fn defer() {
    #[cfg(unix)]
    unix::defer();
}

/// Returns a flag that the first signal sets which asks the program to end. A second one ends it at once.
///
/// Only Unix has such signals.
pub(crate) fn stop() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    #[cfg(unix)]
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        // If signals cannot be caught, they end the program as before.
        let _ = signal_hook::flag::register_conditional_default(signal, Arc::clone(&stop));
        let _ = signal_hook::flag::register(signal, Arc::clone(&stop));
    }
    stop
}

#[cfg(unix)]
mod unix {
    use std::sync::Once;

    use hs_oauth_blocking::TIMEOUT;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    use crate::output::print_error;

    pub(super) fn defer() {
        static DEFERRED: Once = Once::new();
        DEFERRED.call_once(start);
    }

    fn start() {
        // If signals cannot be caught, they end the program as before.
        let Ok(mut signals) = Signals::new([SIGHUP, SIGINT, SIGTERM]) else { return };
        let handle = move || {
            let mut is_deferred = false;
            for signal in signals.forever() {
                if !is_deferred {
                    is_deferred = true;
                    print_error(format_args!(
                        "tokens may have been issued already: waiting for HubSpot's response, for at most {} seconds (a second signal \
                         ends the program at once)",
                        TIMEOUT.as_secs()
                    ));
                } else if signal != SIGHUP {
                    // A terminal that is closed may send several SIGHUP, and nobody is there who insists.
                    print_error("ended by a second signal; tokens may have been issued and lost");
                    let _ = emulate_default_handler(signal);
                }
            }
        };
        // If no thread can be started, no signal ends the program until the response is there.
        let _ = std::thread::Builder::new().spawn(handle);
    }
}

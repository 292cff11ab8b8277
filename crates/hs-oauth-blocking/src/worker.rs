//! The threads that renew tokens ahead of time. A thread takes an account out of the queue only when its renewal may begin, so that no
//! thread waits with one account while the token of another expires sooner.

use std::sync::Arc;

use hs_oauth_core::renewal::Demand;
use hs_oauth_core::{Account, Timestamp};
use hs_oauth_manager::{Purpose, Role, Waiting};

use crate::driver::Inner;
use crate::flight::THREAD_NAME;
use crate::waiting::wait_for;

/// A thread that renews tokens ahead of time. The queue counts it until it ends.
struct Worker {
    inner: Arc<Inner>,
    has_ended: bool,
}

impl Inner {
    /// Adds the account to the queue, for a thread to renew its token ahead of time.
    pub(crate) fn renew_ahead(self: &Arc<Self>, account: Account) {
        // Without a token in the cache, the account was disconnected just now.
        if let Some(deadline) = self.shared.cache.usable_until(account) {
            self.push(account, Purpose::Ahead, deadline);
        }
    }

    /// Adds the account to the queue, for a thread to renew its token although nobody waits for it.
    pub(crate) fn push(self: &Arc<Self>, account: Account, purpose: Purpose, deadline: Timestamp) {
        if self.shared.flights.state().queue.push(account, purpose, deadline) {
            let mut worker = Worker { inner: Arc::clone(self), has_ended: false };
            // If no thread can be started, the accounts wait for the next thread.
            let _ = std::thread::Builder::new()
                .name(THREAD_NAME.to_owned())
                .spawn(move || while worker.renew_next() {});
        }
    }
}

impl Worker {
    /// Renews the next account as soon as that may begin. Returns `false` if there is nothing to renew, and the thread has to end.
    fn renew_next(&mut self) -> bool {
        let (flights, clock) = (&self.inner.shared.flights, &self.inner.shared.settings.clock);
        let mut state = flights.state();
        let admitted = loop {
            match state.queue.next(clock.wait_time()) {
                Ok(Some(admitted)) => break admitted,
                Ok(None) => {
                    self.has_ended = true;
                    return false;
                }
                Err(wait) => state = wait_for(&flights.waiting.changed, state, wait, clock),
            }
        };
        // Still under the lock under which the account left the queue, so that a shutdown waits for its flight.
        match flights.start_or_join(&mut state, admitted.account, admitted.purpose) {
            Ok(Role::Leader(guard)) => {
                drop(state);
                _ = self.inner.run(guard, Demand::Usable, admitted.purpose, Some(admitted));
            }
            // Under the lock too, so that the flight which is there cannot begin in between and lose its place among those in flight.
            Ok(Role::Follower(_)) | Err(_) => {
                flights.waiting.queue_changed(state.queue.give_back(admitted.account));
            }
        }
        true
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.has_ended {
            self.inner.shared.flights.state().queue.lose_worker();
        }
    }
}

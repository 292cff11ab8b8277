//! The threads that renew tokens ahead of time. An account takes a thread when it may begin and not before, so that no thread waits
//! with one while the token of another expires sooner.

use std::sync::Arc;

use hs_oauth_core::Account;
use hs_oauth_core::renewal::Demand;
use hs_oauth_manager::{Purpose, Role, now};

use crate::flight::{Inner, THREAD_NAME};

/// A thread that renews tokens ahead of time. It is counted until it ends.
struct Worker {
    inner: Arc<Inner>,
    has_ended: bool,
}

impl Inner {
    /// Renews a token ahead of time on another thread, when one is free.
    pub(crate) fn renew_ahead(self: &Arc<Self>, account: Account) {
        // If none is held, the account was disconnected just now.
        let Some(deadline) = self.shared.cache.usable_until(account) else { return };
        if self.shared.flights.state().queue.push(account, deadline) {
            let mut worker = Worker { inner: Arc::clone(self), has_ended: false };
            // If no thread can be had, the accounts in the queue are for the next one.
            let _ = std::thread::Builder::new()
                .name(THREAD_NAME.to_owned())
                .spawn(move || while worker.renew_next() {});
        }
    }
}

impl Worker {
    /// Renews the next account when it may begin. Returns whether the thread has to go on: not if nothing is left to renew.
    fn renew_next(&mut self) -> bool {
        let flights = &self.inner.shared.flights;
        let mut state = flights.state();
        let admitted = loop {
            match state.queue.next(now()) {
                Ok(Some(admitted)) => break admitted,
                Ok(None) => {
                    self.has_ended = true;
                    return false;
                }
                Err(wait) => state = flights.waiting.wait(state, wait),
            }
        };
        // Under the lock under which the account left the queue: a shutdown waits for its flight.
        let role = flights.start_or_join(&mut state, admitted.account, Purpose::Ahead);
        drop(state);
        match role {
            Ok(Role::Leader(guard)) => _ = self.inner.run(guard, Demand::Usable, Some(admitted)),
            Ok(Role::Follower(_)) | Err(_) => self.inner.give_back(admitted),
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

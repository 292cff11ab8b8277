//! Runs the flights. The first caller runs a flight on its own thread, and all others wait for its result.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hs_oauth_core::Account;
use hs_oauth_core::renewal::{Demand, TokenError};
use hs_oauth_manager::{
    Admitted, BearerResult, Caller, FlightGuard, FlightResult, Purpose, Role, SaveRetries, Waiting, now,
    random,
};

use crate::driver::Inner;
use crate::waiting::{Flight, Threads};

/// The name of the manager's threads.
pub(crate) const THREAD_NAME: &str = "hs-oauth-renewal";

impl Inner {
    /// Returns a bearer that meets the caller's demand, from the store or from HubSpot.
    pub(crate) fn bearer(self: &Arc<Self>, mut caller: Caller) -> BearerResult {
        self.shared.check_level(caller.account)?;
        loop {
            let (result, has_led) = match self.start_or_join(caller.account, Purpose::Caller) {
                Ok(Role::Leader(guard)) => (self.run(guard, caller.demand.clone(), None), true),
                Ok(Role::Follower(flight)) => (result_of(&flight), false),
                Err(error) => return caller.fallback(error, &self.shared.cache, now()),
            };
            if let Some(result) = caller.receive(result, has_led, &self.shared.cache, now()) {
                return result;
            }
        }
    }

    /// Runs a flight. `admitted` is the right to begin if the queue has granted it already.
    pub(crate) fn run(
        self: &Arc<Self>,
        mut guard: FlightGuard<Threads>,
        demand: Demand,
        mut admitted: Option<Admitted>,
    ) -> FlightResult {
        let mut flight = self.shared.begin_flight(guard.account(), demand, now(), random());
        let result = self.drive(guard.account(), &mut admitted, &mut flight.run);
        if let Some(unused) = admitted {
            self.give_back(unused);
        }
        let end = self.shared.finish_flight(&mut guard, flight, result, now(), random().next_u64());
        if end.starts_retries {
            let retries = SaveRetries::new(&self.shared.flights);
            let inner = Arc::clone(self);
            let thread = std::thread::Builder::new().name(THREAD_NAME.to_owned());
            // If no thread can be started, the next tokens that cannot be saved start the retries again.
            let _ = thread.spawn(move || inner.retry_saving(retries));
        }
        // The listener may shut the manager down, which waits until no flight is under way.
        drop(guard);
        self.shared.emit_end(&end);
        end.result
    }

    fn start_or_join(&self, account: Account, purpose: Purpose) -> Result<Role<Threads>, TokenError> {
        let flights = &self.shared.flights;
        flights.start_or_join(&mut flights.state(), account, purpose)
    }

    /// Runs the account's flight, or waits for the end of the one that is under way.
    fn run_or_join(self: &Arc<Self>, account: Account, purpose: Purpose) -> FlightResult {
        match self.start_or_join(account, purpose)? {
            Role::Leader(guard) => self.run(guard, Demand::Usable, None),
            Role::Follower(flight) => result_of(&flight),
        }
    }

    /// Gives back a right to begin that was not used.
    pub(crate) fn give_back(&self, unused: Admitted) {
        let flights = &self.shared.flights;
        flights.state().queue.give_back(unused);
        flights.waiting.queue_changed(None);
    }

    /// Waits until no flight and no task is under way, but not longer than `max`.
    pub(crate) fn wait_idle(&self, max: Duration) {
        let flights = &self.shared.flights;
        drop(flights.waiting.changed.wait_timeout_while(flights.state(), max, |state| state.busy > 0));
    }

    /// Makes one attempt to save the unsaved tokens.
    pub(crate) fn save_once(self: &Arc<Self>) {
        for account in self.shared.flights.unsaved_accounts() {
            _ = self.run_or_join(account, Purpose::Shutdown);
        }
    }

    /// Makes attempts to save the unsaved tokens until all are saved, or until the manager is shut down. The shutdown makes a last attempt
    /// of its own.
    fn retry_saving(self: Arc<Self>, mut retries: SaveRetries<Threads>) {
        let flights = &self.shared.flights;
        while let Some(wait) = retries.next_wait() {
            let changed = &flights.waiting.changed;
            drop(changed.wait_timeout_while(flights.state(), wait, |state| !state.is_shut_down));
            for account in flights.unsaved_accounts() {
                if let Err(TokenError::ShutDown) = self.run_or_join(account, Purpose::Caller) {
                    return;
                }
            }
        }
    }
}

/// Waits for the end of a flight, and returns its result.
fn result_of(flight: &Flight) -> FlightResult {
    let (result, has_ended) = &**flight;
    let result = result.lock().unwrap_or_else(PoisonError::into_inner);
    let result = has_ended.wait_while(result, |result| result.is_none());
    result.unwrap_or_else(PoisonError::into_inner).clone().unwrap_or(Err(TokenError::Interrupted))
}

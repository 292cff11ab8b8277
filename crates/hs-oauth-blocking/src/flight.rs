//! Runs the flights. The first caller runs a flight on its own thread, and all others wait for its result.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use hs_oauth_core::Account;
use hs_oauth_core::renewal::{Demand, TokenError};
use hs_oauth_manager::{
    Admitted, BearerResult, Caller, FlightGuard, FlightResult, Purpose, Role, SaveRetries, random,
};

use crate::driver::Inner;
use crate::waiting::{Flight, Threads};

/// The name of the manager's threads.
pub(crate) const THREAD_NAME: &str = "hs-oauth-renewal";

/// The most accounts whose tokens a shutdown tries to save at once.
const MAX_SAVING_THREADS: usize = 8;

impl Inner {
    /// Returns a bearer that meets the caller's demand, from the store or from HubSpot.
    pub(crate) fn bearer(self: &Arc<Self>, mut caller: Caller) -> BearerResult {
        self.shared.check_level(caller.account)?;
        if let Some(error) = self.shared.recent_failure(&caller, self.now()) {
            return caller.fallback(error, &self.shared.cache, self.now());
        }
        loop {
            let (result, has_led) = match self.start_or_join(caller.account, Purpose::Caller) {
                Ok(Role::Leader(guard)) => {
                    (self.run(guard, caller.demand.clone(), Purpose::Caller, None), true)
                }
                Ok(Role::Follower(flight)) => (result_of(&flight), false),
                Err(error) => return caller.fallback(error, &self.shared.cache, self.now()),
            };
            if let Some(result) = caller.receive(result, has_led, &self.shared.cache, self.now()) {
                return result;
            }
        }
    }

    /// Runs a flight. `admitted` is the right to begin if the queue has granted it already.
    pub(crate) fn run(
        self: &Arc<Self>,
        mut guard: FlightGuard<Threads>,
        demand: Demand,
        purpose: Purpose,
        admitted: Option<Admitted>,
    ) -> FlightResult {
        let mut flight = self.shared.begin_flight(guard.account(), demand, purpose, self.now(), random());
        let result = self.drive(guard.account(), admitted, &mut flight);
        let end = self.shared.finish_flight(&mut guard, flight, result, self.now(), random().next_u64());
        if end.starts_retries {
            self.start_retries();
        }
        // The listener may shut the manager down, which waits until no flight is under way.
        drop(guard);
        self.shared.emit_end(&end, purpose);
        end.result
    }

    /// Starts the attempts to save the tokens that could not be saved.
    pub(crate) fn start_retries(self: &Arc<Self>) {
        let retries = SaveRetries::new(&self.shared.flights);
        let inner = Arc::clone(self);
        // If no thread can be started, the next tokens that cannot be saved start the retries again.
        let _ = thread().spawn(move || inner.retry_saving(retries));
    }

    fn start_or_join(&self, account: Account, purpose: Purpose) -> Result<Role<Threads>, TokenError> {
        let flights = &self.shared.flights;
        flights.start_or_join(&mut flights.state(), account, purpose)
    }

    /// Runs the account's flight, or waits for the end of the one that is under way.
    fn run_or_join(self: &Arc<Self>, account: Account, purpose: Purpose) -> FlightResult {
        match self.start_or_join(account, purpose)? {
            Role::Leader(guard) => self.run(guard, Demand::Usable, purpose, None),
            Role::Follower(flight) => result_of(&flight),
        }
    }

    /// Waits until nothing is under way, and makes one attempt to save the tokens of each account that are not saved. Returns after `max`
    /// at the latest.
    pub(crate) fn finish_all(self: &Arc<Self>, max: Duration) {
        let began = Instant::now();
        let left = || max.saturating_sub(began.elapsed());
        let flights = &self.shared.flights;
        // Now, and not only when nothing is under way any more: one save that hangs must not take the time of all others.
        let tried = flights.unsaved_accounts();
        self.save_once(&tried, left);
        drop(flights.waiting.wait_while(flights.state(), left(), |state| state.busy > 0));
        let mut accounts = flights.unsaved_accounts();
        accounts.retain(|account| !tried.contains(account));
        self.save_once(&accounts, left);
    }

    /// Makes one attempt to save the tokens of these accounts, on threads that can be left behind.
    fn save_once(self: &Arc<Self>, accounts: &[Account], left: impl Fn() -> Duration) {
        let (mut guards, mut flights) = (Vec::new(), Vec::new());
        for account in accounts {
            match self.start_or_join(*account, Purpose::Shutdown) {
                Ok(Role::Leader(guard)) => {
                    flights.push(guard.flight());
                    guards.push(guard);
                }
                Ok(Role::Follower(flight)) => flights.push(flight),
                Err(_) => {}
            }
        }
        let count = guards.len().min(MAX_SAVING_THREADS);
        let guards = Arc::new(Mutex::new(guards));
        for _ in 0..count {
            let (inner, guards) = (Arc::clone(self), Arc::clone(&guards));
            let next = move || guards.lock().unwrap_or_else(PoisonError::into_inner).pop();
            // If no thread can be started, the attempts end at once as interrupted.
            let _ = thread().spawn(move || {
                while let Some(guard) = next() {
                    _ = inner.run(guard, Demand::Usable, Purpose::Shutdown, None);
                }
            });
        }
        drop(guards);
        for flight in flights {
            wait_for(&flight, left());
        }
    }

    /// Makes attempts to save the unsaved tokens until all are saved, or until the manager is shut down. The shutdown makes a last attempt
    /// of its own.
    fn retry_saving(self: Arc<Self>, mut retries: SaveRetries<Threads>) {
        let flights = &self.shared.flights;
        while let Some(wait) = retries.next_wait() {
            drop(flights.waiting.wait_while(flights.state(), wait, |state| !state.is_shut_down));
            for account in flights.unsaved_accounts() {
                if let Err(TokenError::ShutDown) = self.run_or_join(account, Purpose::Caller) {
                    return;
                }
            }
        }
    }
}

/// Waits for the end of a flight, and returns its result.
pub(crate) fn result_of(flight: &Flight) -> FlightResult {
    wait_for(flight, Duration::MAX).unwrap_or(Err(TokenError::Interrupted))
}

/// Waits for the end of a flight, but not longer than `max`. Returns its result, if it has ended.
fn wait_for(flight: &Flight, max: Duration) -> Option<FlightResult> {
    let (result, has_ended) = &**flight;
    let result = result.lock().unwrap_or_else(PoisonError::into_inner);
    let result = has_ended.wait_timeout_while(result, max, |result| result.is_none());
    result.unwrap_or_else(PoisonError::into_inner).0.clone()
}

/// Returns a thread of the manager that has not started.
pub(crate) fn thread() -> Builder {
    Builder::new().name(THREAD_NAME.to_owned())
}

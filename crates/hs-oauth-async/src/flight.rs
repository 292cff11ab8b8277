//! Runs the flights. The first caller starts a flight as a task of its own, and all callers wait for its result. It runs to its end even
//! if they stop waiting.

use std::pin::pin;
use std::sync::Arc;

use hs_oauth_core::Account;
use hs_oauth_core::renewal::{Demand, TokenError};
use hs_oauth_manager::{
    BearerResult, Caller, FlightGuard, FlightResult, Purpose, Role, SaveRetries, TaskGuard, random,
};
use tokio::runtime::Handle;

use crate::driver::Inner;
use crate::waiting::{Flight, Tokio};

impl Inner {
    /// Returns a bearer that meets the caller's demand, from the store or from HubSpot.
    pub(crate) async fn bearer(self: &Arc<Self>, mut caller: Caller) -> BearerResult {
        self.shared.check_level(caller.account)?;
        if let Some(error) = self.shared.recent_failure(&caller, self.now()) {
            return caller.fallback(error, &self.shared.cache, self.now());
        }
        loop {
            let started = self.start_or_join(caller.account, &caller.demand, Purpose::Caller);
            let (flight, has_led) = match started {
                Ok(flight) => flight,
                Err(error) => return caller.fallback(error, &self.shared.cache, self.now()),
            };
            let result = result_of(&flight).await;
            if let Some(result) = caller.receive(result, has_led, &self.shared.cache, self.now()) {
                return result;
            }
        }
    }

    /// Joins the account's flight, or starts one as a task. Returns the flight, and whether it was started for this demand.
    pub(crate) fn start_or_join(
        self: &Arc<Self>,
        account: Account,
        demand: &Demand,
        purpose: Purpose,
    ) -> Result<(Flight, bool), TokenError> {
        let runtime = self.runtime()?;
        self.start_sweep(&runtime);
        let flights = &self.shared.flights;
        let role = flights.start_or_join(&mut flights.state(), account, purpose)?;
        match role {
            Role::Follower(flight) => Ok((flight, false)),
            Role::Leader(guard) => {
                let flight = guard.flight();
                // The lock is released before: a runtime that is shutting down drops the task at once, and the guard then takes the lock.
                // In a box, since tokio moves a future several times and this one is large.
                runtime.spawn(Box::pin(Arc::clone(self).run(guard, demand.clone(), purpose)));
                Ok((flight, true))
            }
        }
    }

    async fn run(self: Arc<Self>, mut guard: FlightGuard<Tokio>, demand: Demand, purpose: Purpose) {
        let mut flight = self.shared.begin_flight(guard.account(), demand, purpose, self.now(), random());
        let result = self.drive(guard.account(), purpose, &mut flight).await;
        let end = self.shared.finish_flight(&mut guard, flight, result, self.now(), random().next_u64());
        if end.starts_retries {
            self.start_retries();
        }
        // The listener may shut the manager down, which waits until no flight is under way.
        drop(guard);
        self.shared.emit_end(&end, purpose);
    }

    /// Starts the attempts to save the tokens that could not be saved.
    pub(crate) fn start_retries(self: &Arc<Self>) {
        // Made here and not in the task: a runtime that ends may drop the task before it is polled once.
        let retries = SaveRetries::new(&self.shared.flights);
        tokio::spawn(Arc::clone(self).retry_saving(retries));
    }

    /// Returns the runtime on which the work is done.
    pub(crate) fn runtime(&self) -> Result<Handle, TokenError> {
        self.runtime.clone().map_or_else(|| Handle::try_current().map_err(|_| TokenError::NoRuntime), Ok)
    }

    /// Does `work` as a task of its own, which goes on even if the caller stops waiting. It has to drop the guard before it emits events.
    pub(crate) async fn run_task<T, F>(
        self: &Arc<Self>,
        work: impl FnOnce(TaskGuard<Tokio>) -> F,
    ) -> Result<T, TokenError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, TokenError>> + Send + 'static,
    {
        let runtime = self.runtime()?;
        self.start_sweep(&runtime);
        let task = self.shared.flights.start_task()?;
        runtime.spawn(work(task)).await.unwrap_or(Err(TokenError::Interrupted))
    }

    /// Waits until nothing is under way, and makes one attempt to save the tokens of each account that are not saved.
    pub(crate) async fn finish_all(self: Arc<Self>) {
        let flights = &self.shared.flights;
        // Now, and not only when nothing is under way any more: one save that hangs must not take the time of all others.
        let tried = flights.unsaved_accounts();
        self.save_once(&tried).await;
        self.wait_idle().await;
        let mut left = flights.unsaved_accounts();
        left.retain(|account| !tried.contains(account));
        self.save_once(&left).await;
    }

    async fn save_once(self: &Arc<Self>, accounts: &[Account]) {
        let flights = accounts
            .iter()
            .filter_map(|account| self.start_or_join(*account, &Demand::Usable, Purpose::Shutdown).ok());
        let flights: Vec<_> = flights.collect();
        for (flight, _) in flights {
            _ = result_of(&flight).await;
        }
    }

    /// Waits until no flight and no task is under way.
    async fn wait_idle(&self) {
        let flights = &self.shared.flights;
        loop {
            let mut idle = pin!(flights.waiting.idle.notified());
            idle.as_mut().enable();
            if flights.state().busy == 0 {
                return;
            }
            idle.await;
        }
    }

    /// Makes attempts to save the unsaved tokens until all are saved, or until the manager is shut down.
    async fn retry_saving(self: Arc<Self>, mut retries: SaveRetries<Tokio>) {
        while let Some(wait) = retries.next_wait() {
            tokio::time::sleep(wait).await;
            for account in self.shared.flights.unsaved_accounts() {
                // It fails after a shutdown, which makes a last attempt of its own.
                let flight = self.start_or_join(account, &Demand::Usable, Purpose::Caller);
                let Ok((flight, _)) = flight else { return };
                _ = result_of(&flight).await;
            }
        }
    }
}

/// Waits for the end of a flight, and returns its result.
pub(crate) async fn result_of(flight: &Flight) -> FlightResult {
    match flight.subscribe().wait_for(Option::is_some).await.map(|result| result.clone()) {
        Ok(Some(result)) => result,
        _ => Err(TokenError::Interrupted),
    }
}

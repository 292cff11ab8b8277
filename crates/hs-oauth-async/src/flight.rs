//! Runs the flights. The first caller starts a flight as a task of its own, and all callers wait for its result. It runs to its end even
//! if they stop waiting.

use std::pin::pin;
use std::sync::Arc;

use hs_oauth_core::Account;
use hs_oauth_core::renewal::{Demand, TokenError};
use hs_oauth_manager::{
    BearerResult, Caller, FlightGuard, FlightResult, Purpose, Role, SaveRetries, now, random,
};
use tokio::runtime::Handle;

use crate::driver::Inner;
use crate::waiting::{Flight, Tokio};

impl Inner {
    /// Returns a bearer that meets the caller's demand, from the store or from HubSpot.
    pub(crate) async fn bearer(self: &Arc<Self>, mut caller: Caller) -> BearerResult {
        self.shared.check_level(caller.account)?;
        loop {
            let started = self.start_or_join(caller.account, &caller.demand, Purpose::Caller);
            let (flight, has_led) = match started {
                Ok(flight) => flight,
                Err(error) => return caller.fallback(error, &self.shared.cache, now()),
            };
            let result = result_of(&flight).await;
            if let Some(result) = caller.receive(result, has_led, &self.shared.cache, now()) {
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
        let runtime = Handle::try_current().map_err(|_| TokenError::NoRuntime)?;
        let flights = &self.shared.flights;
        let role = flights.start_or_join(&mut flights.state(), account, purpose)?;
        match role {
            Role::Follower(flight) => Ok((flight, false)),
            Role::Leader(guard) => {
                let flight = guard.flight();
                // The lock is released before: a runtime that is shutting down drops the task at once, and the guard then takes the lock.
                runtime.spawn(Arc::clone(self).run(guard, demand.clone(), purpose));
                Ok((flight, true))
            }
        }
    }

    async fn run(self: Arc<Self>, mut guard: FlightGuard<Tokio>, demand: Demand, purpose: Purpose) {
        let mut flight = self.shared.begin_flight(guard.account(), demand, now(), random());
        let result = self.drive(guard.account(), purpose, &mut flight.run).await;
        let end = self.shared.finish_flight(&mut guard, flight, result, now(), random().next_u64());
        if end.starts_retries {
            // Made here and not in the task: a runtime that ends may drop the task before it is polled once.
            let retries = SaveRetries::new(&self.shared.flights);
            tokio::spawn(Arc::clone(&self).retry_saving(retries));
        }
        self.shared.emit_end(&end);
    }

    /// Does `work` as a task of its own, which goes on even if the caller stops waiting.
    pub(crate) async fn run_task<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, TokenError>> + Send + 'static,
    ) -> Result<T, TokenError> {
        let runtime = Handle::try_current().map_err(|_| TokenError::NoRuntime)?;
        let task = self.shared.flights.start_task()?;
        let work = async move {
            let _task = task;
            work.await
        };
        runtime.spawn(work).await.unwrap_or(Err(TokenError::Interrupted))
    }

    /// Waits until no flight and no task is under way.
    pub(crate) async fn wait_idle(&self) {
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

//! Runs the flights: the first caller starts one as a task of its own, and all wait for what it brings. It runs to its end whatever
//! becomes of the callers.

use std::pin::pin;
use std::sync::Arc;

use hs_oauth_core::Account;
use hs_oauth_core::renewal::{Demand, TokenError};
use hs_oauth_manager::{
    BearerResult, Caller, FlightGuard, FlightResult, Purpose, Role, SaveRetries, Shared, TaskGuard, now,
    random,
};
use hs_oauth_store::AsyncTokenStore;
use tokio::runtime::Handle;

use crate::client::Client;
use crate::driver::Driver;
use crate::waiting::{Flight, Tokio};

/// What all clones of a manager share.
pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) store: Box<dyn AsyncTokenStore>,
    pub(crate) shared: Shared<Tokio>,
}

impl Inner {
    /// Returns a bearer that meets the demand, from the store or from HubSpot.
    pub(crate) async fn bearer(self: &Arc<Self>, mut caller: Caller) -> BearerResult {
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

    /// Joins the account's flight, or starts it as a task. Returns the flight, and whether it was started for this demand.
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
                // Not under the lock: a runtime that is shutting down drops the task on the spot, which takes the lock.
                runtime.spawn(Arc::clone(self).run(guard, demand.clone(), purpose));
                Ok((flight, true))
            }
        }
    }

    async fn run(self: Arc<Self>, mut guard: FlightGuard<Tokio>, demand: Demand, purpose: Purpose) {
        let mut flight = self.shared.begin_flight(guard.account(), demand, random());
        let driver = Driver { purpose, ..self.driver(guard.account()) };
        let result = driver.drive(&mut flight.run).await;
        let end = self.shared.finish_flight(&mut guard, flight, result, now(), random().next_u64());
        if end.starts_retries {
            tokio::spawn(Arc::clone(&self).retry_saving());
        }
        self.shared.emit_end(&end);
    }

    pub(crate) fn driver(&self, account: Account) -> Driver<'_> {
        Driver {
            client: &self.client,
            store: &*self.store,
            flights: &self.shared.flights,
            account,
            purpose: Purpose::Caller,
        }
    }

    /// Does `work` as a task of its own, which a caller who stops waiting does not stop.
    pub(crate) async fn run_task<T: Send + 'static, F>(
        self: &Arc<Self>,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, TokenError>
    where
        F: Future<Output = Result<T, TokenError>> + Send + 'static,
    {
        let runtime = Handle::try_current().map_err(|_| TokenError::NoRuntime)?;
        let task: TaskGuard<Tokio> = self.shared.flights.start_task()?;
        let work = work(Arc::clone(self));
        let work = async move {
            let _task = task;
            work.await
        };
        runtime.spawn(work).await.unwrap_or(Err(TokenError::Interrupted))
    }

    /// Waits until nothing is under way that must not be cut off.
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

    /// Goes on saving until nothing is left to be saved.
    async fn retry_saving(self: Arc<Self>) {
        let mut retries = SaveRetries::new(&self.shared.flights);
        while let Some(wait) = retries.next_wait() {
            tokio::time::sleep(wait).await;
            let accounts: Vec<_> = self.shared.flights.state().unsaved.keys().copied().collect();
            for account in accounts {
                // Fails once shut down: the shutdown itself tries once more.
                let flight = self.start_or_join(account, &Demand::Usable, Purpose::Caller);
                let Ok((flight, _)) = flight else { return };
                _ = result_of(&flight).await;
            }
        }
    }
}

/// Waits for what a flight brings.
pub(crate) async fn result_of(flight: &Flight) -> FlightResult {
    match flight.subscribe().wait_for(Option::is_some).await.map(|result| result.clone()) {
        Ok(Some(result)) => result,
        _ => Err(TokenError::Interrupted),
    }
}

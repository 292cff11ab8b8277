//! The state that all clones of a token manager share.

use std::fmt;
use std::sync::Arc;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{CurrentTokens, Demand, Renewal, TokenError};
use hs_oauth_core::{Account, Random, StoreError, Timestamp};

use crate::cache::{Cache, Snapshot, access_token, bearer};
use crate::event::{Event, emit};
use crate::outcome::{Caller, Flight, FlightEnd};
use crate::recent_failures::RecentFailures;
use crate::settings::Settings;
use crate::single_flight::{FlightGuard, SingleFlight, Waiting};
use crate::store_outage::StoreOutage;

/// The state that all clones of a token manager share. Client and store are not part of it.
pub struct Shared<W: Waiting> {
    /// The settings of the application.
    pub settings: Settings,
    /// The bearers that the process holds.
    pub cache: Cache,
    /// The flights that have not ended.
    pub flights: Arc<SingleFlight<W>>,
    failures: RecentFailures,
    store_outage: StoreOutage,
}

impl<W: Waiting> Shared<W> {
    /// Returns the state of a new manager.
    pub fn new(settings: Settings) -> Self {
        let cache = Cache::new(settings.policy);
        let flights = Arc::new(SingleFlight::new(settings.limits));
        let (failures, store_outage) = (RecentFailures::default(), StoreOutage::default());
        Self { settings, cache, flights, failures, store_outage }
    }

    /// Returns why the caller has no bearer, if the account had none a moment ago. It is asked if the cache has no bearer either. For a
    /// renewal that is asked for, it forgets what it remembers.
    pub fn recent_failure(&self, caller: &Caller, now: Timestamp) -> Option<TokenError> {
        if caller.demand == Demand::Newer {
            self.failures.forget(caller.account);
        }
        self.failures.error(caller.account, now)
    }

    /// Notes the result of a load.
    pub fn note_load<T>(&self, account: Account, result: &Result<T, StoreError>, now: Timestamp) {
        self.store_outage.note_load(account, result, now);
    }

    /// Begins a flight, and returns its run. The run begins with the tokens that an earlier one could not save, if there are any. While the
    /// store fails, only a few flights have their run driven: see [`Flight::refusal`].
    pub fn begin_flight(&self, account: Account, demand: Demand, random: Random, now: Timestamp) -> Flight {
        let snapshot = self.cache.snapshot(account);
        let forgotten = self.failures.forgotten();
        let unsaved = self.flights.state().unsaved.get(&account).cloned();
        let refusal = match unsaved {
            Some(_) => None,
            None => self.store_outage.refusal(now).map(TokenError::Store),
        };
        let any_usable = demand == Demand::Usable;
        let forced = matches!(demand, Demand::OtherThan(_));
        let mut run = Renewal::new(self.settings.policy, random, demand);
        if let Some(unsaved) = unsaved.clone() {
            run = run.with_unsaved(unsaved);
        }
        Flight { run, account, snapshot, forgotten, refusal, unsaved, any_usable, forced }
    }

    /// Ends a flight whose run ended with `result`. Brings the cache up to date, and delivers the result to the followers. `random`
    /// spreads pauses.
    pub fn finish_flight(
        &self,
        guard: &mut FlightGuard<W>,
        flight: Flight,
        result: Result<CurrentTokens, TokenError>,
        now: Timestamp,
        random: u64,
    ) -> FlightEnd {
        let account = flight.account;
        let unreported = match &result {
            _ if flight.refusal.is_some() => None,
            Err(TokenError::Store(error)) => self.store_outage.report(error, now),
            _ => Some(0),
        };
        match &result {
            Ok(CurrentTokens { renewed: true, .. }) => self.store_outage.note_renewed(),
            Ok(_) => {}
            // Another caller may be content with a token that was not enough for this flight's.
            Err(error) if flight.any_usable => self.failures.note(account, flight.forgotten, error, now),
            Err(_) => {}
        }
        let (mut end, unsaved) = FlightEnd::new(flight, result, unreported, &self.cache, now, random);
        end.starts_retries = guard.finish(unsaved, end.result.clone());
        end
    }

    /// Returns the cached bearer, if it is another than `rejected`, which an API rejected with 401.
    ///
    /// # Errors
    /// The [`Caller`] that has to obtain another bearer, if there is none in the cache.
    pub fn after_401(
        &self,
        account: Account,
        rejected: &HeaderValue,
        now: Timestamp,
    ) -> Result<HeaderValue, Caller> {
        let demand = access_token(rejected).map_or(Demand::Usable, Demand::OtherThan);
        self.cache.usable(account, &demand, now).ok_or_else(|| match self.cache.forced_wait(account, now) {
            None => Caller::new(account, demand),
            Some(wait) => Caller::too_early(account, demand, wait),
        })
    }

    /// Ends an install whose run ended with `result`. Puts its tokens into the cache and emits an event. `snapshot` was taken before the
    /// run began.
    ///
    /// # Errors
    /// The error of the run.
    pub fn finish_install(
        &self,
        account: Account,
        snapshot: Snapshot,
        result: Result<CurrentTokens, TokenError>,
    ) -> Result<(), TokenError> {
        // The caller may not wait any more, and the error may hold the only copy of the tokens.
        let result = result.inspect_err(|error| self.emit(&Event::Failed { account, error, unreported: 0 }));
        let CurrentTokens { tokens, version, .. } = result?;
        self.failures.forget(account);
        self.cache.publish(account, snapshot, bearer(&tokens.access_token), &tokens, version);
        self.emit(&Event::Saved { account, expires_at: tokens.expires_at });
        Ok(())
    }

    /// Ends a disconnect whose run ended with `result`. Evicts the account from the cache and emits an event.
    ///
    /// # Errors
    /// The error of the run.
    pub fn finish_disconnect(
        &self,
        account: Account,
        result: Result<(), TokenError>,
    ) -> Result<(), TokenError> {
        // A flight may have published tokens before the tombstone was stored.
        self.cache.evict(account);
        self.failures.forget(account);
        // The tokens are forgotten even if the refresh token could not be revoked.
        if matches!(result, Ok(()) | Err(TokenError::Call(_))) {
            self.emit(&Event::Disconnected { account });
        }
        result
    }

    /// Emits the events of a flight.
    pub fn emit_end(&self, end: &FlightEnd) {
        end.emit(|event| self.emit(event));
    }

    fn emit(&self, event: &Event<'_>) {
        emit(self.settings.listener.as_deref(), event);
    }
}

/// Shows the numbers of cached tokens, flights and unsaved tokens, as the `Debug` form of a `TokenManager`.
impl<W: Waiting> fmt::Debug for Shared<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.flights.state();
        f.debug_struct("TokenManager")
            .field("held", &self.cache.len())
            .field("flights", &state.flights.len())
            .field("unsaved", &state.unsaved.len())
            .finish_non_exhaustive()
    }
}

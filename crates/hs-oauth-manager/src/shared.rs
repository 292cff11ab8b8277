//! The state that all clones of a token manager share.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{
    CurrentTokens, Demand, Input, MassRefusal, RefreshHistory, Renewal, TokenError,
};
use hs_oauth_core::{Account, AppIdentity, Error, NextStep, Random, Timestamp, TokenSet};

use crate::cache::{Cache, Snapshot, access_token, bearer};
use crate::event::{Event, emit};
use crate::outcome::{Caller, Flight, FlightEnd};
use crate::settings::Settings;
use crate::single_flight::{FlightGuard, SingleFlight, Waiting};

/// The state that all clones of a token manager share. Client and store are not part of it.
pub struct Shared<W: Waiting> {
    /// The settings of the application.
    pub settings: Settings,
    /// The bearers that the process holds.
    pub cache: Cache,
    /// The flights that have not ended.
    pub flights: Arc<SingleFlight<W>>,
    /// The app whose tokens the manager holds.
    pub app: AppIdentity,
    /// The last minute's refreshes.
    refreshes: Mutex<RefreshHistory>,
}

impl<W: Waiting> Shared<W> {
    /// Returns the state of a new manager of the tokens of `app`.
    pub fn new(settings: Settings, app: AppIdentity) -> Self {
        let cache = Cache::new(settings.policy);
        let flights = Arc::new(SingleFlight::new(settings.renewals_per_second));
        let refreshes = Mutex::new(RefreshHistory::new(settings.mass_refusal_limit));
        Self { settings, cache, flights, app, refreshes }
    }

    /// Begins a flight, and returns its run. The run begins with the tokens that an earlier one could not save, if there are any.
    pub fn begin_flight(&self, account: Account, demand: Demand, random: Random) -> Flight {
        let snapshot = self.cache.snapshot(account);
        let unsaved = self.flights.state().unsaved.get(&account).cloned();
        let forced = matches!(demand, Demand::OtherThan(_));
        let mut run = Renewal::new(self.settings.policy, self.app.clone(), account, random, demand);
        if let Some(unsaved) = unsaved.clone() {
            run = run.with_unsaved(unsaved);
        }
        Flight { run, account, snapshot, unsaved, forced }
    }

    /// Notes the response to a refresh, and returns it as the input of the run that asked for it.
    pub fn refreshed(&self, account: Account, now: Timestamp, response: Result<TokenSet, Error>) -> Input {
        let is_refused = response.as_ref().is_err_and(|error| error.next_step() == NextStep::Reauthorize);
        let mass_refusal =
            self.refreshes.lock().unwrap_or_else(PoisonError::into_inner).note(now, account, is_refused);
        if mass_refusal == MassRefusal::Begun {
            self.emit(&Event::MassRefusal);
        }
        Input::Refreshed { response, is_mass_refusal: mass_refusal != MassRefusal::Absent }
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
        let (mut end, unsaved) = FlightEnd::new(flight, result, &self.cache, now, random);
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
        let result = result.inspect_err(|error| self.emit(&Event::Failed { account, error }));
        let CurrentTokens { tokens, version, .. } = result?;
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

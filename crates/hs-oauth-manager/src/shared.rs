use std::fmt;
use std::sync::Arc;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{CurrentTokens, Demand, Renewal, TokenError};
use hs_oauth_core::{Account, Random, Timestamp};

use crate::cache::{Cache, Snapshot, access_token, bearer};
use crate::event::{Event, emit};
use crate::outcome::{Caller, Flight, FlightEnd};
use crate::settings::Settings;
use crate::single_flight::{FlightGuard, SingleFlight, Waiting};

/// What all clones of a token manager share, but for what does IO.
pub struct Shared<W: Waiting> {
    /// What the application has set.
    pub settings: Settings,
    /// The bearers that the process holds.
    pub cache: Cache,
    /// What is under way.
    pub flights: Arc<SingleFlight<W>>,
}

impl<W: Waiting> Shared<W> {
    /// Returns what the clones of a new manager share.
    pub fn new(settings: Settings) -> Self {
        let cache = Cache::new(settings.policy);
        let flights = Arc::new(SingleFlight::new(settings.renewals_per_second));
        Self { settings, cache, flights }
    }

    /// Returns the run of a flight, which begins with what could not be saved before.
    pub fn begin_flight(&self, account: Account, demand: Demand, random: Random) -> Flight {
        let snapshot = self.cache.snapshot(account);
        let unsaved = self.flights.state().unsaved.get(&account).cloned();
        let forced = matches!(demand, Demand::OtherThan(_));
        let mut run = Renewal::new(self.settings.policy, random, demand);
        if let Some(unsaved) = unsaved.clone() {
            run = run.with_unsaved(unsaved);
        }
        Flight { run, account, snapshot, unsaved, forced }
    }

    /// Ends a flight whose run has ended: brings the cache up to date, and hands the result to its followers.
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

    /// Returns the bearer that the process holds if it is another than `rejected`, which an API answered with 401.
    ///
    /// # Errors
    /// The caller who gets another one.
    pub fn after_401(
        &self,
        account: Account,
        rejected: &HeaderValue,
        now: Timestamp,
    ) -> Result<HeaderValue, Caller> {
        let demand = access_token(rejected).map_or(Demand::Usable, Demand::OtherThan);
        self.cache.fallback(account, &demand, now).ok_or_else(|| {
            match self.cache.must_not_force(account, now) {
                None => Caller::new(account, demand),
                Some(wait) => Caller::too_early(account, demand, wait),
            }
        })
    }

    /// Ends an install: holds its tokens, and tells the application.
    ///
    /// # Errors
    /// The error of the run.
    pub fn finish_install(
        &self,
        account: Account,
        snapshot: Snapshot,
        result: Result<CurrentTokens, TokenError>,
    ) -> Result<(), TokenError> {
        // The caller may have gone away, and the error may hold the only copy of the tokens.
        let result = result.inspect_err(|error| self.emit(&Event::Failed { account, error }));
        let CurrentTokens { tokens, version, .. } = result?;
        self.cache.publish(account, snapshot, bearer(&tokens.access_token), &tokens, version);
        self.emit(&Event::Saved { account, expires_at: tokens.expires_at });
        Ok(())
    }

    /// Ends a disconnect: holds nothing of the account, and tells the application.
    ///
    /// # Errors
    /// The error of the run.
    pub fn finish_disconnect(
        &self,
        account: Account,
        result: Result<(), TokenError>,
    ) -> Result<(), TokenError> {
        // A flight may have published something while the tombstone was not there yet.
        self.cache.evict(account);
        // The account is forgotten even if it could not be revoked.
        if matches!(result, Ok(()) | Err(TokenError::Call(_))) {
            self.emit(&Event::Disconnected { account });
        }
        result
    }

    /// Tells the application what it is to hear of a flight.
    pub fn emit_end(&self, end: &FlightEnd) {
        end.emit(|event| self.emit(event));
    }

    fn emit(&self, event: &Event<'_>) {
        emit(self.settings.listener.as_deref(), event);
    }
}

/// What is shown of a token manager.
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

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{CurrentTokens, Demand, Renewal, RenewalPolicy, TokenError};
use hs_oauth_core::{Account, Random, Timestamp};

use crate::cache::{self, Cache, Snapshot};
use crate::event::{self, Event, Listener};
use crate::outcome::{Finished, Outcome, is_met};
use crate::single_flight::{FlightGuard, SingleFlight, Waiting};

/// What all clones of a token manager share, but for what does IO.
pub struct Shared<W: Waiting> {
    settings: Settings,
    /// The bearers that the process holds.
    pub cache: Cache,
    /// What is under way.
    pub flights: Arc<SingleFlight<W>>,
}

/// What an application sets of a token manager.
#[derive(Default)]
pub struct Settings {
    /// When tokens are renewed, and how long everything may take.
    pub policy: RenewalPolicy,
    /// Whether each user of a HubSpot account has tokens of their own.
    pub user_level: bool,
    /// The application's callback.
    pub listener: Option<Box<Listener>>,
    /// The most renewals that begin in a second; not limited if `None`.
    pub renewals_per_second: Option<NonZeroU32>,
}

/// The run of a flight, with what was known when it began.
#[derive(Debug)]
pub struct Flight {
    /// The run, to be driven to its end.
    pub run: Renewal,
    begun: Finished,
    snapshot: Snapshot,
}

/// A flight that has ended.
#[derive(Debug)]
pub struct FlightEnd {
    /// What its callers get.
    pub outcome: Result<Outcome, TokenError>,
    /// Whether the retries of tokens that could not be saved have to be started.
    pub starts_retries: bool,
    finished: Finished,
    was_held: bool,
}

/// What replaces a bearer that an API answered with 401.
#[derive(Debug)]
pub struct Replacement {
    /// What to demand of a flight.
    pub demand: Demand,
    /// What the bearer that comes of it must pass.
    pub guard: ReplacementGuard,
}

/// Keeps a rejected bearer from being handed out again while it is too early for another renewal.
#[derive(Debug)]
pub struct ReplacementGuard(Option<(Demand, Duration)>);

impl<W: Waiting> Shared<W> {
    /// Returns what the clones of a new manager share.
    pub fn new(settings: Settings) -> Self {
        let cache = Cache::new(settings.policy);
        let flights = Arc::new(SingleFlight::new(settings.renewals_per_second));
        Self { settings, cache, flights }
    }

    /// Returns what the application has set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the run of a flight, which begins with what could not be saved before.
    pub fn begin_flight(&self, account: Account, demand: Demand, random: Random) -> Flight {
        let snapshot = self.cache.snapshot(account);
        let unsaved = self.flights.state().unsaved.get(account).cloned();
        let forced = matches!(demand, Demand::OtherThan(_));
        let mut run = Renewal::new(self.settings.policy, random, demand);
        if let Some(unsaved) = unsaved.clone() {
            run = run.with_unsaved(unsaved);
        }
        let begun = Finished { account, result: Err(TokenError::Interrupted), unsaved, forced };
        Flight { run, begun, snapshot }
    }

    /// Ends a flight whose run has ended: brings the cache up to date and hands the result to its followers. Returns what is to be told
    /// to the application afterwards, and whether the caller has to start the retries of tokens that could not be saved.
    pub fn finish_flight(
        &self,
        guard: &mut FlightGuard<W>,
        flight: Flight,
        result: Result<CurrentTokens, TokenError>,
        now: Timestamp,
        random: u64,
    ) -> FlightEnd {
        let Flight { run, begun, snapshot } = flight;
        let finished = Finished { result, ..begun };
        let (outcome, was_held) = finished.settle(&self.cache, snapshot, now, random);
        let starts_retries = guard.finish(run.into_unsaved(), outcome.clone());
        FlightEnd { outcome, starts_retries, finished, was_held }
    }

    /// Returns the bearer that the process holds if it is another than `rejected`, which an API answered with 401.
    ///
    /// # Errors
    /// What to demand in its place. Not another token if the rejected one came of such a renewal just now: the 401 is not for its age.
    pub fn replacement(
        &self,
        account: Account,
        rejected: &HeaderValue,
        now: Timestamp,
    ) -> Result<HeaderValue, Replacement> {
        let demand = cache::access_token(rejected).map_or(Demand::Usable, Demand::OtherThan);
        if let Some(bearer) = self.cache.fallback(account, &demand, now) {
            return Ok(bearer);
        }
        match self.cache.must_not_force(account, now) {
            None => Err(Replacement { demand, guard: ReplacementGuard(None) }),
            Some(wait) => {
                let guard = ReplacementGuard(Some((demand, wait)));
                Err(Replacement { demand: Demand::Usable, guard })
            }
        }
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
        if let Err(error) = &result {
            // The caller may have gone away, and the error may hold the only copy of the tokens.
            self.emit(&Event::Failed { account, error });
        }
        let CurrentTokens { tokens, version, .. } = result?;
        self.cache.publish(account, snapshot, cache::bearer(&tokens.access_token), &tokens, version);
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

    /// Tells the application. Whatever its callback does, the manager goes on.
    pub fn emit(&self, event: &Event<'_>) {
        event::emit(self.settings.listener.as_deref(), event);
    }
}

impl FlightEnd {
    /// Tells the application what it is to hear of the flight.
    pub fn emit<W: Waiting>(&self, shared: &Shared<W>) {
        self.finished.emit(self.was_held, |event| shared.emit(event));
    }
}

impl ReplacementGuard {
    /// Returns the bearer that was demanded, unless it is the rejected one.
    ///
    /// # Errors
    /// [`TokenError::BackingOff`] if it is.
    pub fn check(self, bearer: HeaderValue) -> Result<HeaderValue, TokenError> {
        match self.0 {
            Some((demand, wait)) if !is_met(&demand, &bearer) => Err(TokenError::BackingOff { wait }),
            _ => Ok(bearer),
        }
    }
}

/// What is shown of a token manager.
impl<W: Waiting> fmt::Debug for Shared<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.flights.state();
        f.debug_struct("TokenManager")
            .field("held", &self.cache.len())
            .field("flights", &state.flights())
            .field("unsaved", &state.unsaved.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("policy", &self.policy).finish_non_exhaustive()
    }
}

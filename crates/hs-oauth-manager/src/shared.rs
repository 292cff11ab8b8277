//! The state that all clones of a token manager share.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{
    CurrentTokens, Demand, Disconnect, Input, Install, MassRefusal, RefreshHistory, Renewal, TokenError,
};
use hs_oauth_core::{Account, AppIdentity, Error, NextStep, Random, RefreshToken, Timestamp, TokenSet};

use crate::cache::{Cache, access_token, bearer};
use crate::event::{Event, emit};
use crate::flight::{Flight, Progress};
use crate::identity::NewTokens;
use crate::install_task::InstallTask;
use crate::installed::Installed;
use crate::outcome::{Caller, FlightEnd};
use crate::queue::Purpose;
use crate::received::Unsaved;
use crate::settings::Settings;
use crate::single_flight::{FlightGuard, SingleFlight, TaskGuard, Waiting};

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
    /// Whether a mass refusal has begun that no event has been emitted for.
    has_unreported_mass_refusal: AtomicBool,
}

impl<W: Waiting> Shared<W> {
    /// Returns the state of a new manager of the tokens of `app`.
    pub fn new(settings: Settings, app: AppIdentity) -> Self {
        let cache = Cache::new(settings.policy);
        let flights = Arc::new(SingleFlight::new(settings.renewals_per_second));
        let refreshes = Mutex::new(RefreshHistory::new(settings.mass_refusal_limit));
        Self { settings, cache, flights, app, refreshes, has_unreported_mass_refusal: AtomicBool::new(false) }
    }

    /// Begins a flight, and returns its run. The run begins with the tokens that an earlier one could not save, if there are any.
    pub fn begin_flight(&self, account: Account, demand: Demand, now: Timestamp, random: Random) -> Flight {
        let snapshot = self.cache.snapshot(account);
        let unsaved = self.flights.state().received.to_save(account).cloned();
        let forced = matches!(demand, Demand::OtherThan(_));
        let mut run = Renewal::new(self.settings.policy, self.app.clone(), account, random.clone(), demand);
        let mut install = None;
        match unsaved.clone() {
            Some(Unsaved::Renewal(unsaved)) => run = run.with_unsaved(unsaved),
            // It draws no identifier, so it may have the random numbers of the renewal.
            Some(Unsaved::Install(unsaved)) => {
                install = Some(Install::again(self.app.clone(), random, unsaved))
            }
            None => {}
        }
        let progress = Progress::default();
        Flight { run, install, progress, account, snapshot, unsaved, forced, began: now }
    }

    /// Notes the response to a refresh, and returns it as the input of the run that asked for it.
    pub fn refreshed(&self, account: Account, now: Timestamp, response: Result<TokenSet, Error>) -> Input {
        let is_refused = response.as_ref().is_err_and(|error| error.next_step() == NextStep::Reauthorize);
        let mass_refusal =
            self.refreshes.lock().unwrap_or_else(PoisonError::into_inner).note(now, account, is_refused);
        if mass_refusal == MassRefusal::Begun {
            // The event is emitted with those of the flight, since the listener may shut the manager down, which waits for the flight.
            self.has_unreported_mass_refusal.store(true, Ordering::Release);
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
        let account = guard.account();
        let began_with = flight.unsaved.clone();
        let (mut end, left) = FlightEnd::new(flight, result, &self.cache, now, random);
        if let (Some(Unsaved::Install(install)), None | Some(Unsaved::Renewal(_))) = (&began_with, &left) {
            self.flights.state().received.remove_install(account, install);
        }
        end.starts_retries = guard.finish(left, end.result.clone());
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

    /// Checks that the account names a user if, and only if, the manager is user-level.
    ///
    /// # Errors
    /// [`TokenError::WrongLevel`] if not.
    pub fn check_level(&self, account: Account) -> Result<(), TokenError> {
        match account.user_id.is_some() == self.settings.user_level {
            true => Ok(()),
            false => Err(TokenError::WrongLevel { account, tokens: None }),
        }
    }

    /// Returns new tokens that are to be installed. `expected` is the account that they must belong to, if the caller has named one.
    ///
    /// # Errors
    /// - [`TokenError::NotRenewable`] if there is no refresh token among them.
    /// - [`TokenError::WrongLevel`] with the tokens if the account does not fit the manager.
    pub fn new_tokens(&self, tokens: TokenSet, expected: Option<Account>) -> Result<NewTokens, TokenError> {
        if tokens.refresh_token.is_none() {
            return Err(TokenError::NotRenewable);
        }
        match expected {
            Some(account) if self.check_level(account).is_err() => {
                Err(TokenError::WrongLevel { account, tokens: Some(Box::new(tokens)) })
            }
            expected => Ok(NewTokens::new(tokens, expected, self.settings.user_level)),
        }
    }

    /// Begins the install of tokens. From now on they are known to the manager.
    pub fn begin_install(
        &self,
        task: TaskGuard<W>,
        account: Account,
        tokens: TokenSet,
        now: Timestamp,
        random: Random,
    ) -> InstallTask<W> {
        let run = Install::new(self.app.clone(), random, tokens);
        InstallTask::new(&self.flights, task, account, run, self.cache.snapshot(account), now)
    }

    /// Ends an install whose run ended with `result`. Puts its tokens into the cache and emits an event. If they could not be saved,
    /// `start_retries` has to start [`SaveRetries`](crate::SaveRetries).
    ///
    /// # Errors
    /// The error of the run.
    pub fn finish_install(
        &self,
        mut install: InstallTask<W>,
        result: Result<CurrentTokens, TokenError>,
        now: Timestamp,
        start_retries: impl FnOnce(),
    ) -> Result<Installed, TokenError> {
        let (account, snapshot, took) = (install.account, install.snapshot, now.since(install.began));
        let reinstall = install.run.is_reinstall();
        if install.finish(&result) {
            start_retries();
        }
        // The listener may shut the manager down, which waits until no task is under way.
        drop(install);
        // The caller may not wait any more, and the error may hold the only copy of the tokens.
        let result = result.inspect_err(|error| self.emit(&Event::Failed { account, error, took }));
        let CurrentTokens { tokens, version, .. } = result?;
        match tokens.has_access_token() {
            true => _ = self.cache.publish(account, snapshot, bearer(&tokens.access_token), &tokens, version),
            false => self.cache.evict(account),
        }
        self.emit(&Event::Installed { account, reinstall });
        let TokenSet { user_id, scopes, expires_at, .. } = tokens;
        Ok(Installed { account, user_id, scopes, expires_at, reinstall })
    }

    /// Forgets an install of the account that could not be saved, after a disconnect whose run ended with `result`. Returns its refresh token,
    /// which is still to be revoked.
    pub fn discard_install(&self, account: Account, result: &Result<(), TokenError>) -> Option<RefreshToken> {
        match result {
            Ok(()) | Err(TokenError::Call(_)) => self.flights.discard_install(account),
            Err(_) => None,
        }
    }

    /// Ends the disconnect of an account, whose run ended with `result`. Evicts the account from the cache and emits an event.
    ///
    /// # Errors
    /// The error of the run.
    pub fn finish_disconnect(
        &self,
        task: TaskGuard<W>,
        account: Account,
        run: &Disconnect,
        result: Result<(), TokenError>,
    ) -> Result<(), TokenError> {
        // A flight may have published tokens before the tombstone was stored.
        self.cache.evict(account);
        // The listener may shut the manager down, which waits until no task is under way.
        drop(task);
        // The tokens are forgotten even if the refresh token could not be revoked.
        if run.was_installed() && matches!(result, Ok(()) | Err(TokenError::Call(_))) {
            self.emit(&Event::Disconnected { account });
        }
        result
    }

    /// Emits the events of a flight. Its guard must have been dropped, since the listener may shut the manager down.
    ///
    /// The last attempt of a shutdown to save tokens emits no event if it fails: the shutdown returns the tokens. Otherwise a listener that
    /// shuts the manager down at every event would never come to an end.
    pub fn emit_end(&self, end: &FlightEnd, purpose: Purpose) {
        if self.has_unreported_mass_refusal.swap(false, Ordering::AcqRel) {
            self.emit(&Event::MassRefusal);
        }
        end.emit(|event| match event {
            Event::Failed { .. } if purpose == Purpose::Shutdown => {}
            event => self.emit(event),
        });
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
            .field("unsaved", &state.received.len())
            .finish_non_exhaustive()
    }
}

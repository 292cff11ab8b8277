//! The state that all clones of a token manager share.

mod installs;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{
    AccountStatus, CurrentTokens, Demand, Input, Install, MassRefusal, RefreshHistory, Renewal, Stored,
    TokenError,
};
use hs_oauth_core::{
    Account, AccountDetails, AppIdentity, Error, NextStep, Random, StoreError, Timestamp, TokenSet,
};
use hs_oauth_store::Page;

use crate::app_tokens::AppTokens;
use crate::cache::{Cache, access_token};
use crate::credentials::Credentials;
use crate::daily_limit::DailyLimits;
use crate::entropy::random;
use crate::event::{Event, emit};
use crate::flight::{Flight, Progress};
use crate::health::Health;
use crate::metrics;
use crate::outcome::{Caller, FlightEnd};
use crate::queue::{Limits, Purpose};
use crate::received::Unsaved;
use crate::recent_failures::RecentFailures;
use crate::settings::Settings;
use crate::single_flight::{FlightGuard, SingleFlight, Waiting};
use crate::standing::{Standing, Standings};
use crate::store_outage::StoreOutage;
use crate::sweep::{Sweep, SweepPlan, SweepProgress, SweepStep};

/// The state that all clones of a token manager share. Client and store are not part of it.
pub struct Shared<W: Waiting> {
    /// The settings of the application.
    pub settings: Settings,
    /// The bearers that the process holds.
    pub cache: Cache,
    /// The tokens of the app itself.
    pub app_tokens: Arc<AppTokens<W>>,
    /// The flights that have not ended.
    pub flights: Arc<SingleFlight<W>>,
    /// The app whose tokens the manager holds, as it was when the manager was made.
    pub app: AppIdentity,
    /// The credential with which requests are sent.
    credentials: Arc<Credentials>,
    /// The last minute's refreshes.
    refreshes: Mutex<RefreshHistory>,
    /// Whether a mass refusal has begun that no event has been emitted for.
    has_unreported_mass_refusal: AtomicBool,
    daily_limits: DailyLimits,
    failures: RecentFailures,
    store_outage: StoreOutage,
    /// How accounts stood when this process last saw their records.
    pub(crate) standings: Standings,
    sweep: Option<Mutex<SweepPlan>>,
    /// When the numbers were last recorded as metrics, in milliseconds since 1970.
    recorded_at: AtomicU64,
}

impl<W: Waiting> Shared<W> {
    /// Returns the state of a new manager of the tokens of `app`.
    pub fn new(settings: Settings, credentials: Arc<Credentials>) -> Self {
        metrics::describe();
        let cache = Cache::new(settings.policy);
        let app_tokens = Arc::new(AppTokens::new(settings.policy));
        let flights = Arc::new(SingleFlight::new(settings.limits));
        let sweep = settings.sweep.map(|sweep| Mutex::new(plan(sweep, &settings, credentials.identity())));
        let refreshes = Mutex::new(RefreshHistory::new(settings.mass_refusal_limit));
        Self {
            settings,
            cache,
            app_tokens,
            flights,
            app: credentials.identity(),
            credentials,
            refreshes,
            has_unreported_mass_refusal: AtomicBool::new(false),
            daily_limits: DailyLimits::default(),
            failures: RecentFailures::default(),
            store_outage: StoreOutage::default(),
            standings: Standings::default(),
            sweep,
            recorded_at: AtomicU64::new(0),
        }
    }

    /// Returns why the caller has no bearer, if the account had none a moment ago. It is asked if the cache has no bearer either. For a
    /// renewal that is asked for, it forgets what it remembers.
    pub fn recent_failure(&self, caller: &Caller, now: Timestamp) -> Option<TokenError> {
        if !matches!(caller.demand, Demand::Usable | Demand::OtherThan(_)) {
            self.failures.forget(caller.account);
        }
        self.failures.error(caller.account, now)
    }

    /// Returns what the stored record says of the account.
    pub fn status(&self, account: Account, stored: Option<&Stored>, now: Timestamp) -> Option<AccountStatus> {
        let record = &stored?.record;
        Some(AccountStatus::new(account, record, &self.settings.policy, now))
    }

    /// Returns how the manager is after a check of the store that ended with `checked`.
    pub fn health(&self, checked: Result<(), TokenError>, now: Timestamp) -> Health {
        let (gone, backing_off) = (self.standings.gone(), self.standings.backing_off(now));
        let sweep = self.sweep_progress(now);
        let state = self.flights.state();
        Health {
            error: checked.err(),
            is_shut_down: state.is_shut_down,
            held: self.cache.len(),
            flights: state.flights.len(),
            waiting: state.queue.len(),
            unsaved: state.received.len(),
            gone,
            backing_off,
            sweep,
        }
    }

    /// Notes the result of a load.
    pub fn note_load<T>(&self, account: Account, result: &Result<T, StoreError>, now: Timestamp) {
        self.store_outage.note_load(account, result, now);
    }

    /// Begins a flight, and returns its run. The run begins with the tokens that an earlier one could not save, if there are any. While the
    /// store fails, most flights end at once.
    pub fn begin_flight(
        &self,
        account: Account,
        demand: Demand,
        purpose: Purpose,
        now: Timestamp,
        random: Random,
    ) -> Flight {
        let snapshot = self.cache.snapshot(account);
        let forgotten = self.failures.forgotten();
        let unsaved = self.flights.state().received.to_save(account).cloned();
        let refusal = match unsaved {
            Some(_) => None,
            None => self.store_outage.refusal(now, self.settings.store_timeout).map(TokenError::Store),
        };
        if demand == Demand::NewerDespiteRetryAfter {
            self.flights.state().queue.ignore_pauses(account);
        }
        let fresh_at = match purpose {
            Purpose::Sweep => self.sweep().and_then(|sweep| sweep.fresh_at(account, now)),
            _ => None,
        };
        let any_usable = demand == Demand::Usable;
        let forced = matches!(demand, Demand::OtherThan(_));
        // A back-off counts for the credential with which the refresh is sent.
        let app = self.credentials.identity();
        let mut run = Renewal::new(self.settings.policy, app, account, random.clone(), demand);
        let mut install = None;
        match unsaved.clone() {
            Some(Unsaved::Renewal(unsaved)) => run = run.with_unsaved(unsaved),
            // It draws no identifier, so it may have the random numbers of the renewal.
            Some(Unsaved::Install(unsaved)) => {
                install = Some(Install::again(self.app.clone(), random, unsaved))
            }
            None => {}
        }
        Flight {
            run,
            install,
            progress: Progress::new(self.settings.policy),
            account,
            snapshot,
            forgotten,
            refusal,
            unsaved,
            any_usable,
            forced,
            keeps_tokens: purpose != Purpose::Sweep || self.settings.sweep.is_some_and(Sweep::keeps_tokens),
            fresh_at,
            began: now,
        }
    }

    /// Notes the response to a call that is not a refresh. A 429 pauses the renewals of all accounts.
    pub fn note_response<T>(&self, response: &Result<T, Error>) {
        self.flights.note_response(None, response, self.settings.clock.wait_time());
    }

    /// Returns the input with which the account's run is resumed in place of a refresh, or `None` if the refresh is sent now.
    pub fn before_send(&self, account: Account) -> Option<Input> {
        self.flights.state().queue.before_send(account, self.settings.clock.wait_time())
    }

    /// Notes the response to a refresh, and returns it as the input of the run that asked for it. `is_recheck` says that the grant was gone
    /// before.
    pub fn refreshed(
        &self,
        account: Account,
        is_recheck: bool,
        now: Timestamp,
        response: Result<TokenSet, Error>,
    ) -> Input {
        self.flights.note_response(Some(account), &response, self.settings.clock.wait_time());
        let is_refused = response.as_ref().is_err_and(|error| error.next_step() == NextStep::Reauthorize);
        // Only this account waits until its midnight.
        let response = self.daily_limits.until_midnight(account, response, now);
        let mass_refusal = match response.is_ok() || is_refused && !is_recheck {
            true => {
                self.refreshes.lock().unwrap_or_else(PoisonError::into_inner).note(now, account, is_refused)
            }
            // It says nothing about the app: HubSpot or the network failed, or the grant was gone before.
            false => MassRefusal::Absent,
        };
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
        let account = flight.account;
        let renewed = matches!(result, Ok(CurrentTokens { renewed: true, .. }));
        let seen = match &result {
            // Its record is neither used nor looked after.
            Err(TokenError::OtherApp { .. }) => Some(None),
            _ => flight.progress.seen(),
        };
        self.note_standing(account, seen, renewed, now);
        let unreported = match &result {
            _ if flight.refusal.is_some() => None,
            Err(TokenError::Store(error)) => self.store_outage.report(error, now),
            _ => Some(0),
        };
        match &result {
            Ok(CurrentTokens { renewed: true, .. }) => self.store_outage.note_renewed(),
            Ok(_) => {}
            // With other errors, another caller may be content with a token that was not enough for this flight's.
            Err(error)
                if flight.any_usable
                    || matches!(error, TokenError::Gone { .. } | TokenError::NotInstalled) =>
            {
                self.failures.note(account, flight.forgotten, error, now);
            }
            Err(_) => {}
        }
        if matches!(flight.progress.install, Some(Ok(_))) {
            self.failures.forget(account);
        }
        let began_with = flight.unsaved.clone();
        metrics::renewal(&result, flight.forced, now.since(flight.began));
        let (mut end, left) = FlightEnd::new(flight, result, unreported, &self.cache, now, random);
        if let (Some(Unsaved::Install(install)), None | Some(Unsaved::Renewal(_))) = (&began_with, &left) {
            self.flights.state().received.remove_install(account, install);
        }
        end.starts_retries = guard.finish(left, end.result.clone());
        self.record_numbers(now);
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

    /// Notes the details of an account. From now on, the wait after a `DAILY` 429 of this account ends at its midnight.
    pub fn note_details(&self, account: Account, details: &AccountDetails) {
        self.daily_limits.note(account, details.clone());
    }

    /// Returns the result of a call with the account's bearer, for the caller.
    ///
    /// # Errors
    /// [`TokenError::Call`] with the error of the call. The wait after a `DAILY` 429 ends at the account's midnight, if its details are
    /// known.
    pub fn called<T>(
        &self,
        account: Account,
        result: Result<T, Error>,
        now: Timestamp,
    ) -> Result<T, TokenError> {
        self.daily_limits.until_midnight(account, result, now).map_err(TokenError::Call)
    }

    /// Emits the events of a flight. Its guard must have been dropped, since the listener may shut the manager down.
    ///
    /// The last attempt of a shutdown to save tokens emits no event if it fails: the shutdown returns the tokens. Otherwise a listener that
    /// shuts the manager down at every event would never come to an end.
    pub fn emit_end(&self, end: &FlightEnd, purpose: Purpose) {
        if self.has_unreported_mass_refusal.swap(false, Ordering::AcqRel) {
            self.emit(&Event::MassRefusal);
        }
        if self.credentials.take_refusal() {
            self.emit(&Event::CredentialRefused);
        }
        end.emit(|event| match event {
            Event::Failed { .. } if purpose == Purpose::Shutdown => {}
            event => self.emit(event),
        });
    }

    /// Records the numbers that grow and fall, where somebody measures them.
    fn record_numbers(&self, now: Timestamp) {
        if !cfg!(feature = "metrics") {
            return;
        }
        let last = self.recorded_at.swap(now.as_millis(), Ordering::Relaxed);
        // Once a second while many renewals end, and once nothing is under way any more.
        let is_due = now.as_millis().abs_diff(last) >= 1000;
        match is_due || self.flights.state().flights.is_empty() {
            true => metrics::numbers(&self.health(Ok(()), now)),
            false => self.recorded_at.store(last, Ordering::Relaxed),
        }
    }

    /// Notes how an account stood in the record that was seen last, if one was, and whether this process renewed its tokens.
    fn note_standing(&self, account: Account, seen: Option<Option<Standing>>, renewed: bool, now: Timestamp) {
        if let Some(standing) = seen {
            self.standings.note(account, standing);
        }
        if let Some(mut sweep) = self.sweep() {
            sweep.ended(account, seen, renewed, now);
            drop(sweep);
            self.flights.waiting.sweep_changed();
        }
    }

    /// Returns what is to be done for the sweep now, or `None` if there is none, or none any more.
    pub fn next_of_sweep(&self, now: Timestamp) -> Option<SweepStep> {
        let mut sweep = self.sweep()?;
        (!self.flights.is_closed()).then(|| sweep.next(now))
    }

    /// Passes a page of the store to the sweep, or why it could not be read.
    pub fn note_page(&self, page: Result<Page, StoreError>, now: Timestamp) {
        if let Some(mut sweep) = self.sweep() {
            sweep.page_read(page, now);
        }
    }

    /// Returns how far the sweep is, if there is one.
    pub fn sweep_progress(&self, now: Timestamp) -> Option<SweepProgress> {
        Some(self.sweep()?.progress(now))
    }

    fn sweep(&self) -> Option<MutexGuard<'_, SweepPlan>> {
        Some(self.sweep.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn emit(&self, event: &Event<'_>) {
        emit(self.settings.listener.as_deref(), event);
    }
}

/// Returns the plan of a sweep of the tokens of `app`.
fn plan(sweep: Sweep, settings: &Settings, app: AppIdentity) -> SweepPlan {
    let Limits { per_second, replicas, in_flight } = settings.limits;
    // The other half is for callers who come while the sweep's flights wait for HubSpot. And no flight waits for longer than about a second
    // for the rate: meanwhile another replica may have renewed the account.
    let share = per_second.map_or(u32::MAX, |per_second| per_second.get().div_ceil(replicas.get()));
    let max_in_flight = usize::try_from(in_flight.get().div_ceil(2).min(share)).unwrap_or(usize::MAX);
    let seed = random().next_u64();
    SweepPlan::new(sweep, settings.policy, app, settings.user_level, replicas, max_in_flight, seed)
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use hs_oauth_core::http::{Response, StatusCode};
    use hs_oauth_core::{
        AccessToken, ApiError, App, ClientSecret, Endpoint, Operation, ReadAccountDetails, StoreErrorKind,
    };

    use hs_oauth_core::renewal::{Disconnect, GrantId, Record, Run, Step};

    use super::*;
    use crate::queue::Purpose;
    use crate::settings::TokenManagerBuilder;
    use crate::tests::{ACCOUNT, NOW, Recorder, app, lead, tokens};

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// The events that were emitted: their names, and how many failures were not reported.
    type Events = Arc<Mutex<Vec<(&'static str, u64)>>>;

    /// Returns a manager without a transport, and its events.
    fn shared() -> (Shared<Recorder>, Events) {
        let events = Events::default();
        let seen = Arc::clone(&events);
        let settings = TokenManagerBuilder::<_, ()>::new(|settings, _| settings).on_event(move |event| {
            let unreported = if let Event::Failed { unreported, .. } = event { *unreported } else { 0 };
            seen.lock().unwrap().push((event.name(), unreported));
        });
        let app = App::hubspot("client-id", ClientSecret::new("s3cret").unwrap()).build().unwrap();
        (Shared::new(settings.build(), Arc::new(Credentials::new(&Arc::new(app)))), events)
    }

    fn begin(shared: &Shared<Recorder>, demand: Demand) -> Flight {
        shared.begin_flight(ACCOUNT, demand, Purpose::Caller, NOW, Random::new([1; 32]))
    }

    fn end(shared: &Shared<Recorder>, flight: Flight, error: TokenError, now: Timestamp) {
        let mut guard = lead(&shared.flights, Purpose::Caller);
        let end = shared.finish_flight(&mut guard, flight, Err(error), now, 0);
        drop(guard);
        shared.emit_end(&end, Purpose::Caller);
    }

    fn remembered(shared: &Shared<Recorder>, demand: Demand) -> Option<&'static str> {
        let caller = Caller::new(ACCOUNT, demand);
        shared.recent_failure(&caller, NOW).map(|error| error.name())
    }

    fn install(shared: &Shared<Recorder>) {
        let tokens = tokens("installed");
        let current = CurrentTokens { tokens, version: 1, renewed: true, refresh_error: None };
        let task = shared.flights.start_task().unwrap();
        let install = shared.begin_install(task, ACCOUNT, current.tokens.clone(), NOW, Random::new([1; 32]));
        shared.finish_install(install, Ok(current), NOW, || panic!("it is saved")).unwrap();
    }

    fn other_than(name: &str) -> Demand {
        Demand::OtherThan(AccessToken::new(name).unwrap())
    }

    fn down() -> StoreError {
        StoreError::new(StoreErrorKind::Unavailable)
    }

    #[test]
    fn the_next_callers_of_an_account_receive_its_error_from_memory() {
        for demand in [Demand::Usable, other_than("a"), Demand::Newer] {
            let (shared, _) = shared();
            let flight = begin(&shared, demand);
            end(&shared, flight, TokenError::NotInstalled, NOW);
            assert_eq!(remembered(&shared, Demand::Usable), Some("not_installed"));
            assert_eq!(remembered(&shared, other_than("a")), Some("not_installed"));
            assert_eq!(remembered(&shared, Demand::Newer), None, "it is asked for");
            assert_eq!(remembered(&shared, Demand::Usable), None, "it is forgotten");
        }
    }

    #[test]
    fn a_caller_who_is_content_with_less_does_not_receive_the_error_of_one_who_was_not() {
        for demand in [other_than("a"), Demand::Newer] {
            let (shared, _) = shared();
            for error in [
                TokenError::BackingOff { wait: Duration::from_secs(60), cause: None },
                TokenError::NotRenewable,
                TokenError::Store(down()),
            ] {
                let flight = begin(&shared, demand.clone());
                end(&shared, flight, error, NOW);
                assert_eq!(remembered(&shared, Demand::Usable), None);
            }
        }
    }

    #[test]
    fn an_install_and_a_disconnect_end_what_is_remembered_even_of_flights_under_way() {
        let (shared, _) = shared();
        let flight = begin(&shared, Demand::Usable);
        end(&shared, flight, TokenError::NotInstalled, NOW);
        let under_way = begin(&shared, Demand::Usable);
        install(&shared);
        assert_eq!(remembered(&shared, Demand::Usable), None);
        end(&shared, under_way, TokenError::NotInstalled, NOW);
        assert_eq!(remembered(&shared, Demand::Usable), None);
        let flight = begin(&shared, Demand::Usable);
        end(&shared, flight, TokenError::BackingOff { wait: MILLISECOND, cause: None }, NOW);
        let run = Disconnect::new(app(), Random::new([1; 32]));
        let task = shared.flights.start_task().unwrap();
        shared.finish_disconnect(task, ACCOUNT, &run, Ok(())).unwrap();
        assert_eq!(remembered(&shared, Demand::Usable), None);
    }

    #[test]
    fn while_the_store_fails_flights_end_at_once_without_an_event_and_one_a_second_asks_it() {
        let (shared, events) = shared();
        for hub_id in 1..=5 {
            shared.note_load(Account::hub(hub_id), &Err::<(), _>(down()), NOW.minus(MILLISECOND * 1000));
        }
        let asks = begin(&shared, Demand::Usable);
        assert!(asks.refusal().is_none());
        for _ in 0..3 {
            let flight = begin(&shared, Demand::Usable);
            let refusal = flight.refusal().unwrap();
            assert!(matches!(refusal, TokenError::Store(_)));
            end(&shared, flight, refusal, NOW);
        }
        assert!(events.lock().unwrap().is_empty());
        end(&shared, asks, TokenError::Store(down()), NOW);
        for second in [1, 30, 59, 60] {
            let flight = begin(&shared, Demand::Newer);
            end(&shared, flight, TokenError::Store(down()), NOW.plus(Duration::from_secs(second)));
        }
        assert_eq!(*events.lock().unwrap(), [("failed", 0)], "the others were refused");
        shared.note_load(ACCOUNT, &Ok(()), NOW);
        for second in [59, 60] {
            let flight = begin(&shared, Demand::Newer);
            end(&shared, flight, TokenError::Store(down()), NOW.plus(Duration::from_secs(second)));
        }
        assert_eq!(*events.lock().unwrap(), [("failed", 0), ("failed", 1)]);
    }

    /// Drives a flight over this record. Every refresh fails with `response`.
    fn drive(shared: &Shared<Recorder>, mut flight: Flight, record: Record, response: &Error) {
        let mut step = flight.start(NOW);
        let result = loop {
            let input = match step {
                Step::Load { .. } => Input::Loaded(Some(Stored { version: 1, record: record.clone() })),
                Step::Swap { .. } => Input::Stored(2),
                Step::Admit { .. } => Input::Admit { waited: false },
                Step::Send { .. } => shared.refreshed(ACCOUNT, false, NOW, Err(response.clone())),
                Step::Done(result) => break result,
                other => panic!("{other:?}"),
            };
            step = flight.resume(NOW, input);
        };
        let mut guard = lead(&shared.flights, Purpose::Caller);
        shared.finish_flight(&mut guard, flight, result, NOW, 0);
    }

    #[test]
    fn health_counts_the_accounts_that_a_flight_left_gone_or_backing_off_until_an_install() {
        let unavailable = ApiError::new(Operation::Refresh, StatusCode::SERVICE_UNAVAILABLE);
        let mut refused = ApiError::new(Operation::Refresh, StatusCode::BAD_REQUEST);
        refused.error = Some("invalid_grant".into());
        for (error, gone, backing_off) in [(refused, 1, 0), (unavailable, 0, 1)] {
            let (shared, _) = shared();
            let record = Record::new(GrantId::generate(&mut Random::new([1; 32])), tokens("old"));
            let flight = begin(&shared, Demand::Newer);
            drive(&shared, flight, record, &error.into());
            let health = shared.health(Ok(()), NOW);
            assert_eq!((health.gone, health.backing_off), (gone, backing_off));
            assert!(health.is_ready(), "the accounts of one process are not well in any other either");
            install(&shared);
            let health = shared.health(Ok(()), NOW);
            assert_eq!((health.gone, health.backing_off, health.held), (0, 0, 1));
        }
    }

    #[test]
    fn a_process_is_not_ready_while_its_store_takes_no_writes_and_after_a_shutdown() {
        let (shared, _) = shared();
        let failing = shared.health(Err(TokenError::Store(down())), NOW);
        assert!(!failing.is_ready());
        let json = serde_json::to_value(&failing).unwrap();
        assert_eq!(json["error"], "the token store does not answer; next: try again later");
        assert!(shared.health(Ok(()), NOW).is_ready());
        shared.flights.shut_down();
        assert!(!shared.health(Ok(()), NOW).is_ready());
    }

    /// HubSpot's "API usage guidelines": a daily limit resets at midnight in the account's time zone.
    #[test]
    fn after_a_daily_limit_an_account_whose_details_are_known_waits_until_its_midnight_and_others_an_hour() {
        let daily = || {
            let mut error = ApiError::new(Operation::Refresh, StatusCode::TOO_MANY_REQUESTS);
            error.policy_name = Some("DAILY".to_owned());
            Err::<TokenSet, _>(Error::from(error))
        };
        let hours = |hours: u64| Some(NextStep::RetryAfter(Some(Duration::from_secs(hours * 3600))));
        // 00:00 in Greenwich, 19:00 in New York.
        let now = Timestamp::from_secs(20_718 * 24 * 3600);
        let next_step =
            |shared: &Shared<Recorder>, account| match shared.refreshed(account, false, now, daily()) {
                Input::Refreshed { response, .. } => response.err().map(|error| error.next_step()),
                other => panic!("{other:?}"),
            };
        let app = App::hubspot("id", ClientSecret::new("s3cret").unwrap()).build().unwrap();
        let body = r#"{"portalId":1,"utcOffsetMilliseconds":-18000000}"#;
        let request = ReadAccountDetails::new(AccessToken::new("a").unwrap());
        let details = request.read_response(&app, now, &Response::new(body)).unwrap();

        let (shared, _) = shared();
        assert_eq!(next_step(&shared, ACCOUNT), hours(1));
        shared.note_details(ACCOUNT, &details);
        assert_eq!(next_step(&shared, ACCOUNT), hours(5));
        assert_eq!(shared.called(ACCOUNT, daily(), now).err().map(|error| error.next_step()), hours(5));
        assert_eq!(next_step(&shared, Account::hub(2)), hours(1));
        let all = shared.before_send(Account::hub(2));
        assert!(matches!(all, Some(Input::Paused { wait, .. }) if wait <= Duration::from_secs(3600)));
        let run = Disconnect::new(self::app(), Random::new([1; 32]));
        let task = shared.flights.start_task().unwrap();
        shared.finish_disconnect(task, ACCOUNT, &run, Ok(())).unwrap();
        assert_eq!(next_step(&shared, ACCOUNT), hours(1), "they are forgotten");
    }

    /// Tokens that could not be saved exist nowhere else, so every attempt to save them is made.
    #[test]
    fn a_flight_with_unsaved_tokens_asks_the_store_even_while_it_fails() {
        let (shared, _) = shared();
        lead(&shared.flights, Purpose::Caller)
            .finish(Some(crate::tests::unsaved()), Err(TokenError::Interrupted));
        for hub_id in 1..=5 {
            shared.note_load(Account::hub(hub_id), &Err::<(), _>(down()), NOW);
        }
        assert!(begin(&shared, Demand::Usable).refusal().is_none());
    }
}

//! The end of a flight, which is one renewal in one process, and what follows from it for the cache, the callers and the application.

use std::time::Duration;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{CurrentTokens, Demand, RetryCause, TokenError};
use hs_oauth_core::{Account, Timestamp};

use crate::cache::{Cache, bearer, is_met};
use crate::event::Event;
use crate::flight::Flight;
use crate::received::Unsaved;

/// The result of a flight, for its callers.
pub type FlightResult = Result<Outcome, TokenError>;

/// The result of a flight that has a bearer.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The bearer.
    pub bearer: HeaderValue,
    /// Whether this flight renewed the token. If not, it found the token in the store.
    pub renewed: bool,
    /// Whether the account may have been disconnected during the flight.
    pub evicted: bool,
}

/// What a caller receives in the end.
pub type BearerResult = Result<HeaderValue, TokenError>;

/// A flight that has ended.
#[derive(Debug)]
pub struct FlightEnd {
    /// The result for its callers.
    pub result: FlightResult,
    /// Whether the driver has to start [`SaveRetries`](crate::SaveRetries).
    pub starts_retries: bool,
    account: Account,
    unsaved: Option<Unsaved>,
    /// What came of an install that an earlier run could not finish: whether it was a reinstall, or why it does not stand.
    install: Option<Result<bool, TokenError>>,
    run_result: Result<CurrentTokens, TokenError>,
    /// Whether the cache had a token of the account and evicted it because of this flight.
    was_evicted: bool,
    /// How long the flight took.
    took: Duration,
    /// Whether the grant was gone before.
    was_gone: bool,
    /// How many failures of the store had no event since the last one that had, or `None` if this one has none either.
    unreported: Option<u64>,
}

/// A caller who asks for a bearer. It may start or join several flights until it has one.
#[derive(Debug)]
pub struct Caller {
    /// The account.
    pub account: Account,
    /// What the caller needs.
    pub demand: Demand,
    /// Set if it is too early to renew a rejected token: the demand that another bearer must meet, and how long to wait.
    too_early: Option<(Demand, Duration)>,
    /// How many flights the caller may still start or join.
    remaining_flights: u32,
}

/// The most flights that a caller starts or joins. More than one may be needed, since a flight may have been started for a caller with
/// a lesser demand.
const MAX_FLIGHTS: u32 = 3;

impl FlightEnd {
    /// Brings the cache up to date with the result of a flight's run. Returns the end, and the tokens that the run could not save.
    /// `unreported` is how many failures of the store had no event, or `None` if this one shall have none; `random` spreads pauses.
    pub(crate) fn new(
        flight: Flight,
        run_result: Result<CurrentTokens, TokenError>,
        unreported: Option<u64>,
        cache: &Cache,
        now: Timestamp,
        random: u64,
    ) -> (Self, Option<Unsaved>) {
        let Flight {
            run, install, progress, account, snapshot, unsaved, forced, keeps_tokens, began, ..
        } = flight;
        let (took, was_gone) = (now.since(began), run.has_rechecked());
        let mut was_evicted = false;
        let result = match &run_result {
            Ok(CurrentTokens { tokens, version, renewed, .. }) => {
                let bearer = bearer(&tokens.access_token);
                let evicted =
                    !cache.publish(account, snapshot, bearer.clone(), tokens, *version, keeps_tokens);
                match renewed {
                    true if forced => cache.note_forced(account, now, tokens),
                    true => {}
                    false => cache.pause(account, now, random),
                }
                Ok(Outcome { bearer, renewed: *renewed, evicted })
            }
            Err(error) => {
                let is_over = matches!(error, TokenError::Gone { .. } | TokenError::NotInstalled);
                was_evicted = is_over && cache.evict_seen(account, snapshot);
                cache.pause(account, now, random);
                Err(error.clone())
            }
        };
        let left = match install {
            Some(install) => Some(Unsaved::Install(install.unsaved().clone())),
            None => run.into_unsaved().map(Unsaved::Renewal),
        };
        let install = progress.install;
        let end = Self {
            result,
            starts_retries: false,
            account,
            unsaved,
            install,
            run_result,
            was_evicted,
            took,
            was_gone,
            unreported,
        };
        (end, left)
    }

    /// Emits the events of the flight.
    pub(crate) fn emit(&self, emit: impl Fn(&Event<'_>)) {
        let Self { account, took, .. } = *self;
        match &self.install {
            Some(Ok(reinstall)) => emit(&Event::Installed { account, reinstall: *reinstall }),
            Some(Err(error)) => emit(&Event::Failed { account, error, took, unreported: 0 }),
            None => {}
        }
        match &self.run_result {
            Ok(CurrentTokens { tokens, renewed: true, .. }) => {
                let expires_at = tokens.expires_at;
                match &self.unsaved {
                    Some(unsaved) if unsaved.tokens().has_same_tokens(tokens) => {
                        emit(&Event::Saved { account, expires_at });
                    }
                    _ => emit(&Event::Renewed { account, expires_at, took }),
                }
            }
            // The old token is still good, so no caller receives the error.
            Ok(CurrentTokens { refresh_error: Some(error), .. }) => {
                emit(&Event::Failed { account, error, took, unreported: 0 });
            }
            Err(TokenError::Gone { unsettled, refusal })
                if refusal.is_some() && !self.was_gone || self.was_evicted =>
            {
                emit(&Event::Gone { account, unsettled: *unsettled });
            }
            // Nothing was sent, or an event has been emitted for it before.
            Ok(_)
            | Err(TokenError::Gone { .. } | TokenError::NotInstalled | TokenError::NotRenewable)
            | Err(TokenError::BackingOff { .. } | TokenError::ShutDown) => {}
            Err(error) => {
                if let Some(unreported) = self.unreported {
                    emit(&Event::Failed { account, error, took, unreported });
                }
            }
        }
    }
}

impl Caller {
    /// Returns a caller who has not started or joined a flight yet. `demand` says which bearers are enough.
    pub fn new(account: Account, demand: Demand) -> Self {
        Self { account, demand, too_early: None, remaining_flights: MAX_FLIGHTS }
    }

    /// Returns a caller whose bearer was rejected although it came from a forced renewal just before: the 401 has another cause than its
    /// age. The caller receives another bearer only if one is stored already, and otherwise [`TokenError::BackingOff`] with `wait`.
    pub fn too_early(account: Account, demand: Demand, wait: Duration) -> Self {
        Self { too_early: Some((demand, wait)), ..Self::new(account, Demand::Usable) }
    }

    /// Returns what the caller receives after a flight, or `None` if it has to start or join another. `has_led` says that the flight was
    /// started for this caller's demand.
    pub fn receive(
        &mut self,
        flight: FlightResult,
        has_led: bool,
        cache: &Cache,
        now: Timestamp,
    ) -> Option<BearerResult> {
        self.remaining_flights = self.remaining_flights.saturating_sub(1);
        let is_last = self.remaining_flights == 0;
        let error = match flight {
            Ok(outcome) => {
                let is_met =
                    has_led || outcome.renewed && self.wants_newer() || is_met(&self.demand, &outcome.bearer);
                if is_met && (!outcome.evicted || is_last) {
                    return Some(self.accept(outcome.bearer));
                }
                if is_met && self.wants_newer() {
                    // The token was renewed. All that is left to find out is whether it is still stored.
                    self.demand = Demand::Usable;
                }
                TokenError::Interrupted
            }
            // The leader's flight was cut off. This caller's own may succeed.
            Err(TokenError::Interrupted) if !has_led => TokenError::Interrupted,
            // The flight was started for a caller who asked for less: it sent nothing, and this caller's own may.
            Err(error @ (TokenError::Gone { refusal: None, .. } | TokenError::BackingOff { .. }))
                if !has_led && !matches!(self.demand, Demand::Usable | Demand::OtherThan(_)) =>
            {
                error
            }
            // Another process saved tokens during the flight, and they have expired already.
            Err(error @ TokenError::BackingOff { wait, .. }) if wait.is_zero() => error,
            Err(error) => return Some(self.fallback(error, cache, now)),
        };
        is_last.then(|| self.fallback(error, cache, now))
    }

    /// Returns the cached bearer instead of `error`, if it may still be handed out and meets the demand.
    ///
    /// # Errors
    /// `error` if there is no such bearer. [`TokenError::BackingOff`] if it is the rejected one and it is too early for another renewal.
    pub fn fallback(&self, error: TokenError, cache: &Cache, now: Timestamp) -> BearerResult {
        cache.usable(self.account, &self.demand, now).ok_or(error).and_then(|bearer| self.accept(bearer))
    }

    fn wants_newer(&self) -> bool {
        matches!(self.demand, Demand::Newer | Demand::NewerDespiteRetryAfter)
    }

    fn accept(&self, bearer: HeaderValue) -> BearerResult {
        match self.too_early {
            Some((ref demand, wait)) if !is_met(demand, &bearer) => {
                Err(TokenError::BackingOff { wait, cause: Some(RetryCause::RejectedAgain) })
            }
            _ => Ok(bearer),
        }
    }
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::http::StatusCode;
    use hs_oauth_core::renewal::{Renewal, RenewalPolicy};
    use hs_oauth_core::{
        AccessToken, ApiError, Error, Operation, Random, StoreError, StoreErrorKind, TransportError,
        TransportErrorKind,
    };

    use super::*;
    use crate::flight::Progress;
    use crate::tests::{ACCOUNT, NOW, app, tokens, unsaved};

    type RunResult = Result<CurrentTokens, TokenError>;

    fn cache() -> Cache {
        Cache::new(RenewalPolicy::new())
    }

    /// Returns a cache that holds the token `name`, under version 1.
    fn cache_with(name: &str) -> Cache {
        let (cache, tokens) = (cache(), tokens(name));
        let snapshot = cache.snapshot(ACCOUNT);
        assert!(cache.publish(ACCOUNT, snapshot, bearer(&tokens.access_token), &tokens, 1, true));
        cache
    }

    fn flight(cache: &Cache) -> Flight {
        let run = Renewal::new(RenewalPolicy::new(), app(), ACCOUNT, Random::new([1; 32]), Demand::Usable);
        Flight {
            run,
            install: None,
            progress: Progress::new(RenewalPolicy::new()),
            account: ACCOUNT,
            snapshot: cache.snapshot(ACCOUNT),
            forgotten: 0,
            refusal: None,
            unsaved: None,
            any_usable: true,
            forced: false,
            keeps_tokens: true,
            fresh_at: None,
            began: NOW,
        }
    }

    fn current(name: &str, renewed: bool) -> CurrentTokens {
        CurrentTokens { tokens: tokens(name), version: 2, renewed, refresh_error: None }
    }

    fn call_error() -> Error {
        TransportError::new(TransportErrorKind::Timeout).into()
    }

    fn refusal() -> Option<Error> {
        Some(ApiError::new(Operation::Refresh, StatusCode::BAD_REQUEST).into())
    }

    /// Ends a flight, and returns the names of its events.
    fn events_of(flight: Flight, result: RunResult, cache: &Cache) -> Vec<&'static str> {
        let (end, _) = FlightEnd::new(flight, result, Some(0), cache, NOW, 0);
        let names = std::cell::RefCell::new(Vec::new());
        end.emit(|event| {
            assert_eq!(event.account(), Some(ACCOUNT));
            names.borrow_mut().push(event.name());
        });
        names.into_inner()
    }

    fn events(result: RunResult) -> Vec<&'static str> {
        let cache = cache();
        events_of(flight(&cache), result, &cache)
    }

    #[test]
    fn a_renewal_is_one_event() {
        assert_eq!(events(Ok(current("new", true))), ["renewed"]);
        assert!(events(Ok(current("found", false))).is_empty(), "it found the tokens of another process");
    }

    #[test]
    fn tokens_that_an_earlier_flight_could_not_save_are_only_saved() {
        let cache = cache();
        let again = || Flight { unsaved: Some(unsaved()), ..flight(&cache) };
        assert_eq!(events_of(again(), Ok(current("new", true)), &cache), ["saved"]);
        assert_eq!(events_of(again(), Ok(current("newer", true)), &cache), ["renewed"]);
    }

    #[test]
    fn a_refresh_that_failed_while_the_old_token_is_good_is_reported_and_the_old_token_handed_out() {
        let cache = cache();
        let old = CurrentTokens { refresh_error: Some(call_error().into()), ..current("old", false) };
        let (end, _) = FlightEnd::new(flight(&cache), Ok(old.clone()), Some(0), &cache, NOW, 0);
        assert_eq!(end.result.unwrap().bearer, "Bearer old");
        assert_eq!(events_of(flight(&cache), Ok(old), &cache), ["failed"]);
    }

    #[test]
    fn gone_is_an_event_when_hubspot_refuses_and_when_a_held_token_is_lost_and_then_no_more() {
        let gone = |refusal| Err(TokenError::Gone { unsettled: false, refusal });
        assert_eq!(events(gone(refusal())), ["gone"]);
        let cache = cache_with("old");
        assert_eq!(events_of(flight(&cache), gone(None), &cache), ["gone"], "another process was refused");
        assert_eq!(cache.len(), 0);
        assert!(events_of(flight(&cache), gone(None), &cache).is_empty());
    }

    #[test]
    fn errors_of_which_nothing_was_sent_are_no_events_and_others_are() {
        let wait = Duration::from_secs(1);
        for error in
            [TokenError::NotInstalled, TokenError::NotRenewable, TokenError::BackingOff { wait, cause: None }]
        {
            assert!(events(Err(error.clone())).is_empty(), "{error}");
        }
        let store = StoreError::new(StoreErrorKind::Unavailable);
        for error in [TokenError::Store(store), TokenError::Interrupted, call_error().into()] {
            assert_eq!(events(Err(error)), ["failed"]);
        }
    }

    #[test]
    fn the_cache_loses_an_account_that_is_not_installed_and_not_one_whose_renewal_failed() {
        let cache = cache_with("old");
        events_of(flight(&cache), Err(TokenError::Interrupted), &cache);
        assert_eq!(cache.len(), 1);
        events_of(flight(&cache), Err(TokenError::NotInstalled), &cache);
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn a_caller_who_asks_for_more_than_the_flight_it_joined_starts_one_of_its_own() {
        let gone = || Err(TokenError::Gone { unsettled: false, refusal: None });
        let backing_off = || Err(TokenError::BackingOff { wait: Duration::from_secs(60), cause: None });
        for demand in [Demand::Newer, Demand::NewerDespiteRetryAfter, Demand::Recheck] {
            let caller = || Caller::new(ACCOUNT, demand.clone());
            assert_eq!(receive(&mut caller(), gone(), false), None, "{demand:?}");
            assert_eq!(receive(&mut caller(), backing_off(), false), None, "{demand:?}");
            assert_eq!(receive(&mut caller(), gone(), true).as_deref(), Some("gone"), "{demand:?}");
        }
        let mut caller = Caller::new(ACCOUNT, Demand::Usable);
        assert_eq!(receive(&mut caller, gone(), false).as_deref(), Some("gone"));
    }

    #[test]
    fn a_renewal_after_a_401_holds_the_next_such_renewal_up() {
        let cache = cache();
        events_of(flight(&cache), Ok(current("new", true)), &cache);
        assert_eq!(cache.forced_wait(ACCOUNT, NOW), None);
        let forced = Flight { forced: true, ..flight(&cache) };
        events_of(forced, Ok(current("newer", true)), &cache);
        assert_eq!(cache.forced_wait(ACCOUNT, NOW), Some(Duration::from_secs(60)));
    }

    fn outcome(name: &str, renewed: bool) -> Outcome {
        let bearer = bearer(&AccessToken::new(name).unwrap());
        Outcome { bearer, renewed, evicted: false }
    }

    fn other_than(name: &str) -> Demand {
        Demand::OtherThan(AccessToken::new(name).unwrap())
    }

    /// Returns the bearer or the name of the error that the caller receives, if it receives anything.
    fn receive(caller: &mut Caller, flight: FlightResult, has_led: bool) -> Option<String> {
        let received = caller.receive(flight, has_led, &cache(), NOW)?;
        Some(
            received
                .map_or_else(|error| error.name().to_owned(), |bearer| bearer.to_str().unwrap().to_owned()),
        )
    }

    #[test]
    fn the_leader_receives_the_bearer_of_its_flight_for_every_demand() {
        for demand in [Demand::Usable, Demand::Newer, other_than("a")] {
            let mut caller = Caller::new(ACCOUNT, demand);
            assert_eq!(receive(&mut caller, Ok(outcome("a", false)), true).unwrap(), "Bearer a");
        }
    }

    #[test]
    fn a_follower_receives_a_bearer_that_meets_its_demand_and_starts_another_flight_otherwise() {
        for (demand, renewed, is_met) in [
            (Demand::Usable, false, true),
            (other_than("b"), false, true),
            (other_than("a"), true, false),
            (Demand::Newer, true, true),
            (Demand::Newer, false, false),
        ] {
            let mut caller = Caller::new(ACCOUNT, demand.clone());
            let received = receive(&mut caller, Ok(outcome("a", renewed)), false);
            assert_eq!(received.is_some(), is_met, "{demand:?}");
        }
    }

    #[test]
    fn a_follower_whose_demand_is_never_met_ends_after_three_flights() {
        let mut caller = Caller::new(ACCOUNT, Demand::Newer);
        let received = [(); 3].map(|()| receive(&mut caller, Ok(outcome("a", false)), false));
        assert_eq!(received, [None, None, Some("interrupted".to_owned())]);
    }

    #[test]
    fn a_bearer_of_an_evicted_account_is_looked_up_once_more_and_handed_out_in_the_end() {
        let evicted = || Ok(Outcome { evicted: true, ..outcome("a", true) });
        let mut caller = Caller::new(ACCOUNT, Demand::Newer);
        assert_eq!(receive(&mut caller, evicted(), true), None);
        assert_eq!(caller.demand, Demand::Usable, "it was renewed, and is not renewed again");
        assert_eq!(receive(&mut caller, evicted(), true), None);
        assert_eq!(receive(&mut caller, evicted(), true).unwrap(), "Bearer a");
    }

    #[test]
    fn an_interrupted_flight_ends_its_leader_and_not_its_followers() {
        let interrupted = || Err(TokenError::Interrupted);
        let mut caller = Caller::new(ACCOUNT, Demand::Usable);
        assert_eq!(receive(&mut caller, interrupted(), false), None);
        assert_eq!(receive(&mut caller, interrupted(), true).unwrap(), "interrupted");
        let mut follower = Caller::new(ACCOUNT, Demand::Usable);
        let received = [(); 3].map(|()| receive(&mut follower, interrupted(), false));
        assert_eq!(received, [None, None, Some("interrupted".to_owned())]);
    }

    #[test]
    fn another_flight_follows_a_back_off_without_a_wait_and_no_other_error() {
        let backing_off =
            |seconds| Err(TokenError::BackingOff { wait: Duration::from_secs(seconds), cause: None });
        let mut caller = Caller::new(ACCOUNT, Demand::Usable);
        assert_eq!(receive(&mut caller, backing_off(0), true), None);
        assert_eq!(receive(&mut caller, backing_off(1), true).unwrap(), "backing_off");
        let mut caller = Caller::new(ACCOUNT, Demand::Usable);
        assert_eq!(receive(&mut caller, Err(TokenError::NotInstalled), false).unwrap(), "not_installed");
    }

    #[test]
    fn after_an_error_a_cached_bearer_that_meets_the_demand_is_handed_out() {
        let cache = cache_with("old");
        for (demand, is_met) in [
            (Demand::Usable, true),
            (other_than("a"), true),
            (other_than("old"), false),
            (Demand::Newer, false),
        ] {
            let mut caller = Caller::new(ACCOUNT, demand.clone());
            let received = caller.receive(Err(TokenError::NoRuntime), true, &cache, NOW).unwrap();
            assert_eq!(received.is_ok(), is_met, "{demand:?}");
        }
    }

    #[test]
    fn a_caller_who_is_too_early_receives_another_bearer_and_never_the_rejected_one() {
        let wait = Duration::from_secs(9);
        let too_early = || Caller::too_early(ACCOUNT, other_than("a"), wait);
        assert_eq!(too_early().demand, Demand::Usable, "it starts no forced renewal");
        assert_eq!(receive(&mut too_early(), Ok(outcome("b", false)), true).unwrap(), "Bearer b");
        let rejected = too_early().receive(Ok(outcome("a", false)), true, &cache(), NOW);
        assert!(matches!(rejected, Some(Err(TokenError::BackingOff { wait: left, .. })) if left == wait));
        let cached = too_early().fallback(TokenError::NoRuntime, &cache_with("a"), NOW);
        assert!(matches!(cached, Err(TokenError::BackingOff { .. })));
    }
}

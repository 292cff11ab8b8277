//! The access tokens of the app itself. They act for no account, have no refresh token, and are in memory only.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{Decision, RenewalPolicy, Schedule, TokenError};
use hs_oauth_core::{Error, NextStep, Scopes, Timestamp, TokenSet};

use crate::cache::bearer;
use crate::cache::pause_after_401::PauseAfter401;
use crate::outcome::{FlightResult, Outcome};
use crate::single_flight::{SingleFlight, TaskGuard, Waiting};

/// The access tokens of the app itself (client credentials, RFC 6749 §4.4), one for each list of scopes.
pub struct AppTokens<W: Waiting> {
    policy: RenewalPolicy,
    entries: Mutex<HashMap<String, Entry<W>>>,
    pause_after_401: PauseAfter401<String>,
}

/// What a caller who asks for a token of the app has to do.
#[derive(Debug)]
pub enum AppBearer<W: Waiting> {
    /// Use this bearer.
    Use(HeaderValue),
    /// Use this bearer, and request another one at the same time. Only one caller receives this.
    RenewSoon(HeaderValue, AppTokenRequest<W>),
    /// Request a bearer. Only one caller receives this.
    Request(AppTokenRequest<W>),
    /// Wait for the result of another caller's request.
    Wait(W::Flight),
}

/// A request for a token of the app that has not ended. If it is dropped before [`finish`](Self::finish), its result is
/// [`TokenError::Interrupted`].
#[derive(Debug)]
pub struct AppTokenRequest<W: Waiting> {
    tokens: Arc<AppTokens<W>>,
    scopes: Scopes,
    flight: W::Flight,
    /// Whether an API has rejected the token that the new one replaces.
    is_forced: bool,
    has_ended: bool,
    _task: TaskGuard<W>,
}

struct Entry<W: Waiting> {
    held: Option<(HeaderValue, Schedule)>,
    failure: Option<Failure>,
    /// The request that has not ended.
    request: Option<W::Flight>,
}

/// Why the last request failed. Until `until`, none is sent.
struct Failure {
    error: Error,
    at: Timestamp,
    until: Timestamp,
}

/// The least time between two requests of which the first one failed. HubSpot may ask for more.
const MIN_WAIT: Duration = Duration::from_secs(1);

impl<W: Waiting> AppTokens<W> {
    /// Returns an empty set of tokens, which are renewed by this policy.
    pub(crate) fn new(policy: RenewalPolicy) -> Self {
        Self { policy, entries: Mutex::default(), pause_after_401: PauseAfter401::default() }
    }

    /// Returns what a caller has to do who asks for a token with these scopes. A request counts as a task of `flights`.
    ///
    /// # Errors
    /// If no token is good: the error of a request that failed a moment ago, or [`TokenError::ShutDown`] after a shutdown.
    pub fn read(
        self: &Arc<Self>,
        flights: &Arc<SingleFlight<W>>,
        scopes: &Scopes,
        now: Timestamp,
    ) -> Result<AppBearer<W>, TokenError> {
        let mut entries = self.entries();
        let entry = entries.entry(scopes.to_string()).or_default();
        self.read_entry(flights, entry, scopes, now)
    }

    /// Returns what a caller has to do whose bearer an API has rejected with 401. If another one is held by now, it is that one; else one
    /// request is made, whoever else was rejected with this bearer.
    ///
    /// # Errors
    /// Those of [`read`](Self::read). [`TokenError::BackingOff`] if the rejected token itself was requested because of a 401 a moment ago.
    pub fn read_after_401(
        self: &Arc<Self>,
        flights: &Arc<SingleFlight<W>>,
        scopes: &Scopes,
        rejected: &HeaderValue,
        now: Timestamp,
    ) -> Result<AppBearer<W>, TokenError> {
        let mut entries = self.entries();
        let name = scopes.to_string();
        let pause = self.pause_after_401.remaining(&name, now, &self.policy);
        let entry = entries.entry(name).or_default();
        match (&entry.held, &entry.request, pause) {
            (Some((held, _)), ..) if held != rejected => self.read_entry(flights, entry, scopes, now),
            (None, ..) => self.read_entry(flights, entry, scopes, now),
            (_, Some(flight), _) => Ok(AppBearer::Wait(flight.clone())),
            (_, None, Some(wait)) => Err(TokenError::BackingOff { wait, cause: None }),
            (_, None, None) => self.request(flights, entry, scopes, now, true).map(AppBearer::Request),
        }
    }

    fn read_entry(
        self: &Arc<Self>,
        flights: &Arc<SingleFlight<W>>,
        entry: &mut Entry<W>,
        scopes: &Scopes,
        now: Timestamp,
    ) -> Result<AppBearer<W>, TokenError> {
        let held = entry.held.as_ref().map(|(bearer, schedule)| (bearer.clone(), schedule.decide(now)));
        let held = match held {
            Some((bearer, Decision::Use)) => return Ok(AppBearer::Use(bearer)),
            Some((bearer, Decision::RenewSoon)) => Some(bearer),
            Some((_, Decision::RenewNow)) | None => None,
        };
        match (held, &entry.request) {
            (Some(bearer), Some(_)) => Ok(AppBearer::Use(bearer)),
            (None, Some(flight)) => Ok(AppBearer::Wait(flight.clone())),
            (held, None) => match (held, self.request(flights, entry, scopes, now, false)) {
                (Some(bearer), Ok(request)) => Ok(AppBearer::RenewSoon(bearer, request)),
                (Some(bearer), Err(_)) => Ok(AppBearer::Use(bearer)),
                (None, request) => request.map(AppBearer::Request),
            },
        }
    }

    fn request(
        self: &Arc<Self>,
        flights: &Arc<SingleFlight<W>>,
        entry: &mut Entry<W>,
        scopes: &Scopes,
        now: Timestamp,
        is_forced: bool,
    ) -> Result<AppTokenRequest<W>, TokenError> {
        // A later moment comes from before the clock was set back.
        if let Some(Failure { error, at, until }) = &entry.failure
            && *at <= now
            && now < *until
        {
            return Err(TokenError::Call(error.clone()));
        }
        let task = flights.start_task()?;
        let flight = entry.request.insert(W::Flight::default()).clone();
        let (tokens, scopes) = (Arc::clone(self), scopes.clone());
        Ok(AppTokenRequest { tokens, scopes, flight, is_forced, has_ended: false, _task: task })
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry<W>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Waiting> AppTokenRequest<W> {
    /// Returns the scopes to request.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Returns the slot for the result.
    pub fn flight(&self) -> W::Flight {
        self.flight.clone()
    }

    /// Ends the request. Keeps the token or the error, and delivers the result to those who wait for it.
    ///
    /// # Errors
    /// [`TokenError::Call`] with the error of the response.
    pub fn finish(mut self, response: Result<TokenSet, Error>, now: Timestamp) -> FlightResult {
        let result = match response {
            Ok(tokens) => {
                let bearer = bearer(&tokens.access_token);
                let held = (bearer.clone(), self.tokens.policy.schedule(&tokens));
                if self.is_forced {
                    let (pause, policy) = (&self.tokens.pause_after_401, &self.tokens.policy);
                    pause.begin(self.scopes.to_string(), now, &tokens, policy);
                }
                self.end(|entry| (entry.held, entry.failure) = (Some(held), None));
                Ok(Outcome { bearer, renewed: true, evicted: false })
            }
            Err(error) => {
                let wait = match error.next_step() {
                    NextStep::RetryAfter(Some(wait)) => wait.max(MIN_WAIT),
                    _ => MIN_WAIT,
                };
                let failure = Failure { error: error.clone(), at: now, until: now.plus(wait) };
                self.end(|entry| entry.failure = Some(failure));
                Err(TokenError::Call(error))
            }
        };
        W::deliver(&self.flight, result.clone());
        result
    }

    fn end(&mut self, change: impl FnOnce(&mut Entry<W>)) {
        let mut entries = self.tokens.entries();
        let entry = entries.entry(self.scopes.to_string()).or_default();
        entry.request = None;
        change(entry);
        drop(entries);
        self.has_ended = true;
    }
}

impl<W: Waiting> Drop for AppTokenRequest<W> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end(|_| {});
            W::deliver(&self.flight, Err(TokenError::Interrupted));
        }
    }
}

impl<W: Waiting> Default for Entry<W> {
    fn default() -> Self {
        Self { held: None, failure: None, request: None }
    }
}

impl<W: Waiting> fmt::Debug for AppTokens<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppTokens").field("len", &self.entries().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::http::StatusCode;
    use hs_oauth_core::{AccessToken, ApiError, Operation};

    use super::*;
    use crate::queue::Limits;
    use crate::tests::{NOW, Recorder};

    struct Fixture {
        tokens: Arc<AppTokens<Recorder>>,
        flights: Arc<SingleFlight<Recorder>>,
    }

    impl Fixture {
        fn new() -> Self {
            let tokens = Arc::new(AppTokens::new(RenewalPolicy::new()));
            Self { tokens, flights: Arc::new(SingleFlight::new(Limits::default())) }
        }

        fn read(&self, scopes: &str, seconds: u64) -> Result<AppBearer<Recorder>, TokenError> {
            self.tokens.read(&self.flights, &scopes.parse().unwrap(), after(seconds))
        }

        fn request(&self, scopes: &str, seconds: u64) -> AppTokenRequest<Recorder> {
            match self.read(scopes, seconds) {
                Ok(AppBearer::Request(request)) => request,
                other => panic!("{other:?}"),
            }
        }

        fn read_after_401(
            &self,
            scopes: &str,
            rejected: &'static str,
            seconds: u64,
        ) -> Result<AppBearer<Recorder>, TokenError> {
            let rejected = HeaderValue::from_static(rejected);
            self.tokens.read_after_401(&self.flights, &scopes.parse().unwrap(), &rejected, after(seconds))
        }

        fn used(&self, scopes: &str, seconds: u64) -> HeaderValue {
            match self.read(scopes, seconds) {
                Ok(AppBearer::Use(bearer)) => bearer,
                other => panic!("{other:?}"),
            }
        }

        fn busy(&self) -> usize {
            self.flights.state().busy
        }
    }

    fn after(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    fn issued(name: &str, seconds: u64) -> Result<TokenSet, Error> {
        Ok(TokenSet::new(AccessToken::new(name).unwrap(), 1800, after(seconds)))
    }

    fn refused(status: StatusCode, retry_after: Option<u64>) -> Error {
        let mut error = ApiError::new(Operation::ClientCredentials, status);
        error.retry_after = retry_after.map(Duration::from_secs);
        error.into()
    }

    #[test]
    fn of_many_callers_one_requests_the_token_and_all_receive_it() {
        let fixture = Fixture::new();
        let request = fixture.request("a", 0);
        let Ok(AppBearer::Wait(slot)) = fixture.read("a", 0) else { panic!("it waits") };
        assert_eq!((request.scopes().to_string().as_str(), fixture.busy()), ("a", 1));
        let bearer = request.finish(issued("one", 0), after(0)).unwrap().bearer;
        assert_eq!(slot.lock().unwrap().clone().unwrap().unwrap().bearer, bearer);
        assert!(bearer.is_sensitive() && bearer == "Bearer one");
        assert_eq!((fixture.used("a", 1), fixture.busy()), (bearer, 0));
    }

    #[test]
    fn tokens_with_other_scopes_are_other_tokens() {
        let fixture = Fixture::new();
        fixture.request("a", 0).finish(issued("one", 0), after(0)).unwrap();
        let other = fixture.request("a b", 0);
        assert_eq!(fixture.used("a", 1), "Bearer one");
        other.finish(issued("two", 0), after(0)).unwrap();
        assert_eq!(fixture.used("a b", 1), "Bearer two");
    }

    #[test]
    fn one_caller_renews_the_token_ahead_of_its_end_and_the_others_use_the_old_one() {
        let fixture = Fixture::new();
        fixture.request("a", 0).finish(issued("old", 0), after(0)).unwrap();
        assert_eq!(fixture.used("a", 1349), "Bearer old", "it has a quarter of its life left");
        let Ok(AppBearer::RenewSoon(bearer, request)) = fixture.read("a", 1500) else { panic!("it renews") };
        assert_eq!(
            (bearer, fixture.used("a", 1500)),
            (HeaderValue::from_static("Bearer old"), "Bearer old".parse().unwrap())
        );
        request.finish(issued("new", 1500), after(1500)).unwrap();
        assert_eq!(fixture.used("a", 1501), "Bearer new");
    }

    #[test]
    fn a_token_that_cannot_be_renewed_is_handed_out_while_it_is_good_and_not_in_its_last_minute() {
        let fixture = Fixture::new();
        fixture.request("a", 0).finish(issued("old", 0), after(0)).unwrap();
        let Ok(AppBearer::RenewSoon(_, request)) = fixture.read("a", 1500) else { panic!("it renews") };
        request.finish(Err(refused(StatusCode::BAD_GATEWAY, None)), after(1500)).unwrap_err();
        assert_eq!(fixture.used("a", 1500), "Bearer old", "no request is sent at once");
        assert!(matches!(fixture.read("a", 1501), Ok(AppBearer::RenewSoon(..))));
        assert!(matches!(fixture.read("a", 1740), Ok(AppBearer::Request(_))));
    }

    /// RFC 9110 §10.2.3.
    #[test]
    fn no_request_is_sent_while_hubspot_has_asked_to_wait_and_callers_receive_its_error() {
        let fixture = Fixture::new();
        let limit = refused(StatusCode::TOO_MANY_REQUESTS, Some(30));
        let error = fixture.request("a", 0).finish(Err(limit), after(0)).unwrap_err();
        assert!(matches!(error, TokenError::Call(_)));
        for seconds in [0, 29] {
            assert_eq!(fixture.read("a", seconds).unwrap_err().to_string(), error.to_string());
        }
        drop(fixture.request("a", 30));
        let before = NOW.minus(Duration::from_secs(1));
        let read = fixture.tokens.read(&fixture.flights, &"a".parse().unwrap(), before);
        assert!(matches!(read, Ok(AppBearer::Request(_))), "the clock was set back");
    }

    /// A 401 of another API is no proof that a token has expired, so a new one is asked for at most once for each token.
    #[test]
    fn of_many_callers_whose_token_was_rejected_one_requests_another_and_the_rest_keep_the_old_one_meanwhile()
    {
        let fixture = Fixture::new();
        fixture.request("a", 0).finish(issued("one", 0), after(0)).unwrap();
        let Ok(AppBearer::Request(request)) = fixture.read_after_401("a", "Bearer one", 1) else {
            panic!("it requests")
        };
        let Ok(AppBearer::Wait(slot)) = fixture.read_after_401("a", "Bearer one", 1) else {
            panic!("it waits")
        };
        assert_eq!(fixture.used("a", 1), "Bearer one", "the 401 may have another cause");
        request.finish(issued("two", 1), after(2)).unwrap();
        assert_eq!(slot.lock().unwrap().clone().unwrap().unwrap().bearer, "Bearer two");
        for seconds in [2, 61] {
            let late = fixture.read_after_401("a", "Bearer one", seconds);
            assert!(
                matches!(late, Ok(AppBearer::Use(bearer)) if bearer == "Bearer two"),
                "it is another already"
            );
        }
        assert_eq!(fixture.busy(), 0);
    }

    #[test]
    fn a_token_that_was_requested_after_a_401_is_not_replaced_for_another_401_within_a_minute() {
        let fixture = Fixture::new();
        fixture.request("a", 0).finish(issued("one", 0), after(0)).unwrap();
        fixture.request("b", 0).finish(issued("other", 0), after(0)).unwrap();
        let forced = |rejected, seconds| match fixture.read_after_401("a", rejected, seconds) {
            Ok(AppBearer::Request(request)) => request,
            other => panic!("{other:?}"),
        };
        forced("Bearer one", 10).finish(issued("two", 10), after(10)).unwrap();
        for (seconds, left) in [(10, 60), (69, 1)] {
            match fixture.read_after_401("a", "Bearer two", seconds) {
                Err(TokenError::BackingOff { wait, .. }) => assert_eq!(wait, Duration::from_secs(left)),
                other => panic!("{other:?}"),
            }
            assert_eq!(fixture.used("a", seconds), "Bearer two");
        }
        assert!(matches!(fixture.read_after_401("b", "Bearer other", 10), Ok(AppBearer::Request(_))));
        forced("Bearer two", 70).finish(issued("three", 70), after(70)).unwrap();
        let before = NOW.minus(Duration::from_secs(1));
        let rejected = HeaderValue::from_static("Bearer three");
        let read = fixture.tokens.read_after_401(&fixture.flights, &"a".parse().unwrap(), &rejected, before);
        assert!(matches!(read, Ok(AppBearer::Request(_))), "the clock was set back");
    }

    #[test]
    fn a_rejected_token_that_cannot_be_replaced_is_an_error_for_that_caller_and_no_request_is_sent_at_once() {
        let fixture = Fixture::new();
        fixture.request("a", 0).finish(issued("one", 0), after(0)).unwrap();
        let Ok(AppBearer::Request(request)) = fixture.read_after_401("a", "Bearer one", 5) else {
            panic!("it requests")
        };
        request.finish(Err(refused(StatusCode::BAD_GATEWAY, None)), after(5)).unwrap_err();
        assert!(matches!(fixture.read_after_401("a", "Bearer one", 5), Err(TokenError::Call(_))));
        assert_eq!(fixture.used("a", 5), "Bearer one");
        assert!(matches!(fixture.read_after_401("a", "Bearer one", 6), Ok(AppBearer::Request(_))));
        fixture.flights.shut_down();
        assert!(matches!(fixture.read_after_401("a", "Bearer one", 8), Err(TokenError::ShutDown)));
    }

    #[test]
    fn a_caller_whose_token_was_rejected_waits_for_a_renewal_that_is_under_way() {
        let fixture = Fixture::new();
        assert!(matches!(fixture.read_after_401("a", "Bearer unknown", 0), Ok(AppBearer::Request(_))));
        fixture.request("a", 0).finish(issued("old", 0), after(0)).unwrap();
        let Ok(AppBearer::RenewSoon(_, request)) = fixture.read("a", 1500) else { panic!("it renews") };
        let Ok(AppBearer::Wait(slot)) = fixture.read_after_401("a", "Bearer old", 1500) else {
            panic!("it waits")
        };
        request.finish(issued("new", 1500), after(1500)).unwrap();
        assert_eq!(slot.lock().unwrap().clone().unwrap().unwrap().bearer, "Bearer new");
    }

    #[test]
    fn a_request_that_is_cut_off_is_an_error_for_those_who_wait_and_the_next_caller_sends_another() {
        let fixture = Fixture::new();
        let request = fixture.request("a", 0);
        let Ok(AppBearer::Wait(slot)) = fixture.read("a", 0) else { panic!("it waits") };
        drop(request);
        assert!(matches!(*slot.lock().unwrap(), Some(Err(TokenError::Interrupted))));
        assert_eq!(fixture.busy(), 0);
        drop(fixture.request("a", 0));
    }

    #[test]
    fn after_a_shutdown_the_token_in_memory_is_handed_out_while_it_is_good_and_none_is_requested() {
        let fixture = Fixture::new();
        fixture.request("a", 0).finish(issued("old", 0), after(0)).unwrap();
        fixture.flights.shut_down();
        assert_eq!(fixture.used("a", 1), "Bearer old");
        assert_eq!(fixture.used("a", 1739), "Bearer old");
        assert!(matches!(fixture.read("a", 1740), Err(TokenError::ShutDown)));
        assert!(matches!(fixture.read("b", 0), Err(TokenError::ShutDown)));
    }

    #[test]
    fn debug_shows_no_token() {
        let fixture = Fixture::new();
        fixture.request("a", 0).finish(issued("s3cret-token", 0), after(0)).unwrap();
        assert_eq!(format!("{:?}", fixture.tokens), "AppTokens { len: 1, .. }");
        assert!(!format!("{:?}", fixture.read("a", 1)).contains("s3cret"));
    }
}

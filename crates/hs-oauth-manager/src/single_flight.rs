//! One renewal at a time for each account of a process: the first caller leads, and the others follow.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hs_oauth_core::Account;
use hs_oauth_core::renewal::{TokenError, UnsavedTokens};

use crate::outcome::FlightResult;
use crate::queue::{Purpose, RenewalQueue};

/// How those wait who cannot go on yet: with the channels of an async runtime, or with condition variables.
pub trait Waiting: fmt::Debug + Default {
    /// Where the followers of a flight wait for its result. A clone is the same place.
    type Flight: Clone + fmt::Debug + Default;

    /// How a run that waits in the queue is woken.
    type Waker: fmt::Debug;

    /// Hands the result of a flight to all that wait for it, now or later.
    fn deliver(flight: &Self::Flight, result: FlightResult);

    /// Says that the queue has changed. `front` is the waker of the run now at its front, if a run is there.
    fn queue_changed(&self, front: Option<&Self::Waker>);

    /// Says that nothing is under way any more.
    fn idle(&self);
}

/// The flights of a process, the queue in which they wait to begin, and the tokens that they could not save.
#[derive(Debug)]
pub struct SingleFlight<W: Waiting> {
    state: Mutex<State<W>>,
    /// How those wait who cannot go on yet.
    pub waiting: W,
}

/// What is under way in a process.
#[derive(Debug)]
pub struct State<W: Waiting> {
    /// The flights that have not ended.
    pub flights: HashMap<Account, W::Flight>,
    /// When renewals begin.
    pub queue: RenewalQueue<W::Waker>,
    /// The tokens that could not be saved.
    pub unsaved: HashMap<Account, UnsavedTokens>,
    /// Whether those tokens are being tried again.
    pub(crate) is_retrying: bool,
    /// How much is under way that must not be cut off.
    pub busy: usize,
    /// Whether nothing new begins any more.
    pub is_shut_down: bool,
}

/// The part in a flight.
#[derive(Debug)]
pub enum Role<W: Waiting> {
    /// There was no flight: this caller runs it.
    Leader(FlightGuard<W>),
    /// Another caller runs it: this one waits for its result.
    Follower(W::Flight),
}

/// A flight that has not ended. If it is dropped, its followers hear that it was interrupted.
#[derive(Debug)]
pub struct FlightGuard<W: Waiting> {
    task: TaskGuard<W>,
    account: Account,
    flight: W::Flight,
    has_ended: bool,
}

/// Counts something under way that must not be cut off, until it is dropped.
#[derive(Debug)]
pub struct TaskGuard<W: Waiting>(Arc<SingleFlight<W>>);

impl<W: Waiting> SingleFlight<W> {
    /// Returns flights of which at most so many begin in a second; as many as there are, if `None`.
    pub fn new(renewals_per_second: Option<NonZeroU32>) -> Self {
        let state = State {
            flights: HashMap::new(),
            queue: RenewalQueue::new(renewals_per_second),
            unsaved: HashMap::new(),
            is_retrying: false,
            busy: 0,
            is_shut_down: false,
        };
        Self { state: Mutex::new(state), waiting: W::default() }
    }

    /// Returns what is under way. The lock must not be held while a store or HubSpot is asked.
    pub fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the account's flight, or starts it. A caller who joins moves it to the front of the queue. `state` is this one's.
    ///
    /// # Errors
    /// [`TokenError::ShutDown`] if there is no flight and none begins any more.
    pub fn start_or_join(
        self: &Arc<Self>,
        state: &mut State<W>,
        account: Account,
        purpose: Purpose,
    ) -> Result<Role<W>, TokenError> {
        if let Some(flight) = state.flights.get(&account) {
            if purpose != Purpose::Ahead {
                // Under the lock under which the flight ends, so that it is not the next one that is moved.
                self.waiting.queue_changed(state.queue.prioritize(account));
            }
            return Ok(Role::Follower(flight.clone()));
        }
        if state.is_shut_down && purpose != Purpose::Shutdown {
            return Err(TokenError::ShutDown);
        }
        let flight = W::Flight::default();
        state.flights.insert(account, flight.clone());
        let task = TaskGuard::new(self, state);
        Ok(Role::Leader(FlightGuard { task, account, flight, has_ended: false }))
    }

    /// Counts something under way until the guard is dropped.
    ///
    /// # Errors
    /// [`TokenError::ShutDown`] if nothing begins any more.
    pub fn start_task(self: &Arc<Self>) -> Result<TaskGuard<W>, TokenError> {
        let mut state = self.state();
        match state.is_shut_down {
            true => Err(TokenError::ShutDown),
            false => Ok(TaskGuard::new(self, &mut state)),
        }
    }

    /// Closes the queue, and lets nothing new begin.
    pub fn shut_down(&self) {
        self.state().is_shut_down = true;
        self.close_queue();
    }

    /// Lets no renewal begin that waits in the queue.
    pub fn close_queue(&self) {
        let mut state = self.state();
        state.queue.close().for_each(|waker| self.waiting.queue_changed(Some(waker)));
        self.waiting.queue_changed(None);
    }
}

impl<W: Waiting> FlightGuard<W> {
    /// Returns the account that is renewed.
    pub fn account(&self) -> Account {
        self.account
    }

    /// Returns where the flight's result is waited for.
    pub fn flight(&self) -> W::Flight {
        self.flight.clone()
    }

    /// Ends the flight: from now on another may begin, and this one's followers have its result. Returns whether the caller has to
    /// start retries, since the run left tokens unsaved.
    pub fn finish(&mut self, unsaved: Option<UnsavedTokens>, result: FlightResult) -> bool {
        let mut state = self.task.0.state();
        let starts_retries = match unsaved {
            Some(unsaved) => {
                state.unsaved.insert(self.account, unsaved);
                !std::mem::replace(&mut state.is_retrying, true)
            }
            None => {
                state.unsaved.remove(&self.account);
                false
            }
        };
        self.end(&mut state);
        drop(state);
        self.has_ended = true;
        W::deliver(&self.flight, result);
        starts_retries
    }

    fn end(&self, state: &mut State<W>) {
        state.flights.remove(&self.account);
        // What was said of the flight's priority is forgotten with it.
        self.task.0.waiting.queue_changed(state.queue.leave(self.account));
    }
}

impl<W: Waiting> Drop for FlightGuard<W> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.end(&mut self.task.0.state());
            W::deliver(&self.flight, Err(TokenError::Interrupted));
        }
    }
}

impl<W: Waiting> TaskGuard<W> {
    fn new(flights: &Arc<SingleFlight<W>>, state: &mut State<W>) -> Self {
        state.busy += 1;
        Self(Arc::clone(flights))
    }
}

impl<W: Waiting> Drop for TaskGuard<W> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.busy -= 1;
        if state.busy == 0 {
            self.0.waiting.idle();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use hs_oauth_core::Timestamp;
    use hs_oauth_core::renewal::Deadline;

    use super::*;
    use crate::queue::Wait;

    const ACCOUNT: Account = Account::hub(1);
    const OTHER: Account = Account::hub(2);
    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    /// Keeps what it is told.
    #[derive(Debug, Default)]
    struct Recorder {
        idle: AtomicU32,
    }

    impl Waiting for Recorder {
        type Flight = Arc<Mutex<Option<FlightResult>>>;
        type Waker = ();

        fn deliver(flight: &Self::Flight, result: FlightResult) {
            *flight.lock().unwrap() = Some(result);
        }

        fn queue_changed(&self, _: Option<&()>) {}

        fn idle(&self) {
            self.idle.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flights(per_second: u32) -> Arc<SingleFlight<Recorder>> {
        Arc::new(SingleFlight::new(NonZeroU32::new(per_second)))
    }

    fn lead(flights: &Arc<SingleFlight<Recorder>>, purpose: Purpose) -> FlightGuard<Recorder> {
        match flights.start_or_join(&mut flights.state(), ACCOUNT, purpose) {
            Ok(Role::Leader(guard)) => guard,
            other => panic!("{other:?}"),
        }
    }

    fn follow(flights: &Arc<SingleFlight<Recorder>>) -> Arc<Mutex<Option<FlightResult>>> {
        match flights.start_or_join(&mut flights.state(), ACCOUNT, Purpose::Caller) {
            Ok(Role::Follower(flight)) => flight,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_caller_leads_and_the_others_have_its_result() {
        let flights = flights(0);
        let mut guard = lead(&flights, Purpose::Caller);
        let follower = follow(&flights);
        assert!(follower.lock().unwrap().is_none() && flights.state().busy > 0);
        guard.finish(None, Err(TokenError::NotInstalled));
        assert!(matches!(*follower.lock().unwrap(), Some(Err(TokenError::NotInstalled))));
        let next = lead(&flights, Purpose::Caller);
        drop((guard, next));
        assert!(flights.state().busy == 0);
        assert_eq!(flights.waiting.idle.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_flight_that_is_dropped_interrupts_its_followers_and_another_may_begin() {
        let flights = flights(0);
        let guard = lead(&flights, Purpose::Ahead);
        let follower = follow(&flights);
        drop(guard);
        assert!(matches!(*follower.lock().unwrap(), Some(Err(TokenError::Interrupted))));
        lead(&flights, Purpose::Caller);
    }

    #[test]
    fn once_shut_down_only_the_shutdown_itself_starts_a_flight() {
        let flights = flights(0);
        let running = lead(&flights, Purpose::Caller);
        flights.shut_down();
        follow(&flights);
        drop(running);
        assert!(matches!(
            flights.start_or_join(&mut flights.state(), ACCOUNT, Purpose::Caller),
            Err(TokenError::ShutDown)
        ));
        assert!(matches!(flights.start_task(), Err(TokenError::ShutDown)));
        lead(&flights, Purpose::Shutdown);
    }

    /// A caller joins a flight in the moment in which it ends: the account's next one, ahead of time, is in its place all the same.
    #[test]
    fn a_priority_ends_with_the_flight_that_it_was_for() {
        let flights = flights(1);
        let mut guard = lead(&flights, Purpose::Ahead);
        follow(&flights);
        guard.finish(None, Err(TokenError::Interrupted));
        let mut state = flights.state();
        for (account, expires) in [(OTHER, 100), (ACCOUNT, 200)] {
            let deadline = Deadline::At(NOW.plus(Duration::from_secs(expires)));
            state.queue.join(account, Purpose::Ahead, deadline, ());
        }
        assert!(matches!(state.queue.admit(ACCOUNT, NOW, false), Err(Wait::UntilWoken)));
    }
}

//! One renewal at a time for each account of a process: the first caller leads it, and the others follow.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hs_oauth_core::renewal::{Input, TokenError};
use hs_oauth_core::{Account, Error, Timestamp};

use crate::outcome::FlightResult;
use crate::queue::{Limits, Purpose, RenewalQueue, Wait};
use crate::received::{Received, Unsaved};

/// How callers and runs wait: with the channels of an async runtime, or with condition variables.
pub trait Waiting: fmt::Debug + Default {
    /// The slot for the result of a flight. The followers wait for it. Clones share the slot.
    type Flight: Clone + fmt::Debug + Default;

    /// Wakes one run that waits in the queue.
    type Waker: fmt::Debug;

    /// Puts the result of a flight into its slot, for all that wait for it now or later.
    fn deliver(flight: &Self::Flight, result: FlightResult);

    /// Wakes those that wait for a change of the queue: this run, if there is one, and everything else but runs.
    fn queue_changed(&self, run: Option<&Self::Waker>);

    /// Wakes those that wait until nothing is under way.
    fn idle(&self);

    /// Wakes the runs and the sweep that sleep, since nothing more is sent.
    fn closed(&self);

    /// Wakes the sweep, since what it has to do may have changed.
    fn sweep_changed(&self);
}

/// The flights of a process, the queue in which their runs wait, and the tokens that they could not save. A flight is one renewal
/// together with all callers that wait for it.
#[derive(Debug)]
pub struct SingleFlight<W: Waiting> {
    state: Mutex<State<W>>,
    /// How callers and runs wait.
    pub waiting: W,
}

/// What is under way in a process.
#[derive(Debug)]
pub struct State<W: Waiting> {
    /// The flights that have not ended.
    pub flights: HashMap<Account, W::Flight>,
    /// The order and the rate in which renewals begin.
    pub queue: RenewalQueue<W::Waker>,
    /// The tokens that were received and that are not known to be saved.
    pub(crate) received: Received,
    /// Whether attempts to save those tokens are being made.
    pub(crate) is_retrying: bool,
    /// The number of flights and tasks under way that must not be cut off.
    pub busy: usize,
    /// Whether no new flight or task begins any more.
    pub is_shut_down: bool,
}

/// The role of a caller in a flight.
#[derive(Debug)]
pub enum Role<W: Waiting> {
    /// There was no flight. This caller runs it.
    Leader(FlightGuard<W>),
    /// Another caller runs the flight. This one waits for its result.
    Follower(W::Flight),
}

/// A flight that has not ended. If the guard is dropped before [`finish`](Self::finish), the result of the flight is
/// [`TokenError::Interrupted`].
#[derive(Debug)]
pub struct FlightGuard<W: Waiting> {
    task: TaskGuard<W>,
    account: Account,
    flight: W::Flight,
    has_ended: bool,
}

/// A flight or a task under way that must not be cut off. It counts as under way until the guard is dropped.
#[derive(Debug)]
pub struct TaskGuard<W: Waiting>(Arc<SingleFlight<W>>);

impl<W: Waiting> SingleFlight<W> {
    /// Returns an empty set of flights. `limits` says how many of them renew a token at once and in a second.
    pub fn new(limits: Limits) -> Self {
        let state = State {
            flights: HashMap::new(),
            queue: RenewalQueue::new(limits),
            received: Received::default(),
            is_retrying: false,
            busy: 0,
            is_shut_down: false,
        };
        Self { state: Mutex::new(state), waiting: W::default() }
    }

    /// Locks the state and returns it. The lock must not be held during a call to a store or to HubSpot.
    pub fn state(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins the account's flight, or starts one. `state` is the locked state of `self`. If somebody waits for the
    /// renewal, a flight that is joined moves to the front of the queue.
    ///
    /// # Errors
    /// [`TokenError::ShutDown`] after a shutdown, if there is no flight to join. [`Purpose::Shutdown`] starts one nevertheless.
    pub fn start_or_join(
        self: &Arc<Self>,
        state: &mut State<W>,
        account: Account,
        purpose: Purpose,
    ) -> Result<Role<W>, TokenError> {
        if let Some(flight) = state.flights.get(&account) {
            if purpose.is_awaited() {
                // Still under the lock, so that it is this flight that moves and not the account's next one.
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

    /// Starts a task that must not be cut off. It counts as under way until the guard is dropped.
    ///
    /// # Errors
    /// [`TokenError::ShutDown`] after a shutdown.
    pub fn start_task(self: &Arc<Self>) -> Result<TaskGuard<W>, TokenError> {
        let mut state = self.state();
        match state.is_shut_down {
            true => Err(TokenError::ShutDown),
            false => Ok(TaskGuard::new(self, &mut state)),
        }
    }

    /// Returns the input for the account's run, as [`RenewalQueue::admit`] does, and takes the run out of the queue. After a shutdown it is
    /// [`Input::ShuttingDown`]. `state` is the locked state of `self`, and `waited` says whether the run has waited before.
    ///
    /// # Errors
    /// [`Wait`] if the run has to wait and then call this again.
    pub fn admit(
        &self,
        state: &mut State<W>,
        account: Account,
        now: Timestamp,
        waited: bool,
    ) -> Result<Input, Wait> {
        let input = state.queue.admit(account, now, waited)?;
        self.waiting.queue_changed(state.queue.leave(account));
        Ok(input)
    }

    /// Notes how a call to HubSpot ended: a refresh of `account`, or another call without one. A 429 pauses the renewals of all accounts,
    /// and after five failures in a row one is tried at a time.
    pub(crate) fn note_response<T>(
        &self,
        account: Option<Account>,
        result: &Result<T, Error>,
        now: Timestamp,
    ) {
        if let Some(wakers) = self.state().queue.note_response(account, result, now) {
            wakers.for_each(|waker| self.waiting.queue_changed(Some(waker)));
            self.waiting.queue_changed(None);
        }
    }

    /// Notes that the account's run sleeps without a lease, so that another may be in flight instead.
    pub fn rest(&self, account: Account) {
        self.waiting.queue_changed(self.state().queue.give_back(account));
    }

    /// Begins a shutdown. No new flight or task begins any more, except one for the shutdown itself, and no refresh is sent any more.
    pub fn shut_down(&self) {
        self.state().is_shut_down = true;
        self.close();
    }

    /// Returns whether no refresh is sent any more.
    pub fn is_closed(&self) -> bool {
        self.state().queue.is_closed()
    }

    /// Ends every run that has not sent a refresh yet, as soon as it would wait or send. A run that has sent one goes on.
    pub fn close(&self) {
        let mut state = self.state();
        state.queue.close().for_each(|waker| self.waiting.queue_changed(Some(waker)));
        self.waiting.queue_changed(None);
        self.waiting.closed();
    }
}

impl<W: Waiting> FlightGuard<W> {
    /// Returns the account that is renewed.
    pub fn account(&self) -> Account {
        self.account
    }

    /// Returns the slot for the flight's result.
    pub fn flight(&self) -> W::Flight {
        self.flight.clone()
    }

    /// Ends the flight and delivers its result. From now on another flight may begin. `unsaved` is the tokens that the run could not
    /// save. Returns whether the caller has to start [`SaveRetries`](crate::SaveRetries) for them.
    pub fn finish(&mut self, unsaved: Option<Unsaved>, result: FlightResult) -> bool {
        let mut state = self.task.0.state();
        if unsaved.is_none() {
            state.received.remove_renewal(self.account);
        }
        let is_unsaved = unsaved.is_some_and(|unsaved| state.received.add(self.account, unsaved));
        let starts_retries = is_unsaved && state.start_retries();
        self.end(&mut state);
        drop(state);
        self.has_ended = true;
        W::deliver(&self.flight, result);
        starts_retries
    }

    fn end(&self, state: &mut State<W>) {
        state.flights.remove(&self.account);
        // The priority that callers gave to this flight ends with it.
        self.task.0.waiting.queue_changed(state.queue.end(self.account));
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
    use std::num::NonZeroU32;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use hs_oauth_core::renewal::Deadline;

    use super::*;
    use crate::tests::{ACCOUNT, NOW, Recorder, lead};

    const OTHER: Account = Account::hub(2);

    fn flights(per_second: u32) -> Arc<SingleFlight<Recorder>> {
        Arc::new(SingleFlight::new(Limits { per_second: NonZeroU32::new(per_second), ..Limits::default() }))
    }

    fn follow(flights: &Arc<SingleFlight<Recorder>>) -> Arc<Mutex<Option<FlightResult>>> {
        match flights.start_or_join(&mut flights.state(), ACCOUNT, Purpose::Caller) {
            Ok(Role::Follower(flight)) => flight,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_caller_leads_and_the_others_receive_its_result() {
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
    fn a_guard_that_is_dropped_interrupts_its_followers_and_another_flight_may_begin() {
        let flights = flights(0);
        let guard = lead(&flights, Purpose::Ahead);
        let follower = follow(&flights);
        drop(guard);
        assert!(matches!(*follower.lock().unwrap(), Some(Err(TokenError::Interrupted))));
        lead(&flights, Purpose::Caller);
    }

    #[test]
    fn after_a_shutdown_only_the_shutdown_itself_starts_a_flight() {
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

    /// A caller may join a flight just before it ends. The account's next flight, ahead of time, must not come before others for that.
    #[test]
    fn a_priority_ends_with_its_flight() {
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

    #[test]
    fn a_run_that_is_admitted_or_skips_has_left_the_queue() {
        let flights = flights(1);
        let mut state = flights.state();
        let soon = Deadline::At(NOW.plus(Duration::from_secs(1)));
        state.queue.join(ACCOUNT, Purpose::Caller, Deadline::Now, ());
        state.queue.join(OTHER, Purpose::Caller, soon, ());
        assert!(matches!(flights.admit(&mut state, OTHER, NOW, false), Ok(Input::Skip)));
        assert!(matches!(flights.admit(&mut state, OTHER, NOW, true), Ok(Input::Admit { waited: true })));
        assert!(matches!(flights.admit(&mut state, ACCOUNT, NOW, false), Ok(Input::Admit { waited: false })));
        assert!(state.queue.leave(ACCOUNT).is_none());
    }
}

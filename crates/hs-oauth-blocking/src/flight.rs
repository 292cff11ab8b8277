//! One renewal at a time for each account of this process: the first caller runs it on a thread of its own, and all others wait
//! for what it brings.

use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{Demand, RenewalPolicy, Renewal, TokenError, UnsavedTokens};
use hs_oauth_core::{Account, Event};
use hs_oauth_store::TokenStore;
use hs_oauth_store::cache::{Cache, Ended, Landed};

use crate::client::Client;
use crate::drive::{World, now, random};
use crate::turns::{Begun, Ready, Turns};

/// What all clones of a manager share.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) store: Box<dyn TokenStore>,
    pub(crate) policy: RenewalPolicy,
    pub(crate) user_level: bool,
    pub(crate) on_event: Option<Box<Listener>>,
    pub(crate) cache: Cache,
    pub(crate) turns: Turns,
    /// Never held while the store or HubSpot is asked.
    pub(crate) state: Mutex<State>,
    /// Told when nothing is under way any more, and at shutdown.
    pub(crate) changed: Condvar,
}

pub(crate) type Listener = dyn Fn(&Event<'_>) + Send + Sync;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) flights: HashMap<Account, Arc<Flight>>,
    pub(crate) unsaved: HashMap<Account, Unsaved>,
    pub(crate) is_shut: bool,
    /// How much is under way that must not be cut off.
    pub(crate) busy: usize,
    is_saving: bool,
}

/// Where callers wait for the one who renews.
#[derive(Default)]
pub(crate) struct Flight {
    result: Mutex<Option<Result<Landed, TokenError>>>,
    landed: Condvar,
}

/// How often a caller goes along with, or starts, a flight. The first may have begun for a caller who wanted less.
const FLIGHTS: usize = 3;

impl Shared {
    /// A bearer that meets the demand, from the store or from HubSpot.
    pub(crate) fn bearer(
        self: &Arc<Self>,
        account: Account,
        mut demand: Demand,
    ) -> Result<HeaderValue, TokenError> {
        for remaining in (0..FLIGHTS).rev() {
            let (landed, is_ours) = match self.board(account, false) {
                Ok(Boarded::Ours(takeoff)) => (takeoff.fly(demand.clone(), None), true),
                Ok(Boarded::Another(flight)) => (flight.wait(), false),
                Err(error) => (Err(error), true),
            };
            match landed {
                Ok(landed) => {
                    let is_met = is_ours || landed.meets(&demand);
                    if is_met && (!landed.void || remaining == 0) {
                        return Ok(landed.bearer);
                    }
                    if is_met && demand == Demand::Newer {
                        // It was renewed; all that is left to ask is whether it is still there.
                        demand = Demand::Usable;
                    }
                }
                // Its thread came to no end. This one may.
                Err(TokenError::Interrupted) if !is_ours => {}
                // What another process saved meanwhile is over already: once more.
                Err(TokenError::BackingOff { wait }) if wait.is_zero() && remaining > 0 => {}
                Err(error) => return self.instead(account, &demand, error),
            }
        }
        self.instead(account, &demand, TokenError::Interrupted)
    }

    /// Renews a token ahead of time on another thread, when one is free.
    pub(crate) fn renew_ahead(self: &Arc<Self>, account: Account) {
        // If none is held it was disconnected just now.
        let Some(by) = self.cache.usable_until(account) else { return };
        if !self.turns.join_ahead(account, by) {
            return;
        }
        let mut crew = Crew { shared: Arc::clone(self), has_ended: false };
        let renew = move || while crew.renews_next() {};
        // If no thread can be had, those that wait are for the next one.
        let _ = std::thread::Builder::new().name(THREAD.to_owned()).spawn(renew);
    }

    /// After a flight that failed: the old token, if it may still be handed out.
    fn instead(
        &self,
        account: Account,
        demand: &Demand,
        error: TokenError,
    ) -> Result<HeaderValue, TokenError> {
        self.cache.instead(account, demand, now()).ok_or(error)
    }

    /// The account's flight, or the right to be it. Once shut down, none begins but by `anyway`.
    pub(crate) fn board(self: &Arc<Self>, account: Account, anyway: bool) -> Result<Boarded, TokenError> {
        let mut state = self.state();
        if let Some(flight) = state.flights.get(&account) {
            return Ok(Boarded::Another(Arc::clone(flight)));
        }
        if state.is_shut && !anyway {
            return Err(TokenError::ShutDown);
        }
        let flight = Arc::new(Flight::default());
        state.flights.insert(account, Arc::clone(&flight));
        let busy = Busy::new(self, &mut state);
        Ok(Boarded::Ours(Takeoff { busy, account, flight, has_landed: false }))
    }

    pub(crate) fn world(&self, account: Account) -> World<'_> {
        let (store, turns, begun) = (&*self.store, &self.turns, Cell::new(None));
        World { client: &self.client, store, policy: self.policy, account, turns, begun }
    }

    /// From now on nothing new begins.
    pub(crate) fn shut(&self) {
        self.state().is_shut = true;
        self.turns.close();
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries once more to save what could not be saved.
    pub(crate) fn save_once(self: &Arc<Self>) {
        let unsaved: Vec<Account> = self.state().unsaved.keys().copied().collect();
        for account in unsaved {
            _ = match self.board(account, true) {
                Ok(Boarded::Ours(takeoff)) => takeoff.fly(Demand::Usable, None),
                Ok(Boarded::Another(flight)) => flight.wait(),
                Err(error) => Err(error),
            };
        }
    }

    /// Waits until nothing is under way, at most that long.
    pub(crate) fn settle_down(&self, at_most: Duration) {
        let is_busy = |state: &mut State| state.busy > 0;
        drop(self.changed.wait_timeout_while(self.state(), at_most, is_busy));
    }

    /// Tells the application. Whatever its callback does, the manager goes on.
    pub(crate) fn emit(&self, event: &Event<'_>) {
        #[cfg(feature = "tracing")]
        match event {
            Event::Gone { account, unsettled } => {
                tracing::warn!(target: "hs_oauth", %account, event = event.name(), unsettled);
            }
            Event::Failed { account, error } => {
                tracing::warn!(target: "hs_oauth", %account, event = event.name(), %error);
            }
            _ => tracing::info!(target: "hs_oauth", account = %event.account(), event = event.name()),
        }
        if let Some(on_event) = &self.on_event {
            let _ = catch_unwind(AssertUnwindSafe(|| on_event(event)));
        }
    }

    /// Goes on saving, until nothing is left to be saved or the manager is shut down, which itself tries once more.
    fn save_again(self: Arc<Self>) {
        let mut saving = Saving { shared: Arc::clone(&self), has_ended: false };
        let mut wait = FIRST_WAIT;
        loop {
            let waited = self.changed.wait_timeout_while(self.state(), wait, |state| !state.is_shut);
            let accounts: Vec<Account> = match waited {
                Ok((state, _)) if !state.is_shut => state.unsaved.keys().copied().collect(),
                _ => return,
            };
            let before = accounts.len();
            for account in accounts {
                _ = match self.board(account, false) {
                    Ok(Boarded::Ours(takeoff)) => takeoff.fly(Demand::Usable, None),
                    Ok(Boarded::Another(flight)) => flight.wait(),
                    Err(_) => return,
                };
            }
            let mut state = self.state();
            if state.unsaved.is_empty() {
                state.is_saving = false;
                saving.has_ended = true;
                return;
            }
            wait = match state.unsaved.len() < before {
                true => FIRST_WAIT,
                false => (wait * 2).min(LONGEST_WAIT),
            };
        }
    }
}

/// The waits between two tries to save.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The name of the manager's threads.
const THREAD: &str = "hs-oauth-renewal";

/// A caller's part in a flight.
pub(crate) enum Boarded {
    /// It is the caller's to fly.
    Ours(Takeoff),
    /// Another caller flies it.
    Another(Arc<Flight>),
}

/// A flight before it landed. If it is dropped, whoever waits for it hears that there is no result.
pub(crate) struct Takeoff {
    busy: Busy,
    account: Account,
    flight: Arc<Flight>,
    has_landed: bool,
}

impl Takeoff {
    /// `begun`: its turn, if it has had that. Else somebody waits for it.
    pub(crate) fn fly(mut self, demand: Demand, begun: Option<Begun>) -> Result<Landed, TokenError> {
        let shared = Arc::clone(&self.busy.0);
        let account = self.account;
        let ticket = shared.cache.ticket(account);
        let unsaved = shared.state().unsaved.get(&account).cloned();
        let forced = matches!(demand, Demand::OtherThan(_));
        let mut run = Renewal::new(shared.policy, random(), demand);
        if let Some(unsaved) = unsaved.clone() {
            run = run.with_unsaved(unsaved);
        }
        let mut refusal = None;
        let world = World { begun: Cell::new(begun), ..shared.world(account) };
        let result = world.drive(&mut run, &mut refusal);
        if let Some(unused) = world.begun.take() {
            shared.turns.give_back(unused);
        }

        let ended = Ended { account, result, unsaved, refusal, forced };
        let (landed, was_held) = shared.cache.settle(ticket, &ended, now(), random().next_u64());
        let mut save_again = false;
        {
            let mut state = shared.state();
            match run.into_unsaved() {
                Some(unsaved) => {
                    state.unsaved.insert(account, unsaved);
                    save_again = !std::mem::replace(&mut state.is_saving, true);
                }
                None => _ = state.unsaved.remove(&account),
            }
            state.flights.remove(&account);
            self.has_landed = true;
        }
        self.flight.land(landed.clone());
        if save_again {
            let saver = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(THREAD.to_owned());
            if thread.spawn(move || saver.save_again()).is_err() {
                shared.state().is_saving = false;
            }
        }
        // The listener may shut the manager down, which waits for all that is busy.
        drop(self);
        ended.tell(was_held, |event| shared.emit(event));
        landed
    }
}

impl Drop for Takeoff {
    fn drop(&mut self) {
        if !self.has_landed {
            self.busy.0.state().flights.remove(&self.account);
            self.flight.land(Err(TokenError::Interrupted));
        }
    }
}

impl Flight {
    fn land(&self, result: Result<Landed, TokenError>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.landed.notify_all();
    }

    /// What the flight brings, when it has landed.
    pub(crate) fn wait(&self) -> Result<Landed, TokenError> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        let landed = self.landed.wait_while(result, |result| result.is_none());
        landed.unwrap_or_else(PoisonError::into_inner).clone().unwrap_or(Err(TokenError::Interrupted))
    }
}

/// Counts what must not be cut off.
pub(crate) struct Busy(Arc<Shared>);

impl Busy {
    pub(crate) fn new(shared: &Arc<Shared>, state: &mut State) -> Self {
        state.busy += 1;
        Self(Arc::clone(shared))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.state().busy -= 1;
        self.0.changed.notify_all();
    }
}

/// A thread that renews ahead of time, counted until it ends.
struct Crew {
    shared: Arc<Shared>,
    has_ended: bool,
}

impl Crew {
    /// Renews the next account when it may begin; false, and the thread is to end, if there is none or the manager is shut down.
    fn renews_next(&mut self) -> bool {
        let Shared { turns, .. } = &*self.shared;
        let busy = || Busy::new(&self.shared, &mut self.shared.state());
        let Some(Ready { account, begun, made: busy }) = turns.next_ahead(busy) else {
            self.has_ended = true;
            return false;
        };
        let boarded = self.shared.board(account, false);
        // The flight counts for itself.
        drop(busy);
        match boarded {
            Ok(Boarded::Ours(takeoff)) => _ = takeoff.fly(Demand::Usable, Some(begun)),
            Ok(Boarded::Another(_)) | Err(_) => turns.give_back(begun),
        }
        true
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        if !self.has_ended {
            self.shared.turns.thread_lost();
        }
    }
}

/// However the thread ends, the next tokens that cannot be saved start it again.
struct Saving {
    shared: Arc<Shared>,
    has_ended: bool,
}

impl Drop for Saving {
    fn drop(&mut self) {
        if !self.has_ended {
            self.shared.state().is_saving = false;
        }
    }
}

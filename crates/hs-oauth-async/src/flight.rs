//! One renewal at a time for each account of this process: the first caller starts it as a task of its own, and all wait for
//! what it brings. It runs to its end whatever becomes of the callers.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{Demand, RenewalPolicy, Renewal, TokenError, UnsavedTokens};
use hs_oauth_core::{Account, Event};
use hs_oauth_store::cache::{Cache, Ended, Landed};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::client::Client;
use crate::drive::{World, now, random};
use crate::store::TokenStore;
use crate::turns::Turns;

/// What all clones of a manager share.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) store: Box<dyn TokenStore>,
    pub(crate) policy: RenewalPolicy,
    pub(crate) user_level: bool,
    pub(crate) on_event: Option<Box<Listener>>,
    pub(crate) cache: Cache,
    /// None if there is no budget.
    pub(crate) turns: Option<Turns>,
    /// Never held while waiting.
    pub(crate) state: Mutex<State>,
    /// How many tasks must not be cut off.
    pub(crate) busy: watch::Sender<usize>,
}

pub(crate) type Listener = dyn Fn(&Event<'_>) + Send + Sync;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) flights: HashMap<Account, Flight>,
    pub(crate) unsaved: HashMap<Account, Unsaved>,
    pub(crate) is_shut: bool,
    is_saving: bool,
}

pub(crate) type Flight = watch::Receiver<Option<Result<Landed, TokenError>>>;

/// What a flight is started for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A caller waits for it.
    Asked,
    /// A token's time comes, and nobody waits.
    Ahead,
    /// The manager is being shut down.
    Shutdown,
}

/// How often a caller goes along with, or starts, a flight. The first may have begun for a caller who wanted less.
const FLIGHTS: usize = 3;

impl Shared {
    /// A bearer that meets the demand, from the store or from HubSpot.
    pub(crate) async fn bearer(
        self: &Arc<Self>,
        account: Account,
        mut demand: Demand,
    ) -> Result<HeaderValue, TokenError> {
        for remaining in (0..FLIGHTS).rev() {
            let (mut flight, is_ours) = match self.fly(account, &demand, Reason::Asked) {
                Ok(flight) => flight,
                Err(error) => return self.instead(account, &demand, error),
            };
            let landed = flight.wait_for(Option::is_some).await.map(|landed| landed.clone());
            match landed {
                Ok(Some(Ok(landed))) => {
                    let is_met = is_ours || landed.meets(&demand);
                    if is_met && (!landed.void || remaining == 0) {
                        return Ok(landed.bearer);
                    }
                    if is_met && demand == Demand::Newer {
                        // It was renewed; all that is left to ask is whether it is still there.
                        demand = Demand::Usable;
                    }
                }
                // What another process saved meanwhile is over already: once more.
                Ok(Some(Err(TokenError::BackingOff { wait }))) if wait.is_zero() && remaining > 0 => {}
                Ok(Some(Err(error))) => return self.instead(account, &demand, error),
                // It came to no end. If its runtime went down with its first caller, this one may have a better one.
                Ok(None) | Err(_) if is_ours => {
                    return self.instead(account, &demand, TokenError::Interrupted);
                }
                Ok(None) | Err(_) => {}
            }
        }
        self.instead(account, &demand, TokenError::Interrupted)
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

    /// The account's flight, and whether it was started for this demand. Once shut down, none is started but for that.
    pub(crate) fn fly(
        self: &Arc<Self>,
        account: Account,
        demand: &Demand,
        reason: Reason,
    ) -> Result<(Flight, bool), TokenError> {
        let runtime = Handle::try_current().map_err(|_| TokenError::NoRuntime)?;
        let (takeoff, flight) = {
            let mut state = self.state();
            if let Some(flight) = state.flights.get(&account) {
                if reason != Reason::Ahead {
                    self.hurry(account);
                }
                return Ok((flight.clone(), false));
            }
            if state.is_shut && reason != Reason::Shutdown {
                return Err(TokenError::ShutDown);
            }
            let (result, flight) = watch::channel(None);
            state.flights.insert(account, flight.clone());
            let busy = Busy::new(self);
            (Takeoff { busy, account, result, has_landed: false }, flight)
        };
        // Not under the lock: a runtime that is shutting down drops the task on the spot, which takes the lock.
        runtime.spawn(takeoff.fly(demand.clone(), reason == Reason::Ahead));
        Ok((flight, true))
    }

    pub(crate) fn world(&self, account: Account) -> World<'_> {
        let (store, turns) = (&*self.store, self.turns.as_ref());
        World { client: &self.client, store, policy: self.policy, account, turns, is_ahead: false }
    }

    /// From now on nothing new begins.
    pub(crate) fn shut(&self) {
        self.state().is_shut = true;
        if let Some(turns) = &self.turns {
            turns.close();
        }
    }

    /// Somebody waits for the account's flight. To be said under the lock under which that ends, so that it is not said of the
    /// next.
    pub(crate) fn hurry(&self, account: Account) {
        if let Some(turns) = &self.turns {
            turns.hurry(account);
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Goes on saving, until nothing is left to be saved.
    async fn save_again(self: Arc<Self>, mut saving: Saving) {
        let mut wait = FIRST_WAIT;
        loop {
            tokio::time::sleep(wait).await;
            let accounts: Vec<Account> = self.state().unsaved.keys().copied().collect();
            let before = accounts.len();
            for account in accounts {
                // Fails once shut down: the shutdown itself tries once more.
                let Ok((mut flight, _)) = self.fly(account, &Demand::Usable, Reason::Asked) else { return };
                let _ = flight.wait_for(Option::is_some).await;
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

/// A flight before it landed. If it is dropped, whoever waits for it hears that there is no result.
struct Takeoff {
    busy: Busy,
    account: Account,
    result: watch::Sender<Option<Result<Landed, TokenError>>>,
    has_landed: bool,
}

impl Takeoff {
    /// `is_ahead`: nobody waits for it.
    async fn fly(mut self, demand: Demand, is_ahead: bool) {
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
        let world = World { is_ahead, ..shared.world(account) };
        let result = world.drive(&mut run, &mut refusal).await;

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
            self.end(&mut state);
            self.has_landed = true;
        }
        self.result.send_replace(Some(landed));
        if save_again {
            let saving = Saving { shared: Arc::clone(&shared), has_ended: false };
            tokio::spawn(Arc::clone(&shared).save_again(saving));
        }
        ended.tell(was_held, |event| shared.emit(event));
    }

    /// What was said of its turn is forgotten with it.
    fn end(&self, state: &mut State) {
        state.flights.remove(&self.account);
        if let Some(turns) = &self.busy.0.turns {
            turns.leave(self.account);
        }
    }
}

impl Drop for Takeoff {
    fn drop(&mut self) {
        if !self.has_landed {
            self.end(&mut self.busy.0.state());
        }
    }
}

/// Counts a task that must not be cut off.
pub(crate) struct Busy(Arc<Shared>);

impl Busy {
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        shared.busy.send_modify(|count| *count += 1);
        Self(Arc::clone(shared))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.send_modify(|count| *count -= 1);
    }
}

/// However the task ends, the next tokens that cannot be saved start it again.
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

//! Does what a run of the core wants done: moves records, requests and time, and decides nothing.

use std::cell::Cell;

use hs_oauth_core::Account;
use hs_oauth_core::renewal::{Deadline, Input, Run, Step, TokenError};
use hs_oauth_manager::{Admitted, Purpose, SingleFlight, Waiting, catch_panic, loaded, now, swapped};
use hs_oauth_store::TokenStore;

use crate::client::Client;
use crate::waiting::Threads;

/// What the runs of one account work with.
pub(crate) struct Driver<'a> {
    pub(crate) client: &'a Client,
    pub(crate) store: &'a dyn TokenStore,
    pub(crate) flights: &'a SingleFlight<Threads>,
    pub(crate) account: Account,
    /// The right to begin, if the queue gave it before the run began and it is not used yet.
    pub(crate) admitted: Cell<Option<Admitted>>,
}

impl Driver<'_> {
    /// Drives `run` to its end. The store's timeouts cannot be held to: a sync store that does not return holds its caller.
    pub(crate) fn drive<R: Run>(&self, run: &mut R) -> Result<R::Output, TokenError> {
        let mut step = run.start(now());
        loop {
            let input = match step {
                Step::Load { .. } => loaded(catch_panic(|| self.store.load(self.account))),
                Step::Swap { expected, record, .. } => {
                    swapped(catch_panic(|| self.store.swap(self.account, expected, &record)))
                }
                Step::Send { refresh, timeout } => Input::Refreshed(self.client.call_once(&refresh, timeout)),
                Step::Revoke(revoke) => Input::Revoked(self.client.call(&revoke)),
                Step::Admit { deadline } => match self.admitted.take() {
                    Some(_) => Input::Admit { waited: false },
                    None => self.admit(deadline),
                },
                Step::Sleep(time) => {
                    std::thread::sleep(time);
                    Input::Slept
                }
                Step::Done(result) => return result,
            };
            step = run.resume(now(), input);
        }
    }

    /// Waits in the queue until the renewal may begin.
    fn admit(&self, deadline: Deadline) -> Input {
        let mut state = self.flights.state();
        if !state.queue.is_limited() {
            return Input::Admit { waited: false };
        }
        state.queue.join(self.account, Purpose::Caller, deadline, ());
        let mut waited = false;
        loop {
            match state.queue.admit(self.account, now(), waited) {
                Ok(input) => {
                    state.queue.leave(self.account);
                    self.flights.waiting.queue_changed(None);
                    return input;
                }
                Err(wait) => state = self.flights.waiting.wait(state, wait),
            }
            waited = true;
        }
    }
}

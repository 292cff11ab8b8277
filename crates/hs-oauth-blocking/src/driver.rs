//! Drives the runs of hs-oauth-core: does each step that a run asks for, and decides nothing.

use std::sync::{Arc, Condvar};
use std::time::Duration;

use hs_oauth_core::renewal::{Deadline, Input, Step, Stored, TokenError};
use hs_oauth_core::{Account, StoreError, Timestamp};
use hs_oauth_manager::{Admitted, Driven, Purpose, Shared, StoreCall, catch_panic, loaded, swapped};
use hs_oauth_store::{Cursor, Page, TokenStore};

use crate::client::Client;
use crate::waiting::{Threads, wait_for};

/// The client, the store and the state that all clones of a manager share.
pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) store: Box<dyn TokenStore>,
    pub(crate) shared: Shared<Threads>,
}

impl Inner {
    /// Drives a run of the account to its end. `admitted` is the right to begin if the queue has granted it already. The end of the run gives
    /// it back.
    ///
    /// The store's timeouts cannot be enforced, since a sync store that does not return blocks its caller.
    pub(crate) fn drive<R: Driven>(
        &self,
        account: Account,
        mut admitted: Option<Admitted>,
        run: &mut R,
    ) -> Result<R::Output, TokenError> {
        #[cfg(feature = "tracing")]
        let _span = hs_oauth_manager::account_span(account).entered();
        let mut step = run.start(self.now());
        loop {
            let input = match step {
                Step::Load { .. } => loaded(self.load(account)),
                Step::Swap { expected, record, .. } => {
                    let call = StoreCall::begin("swap");
                    swapped(call.end_swap(catch_panic(|| self.store.swap(account, expected, &record))))
                }
                Step::Send { refresh, timeout } => match self.shared.before_send(account) {
                    Some(input) => input,
                    None => {
                        let response = self.client.call_once(&refresh, timeout);
                        self.shared.refreshed(account, run.is_recheck(), self.now(), response)
                    }
                },
                Step::Introspect(introspect) => {
                    let response = self.client.call(&introspect);
                    self.shared.note_response(&response);
                    Input::Introspected(response)
                }
                Step::Revoke(revoke) => Input::Revoked(self.client.call(&revoke)),
                Step::Admit { .. } if self.shared.flights.is_closed() => Input::ShuttingDown,
                Step::Admit { deadline } => match admitted.take() {
                    Some(_) => Input::Admit { waited: false },
                    None => self.admit(account, deadline),
                },
                Step::Sleep(time) if run.ends_at_shutdown() => {
                    self.shared.flights.rest(account);
                    self.sleep_unless_closed(time)
                }
                Step::Sleep(time) => {
                    std::thread::sleep(time);
                    Input::Slept
                }
                Step::Done(result) => return result,
            };
            step = run.resume(self.now(), input);
            if let Some(tokens) = run.newly_received() {
                self.shared.flights.note_received(account, tokens);
            }
        }
    }

    /// Loads the account's record, and notes whether the store works.
    pub(crate) fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        let result = StoreCall::begin("load").end(catch_panic(|| self.store.load(account)));
        self.shared.note_load(account, &result, self.now());
        result
    }

    /// Reads a page of the store.
    pub(crate) fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        StoreCall::begin("page").end(catch_panic(|| self.store.page(cursor, limit)))
    }

    /// Checks that the store takes writes.
    pub(crate) fn check(&self) -> Result<(), TokenError> {
        StoreCall::begin("check").end(catch_panic(|| self.store.check())).map_err(TokenError::Store)
    }

    /// Returns the current time.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.settings.clock.now()
    }

    /// Sleeps, or returns at once when no refresh is sent any more.
    fn sleep_unless_closed(&self, time: Duration) -> Input {
        let flights = &self.shared.flights;
        let state = flights.waiting.wait_while(flights.state(), time, |state| !state.queue.is_closed());
        match state.queue.is_closed() {
            true => Input::ShuttingDown,
            false => Input::Slept,
        }
    }

    /// Waits in the queue until the renewal may begin.
    fn admit(&self, account: Account, deadline: Deadline) -> Input {
        let (flights, clock) = (&self.shared.flights, &self.shared.settings.clock);
        let mut state = flights.state();
        let waker = Arc::new(Condvar::new());
        state.queue.join(account, Purpose::Caller, deadline, Arc::clone(&waker));
        let mut waited = false;
        loop {
            match flights.admit(&mut state, account, clock.wait_time(), waited) {
                Ok(input) => return input,
                Err(wait) => state = wait_for(&waker, state, wait, clock),
            }
            waited = true;
        }
    }
}

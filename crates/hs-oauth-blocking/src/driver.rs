//! Drives the runs of hs-oauth-core: does each step that a run asks for, and decides nothing.

use hs_oauth_core::Account;
use hs_oauth_core::renewal::{Deadline, Input, Run, Step, TokenError};
use hs_oauth_manager::{Admitted, Purpose, Shared, catch_panic, loaded, now, swapped};
use hs_oauth_store::TokenStore;

use crate::client::Client;
use crate::waiting::Threads;

/// The client, the store and the state that all clones of a manager share.
pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) store: Box<dyn TokenStore>,
    pub(crate) shared: Shared<Threads>,
}

impl Inner {
    /// Drives a run of the account to its end. `admitted` is the right to begin if the queue has granted it already. It is taken when the
    /// run uses it.
    ///
    /// The store's timeouts cannot be enforced, since a sync store that does not return blocks its caller.
    pub(crate) fn drive<R: Run>(
        &self,
        account: Account,
        admitted: &mut Option<Admitted>,
        run: &mut R,
    ) -> Result<R::Output, TokenError> {
        let mut step = run.start(now());
        loop {
            let input = match step {
                Step::Load { .. } => loaded(catch_panic(|| self.store.load(account))),
                Step::Swap { expected, record, .. } => {
                    swapped(catch_panic(|| self.store.swap(account, expected, &record)))
                }
                Step::Send { refresh, timeout } => {
                    let response = self.client.call_once(&refresh, timeout);
                    self.shared.refreshed(account, now(), response)
                }
                Step::Introspect(introspect) => Input::Introspected(self.client.call(&introspect)),
                Step::Revoke(revoke) => Input::Revoked(self.client.call(&revoke)),
                Step::Admit { deadline } => match admitted.take() {
                    Some(_) => Input::Admit { waited: false },
                    None => self.admit(account, deadline),
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
    fn admit(&self, account: Account, deadline: Deadline) -> Input {
        let flights = &self.shared.flights;
        let mut state = flights.state();
        state.queue.join(account, Purpose::Caller, deadline, ());
        let mut waited = false;
        loop {
            match flights.admit(&mut state, account, now(), waited) {
                Ok(input) => return input,
                Err(wait) => state = flights.waiting.wait(state, wait),
            }
            waited = true;
        }
    }
}

//! The install of an account, from the moment at which its tokens are known.

use std::sync::Arc;

use hs_oauth_core::renewal::{CurrentTokens, Install, TokenError};
use hs_oauth_core::{Account, Timestamp};

use crate::cache::Snapshot;
use crate::received::Unsaved;
use crate::single_flight::{SingleFlight, TaskGuard, Waiting};

/// The install of an account. Its tokens are known to the manager until they are saved: if it is dropped before its end, the account's next
/// flight goes on with it.
#[derive(Debug)]
pub struct InstallTask<W: Waiting> {
    /// The run, to be driven to its end.
    pub run: Install,
    /// The account.
    pub account: Account,
    pub(crate) snapshot: Snapshot,
    pub(crate) began: Timestamp,
    flights: Arc<SingleFlight<W>>,
    _task: TaskGuard<W>,
    has_ended: bool,
}

impl<W: Waiting> InstallTask<W> {
    pub(crate) fn new(
        flights: &Arc<SingleFlight<W>>,
        task: TaskGuard<W>,
        account: Account,
        run: Install,
        snapshot: Snapshot,
        now: Timestamp,
    ) -> Self {
        flights.state().received.begin_install(account, run.unsaved().clone());
        Self {
            run,
            account,
            snapshot,
            began: now,
            flights: Arc::clone(flights),
            _task: task,
            has_ended: false,
        }
    }

    /// Ends the install. Returns whether the caller has to start [`SaveRetries`](crate::SaveRetries).
    pub(crate) fn finish(&mut self, result: &Result<CurrentTokens, TokenError>) -> bool {
        self.has_ended = true;
        let mut state = self.flights.state();
        match result {
            Ok(_) | Err(TokenError::Superseded { .. }) => {
                state.received.remove_install(self.account, self.run.unsaved());
                false
            }
            Err(_) => {
                let is_left = state.received.add(self.account, Unsaved::Install(self.run.unsaved().clone()));
                is_left && state.start_retries()
            }
        }
    }
}

impl<W: Waiting> Drop for InstallTask<W> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.flights.state().received.add(self.account, Unsaved::Install(self.run.unsaved().clone()));
        }
    }
}

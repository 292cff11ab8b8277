//! Where renewals wait for their turn, if there is a budget.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hs_oauth_core::{Account, Budget, Input, Timestamp, Turn};
use tokio::sync::Notify;

use crate::drive::now;

pub(crate) struct Turns {
    /// Never held while waiting.
    budget: Mutex<Budget<Arc<Notify>>>,
}

/// A place among those who wait, which is given up when it is dropped.
struct Place<'t> {
    turns: &'t Turns,
    account: Account,
}

impl Turns {
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        Self { budget: Mutex::new(Budget::new(per_second)) }
    }

    /// Waits until the account's renewal may begin. `is_ahead`: nobody waits for it. If somebody does, and would do with the old
    /// token, which is handed out until `by`, it does not wait.
    pub(crate) async fn wait(&self, account: Account, by: Timestamp, is_ahead: bool) -> Input {
        let told = Arc::new(Notify::new());
        let _place = Place::take(self, account, by, &told);
        let mut waited = false;
        loop {
            let turn = self.budget().turn(account, now());
            match turn {
                Turn::Now => return Input::Turn { waited },
                Turn::Never => return Input::NoTurn,
                Turn::In(_) | Turn::Behind if !is_ahead && by > now() => return Input::NoWait,
                Turn::In(time) => _ = tokio::time::timeout(time, told.notified()).await,
                Turn::Behind => told.notified().await,
            }
            waited = true;
        }
    }

    /// Somebody waits for the account's renewal now.
    pub(crate) fn hurry(&self, account: Account) {
        if let Some(first) = self.budget().hurry(account) {
            first.notify_one();
        }
    }

    /// The account's run has ended, or has had its turn.
    pub(crate) fn leave(&self, account: Account) {
        if let Some(first) = self.budget().leave(account) {
            first.notify_one();
        }
    }

    /// No renewal that waits begins any more.
    pub(crate) fn close(&self) {
        self.budget().close().for_each(|told| told.notify_one());
    }

    fn budget(&self) -> MutexGuard<'_, Budget<Arc<Notify>>> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'t> Place<'t> {
    fn take(turns: &'t Turns, account: Account, by: Timestamp, told: &Arc<Notify>) -> Self {
        if let Some(first) = turns.budget().join(account, by, Arc::clone(told)) {
            first.notify_one();
        }
        Self { turns, account }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.turns.leave(self.account);
    }
}

//! Where renewals wait for their turn, if there is a budget.

use std::num::NonZeroU32;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use hs_oauth_core::{Account, Budget, Input, Timestamp, Turn};

use crate::drive::now;

pub(crate) struct Turns {
    budget: Mutex<Budget<()>>,
    /// Told at every change.
    changed: Condvar,
}

impl Turns {
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        Self { budget: Mutex::new(Budget::new(per_second)), changed: Condvar::new() }
    }

    /// Waits until the account's renewal may begin. `is_ahead`: nobody waits for it. If somebody does, and would do with the old
    /// token, which is handed out until `by`, it does not wait.
    pub(crate) fn wait(&self, account: Account, by: Timestamp, is_ahead: bool) -> Input {
        let mut budget = self.budget();
        budget.join(account, by, ());
        self.changed.notify_all();
        let mut waited = false;
        let input = loop {
            let turn = budget.turn(account, now());
            budget = match turn {
                Turn::Now => break Input::Turn { waited },
                Turn::Never => break Input::NoTurn,
                Turn::In(_) | Turn::Behind if !is_ahead && by > now() => break Input::NoWait,
                Turn::In(time) => {
                    self.changed.wait_timeout(budget, time).unwrap_or_else(PoisonError::into_inner).0
                }
                Turn::Behind => self.changed.wait(budget).unwrap_or_else(PoisonError::into_inner),
            };
            waited = true;
        };
        drop(budget);
        self.leave(account);
        input
    }

    /// Somebody waits for the account's renewal now.
    pub(crate) fn hurry(&self, account: Account) {
        self.budget().hurry(account);
        self.changed.notify_all();
    }

    /// The account's run has ended, or has had its turn.
    pub(crate) fn leave(&self, account: Account) {
        self.budget().leave(account);
        self.changed.notify_all();
    }

    /// No renewal that waits begins any more.
    pub(crate) fn close(&self) {
        let _ = self.budget().close();
        self.changed.notify_all();
    }

    fn budget(&self) -> MutexGuard<'_, Budget<()>> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

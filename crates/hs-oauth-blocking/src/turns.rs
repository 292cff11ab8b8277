//! When renewals begin: within the budget, if there is one, those that callers wait for at once, those ahead of time after them.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hs_oauth_core::renewal::Input;
use hs_oauth_core::{Account, Budget, Timestamp, Turn};

use crate::drive::now;

pub(crate) struct Turns {
    queue: Mutex<Queue>,
    /// Told whenever one that waits may have to look again.
    changed: Condvar,
}

struct Queue {
    /// Where those stand that callers wait for; none if all may begin at once.
    budget: Option<Budget<()>>,
    ahead: Ahead,
}

/// Accounts whose time has come, and the threads that renew them. An account takes a thread when it may begin and not before,
/// so that no thread stands in line with one while the token of another ends sooner.
#[derive(Default)]
struct Ahead {
    threads: usize,
    order: BTreeSet<(Timestamp, Account)>,
    /// Where each is in the order.
    by: HashMap<Account, Timestamp>,
    is_closed: bool,
}

/// A renewal ahead of time that may begin.
pub(crate) struct Ready<T> {
    pub(crate) account: Account,
    pub(crate) begun: Begun,
    /// What was made of it at once.
    pub(crate) made: T,
}

/// A turn in the budget that has been had.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun(Timestamp);

/// The most renewals ahead of time that run at once.
const MOST_AHEAD: usize = 8;

impl Turns {
    /// So many renewals a second; as many as there are, if none is said.
    pub(crate) fn new(per_second: Option<NonZeroU32>) -> Self {
        let queue = Queue { budget: per_second.map(Budget::new), ahead: Ahead::default() };
        Self { queue: Mutex::new(queue), changed: Condvar::new() }
    }

    /// Waits until a renewal that a caller waits for may begin. If the caller would do with the old token, which is handed out
    /// until `by`, it does not wait.
    pub(crate) fn wait(&self, account: Account, by: Timestamp) -> Input {
        let mut queue = self.queue();
        if let Some(budget) = &mut queue.budget {
            budget.join(account, by, ());
        }
        let mut waited = false;
        let input = loop {
            queue = match queue.turn(account, now()) {
                Turn::Now => break Input::Turn { waited },
                Turn::Never => break Input::NoTurn,
                Turn::In(_) | Turn::Behind if by > now() => break Input::NoWait,
                Turn::In(time) => self.wait_for_change_or(queue, time),
                Turn::Behind => self.wait_for_change(queue),
            };
            waited = true;
        };
        if let Some(budget) = &mut queue.budget {
            budget.leave(account);
        }
        self.changed.notify_all();
        input
    }

    /// The account is to be renewed ahead of time, by that moment. Whether a thread is to be started.
    pub(crate) fn join_ahead(&self, account: Account, by: Timestamp) -> bool {
        self.queue().ahead.join(account, by)
    }

    /// The next account to be renewed ahead of time, when it may begin. `make` is called before anything can close in between.
    /// None, and the thread is to end, if nothing waits any more.
    pub(crate) fn next_ahead<T>(&self, make: impl FnOnce() -> T) -> Option<Ready<T>> {
        let mut queue = self.queue();
        loop {
            let now = now();
            queue = match queue.next_ahead(now) {
                Some((account, Turn::Now)) => {
                    return Some(Ready { account, begun: Begun(now), made: make() });
                }
                Some((_, Turn::In(time))) => self.wait_for_change_or(queue, time),
                Some((_, Turn::Behind)) => self.wait_for_change(queue),
                Some((_, Turn::Never)) | None => {
                    // Under the same lock as the look: who comes after it starts another.
                    queue.ahead.threads -= 1;
                    return None;
                }
            }
        }
    }

    /// A thread has ended without [`next_ahead`](Self::next_ahead) saying so.
    pub(crate) fn thread_lost(&self) {
        self.queue().ahead.threads -= 1;
    }

    /// Nothing was to be renewed: the turn is another's.
    pub(crate) fn give_back(&self, Begun(moment): Begun) {
        if let Some(budget) = &mut self.queue().budget {
            budget.give_back(moment);
        }
        self.changed.notify_all();
    }

    /// No renewal that waits begins any more.
    pub(crate) fn close(&self) {
        let mut queue = self.queue();
        queue.ahead.close();
        if let Some(budget) = &mut queue.budget {
            let _ = budget.close();
        }
        drop(queue);
        self.changed.notify_all();
    }

    fn wait_for_change<'q>(&self, queue: MutexGuard<'q, Queue>) -> MutexGuard<'q, Queue> {
        self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_change_or<'q>(&self, queue: MutexGuard<'q, Queue>, time: Duration) -> MutexGuard<'q, Queue> {
        self.changed.wait_timeout(queue, time).unwrap_or_else(PoisonError::into_inner).0
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn turn(&mut self, account: Account, now: Timestamp) -> Turn {
        self.budget.as_mut().map_or(Turn::Now, |budget| budget.turn(account, now))
    }

    /// Whose turn ahead of time it is, and what that one is to do. It waits no more if it may begin.
    fn next_ahead(&mut self, now: Timestamp) -> Option<(Account, Turn)> {
        let (by, account) = *self.ahead.order.first()?;
        let turn = self.budget.as_mut().map_or(Turn::Now, |budget| budget.turn_after_all(now));
        if turn == Turn::Now {
            self.ahead.order.remove(&(by, account));
            self.ahead.by.remove(&account);
        }
        Some((account, turn))
    }
}

impl Ahead {
    /// Waits from now on. Whether a thread is to be started.
    fn join(&mut self, account: Account, by: Timestamp) -> bool {
        if self.is_closed {
            return false;
        }
        if let Some(before) = self.by.insert(account, by) {
            self.order.remove(&(before, account));
        }
        self.order.insert((by, account));
        let is_wanted = self.threads < MOST_AHEAD;
        self.threads += usize::from(is_wanted);
        is_wanted
    }

    fn close(&mut self) {
        self.is_closed = true;
        self.order.clear();
        self.by.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn queue(per_second: u32, ending_in: &[u64]) -> Queue {
        let budget = NonZeroU32::new(per_second).map(Budget::new);
        let mut queue = Queue { budget, ahead: Ahead::default() };
        for (hub_id, seconds) in (1..).zip(ending_in) {
            queue.ahead.join(Account::hub(hub_id), NOW.plus(Duration::from_secs(*seconds)));
        }
        queue
    }

    /// Those that may begin, as soon as they may.
    fn order(queue: &mut Queue) -> Vec<i64> {
        let (mut now, mut order) = (NOW, Vec::new());
        while let Some((account, turn)) = queue.next_ahead(now) {
            match turn {
                Turn::Now => order.push(account.hub_id),
                Turn::In(time) => now = now.plus(time),
                other => panic!("{other:?}"),
            }
        }
        order
    }

    /// README: "the one that ends soonest is first".
    #[test]
    fn the_one_that_ends_soonest_is_first_with_a_budget_and_without_and_none_is_lost() {
        for per_second in [0, 1, 100] {
            let mut queue = queue(per_second, &[300, 100, 200, 100]);
            assert_eq!(order(&mut queue), [2, 4, 3, 1], "{per_second}");
            assert!(queue.ahead.by.is_empty());
        }
    }

    #[test]
    fn one_that_comes_while_others_wait_for_a_turn_is_before_those_that_end_later() {
        let mut queue = queue(1, &[300; 20]);
        assert!(matches!(queue.next_ahead(NOW), Some((_, Turn::Now))));
        assert!(matches!(queue.next_ahead(NOW), Some((_, Turn::In(_)))));
        queue.ahead.join(Account::hub(99), NOW);
        assert_eq!(order(&mut queue).first(), Some(&99));
    }

    #[test]
    fn one_that_is_asked_for_again_waits_once_by_when_its_token_ends_now() {
        let mut queue = queue(0, &[300, 200]);
        queue.ahead.join(Account::hub(1), NOW.plus(Duration::from_secs(100)));
        assert_eq!(order(&mut queue), [1, 2]);
    }

    #[test]
    fn as_many_threads_are_started_as_may_run_at_once() {
        let mut ahead = Ahead::default();
        let started = (0..20).filter(|hub_id| ahead.join(Account::hub(*hub_id), NOW)).count();
        assert_eq!(started, MOST_AHEAD);
        ahead.close();
        assert!(!ahead.join(Account::hub(99), NOW) && ahead.order.is_empty(), "nothing joins any more");
    }
}

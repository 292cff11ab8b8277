//! When renewals begin: the rate, and the order.
//!
//! Accounts that connected together, or that were all asked for when a service started, expire together. With a rate, their renewals
//! are spread over the part of a life in which tokens are renewed ahead of time.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use hs_oauth_core::renewal::{Deadline, Input};
use hs_oauth_core::{Account, Timestamp};

/// How many renewals a process begins in a second, and which begins next.
///
/// Renewals that callers wait for come before all others. Among equals, the one whose token expires soonest is first. In no second do
/// more begin than the rate says, and in no tenth of a second more than a tenth of that.
///
/// In the queue are *runs*, which have begun and wait to be admitted, and *accounts*, for which a run is yet to begin when
/// [`next`](Self::next) returns them to a worker. `W` is how a waiting run is woken.
#[derive(Debug)]
pub struct RenewalQueue<W> {
    /// Renewals in a second; `None` if their number is not limited.
    rate: Option<usize>,
    /// When the last renewals began, of one second at most.
    begun: VecDeque<Timestamp>,
    order: BTreeSet<Rank>,
    entries: HashMap<Account, Entry<W>>,
    /// Accounts that a caller waits for and whose run has not joined yet.
    prioritized: HashSet<Account>,
    joined: u64,
    workers: usize,
    is_closed: bool,
}

/// How long a run or a worker has to wait before it asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// For this long, or until woken: the rate is used up.
    For(Duration),
    /// Until woken: others are first.
    UntilWoken,
}

/// The right to begin the renewal of an account, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The account to be renewed.
    pub account: Account,
    begun: Timestamp,
}

#[derive(Debug)]
struct Entry<W> {
    rank: Rank,
    /// `None` for an account whose run is yet to begin.
    run: Option<WaitingRun<W>>,
}

#[derive(Debug)]
struct WaitingRun<W> {
    waker: W,
    /// Until then, its caller can have the old token and does not wait.
    skip_until: Option<Timestamp>,
}

/// The place in the order. The lesser is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    purpose: Purpose,
    deadline: Deadline,
    joined: u64,
    account: Account,
}

/// What a renewal is for. The lesser begins first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The manager is being shut down, and tries once more to save tokens.
    Shutdown,
    /// A caller waits for it.
    Caller,
    /// A token is renewed ahead of time, and nobody waits.
    Ahead,
}

/// The most workers, and so the most renewals of queued accounts, at once.
pub const MAX_WORKERS: usize = 8;

const SECOND: Duration = Duration::from_secs(1);

impl<W> RenewalQueue<W> {
    /// Returns an empty queue. `per_second` is the rate; `None` does not limit it.
    pub fn new(per_second: Option<NonZeroU32>) -> Self {
        Self {
            rate: per_second.map(|rate| usize::try_from(rate.get()).unwrap_or(usize::MAX)),
            begun: VecDeque::new(),
            order: BTreeSet::new(),
            entries: HashMap::new(),
            prioritized: HashSet::new(),
            joined: 0,
            workers: 0,
            is_closed: false,
        }
    }

    /// Returns whether the rate of renewals is limited. If it is not, no run has to join.
    pub fn is_limited(&self) -> bool {
        self.rate.is_some()
    }

    /// Adds the run of an account, which wants its token renewed by `deadline`. Returns the waker now at the front.
    pub fn join(&mut self, account: Account, purpose: Purpose, deadline: Deadline, waker: W) -> Option<&W> {
        let skip_until = match (purpose, deadline) {
            (Purpose::Caller, Deadline::At(moment)) => Some(moment),
            _ => None,
        };
        let (purpose, deadline) = match self.prioritized.contains(&account) {
            true => (Purpose::Caller, Deadline::Now),
            false => (purpose, deadline),
        };
        self.remove(account);
        self.insert(account, purpose, deadline, Some(WaitingRun { waker, skip_until }));
        self.front()
    }

    /// Moves the account's run before all others: a caller waits for it now. A run that has not joined yet is moved when it joins.
    /// Returns the waker now at the front.
    pub fn prioritize(&mut self, account: Account) -> Option<&W> {
        let Some(entry) = self.entries.get_mut(&account).filter(|entry| entry.run.is_some()) else {
            self.prioritized.insert(account);
            return None;
        };
        self.order.remove(&entry.rank);
        entry.rank = Rank { purpose: Purpose::Caller, deadline: Deadline::Now, ..entry.rank };
        self.order.insert(entry.rank);
        self.front()
    }

    /// Returns what the account's run is told. A run that has not joined may begin. `waited`: it has waited before.
    ///
    /// # Errors
    /// [`Wait`] if it has to go on waiting.
    pub fn admit(&mut self, account: Account, now: Timestamp, waited: bool) -> Result<Input, Wait> {
        let Some(Entry { rank, run: Some(run) }) = self.entries.get(&account) else {
            return Ok(Input::Admit { waited });
        };
        if self.is_closed {
            return Ok(Input::ShuttingDown);
        }
        let can_skip = run.skip_until.is_some_and(|moment| moment > now);
        let begun = match self.order.first() == Some(rank) {
            true => self.begin(now),
            false => Err(Wait::UntilWoken),
        };
        match begun {
            Err(_) if can_skip => Ok(Input::Skip),
            begun => begun.map(|()| {
                self.leave(account);
                Input::Admit { waited }
            }),
        }
    }

    /// Removes the account's run, and forgets that a caller waited for it. Called at the end of every run. Returns the waker now at
    /// the front.
    pub fn leave(&mut self, account: Account) -> Option<&W> {
        self.prioritized.remove(&account);
        if self.entries.get(&account).is_some_and(|entry| entry.run.is_some()) {
            self.remove(account);
        }
        self.front()
    }

    /// Adds an account that is to be renewed ahead of time, by `deadline`. Returns whether the caller has to start a worker, which
    /// is then counted.
    pub fn push(&mut self, account: Account, deadline: Timestamp) -> bool {
        let has_run = self.entries.get(&account).is_some_and(|entry| entry.run.is_some());
        if self.is_closed || has_run {
            return false;
        }
        self.remove(account);
        self.insert(account, Purpose::Ahead, Deadline::At(deadline), None);
        let is_wanted = self.workers < MAX_WORKERS;
        self.workers += usize::from(is_wanted);
        is_wanted
    }

    /// Returns the account that a worker is to renew, which has left the queue; or `None` if there is nothing to renew. The worker then
    /// ends, and is no longer counted.
    ///
    /// # Errors
    /// [`Wait`] if no account may be renewed yet.
    pub fn next(&mut self, now: Timestamp) -> Result<Option<Admitted>, Wait> {
        let Some(&Rank { account, .. }) = self.order.first().filter(|_| !self.is_closed) else {
            self.lose_worker();
            return Ok(None);
        };
        if self.entries.get(&account).is_some_and(|entry| entry.run.is_some()) {
            return Err(Wait::UntilWoken);
        }
        self.begin(now)?;
        self.remove(account);
        Ok(Some(Admitted { account, begun: now }))
    }

    /// Counts one worker less: it ended, and [`next`](Self::next) did not say so.
    pub fn lose_worker(&mut self) {
        self.workers = self.workers.saturating_sub(1);
    }

    /// Gives a right back that was not used, so that another renewal may begin instead. Everyone who waits is to be woken.
    pub fn give_back(&mut self, admitted: Admitted) {
        if let Some(index) = self.begun.iter().rposition(|begun| *begun == admitted.begun) {
            self.begun.remove(index);
        }
    }

    /// Closes the queue: from now on no run that waits may begin, and no account is renewed ahead of time. Returns all wakers, which
    /// are to be woken.
    pub fn close(&mut self) -> impl Iterator<Item = &W> {
        self.is_closed = true;
        self.entries.retain(|_, entry| entry.run.is_some());
        let entries = &self.entries;
        self.order.retain(|rank| entries.contains_key(&rank.account));
        self.entries.values().filter_map(|entry| entry.run.as_ref().map(|run| &run.waker))
    }

    fn insert(&mut self, account: Account, purpose: Purpose, deadline: Deadline, run: Option<WaitingRun<W>>) {
        self.joined += 1;
        let rank = Rank { purpose, deadline, joined: self.joined, account };
        self.order.insert(rank);
        self.entries.insert(account, Entry { rank, run });
    }

    fn remove(&mut self, account: Account) {
        if let Some(entry) = self.entries.remove(&account) {
            self.order.remove(&entry.rank);
        }
    }

    fn front(&self) -> Option<&W> {
        let first = self.order.first()?;
        self.entries.get(&first.account)?.run.as_ref().map(|run| &run.waker)
    }

    /// Counts a renewal that begins now.
    fn begin(&mut self, now: Timestamp) -> Result<(), Wait> {
        let Some(rate) = self.rate else { return Ok(()) };
        if self.begun.back().is_some_and(|last| *last > now) {
            // The clock was set back.
            self.begun.clear();
        }
        while self.begun.front().is_some_and(|begun| now.since(*begun) >= SECOND) {
            self.begun.pop_front();
        }
        let wait =
            self.time_until(rate, SECOND, now).max(self.time_until(rate.div_ceil(10), SECOND / 10, now));
        if !wait.is_zero() {
            return Err(Wait::For(wait));
        }
        self.begun.push_back(now);
        Ok(())
    }

    /// Returns how long until fewer than `max` have begun within `time`.
    fn time_until(&self, max: usize, time: Duration, now: Timestamp) -> Duration {
        let counted = self.begun.len().checked_sub(max).and_then(|index| self.begun.get(index));
        counted.map_or(Duration::ZERO, |begun| begun.plus(time).since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000_000);

    fn queue(per_second: u32) -> RenewalQueue<()> {
        RenewalQueue::new(NonZeroU32::new(per_second))
    }

    fn at(milliseconds: u64) -> Timestamp {
        START.plus(Duration::from_millis(milliseconds))
    }

    #[derive(Debug, PartialEq)]
    enum Answer {
        Begin,
        Skip,
        ShuttingDown,
        Wait(Wait),
    }

    fn hub(hub_id: i64) -> Account {
        Account::hub(hub_id)
    }

    impl RenewalQueue<()> {
        fn join_ahead(&mut self, account: Account, deadline: Timestamp) {
            self.join(account, Purpose::Ahead, Deadline::At(deadline), ());
        }

        /// Returns what a worker does: the account it renews, or the wait.
        fn work(&mut self, now: Timestamp) -> Result<i64, Option<Duration>> {
            match self.next(now) {
                Ok(Some(admitted)) => Ok(admitted.account.hub_id),
                Err(Wait::For(wait)) => Err(Some(wait)),
                Ok(None) | Err(Wait::UntilWoken) => Err(None),
            }
        }

        /// Returns what a run that waited is told, or what it has to wait for.
        fn ask(&mut self, account: Account, now: Timestamp) -> Answer {
            match self.admit(account, now, true) {
                Ok(Input::Admit { waited: true }) => Answer::Begin,
                Ok(Input::Skip) => Answer::Skip,
                Ok(Input::ShuttingDown) => Answer::ShuttingDown,
                Ok(other) => panic!("{other:?}"),
                Err(wait) => Answer::Wait(wait),
            }
        }
    }

    /// Admits every run as soon as it may begin. Returns when each began.
    fn admit_all(queue: &mut RenewalQueue<()>, mut now: Timestamp) -> Vec<(i64, Timestamp)> {
        let mut begun = Vec::new();
        while let Some(first) = queue.order.first().map(|rank| rank.account) {
            match queue.ask(first, now) {
                Answer::Begin => begun.push((first.hub_id, now)),
                Answer::Wait(Wait::For(wait)) => now = now.plus(wait),
                other => panic!("{other:?}"),
            }
        }
        begun
    }

    /// Renews every queued account as soon as it may be. Returns them in order.
    fn work_all(queue: &mut RenewalQueue<()>) -> Vec<i64> {
        let (mut now, mut order) = (START, Vec::new());
        loop {
            match queue.work(now) {
                Ok(hub_id) => order.push(hub_id),
                Err(Some(wait)) => now = now.plus(wait),
                Err(None) => return order,
            }
        }
    }

    #[test]
    fn in_no_second_do_more_begin_than_the_rate_says_and_no_time_is_wasted() {
        for per_second in [1, 2, 7, 10, 95, 200, 1000, 5000] {
            let mut queue = queue(per_second);
            for hub_id in 0..i64::from(per_second) * 3 {
                queue.join_ahead(hub(hub_id), START);
            }
            let begun = admit_all(&mut queue, START);
            for (index, (_, moment)) in begun.iter().enumerate() {
                let within = |time: Duration| {
                    begun[..=index].iter().filter(|(_, earlier)| moment.since(*earlier) < time).count()
                };
                assert!(within(SECOND) <= per_second as usize, "{per_second} {index}");
                assert!(within(SECOND / 10) <= (per_second as usize).div_ceil(10), "{per_second} {index}");
            }
            assert!(begun.last().unwrap().1.since(START) <= SECOND * 3, "{per_second}");
        }
    }

    #[test]
    fn the_run_whose_token_expires_soonest_is_first_and_one_that_a_caller_waits_for_before_all() {
        let mut queue = queue(1000);
        for (hub_id, deadline) in [(1, 300), (2, 100), (3, 200), (4, 400)] {
            queue.join_ahead(hub(hub_id), at(deadline));
        }
        assert!(queue.prioritize(hub(4)).is_some());
        assert_eq!(queue.ask(hub(2), START), Answer::Wait(Wait::UntilWoken));
        let order: Vec<_> = admit_all(&mut queue, START).into_iter().map(|(hub_id, _)| hub_id).collect();
        assert_eq!(order, [4, 2, 3, 1]);
        assert!(queue.prioritize(hub(4)).is_none(), "it does not wait any more");
    }

    /// The manager's documentation: "those that a caller waits for before them".
    #[test]
    fn a_callers_run_is_before_those_ahead_of_time_even_if_its_token_lives_longer() {
        let mut queue = queue(1);
        queue.join_ahead(hub(1), at(100));
        queue.join(hub(2), Purpose::Caller, Deadline::At(at(9000)), ());
        queue.join(hub(3), Purpose::Caller, Deadline::Now, ());
        assert_eq!(queue.ask(hub(1), START), Answer::Wait(Wait::UntilWoken));
        assert_eq!(queue.ask(hub(3), START), Answer::Begin);
        assert_eq!(queue.ask(hub(2), at(1000)), Answer::Begin);
        assert_eq!(queue.ask(hub(1), at(2000)), Answer::Begin);
    }

    #[test]
    fn a_caller_who_can_have_the_old_token_does_not_wait_and_waits_once_that_has_expired() {
        let mut queue = queue(1);
        queue.join(hub(1), Purpose::Caller, Deadline::At(at(500)), ());
        assert_eq!(queue.ask(hub(1), START), Answer::Begin, "nobody is before it");
        queue.join(hub(2), Purpose::Caller, Deadline::At(at(500)), ());
        queue.prioritize(hub(2));
        assert_eq!(queue.ask(hub(2), at(499)), Answer::Skip, "the rate is used up");
        assert_eq!(queue.ask(hub(2), at(500)), Answer::Wait(Wait::For(SECOND / 2)));
        queue.join_ahead(hub(3), at(9000));
        assert_eq!(
            queue.ask(hub(3), at(500)),
            Answer::Wait(Wait::UntilWoken),
            "ahead of time there is time to wait"
        );
    }

    #[test]
    fn a_run_that_a_caller_waits_for_before_it_joins_is_first_when_it_does_and_only_once() {
        let mut queue = queue(1000);
        queue.join_ahead(hub(1), at(100));
        assert!(queue.prioritize(hub(2)).is_none());
        queue.join_ahead(hub(2), at(200));
        assert_eq!(queue.ask(hub(1), START), Answer::Wait(Wait::UntilWoken));
        assert_eq!(queue.ask(hub(2), START), Answer::Begin);
        queue.join_ahead(hub(2), at(200));
        assert_eq!(queue.ask(hub(2), START), Answer::Wait(Wait::UntilWoken));
        queue.prioritize(hub(3));
        queue.leave(hub(3));
        queue.join_ahead(hub(3), at(300));
        assert_eq!(queue.ask(hub(3), START), Answer::Wait(Wait::UntilWoken), "its run had ended");
    }

    #[test]
    fn a_queued_account_is_renewed_when_no_caller_waits_and_within_the_rate() {
        let mut queue = queue(1);
        queue.push(hub(9), at(0));
        queue.join(hub(1), Purpose::Caller, Deadline::Now, ());
        assert_eq!(queue.next(START), Err(Wait::UntilWoken));
        assert_eq!(queue.ask(hub(1), START), Answer::Begin);
        assert_eq!(queue.next(START), Err(Wait::For(SECOND)));
        assert_eq!(queue.work(at(1000)), Ok(9));
        queue.join(hub(1), Purpose::Caller, Deadline::Now, ());
        assert_eq!(
            queue.ask(hub(1), at(1000)),
            Answer::Wait(Wait::For(SECOND)),
            "the worker's renewal counts"
        );
        queue.push(hub(9), at(0));
        _ = queue.close().count();
        assert_eq!(queue.next(at(9000)), Ok(None));
    }

    #[test]
    fn a_right_that_is_given_back_is_used_at_once_and_only_once() {
        let mut queue = queue(1);
        let push = |queue: &mut RenewalQueue<()>| _ = queue.push(hub(9), at(0));
        push(&mut queue);
        let Ok(Some(admitted)) = queue.next(START) else { panic!() };
        queue.give_back(admitted);
        queue.give_back(admitted);
        push(&mut queue);
        assert_eq!(queue.work(at(1)), Ok(9));
        push(&mut queue);
        assert_eq!(queue.work(at(1)), Err(Some(SECOND)));
        queue.give_back(admitted);
        assert_eq!(queue.work(at(1)), Err(Some(SECOND)), "that one is another's");
    }

    #[test]
    fn a_run_that_leaves_makes_room_and_one_that_has_not_joined_may_begin() {
        let mut queue = queue(1);
        queue.join_ahead(hub(1), at(0));
        queue.join_ahead(hub(2), at(1));
        assert_eq!(queue.ask(hub(2), START), Answer::Wait(Wait::UntilWoken));
        assert!(queue.leave(hub(1)).is_some());
        assert_eq!(queue.ask(hub(2), START), Answer::Begin);
        assert!(queue.leave(hub(2)).is_none());
        assert_eq!(queue.ask(hub(3), START), Answer::Begin);
    }

    /// RENEWAL.md, rule 7.
    #[test]
    fn a_clock_that_was_set_back_holds_nobody_up() {
        let mut queue = queue(1);
        queue.join_ahead(hub(1), at(0));
        assert_eq!(queue.ask(hub(1), at(1_000_000)), Answer::Begin);
        queue.join_ahead(hub(2), at(0));
        assert_eq!(queue.ask(hub(2), START), Answer::Begin);
    }

    #[test]
    fn once_closed_no_run_that_waits_may_begin_and_no_account_is_queued() {
        let mut queue = queue(1);
        queue.join_ahead(hub(1), at(0));
        queue.join_ahead(hub(2), at(0));
        queue.push(hub(3), at(0));
        assert_eq!(queue.close().count(), 2);
        assert_eq!(queue.ask(hub(1), START), Answer::ShuttingDown);
        assert_eq!(queue.ask(hub(2), START), Answer::ShuttingDown);
        assert!(!queue.push(hub(4), at(0)));
        assert_eq!(queue.entries.len(), 2);
    }

    /// The manager's documentation: "in the order in which their tokens expire".
    #[test]
    fn queued_accounts_are_renewed_in_the_order_in_which_their_tokens_expire_with_a_rate_and_without() {
        for per_second in [0, 1, 100] {
            let mut queue = queue(per_second);
            for (hub_id, deadline) in [(1, 300), (2, 100), (3, 200), (4, 100)] {
                queue.push(hub(hub_id), at(deadline));
            }
            assert_eq!(work_all(&mut queue), [2, 4, 3, 1], "{per_second}");
            assert!(queue.entries.is_empty());
        }
    }

    #[test]
    fn an_account_that_is_queued_while_others_wait_is_before_those_that_expire_later() {
        let mut queue = queue(1);
        (1..=20).for_each(|hub_id| _ = queue.push(hub(hub_id), at(300)));
        assert!(queue.work(START).is_ok());
        assert!(matches!(queue.work(START), Err(Some(_))));
        queue.push(hub(99), START);
        assert_eq!(work_all(&mut queue).first(), Some(&99));
    }

    #[test]
    fn an_account_that_is_queued_again_waits_once_by_its_new_deadline() {
        let mut queue = queue(0);
        queue.push(hub(1), at(300));
        queue.push(hub(2), at(200));
        queue.push(hub(1), at(100));
        assert_eq!(work_all(&mut queue), [1, 2]);
    }

    #[test]
    fn as_many_workers_are_started_as_may_run_at_once() {
        let mut queue = queue(0);
        let started = (0..20).filter(|hub_id| queue.push(hub(*hub_id), START)).count();
        assert_eq!(started, MAX_WORKERS);
        assert_eq!(work_all(&mut queue).len(), 20);
        assert!(queue.push(hub(1), START), "the worker that found nothing has ended");
        assert!(!queue.push(hub(2), START));
    }
}

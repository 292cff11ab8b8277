//! The order and the rate in which renewals begin.
//!
//! Tokens that were issued together expire together: those of accounts that connected at the same time, or that were all renewed when a
//! service started. A rate spreads their renewals over the last part of a token's life, in which tokens are renewed ahead of time.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use hs_oauth_core::renewal::{Deadline, Input};
use hs_oauth_core::{Account, Timestamp};

/// The queue in which renewals wait until they may begin.
///
/// Renewals that a caller waits for come before all others. Among equals, the one whose token expires soonest comes first. In any one
/// second, at most as many renewals begin as the rate says; in any tenth of a second, at most a tenth of that, rounded up.
///
/// The queue has two sorts of entries. A *run* has begun and waits to be admitted. An *account* has no run yet: a worker takes it with
/// [`next`](Self::next) and then begins one. `W` wakes a run that waits.
#[derive(Debug)]
pub struct RenewalQueue<W> {
    /// The most renewals in a second, or `None` for no limit.
    rate: Option<usize>,
    /// When each renewal of about the last second began.
    begun: VecDeque<Timestamp>,
    order: BTreeSet<Rank>,
    entries: HashMap<Account, Entry<W>>,
    /// The accounts that a caller waits for and whose run has not joined yet.
    prioritized: HashSet<Account>,
    /// The number of entries that have ever joined. It keeps equal entries in the order in which they came.
    joined: u64,
    /// The number of workers that have not ended.
    workers: usize,
    is_closed: bool,
}

/// How long a run or a worker has to wait before it tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// For this long, or until woken, since the rate is used up.
    For(Duration),
    /// Until woken, since another entry is first.
    UntilWoken,
}

/// The right of a worker to begin the renewal of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The account whose tokens are renewed.
    pub account: Account,
    /// When the renewal was counted.
    begun: Timestamp,
}

/// The purpose of a renewal. The lesser purpose comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The manager is being shut down, and makes a last attempt to save tokens.
    Shutdown,
    /// A caller waits for the new token.
    Caller,
    /// The token is renewed ahead of time, and nobody waits for it.
    Ahead,
}

#[derive(Debug)]
struct Entry<W> {
    rank: Rank,
    /// The run that waits, or `None` for an account whose run has not begun.
    run: Option<WaitingRun<W>>,
}

#[derive(Debug)]
struct WaitingRun<W> {
    waker: W,
    /// Until this moment the caller can have the old token, so the run may skip the renewal instead of waiting.
    skip_until: Option<Timestamp>,
}

/// The place of an entry in the order. The lesser rank comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    purpose: Purpose,
    deadline: Deadline,
    joined: u64,
    account: Account,
}

/// The most workers at once, and so the most renewals of queued accounts at once.
const MAX_WORKERS: usize = 8;

const SECOND: Duration = Duration::from_secs(1);

impl<W> RenewalQueue<W> {
    /// Returns an empty queue. `per_second` is the rate, or `None` for no limit.
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

    /// Adds the run of an account whose new token is needed at `deadline`. Without a limit the run need not wait and is not added. Returns
    /// the waker of the run now at the front, if a run is there.
    pub fn join(&mut self, account: Account, purpose: Purpose, deadline: Deadline, waker: W) -> Option<&W> {
        self.rate?;
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

    /// Moves the account's run to the front, since a caller waits for it now. A run that has not joined yet moves there when it joins.
    /// Returns the waker of the run now at the front, if one was moved.
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

    /// Returns the input for the account's run: [`Input::Admit`], [`Input::Skip`] or [`Input::ShuttingDown`]. A run that has not joined may
    /// begin. `waited` says whether the run has waited before.
    ///
    /// # Errors
    /// [`Wait`] if the run has to wait.
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

    /// Removes the account's run, and the priority that a caller gave it. To be called at the end of every run. Returns the waker of the
    /// run now at the front, if a run is there.
    pub fn leave(&mut self, account: Account) -> Option<&W> {
        self.prioritized.remove(&account);
        if self.run_of(account).is_some() {
            self.remove(account);
        }
        self.front()
    }

    /// Adds an account whose token is to be renewed ahead of time, before `deadline`. Returns whether the caller has to start a worker. The
    /// worker is counted already.
    pub fn push(&mut self, account: Account, deadline: Timestamp) -> bool {
        if self.is_closed || self.run_of(account).is_some() {
            return false;
        }
        self.remove(account);
        self.insert(account, Purpose::Ahead, Deadline::At(deadline), None);
        let is_wanted = self.workers < MAX_WORKERS;
        self.workers += usize::from(is_wanted);
        is_wanted
    }

    /// Takes the account that a worker renews next out of the queue. Returns `None` if there is nothing to renew: the worker has to
    /// end, and is no longer counted.
    ///
    /// # Errors
    /// [`Wait`] if no account may be renewed yet.
    pub fn next(&mut self, now: Timestamp) -> Result<Option<Admitted>, Wait> {
        let Some(&Rank { account, .. }) = self.order.first().filter(|_| !self.is_closed) else {
            self.lose_worker();
            return Ok(None);
        };
        if self.run_of(account).is_some() {
            return Err(Wait::UntilWoken);
        }
        self.begin(now)?;
        self.remove(account);
        Ok(Some(Admitted { account, begun: now }))
    }

    /// Counts one worker less. To be called for a worker that ends although [`next`](Self::next) has not returned `None` to it.
    pub fn lose_worker(&mut self) {
        self.workers = self.workers.saturating_sub(1);
    }

    /// Gives back a right that was not used, so that another renewal may begin instead. The caller then has to wake all that wait.
    pub fn give_back(&mut self, admitted: Admitted) {
        if let Some(index) = self.begun.iter().rposition(|begun| *begun == admitted.begun) {
            self.begun.remove(index);
        }
    }

    /// Closes the queue. No run that waits is admitted any more, and no account is renewed ahead of time. Returns all wakers, for the
    /// caller to use.
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

    /// Returns the account's run, if it waits in the queue.
    fn run_of(&self, account: Account) -> Option<&WaitingRun<W>> {
        self.entries.get(&account)?.run.as_ref()
    }

    /// Returns the waker of the run at the front, if a run is there.
    fn front(&self) -> Option<&W> {
        self.run_of(self.order.first()?.account).map(|run| &run.waker)
    }

    /// Counts a renewal that begins now, if the rate allows it.
    fn begin(&mut self, now: Timestamp) -> Result<(), Wait> {
        let Some(rate) = self.rate else { return Ok(()) };
        if self.begun.back().is_some_and(|last| *last > now) {
            // The clock was set back, so the earlier moments mean nothing.
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

    /// Returns how long it takes until fewer than `max` renewals have begun within the last `time`.
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

    /// The result of [`RenewalQueue::admit`], as a value that can be compared.
    #[derive(Debug, PartialEq)]
    enum Admission {
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

        /// Returns the hub id of the account that a worker renews next, or how long the worker waits.
        fn work(&mut self, now: Timestamp) -> Result<i64, Option<Duration>> {
            match self.next(now) {
                Ok(Some(admitted)) => Ok(admitted.account.hub_id),
                Err(Wait::For(wait)) => Err(Some(wait)),
                Ok(None) | Err(Wait::UntilWoken) => Err(None),
            }
        }

        /// Returns the admission of a run that has waited before.
        fn admission(&mut self, account: Account, now: Timestamp) -> Admission {
            match self.admit(account, now, true) {
                Ok(Input::Admit { waited: true }) => Admission::Begin,
                Ok(Input::Skip) => Admission::Skip,
                Ok(Input::ShuttingDown) => Admission::ShuttingDown,
                Ok(other) => panic!("{other:?}"),
                Err(wait) => Admission::Wait(wait),
            }
        }
    }

    /// Admits every run as soon as it may begin. Returns the hub id of each, and when it began.
    fn admit_all(queue: &mut RenewalQueue<()>, mut now: Timestamp) -> Vec<(i64, Timestamp)> {
        let mut begun = Vec::new();
        while let Some(first) = queue.order.first().map(|rank| rank.account) {
            match queue.admission(first, now) {
                Admission::Begin => begun.push((first.hub_id, now)),
                Admission::Wait(Wait::For(wait)) => now = now.plus(wait),
                other => panic!("{other:?}"),
            }
        }
        begun
    }

    /// Renews every queued account as soon as that may begin. Returns their hub ids in order.
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
    fn in_no_second_more_renewals_begin_than_the_rate_says_and_no_time_is_wasted() {
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
    fn the_run_whose_token_expires_soonest_is_first_but_one_that_a_caller_waits_for_is_before_it() {
        let mut queue = queue(1000);
        for (hub_id, deadline) in [(1, 300), (2, 100), (3, 200), (4, 400)] {
            queue.join_ahead(hub(hub_id), at(deadline));
        }
        assert!(queue.prioritize(hub(4)).is_some());
        assert_eq!(queue.admission(hub(2), START), Admission::Wait(Wait::UntilWoken));
        let order: Vec<_> = admit_all(&mut queue, START).into_iter().map(|(hub_id, _)| hub_id).collect();
        assert_eq!(order, [4, 2, 3, 1]);
        assert!(queue.prioritize(hub(4)).is_none(), "it does not wait any more");
    }

    /// The builder's documentation: "Renewals that a caller waits for begin before them."
    #[test]
    fn the_run_of_a_caller_is_before_those_ahead_of_time_even_if_its_token_lives_longer() {
        let mut queue = queue(1);
        queue.join_ahead(hub(1), at(100));
        queue.join(hub(2), Purpose::Caller, Deadline::At(at(9000)), ());
        queue.join(hub(3), Purpose::Caller, Deadline::Now, ());
        assert_eq!(queue.admission(hub(1), START), Admission::Wait(Wait::UntilWoken));
        assert_eq!(queue.admission(hub(3), START), Admission::Begin);
        assert_eq!(queue.admission(hub(2), at(1000)), Admission::Begin);
        assert_eq!(queue.admission(hub(1), at(2000)), Admission::Begin);
    }

    #[test]
    fn a_caller_who_can_have_the_old_token_waits_only_after_that_has_expired() {
        let mut queue = queue(1);
        queue.join(hub(1), Purpose::Caller, Deadline::At(at(500)), ());
        assert_eq!(queue.admission(hub(1), START), Admission::Begin, "nobody is before it");
        queue.join(hub(2), Purpose::Caller, Deadline::At(at(500)), ());
        queue.prioritize(hub(2));
        assert_eq!(queue.admission(hub(2), at(499)), Admission::Skip, "the rate is used up");
        assert_eq!(queue.admission(hub(2), at(500)), Admission::Wait(Wait::For(SECOND / 2)));
        queue.join_ahead(hub(3), at(9000));
        assert_eq!(
            queue.admission(hub(3), at(500)),
            Admission::Wait(Wait::UntilWoken),
            "ahead of time there is time to wait"
        );
    }

    #[test]
    fn a_run_that_is_prioritized_before_it_joins_is_first_when_it_joins_and_only_once() {
        let mut queue = queue(1000);
        queue.join_ahead(hub(1), at(100));
        assert!(queue.prioritize(hub(2)).is_none());
        queue.join_ahead(hub(2), at(200));
        assert_eq!(queue.admission(hub(1), START), Admission::Wait(Wait::UntilWoken));
        assert_eq!(queue.admission(hub(2), START), Admission::Begin);
        queue.join_ahead(hub(2), at(200));
        assert_eq!(queue.admission(hub(2), START), Admission::Wait(Wait::UntilWoken));
        queue.prioritize(hub(3));
        queue.leave(hub(3));
        queue.join_ahead(hub(3), at(300));
        assert_eq!(queue.admission(hub(3), START), Admission::Wait(Wait::UntilWoken), "its run had ended");
    }

    #[test]
    fn an_account_is_renewed_when_no_caller_waits_and_within_the_rate() {
        let mut queue = queue(1);
        queue.push(hub(9), at(0));
        queue.join(hub(1), Purpose::Caller, Deadline::Now, ());
        assert_eq!(queue.next(START), Err(Wait::UntilWoken));
        assert_eq!(queue.admission(hub(1), START), Admission::Begin);
        assert_eq!(queue.next(START), Err(Wait::For(SECOND)));
        assert_eq!(queue.work(at(1000)), Ok(9));
        queue.join(hub(1), Purpose::Caller, Deadline::Now, ());
        assert_eq!(
            queue.admission(hub(1), at(1000)),
            Admission::Wait(Wait::For(SECOND)),
            "the worker's renewal counts"
        );
        queue.push(hub(9), at(0));
        _ = queue.close().count();
        assert_eq!(queue.next(at(9000)), Ok(None));
    }

    #[test]
    fn a_right_that_is_given_back_may_be_used_at_once_and_only_once() {
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
        assert_eq!(queue.work(at(1)), Err(Some(SECOND)), "the renewal that began since is another one");
    }

    #[test]
    fn a_run_that_leaves_makes_way_for_the_next_and_one_that_has_not_joined_may_begin() {
        let mut queue = queue(1);
        queue.join_ahead(hub(1), at(0));
        queue.join_ahead(hub(2), at(1));
        assert_eq!(queue.admission(hub(2), START), Admission::Wait(Wait::UntilWoken));
        assert!(queue.leave(hub(1)).is_some());
        assert_eq!(queue.admission(hub(2), START), Admission::Begin);
        assert!(queue.leave(hub(2)).is_none());
        assert_eq!(queue.admission(hub(3), START), Admission::Begin);
    }

    /// RENEWAL.md, rule 7.
    #[test]
    fn a_clock_that_was_set_back_makes_no_run_wait() {
        let mut queue = queue(1);
        queue.join_ahead(hub(1), at(0));
        assert_eq!(queue.admission(hub(1), at(1_000_000)), Admission::Begin);
        queue.join_ahead(hub(2), at(0));
        assert_eq!(queue.admission(hub(2), START), Admission::Begin);
    }

    #[test]
    fn in_a_closed_queue_no_run_may_begin_and_no_account_is_added() {
        let mut queue = queue(1);
        queue.join_ahead(hub(1), at(0));
        queue.join_ahead(hub(2), at(0));
        queue.push(hub(3), at(0));
        assert_eq!(queue.close().count(), 2);
        assert_eq!(queue.admission(hub(1), START), Admission::ShuttingDown);
        assert_eq!(queue.admission(hub(2), START), Admission::ShuttingDown);
        assert!(!queue.push(hub(4), at(0)));
        assert_eq!(queue.entries.len(), 2);
    }

    /// The builder's documentation: "in the order in which their tokens expire".
    #[test]
    fn accounts_are_renewed_in_the_order_in_which_their_tokens_expire_with_a_rate_and_without() {
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
    fn an_account_that_is_added_while_others_wait_is_before_those_that_expire_later() {
        let mut queue = queue(1);
        (1..=20).for_each(|hub_id| _ = queue.push(hub(hub_id), at(300)));
        assert!(queue.work(START).is_ok());
        assert!(matches!(queue.work(START), Err(Some(_))));
        queue.push(hub(99), START);
        assert_eq!(work_all(&mut queue).first(), Some(&99));
    }

    #[test]
    fn an_account_that_is_added_again_waits_once_with_its_new_deadline() {
        let mut queue = queue(0);
        queue.push(hub(1), at(300));
        queue.push(hub(2), at(200));
        queue.push(hub(1), at(100));
        assert_eq!(work_all(&mut queue), [1, 2]);
    }

    #[test]
    fn no_more_workers_are_started_than_may_run_at_once() {
        let mut queue = queue(0);
        let started = (0..20).filter(|hub_id| queue.push(hub(*hub_id), START)).count();
        assert_eq!(started, MAX_WORKERS);
        assert_eq!(work_all(&mut queue).len(), 20);
        assert!(queue.push(hub(1), START), "the worker that found the queue empty has ended");
        assert!(!queue.push(hub(2), START));
    }

    #[test]
    fn without_a_rate_no_run_has_to_wait() {
        let mut queue = queue(0);
        assert!(queue.join(hub(1), Purpose::Ahead, Deadline::Now, ()).is_none());
        assert!(queue.join(hub(2), Purpose::Ahead, Deadline::Now, ()).is_none());
        assert_eq!(queue.admission(hub(2), START), Admission::Begin);
        assert!(queue.entries.is_empty());
    }
}

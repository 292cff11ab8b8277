//! The order in which renewals begin, their rate, and how many are in flight.
//!
//! Tokens that were issued together expire together: those of accounts that connected at the same time, or that were all renewed when a
//! service started. A rate spreads their renewals over the last part of a token's life, in which tokens are renewed ahead of time.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::num::NonZeroU32;
use std::time::Duration;

use hs_oauth_core::renewal::{Deadline, Input, RetryCause};
use hs_oauth_core::{Account, Error, Timestamp};

use crate::rate::Rate;
use crate::throttle::Throttle;

/// How many refreshes a process sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most refreshes that all replicas together send in a second, or `None` for no limit.
    pub per_second: Option<NonZeroU32>,
    /// How many replicas there are. Each sends an equal share of the refreshes.
    pub replicas: NonZeroU32,
    /// The most renewals that are in flight at once: begun, and not ended.
    pub in_flight: NonZeroU32,
}

/// The queue in which renewals wait until they may begin.
///
/// Renewals that a caller waits for come before all others, and those of the sweep after all others. Among equals, the one whose token
/// expires soonest comes first. In any one second, at most as many refreshes are sent as the rate says. In any tenth of a second, at most a
/// tenth as many renewals begin, rounded up. Of several replicas, each has its share. At no time are more in flight than the other limit
/// says. None begins in the pause that a 429 asks for. In an outage one at a time does, and for the sweep one a minute.
///
/// The queue has two sorts of entries. A *run* has begun and waits to be admitted. An *account* has no run yet: a worker takes it with
/// [`next`](Self::next) and then begins one. `W` wakes a run that waits.
#[derive(Debug)]
pub struct RenewalQueue<W> {
    rate: Option<Rate>,
    max_in_flight: usize,
    /// The accounts whose renewals have begun and have not ended.
    in_flight: HashMap<Account, Stage>,
    /// The accounts whose run ignores the pauses that HubSpot asks for.
    ignoring_pauses: HashSet<Account>,
    throttle: Throttle,
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
    /// For this long, or until woken, since the rate is used up or HubSpot has asked for a pause.
    For(Duration),
    /// Until woken, since another entry is first or too many renewals are in flight.
    UntilWoken,
}

/// The right of a worker to begin the renewal of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The account whose tokens are renewed.
    pub account: Account,
    /// Why they are.
    pub purpose: Purpose,
}

/// The purpose of a renewal. The lesser purpose comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The manager is being shut down, and makes a last attempt to save tokens.
    Shutdown,
    /// A caller waits for the new token.
    Caller,
    /// The token is in use and is renewed ahead of time, and nobody waits for it.
    Ahead,
    /// The sweep looks after an account that nobody has asked for.
    Sweep,
}

impl Purpose {
    /// Returns whether somebody waits for the renewal.
    pub(crate) fn is_awaited(self) -> bool {
        self < Self::Ahead
    }
}

/// How far a renewal in flight has come.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The rate counts it as of this moment, and no refresh was sent.
    Begun(Timestamp),
    /// A refresh was sent.
    Sent,
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
    /// The purpose with which it joined.
    purpose: Purpose,
    /// The deadline with which it joined. Until then a caller can have the old token, so the run may skip the renewal instead of waiting.
    deadline: Deadline,
    /// How many tries had failed in outages when it joined.
    failed_trials: u64,
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

impl Default for Limits {
    /// Returns no limit of the rate, and at most 64 renewals in flight.
    fn default() -> Self {
        const IN_FLIGHT: NonZeroU32 = NonZeroU32::new(64).unwrap();
        Self { per_second: None, replicas: NonZeroU32::MIN, in_flight: IN_FLIGHT }
    }
}

impl<W> RenewalQueue<W> {
    /// Returns an empty queue.
    pub fn new(limits: Limits) -> Self {
        let usize = |limit: NonZeroU32| usize::try_from(limit.get()).unwrap_or(usize::MAX);
        Self {
            rate: limits.per_second.map(|per_second| Rate::new(usize(per_second), usize(limits.replicas))),
            max_in_flight: usize(limits.in_flight),
            in_flight: HashMap::new(),
            ignoring_pauses: HashSet::new(),
            throttle: Throttle::default(),
            order: BTreeSet::new(),
            entries: HashMap::new(),
            prioritized: HashSet::new(),
            joined: 0,
            workers: 0,
            is_closed: false,
        }
    }

    /// Adds the run of an account whose new token is needed at `deadline`. Returns the waker of the run now at the front, if a run is there.
    pub fn join(&mut self, account: Account, purpose: Purpose, deadline: Deadline, waker: W) -> Option<&W> {
        let run = WaitingRun { waker, purpose, deadline, failed_trials: self.throttle.failed_trials() };
        let (purpose, deadline) = match self.prioritized.contains(&account) {
            true => (Purpose::Caller, Deadline::Now),
            false => (purpose, deadline),
        };
        self.remove(account);
        self.insert(account, purpose, deadline, Some(run));
        self.front()
    }

    /// Moves the account's run to the front, since a caller waits for it now. A run that has not joined yet moves there when it joins.
    /// Returns the waker of the run, if one was moved.
    pub fn prioritize(&mut self, account: Account) -> Option<&W> {
        let Some(entry) = self.entries.get_mut(&account).filter(|entry| entry.run.is_some()) else {
            self.prioritized.insert(account);
            return None;
        };
        self.order.remove(&entry.rank);
        entry.rank = Rank { purpose: Purpose::Caller, deadline: Deadline::Now, ..entry.rank };
        self.order.insert(entry.rank);
        self.run_of(account).map(|run| &run.waker)
    }

    /// Returns the input for the account's run: [`Input::Admit`], [`Input::Skip`], [`Input::Paused`] or [`Input::ShuttingDown`]. A run that
    /// may begin is in flight until its [`end`](Self::end), and one that has not joined may begin. `waited` says whether the run has waited
    /// before.
    ///
    /// A run that a caller waits for does not wait for the end of a pause that HubSpot has asked for. In an outage it waits for the try that
    /// is in flight, and for no further one.
    ///
    /// # Errors
    /// [`Wait`] if the run has to wait.
    pub fn admit(&mut self, account: Account, now: Timestamp, waited: bool) -> Result<Input, Wait> {
        if self.is_closed {
            return Ok(Input::ShuttingDown);
        }
        let Some(Entry { rank, run: Some(run) }) = self.entries.get(&account) else {
            return Ok(Input::Admit { waited });
        };
        let is_usable = matches!(run.deadline, Deadline::At(moment) if moment > now);
        if rank.purpose.is_awaited()
            && !self.ignoring_pauses.contains(&account)
            && let Some((wait, cause)) = self.throttle.wait_of_caller(run.failed_trials, now)
        {
            return Ok(if is_usable { Input::Skip } else { Input::Paused { wait, cause } });
        }
        let can_skip = is_usable && run.purpose == Purpose::Caller;
        let may_begin = match self.order.first() == Some(rank) {
            true => self.begin(account, rank.purpose, now),
            false => Err(Wait::UntilWoken),
        };
        match may_begin {
            Err(_) if can_skip => Ok(Input::Skip),
            may_begin => may_begin.map(|()| {
                self.leave(account);
                Input::Admit { waited }
            }),
        }
    }

    /// Gives back the right to renew the account, since no run uses it, or its run sleeps without a lease: others may be in flight instead. A
    /// run that goes on is admitted anew. As long as no refresh was sent, the renewal does not count for the rate either. Returns the waker of
    /// the run now at the front, if a run is there.
    pub fn give_back(&mut self, account: Account) -> Option<&W> {
        if let (Some(Stage::Begun(at)), Some(rate)) = (self.in_flight.remove(&account), &mut self.rate) {
            rate.give_back(at);
        }
        self.front()
    }

    /// Notes that the account's run has ended. Returns the waker of the run now at the front, if a run is there.
    pub fn end(&mut self, account: Account) -> Option<&W> {
        self.give_back(account);
        self.ignoring_pauses.remove(&account);
        self.leave(account)
    }

    /// Notes how a call to HubSpot ended: a refresh of `account`, or another call without one. Returns the wakers of the runs that have to look
    /// again whether they may begin, if there are such, for the caller to use: those that a caller waits for, since they may have to wait no
    /// more, and the run at the front. The others would only look.
    pub fn note_response<T>(
        &mut self,
        account: Option<Account>,
        result: &Result<T, Error>,
        now: Timestamp,
    ) -> Option<impl Iterator<Item = &W>> {
        let has_changed = self.throttle.note(account, result, now);
        let front = self.order.first();
        has_changed.then(|| {
            let looks = move |rank: &&Rank| rank.purpose.is_awaited() || Some(*rank) == front;
            self.order
                .iter()
                .take_while(looks)
                .filter_map(|rank| self.run_of(rank.account).map(|run| &run.waker))
        })
    }

    /// Lets the account's next run ignore the pauses that HubSpot asks for, until its [`end`](Self::end).
    pub fn ignore_pauses(&mut self, account: Account) {
        self.ignoring_pauses.insert(account);
    }

    /// Returns what the account's run is resumed with in place of a refresh: [`Input::ShuttingDown`] in a closed queue, or [`Input::Paused`] if
    /// HubSpot has asked for a pause. Returns `None` if the run sends the refresh now.
    pub fn before_send(&mut self, account: Account, now: Timestamp) -> Option<Input> {
        if self.is_closed {
            return Some(Input::ShuttingDown);
        }
        if let Some(wait) = self.throttle.pause(now).filter(|_| !self.ignoring_pauses.contains(&account)) {
            return Some(Input::Paused { wait, cause: RetryCause::RateLimited });
        }
        let begun = match self.in_flight.insert(account, Stage::Sent) {
            Some(Stage::Begun(at)) => Some(at),
            Some(Stage::Sent) | None => None,
        };
        if let Some(rate) = &mut self.rate {
            rate.send(begun, now);
        }
        None
    }

    /// Removes the account's run, and the priority that a caller gave it. To be called as soon as the run waits no more. Returns the waker
    /// of the run now at the front, if a run is there.
    pub fn leave(&mut self, account: Account) -> Option<&W> {
        self.prioritized.remove(&account);
        if self.run_of(account).is_some() {
            self.remove(account);
        }
        self.front()
    }

    /// Adds an account whose token is to be renewed before `deadline` although nobody waits for it. Returns whether the caller has to start
    /// a worker. The worker is counted already.
    pub fn push(&mut self, account: Account, purpose: Purpose, deadline: Timestamp) -> bool {
        if self.is_closed || self.run_of(account).is_some() || self.in_flight.contains_key(&account) {
            return false;
        }
        // An account that is in use is not put behind all others.
        let purpose = self.entries.get(&account).map_or(purpose, |entry| entry.rank.purpose.min(purpose));
        self.remove(account);
        self.insert(account, purpose, Deadline::At(deadline), None);
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
        let Some(&Rank { account, purpose, .. }) = self.order.first().filter(|_| !self.is_closed) else {
            self.lose_worker();
            return Ok(None);
        };
        if self.run_of(account).is_some() {
            return Err(Wait::UntilWoken);
        }
        self.begin(account, purpose, now)?;
        self.remove(account);
        Ok(Some(Admitted { account, purpose }))
    }

    /// Counts one worker less. To be called for a worker that ends although [`next`](Self::next) has not returned `None` to it.
    pub fn lose_worker(&mut self) {
        self.workers = self.workers.saturating_sub(1);
    }

    /// Closes the queue. No run that waits is admitted any more, and no account is renewed ahead of time. Returns all wakers, for the
    /// caller to use.
    pub fn close(&mut self) -> impl Iterator<Item = &W> {
        self.is_closed = true;
        self.entries.retain(|_, entry| entry.run.is_some());
        let entries = &self.entries;
        self.order.retain(|rank| entries.contains_key(&rank.account));
        self.wakers()
    }

    /// Returns how many runs and accounts wait in the queue.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether nothing waits in the queue.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns whether the queue is closed: no run sends a refresh any more, unless it has sent it already.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    fn wakers(&self) -> impl Iterator<Item = &W> {
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

    /// Counts a renewal that begins now, if it may.
    fn begin(&mut self, account: Account, purpose: Purpose, now: Timestamp) -> Result<(), Wait> {
        if let Some(wait) = self.throttle.pause(now).filter(|_| !self.ignoring_pauses.contains(&account)) {
            return Err(Wait::For(wait));
        }
        // A run that is admitted again after it has sent a refresh does not wait for itself.
        let others = self.in_flight.len() - usize::from(self.in_flight.contains_key(&account));
        if others >= self.throttle.max_in_flight(self.max_in_flight) {
            return Err(Wait::UntilWoken);
        }
        if let Some(wait) = self.throttle.wait_of_sweep(now).filter(|_| purpose == Purpose::Sweep) {
            return Err(Wait::For(wait));
        }
        let begun = match &mut self.rate {
            Some(rate) => rate.begin(now).map_err(Wait::For)?,
            None => now,
        };
        self.in_flight.insert(account, Stage::Begun(begun));
        self.throttle.begin(account, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::http::StatusCode;
    use hs_oauth_core::{ApiError, Operation};

    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn queue(per_second: u32) -> RenewalQueue<()> {
        RenewalQueue::new(Limits {
            per_second: NonZeroU32::new(per_second),
            in_flight: NonZeroU32::MAX,
            ..Limits::default()
        })
    }

    /// Returns a queue without a rate that allows so many renewals in flight.
    fn queue_in_flight(max: u32) -> RenewalQueue<()> {
        RenewalQueue::new(Limits { in_flight: NonZeroU32::new(max).unwrap(), ..Limits::default() })
    }

    fn rate_limit(seconds: u64) -> Result<(), Error> {
        let mut error = ApiError::new(Operation::Refresh, StatusCode::TOO_MANY_REQUESTS);
        error.retry_after = Some(Duration::from_secs(seconds));
        Err(error.into())
    }

    fn unavailable() -> Result<(), Error> {
        Err(ApiError::new(Operation::Refresh, StatusCode::SERVICE_UNAVAILABLE).into())
    }

    fn at(milliseconds: u64) -> Timestamp {
        START.plus(Duration::from_millis(milliseconds))
    }

    /// The result of [`RenewalQueue::admit`], as a value that can be compared.
    #[derive(Debug, PartialEq)]
    enum Admission {
        Begin,
        Skip,
        Paused(Duration),
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

        /// Returns the hub id of the account that a worker renews next, or how long the worker waits. The renewal sends a refresh and ends at
        /// once.
        fn work(&mut self, now: Timestamp) -> Result<i64, Option<Duration>> {
            match self.next(now) {
                Ok(Some(admitted)) => {
                    assert!(self.before_send(admitted.account, now).is_none());
                    self.end(admitted.account);
                    Ok(admitted.account.hub_id)
                }
                Err(Wait::For(wait)) => Err(Some(wait)),
                Ok(None) | Err(Wait::UntilWoken) => Err(None),
            }
        }

        /// Returns the admission of a run that has waited before. If it begins, it sends a refresh.
        fn admission(&mut self, account: Account, now: Timestamp) -> Admission {
            match self.admit(account, now, true) {
                Ok(Input::Admit { waited: true }) => {
                    assert!(self.before_send(account, now).is_none());
                    Admission::Begin
                }
                Ok(Input::Skip) => Admission::Skip,
                Ok(Input::Paused { wait, .. }) => Admission::Paused(wait),
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
        queue.push(hub(9), Purpose::Ahead, at(0));
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
        queue.push(hub(9), Purpose::Ahead, at(0));
        _ = queue.close().count();
        assert_eq!(queue.next(at(9000)), Ok(None));
    }

    #[test]
    fn a_right_that_is_given_back_may_be_used_at_once_and_only_once() {
        let mut queue = queue(1);
        let push = |queue: &mut RenewalQueue<()>| _ = queue.push(hub(9), Purpose::Ahead, at(0));
        push(&mut queue);
        let Ok(Some(admitted)) = queue.next(START) else { panic!() };
        queue.give_back(admitted.account);
        queue.give_back(admitted.account);
        push(&mut queue);
        assert_eq!(queue.work(at(1)), Ok(9));
        push(&mut queue);
        assert_eq!(queue.work(at(1)), Err(Some(SECOND)));
        queue.give_back(admitted.account);
        assert_eq!(queue.work(at(1)), Err(Some(SECOND)), "the renewal that began since is another one");
    }

    /// Its tokens were saved too late, and it looks whether another run renews them.
    #[test]
    fn a_run_that_has_sent_a_refresh_does_not_wait_for_itself() {
        let mut queue = queue_in_flight(1);
        for _ in 0..2 {
            queue.join_ahead(hub(1), at(100));
            assert_eq!(queue.admission(hub(1), START), Admission::Begin);
        }
        queue.join_ahead(hub(2), at(200));
        assert_eq!(queue.admission(hub(2), START), Admission::Wait(Wait::UntilWoken));
    }

    /// Another replica may have renewed the account meanwhile. The rate counts what HubSpot sees.
    #[test]
    fn a_renewal_that_sends_nothing_does_not_count_for_the_rate() {
        let mut queue = queue(1);
        for (sends, next) in [(false, Admission::Begin), (true, Admission::Wait(Wait::For(SECOND)))] {
            queue.join_ahead(hub(1), at(100));
            assert!(matches!(queue.admit(hub(1), START, true), Ok(Input::Admit { .. })));
            assert!(!sends || queue.before_send(hub(1), START).is_none());
            queue.join_ahead(hub(2), at(200));
            assert!(
                matches!(queue.admission(hub(2), START), Admission::Wait(Wait::For(_))),
                "it may still send"
            );
            assert!(queue.end(hub(1)).is_some(), "the next one is woken");
            assert_eq!(queue.admission(hub(2), START), next);
            queue.end(hub(2));
            queue = self::queue(1);
        }
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
        queue.push(hub(3), Purpose::Ahead, at(0));
        assert_eq!(queue.close().count(), 2);
        assert_eq!(queue.admission(hub(1), START), Admission::ShuttingDown);
        assert_eq!(queue.admission(hub(2), START), Admission::ShuttingDown);
        assert!(!queue.push(hub(4), Purpose::Ahead, at(0)));
        assert_eq!(queue.entries.len(), 2);
    }

    /// The builder's documentation: "in the order in which their tokens expire".
    #[test]
    fn accounts_are_renewed_in_the_order_in_which_their_tokens_expire_with_a_rate_and_without() {
        for per_second in [0, 1, 100] {
            let mut queue = queue(per_second);
            for (hub_id, deadline) in [(1, 300), (2, 100), (3, 200), (4, 100)] {
                queue.push(hub(hub_id), Purpose::Ahead, at(deadline));
            }
            assert_eq!(work_all(&mut queue), [2, 4, 3, 1], "{per_second}");
            assert!(queue.entries.is_empty());
        }
    }

    #[test]
    fn an_account_that_is_added_while_others_wait_is_before_those_that_expire_later() {
        let mut queue = queue(1);
        (1..=20).for_each(|hub_id| _ = queue.push(hub(hub_id), Purpose::Ahead, at(300)));
        assert!(queue.work(START).is_ok());
        assert!(matches!(queue.work(START), Err(Some(_))));
        queue.push(hub(99), Purpose::Ahead, START);
        assert_eq!(work_all(&mut queue).first(), Some(&99));
    }

    #[test]
    fn an_account_that_is_added_again_waits_once_with_its_new_deadline() {
        let mut queue = queue(0);
        queue.push(hub(1), Purpose::Ahead, at(300));
        queue.push(hub(2), Purpose::Ahead, at(200));
        queue.push(hub(1), Purpose::Ahead, at(100));
        assert_eq!(work_all(&mut queue), [1, 2]);
    }

    #[test]
    fn no_more_workers_are_started_than_may_run_at_once() {
        let mut queue = queue(0);
        let started = (0..20).filter(|hub_id| queue.push(hub(*hub_id), Purpose::Ahead, START)).count();
        assert_eq!(started, MAX_WORKERS);
        assert_eq!(work_all(&mut queue).len(), 20);
        assert!(queue.push(hub(1), Purpose::Ahead, START), "the worker that found the queue empty has ended");
        assert!(!queue.push(hub(2), Purpose::Ahead, START));
    }

    #[test]
    fn no_more_renewals_are_in_flight_than_the_limit_says_and_callers_are_first() {
        let mut queue = queue_in_flight(2);
        for hub_id in 1..=3 {
            queue.join_ahead(hub(hub_id), at(300));
        }
        assert_eq!(queue.admission(hub(1), START), Admission::Begin);
        assert_eq!(queue.admission(hub(2), START), Admission::Begin);
        assert_eq!(queue.admission(hub(3), START), Admission::Wait(Wait::UntilWoken));
        queue.join(hub(4), Purpose::Caller, Deadline::Now, ());
        queue.join(hub(5), Purpose::Caller, Deadline::At(at(300)), ());
        assert_eq!(queue.admission(hub(5), START), Admission::Skip, "it can have the old token");
        queue.end(hub(5));
        assert_eq!(queue.admission(hub(4), START), Admission::Wait(Wait::UntilWoken));
        assert!(queue.end(hub(1)).is_some());
        assert_eq!(queue.admission(hub(3), START), Admission::Wait(Wait::UntilWoken));
        assert_eq!(queue.admission(hub(4), START), Admission::Begin);
        queue.end(hub(9));
        assert_eq!(queue.admission(hub(3), START), Admission::Wait(Wait::UntilWoken), "it was not in flight");
        queue.end(hub(4));
        assert_eq!(queue.admission(hub(3), START), Admission::Begin);
    }

    #[test]
    fn a_run_that_sleeps_without_a_lease_makes_way_for_another_and_is_admitted_anew() {
        let mut queue = queue_in_flight(1);
        queue.join(hub(1), Purpose::Caller, Deadline::Now, ());
        queue.join(hub(2), Purpose::Caller, Deadline::Now, ());
        assert_eq!(queue.admission(hub(1), START), Admission::Begin);
        assert_eq!(queue.admission(hub(2), START), Admission::Wait(Wait::UntilWoken));
        assert!(queue.give_back(hub(1)).is_some(), "the next one is woken");
        assert_eq!(queue.admission(hub(2), START), Admission::Begin);
        queue.join(hub(1), Purpose::Caller, Deadline::Now, ());
        assert_eq!(queue.admission(hub(1), START), Admission::Wait(Wait::UntilWoken));
    }

    #[test]
    fn the_renewals_of_workers_are_in_flight_too() {
        let mut queue = queue_in_flight(1);
        queue.push(hub(1), Purpose::Ahead, at(300));
        queue.push(hub(2), Purpose::Ahead, at(300));
        let Ok(Some(admitted)) = queue.next(START) else { panic!() };
        assert!(!queue.push(admitted.account, Purpose::Ahead, at(300)), "it is being renewed");
        assert_eq!(queue.next(START), Err(Wait::UntilWoken));
        queue.join(hub(3), Purpose::Caller, Deadline::Now, ());
        assert_eq!(queue.admission(hub(3), START), Admission::Wait(Wait::UntilWoken));
        assert!(queue.give_back(admitted.account).is_some());
        assert_eq!(queue.admission(hub(3), START), Admission::Begin);
        queue.end(hub(3));
        assert_eq!(queue.work(START), Ok(2));
    }

    #[test]
    fn in_a_pause_nothing_begins_and_a_caller_learns_how_long_it_is() {
        let mut queue = queue_in_flight(64);
        queue.join(hub(1), Purpose::Caller, Deadline::Now, ());
        queue.join_ahead(hub(2), at(3000));
        queue.push(hub(3), Purpose::Ahead, at(3000));
        let woken = queue.note_response(Some(hub(9)), &rate_limit(10), START).map(Iterator::count);
        assert_eq!(woken, Some(1), "the caller");
        assert!(queue.note_response(Some(hub(8)), &rate_limit(10), START).is_none(), "they know");
        assert_eq!(queue.admission(hub(1), START), Admission::Paused(SECOND * 10));
        queue.end(hub(1));
        assert_eq!(queue.admission(hub(2), at(4000)), Admission::Wait(Wait::For(SECOND * 6)));
        queue.join(hub(4), Purpose::Caller, Deadline::At(at(9000)), ());
        assert_eq!(queue.admission(hub(4), START), Admission::Skip, "it can have the old token");
        queue.end(hub(4));
        let pause = |queue: &mut RenewalQueue<()>, now| match queue.before_send(hub(2), now) {
            Some(Input::Paused { wait, cause: RetryCause::RateLimited }) => wait,
            None => Duration::ZERO,
            other => panic!("{other:?}"),
        };
        assert_eq!(pause(&mut queue, at(9999)), Duration::from_millis(1));
        assert_eq!(pause(&mut queue, at(10_000)), Duration::ZERO);
        assert_eq!(queue.admission(hub(2), at(10_000)), Admission::Begin);
        assert_eq!(queue.work(at(10_000)), Ok(3));
    }

    #[test]
    fn a_caller_who_joins_a_run_that_waits_for_the_end_of_a_pause_does_not_wait_for_it() {
        let mut queue = queue_in_flight(64);
        queue.note_response(None, &rate_limit(10), START).map(Iterator::count);
        queue.join_ahead(hub(1), at(300));
        queue.join_ahead(hub(2), at(300));
        assert_eq!(queue.admission(hub(2), START), Admission::Wait(Wait::UntilWoken));
        assert!(queue.prioritize(hub(2)).is_some(), "it is woken");
        assert_eq!(queue.admission(hub(2), at(299)), Admission::Skip);
        queue.end(hub(2));
        queue.join_ahead(hub(2), at(300));
        queue.prioritize(hub(2));
        assert_eq!(queue.admission(hub(2), at(1000)), Admission::Paused(SECOND * 9));
    }

    #[test]
    fn in_an_outage_one_renewal_is_tried_at_a_time_and_those_that_wait_share_its_failure() {
        let mut queue = queue_in_flight(64);
        (0..5).for_each(|_| _ = queue.note_response(None, &unavailable(), START).map(Iterator::count));
        for hub_id in 1..=4 {
            queue.join(hub(hub_id), Purpose::Caller, Deadline::Now, ());
        }
        queue.join_ahead(hub(5), at(300));
        assert_eq!(queue.admission(hub(1), START), Admission::Begin);
        assert_eq!(queue.admission(hub(2), START), Admission::Wait(Wait::UntilWoken));
        let woken = queue.note_response(Some(hub(1)), &unavailable(), START).map(Iterator::count);
        assert_eq!(woken, Some(3), "the callers, and not the run ahead of time");
        assert!(matches!(queue.admission(hub(2), START), Admission::Paused(_)));
        assert!(matches!(queue.admission(hub(3), START), Admission::Paused(_)));
        (1..=3).for_each(|hub_id| _ = queue.end(hub(hub_id)));
        queue.join(hub(6), Purpose::Caller, Deadline::Now, ());
        assert!(matches!(queue.admission(hub(4), START), Admission::Paused(_)), "it has not left yet");
        queue.end(hub(4));
        assert_eq!(queue.admission(hub(6), START), Admission::Begin, "the next try");
        for hub_id in [4, 7] {
            queue.join(hub(hub_id), Purpose::Caller, Deadline::At(START), ());
        }
        let woken = queue.note_response(Some(hub(6)), &Ok(()), START).map(Iterator::count);
        assert_eq!(woken, Some(2), "the callers, and the end of each wakes the next one");
        for hub_id in [4, 7, 5] {
            assert_eq!(queue.admission(hub(hub_id), START), Admission::Begin);
        }
    }

    /// Each try that fails makes the account's callers wait, too.
    #[test]
    fn in_an_outage_the_sweep_tries_an_account_a_minute_unless_a_caller_does_and_after_it_all_that_are_due() {
        let mut queue = queue_in_flight(64);
        let fail = |queue: &mut RenewalQueue<()>, account| {
            let _ = queue.note_response(account, &unavailable(), START).map(Iterator::count);
            account.map(|account| queue.end(account));
        };
        (0..5).for_each(|_| fail(&mut queue, None));
        for hub_id in 1..=4 {
            queue.join(hub(hub_id), Purpose::Sweep, Deadline::Now, ());
        }
        queue.push(hub(5), Purpose::Sweep, at(9000));
        let wait = |seconds| Admission::Wait(Wait::For(SECOND * seconds));
        assert_eq!(queue.admission(hub(1), START), Admission::Begin);
        fail(&mut queue, Some(hub(1)));
        assert_eq!(queue.admission(hub(2), START), wait(60));
        assert_eq!(queue.admission(hub(2), at(59_000)), wait(1));
        queue.join(hub(9), Purpose::Caller, Deadline::Now, ());
        assert_eq!(queue.admission(hub(9), at(59_000)), Admission::Begin, "a caller does not wait");
        fail(&mut queue, Some(hub(9)));
        assert_eq!(queue.admission(hub(2), at(60_000)), wait(59));
        assert_eq!(queue.admission(hub(2), at(119_000)), Admission::Begin);
        fail(&mut queue, Some(hub(2)));
        queue.prioritize(hub(3));
        let paused = Admission::Paused(SECOND);
        assert_eq!(
            queue.admission(hub(3), at(119_000)),
            paused,
            "a caller has joined it and learns of the outage"
        );
        queue.end(hub(3));
        queue.join(hub(3), Purpose::Caller, Deadline::Now, ());
        assert_eq!(queue.admission(hub(3), at(119_000)), Admission::Begin);
        let woken = queue.note_response(Some(hub(3)), &Ok(()), START).map(Iterator::count);
        assert_eq!(woken, Some(1));
        assert_eq!(queue.admission(hub(4), at(119_000)), Admission::Begin);
        assert_eq!(queue.work(at(119_000)), Ok(5));
    }

    /// RENEWAL.md, rule 7.
    #[test]
    fn a_clock_that_was_set_back_does_not_keep_the_sweep_from_trying_in_an_outage() {
        let mut queue = queue_in_flight(64);
        (0..5).for_each(|_| _ = queue.note_response(None, &unavailable(), START).map(Iterator::count));
        for (hub_id, now) in [(1, at(1_000_000)), (2, START)] {
            queue.join(hub(hub_id), Purpose::Sweep, Deadline::Now, ());
            assert_eq!(queue.admission(hub(hub_id), now), Admission::Begin);
            queue.end(hub(hub_id));
        }
    }

    #[test]
    fn below_its_limits_no_run_has_to_wait() {
        let mut queue = queue_in_flight(2);
        for hub_id in 1..=2 {
            queue.join(hub(hub_id), Purpose::Ahead, Deadline::Now, ());
            assert_eq!(queue.admission(hub(hub_id), START), Admission::Begin);
        }
        assert!(queue.entries.is_empty());
    }

    #[test]
    fn the_sweep_comes_after_all_others_and_moves_up_when_the_account_is_used() {
        let mut queue = queue_in_flight(1);
        queue.push(hub(1), Purpose::Sweep, START);
        queue.push(hub(2), Purpose::Ahead, at(9000));
        queue.push(hub(3), Purpose::Sweep, at(1));
        queue.push(hub(3), Purpose::Ahead, at(9500));
        queue.push(hub(2), Purpose::Sweep, START);
        let mut order = Vec::new();
        while let Ok(Some(admitted)) = queue.next(START) {
            order.push(admitted.account.hub_id);
            queue.end(admitted.account);
        }
        assert_eq!(order, [2, 3, 1]);
    }

    #[test]
    fn a_run_of_the_sweep_waits_for_the_end_of_a_pause_as_one_ahead_of_time_does() {
        for purpose in [Purpose::Ahead, Purpose::Sweep] {
            let mut queue = queue_in_flight(1);
            let _ = queue.note_response(None, &rate_limit(5), START);
            queue.join(hub(1), purpose, Deadline::Now, ());
            assert!(matches!(queue.admit(hub(1), START, false), Err(Wait::For(_))), "{purpose:?}");
        }
    }

    /// Eight processes begin together as many renewals as one would, and at most a fifth more in any second.
    #[test]
    fn replicas_share_a_rate() {
        for rate in [40, 100, 200, 1000] {
            let limits = Limits {
                per_second: NonZeroU32::new(rate),
                replicas: NonZeroU32::new(8).unwrap(),
                in_flight: NonZeroU32::MAX,
            };
            let mut queues: Vec<RenewalQueue<()>> = (0..8).map(|_| RenewalQueue::new(limits)).collect();
            let mut begun = Vec::new();
            for millisecond in 0..20_000 {
                let now = at(millisecond);
                for (queue, process) in queues.iter_mut().zip(0..) {
                    // More wait than may begin, all the time.
                    let account = hub(i64::try_from(millisecond).unwrap() * 8 + process + 1);
                    queue.push(account, Purpose::Ahead, now);
                    while let Ok(Some(admitted)) = queue.next(now) {
                        assert!(queue.before_send(admitted.account, now).is_none());
                        queue.end(admitted.account);
                        begun.push(millisecond);
                    }
                }
            }
            let total = begun.len() as f64 / 20.0 / f64::from(rate);
            assert!((0.95..=1.05).contains(&total), "{rate}: {total} of the rate");
            let in_second = |from: u64| begun.iter().filter(|at| (from..from + 1000).contains(*at)).count();
            let most = (0..19_000).step_by(50).map(in_second).max().unwrap();
            assert!(most as f64 <= f64::from(rate) * 1.2, "{rate}: {most} in a second");
        }
    }
}

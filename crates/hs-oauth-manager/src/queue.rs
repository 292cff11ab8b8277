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
mod tests;

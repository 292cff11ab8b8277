//! Which account is looked after next although nobody asks for it, and when.
//!
//! The plan does no IO: [`SweepPlan::next`] says what to do, and the driver says what came of it. What it knows of the store comes from its
//! pages, which are read all at once in the beginning and then slowly, and from the renewals of this process. Between them nothing is asked
//! for. The pages are read again since no other way leads to the accounts that others installed, and to those whose process has ended.
//!
//! In an outage the plan goes on: its flights wait in the queue, and soon there are as many as it may have.

mod pages;
mod turn;

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::time::Duration;

use hs_oauth_core::renewal::{AccountState, RenewalPolicy};
use hs_oauth_core::{Account, AppIdentity, StoreError, Timestamp};
use hs_oauth_store::{Cursor, Entry, Page};
use serde::Serialize;

use crate::standing::Standing;
use pages::Pages;
use turn::{Part, Replica, Span, period_begin};

/// How a token manager looks after the accounts that nobody asks for.
///
/// The processes that share a store share the work. They do not talk about it: each account has its own time, the process that renewed
/// it last comes first, and others look later whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    KeepWarm,
    Check { period: Duration },
}

/// Which account is looked after next, and when.
///
/// It takes about 100 bytes of memory for an account, and at most 150.
#[derive(Debug)]
pub struct SweepPlan {
    sweep: Sweep,
    policy: RenewalPolicy,
    app: AppIdentity,
    user_level: bool,
    replica: Replica,
    max_in_flight: usize,
    accounts: HashMap<Key, Slot>,
    /// The accounts whose turn is still to come, by its moment.
    waiting: BTreeSet<(Timestamp, Key)>,
    /// The accounts whose turn has come, by the moment until which they should be looked after.
    due: BTreeSet<(Timestamp, Key)>,
    /// The accounts that are being looked after, and since when.
    in_flight: HashMap<Account, Timestamp>,
    pages: Pages,
    looked_at: u64,
    renewed: u64,
}

/// What is to be done for a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepStep {
    /// Read the page of the store that begins there, and pass it to [`SweepPlan::page_read`].
    ReadPage(Option<Cursor>),
    /// Begin a flight of this account. Its end is passed to [`SweepPlan::ended`].
    Renew(Account),
    /// Wait for this long, or until a flight ends.
    Wait(Duration),
}

/// How far a sweep is. The numbers are those of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SweepProgress {
    /// How many accounts it looks after, together with the other processes.
    pub accounts: usize,
    /// How many of them have their turn and wait for it, or are being looked after.
    pub due: usize,
    /// How many seconds ago the turn came of the one that waits longest.
    pub late_secs: u64,
    /// How many accounts it has looked at since the process started.
    pub looked_at: u64,
    /// How many of them it renewed. The others had been renewed by another process or for a caller, or could not be renewed.
    pub renewed: u64,
    /// How many accounts of this round through the store it has read.
    pub read: usize,
    /// How many accounts there were in the last round, or `None` before the end of the first one.
    pub last_round: Option<usize>,
}

/// An account in the tables of the plan, where each byte counts. HubSpot's IDs are positive, so 0 stands for no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    hub_id: i64,
    user_id: i64,
}

/// What the plan knows of an account.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// This replica's next turn, if it has one.
    turn: Option<Timestamp>,
    /// How many seconds from the turn until the account should have been looked after.
    seconds_left: u32,
    part: Part,
}

/// The shortest period of a check.
const MIN_PERIOD: Duration = Duration::from_secs(1);

/// How often all pages are read again to keep accounts warm. A replica that has left everything to others hears by then that they are gone.
const WARM_ROUND: Duration = Duration::from_secs(10 * 60);

/// When a refresh token that has never been used is due, to be kept warm: the time in which all replicas look at it.
const FIRST_SPAN: Duration = Duration::from_secs(120);

/// How long after a flight that saw no record, since the store failed or the process may send nothing, the next one begins.
const RETRY: Duration = Duration::from_secs(60);

/// After this time, a flight that has not ended is forgotten, and another may begin.
const MAX_FLIGHT: Duration = Duration::from_secs(300);

/// The longest wait, so that a clock that is set forward is noticed.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The shortest wait: a turn that comes in less than a millisecond is no reason to spin.
const MIN_WAIT: Duration = Duration::from_millis(1);

impl Sweep {
    /// Returns a sweep that renews every account ahead of time, so that no first caller waits for a renewal: every half an hour one for each
    /// account, by one process.
    pub const fn keep_warm() -> Self {
        Self(Kind::KeepWarm)
    }

    /// Returns a sweep that renews each account once a day unless it was renewed anyway, so that a grant that has ended is heard of before a
    /// customer notices.
    pub const fn check_daily() -> Self {
        Self::check_every(Duration::from_secs(24 * 60 * 60))
    }

    /// Returns a sweep that renews each account once in this time unless it was renewed anyway. A time shorter than a second counts as a
    /// second.
    pub const fn check_every(period: Duration) -> Self {
        let is_too_short = period.as_millis() < MIN_PERIOD.as_millis();
        Self(Kind::Check { period: if is_too_short { MIN_PERIOD } else { period } })
    }

    /// Returns whether tokens that it renews are kept in memory, for callers that may come.
    pub(crate) const fn keeps_tokens(self) -> bool {
        matches!(self.0, Kind::KeepWarm)
    }

    /// Returns how long a round through the pages of the store takes.
    fn round(self) -> Duration {
        match self.0 {
            Kind::KeepWarm => WARM_ROUND,
            // One of two rounds comes after the span in which an account is looked after, and shows what nobody has done.
            Kind::Check { period } => period / 2,
        }
    }
}

impl SweepPlan {
    /// Returns the plan of a process that knows nothing yet. `replicas` is how many processes share the store, and `seed` is a random number,
    /// by which they differ. At most `max_in_flight` flights are under way at once.
    pub fn new(
        sweep: Sweep,
        policy: RenewalPolicy,
        app: AppIdentity,
        user_level: bool,
        replicas: NonZeroU32,
        max_in_flight: usize,
        seed: u64,
    ) -> Self {
        Self {
            sweep,
            policy,
            app,
            user_level,
            replica: Replica { seed, count: replicas.get() },
            max_in_flight,
            accounts: HashMap::new(),
            waiting: BTreeSet::new(),
            due: BTreeSet::new(),
            in_flight: HashMap::new(),
            pages: Pages::new(sweep.round()),
            looked_at: 0,
            renewed: 0,
        }
    }

    /// Returns what to do now.
    pub fn next(&mut self, now: Timestamp) -> SweepStep {
        if let Some(cursor) = self.pages.begin(now) {
            return SweepStep::ReadPage(cursor);
        }
        self.give_up_lost_flights(now);
        self.begin_turns(now);
        let is_full = self.in_flight.len() >= self.max_in_flight;
        match self.due.first().filter(|_| !is_full) {
            Some(&(_, key)) => {
                self.set_turn(key, None);
                let account = key.account();
                self.in_flight.insert(account, now);
                SweepStep::Renew(account)
            }
            None => {
                let turn = self.waiting.first().map(|(turn, _)| *turn).into_iter();
                let next = turn.chain(self.pages.next_at()).min();
                SweepStep::Wait(next.map_or(MAX_WAIT, |next| next.since(now)).clamp(MIN_WAIT, MAX_WAIT))
            }
        }
    }

    /// Notes a page of the store, or why it could not be read.
    pub fn page_read(&mut self, page: Result<Page, StoreError>, now: Timestamp) {
        match page {
            Ok(Page { entries, next }) => {
                self.pages.read(entries.len(), next, now);
                entries.iter().for_each(|entry| self.entry_read(entry, now));
            }
            Err(error) => self.pages.failed(&error, now),
        }
    }

    /// Notes that a flight of the account has ended, of the sweep or for a caller, or that the account was installed. `seen` is how the account
    /// stood in the record that was seen last (`None` in it without a record), and `renewed` says whether this process renewed it.
    pub fn ended(&mut self, account: Account, seen: Option<Option<Standing>>, renewed: bool, now: Timestamp) {
        let key = Key::of(account);
        if self.in_flight.remove(&account).is_some() {
            self.looked_at += 1;
            self.renewed += u64::from(renewed);
        }
        match seen {
            Some(Some(standing)) => {
                let part = match renewed {
                    true => Part::Last,
                    false if self.span(account, &standing, now).from > now => Part::Other,
                    // It could not be renewed.
                    false => self.part(key),
                };
                self.plan(account, &standing, part, now);
                let turn = self.accounts.get(&key).and_then(|slot| slot.turn);
                if !renewed && turn.is_some_and(|turn| turn < now.plus(RETRY)) {
                    // It was its turn, and it could not be renewed.
                    self.set_turn(key, Some((now.plus(RETRY), 0)));
                }
            }
            Some(None) => self.forget(account),
            None if self.accounts.contains_key(&key) => self.set_turn(key, Some((now.plus(RETRY), 0))),
            None => {}
        }
    }

    /// Forgets an account that was disconnected.
    pub fn forget(&mut self, account: Account) {
        let key = Key::of(account);
        self.set_turn(key, None);
        self.accounts.remove(&key);
        self.in_flight.remove(&account);
    }

    /// Returns a moment of which a flight of the sweep has to know: an account whose token was fresh then has been looked after.
    pub fn fresh_at(&self, account: Account, now: Timestamp) -> Option<Timestamp> {
        match self.sweep.0 {
            Kind::KeepWarm => None,
            Kind::Check { period } => Some(period_begin(account, period, now)),
        }
    }

    /// Returns how far the sweep is.
    pub fn progress(&self, now: Timestamp) -> SweepProgress {
        // Since the last step, the turns of some may have come.
        let coming = || self.waiting.iter().map(|(turn, _)| *turn).take_while(|turn| *turn <= now);
        let turns = self.due.iter().filter_map(|(_, key)| self.accounts.get(key)?.turn).chain(coming());
        let (read, last_round) = self.pages.progress();
        SweepProgress {
            accounts: self.accounts.len(),
            due: self.due.len() + coming().count() + self.in_flight.len(),
            late_secs: turns.min().map_or(0, |turn| now.since(turn).as_secs()),
            looked_at: self.looked_at,
            renewed: self.renewed,
            read: read.accounts,
            last_round: last_round.map(|last| last.accounts),
        }
    }

    fn entry_read(&mut self, Entry { account, stored }: &Entry, now: Timestamp) {
        let Ok(stored) = stored else { return };
        let is_own = stored.record.client_id.as_deref().is_none_or(|id| id == self.app.client_id());
        if !is_own || account.user_id.is_some() != self.user_level || !Key::can_hold(*account) {
            return;
        }
        // The flight knows better than the page, which may have been read before it.
        if !self.in_flight.contains_key(account) {
            let standing = Standing::of(&stored.record, &self.policy);
            self.plan(*account, &standing, self.part(Key::of(*account)), now);
        }
    }

    /// Gives the account its next turn, or forgets it if it cannot be renewed.
    fn plan(&mut self, account: Account, standing: &Standing, part: Part, now: Timestamp) {
        if standing.state != AccountState::Live || !standing.is_renewable || !Key::can_hold(account) {
            return self.forget(account);
        }
        let mut span = self.span(account, standing, now);
        span.from = standing.retry_at.map_or(span.from, |retry_at| retry_at.max(span.from));
        let mut turn = self.replica.turn(account, part, span, now);
        let key = Key::of(account);
        let slot = self.accounts.entry(key).or_insert(Slot { turn: None, seconds_left: 0, part });
        slot.part = part;
        if span.from <= now {
            // It is due, and a page that says so once more does not put it off.
            turn = slot.turn.or(turn).min(turn.or(slot.turn));
        }
        let until = self.replica.until(account, span);
        let seconds_left = |turn| u32::try_from(until.since(turn).as_secs()).unwrap_or(u32::MAX);
        self.set_turn(key, turn.map(|turn| (turn, seconds_left(turn))));
    }

    /// Returns the time in which the account is to be looked after next, if no back-off is in the way.
    fn span(&self, account: Account, standing: &Standing, now: Timestamp) -> Span {
        match (self.sweep.0, standing.schedule) {
            (Kind::KeepWarm, None) => Span { from: now, length: FIRST_SPAN },
            (Kind::KeepWarm, Some(schedule)) => {
                let window = schedule.usable_until.since(schedule.renew_from);
                Span { from: schedule.renew_from, length: window / 2 }
            }
            (Kind::Check { period }, None) => {
                Span { from: period_begin(account, period, now), length: period / 4 }
            }
            // A token that is fresh when a period begins says that the grant is well.
            (Kind::Check { period }, Some(schedule)) => {
                let last = period_begin(account, period, schedule.renew_from);
                Span { from: last.plus(period), length: period / 4 }
            }
        }
    }

    fn part(&self, key: Key) -> Part {
        self.accounts.get(&key).map_or(Part::Unknown, |slot| slot.part)
    }

    /// Sets the account's next turn, and how many seconds after it the account should have been looked after.
    fn set_turn(&mut self, key: Key, turn: Option<(Timestamp, u32)>) {
        let Some(slot) = self.accounts.get_mut(&key) else { return };
        if let Some(before) = slot.turn {
            let was_waiting = self.waiting.remove(&(before, key));
            let _ = was_waiting || self.due.remove(&(slot.until(before), key));
        }
        slot.turn = turn.map(|(turn, _)| turn);
        if let Some((turn, seconds_left)) = turn {
            slot.seconds_left = seconds_left;
            self.waiting.insert((turn, key));
        }
    }

    /// Moves the accounts whose turn has come to those that are due.
    fn begin_turns(&mut self, now: Timestamp) {
        while let Some(&(turn, key)) = self.waiting.first().filter(|(turn, _)| *turn <= now) {
            self.waiting.pop_first();
            if let Some(slot) = self.accounts.get(&key) {
                self.due.insert((slot.until(turn), key));
            }
        }
    }

    /// Gives up flights whose end nobody reported, since their task was cut off.
    fn give_up_lost_flights(&mut self, now: Timestamp) {
        let is_lost = |begun: &Timestamp| *begun > now || now.since(*begun) >= MAX_FLIGHT;
        if self.in_flight.len() < self.max_in_flight {
            return;
        }
        let lost: Vec<_> =
            self.in_flight.iter().filter(|(_, begun)| is_lost(begun)).map(|(account, _)| *account).collect();
        for account in lost {
            self.in_flight.remove(&account);
            self.set_turn(Key::of(account), Some((now.plus(RETRY), 0)));
        }
    }
}

impl Slot {
    /// Returns until when the account should have been looked after, if this is its turn.
    fn until(&self, turn: Timestamp) -> Timestamp {
        turn.plus(Duration::from_secs(self.seconds_left.into()))
    }
}

impl Key {
    fn of(account: Account) -> Self {
        Self { hub_id: account.hub_id, user_id: account.user_id.unwrap_or_default() }
    }

    /// Returns whether the key stands for this account and no other.
    fn can_hold(account: Account) -> bool {
        account.user_id != Some(0)
    }

    fn account(self) -> Account {
        match self.user_id {
            0 => Account::hub(self.hub_id),
            user_id => Account::user(self.hub_id, user_id),
        }
    }
}

#[cfg(test)]
mod tests;

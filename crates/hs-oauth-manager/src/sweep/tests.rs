use hs_oauth_core::renewal::{Decision, GrantId, GrantState, Record, Retry, Stored};
use hs_oauth_core::{AccessToken, Random, RefreshToken, StoreErrorKind, TokenSet};
use hs_oauth_store::{MemoryStore, Swapped, TokenStore};

use super::*;
use crate::tests::app;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const START: Timestamp = Timestamp::from_secs(1_800_000_000);
const POLICY: RenewalPolicy = RenewalPolicy::new();

/// Processes that share a store, whose clock is moved by hand. A flight takes no time.
struct Fleet {
    store: MemoryStore,
    plans: Vec<SweepPlan>,
    now: Timestamp,
    calls: u32,
    /// When each account was renewed.
    renewals: HashMap<Account, Vec<Timestamp>>,
    random: Random,
    seeds: u64,
}

fn tokens(now: Timestamp, number: usize) -> TokenSet {
    let mut tokens = TokenSet::new(AccessToken::new(format!("access-{number}")).unwrap(), 1800, now);
    tokens.refresh_token = Some(RefreshToken::new("refresh").unwrap());
    tokens
}

fn plan(sweep: Sweep, replicas: u32, seed: u64) -> SweepPlan {
    SweepPlan::new(sweep, POLICY, app(), false, NonZeroU32::new(replicas).unwrap(), 32, seed)
}

impl Fleet {
    /// Returns processes over a store with so many accounts, which were installed long ago.
    fn new(sweep: Sweep, processes: u32, accounts: i64) -> Self {
        let mut fleet = Self {
            store: MemoryStore::new(),
            plans: Vec::new(),
            now: START,
            calls: 0,
            renewals: HashMap::new(),
            random: Random::new([1; 32]),
            seeds: 0,
        };
        (1..=accounts).for_each(|hub_id| fleet.install(Account::hub(hub_id), START.minus(DAY * 30)));
        (0..processes).for_each(|_| fleet.add_process(sweep, processes));
        fleet
    }

    fn add_process(&mut self, sweep: Sweep, processes: u32) {
        self.seeds += 1;
        self.plans.push(plan(sweep, processes, self.seeds));
    }

    fn install(&mut self, account: Account, at: Timestamp) {
        let mut record = Record::new(GrantId::generate(&mut self.random), tokens(at, 0));
        record.client_id = Some("client-id".to_owned());
        self.write(account, None, &record);
    }

    fn write(&self, account: Account, version: Option<u64>, record: &Record) {
        assert!(matches!(self.store.swap(account, version, record).unwrap(), Swapped::Stored(_)));
    }

    fn change(&self, account: Account, change: impl FnOnce(&mut Record)) {
        let Stored { version, mut record } = self.store.load(account).unwrap().unwrap();
        change(&mut record);
        self.write(account, Some(version), &record);
    }

    /// Renews the account as a run does: it loads the record, takes the lease and saves the tokens. Returns what it saw, and whether it
    /// renewed.
    fn renew(&mut self, account: Account, fresh_at: Option<Timestamp>) -> (Option<Option<Standing>>, bool) {
        self.calls += 1;
        let Some(Stored { version, mut record }) = self.store.load(account).unwrap() else {
            return (Some(None), false);
        };
        let is_fresh = POLICY.decide(self.now, record.tokens.as_ref().unwrap()) == Decision::Use;
        let is_backing_off = record.retry.as_ref().is_some_and(|retry| retry.at > self.now);
        let schedule = POLICY.schedule(record.tokens.as_ref().unwrap());
        let is_done = fresh_at.is_some_and(|at| schedule.renew_from >= at);
        if is_fresh || is_done || is_backing_off || record.state != GrantState::Live {
            return (Some(Some(Standing::of(&record, &POLICY))), false);
        }
        self.calls += 2;
        let renewals = self.renewals.entry(account).or_default();
        renewals.push(self.now);
        record.tokens =
            Some(tokens(self.now, renewals.len() * 1000 + usize::try_from(account.hub_id).unwrap()));
        record.retry = None;
        self.write(account, Some(version), &record);
        (Some(Some(Standing::of(&record, &POLICY))), true)
    }

    /// Lets the processes work until `end`.
    fn run_until(&mut self, end: Timestamp) {
        while self.now < end {
            let mut wait = end.since(self.now);
            for process in 0..self.plans.len() {
                loop {
                    match self.plans[process].next(self.now) {
                        SweepStep::ReadPage(cursor) => {
                            self.calls += 1;
                            let page = self.store.page(cursor.as_ref(), 500);
                            self.plans[process].page_read(page, self.now);
                        }
                        SweepStep::Renew(account) => {
                            let fresh_at = self.plans[process].fresh_at(account, self.now);
                            let (seen, renewed) = self.renew(account, fresh_at);
                            self.plans[process].ended(account, seen, renewed, self.now);
                        }
                        SweepStep::Wait(time) => {
                            wait = wait.min(time);
                            break;
                        }
                    }
                }
            }
            self.now = self.now.plus(wait);
        }
    }

    fn renewals_between(&self, account: Account, from: Timestamp, to: Timestamp) -> usize {
        self.renewals
            .get(&account)
            .map_or(0, |times| times.iter().filter(|at| from <= **at && **at < to).count())
    }
}

#[test]
fn each_idle_account_is_renewed_once_in_each_period_by_one_of_the_processes() {
    let mut fleet = Fleet::new(Sweep::check_daily(), 4, 2000);
    let begin = START.plus(DAY);
    fleet.run_until(begin);
    fleet.calls = 0;
    fleet.run_until(begin.plus(DAY * 4));
    for hub_id in 1..=2000 {
        let account = Account::hub(hub_id);
        let first = period_begin(account, DAY, begin);
        for period in 1..4 {
            let from = first.plus(DAY * period);
            assert_eq!(fleet.renewals_between(account, from, from.plus(DAY)), 1, "{account}");
        }
    }
    // A load and two swaps by the process that renews it, the loads of two others, and its share of the pages.
    let calls = f64::from(fleet.calls) / 2000.0 / 4.0;
    assert!(calls < 5.2, "{calls} calls of the store for each account and day");
}

#[test]
fn the_renewals_are_spread_over_the_period() {
    let mut fleet = Fleet::new(Sweep::check_daily(), 3, 2400);
    let begin = START.plus(DAY);
    fleet.run_until(begin.plus(DAY));
    let mut by_hour = [0; 24];
    for at in fleet.renewals.values().flatten().filter(|at| **at >= begin) {
        by_hour[usize::try_from(at.since(begin).as_secs() / 3600).unwrap()] += 1;
    }
    assert!(by_hour.iter().all(|renewals| (50..200).contains(renewals)), "{by_hour:?}");
}

#[test]
fn the_more_processes_there_are_the_less_each_of_them_does() {
    let calls = |processes| {
        let mut fleet = Fleet::new(Sweep::check_daily(), processes, 500);
        fleet.run_until(START.plus(DAY * 2));
        fleet.calls = 0;
        fleet.run_until(START.plus(DAY * 4));
        f64::from(fleet.calls) / 500.0 / 2.0
    };
    let (few, many) = (calls(4), calls(32));
    assert!(many < few * 1.3, "{few} calls of the store for each account and day, and {many}");
}

#[test]
fn tokens_that_are_kept_warm_are_always_good() {
    let mut fleet = Fleet::new(Sweep::keep_warm(), 4, 300);
    fleet.run_until(START.plus(HOUR));
    for minute in 0..240 {
        fleet.run_until(START.plus(HOUR).plus(Duration::from_secs(60 * minute)));
        for hub_id in 1..=300 {
            let record = fleet.store.load(Account::hub(hub_id)).unwrap().unwrap().record;
            assert_ne!(POLICY.decide(fleet.now, &record.tokens.unwrap()), Decision::RenewNow, "{hub_id}");
        }
    }
    let renewals = fleet.renewals.values().map(Vec::len).sum::<usize>() as f64 / 300.0;
    // Five hours have about 13 times 23 minutes.
    assert!((11.0..15.0).contains(&renewals), "{renewals}");
}

#[test]
fn the_accounts_of_a_process_that_dies_are_looked_after_by_the_others_in_the_same_period() {
    let mut fleet = Fleet::new(Sweep::check_daily(), 4, 500);
    let begin = START.plus(DAY * 2);
    fleet.run_until(begin);
    fleet.plans.remove(0);
    fleet.run_until(begin.plus(DAY * 3));
    let late: Vec<_> = (1..=500)
        .map(Account::hub)
        .filter(|account| {
            let from = period_begin(*account, DAY, begin).plus(DAY);
            fleet.renewals_between(*account, from, from.plus(DAY)) != 1
        })
        .collect();
    // Of the accounts that the dead process renewed last, some have no other that looks at them by chance. A page shows them.
    assert!(late.len() < 25, "{late:?}");
    for account in late {
        let from = period_begin(account, DAY, begin).plus(DAY);
        assert!(fleet.renewals_between(account, from, from.plus(DAY * 2)) >= 1, "{account}");
    }
}

#[test]
fn a_process_that_starts_again_begins_where_it_was() {
    let mut fleet = Fleet::new(Sweep::check_daily(), 1, 500);
    let begin = START.plus(DAY);
    fleet.run_until(begin.plus(DAY / 2));
    fleet.plans.clear();
    fleet.add_process(Sweep::check_daily(), 1);
    fleet.run_until(begin.plus(DAY * 3));
    for hub_id in 1..=500 {
        let account = Account::hub(hub_id);
        let first = period_begin(account, DAY, begin);
        for period in 1..3 {
            let from = first.plus(DAY * period);
            assert_eq!(fleet.renewals_between(account, from, from.plus(DAY)), 1, "{account}");
        }
    }
}

#[test]
fn an_account_that_another_process_installs_is_found_within_a_round_and_one_of_this_process_at_once() {
    let mut fleet = Fleet::new(Sweep::check_daily(), 1, 3);
    fleet.run_until(START.plus(HOUR));
    fleet.install(Account::hub(100), fleet.now);
    let account = Account::hub(101);
    fleet.install(account, fleet.now);
    let standing = Standing::of(&fleet.store.load(account).unwrap().unwrap().record, &POLICY);
    fleet.plans[0].ended(account, Some(Some(standing)), true, fleet.now);
    assert_eq!(fleet.plans[0].progress(fleet.now).accounts, 4);
    fleet.run_until(START.plus(HOUR).plus(DAY));
    let progress = fleet.plans[0].progress(fleet.now);
    assert_eq!((progress.accounts, progress.last_round), (5, Some(5)));
}

#[test]
fn accounts_of_others_and_such_as_cannot_be_renewed_are_left_alone() {
    let mut fleet = Fleet::new(Sweep::check_daily(), 1, 6);
    fleet.change(Account::hub(1), |record| record.state = GrantState::Gone);
    fleet.change(Account::hub(2), |record| record.client_id = Some("other".to_owned()));
    fleet.change(Account::hub(3), |record| record.tokens.as_mut().unwrap().refresh_token = None);
    fleet.change(Account::hub(4), |record| *record = Record::forgotten(record.grant));
    fleet.install(Account::user(6, 1), START);
    fleet.run_until(START.plus(DAY * 2));
    let mut renewed: Vec<_> = fleet.renewals.keys().map(|account| account.hub_id).collect();
    renewed.sort_unstable();
    assert_eq!(renewed, [5, 6]);
    assert!(!fleet.renewals.contains_key(&Account::user(6, 1)));
}

#[test]
fn an_account_that_backs_off_has_its_turn_when_the_back_off_is_over() {
    let account = Account::hub(1);
    let mut fleet = Fleet::new(Sweep::check_every(HOUR), 1, 1);
    let until = START.plus(HOUR * 5);
    fleet.change(account, |record| record.retry = Some(Retry::new(until, 3)));
    fleet.run_until(until);
    assert_eq!(fleet.renewals_between(account, START, until), 0);
    fleet.run_until(until.plus(HOUR));
    assert_eq!(fleet.renewals_between(account, until, until.plus(HOUR)), 1);
}

#[test]
fn a_flight_that_saw_nothing_is_followed_by_another_after_a_minute() {
    let account = Account::hub(1);
    let mut fleet = Fleet::new(Sweep::check_daily(), 1, 1);
    let plan = &mut fleet.plans[0];
    plan.page_read(fleet.store.page(None, 10), START);
    let begin = |plan: &mut SweepPlan, mut now: Timestamp| {
        loop {
            match plan.next(now) {
                SweepStep::Renew(account) => return (account, now),
                SweepStep::Wait(wait) => now = now.plus(wait),
                SweepStep::ReadPage(_) => plan.page_read(Ok(Page::default()), now),
            }
        }
    };
    let (begun, now) = begin(plan, START);
    assert_eq!(begun, account);
    plan.ended(account, None, false, now);
    assert_eq!(begin(plan, now), (account, now.plus(RETRY)));
}

#[test]
fn no_more_flights_are_under_way_than_allowed_and_lost_ones_are_given_up() {
    let mut fleet = Fleet::new(Sweep::check_daily(), 1, 100);
    let plan = &mut fleet.plans[0];
    plan.page_read(fleet.store.page(None, 500), START);
    let now = START.plus(DAY);
    assert_eq!(plan.progress(now).due, 100, "before the next step, too");
    let mut begun = Vec::new();
    loop {
        match plan.next(now) {
            SweepStep::Renew(account) => begun.push(account),
            SweepStep::ReadPage(_) => plan.page_read(fleet.store.page(None, 500), now),
            SweepStep::Wait(_) => break,
        }
    }
    assert_eq!(begun.len(), 32);
    assert_eq!(plan.progress(now).due, 100);
    assert!(plan.progress(now).late_secs > 0);
    let later = now.plus(MAX_FLIGHT);
    assert!(matches!(plan.next(later), SweepStep::Renew(account) if !begun.contains(&account)));
}

/// The builder's documentation: a sweep that keeps warm "renews every account ahead of time".
#[test]
fn of_the_accounts_that_are_due_the_one_whose_token_ends_first_comes_first() {
    let ends = |hub_id: i64| Duration::from_secs(u64::try_from(hub_id * 7919 % 400).unwrap());
    let mut fleet = Fleet::new(Sweep::keep_warm(), 0, 0);
    let issued = |hub_id| START.plus(ends(hub_id)).minus(Duration::from_secs(1700));
    (1..=400).for_each(|hub_id| fleet.install(Account::hub(hub_id), issued(hub_id)));
    let mut plan = plan(Sweep::keep_warm(), 4, 1);
    plan.page_read(fleet.store.page(None, 500), START);
    // Some turns have not come when the first accounts are renewed. Now all have.
    let now = START.plus(Duration::from_secs(300));
    let mut order = Vec::new();
    loop {
        match plan.next(now) {
            SweepStep::Renew(account) => {
                order.push(ends(account.hub_id));
                plan.forget(account);
            }
            SweepStep::ReadPage(_) => plan.page_read(Ok(Page::default()), now),
            SweepStep::Wait(_) => break,
        }
    }
    assert_eq!(order.len(), 400);
    // A replica's own order differs by an eighth of the span, so that not all replicas begin the same renewals at once.
    let span = Duration::from_secs(450 - 60) / 2;
    for (before, after) in order.iter().zip(order.iter().skip(1)) {
        assert!(*before < *after + span / 8, "{before:?} {after:?}");
    }
}

#[test]
fn an_account_takes_at_most_150_bytes() {
    // A hash map is at least 7/16 full after it has grown, with a byte of its own for each place. A node of the tree has 11 places, of which
    // at least 5 are taken, and 16 bytes of its own; inner nodes are a tenth of all, with 12 pointers.
    let map = (size_of::<(Key, Slot)>() + 1) as f64 * 16.0 / 7.0;
    let tree = (size_of::<(Timestamp, Key)>() * 11 + 16) as f64 / 6.0 * 1.1;
    assert!(map + tree <= 150.0, "{map} and {tree}");
}

#[test]
fn a_store_that_cannot_be_read_is_asked_again_and_stops_nothing() {
    let mut plan = plan(Sweep::check_daily(), 1, 1);
    assert_eq!(plan.next(START), SweepStep::ReadPage(None));
    plan.page_read(Err(StoreError::new(StoreErrorKind::Unavailable)), START);
    assert_eq!(plan.next(START), SweepStep::Wait(Duration::from_secs(1)));
    assert_eq!(plan.next(START.plus(Duration::from_secs(1))), SweepStep::ReadPage(None));
}

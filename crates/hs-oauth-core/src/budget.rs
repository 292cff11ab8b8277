use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use crate::account::Account;
use crate::timestamp::Timestamp;

/// How many renewals a process begins in a second, and whose turn is next: whose token has to be renewed soonest.
///
/// Accounts that connected together, or were all asked for when a service started, expire together. With a budget, their renewals
/// are spread over the part of a life in which tokens are renewed ahead of time. In no second do more begin than were said, and
/// in no tenth of a second more than a tenth of that. `W` is how a waiting run is told to look again.
///
/// ```
/// use std::num::NonZeroU32;
/// use hs_oauth_core::{Account, Budget, Timestamp, Turn};
///
/// let mut budget = Budget::new(NonZeroU32::MIN); // one a second
/// let now = Timestamp::from_secs(1_790_000_000);
/// budget.join(Account::hub(1), now.plus(std::time::Duration::from_secs(300)), ());
/// budget.join(Account::hub(2), now, ()); // more urgent
/// assert_eq!(budget.turn(Account::hub(1), now), Turn::Behind);
/// assert_eq!(budget.turn(Account::hub(2), now), Turn::Now);
/// assert!(matches!(budget.turn(Account::hub(1), now), Turn::In(_)));
/// ```
#[derive(Debug)]
pub struct Budget<W> {
    per_second: usize,
    /// When the last renewals began, of one second at most.
    begun: VecDeque<Timestamp>,
    order: BTreeSet<Rank>,
    waiting: HashMap<Account, (Rank, W)>,
    /// In a hurry before they joined.
    hurried: HashSet<Account>,
    joined: u64,
    is_closed: bool,
}

/// What a waiting run is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Begin. It does not wait any more, and the next one is to be told.
    Now,
    /// Look again after this time, or when told.
    In(Duration),
    /// Look again when told: others are first.
    Behind,
    /// Begin nothing any more.
    Never,
}

/// By when a renewal is wanted, and where two are wanted at once, who came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    by: Timestamp,
    joined: u64,
    account: Account,
}

const SECOND: Duration = Duration::from_secs(1);

/// Wanted before everything else.
const SOMEBODY_WAITS: Timestamp = Timestamp::from_millis(0);

impl<W> Budget<W> {
    /// So many renewals a second.
    pub fn new(per_second: NonZeroU32) -> Self {
        Self {
            per_second: usize::try_from(per_second.get()).unwrap_or(usize::MAX),
            begun: VecDeque::new(),
            order: BTreeSet::new(),
            waiting: HashMap::new(),
            hurried: HashSet::new(),
            joined: 0,
            is_closed: false,
        }
    }

    /// Waits from now on, for a renewal that is wanted by that moment. Gives whoever is to be told to look again.
    pub fn join(&mut self, account: Account, by: Timestamp, told: W) -> Option<&W> {
        let by = if self.hurried.contains(&account) { SOMEBODY_WAITS } else { by };
        self.leave(account);
        self.joined += 1;
        let rank = Rank { by, joined: self.joined, account };
        self.order.insert(rank);
        self.waiting.insert(account, (rank, told));
        self.first()
    }

    /// Goes before all that are not as urgent: someone waits for it now. One that has not joined yet does so when it joins. Gives
    /// whoever is to be told to look again.
    pub fn hurry(&mut self, account: Account) -> Option<&W> {
        let Some((rank, _)) = self.waiting.get_mut(&account) else {
            self.hurried.insert(account);
            return None;
        };
        self.order.remove(rank);
        rank.by = SOMEBODY_WAITS;
        self.order.insert(*rank);
        self.first()
    }

    /// What the account's run is to do. One that has not joined, or has had its turn, may begin.
    pub fn turn(&mut self, account: Account, now: Timestamp) -> Turn {
        let Some((rank, _)) = self.waiting.get(&account) else { return Turn::Now };
        if self.is_closed {
            return Turn::Never;
        }
        if self.order.first() != Some(rank) {
            return Turn::Behind;
        }
        let turn = self.begin(now);
        if turn == Turn::Now {
            self.leave(account);
        }
        turn
    }

    /// What one that is nowhere in the order is to do, if it comes after all that wait.
    pub fn turn_after_all(&mut self, now: Timestamp) -> Turn {
        match (self.is_closed, self.order.is_empty()) {
            (true, _) => Turn::Never,
            (_, false) => Turn::Behind,
            _ => self.begin(now),
        }
    }

    /// What was told to begin at that moment has found nothing to renew: its turn is another's. All that wait are to be told to
    /// look again.
    pub fn give_back(&mut self, begun: Timestamp) {
        if let Some(index) = self.begun.iter().rposition(|moment| *moment == begun) {
            self.begun.remove(index);
        }
    }

    fn begin(&mut self, now: Timestamp) -> Turn {
        if self.begun.back().is_some_and(|last| *last > now) {
            // The clock was set back.
            self.begun.clear();
        }
        while self.begun.front().is_some_and(|begun| now.since(*begun) >= SECOND) {
            self.begun.pop_front();
        }
        let wait = self.wait(self.per_second, SECOND, now).max(self.wait(
            self.per_second.div_ceil(10),
            SECOND / 10,
            now,
        ));
        if !wait.is_zero() {
            return Turn::In(wait);
        }
        self.begun.push_back(now);
        Turn::Now
    }

    /// Does not wait any more, and is in no hurry: to be said at the end of every run. Gives whoever is to be told to look again.
    pub fn leave(&mut self, account: Account) -> Option<&W> {
        self.hurried.remove(&account);
        if let Some((rank, _)) = self.waiting.remove(&account) {
            self.order.remove(&rank);
        }
        self.first()
    }

    /// From now on no run that waits may begin. Gives all that are to be told to look again.
    pub fn close(&mut self) -> impl Iterator<Item = &W> {
        self.is_closed = true;
        self.waiting.values().map(|(_, told)| told)
    }

    fn first(&self) -> Option<&W> {
        let first = self.order.first()?;
        self.waiting.get(&first.account).map(|(_, told)| told)
    }

    /// How long until fewer than `most` have begun within `time`.
    fn wait(&self, most: usize, time: Duration, now: Timestamp) -> Duration {
        let counted = self.begun.len().checked_sub(most).and_then(|index| self.begun.get(index));
        counted.map_or(Duration::ZERO, |begun| begun.plus(time).since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000_000);

    fn budget(per_second: u32) -> Budget<()> {
        Budget::new(NonZeroU32::new(per_second).unwrap())
    }

    fn at(milliseconds: u64) -> Timestamp {
        START.plus(Duration::from_millis(milliseconds))
    }

    /// Lets everyone who waits begin as soon as they may, and gives when they did.
    fn run(budget: &mut Budget<()>, mut now: Timestamp) -> Vec<(i64, Timestamp)> {
        let mut begun = Vec::new();
        while let Some(first) = budget.order.first().map(|rank| rank.account) {
            match budget.turn(first, now) {
                Turn::Now => begun.push((first.hub_id, now)),
                Turn::In(wait) => now = now.plus(wait),
                other => panic!("{other:?}"),
            }
        }
        begun
    }

    #[test]
    fn in_no_second_do_more_begin_than_the_budget_has_and_none_is_wasted() {
        for per_second in [1, 2, 7, 10, 95, 200, 1000, 5000] {
            let mut budget = budget(per_second);
            let count = i64::from(per_second) * 3;
            for hub_id in 0..count {
                budget.join(Account::hub(hub_id), START, ());
            }
            let begun = run(&mut budget, START);
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
    fn the_one_whose_token_ends_soonest_is_first_and_one_that_is_waited_for_before_all() {
        let mut budget = budget(1000);
        for (hub_id, by) in [(1, 300), (2, 100), (3, 200), (4, 400)] {
            budget.join(Account::hub(hub_id), at(by), ());
        }
        assert!(budget.hurry(Account::hub(4)).is_some());
        assert_eq!(budget.turn(Account::hub(2), START), Turn::Behind);
        let order: Vec<_> = run(&mut budget, START).into_iter().map(|(hub_id, _)| hub_id).collect();
        assert_eq!(order, [4, 2, 3, 1]);
        assert!(budget.hurry(Account::hub(4)).is_none(), "it does not wait any more");
    }

    #[test]
    fn one_that_is_waited_for_before_it_joins_is_first_when_it_does_and_once() {
        let mut budget = budget(1000);
        budget.join(Account::hub(1), at(100), ());
        assert!(budget.hurry(Account::hub(2)).is_none());
        budget.join(Account::hub(2), at(200), ());
        assert_eq!(budget.turn(Account::hub(1), START), Turn::Behind);
        assert_eq!(budget.turn(Account::hub(2), START), Turn::Now);
        budget.join(Account::hub(2), at(200), ());
        assert_eq!(budget.turn(Account::hub(2), START), Turn::Behind);
        budget.hurry(Account::hub(3));
        budget.leave(Account::hub(3));
        budget.join(Account::hub(3), at(300), ());
        assert_eq!(budget.turn(Account::hub(3), START), Turn::Behind, "its run had ended");
    }

    #[test]
    fn who_comes_after_all_begins_when_nobody_waits_and_within_the_budget() {
        let mut budget = budget(1);
        budget.join(Account::hub(1), at(1_000_000), ());
        assert_eq!(budget.turn_after_all(START), Turn::Behind);
        assert_eq!(budget.turn(Account::hub(1), START), Turn::Now);
        assert_eq!(budget.turn_after_all(START), Turn::In(SECOND));
        assert_eq!(budget.turn_after_all(at(1000)), Turn::Now);
        budget.join(Account::hub(1), at(0), ());
        assert_eq!(budget.turn(Account::hub(1), at(1000)), Turn::In(SECOND), "it has cost a turn");
        _ = budget.close().count();
        assert_eq!(budget.turn_after_all(at(9000)), Turn::Never);
    }

    #[test]
    fn a_turn_that_is_given_back_is_the_next_ones_at_once_and_no_more_than_that() {
        let mut budget = budget(1);
        assert_eq!(budget.turn_after_all(START), Turn::Now);
        budget.give_back(START);
        budget.give_back(START);
        assert_eq!(budget.turn_after_all(at(1)), Turn::Now);
        assert_eq!(budget.turn_after_all(at(1)), Turn::In(SECOND));
        budget.give_back(START);
        assert_eq!(budget.turn_after_all(at(1)), Turn::In(SECOND), "another's");
    }

    #[test]
    fn whoever_leaves_makes_room_and_whoever_has_not_joined_is_not_held_up() {
        let mut budget = budget(1);
        budget.join(Account::hub(1), at(0), ());
        budget.join(Account::hub(2), at(1), ());
        assert_eq!(budget.turn(Account::hub(2), START), Turn::Behind);
        assert!(budget.leave(Account::hub(1)).is_some());
        assert_eq!(budget.turn(Account::hub(2), START), Turn::Now);
        assert!(budget.leave(Account::hub(2)).is_none());
        assert_eq!(budget.turn(Account::hub(3), START), Turn::Now);
    }

    /// RENEWAL.md, rule 7.
    #[test]
    fn a_clock_that_was_set_back_holds_nobody_up() {
        let mut budget = budget(1);
        budget.join(Account::hub(1), at(0), ());
        assert_eq!(budget.turn(Account::hub(1), at(1_000_000)), Turn::Now);
        budget.join(Account::hub(2), at(0), ());
        assert_eq!(budget.turn(Account::hub(2), START), Turn::Now);
    }

    #[test]
    fn once_closed_nobody_who_waits_may_begin() {
        let mut budget = budget(1);
        budget.join(Account::hub(1), at(0), ());
        budget.join(Account::hub(2), at(0), ());
        assert_eq!(budget.close().count(), 2);
        assert_eq!(budget.turn(Account::hub(1), START), Turn::Never);
        assert_eq!(budget.turn(Account::hub(2), START), Turn::Never);
    }
}

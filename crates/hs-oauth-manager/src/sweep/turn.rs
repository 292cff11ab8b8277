//! When it is whose turn to look after an account.
//!
//! Nobody says which replica looks after which account, and none knows the others. An account's *span* begins when it is due. Within the
//! span, each replica has a turn of its own:
//! - the one that renewed the account last comes first;
//! - two of the others, by chance, come later: they find that it was done, by one load, or do it themselves;
//! - once the span is over, everybody who hears of it from a page of the store has a turn.
//!
//! If two take their turn at once, the lease in the record says who renews.

use std::time::Duration;

use hs_oauth_core::{Account, Timestamp};

/// What this replica is to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It renewed the account last.
    Last,
    /// Another replica renewed it last.
    Other,
    /// It is not known who renewed it last.
    Unknown,
}

/// The time in which an account is to be looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// When the account is due.
    pub(super) from: Timestamp,
    /// How long the replicas have until everybody may look after it.
    pub(super) length: Duration,
}

/// This replica, among others that it does not know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replica {
    /// A number that differs from replica to replica.
    pub(super) seed: u64,
    /// How many replicas there are.
    pub(super) count: u32,
}

/// How many of the replicas that did not renew an account last look at it.
const OTHERS: f64 = 2.0;

impl Replica {
    /// Returns this replica's turn, or `None` if it leaves the account to others.
    pub(super) fn turn(self, account: Account, part: Part, span: Span, now: Timestamp) -> Option<Timestamp> {
        let Span { from, length } = span;
        let at = self.number(account, from, 1);
        if from.plus(length) <= now {
            return Some(now.plus(length.mul_f64(at / 8.0)));
        }
        match part {
            Part::Last => Some(from.plus(length.mul_f64(at / 8.0))),
            Part::Unknown => Some(from.plus(length.mul_f64(at))),
            Part::Other => {
                let takes_part = self.number(account, from, 2) * f64::from(self.count) < OTHERS;
                takes_part.then(|| from.plus(length.mul_f64(0.5 + at / 2.0)))
            }
        }
    }

    /// Returns until when this replica wants the account to be looked after: of those that are due, the one that has the least time left comes
    /// first. It is somewhat before the end of the second span, in which everybody may look after the account, and not at the same moment for
    /// each replica. Otherwise all of them would begin the same renewals at once.
    pub(super) fn until(self, account: Account, span: Span) -> Timestamp {
        let Span { from, length } = span;
        from.plus(length.mul_f64(2.0 - self.number(account, from, 3) / 8.0))
    }

    /// Returns a number of at least 0 and less than 1, which differs from replica to replica and from span to span.
    fn number(self, account: Account, from: Timestamp, purpose: u64) -> f64 {
        fraction(mix(mix(hash(account, self.seed), from.as_millis()), purpose))
    }
}

/// Returns the beginning of the account's period in which `now` is. Every replica computes the same one, and the periods of different
/// accounts begin at different moments.
pub(super) fn period_begin(account: Account, period: Duration, now: Timestamp) -> Timestamp {
    let period = u64::try_from(period.as_millis()).unwrap_or(u64::MAX).max(1);
    let phase = hash(account, 0) % period;
    let now = now.as_millis();
    let since = now.wrapping_sub(phase) % period;
    Timestamp::from_millis(match now >= phase {
        true => now - since,
        false => 0,
    })
}

fn hash(account: Account, seed: u64) -> u64 {
    let user_id = account.user_id.unwrap_or_default().cast_unsigned();
    mix(mix(seed, account.hub_id.cast_unsigned()), user_id)
}

/// Mixes two numbers (the finalizer of SplitMix64). Nobody gains anything by choosing them.
fn mix(a: u64, b: u64) -> u64 {
    let mut mixed = (a ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Returns the number as a fraction: at least 0 and less than 1.
fn fraction(number: u64) -> f64 {
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const FROM: Timestamp = Timestamp::from_secs(1_800_000_000);
    const SPAN: Span = Span { from: FROM, length: HOUR };

    fn accounts() -> impl Iterator<Item = Account> {
        (1..=1000).map(Account::hub)
    }

    #[test]
    fn the_replica_that_renewed_last_comes_before_all_others() {
        let replicas = || (1..=8).map(|seed| Replica { seed, count: 8 });
        for account in accounts() {
            let last = replicas().filter_map(|replica| replica.turn(account, Part::Last, SPAN, FROM)).max();
            let first = replicas().filter_map(|replica| replica.turn(account, Part::Other, SPAN, FROM)).min();
            assert!(last < first || first.is_none());
            assert!(last.is_some_and(|turn| FROM <= turn && turn <= FROM.plus(HOUR / 8)));
        }
    }

    #[test]
    fn of_the_others_two_look_at_an_account_however_many_there_are() {
        for count in [2, 10, 100] {
            let turns = |account| {
                let replicas = (1..=u64::from(count)).map(|seed| Replica { seed, count });
                replicas.filter(|replica| replica.turn(account, Part::Other, SPAN, FROM).is_some()).count()
            };
            let average = accounts().map(turns).sum::<usize>() as f64 / 1000.0;
            assert!((1.9..2.1).contains(&average), "{count}: {average}");
        }
    }

    #[test]
    fn after_the_span_everybody_has_a_turn_soon() {
        let now = FROM.plus(HOUR * 10);
        let replica = Replica { seed: 1, count: 1000 };
        for part in [Part::Last, Part::Other, Part::Unknown] {
            for account in accounts() {
                let turn = replica.turn(account, part, SPAN, now).unwrap();
                assert!(now <= turn && turn <= now.plus(HOUR / 8));
            }
        }
    }

    #[test]
    fn the_periods_of_accounts_begin_evenly_over_the_period_and_follow_each_other() {
        let day = HOUR * 24;
        let mut by_hour = [0; 24];
        for account in accounts() {
            let begin = period_begin(account, day, FROM);
            assert!(begin <= FROM && FROM < begin.plus(day));
            assert_eq!(period_begin(account, day, begin), begin);
            assert_eq!(period_begin(account, day, begin.plus(day)), begin.plus(day));
            let before = begin.plus(day - Duration::from_millis(1));
            assert_eq!(period_begin(account, day, before), begin);
            by_hour[usize::try_from(FROM.since(begin).as_secs() / 3600).unwrap()] += 1;
        }
        assert!(by_hour.iter().all(|accounts| (20..70).contains(accounts)), "{by_hour:?}");
    }

    #[test]
    fn a_clock_at_1970_is_no_trouble() {
        for account in accounts() {
            let now = Timestamp::from_millis(1);
            assert!(period_begin(account, HOUR, now) <= now);
            let replica = Replica { seed: 1, count: 3 };
            replica.turn(account, Part::Unknown, Span { from: now, length: HOUR }, now);
        }
    }
}

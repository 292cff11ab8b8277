//! Whether HubSpot refuses the grants of many accounts at once. Then it is not the accounts that left, but the app that is wrong.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use crate::account::Account;
use crate::timestamp::Timestamp;

/// When refusals count as a mass refusal: the accounts that are refused next are then not marked as gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MassRefusalLimit {
    /// How many accounts HubSpot must have refused within a minute. By default 10. So many are marked as gone before it is noticed.
    pub accounts: u32,
    /// Of a hundred refreshes that it granted or refused within that minute, how many it must have refused. By default 50.
    pub percent: u8,
}

/// The refreshes of a process within the last minute that HubSpot granted or refused.
#[derive(Debug)]
pub struct RefreshHistory {
    limit: Option<MassRefusalLimit>,
    /// When each refresh ended, and the account if its grant was refused.
    refreshes: VecDeque<(Timestamp, Option<Account>)>,
    /// The number of refused refreshes among them.
    refused: usize,
    has_mass_refusal: bool,
}

/// What the end of a refresh changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MassRefusal {
    /// There is none.
    Absent,
    /// It has begun with this refresh.
    Begun,
    /// It goes on.
    Continues,
}

impl Default for MassRefusalLimit {
    fn default() -> Self {
        Self { accounts: 10, percent: 50 }
    }
}

impl RefreshHistory {
    /// Returns the history of a process that has sent no refresh. Without a limit there is never a mass refusal.
    pub fn new(limit: Option<MassRefusalLimit>) -> Self {
        Self { limit, refreshes: VecDeque::new(), refused: 0, has_mass_refusal: false }
    }

    /// Notes that HubSpot refused the grant of the account, or that it issued new tokens. Returns whether there is a mass refusal, which
    /// this refresh is then part of.
    ///
    /// It goes on until so many refreshes succeed that the refused ones are a smaller share of the last minute's than the limit says. A
    /// refresh that failed for another reason says nothing about the app, and must not be noted.
    pub fn note(&mut self, now: Timestamp, account: Account, is_refused: bool) -> MassRefusal {
        let Some(limit) = self.limit else { return MassRefusal::Absent };
        self.forget(now);
        self.refreshes.push_back((now, is_refused.then_some(account)));
        self.refused += usize::from(is_refused);
        let had_mass_refusal = self.has_mass_refusal;
        let is_share = self.refused * 100 >= self.refreshes.len() * usize::from(limit.percent).max(1);
        // Everyone backs off, so the refusals become fewer. Only successes show that the app is right again.
        self.has_mass_refusal =
            is_share && (had_mass_refusal || is_refused && self.refused_others(account) >= limit.accounts);
        match (had_mass_refusal, self.has_mass_refusal) {
            (_, false) => MassRefusal::Absent,
            (false, true) => MassRefusal::Begun,
            (true, true) => MassRefusal::Continues,
        }
    }

    /// Returns how many accounts other than this one were refused.
    fn refused_others(&self, account: Account) -> u32 {
        let refused = self.refreshes.iter().filter_map(|(_, refused)| *refused);
        let others: HashSet<_> = refused.filter(|other| *other != account).collect();
        u32::try_from(others.len()).unwrap_or(u32::MAX)
    }

    /// Drops the refreshes that are older than a minute, or that a clock which was set back has put into the future.
    fn forget(&mut self, now: Timestamp) {
        if self.refreshes.back().is_some_and(|(at, _)| *at > now) {
            self.refreshes.clear();
            self.refused = 0;
        }
        while let Some((at, refused)) = self.refreshes.front() {
            if now.since(*at) < WINDOW {
                return;
            }
            self.refused -= usize::from(refused.is_some());
            self.refreshes.pop_front();
        }
    }
}

const WINDOW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + seconds)
    }

    fn history() -> RefreshHistory {
        RefreshHistory::new(Some(MassRefusalLimit::default()))
    }

    /// Notes the refusals of these hubs at once, and returns how many are not part of a mass refusal.
    fn refuse(history: &mut RefreshHistory, hubs: std::ops::Range<i64>, now: Timestamp) -> usize {
        hubs.filter(|hub| history.note(now, Account::hub(*hub), true) == MassRefusal::Absent).count()
    }

    /// DESIGN.md rule 9.
    #[test]
    fn the_accounts_after_the_tenth_that_is_refused_are_part_of_a_mass_refusal() {
        let mut history = history();
        assert_eq!(refuse(&mut history, 0..10, at(0)), 10);
        assert_eq!(history.note(at(1), Account::hub(10), true), MassRefusal::Begun);
        assert_eq!(history.note(at(1), Account::hub(11), true), MassRefusal::Continues);
        assert_eq!(refuse(&mut history, 12..50, at(2)), 0);
    }

    #[test]
    fn refusals_of_one_account_or_among_many_successes_are_no_mass_refusal() {
        let mut history = history();
        for _ in 0..100 {
            assert_eq!(history.note(at(0), Account::hub(1), true), MassRefusal::Absent);
        }
        let mut history = self::history();
        for hub in 0..1000 {
            assert_eq!(history.note(at(0), Account::hub(hub), false), MassRefusal::Absent);
        }
        assert_eq!(refuse(&mut history, 1000..1100, at(1)), 100);
    }

    #[test]
    fn refusals_that_are_more_than_a_minute_apart_do_not_add_up() {
        let mut history = history();
        assert_eq!(refuse(&mut history, 0..10, at(0)), 10);
        assert_eq!(refuse(&mut history, 10..20, at(60)), 10);
        assert_eq!(refuse(&mut history, 20..30, at(60)), 0);
    }

    #[test]
    fn a_mass_refusal_lasts_until_refreshes_succeed_again_however_slowly_they_come() {
        let mut history = history();
        refuse(&mut history, 0..20, at(0));
        assert_eq!(refuse(&mut history, 20..40, at(600)), 0);
        for hub in 0..30 {
            history.note(at(601), Account::hub(hub), false);
        }
        assert_eq!(refuse(&mut history, 50..51, at(602)), 1, "one that has really left");
    }

    #[test]
    fn a_clock_that_was_set_back_begins_the_minute_anew() {
        let mut history = history();
        assert_eq!(refuse(&mut history, 0..10, at(1000)), 10);
        assert_eq!(refuse(&mut history, 10..20, at(0)), 10);
    }

    #[test]
    fn one_account_that_is_refused_after_a_quiet_time_does_not_end_a_mass_refusal() {
        let mut history = history();
        refuse(&mut history, 0..20, at(0));
        for minute in 1..20 {
            assert_eq!(refuse(&mut history, 20..21, at(minute * 100)), 0, "{minute}");
        }
    }

    #[test]
    fn without_a_limit_every_refused_account_is_marked() {
        let mut history = RefreshHistory::new(None);
        assert_eq!(refuse(&mut history, 0..1000, at(0)), 1000);
    }
}

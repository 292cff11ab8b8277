//! The renewals, duplicates and refusals that the emulator's journal shows.

use std::collections::BTreeMap;
use std::time::Duration;

use hs_oauth_async::{Timestamp, Timing};
use hs_oauth_emulator::{Entry, Server, Target};

use crate::child::USER_AGENT;
use crate::options::Options;

/// Reads the emulator's journal and sums up what it holds.
pub(crate) struct JournalReader {
    /// A renewal sooner than this after the one before is a duplicate.
    ///
    /// The policy renews a token after three quarters of its life at the earliest. The client counts from the moment it sent the
    /// request. That is before the emulator's time, by at most the timeout of a request.
    min_interval: Duration,
    newest: BTreeMap<i64, Issued>,
    renewal_times: Vec<Timestamp>,
    duplicates: Vec<Duplicate>,
    /// How long the token of a bearer lives at least when a task gets it.
    safety_margin: Duration,
    rejected_bearers: u64,
    overdue_calls: u64,
    /// The accounts with a refused refresh, and their newest tokens when it was refused for the first time.
    refused_accounts: BTreeMap<i64, Option<Issued>>,
    last_number: u64,
    missed: u64,
}

/// When an account's newest tokens were issued, and to which process.
#[derive(Clone, Copy)]
pub(crate) struct Issued {
    pub(crate) at: Timestamp,
    /// The number of the process in the herd. `None` is the process that installed the accounts.
    pub(crate) process: Option<u32>,
}

/// A renewal that came too early after the one before.
pub(crate) struct Duplicate {
    pub(crate) hub_id: i64,
    pub(crate) earlier: Issued,
    pub(crate) later: Issued,
}

impl JournalReader {
    pub(crate) fn new(options: &Options, timing: Timing) -> Self {
        let life = Duration::from_secs(options.token_lifetime.into());
        Self {
            min_interval: (life - life / 4).saturating_sub(timing.request),
            newest: BTreeMap::new(),
            renewal_times: Vec::new(),
            duplicates: Vec::new(),
            safety_margin: timing.safety,
            rejected_bearers: 0,
            overdue_calls: 0,
            refused_accounts: BTreeMap::new(),
            last_number: 0,
            missed: 0,
        }
    }

    /// Reads the new entries. The journal drops old entries when it is full, but it numbers all of them, so that missed ones are
    /// noticed.
    pub(crate) fn read(&mut self, hubspot: &Server) {
        hubspot.emulator(|emulator| {
            emulator.journal().for_each(|entry| self.count(entry));
            emulator.clear_journal();
        });
    }

    /// Returns the time of each renewal.
    pub(crate) fn renewal_times(&self) -> &[Timestamp] {
        &self.renewal_times
    }

    /// Returns the renewals that came too early.
    pub(crate) fn duplicates(&self) -> &[Duplicate] {
        &self.duplicates
    }

    /// Returns how many calls of the API got a 401, without those that were overdue.
    pub(crate) fn rejected_bearers(&self) -> u64 {
        self.rejected_bearers
    }

    /// Returns how many calls got a 401 since they came so long after the task had its bearer that the token could end on the way.
    pub(crate) fn overdue_calls(&self) -> u64 {
        self.overdue_calls
    }

    /// Returns the accounts with a refused refresh.
    pub(crate) fn refused_accounts(&self) -> impl Iterator<Item = i64> {
        self.refused_accounts.keys().copied()
    }

    /// Returns when the tokens were issued, and to which process, with which an account was lost: the newest ones when a refresh was
    /// refused for the first time. A process that had them may have saved them later, so that others follow.
    pub(crate) fn lost_tokens(&self, hub_id: i64) -> Option<Issued> {
        self.refused_accounts.get(&hub_id).copied().unwrap_or_else(|| self.newest.get(&hub_id).copied())
    }

    /// Returns how many requests the journal dropped before they were read.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    fn count(&mut self, entry: &Entry) {
        self.missed += entry.number.saturating_sub(self.last_number + 1);
        self.last_number = entry.number;
        match (entry.operation, entry.status, entry.hub_id) {
            (Some(Target::AccountInfo), Some(401), _) => match Sender::of(entry).had_bearer_at {
                Some(at) if entry.at > at.plus(self.safety_margin) => self.overdue_calls += 1,
                _ => self.rejected_bearers += 1,
            },
            (Some(Target::ExchangeCode), Some(200), Some(hub_id)) => {
                self.newest.insert(hub_id, Issued::from_entry(entry));
            }
            (Some(Target::Refresh), Some(200), Some(hub_id)) => {
                self.count_renewal(hub_id, Issued::from_entry(entry))
            }
            // The entry of a refresh whose grant `strict` has ended names no account. The refusal that ended the grant was counted.
            (Some(Target::Refresh), _, Some(hub_id)) => {
                let newest = self.newest.get(&hub_id).copied();
                self.refused_accounts.entry(hub_id).or_insert(newest);
            }
            _ => {}
        }
    }

    fn count_renewal(&mut self, hub_id: i64, later: Issued) {
        self.renewal_times.push(later.at);
        let Some(earlier) = self.newest.insert(hub_id, later) else { return };
        if later.at < earlier.at.plus(self.min_interval) {
            self.duplicates.push(Duplicate { hub_id, earlier, later });
        }
    }
}

impl Issued {
    fn from_entry(entry: &Entry) -> Self {
        Self { at: entry.at, process: Sender::of(entry).process }
    }
}

/// What the `User-Agent` of a request says.
struct Sender {
    process: Option<u32>,
    had_bearer_at: Option<Timestamp>,
}

impl Sender {
    fn of(entry: &Entry) -> Self {
        let agent = entry.user_agent.as_deref().and_then(|agent| agent.strip_prefix(USER_AGENT));
        let mut words = agent.unwrap_or("").split(' ');
        Self {
            process: words.next().and_then(|number| number.parse().ok()),
            had_bearer_at: words.next().and_then(|at| at.parse().ok()).map(Timestamp::from_millis),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use hs_oauth_emulator::{Emulator, Settings};

    use super::*;

    #[test]
    fn a_call_that_was_under_way_for_longer_than_the_safety_margin_is_overdue_and_its_bearer_not_rejected() {
        let options = Options::parse_from(["herd"]);
        let timing = crate::timing(&options).unwrap();
        let mut journal = JournalReader::new(&options, timing);
        let mut emulator = Emulator::new(Settings::random().unwrap());
        let had_bearer_at = Timestamp::from_secs(1_790_000_000);
        let in_time = had_bearer_at.plus(timing.safety);
        for now in [in_time, in_time.plus(Duration::from_millis(1))] {
            let request = http::Request::get("http://localhost/account-info/v3/details")
                .header("user-agent", format!("{USER_AGENT}7 {}", had_bearer_at.as_millis()))
                .header("authorization", "Bearer expired");
            emulator.handle(now, request.body(Vec::new()).unwrap());
        }
        emulator.journal().for_each(|entry| journal.count(entry));
        assert_eq!((journal.rejected_bearers(), journal.overdue_calls()), (1, 1));
    }
}

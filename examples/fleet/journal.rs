//! The renewals that the emulator has seen.

use std::time::Duration;

use hs_oauth_async::Timestamp;
use hs_oauth_emulator::{Entry, Server, Target};

/// The renewals that the emulator has seen, in their order.
pub(crate) struct Journal {
    renewals: Vec<Renewal>,
    refused: u64,
    last_number: u64,
    missed: u64,
}

/// A refresh for which HubSpot returned tokens.
#[derive(Clone, Copy)]
pub(crate) struct Renewal {
    pub(crate) hub_id: i64,
    pub(crate) at: Timestamp,
}

const SECOND: Duration = Duration::from_secs(1);

impl Journal {
    /// Returns a journal of what comes from now on.
    pub(crate) fn begin(hubspot: &Server) -> Self {
        let last_number = hubspot.emulator(|emulator| {
            let last = emulator.journal().next_back().map_or(0, |entry| entry.number);
            emulator.clear_journal();
            last
        });
        Self { renewals: Vec::new(), refused: 0, last_number, missed: 0 }
    }

    /// Reads the new entries. The emulator drops old entries when its journal is full, but it numbers all of them, so that missed ones are
    /// noticed.
    pub(crate) fn read(&mut self, hubspot: &Server) {
        hubspot.emulator(|emulator| {
            emulator.journal().for_each(|entry| self.count(entry));
            emulator.clear_journal();
        });
    }

    pub(crate) fn renewals(&self) -> &[Renewal] {
        &self.renewals
    }

    /// Returns the most renewals in any one second.
    pub(crate) fn most_in_a_second(&self) -> usize {
        let mut from = 0;
        let mut most = 0;
        for (index, renewal) in self.renewals.iter().enumerate() {
            while self.renewals.get(from).is_some_and(|first| first.at.plus(SECOND) <= renewal.at) {
                from += 1;
            }
            most = most.max(index + 1 - from);
        }
        most
    }

    /// Returns what must not be in a journal, in words.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut violations = Vec::new();
        if self.refused > 0 {
            violations.push(format!("{} refreshes were refused", self.refused));
        }
        if self.missed > 0 {
            violations
                .push(format!("the journal was not read often enough: {} requests missed", self.missed));
        }
        violations
    }

    fn count(&mut self, entry: &Entry) {
        self.missed += entry.number.saturating_sub(self.last_number + 1);
        self.last_number = entry.number;
        match (entry.operation, entry.status, entry.hub_id) {
            (Some(Target::Refresh), Some(200), Some(hub_id)) => {
                self.renewals.push(Renewal { hub_id, at: entry.at });
            }
            (Some(Target::Refresh), _, _) => self.refused += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_renewals_in_a_second_are_counted_from_any_moment_and_its_end_is_not_part_of_it() {
        for (millis, most) in [
            (vec![], 0),
            (vec![500, 1499], 2),
            (vec![500, 1500], 1),
            (vec![0, 900, 1000, 1100, 1899, 1900], 4),
        ] {
            let renewals = millis.iter().map(|at| Renewal { hub_id: 1, at: Timestamp::from_millis(*at) });
            let journal = Journal { renewals: renewals.collect(), refused: 0, last_number: 0, missed: 0 };
            assert_eq!(journal.most_in_a_second(), most, "{millis:?}");
        }
    }
}

//! When which page of the store is read.

use std::time::Duration;

use hs_oauth_core::{StoreError, StoreErrorKind, Timestamp};
use hs_oauth_store::Cursor;

/// The pages of the store: all of them at once in the beginning, and after that all of them once in each period, one by one.
#[derive(Debug)]
pub(super) struct Pages {
    /// How long it takes to read all pages again.
    period: Duration,
    cursor: Option<Cursor>,
    next_at: Timestamp,
    is_reading: bool,
    /// How many reads have failed in a row.
    failures: u32,
    /// How many pages and accounts of this round have been read.
    read: Count,
    /// How many there were in the last round, if there was one.
    last: Option<Count>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) pages: u32,
    pub(super) accounts: usize,
}

const FIRST_WAIT: Duration = Duration::from_secs(1);
const MAX_WAIT: Duration = Duration::from_secs(60);

impl Pages {
    pub(super) fn new(period: Duration) -> Self {
        Self {
            period,
            cursor: None,
            next_at: Timestamp::from_millis(0),
            is_reading: false,
            failures: 0,
            read: Count::default(),
            last: None,
        }
    }

    /// Returns the cursor of the page that is to be read now, if one is. [`read`](Self::read) or [`failed`](Self::failed) has to follow.
    pub(super) fn begin(&mut self, now: Timestamp) -> Option<Option<Cursor>> {
        // A moment further away than a whole round was computed before the clock was set back.
        let is_due = self.next_at <= now || self.next_at > now.plus(self.period.max(MAX_WAIT));
        if self.is_reading || !is_due {
            return None;
        }
        self.is_reading = true;
        Some(self.cursor.clone())
    }

    /// Notes that a page with so many accounts was read, and where the next one begins.
    pub(super) fn read(&mut self, accounts: usize, next: Option<Cursor>, now: Timestamp) {
        (self.is_reading, self.failures) = (false, 0);
        self.read =
            Count { pages: self.read.pages.saturating_add(1), accounts: self.read.accounts + accounts };
        if next.is_none() {
            self.last = Some(std::mem::take(&mut self.read));
        }
        self.cursor = next;
        let wait = self.last.map_or(Duration::ZERO, |last| self.period / last.pages.max(1));
        self.next_at = now.plus(wait);
    }

    /// Notes that a page could not be read. It is read again later. If the store does not know the cursor any more, the round begins anew.
    pub(super) fn failed(&mut self, error: &StoreError, now: Timestamp) {
        self.is_reading = false;
        if error.kind() == StoreErrorKind::Refused {
            (self.cursor, self.read) = (None, Count::default());
        }
        self.next_at = now.plus((FIRST_WAIT * 2_u32.saturating_pow(self.failures.min(10))).min(MAX_WAIT));
        self.failures = self.failures.saturating_add(1);
    }

    /// Returns when the next page is read, unless one is being read.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        (!self.is_reading).then_some(self.next_at)
    }

    /// Returns how much of this round has been read, and how much there was in the last one.
    pub(super) fn progress(&self) -> (Count, Option<Count>) {
        (self.read, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    #[test]
    fn all_pages_are_read_at_once_and_then_once_a_period() {
        let mut pages = Pages::new(HOUR);
        for next in [Some(Cursor::new("a")), Some(Cursor::new("b")), None] {
            assert!(pages.begin(NOW).is_some());
            assert!(pages.begin(NOW).is_none(), "it is being read");
            pages.read(10, next, NOW);
        }
        for round in 0..2 {
            for page in 1..=3 {
                let at = NOW.plus(HOUR * round + HOUR / 3 * page);
                assert!(pages.begin(at.minus(Duration::from_millis(1))).is_none());
                assert_eq!(pages.begin(at).unwrap().is_some(), page > 1);
                let next = (page < 3).then(|| Cursor::new("next"));
                pages.read(10, next, at);
            }
        }
        assert_eq!(pages.progress().1.unwrap().accounts, 30);
    }

    #[test]
    fn a_page_that_cannot_be_read_is_read_again_later_and_the_round_goes_on() {
        let mut pages = Pages::new(HOUR);
        pages.begin(NOW);
        pages.read(10, Some(Cursor::new("a")), NOW);
        let (mut now, mut waits) = (NOW, Vec::new());
        for _ in 0..8 {
            assert_eq!(pages.begin(now).flatten(), Some(Cursor::new("a")));
            pages.failed(&StoreError::new(StoreErrorKind::Unavailable), now);
            let next = pages.next_at().unwrap();
            waits.push(next.since(now).as_secs());
            now = next;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_cursor_that_the_store_refuses_begins_the_round_anew() {
        let mut pages = Pages::new(HOUR);
        pages.begin(NOW);
        pages.read(10, Some(Cursor::new("a")), NOW);
        pages.begin(NOW);
        pages.failed(&StoreError::new(StoreErrorKind::Refused), NOW);
        assert_eq!(pages.begin(NOW.plus(FIRST_WAIT)), Some(None));
        assert_eq!(pages.progress().0.accounts, 0);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_the_reading() {
        let mut pages = Pages::new(HOUR);
        pages.begin(NOW);
        pages.read(1, None, NOW);
        assert!(pages.begin(NOW.minus(HOUR * 100)).is_some());
    }
}

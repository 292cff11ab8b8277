//! What the last calls say about the store. While it fails, one flight a second asks it, and the application hears of it once a minute.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hs_oauth_core::{Account, StoreError, StoreErrorKind, Timestamp};

/// Whether the store fails. It is about all accounts of the process.
#[derive(Debug, Default)]
pub struct StoreOutage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Accounts whose loads have failed since the last one that did not: at most [`MAX_FAILURES`].
    accounts: HashSet<Account>,
    /// The error of the last load that failed.
    error: Option<StoreError>,
    /// When the store was asked last, and when it is asked again.
    asked: Option<(Timestamp, Timestamp)>,
    /// When the application heard of it last.
    reported_at: Option<Timestamp>,
    /// How many failures it has not heard of since.
    unreported: u64,
}

/// After failures for so many accounts, the store is asked by one flight at a time.
const MAX_FAILURES: usize = 5;

/// The wait before it is asked again.
const WAIT: Duration = Duration::from_secs(1);

/// The time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

impl StoreOutage {
    /// Returns `None` if a flight that begins now may load a record. While the store fails, it allows one flight to ask it, and none other
    /// before that has its result.
    ///
    /// The error is that of the last load. `timeout` is how long a load may take.
    pub fn refusal(&self, now: Timestamp, timeout: Duration) -> Option<StoreError> {
        let mut state = self.lock();
        if state.accounts.len() < MAX_FAILURES {
            return None;
        }
        // The clock was set back if it is earlier than when the store was asked.
        if state.asked.is_some_and(|(at, again_at)| at <= now && now < again_at) {
            return state.error.clone();
        }
        // The result of the load replaces this. If none comes, the next flight may ask after that time.
        state.asked = Some((now, now.plus(timeout)));
        None
    }

    /// Notes the result of a load.
    pub fn note_load<T>(&self, account: Account, result: &Result<T, StoreError>, now: Timestamp) {
        let mut state = self.lock();
        match result {
            Err(error) if is_of_all_accounts(error) => {
                // A few accounts whose records alone cannot be loaded say nothing about the others.
                if state.accounts.len() < MAX_FAILURES {
                    state.accounts.insert(account);
                }
                state.error = Some(error.clone());
                state.asked = Some((now, now.plus(WAIT)));
            }
            _ => (state.accounts, state.error) = (HashSet::new(), None),
        }
    }

    /// Returns whether the application hears of a flight that failed with this error, and of how many others it did not hear since the last
    /// time.
    pub(crate) fn report(&self, error: &StoreError, now: Timestamp) -> Option<u64> {
        if !is_of_all_accounts(error) {
            return Some(0);
        }
        let mut state = self.lock();
        let was_reported = state.reported_at.is_some_and(|at| at <= now && now.since(at) < REPORT_INTERVAL);
        if was_reported {
            state.unreported += 1;
            return None;
        }
        state.reported_at = Some(now);
        Some(std::mem::take(&mut state.unreported))
    }

    /// Notes that a flight has renewed a token: the store loads and saves. The next failure is reported at once.
    pub(crate) fn note_renewed(&self) {
        let mut state = self.lock();
        state.reported_at = None;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether the error is about the store itself and not about one record.
fn is_of_all_accounts(error: &StoreError) -> bool {
    matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::Refused)
}

#[cfg(test)]
mod tests {
    use hs_oauth_core::STORE_TIMEOUT;

    use super::*;
    use crate::tests::NOW;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn down() -> Result<(), StoreError> {
        Err(StoreError::new(StoreErrorKind::Unavailable))
    }

    fn fail(outage: &StoreOutage, hub_ids: impl IntoIterator<Item = i64>, now: Timestamp) {
        hub_ids.into_iter().for_each(|hub_id| outage.note_load(Account::hub(hub_id), &down(), now));
    }

    /// Returns how many of 10,000 flights a second may load, for ten seconds. Each load takes `time` and fails.
    fn loads_in_ten_seconds(outage: &StoreOutage, time: Duration) -> usize {
        let (mut loads, mut under_way) = (0, Vec::new());
        for tick in 0..100_000_u32 {
            let now = NOW.plus(Duration::from_micros(100) * tick);
            under_way.retain(|end| {
                let is_over = *end <= now;
                if is_over {
                    outage.note_load(Account::hub(i64::from(tick)), &down(), now);
                }
                !is_over
            });
            if outage.refusal(now, STORE_TIMEOUT).is_none() {
                loads += 1;
                under_way.push(now.plus(time));
            }
        }
        loads
    }

    #[test]
    fn a_store_that_fails_is_asked_once_a_second() {
        let loads = loads_in_ten_seconds(&StoreOutage::default(), MILLISECOND);
        assert!((14..=60).contains(&loads), "those before the fifth failure, and one a second: {loads}");
    }

    #[test]
    fn a_store_that_hangs_is_asked_by_one_flight_at_a_time() {
        let outage = StoreOutage::default();
        fail(&outage, 1..=5, NOW.minus(WAIT));
        assert_eq!(loads_in_ten_seconds(&outage, Duration::from_secs(4)), 2, "each takes four seconds");
    }

    #[test]
    fn a_load_that_has_no_end_does_not_stand_for_ever() {
        let outage = StoreOutage::default();
        fail(&outage, 1..=5, NOW.minus(WAIT));
        assert!(outage.refusal(NOW, STORE_TIMEOUT).is_none());
        assert!(outage.refusal(NOW.plus(STORE_TIMEOUT - MILLISECOND), STORE_TIMEOUT).is_some());
        assert!(outage.refusal(NOW.plus(STORE_TIMEOUT), STORE_TIMEOUT).is_none());
    }

    #[test]
    fn a_store_that_works_again_is_asked_by_all() {
        for works in [Ok(()), Err(StoreError::new(StoreErrorKind::Damaged))] {
            let outage = StoreOutage::default();
            fail(&outage, 1..=9, NOW);
            assert!(outage.refusal(NOW, STORE_TIMEOUT).is_some());
            outage.note_load(Account::hub(1), &works, NOW);
            assert!(outage.refusal(NOW, STORE_TIMEOUT).is_none());
            fail(&outage, 1..=4, NOW);
            assert!(outage.refusal(NOW, STORE_TIMEOUT).is_none(), "not five in a row");
        }
    }

    #[test]
    fn one_account_that_cannot_be_loaded_does_not_stand_for_the_others() {
        let outage = StoreOutage::default();
        fail(&outage, [1; 100], NOW);
        assert!(outage.refusal(NOW, STORE_TIMEOUT).is_none());
    }

    #[test]
    fn a_store_that_fails_is_reported_once_and_then_by_the_minute_with_a_count() {
        let outage = StoreOutage::default();
        let error = StoreError::new(StoreErrorKind::Unavailable);
        let reports: Vec<_> = (0..200)
            .filter_map(|second| {
                let now = NOW.plus(Duration::from_secs(second));
                outage.report(&error, now).map(|unreported| (second, unreported))
            })
            .collect();
        assert_eq!(reports, [(0, 0), (60, 59), (120, 59), (180, 59)]);
        outage.note_renewed();
        assert_eq!(outage.report(&error, NOW.plus(Duration::from_secs(200))), Some(19));
    }

    #[test]
    fn every_record_that_cannot_be_read_is_reported() {
        let outage = StoreOutage::default();
        for kind in [StoreErrorKind::Damaged, StoreErrorKind::Unreadable] {
            assert_eq!(outage.report(&StoreError::new(kind), NOW), Some(0));
        }
    }

    /// RENEWAL.md, rule 7.
    #[test]
    fn a_clock_that_was_set_back_stops_neither_a_load_nor_a_report() {
        let outage = StoreOutage::default();
        fail(&outage, 1..=5, NOW);
        assert!(outage.refusal(NOW.minus(MILLISECOND), STORE_TIMEOUT).is_none());
        let error = StoreError::new(StoreErrorKind::Unavailable);
        assert!(outage.report(&error, NOW).is_some());
        assert!(outage.report(&error, NOW.minus(MILLISECOND)).is_some());
    }
}

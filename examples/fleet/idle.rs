//! Nobody asks for the accounts. A sweep renews each of them once in each period.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use hs_oauth_async::{Account, RenewalPolicy, Sweep, Timestamp};
use hs_oauth_examples::{BoxError, print_progress};
use hs_oauth_manager::SweepPlan;
use serde::Serialize;

use crate::Outcome;
use crate::child::{Report, SweepKind};
use crate::journal::{Journal, Renewal};
use crate::options::IdleOptions;
use crate::processes::Processes;
use crate::setup::{Setup, now};

#[derive(Serialize)]
struct ResultLine {
    promise: &'static str,
    accounts: u32,
    processes: u32,
    period: u32,
    periods: u32,
    renewals: usize,
    renewed_once: usize,
    renewed_more_often: usize,
    not_renewed: usize,
    loads: u64,
    swaps: u64,
    pages: u64,
    store_calls_per_account: f64,
    store_failures: u64,
    peak_memory_kb: Vec<Option<u64>>,
}

/// How many of the periods of all accounts have one renewal, more of them, and none.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    once: usize,
    more_often: usize,
    never: usize,
}

pub(crate) fn run(setup: &Setup<'_>, options: &IdleOptions) -> Result<Outcome, BoxError> {
    let IdleOptions { accounts, processes, periods, .. } = *options;
    let period = Duration::from_secs(options.period.into());
    print_progress(format_args!("{accounts} accounts connect"));
    // As if they had been looked after until now.
    let start = now();
    let index_of_last = f64::from(accounts);
    setup.connect((0..accounts).map(|index| {
        let ago = period.mul_f64(1.0 - f64::from(index) / index_of_last);
        (i64::from(index) + 1, start.minus(ago))
    }))?;

    let mut journal = Journal::begin(&setup.hubspot);
    let mut config = setup.child_config(processes);
    config.sweep = Some(SweepKind::CheckEvery(period));
    let mut fleet = Processes::start(setup, (0..processes).map(|_| config.clone()))?;
    let from = now().plus(period * 2);
    fleet.run(setup, &mut journal, |_| now() >= from)?;
    let before = fleet.totals();
    let until = from.plus(period * periods);
    fleet.run(setup, &mut journal, |_| now() >= until)?;
    let calls = Calls::between(&before, &fleet.totals());
    fleet.stop()?;
    journal.read(&setup.hubspot);

    let in_time = |renewal: &&Renewal| from <= renewal.at && renewal.at < until;
    let renewals: Vec<_> = journal.renewals().iter().filter(in_time).copied().collect();
    // The plan of no process: it only says when an account's periods begin.
    let sweep = Sweep::check_every(period);
    let plan =
        SweepPlan::new(sweep, RenewalPolicy::new(), setup.app().identity(), false, NonZeroU32::MIN, 1, 0);
    let begin = |hub_id, at| plan.fresh_at(Account::hub(hub_id), at).unwrap_or(at);
    let counts = Counts::new(accounts, period, (from, until), &renewals, begin);
    let mut violations = journal.violations();
    if counts.never > 0 {
        violations.push(format!("in {} periods of accounts there was no renewal", counts.never));
    }
    if counts.more_often > 0 {
        violations
            .push(format!("in {} periods of accounts there was more than one renewal", counts.more_often));
    }
    let result = ResultLine {
        promise: "idle",
        accounts,
        processes,
        period: options.period,
        periods,
        renewals: renewals.len(),
        renewed_once: counts.once,
        renewed_more_often: counts.more_often,
        not_renewed: counts.never,
        loads: calls.loads,
        swaps: calls.swaps,
        pages: calls.pages,
        store_calls_per_account: calls.all() as f64 / f64::from(accounts) / f64::from(periods),
        store_failures: calls.failures,
        peak_memory_kb: fleet.peak_memory(),
    };
    Outcome::new(&result, violations)
}

/// The calls of the store in the time that is measured.
struct Calls {
    loads: u64,
    swaps: u64,
    pages: u64,
    failures: u64,
}

impl Calls {
    fn between(before: &Report, after: &Report) -> Self {
        Self {
            loads: after.loads.saturating_sub(before.loads),
            swaps: after.swaps.saturating_sub(before.swaps),
            pages: after.pages.saturating_sub(before.pages),
            failures: after.store_failures.saturating_sub(before.store_failures),
        }
    }

    fn all(&self) -> u64 {
        self.loads + self.swaps + self.pages
    }
}

impl Counts {
    /// Counts the renewals in each period that lies in the time that is measured. `begin` returns the beginning of an account's period.
    fn new(
        accounts: u32,
        period: Duration,
        (from, until): (Timestamp, Timestamp),
        renewals: &[Renewal],
        begin: impl Fn(i64, Timestamp) -> Timestamp,
    ) -> Self {
        let mut in_period: HashMap<(i64, Timestamp), usize> = HashMap::new();
        for Renewal { hub_id, at } in renewals {
            *in_period.entry((*hub_id, begin(*hub_id, *at))).or_default() += 1;
        }
        let mut counts = Self::default();
        for hub_id in 1..=i64::from(accounts) {
            let mut begun = begin(hub_id, from.plus(period));
            while begun.plus(period) <= until {
                match in_period.get(&(hub_id, begun)) {
                    None => counts.never += 1,
                    Some(1) => counts.once += 1,
                    Some(_) => counts.more_often += 1,
                }
                begun = begun.plus(period);
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_periods_are_counted_by_their_renewals() {
        let at = Timestamp::from_secs;
        let begin = |_, now: Timestamp| at(now.as_millis() / 1000 / 100 * 100);
        let count = |renewals: &[u64]| {
            let renewals: Vec<_> =
                renewals.iter().map(|seconds| Renewal { hub_id: 1, at: at(*seconds) }).collect();
            Counts::new(1, Duration::from_secs(100), (at(1050), at(1350)), &renewals, begin)
        };
        // The periods from 1100 and from 1200 are whole.
        assert_eq!(count(&[1110, 1299]), Counts { once: 2, ..Counts::default() });
        assert_eq!(count(&[1060, 1310]), Counts { never: 2, ..Counts::default() });
        assert_eq!(count(&[1100, 1199, 1200]), Counts { once: 1, more_often: 1, never: 0 });
    }
}

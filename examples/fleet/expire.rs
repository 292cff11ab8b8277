//! The tokens of many accounts end within a short time. With a rate for the fleet, none is renewed late and no caller waits.

use std::collections::HashMap;
use std::time::Duration;

use hs_oauth_async::Timestamp;
use hs_oauth_examples::{BoxError, print_progress};
use serde::Serialize;

use crate::Outcome;
use crate::child::{Callers, SweepKind};
use crate::journal::{Journal, Renewal};
use crate::options::ExpireOptions;
use crate::processes::Processes;
use crate::setup::{Setup, now};

#[derive(Serialize)]
struct ResultLine {
    promise: &'static str,
    accounts: u32,
    processes: u32,
    rate: u32,
    token_lifetime: u32,
    seconds: u64,
    renewals: usize,
    late_renewals: usize,
    least_margin_s: Option<f64>,
    duplicate_renewals: usize,
    most_in_a_second: usize,
    bearers: u64,
    late_bearers: u64,
    failed_bearers: u64,
    longest_wait_ms: u128,
    loads: u64,
    swaps: u64,
    pages: u64,
    store_failures: u64,
    peak_memory_kb: Vec<Option<u64>>,
}

/// How the renewals came, compared with the ends of the tokens.
#[derive(Debug, Default, PartialEq)]
struct Margins {
    late: usize,
    duplicates: usize,
    /// The shortest time from a renewal to the moment from which the old token would not have been handed out.
    least: Option<Duration>,
}

/// The times of a token: for how long it is not renewed, and for how long it is handed out.
#[derive(Clone, Copy)]
struct Life {
    fresh: Duration,
    usable: Duration,
}

pub(crate) fn run(setup: &Setup<'_>, options: &ExpireOptions) -> Result<Outcome, BoxError> {
    let ExpireOptions { accounts, processes, rate, token_lifetime, .. } = *options;
    let start = now().plus(options.preparation());
    let issued = issued_at(options, start)?;
    print_progress(format_args!("{accounts} accounts connect"));
    setup.connect((1..).zip(issued.iter().copied()))?;
    let early = start.since(now());
    if early.is_zero() {
        return Err("the store took too long to write the accounts: --preparation gives it more time".into());
    }
    print_progress(format_args!("{} s until the processes start", early.as_secs()));
    std::thread::sleep(early);

    let mut journal = Journal::begin(&setup.hubspot);
    let mut config = setup.child_config(processes);
    config.rate = Some(rate);
    config.sweep = Some(SweepKind::KeepWarm);
    let per_second = f64::from(options.calls) / f64::from(processes);
    config.callers = Some(Callers::Random { accounts, per_second });
    let mut fleet = Processes::start(setup, (0..processes).map(|_| config.clone()))?;
    let end = start.plus(Duration::from_secs(options.within.into()));
    fleet.run(setup, &mut journal, |_| now() >= end)?;
    let totals = fleet.totals();
    fleet.stop()?;
    journal.read(&setup.hubspot);

    let lifetime = Duration::from_secs(token_lifetime.into());
    let life =
        Life { fresh: lifetime * 3 / 4 - setup.timing()?.request, usable: lifetime - setup.timing()?.safety };
    let margins = Margins::new(&issued, life, journal.renewals());
    let mut violations = journal.violations();
    let mut check = |count: u64, violation: &str| {
        if count > 0 {
            violations.push(format!("{count} {violation}"));
        }
    };
    check(u64::try_from(margins.late)?, "tokens were renewed late or not at all");
    check(u64::try_from(margins.duplicates)?, "tokens were renewed although they were as good as new");
    check(totals.bearers.late, "bearers came after more than a second");
    check(totals.bearers.failed, "errors came in place of a bearer");
    let result = ResultLine {
        promise: "expire",
        accounts,
        processes,
        rate,
        token_lifetime,
        seconds: now().since(start).as_secs(),
        renewals: journal.renewals().len(),
        late_renewals: margins.late,
        least_margin_s: margins.least.map(|margin| margin.as_secs_f64()),
        duplicate_renewals: margins.duplicates,
        most_in_a_second: journal.most_in_a_second(),
        bearers: totals.bearers.got,
        late_bearers: totals.bearers.late,
        failed_bearers: totals.bearers.failed,
        longest_wait_ms: totals.bearers.longest_wait.as_millis(),
        loads: totals.loads,
        swaps: totals.swaps,
        pages: totals.pages,
        store_failures: totals.store_failures,
        peak_memory_kb: fleet.peak_memory(),
    };
    Outcome::new(&result, violations)
}

/// Returns when the token of each account is issued, so that the tokens end evenly between the first moment and the last.
fn issued_at(options: &ExpireOptions, start: Timestamp) -> Result<Vec<Timestamp>, BoxError> {
    let [first, within, lifetime] = [options.first, options.within, options.token_lifetime]
        .map(|seconds| Duration::from_secs(seconds.into()));
    let span = within.checked_sub(first).ok_or("--within must not be less than --first")?;
    if within > lifetime {
        return Err("--within must not be more than --token-lifetime".into());
    }
    let last = options.accounts.saturating_sub(1).max(1);
    Ok((0..options.accounts)
        .map(|index| start.plus(first + span.mul_f64(f64::from(index) / f64::from(last))).minus(lifetime))
        .collect())
}

impl Margins {
    /// Compares the renewals with the tokens that the accounts, which are numbered from 1, had in the beginning.
    fn new(issued: &[Timestamp], life: Life, renewals: &[Renewal]) -> Self {
        let mut newest: HashMap<i64, (Timestamp, bool)> =
            (1..).zip(issued.iter().map(|at| (*at, false))).collect();
        let mut margins = Self::default();
        for Renewal { hub_id, at } in renewals {
            let Some((issued, is_renewed)) = newest.get_mut(hub_id) else { continue };
            let usable_until = issued.plus(life.usable);
            margins.late += usize::from(*at >= usable_until);
            margins.duplicates += usize::from(*at < issued.plus(life.fresh));
            let margin = usable_until.since(*at);
            margins.least = Some(margins.least.map_or(margin, |least| least.min(margin)));
            (*issued, *is_renewed) = (*at, true);
        }
        margins.late += newest.values().filter(|(_, is_renewed)| !is_renewed).count();
        margins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_is_late_from_the_moment_at_which_its_token_is_not_handed_out_and_so_is_none() {
        let at = Timestamp::from_secs;
        let life = Life { fresh: Duration::from_secs(70), usable: Duration::from_secs(90) };
        for (renewals, late, duplicates, least) in [
            (vec![(1, 80), (2, 80)], 0, 0, Some(10)),
            (vec![(1, 80), (2, 89)], 0, 0, Some(1)),
            (vec![(1, 80), (2, 90)], 1, 0, Some(0)),
            (vec![(1, 80)], 1, 0, Some(10)),
            (vec![(1, 80), (2, 80), (1, 149)], 0, 1, Some(10)),
            (vec![(1, 80), (2, 80), (1, 165)], 0, 0, Some(5)),
            (vec![], 2, 0, None),
        ] {
            let seen: Vec<_> = renewals
                .iter()
                .map(|(hub_id, seconds)| Renewal { hub_id: *hub_id, at: at(*seconds) })
                .collect();
            let margins = Margins { late, duplicates, least: least.map(Duration::from_secs) };
            assert_eq!(Margins::new(&[at(0), at(0)], life, &seen), margins, "{renewals:?}");
        }
    }
}

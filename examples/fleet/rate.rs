//! Every process wants to renew more than it may. Together they stay within 1.2 times the rate.

use std::time::Duration;

use hs_oauth_examples::{BoxError, print_progress};
use serde::Serialize;

use crate::Outcome;
use crate::child::Callers;
use crate::journal::Journal;
use crate::options::RateOptions;
use crate::processes::Processes;
use crate::setup::{Setup, now};

#[derive(Serialize)]
struct ResultLine {
    promise: &'static str,
    processes: u32,
    rate: u32,
    seconds: u32,
    renewals: usize,
    mean_per_second: f64,
    most_in_a_second: usize,
    failed_bearers: u64,
    store_failures: u64,
    peak_memory_kb: Vec<Option<u64>>,
}

/// What the renewals of a second, and those on average, must be between, as parts of the rate.
const MOST: f64 = 1.2;
const LEAST: f64 = 0.8;

/// How long the processes take to start at most.
const MAX_START: Duration = Duration::from_secs(30);

pub(crate) fn run(setup: &Setup<'_>, options: &RateOptions) -> Result<Outcome, BoxError> {
    let RateOptions { processes, rate, seconds } = *options;
    // More than a process may renew in a second, so that some always wait.
    let accounts = rate.div_ceil(processes) * 2 + 1;
    print_progress(format_args!("{} accounts connect", accounts * processes));
    let start = now();
    setup.connect((1..=i64::from(accounts * processes)).map(|hub_id| (hub_id, start)))?;

    let mut journal = Journal::begin(&setup.hubspot);
    let configs = (0..processes).map(|number| {
        let mut config = setup.child_config(processes);
        config.rate = Some(rate);
        config.callers = Some(Callers::Renewing { first: i64::from(number * accounts) + 1, accounts });
        config
    });
    let mut fleet = Processes::start(setup, configs)?;
    // Each process begins with its accounts in their order, so the last process has started when one of its accounts is renewed.
    let is_started = |number: u32, journal: &Journal| {
        let accounts = i64::from(number * accounts) + 1..=i64::from((number + 1) * accounts);
        journal.renewals().iter().any(|renewal| accounts.contains(&renewal.hub_id))
    };
    let latest = now().plus(MAX_START);
    fleet.run(setup, &mut journal, |journal| {
        (0..processes).all(|number| is_started(number, journal)) || now() >= latest
    })?;
    let from = now();
    let until = from.plus(Duration::from_secs(seconds.into()));
    fleet.run(setup, &mut journal, |_| now() >= until)?;
    let totals = fleet.totals();
    fleet.stop()?;
    journal.read(&setup.hubspot);

    let renewals =
        journal.renewals().iter().filter(|renewal| from <= renewal.at && renewal.at < until).count();
    let mean_per_second = renewals as f64 / f64::from(seconds);
    let most_in_a_second = journal.most_in_a_second();
    let mut violations = journal.violations();
    if most_in_a_second as f64 > f64::from(rate) * MOST {
        violations
            .push(format!("{most_in_a_second} renewals in a second are more than {MOST} times the rate"));
    }
    if mean_per_second < f64::from(rate) * LEAST {
        violations
            .push(format!("{mean_per_second:.1} renewals a second are less than {LEAST} times the rate"));
    }
    if totals.bearers.failed > 0 {
        violations.push(format!("{} errors came in place of a bearer", totals.bearers.failed));
    }
    let result = ResultLine {
        promise: "rate",
        processes,
        rate,
        seconds,
        renewals,
        mean_per_second,
        most_in_a_second,
        failed_bearers: totals.bearers.failed,
        store_failures: totals.store_failures,
        peak_memory_kb: fleet.peak_memory(),
    };
    Outcome::new(&result, violations)
}

//! The protocol of core's `RENEWAL.md`, as the code implements it: processes, a store and HubSpot in memory, under a virtual clock. A
//! *schedule* is what happens in one simulation, faults included. Its seed determines all of it.
//!
//! `HS_OAUTH_SIM_SCHEDULES=10000000 cargo test -p hs-oauth-tests simulation` runs more schedules.
//! `HS_OAUTH_SIM_SEED=42` runs one schedule and prints its trace.

mod end_scenarios;
mod faults;
mod further_scenarios;
mod hubspot;
mod mutants;
mod recheck_scenarios;
mod renewal_run;
mod rules;
mod scenario;
mod scenarios;
mod simulator;
mod tenant_scenarios;
mod writer;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use renewal_run::{Begin, CORE};
use rules::Window;
use simulator::Simulator;

/// The sums over many schedules.
#[derive(Default)]
struct Totals {
    schedules: u64,
    requests: u64,
    losses: BTreeMap<Window, u64>,
}

/// A seed whose schedule violates a rule, and that rule.
struct Violation {
    seed: u64,
    rule: String,
}

/// Runs the schedules of these seeds with the runs that `begin` returns, on every processor, until one violates a rule.
fn schedules(begin: Begin, seeds: Range<u64>) -> Result<Totals, Violation> {
    let next = AtomicU64::new(seeds.start);
    let violation: Mutex<Option<Violation>> = Mutex::new(None);
    let totals = Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut own = Totals::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || violation.lock().unwrap().is_some() {
                        break;
                    }
                    let mut simulator = Simulator::new(begin, seed, false);
                    simulator.run();
                    own.schedules += 1;
                    own.requests += simulator.requests;
                    if let Some(window) = simulator.lost_in {
                        *own.losses.entry(window).or_default() += 1;
                    }
                    if let Some(rule) = simulator.rules.violation {
                        violation.lock().unwrap().get_or_insert(Violation { seed, rule });
                    }
                }
                let mut totals = totals.lock().unwrap();
                totals.schedules += own.schedules;
                totals.requests += own.requests;
                for (window, losses) in own.losses {
                    *totals.losses.entry(window).or_default() += losses;
                }
            });
        }
    });
    match violation.into_inner().unwrap() {
        Some(violation) => Err(violation),
        None => Ok(totals.into_inner().unwrap()),
    }
}

/// Runs the schedule of this seed again, and returns its trace.
fn replay(seed: u64) -> String {
    let mut simulator = Simulator::new(CORE, seed, true);
    simulator.run();
    let trace = simulator.trace.take().unwrap_or_default();
    match simulator.rules.violation {
        Some(rule) => format!("{trace}violated: {rule}\n"),
        None => trace,
    }
}

/// Returns the number in an environment variable. `_` may separate its digits.
fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.replace('_', "").parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[test]
fn whatever_fails_the_rules_hold_and_accounts_are_lost_only_where_no_protocol_can_help() {
    if let Some(seed) = variable("HS_OAUTH_SIM_SEED") {
        println!("{}", replay(seed));
        return;
    }
    let count = variable("HS_OAUTH_SIM_SCHEDULES").unwrap_or(100_000);
    match schedules(CORE, 0..count) {
        Ok(totals) => {
            println!(
                "{} schedules, {} token requests, accounts lost in the windows that no protocol closes: {:?}",
                totals.schedules, totals.requests, totals.losses
            );
            // A window in which nothing is ever lost is one that the faults do not reach.
            let windows = [Window::W1, Window::W2, Window::W3, Window::W4, Window::W5];
            assert!(count < 100_000 || windows.iter().all(|window| totals.losses.contains_key(window)));
        }
        Err(Violation { seed, rule }) => panic!(
            "{rule}\n{}\nreplay with HS_OAUTH_SIM_SEED={seed} cargo test -p hs-oauth-tests simulation -- --nocapture",
            replay(seed)
        ),
    }
}

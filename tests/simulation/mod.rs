//! Core's `RENEWAL.md`, as the code has it: processes, a store and HubSpot in memory, under a virtual clock and a seeded scheduler.
//!
//! `HS_OAUTH_SIM_SCHEDULES=10000000 cargo test -p hs-oauth-tests simulation` runs more schedules;
//! `HS_OAUTH_SIM_SEED=42` runs that one and prints what happened in it.

mod faults;
mod hubspot;
mod lab;
mod machine;
mod mutants;
mod rules;
mod scenarios;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hs_oauth_core::renewal::Renewal;

use machine::Machine;
use rules::Window;
use world::World;

/// What came of many schedules.
#[derive(Default)]
struct Tally {
    schedules: u64,
    requests: u64,
    losses: BTreeMap<Window, u64>,
}

/// The first seed that breaks a rule, with what it breaks.
struct Broken {
    seed: u64,
    rule: String,
}

/// Runs the schedules of these seeds on every core, until one breaks a rule.
fn schedules<M: Machine + 'static>(seeds: std::ops::Range<u64>) -> Result<Tally, Broken> {
    let next = AtomicU64::new(seeds.start);
    let broken: Mutex<Option<Broken>> = Mutex::new(None);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let mut own = Tally::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || broken.lock().unwrap().is_some() {
                        break;
                    }
                    let mut world = World::<M>::new(seed, false);
                    world.run();
                    own.schedules += 1;
                    own.requests += world.requests;
                    if let Some(window) = world.lost_in {
                        *own.losses.entry(window).or_default() += 1;
                    }
                    if let Some(rule) = world.rules.broken {
                        broken.lock().unwrap().get_or_insert(Broken { seed, rule });
                    }
                }
                let mut tally = tally.lock().unwrap();
                tally.schedules += own.schedules;
                tally.requests += own.requests;
                for (window, losses) in own.losses {
                    *tally.losses.entry(window).or_default() += losses;
                }
            });
        }
    });
    match broken.into_inner().unwrap() {
        Some(broken) => Err(broken),
        None => Ok(tally.into_inner().unwrap()),
    }
}

/// The same schedule once more, told step by step.
fn replay<M: Machine>(seed: u64) -> String {
    let mut world = World::<M>::new(seed, true);
    world.run();
    let trace = world.trace.take().unwrap_or_default();
    match world.rules.broken {
        Some(rule) => format!("{trace}broken: {rule}\n"),
        None => trace,
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.replace('_', "").parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

#[test]
fn whatever_fails_the_rules_hold_and_accounts_are_lost_only_where_no_protocol_can_help() {
    if let Some(seed) = variable("HS_OAUTH_SIM_SEED") {
        println!("{}", replay::<Renewal>(seed));
        return;
    }
    let count = variable("HS_OAUTH_SIM_SCHEDULES").unwrap_or(100_000);
    match schedules::<Renewal>(0..count) {
        Ok(tally) => {
            println!(
                "{} schedules, {} token requests, accounts lost in the windows that no protocol closes: {:?}",
                tally.schedules, tally.requests, tally.losses
            );
            // A window in which nothing is ever lost is one that the faults do not reach.
            let windows = [Window::W1, Window::W2, Window::W3, Window::W4, Window::W5];
            assert!(count < 100_000 || windows.iter().all(|window| tally.losses.contains_key(window)));
        }
        Err(Broken { seed, rule }) => panic!(
            "{rule}\n{}\nreplay with HS_OAUTH_SIM_SEED={seed} cargo test -p hs-oauth-tests simulation -- --nocapture",
            replay::<Renewal>(seed)
        ),
    }
}

//! What the simulation is worth: it finds every bug that is planted into the renewal. `tests/build.rs` plants them, by the
//! list in `mutations.rs`; a mutation that no longer fits the text is a build error.
//!
//! `cargo test -p hs-oauth-tests mutants -- --nocapture` tells which rule caught which.

use hs_oauth_core::Random;
use hs_oauth_core::renewal::{Demand, RenewalPolicy};

use super::machine::machine;
use super::{Broken, Machine, Tally};

type Schedules = fn(std::ops::Range<u64>) -> Result<Tally, Broken>;

include!(concat!(env!("OUT_DIR"), "/mutants.rs"));

#[test]
fn every_bug_planted_into_the_renewal_breaks_a_rule() {
    let mut missed = Vec::new();
    for (name, schedules) in MUTANTS {
        match schedules(0..100_000) {
            Err(Broken { seed, rule }) => println!("{name}: caught by schedule {seed}: {rule}"),
            Ok(_) => missed.push(name),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

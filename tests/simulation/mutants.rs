//! A test of the simulation itself: it finds every bug that is planted into the renewal. `tests/build.rs` plants the bugs in
//! `mutations.rs`. A mutation that does not fit the source any more is a build error.
//!
//! `cargo test -p hs-oauth-tests mutants -- --nocapture` prints which rule caught which bug.

use hs_oauth_core::renewal::{Demand, RenewalPolicy};
use hs_oauth_core::{AppIdentity, Random};

use super::hubspot::ACCOUNT;
use super::renewal_run::{Begin, Ending, RenewalRun, UnsavedTokens, begin, impl_renewal_run};
use super::{Violation, schedules};

include!(concat!(env!("OUT_DIR"), "/mutants.rs"));

#[test]
fn every_bug_planted_into_the_renewal_violates_a_rule() {
    let mut missed = Vec::new();
    for (name, begin) in MUTANTS {
        match schedules(*begin, 0..100_000) {
            Err(Violation { seed, rule }) => println!("{name}: caught by schedule {seed}: {rule}"),
            Ok(_) => missed.push(name),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

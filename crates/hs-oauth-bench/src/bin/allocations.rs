//! Counts the allocations of a piece of work: `allocations <task> <who> <server>`. A program of its own, since whoever counts
//! them adds instructions to each.

use std::alloc::System;
use std::io::Write as _;

use hs_oauth_bench::counts::named;
use hs_oauth_bench::work::{Failure, prepare};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [task, who, server] = arguments.as_slice() else { return Err("task, who, server".into()) };
    let (task, who) = named(task, who)?;
    let mut work = prepare(task, who, server)?.ok_or("it cannot be done")?;
    work(10)?;
    let region = Region::new(ALLOCATOR);
    work(TIMES)?;
    let counted = region.change();
    let (allocations, reallocations) = (counted.allocations as u64, counted.reallocations as u64);
    let bytes = counted.bytes_allocated as u64;
    writeln!(std::io::stdout(), "{} {} {}", allocations / TIMES, reallocations / TIMES, bytes / TIMES)?;
    Ok(())
}

const TIMES: u64 = 1000;

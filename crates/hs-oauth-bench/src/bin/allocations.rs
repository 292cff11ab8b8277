//! Counts the allocations of a task, `allocations <task> <contestant> <server>`, or of many accounts, `allocations accounts <count>`.
//!
//! This is a program of its own, since counting adds instructions to each allocation.

use std::alloc::System;
use std::io::Write as _;

use hs_oauth_bench::counts::named;
use hs_oauth_bench::timings::accounts::{ACCOUNTS, bytes_beyond_tokens};
use hs_oauth_bench::work::{Failure, prepare};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [ACCOUNTS, count] => accounts(count.parse()?),
        [task, who, server] => work(task, who, server),
        _ => Err("usage: allocations <task> <contestant> <server>, or allocations accounts <count>".into()),
    }
}

fn work(task: &str, who: &str, server: &str) -> Result<(), Failure> {
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

fn accounts(count: i64) -> Result<(), Failure> {
    let allocated = || {
        let stats = ALLOCATOR.stats();
        stats.bytes_allocated - stats.bytes_deallocated
    };
    let [blocking, asynchronous] = bytes_beyond_tokens(count, allocated)?;
    writeln!(
        std::io::stdout(),
        "Of {count} accounts, each takes {blocking:.0} bytes beyond its token in a blocking manager, and {asynchronous:.0} in an async one."
    )?;
    Ok(())
}

//! The table in PostgreSQL with few and with many accounts.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::calls::{Callers, Rate, SharedCall, Swap};
use super::postgres::{Counts, Mode, Sizes, Table};
use super::subject::{Measured, Which, calls, shown};
use crate::report::{Table as Figures, say, thousands};
use crate::work::Failure;

/// How much longer a call may take than with the fewest accounts.
const MAX_TIMES_FEWEST: f64 = 1.5;
const PAGE: usize = 1_000;

/// What was measured with so many accounts.
pub(super) struct Size {
    pub(super) accounts: u64,
    pub(super) modes: Vec<Measured>,
    pages: Pages,
    updates: Updates,
    caches: Vec<Caches>,
}

struct Pages {
    took: Duration,
    accounts: u64,
    /// How much more memory the process had at most than before, in KiB.
    growth: u64,
}

struct Updates {
    took: Duration,
    counts: Counts,
    before: Sizes,
    after: Sizes,
}

/// What was measured with some settings of the server, over prepared statements.
struct Caches {
    settings: String,
    loads: CountedCalls,
    swaps: CountedCalls,
}

/// Calls, and what the server counted meanwhile.
struct CountedCalls {
    rate: f64,
    made: f64,
    counts: Counts,
}

impl CountedCalls {
    fn for_each(&self, count: impl Fn(&Counts) -> i64) -> f64 {
        count(&self.counts) as f64 / self.made
    }
}

/// Measures all.
pub(super) async fn measure(url: &str, accounts: u64, updates: u64) -> Result<Size, Failure> {
    say(format!("PostgreSQL with {} accounts", thousands(accounts)));
    let began = Instant::now();
    let table = Table::create(url, accounts).await?;
    say(format!("filled, in {:.0} s", began.elapsed().as_secs_f64()));
    let pages = measure_pages(&table).await?;
    let mut callers = Callers::new(accounts)?;
    let mut modes = Vec::new();
    for mode in Mode::ALL {
        modes.push(table.subject(mode).await?.measure(&mut callers).await?);
    }
    let caches = vec![measure_caches(&table, &mut callers).await?];
    let updates = measure_updates(&table, &mut callers, updates).await?;
    table.drop().await?;
    Ok(Size { accounts, modes, pages, updates, caches })
}

impl Size {
    /// Measures the same where the server's memory has room for all, also without whole pages in the log. It is a server of the section's
    /// own, since its settings are changed.
    pub(super) async fn measure_large_buffers(&mut self, url: &str) -> Result<(), Failure> {
        let table = Table::create(url, self.accounts).await?;
        table.warm_up().await?;
        let mut callers = Callers::new(self.accounts)?;
        self.caches.push(measure_caches(&table, &mut callers).await?);
        table.log_no_whole_pages().await?;
        self.caches.push(measure_caches(&table, &mut callers).await?);
        table.drop().await
    }
}

async fn measure_pages(table: &Table) -> Result<Pages, Failure> {
    let store = table.store(Mode::Prepared)?;
    // What is allocated once is not counted.
    store.page(None, PAGE).await?;
    // The kernel then forgets the most memory that the process had.
    fs::write("/proc/self/clear_refs", "5")?;
    let before = memory("VmRSS:")?;
    let (began, mut accounts, mut cursor) = (Instant::now(), 0, None);
    loop {
        let page = store.page(cursor.as_ref(), PAGE).await?;
        accounts += page.entries.len() as u64;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let took = began.elapsed();
    say(format!("read in pages, in {:.1} s", took.as_secs_f64()));
    Ok(Pages { took, accounts, growth: memory("VmHWM:")?.saturating_sub(before) })
}

/// Returns a figure of the memory of this process, in KiB.
fn memory(field: &str) -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let figure = status.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
    Ok(figure.trim().trim_end_matches(" kB").parse()?)
}

async fn measure_caches(table: &Table, callers: &mut Callers) -> Result<Caches, Failure> {
    let mut settings = Vec::new();
    for name in ["shared_buffers", "full_page_writes"] {
        settings.push(format!("{name} {}", table.setting(name).await?));
    }
    let mut measured = Vec::new();
    for which in Which::BOTH {
        let before = table.counts().await?;
        // The server has counted all calls when the connections are closed, which is when they are dropped.
        let (took, made) = {
            let calls = calls(table.store(Mode::Prepared)?)?;
            callers.make_for_a_while(&which.of(calls)).await?
        };
        measured.push(CountedCalls {
            rate: made / took.as_secs_f64(),
            made,
            counts: table.counts().await? - before,
        });
    }
    let [loads, swaps] = measured.try_into().map_err(|_| "a round is missing")?;
    say(format!("counted, with {}", settings.join(", ")));
    Ok(Caches { settings: settings.join(", "), loads, swaps })
}

async fn measure_updates(table: &Table, callers: &mut Callers, updates: u64) -> Result<Updates, Failure> {
    let (counted, before) = (table.counts().await?, table.sizes().await?);
    let began = Instant::now();
    let swap: SharedCall = Arc::new(Swap::new(table.store(Mode::Prepared)?)?);
    callers.make(&swap, updates).await?;
    let took = began.elapsed();
    drop(swap);
    say(format!("{} updates, in {:.0} s", thousands(updates), took.as_secs_f64()));
    Ok(Updates { took, counts: table.counts().await? - counted, before, after: table.sizes().await? })
}

/// Returns what a call costs with each number of accounts.
pub(super) fn rates_table(which: Which, sizes: &[Size]) -> Figures {
    let accounts = |size: &Size| thousands(size.accounts);
    let mut headings = vec![which.name().to_owned()];
    headings.extend(sizes.iter().map(|size| format!("a second, {} accounts", accounts(size))));
    headings.extend(sizes.iter().map(|size| format!("µs, {} accounts", accounts(size))));
    headings.extend(
        sizes
            .iter()
            .skip(1)
            .map(|size| format!("times the fewest, {} accounts, bound {MAX_TIMES_FEWEST}", accounts(size))),
    );
    headings.extend(sizes.iter().map(|size| format!("times the bare, {} accounts", accounts(size))));
    let mut table = Figures::new(headings);
    for (index, first) in sizes.iter().take(1).flat_map(|fewest| fewest.modes.iter().enumerate()) {
        let modes: Vec<&Measured> = sizes.iter().filter_map(|size| size.modes.get(index)).collect();
        let rates: Vec<Rate> = modes.iter().map(|mode| which.of(mode.rates)).collect();
        let mut row = vec![first.name.clone()];
        row.extend(rates.iter().map(|rate| shown(rate.a_second)));
        row.extend(rates.iter().map(|rate| format!("{:.1}", rate.micros())));
        row.extend(rates.iter().skip(1).map(|rate| format!("{:.2}", rate.times(which.of(first.rates)))));
        row.extend(modes.iter().map(|mode| mode.times_bare(which)));
        table.row(row);
    }
    table
}

/// Returns what the server does for a call, by its caches.
pub(super) fn caches_table(sizes: &[Size]) -> Figures {
    let mut table = Figures::new([
        "accounts",
        "server",
        "loads a second",
        "pages for a load",
        "of them not in shared_buffers",
        "swaps a second",
        "pages for a swap",
        "of them not in shared_buffers",
        "whole pages logged for a swap",
        "log for a swap, bytes",
    ]);
    for size in sizes {
        for Caches { settings, loads, swaps } in &size.caches {
            let pages =
                |calls: &CountedCalls| format!("{:.1}", calls.for_each(|counts| counts.hits + counts.reads));
            let reads = |calls: &CountedCalls| format!("{:.2}", calls.for_each(|counts| counts.reads));
            table.row([
                thousands(size.accounts),
                settings.clone(),
                shown(loads.rate),
                pages(loads),
                reads(loads),
                shown(swaps.rate),
                pages(swaps),
                reads(swaps),
                format!("{:.2}", swaps.for_each(|counts| counts.page_images)),
                shown(swaps.for_each(|counts| counts.log_bytes)),
            ]);
        }
    }
    table
}

/// Returns how long it takes to read all records, and the memory.
pub(super) fn pages_table(sizes: &[Size]) -> Figures {
    let mut table = Figures::new(["accounts read in pages", "s", "more memory at most, KiB"]);
    for Size { pages, .. } in sizes {
        table.row([
            thousands(pages.accounts),
            format!("{:.2}", pages.took.as_secs_f64()),
            thousands(pages.growth),
        ]);
    }
    table
}

/// Returns what many updates do to the table.
pub(super) fn updates_table(sizes: &[Size]) -> Figures {
    let mut table = Figures::new([
        "accounts",
        "updates",
        "s",
        "in place, of 100",
        "table before, MB",
        "after",
        "index before, MB",
        "after",
    ]);
    let megabytes = |bytes: i64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    for Size { accounts, updates: Updates { took, counts, before, after }, .. } in sizes {
        table.row([
            thousands(*accounts),
            counts.updates.to_string(),
            format!("{:.0}", took.as_secs_f64()),
            format!("{:.1}", counts.updates_in_place as f64 / counts.updates as f64 * 100.0),
            megabytes(before.table),
            megabytes(after.table),
            megabytes(before.index),
            megabytes(after.index),
        ]);
    }
    table
}

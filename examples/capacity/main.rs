//! What a large fleet asks of its store and of HubSpot: a thousand replicas and ten million accounts, on one machine, in virtual time and
//! without any IO.
//!
//! ```sh
//! cargo run --release --example capacity -- --replicas 1000 --accounts 10000000 --chart capacity.svg
//! ```
//!
//! `cell.rs` is the simulation, and `event.rs` what happens in it.

mod cell;
mod chart;
mod counts;
mod event;
mod options;

use std::io;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;
use hs_oauth_core::{App, AppIdentity, ClientSecret};
use hs_oauth_examples::{BoxError, finish, peak_memory, print_line, print_progress};

use cell::{Cell, Size};
use chart::svg;
use counts::Counts;
use event::Event;
use options::Options;

fn main() -> ExitCode {
    finish(run(&Options::parse()).map(|()| ExitCode::SUCCESS))
}

fn run(options: &Options) -> Result<(), BoxError> {
    if options.replicas_per_account > options.replicas_per_part.min(options.replicas) {
        return Err("an account cannot have more replicas than its part".into());
    }
    let app = App::hubspot("capacity", ClientSecret::new("not sent to anybody")?).build()?.identity();
    let mut all = Vec::new();
    for event in Event::ALL {
        let begun = Instant::now();
        let counts = count(options, &app, event)?;
        print_line(counts.table());
        print_progress(format_args!("({} s)", begun.elapsed().as_secs()));
        all.push(counts);
    }
    if let Some(file) = &options.chart {
        std::fs::write(file, svg(options, &all))?;
    }
    if let Some(peak) = peak_memory() {
        print_progress(format_args!("memory: at most {} MB", peak / 1024));
    }
    Ok(())
}

/// Runs all cells, as many at a time as there are threads.
fn count(options: &Options, app: &AppIdentity, event: Event) -> Result<Counts, BoxError> {
    let cells = cells(options);
    let threads = options.threads.map_or_else(std::thread::available_parallelism, |threads| {
        threads.try_into().map_err(|_| io::Error::other("at least one thread is needed"))
    })?;
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Ok(Counts::new(event)));
    std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                while let Some(size) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let counts = Cell::new(options, app, event, *size).and_then(Cell::run);
                    let counts = counts.map_err(|error| error.to_string());
                    let Ok(mut total) = total.lock() else { return };
                    match (&mut *total, counts) {
                        (Ok(total), Ok(counts)) => total.add(&counts),
                        (Ok(_), Err(error)) => *total = Err(error),
                        (Err(_), _) => return,
                    }
                }
            });
        }
    });
    Ok(total.into_inner().map_err(|_| "a thread has panicked")??)
}

/// Divides the fleet into cells.
fn cells(options: &Options) -> Vec<Size> {
    let Options { replicas, accounts, replicas_per_part, .. } = *options;
    let share = |replicas_before: u32| u64::from(accounts) * u64::from(replicas_before) / u64::from(replicas);
    (0..replicas.div_ceil(replicas_per_part))
        .map(|number| {
            let (first, end) = (number * replicas_per_part, ((number + 1) * replicas_per_part).min(replicas));
            let accounts = u32::try_from(share(end) - share(first)).unwrap_or(u32::MAX);
            Size { number, replicas: end - first, accounts }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::BEGIN;

    fn counted(event: Event, arguments: &[&str]) -> (Options, Counts) {
        let small = ["capacity", "--replicas", "20", "--accounts", "4000"];
        let options = Options::parse_from(small.iter().chain(arguments));
        let app = App::hubspot("capacity", ClientSecret::new("secret").unwrap()).build().unwrap().identity();
        let counts = count(&options, &app, event).unwrap();
        (options, counts)
    }

    /// The sum of the seconds between two moments.
    fn sum(series: &counts::Series, from: Duration, until: Duration) -> u64 {
        let index = |at: Duration| usize::try_from(at.as_secs()).unwrap();
        series.seconds()[index(from)..index(until)].iter().copied().map(u64::from).sum()
    }

    #[test]
    fn the_numbers_do_not_depend_on_the_threads() {
        let one = counted(Event::StoreFailover, &["--threads", "1"]).1;
        let two = counted(Event::StoreFailover, &["--threads", "2"]).1;
        assert_eq!(one.table(), two.table());
    }

    /// RENEWAL.md: one lease, one request and one save for each renewal.
    #[test]
    fn a_renewal_costs_one_request_and_two_writes_and_each_replica_reads_once() {
        let counts = counted(Event::Restart, &["--calls-per-hour", "600"]).1;
        let (from, until) = (Duration::ZERO, BEGIN);
        let requests = sum(&counts.requests, from, until);
        // Each of 4000 accounts is called every six seconds, so its token is renewed every 1350 to 1463 seconds.
        assert!(requests.abs_diff(4000 * 300 / 1406) < 90, "{requests}");
        let writes = sum(&counts.store_writes, from, until);
        assert!(writes.abs_diff(requests * 2) < 40, "{writes} {requests}");
        let reads = sum(&counts.store_reads, from, until);
        assert!(reads >= requests * 2 && reads < requests * 3, "{reads} {requests}");
        assert_eq!((counts.failed_callers, counts.store_failures), (0, 0));
    }

    #[test]
    fn after_a_restart_every_replica_reads_the_records_of_its_accounts_and_renews_no_token_for_that() {
        let counts = counted(Event::Restart, &["--calls-per-hour", "600"]).1;
        let minute = Duration::from_secs(60);
        let reads = sum(&counts.store_reads, BEGIN, BEGIN + minute);
        assert!(reads.abs_diff(8000) < 600, "{reads}");
        assert!(sum(&counts.requests, BEGIN, BEGIN + minute) < 300);
    }

    /// In an outage of HubSpot a replica tries one renewal at a time.
    #[test]
    fn while_hubspot_is_down_each_replica_has_one_request_in_flight_at_most() {
        let (options, counts) = counted(Event::HubSpotOutage, &["--hubspot-ms", "500"]);
        let settled = BEGIN + Duration::from_secs(600);
        let end = Event::HubSpotOutage.end();
        let index = |at: Duration| usize::try_from(at.as_secs()).unwrap();
        let peak = counts.requests.seconds()[index(settled)..index(end)].iter().max().unwrap();
        assert!(*peak > 0 && *peak <= options.replicas * 2, "{peak}");
        assert!(counts.failed_callers > 0);
        assert!(counts.longest_failure < Duration::from_secs(3600 + 600), "{:?}", counts.longest_failure);
    }

    #[test]
    fn while_the_store_is_down_nothing_is_sent_and_after_it_no_call_fails_for_long() {
        let counts = counted(Event::StoreFailover, &[]).1;
        let (from, until) = (BEGIN + Duration::from_secs(2), Event::StoreFailover.end());
        assert_eq!(sum(&counts.store_reads, BEGIN, until), 0);
        assert_eq!(sum(&counts.store_writes, BEGIN, until), 0);
        assert_eq!(sum(&counts.requests, from, until), 0);
        assert!(counts.store_failures > 0);
        assert!(counts.last_failure < until + Duration::from_secs(30), "{:?}", counts.last_failure);
    }

    #[test]
    fn a_sweep_renews_every_token_in_time_although_nobody_calls() {
        let counts = counted(Event::StoreFailover, &["--sweep", "warm", "--calls-per-hour", "1"]).1;
        let (from, until) = (Event::StoreFailover.end(), Event::StoreFailover.watched());
        let requests = sum(&counts.requests, from, until);
        // Once in 1350 to 1463 seconds each of 4000 accounts.
        assert!(requests.abs_diff(4000 * 1800 / 1430) < 500, "{requests}");
        assert_eq!(counts.latest_renewal, Duration::ZERO);
        assert!(counts.longest_wait < Duration::from_secs(1));
    }

    #[test]
    fn the_rate_holds_for_all_replicas_together() {
        let counts = counted(Event::HubSpotOutage, &["--rate", "20"]).1;
        assert!(
            counts.requests.seconds().iter().all(|requests| *requests <= 40),
            "a second may begin in another"
        );
        let hour = Duration::from_secs(3600);
        assert!(sum(&counts.requests, BEGIN, BEGIN + hour) <= 20 * 3600);
    }
}

//! Requests over loopback: the processor time of the client's process.

use super::clock::{busy, compare};
use crate::report::{Section, Table};
use crate::server::Server;
use crate::work::{Failure, Task, Who, Work, prepare};

/// Compares the contestants that send async requests.
///
/// # Errors
/// If a request fails.
pub fn report_async() -> Result<(), Failure> {
    report("2-async", Task::Async)
}

/// Compares the contestants that send blocking requests.
///
/// # Errors
/// If a request fails.
pub fn report_blocking() -> Result<(), Failure> {
    report("2-blocking", Task::Blocking)
}

fn report(name: &'static str, task: Task) -> Result<(), Failure> {
    let server = Server::start()?;
    let mut section = Section::new(name, task.name());
    section.say("Processor time of the client's process, the kernel's work for it included, in µs for each request. All requests use one connection.\n");
    section.say(
        "The bounds are that reqwest's share of ours is not below 1.00, and that of ureq not below 0.77.\n",
    );
    let mut table = Table::new(["", "µs", "of ours"]);
    let mut works: Vec<(Who, Work)> = Vec::new();
    for who in Who::ALL {
        works.extend(prepare(task, *who, server.url())?.map(|work| (*who, work)));
    }
    let mut timed: Vec<_> = works.iter_mut().map(|(_, work)| move |times| busy(|| work(times))).collect();
    let mut timed: Vec<_> = timed.iter_mut().map(|work| work as &mut dyn FnMut(u64) -> _).collect();
    let times = compare(&mut timed)?;
    let ours = times.first().copied().unwrap_or(f64::NAN);
    for ((who, _), time) in works.iter().zip(times) {
        table.row([who.name().to_owned(), format!("{:.1}", time / 1000.0), format!("{:.2}", time / ours)]);
    }
    section.table(&table);
    section.write()
}

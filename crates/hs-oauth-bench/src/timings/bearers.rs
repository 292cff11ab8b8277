//! The bearer of a valid token, read by one thread and by two threads at once.

use std::sync::Barrier;
use std::time::Duration;

use super::clock::{compare, wall};
use crate::report::{Section, Table};
use crate::server::Server;
use crate::work::{Failure, SharedWork, Task, Who, prepare_bearer};

/// Compares the contestants that keep a token.
///
/// # Errors
/// If a bearer cannot be read.
pub fn report() -> Result<(), Failure> {
    let server = Server::start()?;
    let mut section = Section::new("3-bearers", "A valid bearer");
    section.say("Nanoseconds for each read, in real time. The floor loads the token and reads the coarse clock. It returns nothing, and neither does a bearer that is lent.\n");
    section.say("The bounds are 1.3 times the floor for one thread, and 1.1 times the figure of one thread for two. A bearer that is returned is a clone: it also counts an atomic number up, and down when it is dropped.\n");
    let mut readers = Vec::new();
    for task in [Task::Bearer, Task::AsyncBearer, Task::Lent, Task::AsyncLent] {
        for who in Who::ALL {
            // A contestant that reads without waiting does the same in async code.
            let is_repeated = match who {
                Who::Floor => matches!(task, Task::AsyncBearer | Task::AsyncLent),
                Who::TameOauth => task != Task::Bearer,
                _ => false,
            };
            let work = if is_repeated { None } else { prepare_bearer(task, *who, server.url())? };
            let name = match (who, task) {
                (Who::Ours, _) => task.name(),
                (Who::Floor, Task::Bearer) => "floor, and a clone",
                _ => who.name(),
            };
            readers.extend(work.map(|work| (name, work)));
        }
    }
    let mut one: Vec<_> = readers.iter().map(|(_, work)| move |times| wall(|| work(times))).collect();
    let mut one: Vec<_> = one.iter_mut().map(|work| work as &mut dyn FnMut(u64) -> _).collect();
    let one = compare(&mut one)?;
    let mut two: Vec<_> = readers.iter().map(|(_, work)| move |times| at_once(work, times)).collect();
    let mut two: Vec<_> = two.iter_mut().map(|work| work as &mut dyn FnMut(u64) -> _).collect();
    let two = compare(&mut two)?;
    let floor = readers.iter().zip(&one).find(|((name, _), _)| *name == Who::Floor.name());
    let floor = floor.map_or(f64::NAN, |(_, time)| *time);
    let mut table = Table::new(["", "1 thread, ns", "of the floor", "2 threads at once, ns", "of 1 thread"]);
    for (((name, _), one), two) in readers.iter().zip(&one).zip(&two) {
        table.row([
            (*name).to_owned(),
            format!("{one:.1}"),
            format!("{:.2}", one / floor),
            format!("{two:.1}"),
            format!("{:.2}", two / one),
        ]);
    }
    section.table(&table);
    section.write()
}

/// Does the work in two threads, so many times in each.
fn at_once(work: &SharedWork, times: u64) -> Result<Duration, Failure> {
    let start = Barrier::new(2);
    std::thread::scope(|scope| {
        let run = || {
            start.wait();
            wall(|| work(times))
        };
        let threads = [scope.spawn(run), scope.spawn(run)];
        let mut longest = Duration::ZERO;
        for thread in threads {
            longest = longest.max(thread.join().map_err(|_| "a thread panicked")??);
        }
        Ok(longest)
    })
}

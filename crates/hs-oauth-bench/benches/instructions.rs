//! Counts instructions and allocations. With `--check` it fails if a count exceeds its bound.

use std::path::Path;
use std::process::{Command, ExitCode};

use hs_oauth_bench::chart::bars;
use hs_oauth_bench::counts::{self, Count, WORK, bound, count};
use hs_oauth_bench::report::{Section, Table, say, thousands};
use hs_oauth_bench::server::{SERVE, Server, serve};
use hs_oauth_bench::work::{Failure, Task, Who};

fn main() -> Result<ExitCode, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == WORK => counts::work(rest)?,
        Some((first, _)) if first == SERVE => serve()?,
        _ => return compare(arguments.iter().any(|argument| argument == "--check")),
    }
    Ok(ExitCode::SUCCESS)
}

fn compare(check: bool) -> Result<ExitCode, Failure> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Err("valgrind is missing: apt-get install valgrind".into());
    }
    let server = Server::start()?;
    let allocations = Path::new(env!("CARGO_BIN_EXE_allocations"));
    let mut section = Section::new("1-instructions", "Instructions and allocations");
    let (mut over, mut multiples) = (Vec::new(), Vec::new());
    let (mut instructions, mut memory) = (table("instructions"), table("allocations"));
    for task in Task::shown() {
        let mut counts = Vec::new();
        for who in Who::ALL {
            counts.push(count(task, *who, server.url(), allocations)?);
        }
        let ours = counts.first().copied().flatten().ok_or("ours was not counted")?;
        let bound = bound(task, &counts);
        over.extend(over_bounds(task, ours, bound));
        multiples.push((task.name().to_owned(), multiples_of_ours(&counts, ours)));
        instructions.row(row(
            task,
            bound,
            &counts,
            |count| instructions_cell(count.instructions, ours.instructions),
            |bound| Some(format!("≤ {}", thousands(bound.instructions))),
        ));
        memory.row(row(task, bound, &counts, allocations_cell, |bound| {
            bound.allocations.map(|max| format!("≤ {max}"))
        }));
    }
    section.chart(
        "instructions.svg",
        "instructions",
        &bars("Instructions, as a multiple of ours", &multiples),
    )?;
    section.say("The multiple of ours is in brackets.\n");
    section.table(&instructions);
    section.say("Allocations + reallocations, bytes allocated.\n");
    section.table(&memory);
    for line in &over {
        section.say(format!("**Over its bound**: {line}\n"));
    }
    section.write()?;
    match check && !over.is_empty() {
        true => Ok(ExitCode::FAILURE),
        false => Ok(ExitCode::SUCCESS),
    }
}

fn table(what: &str) -> Table {
    let (ours, others) = (what.to_owned(), Who::ALL.iter().skip(1).map(|who| who.name().to_owned()));
    Table::new([ours, "ours".to_owned(), "bound".to_owned()].into_iter().chain(others))
}

fn row(
    task: Task,
    bound: Option<counts::Bound>,
    counts: &[Option<Count>],
    cell: impl Fn(Count) -> String,
    bound_of: impl Fn(counts::Bound) -> Option<String>,
) -> Vec<String> {
    let mut cells: Vec<String> = counts.iter().map(|count| count.map_or("–".to_owned(), &cell)).collect();
    cells.insert(1, bound.and_then(bound_of).unwrap_or("–".to_owned()));
    cells.insert(0, task.name().to_owned());
    cells
}

fn multiples_of_ours(counts: &[Option<Count>], ours: Count) -> Vec<(String, f64)> {
    let counted = Who::ALL.iter().zip(counts).filter_map(|(who, count)| Some((who, (*count)?)));
    let multiple = |count: Count| count.instructions as f64 / ours.instructions as f64;
    counted.map(|(who, count)| (who.name().to_owned(), multiple(count))).collect()
}

fn instructions_cell(count: u64, ours: u64) -> String {
    match count == ours {
        true => thousands(count),
        false => format!("{} ({:.2})", thousands(count), count as f64 / ours as f64),
    }
}

fn allocations_cell(count: Count) -> String {
    let Count { allocations, reallocations, bytes, .. } = count;
    match reallocations {
        0 => format!("{allocations}, {bytes} B"),
        _ => format!("{allocations}+{reallocations}, {bytes} B"),
    }
}

fn over_bounds(task: Task, ours: Count, bound: Option<counts::Bound>) -> Vec<String> {
    let Some(bound) = bound else { return Vec::new() };
    let allocations = ours.allocations + ours.reallocations;
    let mut over = Vec::new();
    if ours.instructions > bound.instructions {
        over.push(format!("{}: {} instructions", task.name(), thousands(ours.instructions)));
    }
    if bound.allocations.is_some_and(|max| allocations > max) {
        over.push(format!("{}: {allocations} allocations", task.name()));
    }
    for line in &over {
        say(line);
    }
    over
}

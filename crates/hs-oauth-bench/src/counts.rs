//! Instructions and allocations, which do not depend on what else the machine does.

use std::path::Path;
use std::process::{Command, Output};

use crate::work::{Failure, Task, Who, prepare};

/// The command line of a process that is to [`work`]: its first argument.
pub const WORK: &str = "work";

/// What one repetition costs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Instructions, of the process itself and not of the system's kernel.
    pub instructions: u64,
    /// Allocations.
    pub allocations: u64,
    /// Reallocations.
    pub reallocations: u64,
    /// Bytes allocated.
    pub bytes: u64,
}

/// The most that ours may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// Instructions.
    pub instructions: u64,
    /// Allocations and reallocations together.
    pub allocations: Option<u64>,
}

/// Every bound there is.
pub fn bound(task: Task) -> Option<Bound> {
    let (instructions, allocations) = match task {
        Task::Build => (1_950, Some(3)),
        Task::Parse => (6_500, Some(9)),
        Task::Refuse => (4_500, None),
        Task::Call => (9_700, Some(16)),
        Task::Authorize => (6_500, None),
        Task::Async => (75_000, None),
        Task::Blocking => (55_000, None),
        _ => return None,
    };
    Some(Bound { instructions, allocations })
}

/// Counts; none if `who` cannot do it. `allocations` is the program that counts those.
///
/// # Errors
/// If the work fails, or valgrind is missing.
pub fn count(task: Task, who: Who, server: &str, allocations: &Path) -> Result<Option<Count>, Failure> {
    let Some([whole, others @ ..]) = task.parts(who) else {
        return count_one(task, who, server, allocations);
    };
    let Some(mut count) = count_one(whole, who, server, allocations)? else { return Ok(None) };
    for part in others {
        // The answer is the same for everyone; only one of them makes it alone.
        let who = if matches!(part, Task::Answer | Task::Refusal) { Who::Floor } else { who };
        let part = count_one(part, who, server, allocations)?.unwrap_or_default();
        count.instructions = count.instructions.saturating_sub(part.instructions);
        count.allocations = count.allocations.saturating_sub(part.allocations);
        count.reallocations = count.reallocations.saturating_sub(part.reallocations);
        count.bytes = count.bytes.saturating_sub(part.bytes);
    }
    Ok(Some(count))
}

fn count_one(task: Task, who: Who, server: &str, allocations: &Path) -> Result<Option<Count>, Failure> {
    if prepare(task, who, server)?.is_none() {
        return Ok(None);
    }
    let counted = run(Command::new(allocations).args([task.name(), who.name(), server]))?;
    let counted = String::from_utf8(counted.stdout)?;
    let mut counted = counted.split_whitespace().map(str::parse);
    let mut next = || counted.next().ok_or("no count")?.map_err(Failure::from);
    let (allocations, reallocations, bytes) = (next()?, next()?, next()?);
    // What is done once is in both.
    let (one, two) = (collected(task, who, server, 1000)?, collected(task, who, server, 2000)?);
    let instructions = two.saturating_sub(one) / 1000;
    Ok(Some(Count { instructions, allocations, reallocations, bytes }))
}

/// The instructions of this very program where it has to [`work`] so many times.
fn collected(task: Task, who: Who, server: &str, times: u64) -> Result<u64, Failure> {
    let program = std::env::current_exe()?;
    let times = times.to_string();
    let output = run(valgrind().arg(program).args([WORK, task.name(), who.name(), server, &times]))?;
    instructions(&output)
}

/// Valgrind, to be told what to run.
pub fn valgrind() -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command
}

/// What valgrind says it counted.
///
/// # Errors
/// If it says nothing.
pub fn instructions(output: &Output) -> Result<u64, Failure> {
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find_map(|line| line.split_once("Collected : "));
    Ok(line.ok_or("valgrind counted nothing")?.1.trim().parse()?)
}

/// Runs a program to its end.
///
/// # Errors
/// If it cannot be run or fails.
pub fn run(command: &mut Command) -> Result<Output, Failure> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    match output.status.success() {
        true => Ok(output),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// What a process does whose first argument is [`WORK`]: the arguments after it say what.
///
/// # Errors
/// Whatever the work fails with.
pub fn work(arguments: &[String]) -> Result<(), Failure> {
    let [task, who, server, times] = arguments else { return Err("task, who, server, times".into()) };
    let (task, who) = named(task, who)?;
    prepare(task, who, server)?.ok_or("it cannot be done")?(times.parse()?)
}

/// Task and who, by their names.
///
/// # Errors
/// If there is none of that name.
pub fn named(task: &str, who: &str) -> Result<(Task, Who), Failure> {
    Ok((Task::named(task).ok_or("no such task")?, Who::named(who).ok_or("no such contestant")?))
}

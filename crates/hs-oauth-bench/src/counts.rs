//! Counts of instructions and allocations. They do not depend on what else the machine does.

use std::path::Path;
use std::process::{Command, Output};

use crate::work::{Failure, Task, Who, prepare};

/// The first argument of a process that is to call [`work`].
pub const WORK: &str = "work";

/// The cost of one repetition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Instructions of the process in user mode, without those of the kernel.
    pub instructions: u64,
    /// The number of allocations.
    pub allocations: u64,
    /// The number of reallocations.
    pub reallocations: u64,
    /// The number of bytes allocated.
    pub bytes: u64,
}

/// The maximum cost of a task for `hs-oauth`.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// The maximum number of instructions.
    pub instructions: u64,
    /// The maximum number of allocations and reallocations together.
    pub allocations: Option<u64>,
}

/// Returns the bound of a task, if it has one. `counts` are those of all contestants, in the order of [`Who::ALL`]: a request over loopback is
/// bounded by what its HTTP client costs alone.
pub fn bound(task: Task, counts: &[Option<Count>]) -> Option<Bound> {
    let instructions_of = |who: Who| {
        let at = Who::ALL.iter().position(|one| *one == who)?;
        Some(counts.get(at).copied()??.instructions)
    };
    let (instructions, allocations) = match task {
        Task::Build => (1_950, Some(3)),
        Task::Parse => (6_500, Some(9)),
        Task::ParseError => (4_500, None),
        Task::Call => (9_700, Some(16)),
        // It keeps the scopes, too, to compare them with what is granted.
        Task::Authorize => (7_000, None),
        Task::Verify => (141_000, Some(0)),
        Task::Async => (instructions_of(Who::LeanReqwest)? * 108 / 100, None),
        Task::Blocking => (instructions_of(Who::Ureq)? * 130 / 100, None),
        _ => return None,
    };
    Some(Bound { instructions, allocations })
}

/// Counts the cost of a task. Returns none if the contestant cannot do it. `allocations` is the path of the program that counts
/// allocations.
///
/// # Errors
/// If the work fails, or valgrind is missing.
pub fn count(task: Task, who: Who, server: &str, allocations: &Path) -> Result<Option<Count>, Failure> {
    let Some([whole, others @ ..]) = task.parts(who) else {
        return count_one(task, who, server, allocations);
    };
    let Some(mut count) = count_one(whole, who, server, allocations)? else { return Ok(None) };
    for part in others {
        // The response is the same for every contestant, and the floor is the one that makes it as a task.
        let who = if matches!(part, Task::Response | Task::ErrorResponse) { Who::Floor } else { who };
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
    // The cost of what is done once is in both counts.
    let (one, two) = (collected(task, who, server, 1000)?, collected(task, who, server, 2000)?);
    let instructions = two.saturating_sub(one) / 1000;
    Ok(Some(Count { instructions, allocations, reallocations, bytes }))
}

/// Counts the instructions of this program when it calls [`work`] with so many repetitions.
fn collected(task: Task, who: Who, server: &str, times: u64) -> Result<u64, Failure> {
    let program = std::env::current_exe()?;
    let times = times.to_string();
    let output = run(valgrind().arg(program).args([WORK, task.name(), who.name(), server, &times]))?;
    instructions(&output)
}

/// Returns the command of valgrind, to which the caller adds the program and its arguments.
pub fn valgrind() -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    command
}

/// Reads the number of instructions from the output of valgrind.
///
/// # Errors
/// If the number is missing.
pub fn instructions(output: &Output) -> Result<u64, Failure> {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find_map(|line| line.split_once("Collected : "));
    Ok(line.ok_or("valgrind counted nothing")?.1.trim().parse()?)
}

/// Runs a program to its end.
///
/// # Errors
/// If the program cannot be run, or fails.
pub fn run(command: &mut Command) -> Result<Output, Failure> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    match output.status.success() {
        true => Ok(output),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Does the work of a process whose first argument is [`WORK`]. `arguments` are those after it: task, contestant, server and times.
///
/// # Errors
/// If the arguments are wrong, or the work fails.
pub fn work(arguments: &[String]) -> Result<(), Failure> {
    let [task, who, server, times] = arguments else { return Err("task, who, server, times".into()) };
    let (task, who) = named(task, who)?;
    prepare(task, who, server)?.ok_or("it cannot be done")?(times.parse()?)
}

/// Returns the task and the contestant with these names.
///
/// # Errors
/// If there is no task or no contestant with that name.
pub fn named(task: &str, who: &str) -> Result<(Task, Who), Failure> {
    Ok((Task::named(task).ok_or("no such task")?, Who::named(who).ok_or("no such contestant")?))
}

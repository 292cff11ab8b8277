//! The herd: a program of its own, which judges itself.

use std::error::Error;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hs_oauth_test_servers::program;
use serde::Deserialize;

use crate::case::Case;
use crate::options::{Engine, Options, Rotation};

/// Builds the herd, and returns its program.
pub(crate) fn build() -> PathBuf {
    program::build(&["--release", "-p", "hs-oauth-examples", "--example", "herd"])
}

/// A herd that runs.
pub(crate) struct Herd {
    process: Process,
    first_second: Receiver<Instant>,
    violations: JoinHandle<Vec<String>>,
}

/// A process that ends with this program. Its own processes end with it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The herd's own result.
#[derive(Debug, Deserialize)]
pub(crate) struct HerdResult {
    pub(crate) renewals: u32,
    pub(crate) rejected_bearers: u64,
    pub(crate) overdue_calls: u64,
    pub(crate) lost_responses: u64,
    pub(crate) lost_accounts: u32,
    pub(crate) corrupt_files: u32,
    pub(crate) kills: u32,
    pub(crate) longest_wait_ms: u64,
    pub(crate) late_bearers: u64,
    pub(crate) failed_bearers: u64,
    pub(crate) store_failures: u64,
    pub(crate) checked_calls: u64,
}

/// What a herd has come to.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) result: HerdResult,
    /// What is not as promised, in the herd's words.
    pub(crate) violations: Vec<String>,
}

/// How the herd's line for something that is not as promised begins.
const VIOLATION: &str = "not as promised: ";

impl Herd {
    pub(crate) fn start(
        options: &Options,
        program: &Path,
        url: &str,
        engine: Engine,
        rotation: Rotation,
        case: Case,
        seconds: u32,
    ) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(program);
        let numbers = [
            ("--seconds", seconds),
            ("--processes", options.processes),
            ("--tasks", options.tasks),
            ("--accounts", options.accounts),
            ("--store-tasks", options.store_tasks),
        ];
        command.args(numbers.iter().flat_map(|(name, number)| [(*name).to_owned(), number.to_string()]));
        command.args(["--rotation", &rotation.to_string(), "--driver", &options.driver]);
        if case.kills() {
            command.arg("--kill");
        }
        if case.loses_writes() {
            command.arg("--store-may-lose");
        }
        if let Some(folder) = &options.history {
            fs::create_dir_all(folder)?;
            let name = format!("{engine}-{rotation}-{case}-{seconds}.jsonl").to_lowercase();
            command.arg("--history").arg(folder.join(name));
        }
        // A URL may hold a password, so it is not an argument.
        command.env("HERD_STORE", url).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process(command.spawn()?);
        let stderr = process.0.stderr.take().ok_or("no standard error")?;
        let (sender, first_second) = channel();
        let violations = thread::spawn(move || read_progress(stderr, &sender));
        Ok(Self { process, first_second, violations })
    }

    /// Waits until the herd has run for a second. Returns when it began.
    pub(crate) fn wait_for_first_second(&self) -> Result<Instant, Box<dyn Error>> {
        let at = self.first_second.recv().map_err(|_| "the herd ended before it began")?;
        Ok(at.checked_sub(Duration::from_secs(1)).unwrap_or(at))
    }

    /// Waits for the herd's end.
    pub(crate) fn finish(mut self) -> Result<Finished, Box<dyn Error>> {
        let mut line = String::new();
        self.process.0.stdout.take().ok_or("no standard output")?.read_to_string(&mut line)?;
        let status = self.process.0.wait()?;
        let violations = self.violations.join().map_err(|_| "the herd's progress could not be read")?;
        if status.success() != violations.is_empty() {
            return Err(format!("the herd ended with {status} and {} violations", violations.len()).into());
        }
        Ok(Finished { result: serde_json::from_str(&line)?, violations })
    }
}

/// Repeats the herd's progress, and returns what it says of violations.
fn read_progress(from: impl Read, first_second: &Sender<Instant>) -> Vec<String> {
    let mut violations = Vec::new();
    let mut has_begun = false;
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        let _ = writeln!(io::stderr(), "  {line}");
        if !has_begun && line.contains(" bearers/s ") {
            has_begun = true;
            let _ = first_second.send(Instant::now());
        }
        violations.extend(line.strip_prefix(VIOLATION).map(str::to_owned));
    }
    violations
}

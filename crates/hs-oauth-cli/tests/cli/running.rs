//! A program that runs while the test does something.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus};
use std::time::Duration;

use crate::harness::{Outcome, Run};

/// Far longer than the program takes to start on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// What was read of standard error so far.
    message: String,
    folder: PathBuf,
}

impl Running {
    pub(crate) fn start(run: Run) -> Self {
        let (mut child, folder) = run.spawn();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr, message: String::new(), folder }
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for a line on standard error that contains `text`, and returns it.
    #[track_caller]
    pub(crate) fn expect(&mut self, text: &str) -> String {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(self.stderr.read_line(&mut line).unwrap(), 0, "no {text}: {}", self.message);
            self.message.push_str(&line);
        }
        line
    }

    /// Returns standard input, which is empty as long as nobody writes to it.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// Waits for the end of the program.
    pub(crate) fn outcome(mut self) -> Outcome {
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut self.message).unwrap();
        let status = self.child.wait().unwrap();
        Outcome { status: code(status), stdout, stderr: self.message, folder: self.folder }
    }
}

/// Returns the exit status, or the number of the signal that ended the program, below zero.
fn code(status: ExitStatus) -> i32 {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        status.code().unwrap_or_else(|| -status.signal().unwrap())
    }
    #[cfg(not(unix))]
    status.code().unwrap()
}

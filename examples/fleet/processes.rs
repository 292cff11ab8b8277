//! Starts and stops the processes of the fleet, and receives their reports.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hs_oauth_examples::{BoxError, print_progress};

use crate::child::{ChildConfig, Report};
use crate::journal::Journal;
use crate::setup::{STORE_VARIABLE, Setup};

/// The processes of the fleet.
pub(crate) struct Processes {
    running: Vec<Process>,
    receiver: Receiver<(usize, Report)>,
    sender: Sender<(usize, Report)>,
    /// The last report of each process.
    reports: Vec<Report>,
}

struct Process {
    process: Child,
    /// The process ends when this is closed.
    stdin: Option<ChildStdin>,
    reader: Option<JoinHandle<()>>,
}

/// How often the processes and the emulator's journal are looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long a process may take to end.
const MAX_END: Duration = Duration::from_secs(40);

impl Processes {
    /// Starts the processes, one for each configuration.
    pub(crate) fn start(
        setup: &Setup<'_>,
        configs: impl IntoIterator<Item = ChildConfig>,
    ) -> Result<Self, BoxError> {
        let (sender, receiver) = channel();
        let mut processes = Self { running: Vec::new(), receiver, sender, reports: Vec::new() };
        let store = setup.table.address().secret_text()?;
        for config in configs {
            processes.start_one(&store, &config)?;
        }
        Ok(processes)
    }

    /// Lets the processes run, and reads the journal, until `is_over` says that it is enough. What happens meanwhile is printed every ten
    /// seconds.
    pub(crate) fn run(
        &mut self,
        setup: &Setup<'_>,
        journal: &mut Journal,
        mut is_over: impl FnMut(&Journal) -> bool,
    ) -> Result<(), BoxError> {
        let begun = Instant::now();
        let mut next_line = Duration::from_secs(10);
        while !is_over(journal) {
            std::thread::sleep(POLL_INTERVAL);
            journal.read(&setup.hubspot);
            self.receive_reports();
            for (number, process) in self.running.iter_mut().enumerate() {
                if let Some(status) = process.process.try_wait()? {
                    return Err(format!("process {number} ended by itself with {status}").into());
                }
            }
            if begun.elapsed() >= next_line {
                next_line += Duration::from_secs(10);
                let (seconds, totals) = (begun.elapsed().as_secs(), self.totals());
                print_progress(format_args!(
                    "{seconds:>5} s {:>8} renewals {:>8} bearers {:>8} loads {:>8} swaps {:>6} pages",
                    journal.renewals().len(),
                    totals.bearers.got,
                    totals.loads,
                    totals.swaps,
                    totals.pages
                ));
            }
        }
        Ok(())
    }

    /// Stops all processes and waits until they have ended.
    pub(crate) fn stop(&mut self) -> Result<(), BoxError> {
        self.running.iter_mut().for_each(|process| process.stdin = None);
        let stopped = Instant::now();
        for (number, process) in self.running.iter_mut().enumerate() {
            let status = loop {
                match process.process.try_wait()? {
                    Some(status) => break status,
                    None if stopped.elapsed() > MAX_END => {
                        return Err(format!("process {number} did not end within {MAX_END:?}").into());
                    }
                    None => std::thread::sleep(POLL_INTERVAL),
                }
            };
            if !status.success() {
                return Err(format!("process {number} ended with {status}").into());
            }
            // It ends with the output of its process.
            if let Some(reader) = process.reader.take() {
                reader.join().map_err(|_| "a reader of reports has panicked")?;
            }
        }
        self.receive_reports();
        for (error, count) in &self.totals().bearers.errors {
            print_progress(format_args!("{count:>6} × {error}"));
        }
        Ok(())
    }

    /// Returns what all processes have done together.
    pub(crate) fn totals(&self) -> Report {
        let mut totals = Report::default();
        self.reports.iter().for_each(|report| totals.add(report));
        totals
    }

    /// Returns the most memory of each process, in kilobytes.
    pub(crate) fn peak_memory(&self) -> Vec<Option<u64>> {
        self.reports.iter().map(|report| report.peak_memory).collect()
    }

    fn start_one(&mut self, store: &str, config: &ChildConfig) -> Result<(), BoxError> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("child")
            .env(STORE_VARIABLE, store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let number = self.running.len();
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
        // From here on, it is ended whatever happens.
        self.running.push(Process { process, stdin, reader: None });
        self.reports.push(Report::default());
        let stdout = stdout.ok_or("no standard output")?;
        let sender = self.sender.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(report) = serde_json::from_str(&line) {
                    let _ = sender.send((number, report));
                }
            }
        });
        let process = self.running.last_mut().ok_or("no process")?;
        process.reader = Some(reader);
        writeln!(process.stdin.as_mut().ok_or("no standard input")?, "{}", serde_json::to_string(config)?)?;
        Ok(())
    }

    fn receive_reports(&mut self) {
        for (number, report) in self.receiver.try_iter() {
            if let Some(last) = self.reports.get_mut(number) {
                *last = report;
            }
        }
    }
}

impl Drop for Processes {
    /// Kills the processes that still run, and waits for them, so that none is left as a zombie.
    fn drop(&mut self) {
        for mut process in self.running.drain(..) {
            let _ = process.process.kill();
            let _ = process.process.wait();
        }
    }
}

//! Starts, kills and stops the processes of the herd, and receives their reports.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use hs_oauth_async::Timestamp;
use hs_oauth_core::Random;
use hs_oauth_examples::{Bearers, BoxError, StoreAddress, print_progress};

use crate::child::{ChildConfig, LostResponse, Report, STORE_VARIABLE};
use crate::observed_store::Outage;
use crate::options::Options;

/// How often the processes and the emulator's journal are looked at. The requests of one interval must fit into the journal.
/// They are about a hundredth of what it holds.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The processes of the herd.
pub(crate) struct Fleet {
    /// The configuration of the process that was started last.
    config: ChildConfig,
    /// The address of the store, which may hold a password.
    store: String,
    random: Random,
    running: Vec<RunningChild>,
    sender: Sender<Received>,
    receiver: Receiver<Received>,
    bearer_counts: Vec<(Timestamp, u64)>,
    totals: Totals,
    /// The outages of the store, each with the number of the process that had it.
    outages: Vec<(u32, Outage)>,
    /// The refreshes whose responses came too late, each with the number of the process that sent it.
    lost_responses: Vec<(u32, LostResponse)>,
    kills: Vec<Kill>,
    process_failures: Vec<String>,
}

/// What the processes have reported in all.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) bearers: Bearers,
    pub(crate) store_calls: u64,
    pub(crate) store_failures: u64,
    pub(crate) longest_store_call: Duration,
}

/// A report, with the number of the process and the time at which it came.
struct Received {
    number: u32,
    at: Timestamp,
    report: Report,
}

struct RunningChild {
    number: u32,
    process: Child,
    /// The process ends when this is closed.
    _stdin: ChildStdin,
}

/// A process that was killed.
pub(crate) struct Kill {
    pub(crate) number: u32,
    /// A moment just before the kill.
    pub(crate) at: Timestamp,
}

impl Fleet {
    /// Starts as many processes as the options say.
    pub(crate) fn start(
        options: &Options,
        store: &StoreAddress,
        config: ChildConfig,
    ) -> Result<Self, BoxError> {
        let (sender, receiver) = channel();
        let mut fleet = Self {
            config,
            store: store.secret_text()?,
            random: Random::from_os()?,
            running: Vec::new(),
            sender,
            receiver,
            bearer_counts: Vec::new(),
            totals: Totals::default(),
            outages: Vec::new(),
            lost_responses: Vec::new(),
            kills: Vec::new(),
            process_failures: Vec::new(),
        };
        for _ in 0..options.processes {
            fleet.start_child()?;
        }
        Ok(fleet)
    }

    /// Receives reports, and replaces processes that ended by themselves. Each of those is a failure.
    pub(crate) fn poll(&mut self) -> Result<(), BoxError> {
        self.receive_reports();
        for ended in self.take_ended()? {
            self.process_failures.push(format!("process {} ended by itself", ended.number));
            self.start_child()?;
        }
        Ok(())
    }

    /// Kills a random process and starts another one.
    pub(crate) fn kill_one(&mut self) -> Result<(), BoxError> {
        let last = u64::try_from(self.running.len().saturating_sub(1))?;
        let index = usize::try_from(self.random.up_to(last))?;
        if index < self.running.len() {
            let mut child = self.running.swap_remove(index);
            self.kills.push(Kill { number: child.number, at: now() });
            child.process.kill()?;
            child.process.wait()?;
        }
        self.start_child()
    }

    /// Stops all processes and waits until they have ended. It calls `while_waiting` again and again meanwhile.
    ///
    /// A process that has not ended within `timeout` is killed, and counts as a failure.
    pub(crate) fn stop(
        &mut self,
        timeout: Duration,
        mut while_waiting: impl FnMut(),
    ) -> Result<(), BoxError> {
        let stopped_at = Instant::now();
        let mut ending: Vec<(u32, Child)> = Vec::new();
        for RunningChild { number, process, .. } in self.running.drain(..) {
            ending.push((number, process));
        }
        while !ending.is_empty() && stopped_at.elapsed() < timeout {
            std::thread::sleep(POLL_INTERVAL);
            while_waiting();
            let mut running = Vec::new();
            for (number, mut process) in ending {
                match process.try_wait()? {
                    None => running.push((number, process)),
                    Some(status) if status.success() => {}
                    Some(status) => {
                        self.process_failures.push(format!("process {number} ended with {status}"))
                    }
                }
            }
            ending = running;
        }
        for (number, mut process) in ending {
            self.process_failures.push(format!("process {number} did not end within {timeout:?}"));
            process.kill()?;
            process.wait()?;
        }
        while_waiting();
        // Gives the reader threads time to pass on the last reports.
        std::thread::sleep(POLL_INTERVAL);
        self.receive_reports();
        for (error, count) in &self.totals.bearers.errors {
            print_progress(format_args!("{count:>6} × {error}"));
        }
        Ok(())
    }

    /// Returns the number of bearers in each report, with the time at which the report came.
    pub(crate) fn bearer_counts(&self) -> &[(Timestamp, u64)] {
        &self.bearer_counts
    }

    /// Returns what the processes have reported in all.
    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Returns the outages that the store had for a process.
    pub(crate) fn outages_of(&self, number: u32) -> impl Iterator<Item = Outage> {
        self.outages.iter().filter(move |outage| outage.0 == number).map(|outage| outage.1)
    }

    /// Returns the refreshes whose responses did not reach their processes in time, each with the number of its process.
    pub(crate) fn lost_responses(&self) -> &[(u32, LostResponse)] {
        &self.lost_responses
    }

    /// Returns the number of the process that was started last.
    pub(crate) fn last_number(&self) -> u32 {
        self.config.number
    }

    /// Returns the processes that were killed.
    pub(crate) fn kills(&self) -> &[Kill] {
        &self.kills
    }

    /// Returns a message for each process that ended by itself, with an error or too late.
    pub(crate) fn process_failures(&self) -> &[String] {
        &self.process_failures
    }

    fn start_child(&mut self) -> Result<(), BoxError> {
        self.config.number += 1;
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--child")
            .env(STORE_VARIABLE, &self.store)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdin = process.stdin.take().ok_or("no standard input")?;
        let stdout = process.stdout.take().ok_or("no standard output")?;
        writeln!(stdin, "{}", serde_json::to_string(&self.config)?)?;
        let sender = self.sender.clone();
        let number = self.config.number;
        std::thread::spawn(move || {
            // The last line of a killed process may be half a line, which is not a report.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(report) = serde_json::from_str(&line) {
                    let _ = sender.send(Received { number, at: now(), report });
                }
            }
        });
        self.running.push(RunningChild { number: self.config.number, process, _stdin: stdin });
        Ok(())
    }

    fn receive_reports(&mut self) {
        for Received { number, at, report } in self.receiver.try_iter() {
            self.bearer_counts.push((at, report.bearers.got));
            self.totals.add(&report);
            self.outages.extend(report.store_outages.into_iter().map(|outage| (number, outage)));
            self.lost_responses.extend(report.lost_responses.into_iter().map(|lost| (number, lost)));
        }
    }

    /// Removes and returns the processes that have ended.
    fn take_ended(&mut self) -> Result<Vec<RunningChild>, BoxError> {
        let mut ended = Vec::new();
        for mut child in std::mem::take(&mut self.running) {
            match child.process.try_wait()? {
                None => self.running.push(child),
                Some(_) => ended.push(child),
            }
        }
        Ok(ended)
    }
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.bearers.add(&report.bearers);
        self.store_calls += report.store_calls;
        self.store_failures += report.store_failures;
        self.longest_store_call = self.longest_store_call.max(report.longest_store_call);
    }
}

impl Drop for Fleet {
    /// Kills the processes that still run, and waits for them, so that none is left as a zombie.
    fn drop(&mut self) {
        for mut child in self.running.drain(..) {
            let _ = child.process.kill();
            let _ = child.process.wait();
        }
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

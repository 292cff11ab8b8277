//! The processes: started, killed, listened to, stopped.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use hs_oauth_async::{Random, Timestamp};

use crate::child::{Orders, Report};
use crate::options::Options;
use crate::result::tell;
use crate::{Failure, TICK};

pub(crate) struct Fleet {
    orders: Orders,
    random: Random,
    running: Vec<Member>,
    speaker: Sender<(Timestamp, Report)>,
    reports: Receiver<(Timestamp, Report)>,
    bearers: Vec<(Timestamp, u64)>,
    errors: BTreeMap<String, u64>,
    deaths: Vec<Death>,
    accidents: Vec<String>,
}

struct Member {
    number: u32,
    process: Child,
    /// Closing it ends the process.
    _orders: ChildStdin,
}

/// A process that was killed.
pub(crate) struct Death {
    pub(crate) number: u32,
    /// Just before.
    pub(crate) at: Timestamp,
}

impl Fleet {
    pub(crate) fn start(options: &Options, orders: Orders) -> Result<Self, Failure> {
        let (speaker, reports) = channel();
        let mut fleet = Self {
            orders,
            random: Random::from_os()?,
            running: Vec::new(),
            speaker,
            reports,
            bearers: Vec::new(),
            errors: BTreeMap::new(),
            deaths: Vec::new(),
            accidents: Vec::new(),
        };
        for _ in 0..options.processes {
            fleet.add()?;
        }
        Ok(fleet)
    }

    /// Hears what the processes have to tell, and replaces those that ended by themselves, which none should.
    pub(crate) fn look(&mut self) -> Result<(), Failure> {
        self.listen();
        for ended in self.take_ended()? {
            self.accidents.push(format!("process {} ended by itself", ended.number));
            self.add()?;
        }
        Ok(())
    }

    pub(crate) fn kill_one(&mut self) -> Result<(), Failure> {
        let last = u64::try_from(self.running.len().saturating_sub(1))?;
        let index = usize::try_from(self.random.up_to(last))?;
        if index < self.running.len() {
            let mut member = self.running.swap_remove(index);
            self.deaths.push(Death { number: member.number, at: now() });
            member.process.kill()?;
            member.process.wait()?;
        }
        self.add()
    }

    /// Tells all to end, and waits for it.
    pub(crate) fn stop(&mut self, patience: Duration, mut meanwhile: impl FnMut()) -> Result<(), Failure> {
        let asked = Instant::now();
        let mut ending: Vec<(u32, Child)> = Vec::new();
        for Member { number, process, .. } in self.running.drain(..) {
            ending.push((number, process));
        }
        while !ending.is_empty() && asked.elapsed() < patience {
            std::thread::sleep(TICK);
            meanwhile();
            let mut still = Vec::new();
            for (number, mut process) in ending {
                match process.try_wait()? {
                    None => still.push((number, process)),
                    Some(status) if status.success() => {}
                    Some(status) => self.accidents.push(format!("process {number} ended with {status}")),
                }
            }
            ending = still;
        }
        for (number, mut process) in ending {
            self.accidents.push(format!("process {number} did not end within {patience:?}"));
            process.kill()?;
            process.wait()?;
        }
        meanwhile();
        // What the listeners still have in hand.
        std::thread::sleep(TICK);
        self.listen();
        for (error, count) in &self.errors {
            tell(format_args!("{count:>6} × {error}"));
        }
        Ok(())
    }

    /// How many the processes have told of.
    pub(crate) fn bearers(&self) -> u64 {
        self.bearers.iter().map(|(_, count)| count).sum()
    }

    /// The same, in the parts it was told in.
    pub(crate) fn bearers_told(&self) -> &[(Timestamp, u64)] {
        &self.bearers
    }

    pub(crate) fn deaths(&self) -> &[Death] {
        &self.deaths
    }

    /// What went wrong with the processes themselves.
    pub(crate) fn accidents(&self) -> &[String] {
        &self.accidents
    }

    fn add(&mut self) -> Result<(), Failure> {
        self.orders.number += 1;
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--child")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut orders = process.stdin.take().ok_or("no standard input")?;
        let told = process.stdout.take().ok_or("no standard output")?;
        writeln!(orders, "{}", serde_json::to_string(&self.orders)?)?;
        let speaker = self.speaker.clone();
        std::thread::spawn(move || {
            // The last line of a process that was killed may be half a line, which is no report.
            for line in BufReader::new(told).lines().map_while(Result::ok) {
                if let Ok(report) = serde_json::from_str(&line) {
                    let _ = speaker.send((now(), report));
                }
            }
        });
        self.running.push(Member { number: self.orders.number, process, _orders: orders });
        Ok(())
    }

    fn listen(&mut self) {
        for (at, report) in self.reports.try_iter() {
            self.bearers.push((at, report.bearers));
            for (error, count) in report.errors {
                *self.errors.entry(error).or_default() += count;
            }
        }
    }

    fn take_ended(&mut self) -> Result<Vec<Member>, Failure> {
        let mut ended = Vec::new();
        for mut member in std::mem::take(&mut self.running) {
            match member.process.try_wait()? {
                None => self.running.push(member),
                Some(_) => ended.push(member),
            }
        }
        Ok(ended)
    }
}

impl Drop for Fleet {
    /// However the herd ends, no process is left as a zombie; closing their standard input ends those that still run.
    fn drop(&mut self) {
        for mut member in self.running.drain(..) {
            let _ = member.process.kill();
            let _ = member.process.wait();
        }
    }
}

fn now() -> Timestamp {
    SystemTime::now().into()
}

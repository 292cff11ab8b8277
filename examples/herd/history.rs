//! The history of a store: every call of every process, with its begin, its end and its outcome.
//!
//! Each process writes lines to a file of its own: one before a call begins and one after it has ended. A killed process loses
//! nothing that it has written. A call without a second line has an unknown outcome: its process died, or its caller gave up.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use hs_oauth_async::{Account, Record};
use hs_oauth_examples::BoxError;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A call of a store, as a line of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Operation {
    /// The number of the process. The process that started the others is 0.
    pub(crate) process: u32,
    pub(crate) account: Account,
    /// When the call began, in nanoseconds of a clock that all processes of the machine share.
    pub(crate) begin: u64,
    /// When the call ended. `None` if nobody knows.
    pub(crate) end: Option<u64>,
    #[serde(flatten)]
    pub(crate) call: Call,
    #[serde(flatten)]
    pub(crate) outcome: Outcome,
}

/// What was asked of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub(crate) enum Call {
    Load,
    Swap { expected: Option<u64>, written: Content },
    Remove { expected: u64 },
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// A load returned a record.
    Loaded { version: u64, content: Content },
    /// A load found no record.
    Nothing,
    /// A swap was done.
    Stored { version: u64 },
    /// A removal was done.
    Removed,
    /// A swap or a removal was not done, since the version was another one.
    Conflict,
    /// The call failed, or nobody learned how it ended. It may take effect at any time after its begin, or never.
    Unknown,
}

/// A hash of a record, since a history must hold no tokens. It is the same in every process of the same program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Content(u64);

impl Content {
    pub(crate) fn of(record: &Record) -> Self {
        let mut hasher = DefaultHasher::new();
        serde_json::to_vec(record).unwrap_or_default().hash(&mut hasher);
        // JSON's readers are sure of 53 bits.
        Self(hasher.finish() >> 11)
    }
}

/// Writes the calls of one process.
#[derive(Debug)]
pub(crate) struct Recorder {
    file: Mutex<File>,
    calls: AtomicU64,
}

/// The number of a call in its process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct CallNumber(u64);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Begin {
        number: CallNumber,
        begin: u64,
        account: Account,
        #[serde(flatten)]
        call: Call,
    },
    End {
        number: CallNumber,
        end: u64,
        #[serde(flatten)]
        outcome: Outcome,
    },
}

impl Recorder {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: Mutex::new(File::create_new(path)?), calls: AtomicU64::new(0) })
    }

    /// Writes that a call begins. It must not begin before this returns.
    pub(crate) fn begin(&self, account: Account, call: Call) -> io::Result<CallNumber> {
        let number = CallNumber(self.calls.fetch_add(1, Ordering::Relaxed));
        self.write(|begin| Line::Begin { number, begin, account, call })?;
        Ok(number)
    }

    /// Writes how a call has ended.
    pub(crate) fn end(&self, number: CallNumber, outcome: Outcome) -> io::Result<()> {
        self.write(|end| Line::End { number, end, outcome })
    }

    /// Writes a line at once: the kernel has it, even if the process is killed in the next moment.
    fn write(&self, line: impl FnOnce(u64) -> Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(&line(now()))?;
        text.push(b'\n');
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text)
    }
}

/// Reads the calls of one process from its file. A last line that is cut off was being written when the process was killed: that call had
/// not begun, or nobody learned how it ended. A process that was killed before it opened its store has no file, and made no call.
pub(crate) fn read(process: u32, path: &Path) -> Result<Vec<Operation>, BoxError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let mut calls = BTreeMap::new();
    let mut ended = Vec::new();
    let mut lines = BufReader::new(file).lines().peekable();
    while let Some(line) = lines.next() {
        match serde_json::from_str(&line?) {
            Ok(Line::Begin { number, begin, account, call }) => {
                let outcome = Outcome::Unknown;
                calls.insert(number, Operation { process, account, begin, end: None, call, outcome });
            }
            Ok(Line::End { number, end, outcome }) => {
                let operation = calls.remove(&number).ok_or("a call ended that did not begin")?;
                ended.push(Operation { end: Some(end), outcome, ..operation });
            }
            Err(_) if lines.peek().is_none() => {}
            Err(error) => return Err(format!("{}: {error}", path.display()).into()),
        }
    }
    ended.extend(calls.into_values());
    Ok(ended)
}

/// Writes operations to a file, one a line, in the order in which they began.
pub(crate) fn write(path: &Path, operations: &mut [Operation]) -> Result<(), BoxError> {
    operations.sort_by_key(|operation| operation.begin);
    let mut file = BufWriter::new(File::create(path)?);
    for operation in operations {
        serde_json::to_writer(&mut file, operation)?;
        file.write_all(b"\n")?;
    }
    Ok(file.flush()?)
}

/// Returns the time of the clock that all processes of the machine share, and that nobody sets.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_was_killed_before_it_opened_its_store_has_made_no_call() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(1, &folder.path().join("1.jsonl")).unwrap().is_empty());
    }
}

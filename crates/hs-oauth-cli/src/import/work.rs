//! The work on the rows: several threads, within a rate, until all is done or somebody stops it.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hs_oauth_blocking::{Account, NextStep, TokenError, TokenManager, TokenSet, TokenStore};

use crate::failure::Failure;
use crate::import::journal::{Entry, Journal};
use crate::import::plan::{Step, plan};
use crate::import::result::{Outcome, Reason, RowResult};
use crate::import::row::{Digest, Grant, Row};
use crate::output::print_error;

/// How rows are imported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Whether tokens are those of users.
    pub(crate) user_level: bool,
    /// Whether HubSpot is asked to accept each refresh token.
    pub(crate) verify: bool,
    /// Whether a refresh token takes the place of another one of the same account.
    pub(crate) replace: bool,
    /// How many threads work.
    pub(crate) threads: NonZeroU32,
}

/// What an import works with.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    /// The client id of the app, whose tokens the table has.
    pub(crate) client_id: &'a str,
    pub(crate) manager: &'a TokenManager,
    pub(crate) store: &'a dyn TokenStore,
    pub(crate) journal: &'a Journal,
}

/// What an import has come to.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    /// Why it has stopped early, if something is wrong that concerns all rows.
    pub(crate) failure: Option<Failure>,
    /// Tokens that could not be saved.
    pub(crate) unsaved: Vec<(Account, TokenSet)>,
}

/// Imports the rows, and tells `on_result` of each. When `stop` is set, what is under way is finished, and the rest is not begun.
pub(crate) fn import(
    rows: Vec<Row>,
    target: Target<'_>,
    settings: Settings,
    stop: &AtomicBool,
    mut on_result: impl FnMut(RowResult),
) -> Imported {
    let mut imported = Imported::default();
    let manager = target.manager;
    let jobs = jobs(rows, target, settings, &mut on_result);
    let worker = Worker { target, settings, halt: Halt::default() };
    let queue = Mutex::new(jobs.into_iter());
    let (sender, results) = channel();
    thread::scope(|scope| {
        for _ in 0..settings.threads.get() {
            let (worker, queue, sender) = (&worker, &queue, sender.clone());
            scope.spawn(move || worker.run(queue, &sender));
        }
        drop(sender);
        let mut is_shut_down = false;
        loop {
            match results.recv_timeout(Duration::from_millis(100)) {
                Ok(Worked::Row(result)) => on_result(result),
                // One failure is enough to know.
                Ok(Worked::Failed(failure)) => drop(imported.failure.get_or_insert(failure)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let is_stopped = stop.load(Ordering::Relaxed);
            if !is_shut_down && (imported.failure.is_some() || is_stopped) {
                is_shut_down = true;
                if is_stopped {
                    print_error(
                        "stopping when what is under way is done (a second signal ends the program at once)",
                    );
                }
                worker.halt.now();
                // What has not been sent is not sent any more, and what has been sent is waited for.
                imported.unsaved = manager.shutdown();
            }
        }
    });
    if imported.unsaved.is_empty() {
        imported.unsaved = manager.shutdown();
    }
    imported
}

/// A row that is to be worked on.
struct Job {
    line: u64,
    account: Account,
    grant: Grant,
    digest: Digest,
    entry: Option<Entry>,
}

/// Returns the rows that are to be worked on. The others are told at once.
fn jobs(
    rows: Vec<Row>,
    target: Target<'_>,
    settings: Settings,
    on_result: &mut impl FnMut(RowResult),
) -> Vec<Job> {
    let mut lines: HashMap<Account, (u64, Digest)> = HashMap::new();
    let mut jobs = Vec::with_capacity(rows.len());
    for Row { line, content } in rows {
        let known = content.and_then(|grant| Ok((grant.account(settings.user_level)?, grant)));
        let (account, grant) = match known {
            Ok(known) => known,
            Err(invalid) => {
                on_result(RowResult { line, account: None, outcome: invalid.into() });
                continue;
            }
        };
        let digest = grant.digest(account);
        let outcome = match lines.get(&account) {
            Some((_, same)) if *same == digest => Some(Outcome::Unchanged),
            Some((first, _)) => Some(Outcome::refused(
                Reason::Duplicate,
                format!("line {first} has the same account with another refresh token"),
            )),
            None if grant.client_id.as_deref().is_some_and(|named| named != target.client_id) => {
                Some(Outcome::refused(
                    Reason::OtherApp,
                    "the row names another client id than the profile: import it with --profile and the other app's settings",
                ))
            }
            None => None,
        };
        match outcome {
            Some(outcome) => on_result(RowResult { line, account: Some(account.to_string()), outcome }),
            None => {
                lines.insert(account, (line, digest.clone()));
                let entry = target.journal.entry(&digest);
                jobs.push(Job { line, account, grant, digest, entry });
            }
        }
    }
    // A program that was killed while it renewed has left its lease behind, which has to end first. Meanwhile the others are done.
    jobs.sort_by_key(|job| job.entry == Some(Entry::Begun));
    jobs
}

/// What a worker tells.
enum Worked {
    Row(RowResult),
    Failed(Failure),
}

/// What every worker works with.
struct Worker<'a> {
    target: Target<'a>,
    settings: Settings,
    halt: Halt,
}

impl Worker<'_> {
    fn run(&self, queue: &Mutex<impl Iterator<Item = Job>>, sender: &Sender<Worked>) {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(job) = next else { return };
            let outcome = match self.halt.is_set() {
                true => Outcome::pending(NOT_BEGUN),
                false => self.work(&job).unwrap_or_else(|failure| {
                    self.halt.now();
                    let outcome = Outcome::pending(failure.to_string());
                    let _ = sender.send(Worked::Failed(failure));
                    outcome
                }),
            };
            // The receiver lives until all workers have ended.
            let account = Some(job.account.to_string());
            let _ = sender.send(Worked::Row(RowResult { line: job.line, account, outcome }));
        }
    }

    /// Does what is left to do for a row. Fails if something is wrong that concerns all rows.
    fn work(&self, job: &Job) -> Result<Outcome, Failure> {
        let stored = self.target.store.load(job.account)?;
        let Settings { verify, replace, .. } = self.settings;
        match plan(&job.grant, stored.as_ref(), job.entry, verify, replace) {
            Step::Done(outcome) => return Ok(outcome),
            Step::Verify => {}
            Step::Install => {
                if let Err(error) =
                    self.target.manager.install_refresh_token(job.account, job.grant.refresh_token.clone())
                {
                    return outcome_of(error, true);
                }
                if !verify {
                    return Ok(Outcome::Stored);
                }
            }
        }
        self.add(job, Entry::Begun)?;
        let outcome = self.verify(job.account)?;
        match &outcome {
            Outcome::Accepted { .. } => self.add(job, Entry::Accepted)?,
            Outcome::Refused { .. } => self.add(job, Entry::Refused)?,
            _ => {}
        }
        Ok(outcome)
    }

    fn add(&self, job: &Job, entry: Entry) -> Result<(), Failure> {
        let added = self.target.journal.add(&job.digest, entry);
        added.map_err(|error| Failure::Other(format!("could not write down what is imported: {error}")))
    }

    /// Has the tokens renewed, and tries again for a while if HubSpot asks for that.
    fn verify(&self, account: Account) -> Result<Outcome, Failure> {
        let begun = Instant::now();
        loop {
            let error = match self.target.manager.bearer(account) {
                Ok(_) => return Ok(Outcome::Accepted { earlier: false }),
                Err(error) => error,
            };
            let wait = match error.next_step() {
                NextStep::RetryAfter(wait) => wait.unwrap_or(PAUSE).max(PAUSE),
                _ => return self.refused(account, error),
            };
            if begun.elapsed() + wait > MAX_WAIT || self.halt.wait(wait) {
                return outcome_of(error, false);
            }
        }
    }

    /// Returns what an error says about a row, after the account is forgotten again if the token is not its own.
    fn refused(&self, account: Account, error: TokenError) -> Result<Outcome, Failure> {
        if matches!(error, TokenError::OtherAccount { .. }) {
            self.target.manager.forget(account)?;
        }
        outcome_of(error, false)
    }
}

/// Returns what an error says about a row, or the failure that concerns all rows.
fn outcome_of(error: TokenError, is_install: bool) -> Result<Outcome, Failure> {
    let message = Failure::brief(&error);
    let refused = |reason| Ok(Outcome::refused(reason, message.clone()));
    match &error {
        TokenError::Gone { .. } => refused(Reason::Gone),
        TokenError::OtherAccount { .. } => refused(Reason::OtherAccount),
        TokenError::OtherApp { .. } => refused(Reason::OtherApp),
        TokenError::NotInstalled | TokenError::NotRenewable | TokenError::WrongLevel { .. } => {
            refused(Reason::Refused)
        }
        TokenError::ShutDown | TokenError::Interrupted | TokenError::Superseded { .. } => {
            Ok(Outcome::pending(message))
        }
        TokenError::Store(_) | TokenError::Unsaved { .. } => Err(error.into()),
        _ => match error.next_step() {
            NextStep::FixConfiguration => Err(error.into()),
            NextStep::Reauthorize | NextStep::RestartAuthorization if !is_install => refused(Reason::Refused),
            _ => Ok(Outcome::pending(message)),
        },
    }
}

/// Says to all workers that they are to end, and wakes those that wait.
#[derive(Default)]
struct Halt {
    is_set: Mutex<bool>,
    condition: Condvar,
}

impl Halt {
    fn is_set(&self) -> bool {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.condition.notify_all();
    }

    /// Waits, and returns whether the workers are to end.
    fn wait(&self, time: Duration) -> bool {
        let is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.condition.wait_timeout_while(is_set, time, |is_set| !*is_set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

const NOT_BEGUN: &str = "the import was stopped before it";

/// How long a row waits before it is tried again, if HubSpot names no time.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a row is tried.
const MAX_WAIT: Duration = Duration::from_secs(5 * 60);

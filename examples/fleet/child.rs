//! One process of the fleet. It has a manager over the shared store, and asks it for bearers if the run wants that.

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hs_oauth_async::{Account, App, Client, ClientSecret, Event, Sweep, TokenManager, http_builder};
use hs_oauth_core::Random;
use hs_oauth_examples::{Bearers, BoxError, peak_memory};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::counted_store::{Calls, CountedStore};
use crate::setup::{STORE_VARIABLE, Table};

/// The configuration of a process: one line on its standard input, because other processes can read its arguments. The process
/// ends when its standard input is closed. The address of the store is in the environment.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ChildConfig {
    /// The address of the emulator.
    pub(crate) url: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) table: String,
    /// How many processes there are.
    pub(crate) replicas: u32,
    /// How many renewals they begin together in a second.
    pub(crate) rate: Option<u32>,
    pub(crate) sweep: Option<SweepKind>,
    pub(crate) callers: Option<Callers>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum SweepKind {
    KeepWarm,
    CheckEvery(Duration),
}

/// Who asks the manager for bearers.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Callers {
    /// So many a second, each for one of the accounts from 1 to `accounts` by chance.
    Random { accounts: u32, per_second: f64 },
    /// One for each of so many accounts from `first` on. As soon as it has a new token, it wants another one.
    Renewing { first: i64, accounts: u32 },
}

/// What a process has done since it began.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) bearers: Bearers,
    pub(crate) loads: u64,
    pub(crate) swaps: u64,
    pub(crate) pages: u64,
    pub(crate) store_failures: u64,
    /// The most memory that it has had, in kilobytes.
    pub(crate) peak_memory: Option<u64>,
}

const REPORT_INTERVAL: Duration = Duration::from_millis(200);
/// How many tasks ask for bearers of accounts by chance.
const TASKS: u32 = 16;

/// Runs the process until its standard input is closed.
pub(crate) fn run() -> Result<(), BoxError> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let config: ChildConfig = serde_json::from_str(&line)?;
    let (stop, stopped) = watch::channel(false);
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        stop.send_replace(true);
    });
    let table = Table::existing(&std::env::var(STORE_VARIABLE)?, config.table.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run_manager(&config, &table, stopped))
}

/// What the tasks of the process share.
#[derive(Clone)]
struct Worker {
    manager: TokenManager,
    report: Arc<Mutex<Report>>,
    calls: Arc<Calls>,
}

async fn run_manager(
    config: &ChildConfig,
    table: &Table,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), BoxError> {
    let store = CountedStore::new(table.open()?);
    let calls = store.calls();
    let app = App::hubspot(&config.client_id, ClientSecret::new(&config.client_secret)?)
        .with_api_base(&config.url)
        .build()?;
    let report = Arc::new(Mutex::new(Report::default()));
    let event_report = Arc::clone(&report);
    let mut builder =
        TokenManager::builder(Client::with_http(app, http_builder().no_proxy().build()?), store)
            .with_replicas(NonZeroU32::new(config.replicas).ok_or("no processes")?)
            .on_event(move |event| match event {
                Event::Failed { error, .. } => {
                    locked(&event_report).bearers.count_error(format!("renewal: {error}"))
                }
                Event::Gone { .. } => locked(&event_report).bearers.count_error("renewal: the grant is gone"),
                _ => {}
            });
    if let Some(rate) = config.rate.and_then(NonZeroU32::new) {
        builder = builder.with_renewals_per_second(rate);
    }
    if let Some(sweep) = config.sweep {
        builder = builder.with_sweep(match sweep {
            SweepKind::KeepWarm => Sweep::keep_warm(),
            SweepKind::CheckEvery(period) => Sweep::check_every(period),
        });
    }
    let worker = Worker { manager: builder.build(), report, calls };

    let mut tasks = JoinSet::new();
    match config.callers {
        Some(Callers::Random { accounts, per_second }) => {
            for _ in 0..TASKS {
                let pause = Duration::from_secs_f64(f64::from(TASKS) / per_second);
                tasks.spawn(worker.clone().ask(accounts, pause, Random::from_os()?, stopped.clone()));
            }
        }
        Some(Callers::Renewing { first, accounts }) => {
            for hub_id in first..first + i64::from(accounts) {
                tasks.spawn(worker.clone().renew(Account::hub(hub_id), stopped.clone()));
            }
        }
        None => {}
    }
    while !*stopped.borrow() {
        let _ = tokio::time::timeout(REPORT_INTERVAL, stopped.changed()).await;
        worker.send_report();
    }
    // Callers who wait for a renewal receive an error now.
    let unsaved = worker.manager.shutdown().await;
    tasks.abort_all();
    while tasks.join_next().await.is_some() {}
    for _ in unsaved {
        locked(&worker.report).bearers.count_error("tokens that could not be saved");
    }
    worker.send_report();
    Ok(())
}

impl Worker {
    /// Asks for bearers of accounts by chance until the process stops.
    async fn ask(
        self,
        accounts: u32,
        pause: Duration,
        mut random: Random,
        mut stopped: watch::Receiver<bool>,
    ) {
        let pause = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX / 2);
        loop {
            let pause = Duration::from_micros(random.up_to(pause.saturating_mul(2)));
            if tokio::time::timeout(pause, stopped.wait_for(|stopped| *stopped)).await.is_ok() {
                return;
            }
            let hub_id = i64::try_from(random.up_to(u64::from(accounts) - 1)).unwrap_or(0) + 1;
            let asked = Instant::now();
            let bearer = self.manager.bearer(Account::hub(hub_id)).await;
            if !*stopped.borrow() {
                locked(&self.report).bearers.note(asked.elapsed(), &bearer);
            }
        }
    }

    /// Renews the account again and again until the process stops.
    async fn renew(self, account: Account, stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            let asked = Instant::now();
            let bearer = self.manager.refresh_now(account).await;
            if !*stopped.borrow() {
                locked(&self.report).bearers.note(asked.elapsed(), &bearer);
            }
        }
    }

    /// Writes what has happened so far to standard output.
    fn send_report(&self) {
        let mut report = locked(&self.report).clone();
        report.loads = self.calls.loads.load(Ordering::Relaxed);
        report.swaps = self.calls.swaps.load(Ordering::Relaxed);
        report.pages = self.calls.pages.load(Ordering::Relaxed);
        report.store_failures = self.calls.failures.load(Ordering::Relaxed);
        report.peak_memory = peak_memory();
        if let Ok(line) = serde_json::to_string(&report) {
            // If nobody reads the report, standard input is closed too, and the process ends.
            let _ = writeln!(io::stdout(), "{line}");
        }
    }
}

impl Report {
    /// Adds what another process has done. The memory of processes is not added.
    pub(crate) fn add(&mut self, other: &Self) {
        self.bearers.add(&other.bearers);
        self.loads += other.loads;
        self.swaps += other.swaps;
        self.pages += other.pages;
        self.store_failures += other.store_failures;
    }
}

fn locked(report: &Mutex<Report>) -> MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}

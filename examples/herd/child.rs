//! One process of the herd. It has a manager over the shared store, and many tasks that ask the manager for bearers and use
//! them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hs_oauth_async::{
    Account, App, AsyncTokenStore, Client, ClientSecret, Error, Event, Timestamp, TokenError, TokenManager,
    http_builder, reqwest,
};
use hs_oauth_core::Random;
use hs_oauth_examples::{Bearers, BoxError, Driver, StoreAddress};
use http::header::{self, AUTHORIZATION};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::observed_store::{Observed, ObservedStore, Outage};
use crate::store_tasks::{PAUSE_AFTER_FAILURE, Period, StoreTask};

/// The configuration of a process: one line on its standard input, because other processes can read its arguments. The process
/// ends when its standard input is closed. The address of the store is in the environment.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ChildConfig {
    /// The number of the process. It is in the `User-Agent`, so that the emulator's journal has the sender of each request.
    pub(crate) number: u32,
    /// What it reaches PostgreSQL with.
    pub(crate) driver: Driver,
    /// The address of the emulator.
    pub(crate) url: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    /// The folder into which the process writes its history, if one is asked for.
    pub(crate) histories: Option<PathBuf>,
    pub(crate) hubs: Vec<i64>,
    pub(crate) tasks: u32,
    pub(crate) store_tasks: u32,
    pub(crate) store_task_accounts: u32,
    /// How long a task waits between two calls, on average.
    pub(crate) pause: Duration,
}

/// What a process did since its last report.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) bearers: Bearers,
    pub(crate) store_calls: u64,
    pub(crate) store_failures: u64,
    /// The longest call of the store since the process began.
    pub(crate) longest_store_call: Duration,
    pub(crate) store_outages: Vec<Outage>,
    pub(crate) lost_responses: Vec<LostResponse>,
}

/// A refresh that was sent, and whose response did not come in time. HubSpot may have issued tokens that nobody has.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct LostResponse {
    pub(crate) hub_id: i64,
    /// When the process gave up the request, or somewhat later.
    pub(crate) given_up_at: Timestamp,
}

/// The environment variable with the address of the store. An address may hold a password, and other users can read the arguments of a process.
pub(crate) const STORE_VARIABLE: &str = "HERD_STORE";

/// The beginning of the `User-Agent` of a process. The number of the process follows, and in a call of the API the time at which the task got
/// its bearer, in milliseconds.
pub(crate) const USER_AGENT: &str = "herd/";
/// Above 512 in all, the emulator closes one for each new one, maybe just when a process begins to use it.
const MAX_IDLE_CONNECTIONS: usize = 32;
const REPORT_INTERVAL: Duration = Duration::from_millis(200);
/// A task asks for this many bearers and uses one of them for a call.
const BEARERS_PER_CALL: u32 = 10;
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

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
    let address = StoreAddress::parse(&std::env::var(STORE_VARIABLE)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run_tasks(config, &address, stopped))
}

/// What the tasks of the process share.
#[derive(Clone)]
struct Worker {
    manager: TokenManager,
    http: reqwest::Client,
    /// The URL that the tasks call.
    url: String,
    config: Arc<ChildConfig>,
    report: Arc<Mutex<Report>>,
    store_calls: Arc<Observed>,
}

async fn run_tasks(
    config: ChildConfig,
    address: &StoreAddress,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), BoxError> {
    let history = config.histories.as_ref().map(|folder| history_file(folder, config.number));
    let store = ObservedStore::new(address.open(config.driver)?, history.as_deref())?;
    let app = App::hubspot(&config.client_id, ClientSecret::new(&config.client_secret)?)
        .with_api_base(&config.url)
        .build()?;
    let http = http_builder()
        .no_proxy()
        .user_agent(format!("{USER_AGENT}{}", config.number))
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .build()?;
    let report = Arc::new(Mutex::new(Report::default()));
    let event_report = Arc::clone(&report);
    let manager = TokenManager::builder(Client::with_http(app, http.clone()), store.clone())
        .on_event(move |event| match event {
            Event::Failed { account, error, .. } => {
                let mut report = locked(&event_report);
                report.bearers.count_error(format!("renewal: {error}"));
                if let TokenError::Call(Error::Transport(error)) = error
                    && !error.kind().surely_unsent()
                {
                    let given_up_at = SystemTime::now().into();
                    report.lost_responses.push(LostResponse { hub_id: account.hub_id, given_up_at });
                }
            }
            Event::Gone { .. } => locked(&event_report).bearers.count_error("renewal: the grant is gone"),
            _ => {}
        })
        .build();
    let url = format!("{}/account-info/v3/details", config.url);
    let store_calls = store.observed();
    let worker = Worker { manager, http, url, config: Arc::new(config), report, store_calls };

    let mut tasks = JoinSet::new();
    for _ in 0..worker.config.tasks {
        tasks.spawn(worker.clone().run_task(stopped.clone(), Random::from_os()?));
    }
    for _ in 0..worker.config.store_tasks {
        let task = StoreTask::new(worker.config.store_task_accounts, Random::from_os()?);
        tasks.spawn(run_store_task(task, store.clone(), stopped.clone(), Arc::clone(&worker.report)));
    }
    while !*stopped.borrow() {
        let _ = tokio::time::timeout(REPORT_INTERVAL, stopped.changed()).await;
        worker.send_report();
    }
    while tasks.join_next().await.is_some() {}
    for _ in worker.manager.shutdown().await {
        locked(&worker.report).bearers.count_error("tokens that could not be saved");
    }
    worker.send_report();
    Ok(())
}

/// Returns the file into which a process writes its history.
pub(crate) fn history_file(folder: &Path, process: u32) -> PathBuf {
    folder.join(format!("{process}.jsonl"))
}

/// Calls the store until the process stops.
async fn run_store_task(
    mut task: StoreTask,
    store: ObservedStore<impl AsyncTokenStore>,
    mut stopped: watch::Receiver<bool>,
    report: Arc<Mutex<Report>>,
) {
    while !*stopped.borrow() {
        if let Err(error) = task.step(Period::now(), &store).await {
            locked(&report).bearers.count_error(format!("store task: {error}"));
            let stop = stopped.wait_for(|stopped| *stopped);
            let _ = tokio::time::timeout(PAUSE_AFTER_FAILURE, stop).await;
        }
    }
}

impl Worker {
    /// Asks for bearers and makes calls with some of them until the process stops.
    async fn run_task(self, mut stopped: watch::Receiver<bool>, mut random: Random) {
        let pause = u64::try_from(self.config.pause.as_micros()).unwrap_or(u64::MAX / 2);
        loop {
            let pause = Duration::from_micros(random.up_to(pause.saturating_mul(2)));
            if tokio::time::timeout(pause, stopped.wait_for(|stopped| *stopped)).await.is_ok() {
                return;
            }
            for call in 0..BEARERS_PER_CALL {
                let last = u64::try_from(self.config.hubs.len()).unwrap_or(1) - 1;
                let index = usize::try_from(random.up_to(last)).unwrap_or(0);
                let Some(hub_id) = self.config.hubs.get(index) else { return };
                let asked = Instant::now();
                let bearer = self.manager.bearer(Account::hub(*hub_id)).await;
                locked(&self.report).bearers.note(asked.elapsed(), &bearer);
                if let Ok(bearer) = bearer
                    && call == 0
                {
                    self.call(bearer).await;
                }
            }
        }
    }

    /// Calls the API without the second try that the manager's `send` makes, so that the journal shows a rejected bearer, and when the task
    /// got it.
    async fn call(&self, bearer: http::HeaderValue) {
        let now = Timestamp::from(SystemTime::now());
        let sender = format!("{USER_AGENT}{} {}", self.config.number, now.as_millis());
        let request =
            self.http.get(&self.url).header(AUTHORIZATION, bearer).header(header::USER_AGENT, sender);
        match request.timeout(CALL_TIMEOUT).send().await {
            Ok(response) if response.status().is_success() => _ = response.bytes().await,
            Ok(response) => {
                locked(&self.report).bearers.count_error(format!("call: {}", response.status()));
            }
            Err(error) if error.is_timeout() => locked(&self.report).bearers.count_error("call: timed out"),
            Err(_) => locked(&self.report).bearers.count_error("call: no response"),
        }
    }

    /// Writes what happened since the last report to standard output.
    fn send_report(&self) {
        let mut report = std::mem::take(&mut *locked(&self.report));
        report.store_calls = self.store_calls.take_calls();
        report.store_failures = self.store_calls.take_failures();
        report.longest_store_call = self.store_calls.longest();
        report.store_outages = self.store_calls.take_outages();
        if let Ok(line) = serde_json::to_string(&report) {
            // If nobody reads the report, standard input is closed too, and the process ends.
            let _ = writeln!(io::stdout(), "{line}");
        }
    }
}

fn locked(report: &Mutex<Report>) -> MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}

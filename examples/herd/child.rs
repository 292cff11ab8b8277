//! One process of the herd: a manager over the shared folder, and many tasks that ask it for bearers and use them.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hs_oauth_async::{
    Account, App, Client, ClientSecret, Event, FileStore, SpawnBlocking, Random, TokenManager, http_builder,
    reqwest,
};
use http::header::AUTHORIZATION;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Failure;

/// What a process is told: a line on its standard input, since arguments can be read by others. It ends when that closes.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// Which process this is. It is the `User-Agent`, by which the emulator's journal tells who sent what.
    pub(crate) number: u32,
    pub(crate) url: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) folder: PathBuf,
    pub(crate) hubs: Vec<i64>,
    pub(crate) tasks: u32,
    /// How long a task waits between two calls, on average.
    pub(crate) pause: Duration,
}

/// What a process did since its last report.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) bearers: u64,
    pub(crate) errors: BTreeMap<String, u64>,
}

/// The beginning of the `User-Agent` of each process; its number follows.
pub(crate) const USER_AGENT: &str = "herd/";
const REPORTS: Duration = Duration::from_millis(200);
/// Of so many bearers one is used for a call.
const BEARERS_PER_CALL: u32 = 10;
const LONGEST_CALL: Duration = Duration::from_secs(10);

pub(crate) fn run() -> Result<(), Failure> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let orders: Orders = serde_json::from_str(&line)?;
    let (stop, stopped) = watch::channel(false);
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        stop.send_replace(true);
    });
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work(orders, stopped))
}

#[derive(Clone)]
struct Worker {
    manager: TokenManager,
    http: reqwest::Client,
    details: String,
    orders: Arc<Orders>,
    report: Arc<Mutex<Report>>,
}

async fn work(orders: Orders, mut stopped: watch::Receiver<bool>) -> Result<(), Failure> {
    let app = App::hubspot(&orders.client_id, ClientSecret::new(&orders.client_secret)?)
        .with_api_base(&orders.url)
        .build()?;
    let http = http_builder().no_proxy().user_agent(format!("{USER_AGENT}{}", orders.number)).build()?;
    let report = Arc::new(Mutex::new(Report::default()));
    let hears = Arc::clone(&report);
    let manager = TokenManager::builder(
        Client::with_http(app, http.clone()),
        SpawnBlocking::new(FileStore::open(&orders.folder)?),
    )
    .on_event(move |event| match event {
        Event::Failed { error, .. } => locked(&hears).count(format!("renewal: {error}")),
        Event::Gone { .. } => locked(&hears).count("renewal: the grant is gone"),
        _ => {}
    })
    .build();
    let details = format!("{}/account-info/v3/details", orders.url);
    let worker = Worker { manager, http, details, orders: Arc::new(orders), report };

    let mut tasks = JoinSet::new();
    for _ in 0..worker.orders.tasks {
        tasks.spawn(worker.clone().labour(stopped.clone(), Random::from_os()?));
    }
    while !*stopped.borrow() {
        let _ = tokio::time::timeout(REPORTS, stopped.changed()).await;
        worker.tell();
    }
    while tasks.join_next().await.is_some() {}
    for _ in worker.manager.shutdown().await {
        locked(&worker.report).count("tokens that could not be saved");
    }
    worker.tell();
    Ok(())
}

impl Worker {
    async fn labour(self, mut stopped: watch::Receiver<bool>, mut random: Random) {
        let pause = u64::try_from(self.orders.pause.as_micros()).unwrap_or(u64::MAX / 2);
        loop {
            let pause = Duration::from_micros(random.up_to(pause.saturating_mul(2)));
            if tokio::time::timeout(pause, stopped.wait_for(|stopped| *stopped)).await.is_ok() {
                return;
            }
            for call in 0..BEARERS_PER_CALL {
                let last = u64::try_from(self.orders.hubs.len()).unwrap_or(1) - 1;
                let index = usize::try_from(random.up_to(last)).unwrap_or(0);
                let Some(hub_id) = self.orders.hubs.get(index) else { return };
                let bearer = self.manager.bearer(Account::hub(*hub_id)).await;
                match bearer {
                    Err(error) => locked(&self.report).count(format!("bearer: {}", error.name())),
                    Ok(bearer) => {
                        locked(&self.report).bearers += 1;
                        if call == 0 {
                            self.call(bearer).await;
                        }
                    }
                }
            }
        }
    }

    /// Without the second try that the manager's `send` makes: a bearer that is refused must be seen.
    async fn call(&self, bearer: http::HeaderValue) {
        let request = self.http.get(&self.details).header(AUTHORIZATION, bearer).timeout(LONGEST_CALL);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => _ = answer.bytes().await,
            Ok(answer) => locked(&self.report).count(format!("call: {}", answer.status())),
            Err(error) if error.is_timeout() => locked(&self.report).count("call: timed out"),
            Err(_) => locked(&self.report).count("call: no answer"),
        }
    }

    fn tell(&self) {
        let report = std::mem::take(&mut *locked(&self.report));
        if let Ok(line) = serde_json::to_string(&report) {
            // If nobody listens any more, standard input is closed, too.
            let _ = writeln!(io::stdout(), "{line}");
        }
    }
}

impl Report {
    fn count(&mut self, error: impl Into<String>) {
        *self.errors.entry(error.into()).or_default() += 1;
    }
}

fn locked(report: &Mutex<Report>) -> MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}

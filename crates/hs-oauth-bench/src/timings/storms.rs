//! Everyone asks at once for one token that is over: how many requests that makes, and how much longer than the request the
//! callers wait.

use std::sync::{OnceLock, RwLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use hs_oauth_blocking::{Account, App, Authorize, ClientSecret, MemoryStore, Timestamp, TokenSet};
use hs_oauth_emulator::{Fault, Server, Settings, Target};
use tokio::task::JoinSet;

use super::clock::quantile;
use crate::chart::Chart;
use crate::report::{Section, Table};
use crate::work::Failure;

/// HubSpot's answer takes this long.
const REQUEST: Duration = Duration::from_millis(200);

/// Threads of a storm have little to keep.
const STACK: usize = 256 * 1024;

/// Storms of more and more callers.
///
/// # Errors
/// If a caller gets no bearer.
pub fn report() -> Result<(), Failure> {
    let mut section = Section::new("5-storms", "Everyone asks for one token that is over");
    section.say(format!("How much longer than the request's {} ms they wait, in ms.\n", REQUEST.as_millis()));
    let mut table = Table::new(["callers", "requests sent", "half of them", "99 in 100", "the last"]);
    let mut chart = Chart::new("A storm of callers on one token", "callers", "the last waits longer by, ms");
    let tasks = storms("tasks", &[1, 10, 100, 1_000, 10_000], storm_of_tasks, &mut table)?;
    let threads = storms("threads", &[1, 10, 100, 1_000, 10_000], storm_of_threads, &mut table)?;
    chart.line("async: tasks", tasks);
    chart.line("blocking: threads", threads);
    section.table(&table);
    section.chart("storms.svg", "a storm of callers", &chart.svg())?;
    section.keep()
}

fn storms(
    kind: &str,
    counts: &[usize],
    storm: impl Fn(usize) -> Result<Storm, Failure>,
    table: &mut Table,
) -> Result<Vec<(f64, f64)>, Failure> {
    let mut points = Vec::new();
    for count in counts {
        let storm = storm(*count)?;
        let wait = |share| quantile(&storm.waits, share).saturating_sub(REQUEST).as_secs_f64() * 1000.0;
        let told = [0.5, 0.99, 1.0].map(|share| format!("{:.1}", wait(share)));
        table.row([format!("{count} {kind}"), storm.requests.to_string()].into_iter().chain(told));
        points.push((*count as f64, wait(1.0)));
    }
    Ok(points)
}

struct Storm {
    requests: usize,
    /// In order.
    waits: Vec<Duration>,
}

/// HubSpot with one account installed, and that account's tokens, which are over.
struct Scene {
    hubspot: Server,
    app: App,
    account: Account,
    tokens: TokenSet,
}

impl Scene {
    fn new() -> Result<Self, Failure> {
        let hubspot = Server::start("127.0.0.1:0", Settings::random()?)?;
        let settings = hubspot.settings();
        let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret)?)
            .with_redirect_uri(settings.redirect_uris.first().ok_or("no redirect URI")?)
            .with_api_base(hubspot.url())
            .with_app_base(hubspot.url())
            .build()?;
        let authorization = Authorize::new("oauth".parse()?).begin(&app)?;
        let callback = hubspot.connect(&authorization.url)?;
        let code = authorization.pending.accept(callback.split_once('?').map_or("", |(_, query)| query))?;
        let mut tokens = hs_oauth_blocking::Client::new(app.clone()).exchange_code(code)?;
        tokens.expires_at = Timestamp::from(SystemTime::now());
        let account = Account::from_tokens(&tokens, false).ok_or("no account")?;
        hubspot.emulator(|emulator| {
            emulator.clear_journal();
            emulator.inject(Fault::delay(REQUEST).with_target(Target::Refresh));
        });
        Ok(Self { hubspot, app, account, tokens })
    }

    fn storm(&self, mut waits: Vec<Duration>) -> Storm {
        waits.sort();
        Storm { requests: self.hubspot.emulator(|emulator| emulator.journal().len()), waits }
    }
}

fn storm_of_tasks(count: usize) -> Result<Storm, Failure> {
    let scene = Scene::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let waits = runtime.block_on(async {
        let client = hs_oauth_async::Client::new(scene.app.clone())?;
        let manager = hs_oauth_async::TokenManager::new(client, MemoryStore::new());
        manager.install_tokens(scene.account, scene.tokens.clone()).await?;
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let (manager, account) = (manager.clone(), scene.account);
            tasks.spawn(async move { manager.bearer(account).await.map(|_| began.elapsed()) });
        }
        tasks.join_all().await.into_iter().collect::<Result<Vec<_>, _>>().map_err(Failure::from)
    })?;
    Ok(scene.storm(waits))
}

fn storm_of_threads(count: usize) -> Result<Storm, Failure> {
    let scene = Scene::new()?;
    let client = hs_oauth_blocking::Client::new(scene.app.clone());
    let manager = hs_oauth_blocking::TokenManager::new(client, MemoryStore::new());
    manager.install_tokens(scene.account, scene.tokens.clone())?;
    let (gate, began) = (RwLock::new(()), OnceLock::new());
    let waits = thread::scope(|scope| {
        let ask = || {
            let _open = gate.read();
            let began = *began.get_or_init(Instant::now);
            manager.bearer(scene.account).map(|_| began.elapsed())
        };
        // It opens too if there are no more threads to be had.
        let closed = gate.write();
        let mut threads = Vec::new();
        for _ in 0..count {
            threads.push(thread::Builder::new().stack_size(STACK).spawn_scoped(scope, ask)?);
        }
        drop(closed);
        let answers =
            threads.into_iter().map(|thread| thread.join().map_err(|_| Failure::from("a thread panicked")));
        answers.collect::<Result<Vec<_>, _>>()
    })?;
    let waits = waits.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(scene.storm(waits))
}

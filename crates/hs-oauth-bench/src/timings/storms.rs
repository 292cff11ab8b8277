//! Many callers ask at once for one token that has expired: how many requests are sent, and how much longer than the request the callers
//! wait.

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

/// The time that HubSpot takes to respond.
const REQUEST: Duration = Duration::from_millis(200);

/// The size of a stack in bytes. The threads of a storm need little.
const STACK: usize = 256 * 1024;

/// Measures storms of more and more callers.
///
/// # Errors
/// If a caller gets an error.
pub fn report() -> Result<(), Failure> {
    let mut section = Section::new("5-storms", "Many callers ask for one token that has expired");
    section.say(format!(
        "How much longer than the request's {} ms the callers wait, in ms.\n",
        REQUEST.as_millis()
    ));
    let mut table = Table::new(["callers", "requests sent", "half of them", "99 in 100", "the last"]);
    let mut chart = Chart::new("A storm of callers on one token", "callers", "the last waits longer by, ms");
    let tasks = storms("tasks", &[1, 10, 100, 1_000, 10_000], storm_of_tasks, &mut table)?;
    let threads = storms("threads", &[1, 10, 100, 1_000, 10_000], storm_of_threads, &mut table)?;
    chart.line("async: tasks", tasks);
    chart.line("blocking: threads", threads);
    section.table(&table);
    section.chart("storms.svg", "a storm of callers", &chart.svg())?;
    section.write()
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
        let waits = [0.5, 0.99, 1.0].map(|share| format!("{:.1}", wait(share)));
        table.row([format!("{count} {kind}"), storm.requests.to_string()].into_iter().chain(waits));
        points.push((*count as f64, wait(1.0)));
    }
    Ok(points)
}

struct Storm {
    requests: usize,
    /// How long each caller waited, from the shortest to the longest.
    waits: Vec<Duration>,
}

/// HubSpot with one account installed, and the tokens of that account, which have expired.
struct Setting {
    hubspot: Server,
    app: App,
    account: Account,
    tokens: TokenSet,
}

impl Setting {
    fn new() -> Result<Self, Failure> {
        let hubspot = Server::start("127.0.0.1:0", Settings::random()?)?;
        let settings = hubspot.settings();
        let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret)?)
            .with_redirect_uri(settings.redirect_uris.first().ok_or("no redirect URI")?)
            .with_api_base(hubspot.url())
            .with_app_base(hubspot.url())
            .build()?;
        let authorization = Authorize::new("oauth".parse()?).begin(&app, SystemTime::now().into())?;
        let callback = hubspot.connect(&authorization.url)?;
        let query = callback.split_once('?').map_or("", |(_, query)| query);
        let code = authorization.pending.accept(SystemTime::now().into(), query)?;
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
    let setting = Setting::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let waits = runtime.block_on(async {
        let client = hs_oauth_async::Client::new(setting.app.clone())?;
        let manager = hs_oauth_async::TokenManager::new(client, MemoryStore::new());
        manager.install_tokens_as(setting.account, setting.tokens.clone()).await?;
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let (manager, account) = (manager.clone(), setting.account);
            tasks.spawn(async move { manager.bearer(account).await.map(|_| began.elapsed()) });
        }
        tasks.join_all().await.into_iter().collect::<Result<Vec<_>, _>>().map_err(Failure::from)
    })?;
    Ok(setting.storm(waits))
}

fn storm_of_threads(count: usize) -> Result<Storm, Failure> {
    let setting = Setting::new()?;
    let client = hs_oauth_blocking::Client::new(setting.app.clone());
    let manager = hs_oauth_blocking::TokenManager::new(client, MemoryStore::new());
    manager.install_tokens_as(setting.account, setting.tokens.clone())?;
    let (gate, began) = (RwLock::new(()), OnceLock::new());
    let waits = thread::scope(|scope| {
        let ask = || {
            let _open = gate.read();
            let began = *began.get_or_init(Instant::now);
            manager.bearer(setting.account).map(|_| began.elapsed())
        };
        // The gate also opens if no more threads can be started.
        let closed = gate.write();
        let mut threads = Vec::new();
        for _ in 0..count {
            threads.push(thread::Builder::new().stack_size(STACK).spawn_scoped(scope, ask)?);
        }
        drop(closed);
        let results =
            threads.into_iter().map(|thread| thread.join().map_err(|_| Failure::from("a thread panicked")));
        results.collect::<Result<Vec<_>, _>>()
    })?;
    let waits = waits.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(setting.storm(waits))
}

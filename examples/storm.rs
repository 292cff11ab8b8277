//! Everyone asks at once for one token that is over: how many requests that makes, and how much longer than the request the last
//! of them waits.
//!
//! `cargo run --release --example storm`

use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use hs_oauth_blocking::{Account, App, Authorize, ClientSecret, MemoryStore, Timestamp, TokenSet};
use hs_oauth_emulator::{Fault, Server, Settings, Target};
use hs_oauth_examples::say;
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error>;

/// HubSpot's answer takes this long.
const REQUEST: Duration = Duration::from_millis(200);

fn main() -> Result<(), Failure> {
    say("callers           requests   longest wait beyond the request");
    for tasks in [1, 10, 100, 1_000, 10_000] {
        report(&format!("{tasks} tasks"), &storm_of_tasks(tasks)?);
    }
    for threads in [1, 20, 200] {
        report(&format!("{threads} threads"), &storm_of_threads(threads)?);
    }
    Ok(())
}

struct Storm {
    requests: usize,
    longest_wait: Duration,
}

fn report(callers: &str, storm: &Storm) {
    let beyond = storm.longest_wait.saturating_sub(REQUEST).as_secs_f64() * 1000.0;
    say(format_args!("{callers:<16}  {:>8}   {beyond:>28.1} ms", storm.requests));
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
            .redirect_uri(settings.redirect_uris.first().ok_or("no redirect URI")?)
            .api_base(hubspot.url())
            .app_base(hubspot.url())
            .build()?;
        let authorization = Authorize::scopes("oauth".parse()?).begin(&app)?;
        let callback = hubspot.connect(&authorization.url)?;
        let code = authorization.pending.accept(callback.split_once('?').map_or("", |(_, query)| query))?;
        let mut tokens = hs_oauth_blocking::Client::new(app.clone()).exchange_code(code)?;
        tokens.expires_at = Timestamp::from(SystemTime::now());
        let account = Account::of(&tokens, false).ok_or("no account")?;
        hubspot.emulator(|emulator| {
            emulator.clear_journal();
            emulator.inject(Fault::delay(REQUEST).on(Target::Refresh));
        });
        Ok(Self { hubspot, app, account, tokens })
    }

    fn storm(&self, longest_wait: Duration) -> Storm {
        Storm { requests: self.hubspot.emulator(|emulator| emulator.journal().len()), longest_wait }
    }
}

fn storm_of_tasks(count: usize) -> Result<Storm, Failure> {
    let scene = Scene::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let longest_wait = runtime.block_on(async {
        let client = hs_oauth_async::Client::new(scene.app.clone())?;
        let manager = hs_oauth_async::TokenManager::new(client, MemoryStore::new());
        manager.install_tokens(scene.account, scene.tokens.clone()).await?;
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let (manager, account) = (manager.clone(), scene.account);
            tasks.spawn(async move { manager.bearer(account).await.map(|_| began.elapsed()) });
        }
        let waits = tasks.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok::<_, Failure>(waits.into_iter().max().unwrap_or_default())
    })?;
    Ok(scene.storm(longest_wait))
}

fn storm_of_threads(count: usize) -> Result<Storm, Failure> {
    let scene = Scene::new()?;
    let client = hs_oauth_blocking::Client::new(scene.app.clone());
    let manager = hs_oauth_blocking::TokenManager::new(client, MemoryStore::new());
    manager.install_tokens(scene.account, scene.tokens.clone())?;
    let (start, began) = (Barrier::new(count), OnceLock::new());
    let waits = thread::scope(|scope| {
        let ask = || {
            start.wait();
            let began = *began.get_or_init(Instant::now);
            manager.bearer(scene.account).map(|_| began.elapsed())
        };
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(ask)).collect();
        let answers = threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked"));
        answers.collect::<Result<Vec<_>, _>>()
    })?;
    let waits = waits.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(scene.storm(waits.into_iter().max().unwrap_or_default()))
}

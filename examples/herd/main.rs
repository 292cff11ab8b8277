//! A herd of processes that share tokens through one store. Some of them are killed now and then. How many tokens are renewed
//! twice, refused or lost? The numbers come from an emulator of HubSpot in this process, not from the herd itself.
//!
//! ```sh
//! cargo run --release --example herd -- --processes 8 --tasks 200 --accounts 50 --seconds 20 --kill
//! ```
//!
//! With `--history` every call of the store is written down, and `linearizability.rs` checks that a correct store can have answered so:
//!
//! ```sh
//! cargo run --release --example herd -- --history calls.jsonl --store-tasks 4 --kill
//! ```
//!
//! `child.rs` does what an application would do: it has one manager and many tasks. The other files start the processes, watch
//! them and check the result.

mod audit;
mod chart;
mod child;
mod fleet;
mod history;
mod journal;
mod linearizability;
mod observed_store;
mod options;
mod result;
mod store_tasks;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use hs_oauth_async::{
    App, AsyncTokenStore, Authorize, Client, ClientSecret, RenewalPolicy, Timestamp, Timing, TokenManager,
    TokenSet, http_builder,
};
use hs_oauth_core::Random;
use hs_oauth_emulator::{Server, Settings};
use hs_oauth_examples::{BoxError, StoreAddress, finish, print_line, print_progress};

use audit::Audit;
use chart::Chart;
use child::{ChildConfig, STORE_VARIABLE, history_file};
use fleet::{Fleet, POLL_INTERVAL};
use journal::JournalReader;
use linearizability::{Checked, Violation};
use observed_store::ObservedStore;
use options::Options;
use result::RunResult;

/// How long connecting all accounts may take at most.
const MAX_INSTALL_TIME: Duration = Duration::from_secs(6);

/// How often an account tries to connect, while the store has a fault.
const MAX_CONNECT_TRIES: u32 = 40;

fn main() -> ExitCode {
    let options = Options::parse();
    match options.child {
        true => finish(child::run().map(|()| ExitCode::SUCCESS)),
        false => finish(run(&options)),
    }
}

fn run(options: &Options) -> Result<ExitCode, BoxError> {
    // A file that cannot be written is better known before the run.
    let chart = options.chart.as_deref().map(create).transpose()?;
    options.history.as_deref().map(create).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::Builder::new().prefix("hs-oauth-herd-").tempdir()?;
    let histories = options.history.is_some().then(|| folder.path().join("histories"));
    histories.as_deref().map(std::fs::create_dir).transpose()?;
    let address = store_address(options, folder.path())?;
    runtime.block_on(address.prepare())?;
    let _entered = runtime.enter();
    let own_history = histories.as_deref().map(|histories| history_file(histories, 0));
    let store = ObservedStore::new(address.open(options.driver)?, own_history.as_deref())?;
    let hubspot = emulator(options)?;
    let client = client(&hubspot)?;
    let timing = timing(options)?;

    let mut journal = JournalReader::new(options, timing);
    runtime.block_on(install(options, &hubspot, &client, &store))?;
    journal.read(&hubspot);

    let mut fleet = Fleet::start(options, &address, child_config(options, &hubspot, histories.clone()))?;
    let started = Timestamp::from(SystemTime::now());
    watch(options, &hubspot, &mut fleet, &mut journal)?;
    fleet.stop(timing.lease + Duration::from_secs(10), || journal.read(&hubspot))?;

    let audit = runtime.block_on(Audit::run(&store, address.folder(), &client, &options.hubs()))?;
    let history = match (&options.history, histories) {
        (Some(file), Some(histories)) => Some(check_history(file, &histories, fleet.last_number())?),
        _ => None,
    };
    let result = RunResult { options, timing, fleet: &fleet, journal: &journal, audit: &audit, history };
    if let Some(mut file) = chart {
        let chart = Chart { options, started, fleet: &fleet, journal: &journal, verdict: result.verdict() };
        file.write_all(chart.svg().as_bytes())?;
    }
    print_line(result.json()?);
    let violations = result.violations();
    violations.iter().for_each(|violation| print_progress(format_args!("not as promised: {violation}")));
    if violations.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    print_progress(format_args!("the folder is not deleted: {}", folder.keep().display()));
    Ok(ExitCode::FAILURE)
}

/// Returns where the store is: as the options or the environment say, or in a folder of this run.
fn store_address(options: &Options, folder: &Path) -> Result<StoreAddress, BoxError> {
    match options.store.clone().or_else(|| std::env::var(STORE_VARIABLE).ok()) {
        Some(address) => StoreAddress::parse(&address),
        None => Ok(StoreAddress::File(folder.join("tokens"))),
    }
}

/// Creates a file. The error has its path.
fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Joins the histories of all processes into one file, and checks it.
fn check_history(file: &Path, histories: &Path, last: u32) -> Result<Result<Checked, Violation>, BoxError> {
    let mut operations = Vec::new();
    for process in 0..=last {
        operations.extend(history::read(process, &history_file(histories, process))?);
    }
    history::write(file, &mut operations)?;
    Ok(linearizability::check(&operations).inspect(|checked| print_progress(checked)))
}

fn emulator(options: &Options) -> Result<Server, BoxError> {
    let mut settings = Settings::random()?;
    settings.access_token_lifetime = options.token_lifetime;
    settings.rotation = options.rotation;
    let hubspot = Server::start("127.0.0.1:0", settings)?;
    hubspot.emulator(|emulator| {
        for hub_id in options.hubs() {
            emulator.add_hub(hub_id, format!("hub-{hub_id}.example.com"));
        }
    });
    Ok(hubspot)
}

fn client(hubspot: &Server) -> Result<Client, BoxError> {
    let settings = hubspot.settings();
    let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret)?)
        .with_redirect_uri(settings.redirect_uris.first().ok_or("no redirect URI")?)
        .with_api_base(hubspot.url())
        .with_app_base(hubspot.url())
        .build()?;
    Ok(Client::with_http(app, http_builder().no_proxy().build()?))
}

/// Returns the times that apply to every renewal in the herd.
fn timing(options: &Options) -> Result<Timing, BoxError> {
    let token = hs_oauth_async::AccessToken::new("any")?;
    let tokens = TokenSet::new(token, options.token_lifetime.into(), Timestamp::from_secs(0));
    Ok(RenewalPolicy::new().timing(&tokens))
}

/// Connects the accounts one after the other, so that their tokens differ in age, as they do in production.
async fn install(
    options: &Options,
    hubspot: &Server,
    client: &Client,
    store: &ObservedStore<impl AsyncTokenStore + Clone + 'static>,
) -> Result<(), BoxError> {
    let manager = TokenManager::new(client.clone(), store.clone());
    let install_time = Duration::from_secs(options.token_lifetime.into()).mul_f64(0.6).min(MAX_INSTALL_TIME);
    print_progress(format_args!(
        "{} accounts connect within {:.1} s",
        options.accounts,
        install_time.as_secs_f64()
    ));
    let mut next =
        tokio::time::interval(install_time.max(Duration::from_millis(1)) / options.accounts.max(1));
    for hub_id in options.hubs() {
        next.tick().await;
        let mut tries = 1;
        // A store may have a fault that passes. A person would click Connect again, too.
        while let Err(error) = connect(hubspot, &manager, hub_id).await {
            if tries == MAX_CONNECT_TRIES {
                return Err(error);
            }
            tries += 1;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    match manager.shutdown().await.is_empty() {
        true => Ok(()),
        false => Err("the first tokens could not be saved".into()),
    }
}

async fn connect(hubspot: &Server, manager: &TokenManager, hub_id: i64) -> Result<(), BoxError> {
    let authorize = Authorize::new("oauth".parse()?).with_hub_id(hub_id);
    let authorization = authorize.begin(manager.client().app(), SystemTime::now().into())?;
    let callback = hubspot.connect(&authorization.url)?;
    let query = callback.split_once('?').map_or("", |(_, query)| query);
    manager.install(authorization.pending.accept(SystemTime::now().into(), query)?).await?;
    Ok(())
}

fn child_config(options: &Options, hubspot: &Server, histories: Option<PathBuf>) -> ChildConfig {
    let settings = hubspot.settings();
    let tasks = f64::from(options.processes) * f64::from(options.tasks);
    ChildConfig {
        number: 0,
        driver: options.driver,
        url: hubspot.url().to_owned(),
        client_id: settings.client_id.clone(),
        client_secret: settings.client_secret.clone(),
        histories,
        hubs: options.hubs(),
        tasks: options.tasks,
        store_tasks: options.store_tasks,
        store_task_accounts: options.store_task_accounts(),
        pause: Duration::from_secs_f64(tasks / f64::from(options.rate)),
    }
}

/// Watches the herd until its time is over, and kills processes if the options say so.
fn watch(
    options: &Options,
    hubspot: &Server,
    fleet: &mut Fleet,
    journal: &mut JournalReader,
) -> Result<(), BoxError> {
    let mut random = Random::from_os()?;
    let mut until_next_kill = || Duration::from_millis(500 + random.up_to(1000)) / options.kill_rate;
    let started = Instant::now();
    let mut next_kill = until_next_kill();
    // The second and the number of bearers at the last line of progress.
    let mut last = (0, 0);
    while started.elapsed() < options.run_time() {
        std::thread::sleep(POLL_INTERVAL);
        journal.read(hubspot);
        fleet.poll()?;
        let elapsed = started.elapsed();
        if options.kill && elapsed >= next_kill {
            fleet.kill_one()?;
            next_kill += until_next_kill();
        }
        if elapsed.as_secs() > last.0 {
            print_progress(format_args!(
                "{:>4} s {:>8} bearers/s {:>6} renewals {:>4} kills",
                elapsed.as_secs(),
                (fleet.totals().bearers.got - last.1) / (elapsed.as_secs() - last.0),
                journal.renewal_times().len(),
                fleet.kills().len()
            ));
            last = (elapsed.as_secs(), fleet.totals().bearers.got);
        }
    }
    Ok(())
}

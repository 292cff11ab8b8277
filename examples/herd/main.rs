//! A herd of processes that share tokens through one folder. Some of them are killed now and then. How many tokens are renewed
//! twice, refused or lost? The numbers come from an emulator of HubSpot in this process, not from the herd itself.
//!
//! ```sh
//! cargo run --release --example herd -- --processes 8 --tasks 200 --accounts 50 --seconds 20 --kill
//! ```
//!
//! `child.rs` does what an application would do: it has one manager and many tasks. The other files start the processes, watch
//! them and check the result.

mod audit;
mod chart;
mod child;
mod fleet;
mod journal;
mod options;
mod progress;
mod result;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use hs_oauth_async::{
    App, Authorize, Client, ClientSecret, FileStore, RenewalPolicy, SpawnBlocking, Timestamp, Timing,
    TokenManager, TokenSet, http_builder,
};
use hs_oauth_core::Random;
use hs_oauth_emulator::{Server, Settings};
use hs_oauth_examples::{BoxError, finish, print_line};

use audit::Audit;
use chart::Chart;
use child::ChildConfig;
use fleet::{Fleet, POLL_INTERVAL};
use journal::JournalReader;
use options::Options;
use progress::print_progress;
use result::RunResult;

/// How long connecting all accounts may take at most.
const MAX_INSTALL_TIME: Duration = Duration::from_secs(6);

fn main() -> ExitCode {
    let options = Options::parse();
    match options.child {
        true => finish(child::run().map(|()| ExitCode::SUCCESS)),
        false => finish(run(&options)),
    }
}

fn run(options: &Options) -> Result<ExitCode, BoxError> {
    // A chart that cannot be written is better known before the run.
    let chart = options.chart.as_deref().map(File::create).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::Builder::new().prefix("hs-oauth-herd-").tempdir()?;
    let store = folder.path().join("tokens");
    let hubspot = emulator(options)?;
    let client = client(&hubspot)?;
    let timing = timing(options)?;

    let mut journal = JournalReader::new(options, timing);
    runtime.block_on(install(options, &hubspot, &client, &store))?;
    journal.read(&hubspot);

    let mut fleet = Fleet::start(options, child_config(options, &hubspot, &store))?;
    let started = Timestamp::from(SystemTime::now());
    watch(options, &hubspot, &mut fleet, &mut journal)?;
    fleet.stop(timing.lease + Duration::from_secs(10), || journal.read(&hubspot))?;

    let audit = runtime.block_on(Audit::run(&store, &client, &options.hubs()))?;
    let result = RunResult { options, timing, fleet: &fleet, journal: &journal, audit: &audit };
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
    folder: &Path,
) -> Result<(), BoxError> {
    let manager = TokenManager::new(client.clone(), SpawnBlocking::new(FileStore::open(folder)?));
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
        let authorize = Authorize::new("oauth".parse()?).with_hub_id(hub_id);
        let authorization = authorize.begin(client.app(), SystemTime::now().into())?;
        let callback = hubspot.connect(&authorization.url)?;
        let query = callback.split_once('?').map_or("", |(_, query)| query);
        manager.install(authorization.pending.accept(SystemTime::now().into(), query)?).await?;
    }
    match manager.shutdown().await.is_empty() {
        true => Ok(()),
        false => Err("the first tokens could not be saved".into()),
    }
}

fn child_config(options: &Options, hubspot: &Server, folder: &Path) -> ChildConfig {
    let settings = hubspot.settings();
    let tasks = f64::from(options.processes) * f64::from(options.tasks);
    ChildConfig {
        number: 0,
        url: hubspot.url().to_owned(),
        client_id: settings.client_id.clone(),
        client_secret: settings.client_secret.clone(),
        folder: folder.to_owned(),
        hubs: options.hubs(),
        tasks: options.tasks,
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
                (fleet.total_bearers() - last.1) / (elapsed.as_secs() - last.0),
                journal.renewal_times().len(),
                fleet.kills().len()
            ));
            last = (elapsed.as_secs(), fleet.total_bearers());
        }
    }
    Ok(())
}

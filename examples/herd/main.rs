//! A herd of processes that share tokens through one folder, and are killed now and then: how many tokens are renewed twice,
//! refused or lost? An emulator of HubSpot in this process is asked, not the herd.
//!
//! ```sh
//! cargo run --release --example herd -- --processes 8 --tasks 200 --accounts 50 --seconds 20 --kill
//! ```
//!
//! `child.rs` is what an application would do: one manager, many tasks. The rest watches.

mod audit;
mod chart;
mod child;
mod fleet;
mod options;
mod result;
mod tally;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use hs_oauth_async::{
    App, Authorize, Client, ClientSecret, FileStore, SpawnBlocking, Random, RenewalPolicy, Timestamp, Timing,
    TokenManager, TokenSet, http_builder,
};
use hs_oauth_emulator::{Server, Settings};
use hs_oauth_examples::{finish, say};

use audit::Audit;
use chart::Chart;
use child::Orders;
use fleet::Fleet;
use options::Options;
use result::{Findings, tell};
use tally::Tally;

/// The most time that connecting all accounts may take.
const LONGEST_INSTALL: Duration = Duration::from_secs(6);

type Failure = Box<dyn std::error::Error>;

/// How often the herd is looked at. What comes in meanwhile must fit into the emulator's journal, and is a hundredth of that.
const TICK: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let options = Options::parse();
    match options.child {
        true => finish(child::run().map(|()| ExitCode::SUCCESS)),
        false => finish(herd(&options)),
    }
}

fn herd(options: &Options) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::Builder::new().prefix("hs-oauth-herd-").tempdir()?;
    let tokens = folder.path().join("tokens");
    let hubspot = emulator(options)?;
    let client = client(&hubspot)?;
    let timing = timing(options)?;

    let mut tally = Tally::new(options, timing);
    runtime.block_on(install(options, &hubspot, &client, &tokens))?;
    tally.read(&hubspot);

    let mut fleet = Fleet::start(options, orders(options, &hubspot, &tokens))?;
    let started = Timestamp::from(SystemTime::now());
    watch(options, &hubspot, &mut fleet, &mut tally)?;
    fleet.stop(timing.lease + Duration::from_secs(10), || tally.read(&hubspot))?;

    let audit = runtime.block_on(Audit::of(&tokens, &client, &options.hubs()))?;
    if let Some(file) = &options.chart {
        std::fs::write(file, Chart { options, started, fleet: &fleet, tally: &tally }.svg())?;
    }
    let findings = Findings { options, timing, fleet: &fleet, tally: &tally, audit: &audit };
    say(findings.json()?);
    let broken = findings.broken_promises();
    broken.iter().for_each(|promise| tell(format_args!("broken: {promise}")));
    if broken.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    tell(format_args!("the folder is kept: {}", folder.keep().display()));
    Ok(ExitCode::FAILURE)
}

fn emulator(options: &Options) -> Result<Server, Failure> {
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

fn client(hubspot: &Server) -> Result<Client, Failure> {
    let settings = hubspot.settings();
    let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret)?)
        .with_redirect_uri(settings.redirect_uris.first().ok_or("no redirect URI")?)
        .with_api_base(hubspot.url())
        .with_app_base(hubspot.url())
        .build()?;
    Ok(Client::with_http(app, http_builder().no_proxy().build()?))
}

/// The times that every manager of the herd keeps.
fn timing(options: &Options) -> Result<Timing, Failure> {
    let token = hs_oauth_async::AccessToken::new("any")?;
    let tokens = TokenSet::new(token, options.token_lifetime.into(), Timestamp::from_secs(0));
    Ok(RenewalPolicy::new().timing(&tokens))
}

/// Connects the accounts one after the other, as in life: their tokens are not all of one age.
async fn install(options: &Options, hubspot: &Server, client: &Client, folder: &Path) -> Result<(), Failure> {
    let manager = TokenManager::new(client.clone(), SpawnBlocking::new(FileStore::open(folder)?));
    let in_all = Duration::from_secs(options.token_lifetime.into()).mul_f64(0.6).min(LONGEST_INSTALL);
    tell(format_args!("{} accounts connect within {:.1} s", options.accounts, in_all.as_secs_f64()));
    let mut next = tokio::time::interval(in_all.max(Duration::from_millis(1)) / options.accounts.max(1));
    for hub_id in options.hubs() {
        next.tick().await;
        let authorize = Authorize::new("oauth".parse()?).hub_id(hub_id);
        let authorization = authorize.begin(client.app())?;
        let callback = hubspot.connect(&authorization.url)?;
        let query = callback.split_once('?').map_or("", |(_, query)| query);
        manager.install(authorization.pending.accept(query)?).await?;
    }
    match manager.shutdown().await.is_empty() {
        true => Ok(()),
        false => Err("the first tokens could not be saved".into()),
    }
}

fn orders(options: &Options, hubspot: &Server, folder: &Path) -> Orders {
    let settings = hubspot.settings();
    let tasks = f64::from(options.processes) * f64::from(options.tasks);
    Orders {
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

/// Lets the herd run its time, and kills processes if that is wanted.
fn watch(options: &Options, hubspot: &Server, fleet: &mut Fleet, tally: &mut Tally) -> Result<(), Failure> {
    let mut random = Random::from_os()?;
    let mut until_next_kill = || Duration::from_millis(500 + random.up_to(1000)) / options.kill_rate;
    let started = Instant::now();
    let mut next_kill = until_next_kill();
    let mut shown = (0, 0);
    while started.elapsed() < options.run_time() {
        std::thread::sleep(TICK);
        tally.read(hubspot);
        fleet.look()?;
        let elapsed = started.elapsed();
        if options.kill && elapsed >= next_kill {
            fleet.kill_one()?;
            next_kill += until_next_kill();
        }
        if elapsed.as_secs() > shown.0 {
            tell(format_args!(
                "{:>4} s {:>8} bearers/s {:>6} renewals {:>4} kills",
                elapsed.as_secs(),
                (fleet.bearers() - shown.1) / (elapsed.as_secs() - shown.0),
                tally.renewals(),
                fleet.deaths().len()
            ));
            shown = (elapsed.as_secs(), fleet.bearers());
        }
    }
    Ok(())
}

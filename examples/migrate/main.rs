//! A table of refresh tokens in somebody's database moves off `v1` and into a store of this library, while the process that does it is
//! killed twice. Then `v1` is switched off. Is every account still there, and does the count add up?
//!
//! ```sh
//! cargo run --release --example migrate
//! ```
//!
//! `migration.rs` is what an application would write. The rest makes the table, with an emulator of HubSpot in this process, kills the
//! migration, and checks what came of it.

mod migration;
mod options;
mod outcome;
mod table;

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use hs_oauth_async::{ApiVersion, App, Authorize, ClientSecret, Endpoint, ExchangeCode};
use hs_oauth_emulator::{Server, Settings};
use hs_oauth_examples::{BoxError, finish, print_line};

use migration::{Config, Counts};
use options::Options;
use outcome::Outcome;
use table::Row;

fn main() -> ExitCode {
    let options = Options::parse();
    match options.child {
        true => finish(migration::run().map(|()| ExitCode::SUCCESS)),
        false => finish(run(&options)),
    }
}

fn run(options: &Options) -> Result<ExitCode, BoxError> {
    let folder = tempfile::Builder::new().prefix("hs-oauth-migrate-").tempdir()?;
    let hubspot = Server::start("127.0.0.1:0", Settings::random()?)?;
    let rows = connect_on_v1(&hubspot, options.accounts)?;
    let uninstalled = uninstall_some(&hubspot, &rows);
    let table = folder.path().join("accounts.jsonl");
    table::write(&table, &rows)?;
    progress(format_args!(
        "{} accounts have connected the app on v1; {uninstalled} of them have uninstalled it since",
        rows.len()
    ));

    let settings = hubspot.settings();
    let config = Config {
        url: hubspot.url().to_owned(),
        client_id: settings.client_id.clone(),
        client_secret: settings.client_secret.clone(),
        table,
        store: folder.path().join("tokens"),
        rate: options.rate,
    };
    let before = requests(&hubspot);
    let started = Instant::now();
    let mut kills = 0;
    // Killed at 40 percent and at 75 percent, and then left alone.
    let counts = loop {
        let kill_at = [40, 75].get(kills).map(|percent| rows.len() * percent / 100);
        match migrate(&config, kill_at)? {
            Some(counts) => break counts,
            None => kills += 1,
        }
        progress(format_args!("killed; the same program starts again"));
    };
    let (seconds, requests) = (started.elapsed().as_secs_f64(), requests(&hubspot) - before);

    progress(format_args!("HubSpot switches v1 and v3 off"));
    hubspot.emulator(|emulator| emulator.set_removed_versions(["v1", "v3"]));
    let outcome = Outcome::find(&config, &rows, counts, uninstalled)?;
    print_line(outcome.json(requests, seconds, kills)?);
    let problems = outcome.problems();
    problems.iter().for_each(|problem| progress(format_args!("does not add up: {problem}")));
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Connects the accounts on `v1`, and returns the table that the application has kept.
fn connect_on_v1(hubspot: &Server, accounts: u32) -> Result<Vec<Row>, BoxError> {
    let settings = hubspot.settings();
    let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret)?)
        .with_version(ApiVersion::V1)
        .with_redirect_uri(settings.redirect_uris.first().ok_or("no redirect URI")?)
        .with_api_base(hubspot.url())
        .with_app_base(hubspot.url())
        .build()?;
    let connect = |hub_id: i64| -> Result<Row, BoxError> {
        hubspot.emulator(|emulator| {
            emulator.add_hub(hub_id, format!("hub-{hub_id}.example.com"));
            let now = SystemTime::now().into();
            let authorization = Authorize::new("oauth".parse()?).with_hub_id(hub_id).begin(&app, now)?;
            let callback = emulator.connect(now, authorization.url.as_str())?;
            let query = callback.split_once('?').map_or("", |(_, query)| query);
            let exchange = ExchangeCode::new(authorization.pending.accept(now, query)?);
            let response = emulator.handle(now, exchange.to_http(&app));
            let tokens = exchange.read_response(&app, now, &response)?;
            let refresh_token = tokens.refresh_token.ok_or("no refresh token")?;
            Ok(Row { hub_id, refresh_token: refresh_token.expose().to_owned() })
        })
    };
    (0..i64::from(accounts)).map(|number| connect(1_000_001 + number)).collect()
}

/// Has every hundredth account uninstall the app, of which the table knows nothing. Returns how many these are.
fn uninstall_some(hubspot: &Server, rows: &[Row]) -> usize {
    let gone = rows.iter().skip(50).step_by(100);
    gone.filter(|row| hubspot.emulator(|emulator| emulator.uninstall(row.hub_id))).count()
}

/// Runs the migration. If `kill_at` rows are done, it is killed, and there is no result.
fn migrate(config: &Config, kill_at: Option<usize>) -> Result<Option<Counts>, BoxError> {
    let mut process = Command::new(std::env::current_exe()?)
        .arg("--child")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = process.stdin.take().ok_or("no standard input")?;
    writeln!(stdin, "{}", serde_json::to_string(config)?)?;
    let stdout = process.stdout.take().ok_or("no standard output")?;
    let mut process = KilledOnDrop(process);
    let mut last = None;
    let mut next_line = Instant::now();
    for line in BufReader::new(stdout).lines() {
        let counts: Counts = serde_json::from_str(&line?)?;
        if next_line <= Instant::now() {
            next_line = Instant::now() + Duration::from_secs(1);
            progress(counts);
        }
        if kill_at.is_some_and(|kill_at| counts.done() >= kill_at) {
            process.0.kill()?;
            process.0.wait()?;
            return Ok(None);
        }
        last = Some(counts);
    }
    let status = process.0.wait()?;
    match (status.success(), last) {
        (true, Some(counts)) => {
            progress(counts);
            Ok(Some(counts))
        }
        _ => Err(format!("the migration ended with {status}").into()),
    }
}

/// A process that does not outlive this one.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns how many requests HubSpot has received.
fn requests(hubspot: &Server) -> u64 {
    // The number of an entry counts those that are no longer in the journal, too.
    hubspot.emulator(|emulator| emulator.journal().next_back().map_or(0, |entry| entry.number))
}

fn progress(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

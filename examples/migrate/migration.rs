//! The migration: what an application does once with a table of refresh tokens. It can be stopped at any moment and started again.
//!
//! What is done stands in the store itself. A row whose account is there with an access token has been verified, one without is to be
//! verified, and one whose grant is gone was refused.

use std::io::{self, Write};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hs_oauth_async::{
    Account, App, AsyncTokenStore, Client, ClientSecret, FileStore, GrantState, NextStep, RefreshToken,
    SpawnBlocking, TokenError, TokenManager, http_builder,
};
use hs_oauth_examples::BoxError;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::table::{self, Row};

/// The configuration: one line on standard input, because other processes can read the arguments.
#[derive(Serialize, Deserialize)]
pub(crate) struct Config {
    /// The address of the emulator.
    pub(crate) url: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    /// The file of the table.
    pub(crate) table: PathBuf,
    /// The folder of the store.
    pub(crate) store: PathBuf,
    /// How many refreshes begin in a second, at most.
    pub(crate) rate: u32,
}

/// How many rows have come to what.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) rows: usize,
    /// HubSpot has accepted the token, in this run or in an earlier one.
    pub(crate) accepted: usize,
    /// HubSpot has refused the token: the account has to connect the app again.
    pub(crate) refused: usize,
}

/// What came of a row.
enum Done {
    Accepted,
    Refused,
}

/// How many rows are worked on at once. A request of HubSpot's takes a fraction of a second, so this suffices for hundreds a second.
const IN_FLIGHT: usize = 64;

/// Migrates all rows, and writes a line of counts for each.
pub(crate) fn run() -> Result<(), BoxError> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let config: Config = serde_json::from_str(&line)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(migrate(config))
}

async fn migrate(config: Config) -> Result<(), BoxError> {
    // The version is the newest one: a refresh token that was issued on v1 is good there.
    let app = App::hubspot(&config.client_id, ClientSecret::new(&config.client_secret)?)
        .with_api_base(&config.url)
        .build()?;
    let store = Arc::new(SpawnBlocking::new(FileStore::open(&config.store)?));
    let client = Client::with_http(app, http_builder().no_proxy().build()?);
    let manager = TokenManager::builder(client, Arc::clone(&store))
        .with_renewals_per_second(NonZeroU32::new(config.rate).ok_or("the rate is 0")?)
        .build();

    let mut rows = table::read(&config.table)?.into_iter();
    let mut counts = Counts { rows: rows.len(), ..Counts::default() };
    let mut tasks = JoinSet::new();
    loop {
        while tasks.len() < IN_FLIGHT {
            let Some(row) = rows.next() else { break };
            tasks.spawn(migrate_row(manager.clone(), Arc::clone(&store), row));
        }
        let Some(done) = tasks.join_next().await else { break };
        match done?? {
            Done::Accepted => counts.accepted += 1,
            Done::Refused => counts.refused += 1,
        }
        writeln!(io::stdout(), "{}", serde_json::to_string(&counts)?)?;
    }
    match manager.shutdown().await.len() {
        0 => Ok(()),
        unsaved => Err(format!("the tokens of {unsaved} accounts could not be saved").into()),
    }
}

async fn migrate_row(
    manager: TokenManager,
    store: Arc<impl AsyncTokenStore>,
    row: Row,
) -> Result<Done, TokenError> {
    let account = Account::hub(row.hub_id);
    let record = store.load(account).await.map_err(TokenError::Store)?.map(|stored| stored.record);
    match record {
        Some(record) if record.state == GrantState::Gone => return Ok(Done::Refused),
        Some(record) if record.tokens.as_ref().is_some_and(|tokens| tokens.has_access_token()) => {
            return Ok(Done::Accepted);
        }
        Some(_) => {}
        None => {
            // What no token can look like need not be sent.
            let Ok(token) = RefreshToken::new(row.refresh_token) else { return Ok(Done::Refused) };
            manager.install_refresh_token(account, token).await?;
        }
    }
    // The first bearer has the token refreshed, within the rate. That is the proof that HubSpot accepts it.
    loop {
        match manager.bearer(account).await {
            Ok(_) => return Ok(Done::Accepted),
            Err(TokenError::Gone { .. }) => return Ok(Done::Refused),
            Err(error) => match error.next_step() {
                NextStep::RetryAfter(wait) => tokio::time::sleep(wait.unwrap_or(RETRY)).await,
                _ => return Err(error),
            },
        }
    }
}

/// How long a row waits before it is tried again, if nobody says how long.
const RETRY: Duration = Duration::from_secs(1);

impl Counts {
    pub(crate) fn done(&self) -> usize {
        self.accepted + self.refused
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rows, accepted, refused } = self;
        write!(f, "{:>6} of {rows} done, {accepted} accepted, {refused} refused", self.done())
    }
}

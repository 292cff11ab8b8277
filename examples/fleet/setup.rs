//! What a run needs before its processes start: the emulator, a table for the records, and accounts that are connected.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use deadpool_postgres::Pool;
use hs_oauth_async::{
    AccessToken, Account, App, AsyncTokenStore, Authorize, ClientSecret, Endpoint, ExchangeCode, Record,
    RenewalPolicy, StoreError, Swapped, Timestamp, Timing, TokenSet,
};
use hs_oauth_core::Random;
use hs_oauth_core::renewal::GrantId;
use hs_oauth_emulator::{Emulator, Server, Settings};
use hs_oauth_examples::{BoxError, Driver, StoreAddress, pool, print_progress};
use hs_oauth_postgres::PgStore;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::child::ChildConfig;

/// The environment variable with the address of the store. An address may hold a password, and other users can read the arguments of a process.
pub(crate) const STORE_VARIABLE: &str = "FLEET_STORE";

/// How many records are written at once before the processes start.
const WRITES: usize = 32;

/// What a run needs before its processes start.
pub(crate) struct Setup<'a> {
    runtime: &'a Runtime,
    pub(crate) hubspot: Server,
    pub(crate) table: Table,
    app: App,
    token_lifetime: u32,
}

/// Where the records of this run are: in a table of their own, or in a folder.
#[derive(Clone)]
pub(crate) struct Table {
    address: StoreAddress,
    name: String,
}

impl Table {
    /// Creates the table. The store is where `store` or the environment say, or in `folder`.
    pub(crate) async fn create(store: Option<String>, folder: &Path) -> Result<Self, BoxError> {
        let address = match store.or_else(|| std::env::var(STORE_VARIABLE).ok()) {
            Some(address) => StoreAddress::parse(&address)?,
            None => StoreAddress::File(folder.join("tokens")),
        };
        let table = Self { address, name: format!("fleet_{}", now().as_millis()) };
        if let Some(pool) = table.pool()? {
            let store = PgStore::new(pool).table(&table.name)?;
            store.create().await?;
            store.warnings().await?.into_iter().for_each(print_progress);
        }
        Ok(table)
    }

    /// Returns the table that another process has created.
    pub(crate) fn existing(address: &str, name: String) -> Result<Self, BoxError> {
        Ok(Self { address: StoreAddress::parse(address)?, name })
    }

    pub(crate) fn address(&self) -> &StoreAddress {
        &self.address
    }

    /// Opens the store. It may be opened in a runtime only.
    pub(crate) fn open(&self) -> Result<Arc<dyn AsyncTokenStore>, BoxError> {
        match self.pool()? {
            Some(pool) => Ok(Arc::new(PgStore::new(pool).table(&self.name)?)),
            None => self.address.open(Driver::default()),
        }
    }

    /// Drops the table. A folder stays.
    pub(crate) async fn remove(&self) -> Result<(), BoxError> {
        if let Some(pool) = self.pool()? {
            pool.get().await?.batch_execute(&format!("drop table {}", self.name)).await?;
        }
        Ok(())
    }

    fn pool(&self) -> Result<Option<Pool>, BoxError> {
        match &self.address {
            StoreAddress::File(_) => Ok(None),
            StoreAddress::Postgres(url) => pool(url).map(Some),
            StoreAddress::Redis(_) => Err("the store must be a PostgreSQL or a folder".into()),
        }
    }
}

impl<'a> Setup<'a> {
    pub(crate) fn new(runtime: &'a Runtime, table: Table, token_lifetime: u32) -> Result<Self, BoxError> {
        let mut settings = Settings::random()?;
        settings.access_token_lifetime = token_lifetime;
        let hubspot = Server::start("127.0.0.1:0", settings)?;
        let settings = hubspot.settings();
        let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret)?)
            .with_redirect_uri(settings.redirect_uris.first().ok_or("no redirect URI")?)
            .with_api_base(hubspot.url())
            .with_app_base(hubspot.url())
            .build()?;
        Ok(Self { runtime, hubspot, table, app, token_lifetime })
    }

    /// Returns the app whose tokens the fleet holds.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }

    /// Returns the times that apply to every renewal in the fleet.
    pub(crate) fn timing(&self) -> Result<Timing, BoxError> {
        let token = AccessToken::new("any")?;
        let tokens = TokenSet::new(token, self.token_lifetime.into(), Timestamp::from_secs(0));
        Ok(RenewalPolicy::new().timing(&tokens))
    }

    /// Returns the configuration of a process that does nothing yet.
    pub(crate) fn child_config(&self, processes: u32) -> ChildConfig {
        let settings = self.hubspot.settings();
        ChildConfig {
            url: self.hubspot.url().to_owned(),
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
            table: self.table.name.clone(),
            replicas: processes,
            rate: None,
            sweep: None,
            callers: None,
        }
    }

    /// Connects accounts, each at a moment of the past, and stores their tokens. The moments must be in order.
    pub(crate) fn connect(&self, accounts: impl Iterator<Item = (i64, Timestamp)>) -> Result<(), BoxError> {
        let store = self.table.open()?;
        let mut random = Random::from_os()?;
        self.runtime.block_on(async {
            let mut writes = JoinSet::new();
            for (hub_id, at) in accounts {
                let tokens = self.hubspot.emulator(|emulator| connect(emulator, &self.app, hub_id, at))?;
                let mut record = Record::new(GrantId::generate(&mut random), tokens);
                record.client_id = Some(self.app.client_id().to_owned());
                if writes.len() >= WRITES
                    && let Some(written) = writes.join_next().await
                {
                    is_new(written?)?;
                }
                let store = Arc::clone(&store);
                writes.spawn(async move { store.swap(Account::hub(hub_id), None, &record).await });
            }
            while let Some(written) = writes.join_next().await {
                is_new(written?)?;
            }
            Ok(())
        })
    }
}

fn is_new(written: Result<Swapped, StoreError>) -> Result<(), BoxError> {
    match written? {
        Swapped::Stored(_) => Ok(()),
        Swapped::Conflict => Err("the store is not empty".into()),
    }
}

/// Connects an account, as if it had been done at that moment.
fn connect(emulator: &mut Emulator, app: &App, hub_id: i64, at: Timestamp) -> Result<TokenSet, BoxError> {
    emulator.add_hub(hub_id, format!("hub-{hub_id}.example.com"));
    let authorization = Authorize::new("oauth".parse()?).with_hub_id(hub_id).begin(app, at)?;
    let callback = emulator.connect(at, &authorization.url)?;
    let query = callback.split_once('?').map_or("", |(_, query)| query);
    let exchange = ExchangeCode::new(authorization.pending.accept(at, query)?);
    let response = emulator.handle(at, exchange.to_http(app));
    Ok(exchange.read_response(app, at, &response)?)
}

pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

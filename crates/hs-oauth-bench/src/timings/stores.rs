//! The stores: loads and swaps a second, beside the bare statements; a table with few and with many accounts; and renewals.

mod calls;
mod given;
mod local;
mod postgres;
mod postgres_bare;
mod redis;
mod renewals;
mod sizes;
mod subject;

use std::env;

use hs_oauth_test_servers::server::postgres::Postgres;
use hs_oauth_test_servers::server::redis::Redis;

use self::calls::CALLERS;
use self::sizes::Size;
use self::subject::{Measured, Which, table};
use crate::report::{Section, Table};
use crate::work::Failure;

/// How many accounts there are in the stores other than PostgreSQL.
const FEW_ACCOUNTS: u64 = 1_000;

/// What PostgreSQL has if nobody sets it.
const SHARED_BUFFERS: &str = "shared_buffers=128MB";

/// In these a million accounts fit, and the index with them.
const LARGE_SHARED_BUFFERS: &str = "shared_buffers=3GB";

/// From so many accounts on, the table does not fit into what PostgreSQL has if nobody sets it.
const MANY_ACCOUNTS: u64 = 100_000;

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Extent {
    /// The numbers of accounts with which the table in PostgreSQL is measured, the smallest first.
    pub accounts: Vec<u64>,
    /// How many updates the table gets before its size is measured again.
    pub updates: u64,
}

impl Default for Extent {
    fn default() -> Self {
        Self { accounts: vec![1_000, 1_000_000], updates: 400_000 }
    }
}

/// Measures all stores.
///
/// The servers are those of `HS_OAUTH_TEST_POSTGRES` and `HS_OAUTH_TEST_REDIS`, or servers of its own.
///
/// # Errors
/// If a store or a server returns an error.
pub fn report(extent: &Extent) -> Result<(), Failure> {
    // The prototypes had two cores.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(report_all(extent))
}

async fn report_all(extent: &Extent) -> Result<(), Failure> {
    let mut section = Section::new("9-stores", "The stores");
    let mut others =
        vec![local::measure_memory(FEW_ACCOUNTS).await?, local::measure_files(FEW_ACCOUNTS).await?];
    measure_redis(&mut others).await?;
    let (mut sizes, renewals) = measure_postgres(extent).await?;
    if env::var_os(POSTGRES).is_none() {
        measure_large_buffers(&mut sizes).await?;
    }

    section.say(format!(
        "{CALLERS} callers, each on accounts of its own in no order. The bare statement goes over the same kind of connection, in rounds \
         that take turns with the store's; its answer is not read as a record. A bare load of sqlx in a transaction is one statement without \
         parameters. The figures of the prototypes are of another day.\n"
    ));
    for which in Which::BOTH {
        let fewest = sizes.first().map_or(&[][..], |size| &size.modes);
        section.table(&table(which, others.iter().chain(fewest)));
    }
    section.say("The prototype that made each call in a task of its own, over query_typed: 11,800 loads and 3,000 swaps a second.\n");
    section.say("The same table in PostgreSQL with more accounts.\n");
    for which in Which::BOTH {
        section.table(&sizes::rates_table(which, &sizes));
    }
    section.say("What the server did for a call over prepared statements, in one round.\n");
    section.table(&sizes::caches_table(&sizes));
    section.say("All records in pages, as an application reads them.\n");
    section.table(&sizes::pages_table(&sizes));
    section.say("Updates all over the table.\n");
    section.table(&sizes::updates_table(&sizes));
    section.say(renewals::TITLE);
    section.table(&renewals);
    section.write()
}

/// The variables with the URLs of servers that run already.
const POSTGRES: &str = "HS_OAUTH_TEST_POSTGRES";
const REDIS: &str = "HS_OAUTH_TEST_REDIS";

async fn measure_redis(measured: &mut Vec<Measured>) -> Result<(), Failure> {
    if let Ok(url) = env::var(REDIS) {
        measured.push(redis::measure(&url, FEW_ACCOUNTS).await?);
        return Ok(());
    }
    for settings in ["appendfsync always", "appendfsync everysec"] {
        let server = Redis::with(&[settings]);
        measured.push(redis::measure(&server.url(), FEW_ACCOUNTS).await?);
    }
    Ok(())
}

async fn measure_postgres(extent: &Extent) -> Result<(Vec<Size>, Table), Failure> {
    let (url, _server) = match env::var(POSTGRES) {
        Ok(url) => (url, None),
        Err(_) => {
            let server = Postgres::with(&[SHARED_BUFFERS]).await;
            (Postgres::url(server.address()), Some(server))
        }
    };
    let mut sizes = Vec::new();
    for accounts in &extent.accounts {
        sizes.push(sizes::measure(&url, *accounts, extent.updates).await?);
    }
    Ok((sizes, renewals::measure(&url).await?))
}

/// Measures large tables once more where the server's memory has room for them.
async fn measure_large_buffers(sizes: &mut [Size]) -> Result<(), Failure> {
    for size in sizes.iter_mut().filter(|size| size.accounts >= MANY_ACCOUNTS) {
        let server = Postgres::with(&[LARGE_SHARED_BUFFERS]).await;
        size.measure_large_buffers(&Postgres::url(server.address())).await?;
    }
    Ok(())
}

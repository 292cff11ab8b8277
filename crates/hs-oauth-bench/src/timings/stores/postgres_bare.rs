//! The statements of a store for PostgreSQL as one would write them by hand.

use std::sync::Arc;

use async_trait::async_trait;
use deadpool_postgres::tokio_postgres::types::{ToSql, Type};
use deadpool_postgres::tokio_postgres::{self, Client, NoTls, Row, Statement};
use hs_oauth_async::Account;
use sqlx::{AssertSqlSafe, Executor, PgPool, Postgres, Row as _};

use super::calls::{CALLERS, Call, SharedCall};
use super::given::json;
use crate::work::Failure;

fn load_sql(table: &str) -> String {
    format!("select version, record::text from {table} where hub_id = $1 and user_id = $2")
}

fn swap_sql(table: &str) -> String {
    format!(
        "update {table} set version = version + 1, record = $4::json \
         where hub_id = $1 and user_id = $2 and version = $3 returning version"
    )
}

const LOAD_TYPES: [Type; 2] = [Type::INT8, Type::INT8];
const SWAP_TYPES: [Type; 4] = [Type::INT8, Type::INT8, Type::INT8, Type::TEXT];

/// tokio-postgres, with a connection for each caller.
pub(super) struct PgBare {
    connections: Vec<PgConnected>,
    load: String,
    swap: String,
    json: String,
}

struct PgConnected {
    client: Client,
    prepared: Option<[Statement; 2]>,
}

impl PgBare {
    pub(super) async fn connect(
        config: &tokio_postgres::Config,
        table: &str,
        is_prepared: bool,
    ) -> Result<Arc<Self>, Failure> {
        let (load, swap) = (load_sql(table), swap_sql(table));
        let mut connections = Vec::new();
        for _ in 0..CALLERS {
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            let prepared = match is_prepared {
                true => Some([
                    client.prepare_typed(&load, &LOAD_TYPES).await?,
                    client.prepare_typed(&swap, &SWAP_TYPES).await?,
                ]),
                false => None,
            };
            connections.push(PgConnected { client, prepared });
        }
        Ok(Arc::new(Self { connections, load, swap, json: json() }))
    }

    pub(super) fn calls(self: Arc<Self>) -> [SharedCall; 2] {
        [Arc::new(PgLoad(Arc::clone(&self))), Arc::new(PgSwap(self))]
    }

    /// Loads a record. Returns its version and its JSON.
    pub(super) async fn load(&self, caller: usize, account: Account) -> Result<(i64, String), Failure> {
        let PgConnected { client, prepared } = self.connections.get(caller).ok_or("no connection")?;
        let key: [&(dyn ToSql + Sync); 2] = [&account.hub_id, &0_i64];
        let rows = match prepared {
            Some([load, _]) => client.query(load, &key).await?,
            None => client.query_typed(&self.load, &typed(key, LOAD_TYPES)).await?,
        };
        let row = only(&rows)?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    /// Replaces a record. Returns the new version.
    pub(super) async fn swap(
        &self,
        caller: usize,
        account: Account,
        version: i64,
        json: &str,
    ) -> Result<i64, Failure> {
        let PgConnected { client, prepared } = self.connections.get(caller).ok_or("no connection")?;
        let values: [&(dyn ToSql + Sync); 4] = [&account.hub_id, &0_i64, &version, &json];
        let rows = match prepared {
            Some([_, swap]) => client.query(swap, &values).await?,
            None => client.query_typed(&self.swap, &typed(values, SWAP_TYPES)).await?,
        };
        Ok(only(&rows)?.try_get(0)?)
    }
}

fn typed<const N: usize>(
    values: [&(dyn ToSql + Sync); N],
    types: [Type; N],
) -> Vec<(&(dyn ToSql + Sync), Type)> {
    values.into_iter().zip(types).collect()
}

fn only(rows: &[Row]) -> Result<&Row, Failure> {
    rows.first().ok_or_else(|| "no record of this version".into())
}

struct PgLoad(Arc<PgBare>);

#[async_trait]
impl Call for PgLoad {
    async fn make(&self, caller: usize, account: Account, _: &mut u64) -> Result<(), Failure> {
        self.0.load(caller, account).await.map(drop)
    }
}

struct PgSwap(Arc<PgBare>);

#[async_trait]
impl Call for PgSwap {
    async fn make(&self, caller: usize, account: Account, version: &mut u64) -> Result<(), Failure> {
        let swapped = self.0.swap(caller, account, i64::try_from(*version)?, &self.0.json).await?;
        *version = u64::try_from(swapped)?;
        Ok(())
    }
}

/// sqlx, over a pool, which asks the server at each release whether the connection still works. Unprepared, a load is sent as a text without
/// parameters, and a swap in a transaction: what works through pgbouncer in transaction mode, too.
pub(super) struct SqlxBare {
    pool: PgPool,
    is_prepared: bool,
    load: String,
    swap: String,
    json: String,
}

impl SqlxBare {
    pub(super) fn new(pool: PgPool, table: &str, is_prepared: bool) -> Arc<Self> {
        let (load, swap) = (load_sql(table), swap_sql(table));
        Arc::new(Self { pool, is_prepared, load, swap, json: json() })
    }

    pub(super) fn calls(self: Arc<Self>) -> [SharedCall; 2] {
        [Arc::new(SqlxLoad(Arc::clone(&self))), Arc::new(SqlxSwap(self))]
    }

    async fn swap_over(
        &self,
        executor: impl Executor<'_, Database = Postgres>,
        account: Account,
        version: u64,
    ) -> Result<u64, Failure> {
        let query = sqlx::query(AssertSqlSafe(&*self.swap)).persistent(self.is_prepared);
        let query = query.bind(account.hub_id).bind(0_i64).bind(i64::try_from(version)?).bind(&self.json);
        Ok(u64::try_from(query.fetch_one(executor).await?.try_get::<i64, _>(0)?)?)
    }
}

struct SqlxLoad(Arc<SqlxBare>);

#[async_trait]
impl Call for SqlxLoad {
    async fn make(&self, _: usize, account: Account, _: &mut u64) -> Result<(), Failure> {
        let SqlxBare { pool, is_prepared, load, .. } = &*self.0;
        let row = match is_prepared {
            true => {
                let query = sqlx::query(AssertSqlSafe(&**load)).bind(account.hub_id).bind(0_i64);
                query.fetch_one(pool).await?
            }
            false => {
                let sql = load.replace("$1", &account.hub_id.to_string()).replace("$2", "0");
                sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(pool).await?
            }
        };
        let (_, _): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        Ok(())
    }
}

struct SqlxSwap(Arc<SqlxBare>);

#[async_trait]
impl Call for SqlxSwap {
    async fn make(&self, _: usize, account: Account, version: &mut u64) -> Result<(), Failure> {
        *version = match self.0.is_prepared {
            true => self.0.swap_over(&self.0.pool, account, *version).await?,
            false => {
                let mut transaction = self.0.pool.begin().await?;
                let swapped = self.0.swap_over(&mut *transaction, account, *version).await?;
                transaction.commit().await?;
                swapped
            }
        };
        Ok(())
    }
}

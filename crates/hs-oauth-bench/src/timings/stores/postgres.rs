//! PostgreSQL: a table with so many accounts, the stores over it, and what the server counts.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::tokio_postgres::{Client, NoTls};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, tokio_postgres};
use hs_oauth_async::AsyncTokenStore;
use hs_oauth_postgres::{PgStore, SqlxStore};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::calls::{CALLERS, DEADLINE, SharedCall};
use super::given::{HUB, json};
use super::postgres_bare::{PgBare, SqlxBare};
use super::subject::Subject;
use crate::work::Failure;

/// How statements get to the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    QueryTyped,
    Prepared,
    SqlxUnprepared,
    SqlxPrepared,
}

impl Mode {
    pub(super) const ALL: [Self; 4] =
        [Self::QueryTyped, Self::Prepared, Self::SqlxUnprepared, Self::SqlxPrepared];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::QueryTyped => "PostgreSQL, query_typed",
            Self::Prepared => "PostgreSQL, prepared",
            Self::SqlxUnprepared => "PostgreSQL, sqlx in a transaction",
            Self::SqlxPrepared => "PostgreSQL, sqlx prepared",
        }
    }

    /// Loads and swaps a second of the prototype.
    const fn prototype(self) -> Option<[u64; 2]> {
        match self {
            Self::QueryTyped => Some([13_000, 3_100]),
            Self::Prepared => Some([26_700, 5_100]),
            Self::SqlxUnprepared => None,
            Self::SqlxPrepared => Some([16_600, 2_400]),
        }
    }

    const fn is_prepared(self) -> bool {
        matches!(self, Self::Prepared | Self::SqlxPrepared)
    }
}

/// A table of the section's own.
pub(super) struct Table {
    url: String,
    pub(super) name: String,
    admin: Client,
}

/// What the server has counted so far.
#[derive(Clone, Copy)]
pub(super) struct Counts {
    pub(super) updates: i64,
    pub(super) updates_in_place: i64,
    /// Pages of the table and its index that were in `shared_buffers`.
    pub(super) hits: i64,
    /// Those that were not.
    pub(super) reads: i64,
    /// Whole pages that were written to the log, since they were changed for the first time after a checkpoint.
    pub(super) page_images: i64,
    pub(super) log_bytes: i64,
}

/// The size of the table, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) table: i64,
    pub(super) index: i64,
}

/// By this name the section's connections are known to the server.
const APPLICATION: &str = "hs-oauth-bench";

impl Table {
    /// Creates the table, with so many accounts whose records have the version 1.
    pub(super) async fn create(url: &str, accounts: u64) -> Result<Self, Failure> {
        let (admin, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let table = Self { url: url.to_owned(), name: format!("timings_{}", std::process::id()), admin };
        let name = &table.name;
        table.run(&format!("drop table if exists {name}")).await?;
        PgStore::new(table.pool()?).table(name)?.create().await?;
        let insert = format!(
            "insert into {name} select id, 0, 1, replace($1, '{HUB}', lpad(id::text, length('{HUB}'), '0'))::json \
             from generate_series(1, $2::bigint) id"
        );
        table.admin.execute(&insert, &[&json(), &i64::try_from(accounts)?]).await?;
        table.run(&format!("vacuum analyze {name}")).await?;
        table.run("checkpoint").await?;
        Ok(table)
    }

    pub(super) async fn drop(self) -> Result<(), Failure> {
        self.run(&format!("drop table {}", self.name)).await
    }

    /// Reads the table and its index into the server's memory, as far as they have room there.
    pub(super) async fn warm_up(&self) -> Result<(), Failure> {
        self.run("create extension if not exists pg_prewarm").await?;
        let name = &self.name;
        self.run(&format!("select pg_prewarm('{name}'), pg_prewarm('{name}_pkey')")).await
    }

    /// Lets the server log no whole pages. A crash could then damage the table, so it is for measuring only.
    pub(super) async fn log_no_whole_pages(&self) -> Result<(), Failure> {
        self.run("alter system set full_page_writes = off").await?;
        self.run("select pg_reload_conf()").await?;
        // The setting counts from the checkpoint on that has it.
        let is_on = "select full_page_writes from pg_control_checkpoint()";
        while self.admin.query_one(is_on, &[]).await?.try_get(0)? {
            self.run("checkpoint").await?;
        }
        Ok(())
    }

    async fn run(&self, sql: &str) -> Result<(), Failure> {
        Ok(self.admin.batch_execute(sql).await?)
    }

    /// Returns the value of a setting.
    pub(super) async fn setting(&self, name: &str) -> Result<String, Failure> {
        Ok(self.admin.query_one("select current_setting($1)", &[&name]).await?.try_get(0)?)
    }

    /// Returns the store, and the bare statements beside it.
    pub(super) async fn subject(&self, mode: Mode) -> Result<Subject, Failure> {
        let bare = self.bare(mode).await?;
        Subject::new(mode.name(), self.store(mode)?, mode.prototype(), Some(bare))
    }

    pub(super) fn store(&self, mode: Mode) -> Result<Arc<dyn AsyncTokenStore>, Failure> {
        Ok(match mode {
            Mode::QueryTyped | Mode::Prepared => {
                let store = PgStore::new(self.pool()?).table(&self.name)?.deadline(DEADLINE);
                Arc::new(store.prepared(mode.is_prepared()))
            }
            Mode::SqlxUnprepared | Mode::SqlxPrepared => {
                let store = SqlxStore::new(self.sqlx_pool()?).table(&self.name)?.deadline(DEADLINE);
                Arc::new(store.prepared(mode.is_prepared()))
            }
        })
    }

    async fn bare(&self, mode: Mode) -> Result<[SharedCall; 2], Failure> {
        Ok(match mode {
            Mode::QueryTyped | Mode::Prepared => self.pg_bare(mode).await?.calls(),
            Mode::SqlxUnprepared | Mode::SqlxPrepared => {
                SqlxBare::new(self.sqlx_pool()?, &self.name, mode.is_prepared()).calls()
            }
        })
    }

    pub(super) async fn pg_bare(&self, mode: Mode) -> Result<Arc<PgBare>, Failure> {
        PgBare::connect(&self.config()?, &self.name, mode.is_prepared()).await
    }

    fn pool(&self) -> Result<Pool, Failure> {
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(self.config()?, NoTls, config);
        Ok(Pool::builder(manager).max_size(CALLERS).build()?)
    }

    fn config(&self) -> Result<tokio_postgres::Config, Failure> {
        let mut config: tokio_postgres::Config = self.url.parse()?;
        config.application_name(APPLICATION);
        Ok(config)
    }

    /// Returns a pool that asks the server nothing before it lends a connection.
    fn sqlx_pool(&self) -> Result<PgPool, Failure> {
        let options = self.url.parse::<PgConnectOptions>()?.application_name(APPLICATION);
        let pool = PgPoolOptions::new().max_connections(u32::try_from(CALLERS)?).test_before_acquire(false);
        Ok(pool.connect_lazy_with(options))
    }

    /// Returns what was counted. Waits until all connections of the section are closed, for only then the server has counted all.
    pub(super) async fn counts(&self) -> Result<Counts, Failure> {
        let open = "select count(*) from pg_stat_activity where application_name = $1";
        while self.admin.query_one(open, &[&APPLICATION]).await?.try_get::<_, i64>(0)? > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let counts = "select n_tup_upd, n_tup_hot_upd, heap_blks_hit + idx_blks_hit, heap_blks_read + idx_blks_read, wal_fpi, \
                      wal_bytes::bigint from pg_stat_user_tables join pg_statio_user_tables using (relid), pg_stat_wal \
                      where relid = to_regclass($1)";
        let row = self.admin.query_one(counts, &[&self.name]).await?;
        Ok(Counts {
            updates: row.try_get(0)?,
            updates_in_place: row.try_get(1)?,
            hits: row.try_get(2)?,
            reads: row.try_get(3)?,
            page_images: row.try_get(4)?,
            log_bytes: row.try_get(5)?,
        })
    }

    pub(super) async fn sizes(&self) -> Result<Sizes, Failure> {
        let sizes = "select pg_table_size(to_regclass($1)), pg_indexes_size(to_regclass($1))";
        let row = self.admin.query_one(sizes, &[&self.name]).await?;
        Ok(Sizes { table: row.try_get(0)?, index: row.try_get(1)? })
    }
}

impl std::ops::Sub for Counts {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            updates: self.updates - earlier.updates,
            updates_in_place: self.updates_in_place - earlier.updates_in_place,
            hits: self.hits - earlier.hits,
            reads: self.reads - earlier.reads,
            page_images: self.page_images - earlier.page_images,
            log_bytes: self.log_bytes - earlier.log_bytes,
        }
    }
}

//! The stores under test: each driver in each of its modes.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::tokio_postgres::{Config, NoTls};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use hs_oauth_postgres::{PgStore, SqlxStore};
use hs_oauth_store::AsyncTokenStore;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

/// A driver and how it sends statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Pg,
    PgPrepared,
    Sqlx,
    SqlxPrepared,
}

pub(crate) const MODES: [Mode; 4] = [Mode::Pg, Mode::PgPrepared, Mode::Sqlx, Mode::SqlxPrepared];

/// Returns a pool as an application has it.
pub(crate) fn pool(url: &str, size: usize) -> Pool {
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(Config::from_str(url).unwrap(), NoTls, config);
    Pool::builder(manager).max_size(size).build().unwrap()
}

/// Returns a pool as an application has it.
pub(crate) fn sqlx_pool(url: &str, size: usize) -> sqlx::PgPool {
    let options = PgConnectOptions::from_str(url).unwrap();
    PgPoolOptions::new().max_connections(size.try_into().unwrap()).connect_lazy_with(options)
}

/// A store of one of the modes, with connections of its own.
pub(crate) fn store(mode: Mode, url: &str, table: &str, size: usize) -> Arc<dyn AsyncTokenStore> {
    pooled(mode, url, table, size, Limits::default()).store
}

/// A store and its pool.
pub(crate) struct Pooled {
    pub(crate) store: Arc<dyn AsyncTokenStore>,
    /// Returns how many connections of the pool are idle.
    pub(crate) idle: Box<dyn Fn() -> usize + Send + Sync>,
}

/// The deadlines of a store.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) call: Duration,
    pub(crate) connect: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { call: Duration::from_secs(2), connect: Duration::from_secs(5) }
    }
}

pub(crate) fn pooled(mode: Mode, url: &str, table: &str, size: usize, limits: Limits) -> Pooled {
    match mode {
        Mode::Pg | Mode::PgPrepared => {
            let pool = pool(url, size);
            let store = PgStore::new(pool.clone()).table(table).unwrap().deadline(limits.call);
            let store = store.connect_deadline(limits.connect).prepared(mode == Mode::PgPrepared);
            let idle = move || pool.status().available;
            Pooled { store: Arc::new(store), idle: Box::new(idle) }
        }
        Mode::Sqlx | Mode::SqlxPrepared => {
            let pool = sqlx_pool(url, size);
            let store = SqlxStore::new(pool.clone()).table(table).unwrap().deadline(limits.call);
            let store = store.connect_deadline(limits.connect).prepared(mode == Mode::SqlxPrepared);
            let idle = move || pool.num_idle();
            Pooled { store: Arc::new(store), idle: Box::new(idle) }
        }
    }
}

/// Creates the table.
pub(crate) async fn create(url: &str, table: &str) {
    PgStore::new(pool(url, 1)).table(table).unwrap().create().await.unwrap();
}

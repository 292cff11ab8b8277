//! The stores under test: each driver in each of its modes.

use std::str::FromStr;
use std::sync::Arc;

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
    match mode {
        Mode::Pg | Mode::PgPrepared => {
            let store = PgStore::new(pool(url, size)).table(table).unwrap();
            Arc::new(store.prepared(mode == Mode::PgPrepared))
        }
        Mode::Sqlx | Mode::SqlxPrepared => {
            let store = SqlxStore::new(sqlx_pool(url, size)).table(table).unwrap();
            Arc::new(store.prepared(mode == Mode::SqlxPrepared))
        }
    }
}

/// Creates the table.
pub(crate) async fn create(url: &str, table: &str) {
    PgStore::new(pool(url, 1)).table(table).unwrap().create().await.unwrap();
}

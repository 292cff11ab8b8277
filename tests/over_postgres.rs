//! The scenarios of the token managers over PostgreSQL. They are those of `main.rs`, with another store beneath them.
//!
//! This is a target of the workspace in `servers/`, since it starts a server.

#![allow(dead_code, reason = "it is a part of the tests in `main.rs` and in `servers/`")]

mod both;
mod canary;
mod manager;
mod raw_server;
mod wait;

/// The store beneath the scenarios: a table of its own, over tokio-postgres, or over sqlx if `HS_OAUTH_TEST_DRIVER` is `sqlx`.
mod engine {
    use std::sync::Arc;

    use deadpool_postgres::tokio_postgres::NoTls;
    use deadpool_postgres::{Manager, Pool};
    use hs_oauth_postgres::{BlockOn, PgStore, SqlxStore};
    use hs_oauth_store::TokenStore;
    use sqlx::PgPool;
    use tokio::runtime::Runtime;

    use hs_oauth_test_servers::server::postgres::{new_table_name, shared_url};

    /// Returns a new store with nothing in it.
    pub(crate) fn new_store() -> Arc<dyn TokenStore> {
        // A runtime cannot be started on a thread of another one.
        std::thread::spawn(new_table).join().unwrap()
    }

    fn new_table() -> Arc<dyn TokenStore> {
        let (url, table) = (shared_url(), new_table_name());
        let pool =
            |size| Pool::builder(Manager::new(url.parse().unwrap(), NoTls)).max_size(size).build().unwrap();
        let runtime = Runtime::new().unwrap();
        runtime.block_on(PgStore::new(pool(1)).table(&table).unwrap().create()).unwrap();
        if std::env::var("HS_OAUTH_TEST_DRIVER").is_ok_and(|driver| driver == "sqlx") {
            let _context = runtime.enter();
            let store = SqlxStore::new(PgPool::connect_lazy(&url).unwrap()).table(&table).unwrap();
            return Arc::new(BlockOn::new(store).unwrap());
        }
        Arc::new(BlockOn::new(PgStore::new(pool(8)).table(&table).unwrap()).unwrap())
    }
}

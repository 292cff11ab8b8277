//! The scenarios of the token managers over PostgreSQL and Redis. They are those of `main.rs`, with another store beneath them.
//!
//! This is a target of the workspace in `servers/`, since it starts a server.

#![allow(dead_code, reason = "it is a part of the tests in `main.rs` and in `servers/`")]

mod both;
mod canary;
mod manager;
mod raw_server;
mod wait;

/// The store beneath the scenarios: a table of its own in PostgreSQL, over tokio-postgres or sqlx, or a prefix of its own in Redis. The variable
/// `HS_OAUTH_TEST_DRIVER` says which.
mod engine {
    use std::sync::Arc;

    use deadpool_postgres::tokio_postgres::NoTls;
    use deadpool_postgres::{Manager, Pool};
    use hs_oauth_postgres::{BlockOn, PgStore, SqlxStore};
    use hs_oauth_redis::RedisStore;
    use hs_oauth_store::TokenStore;
    use sqlx::PgPool;
    use tokio::runtime::Runtime;

    use hs_oauth_test_servers::server::{postgres, redis};

    /// Returns a new store with nothing in it.
    pub(crate) fn new_store() -> Arc<dyn TokenStore> {
        // A runtime cannot be started on a thread of another one.
        let driver = std::env::var("HS_OAUTH_TEST_DRIVER");
        let new = match driver.as_deref().unwrap_or("tokio-postgres") {
            "tokio-postgres" => new_tokio_postgres,
            "sqlx" => new_sqlx,
            "redis" => new_redis,
            driver => panic!("HS_OAUTH_TEST_DRIVER is {driver}, and not tokio-postgres, sqlx or redis"),
        };
        std::thread::spawn(new).join().unwrap()
    }

    fn new_tokio_postgres() -> Arc<dyn TokenStore> {
        Arc::new(BlockOn::new(table(&new_table(), 8)).unwrap())
    }

    fn new_sqlx() -> Arc<dyn TokenStore> {
        let name = new_table();
        let open = async move {
            let pool = PgPool::connect_lazy(&postgres::shared_url()).unwrap();
            SqlxStore::new(pool).table(&name)
        };
        Arc::new(BlockOn::open(open).unwrap())
    }

    fn new_redis() -> Arc<dyn TokenStore> {
        let client = hs_oauth_redis::redis::Client::open(redis::shared_url()).unwrap();
        Arc::new(BlockOn::new(RedisStore::new(client).prefix(&redis::new_prefix()).unwrap()).unwrap())
    }

    /// Creates a table, and returns its name.
    fn new_table() -> String {
        let name = postgres::new_table_name();
        Runtime::new().unwrap().block_on(table(&name, 1).create()).unwrap();
        name
    }

    /// Returns the store in this table, over a pool of so many connections.
    fn table(name: &str, connections: usize) -> PgStore {
        let manager = Manager::new(postgres::shared_url().parse().unwrap(), NoTls);
        PgStore::new(Pool::builder(manager).max_size(connections).build().unwrap()).table(name).unwrap()
    }
}

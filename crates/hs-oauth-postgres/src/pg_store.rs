use std::time::Duration;

use deadpool_postgres::Pool;
use hs_oauth_store::{
    Account, AsyncTokenStore, Cursor, Page, Record, StoreError, Stored, Swapped, async_trait,
};

use crate::Warning;
use crate::driver::deadpool::Deadpool;
use crate::facade::facade;
use crate::store::Store;

/// A store in PostgreSQL over tokio-postgres, through a pool of the application's own.
#[derive(Clone, Debug)]
pub struct PgStore(Store<Deadpool>);

impl PgStore {
    /// Returns a store with this pool. It sends nothing yet.
    pub fn new(pool: Pool) -> Self {
        Self(Store::new(Deadpool { pool, is_prepared: false }))
    }

    /// Sets whether each connection prepares the statements once. The default is that it does not.
    ///
    /// Prepared statements take the server less time. Through pgbouncer in transaction mode they fail.
    #[must_use]
    pub fn prepared(mut self, is_prepared: bool) -> Self {
        self.0.calls.driver_mut().is_prepared = is_prepared;
        self
    }
}

facade!(PgStore);

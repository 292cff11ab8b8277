use std::time::Duration;

use hs_oauth_store::{
    Account, AsyncTokenStore, Cursor, Page, Record, StoreError, Stored, Swapped, async_trait,
};
use sqlx::PgPool;

use crate::Warning;
use crate::driver::sqlx::Sqlx;
use crate::facade::facade;
use crate::store::Store;

/// A store in PostgreSQL over sqlx, through a pool of the application's own.
#[derive(Clone, Debug)]
pub struct SqlxStore(Store<Sqlx>);

impl SqlxStore {
    /// Returns a store with this pool. It sends nothing yet.
    pub fn new(pool: PgPool) -> Self {
        Self(Store::new(Sqlx { pool, is_prepared: false }))
    }

    /// Sets whether each connection prepares the statements once. The default is that it does not.
    ///
    /// A prepared statement takes one round trip. Through pgbouncer in transaction mode it fails. Without it, sqlx sends a statement in two
    /// parts, which are a transaction then and take four round trips.
    #[must_use]
    pub fn prepared(mut self, is_prepared: bool) -> Self {
        self.0.calls.driver_mut().is_prepared = is_prepared;
        self
    }
}

facade!(SqlxStore);

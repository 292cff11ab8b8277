//! A store for HubSpot OAuth tokens in PostgreSQL, for fleets whose processes share a database already.
//!
//! **In this crate**:
//! - [`PgStore`], over a pool of `deadpool-postgres` (feature `tokio-postgres`, on by default).
//! - `SqlxStore`, over a pool of sqlx 0.9 (feature `sqlx`, which needs Rust 1.94).
//! - [`SCHEMA`], the table as a text for a migration tool. It is the file `migrations/0001_hs_oauth_tokens.sql`, too.
//! - [`Warning`], a way in which the server can lose what it has acknowledged.
//!
//! Both stores send the same statements to the same table, so processes with different drivers may share it.
//!
//! **Not in this crate**: what a record says and when it is written, and encryption, which are in `hs-oauth-core` and `hs-oauth-store`; pools
//! and TLS, which are the application's.
//!
//! ```no_run
//! # #[cfg(feature = "tokio-postgres")]
//! use deadpool_postgres::{Manager, Pool, tokio_postgres};
//! # #[cfg(feature = "tokio-postgres")]
//! use hs_oauth_postgres::PgStore;
//!
//! # #[cfg(feature = "tokio-postgres")]
//! # async fn store() -> Result<PgStore, Box<dyn std::error::Error>> {
//! // The application's own pool. `target_session_attrs` finds the primary among several hosts.
//! let config = "host=db-1,db-2 user=app dbname=app target_session_attrs=read-write".parse()?;
//! let pool = Pool::builder(Manager::new(config, tokio_postgres::NoTls)).max_size(16).build()?;
//!
//! let store = PgStore::new(pool);
//! store.create().await?; // or run `SCHEMA` with a migration tool
//! for warning in store.warnings().await? {
//!     eprintln!("the token store: {warning}");
//! }
//! # Ok(store)
//! # }
//! ```
//!
//! # What the server has to be
//!
//! HubSpot may replace a refresh token when it is used. Then a lost write of the new one is a lost account. So:
//!
//! - **Use the primary, and never a replica.** A replica may know less than was written. A read from one is refused.
//! - **Have a synchronous standby, or none.** A failover to an asynchronous one loses its last moments, usually less than a second of writes.
//!   Even then no version comes back: each is at least the server's clock in microseconds, so a process that still knows a lost write gets a
//!   conflict.
//! - **Leave `fsync` on.** `synchronous_commit` may be off for the rest of the application: each write of the store sets it on for itself.
//! - **Name all hosts and `target_session_attrs=read-write`** where there is a failover. tokio-postgres understands both. With sqlx, which takes
//!   one host, it is a load balancer or a name that follows the primary.
//!
//! `check()` of the stores refuses a server and a table to which nothing should be written, and [`PgStore::warnings`] names the settings that
//! can lose a write.
//!
//! # A call
//!
//! Each statement commits itself; only a write of `SqlxStore` without prepared statements is in a transaction. A call is a task of its own
//! with a deadline of its own, 2 seconds unless it is [set](PgStore::deadline). A caller that goes away stops no write half-way and
//! cancels no connection that is being made. A connection whose answer stayed out is closed without another word, and never used again; idle
//! connections on which nothing was heard since that call began are closed with it. So a network that has forgotten the connections costs one
//! call, and a server that stands still gets no more connects than the pool has places.
//!
//! A connection that the application itself uses for long holds a place of the pool. Give the store a pool of its own if that can be.
//!
//! # pgbouncer
//!
//! Through pgbouncer in transaction mode the stores work as they are. With [prepared statements](PgStore::prepared), which take less of the
//! server's time, they need a direct connection.
//!
//! # Logs of the server
//!
//! No error of the stores, and no log line that they or the drivers write, has a token in it: of the server's errors it has SQLSTATE and message only. But
//! the server's own log is its owner's: with `log_min_duration_statement`, `log_statement` or `auto_explain` it has **the parameters of
//! statements, and so the tokens**. `log_parameter_max_length = 0` leaves them out. Or let the records be encrypted before they get there, by
//! `Sealed` of `hs-oauth-store`, which also keeps them out of backups.
//!
//! # For the blocking token manager
//!
//! `BlockOn` (feature `block-on`) is the store as a sync one, on a thread of its own. The pool must be for it alone, since its connections live
//! on that thread's runtime.
//!
//! ```no_run
//! # #[cfg(all(feature = "tokio-postgres", feature = "block-on"))]
//! # fn store(pool: deadpool_postgres::Pool) -> Result<(), Box<dyn std::error::Error>> {
//! use hs_oauth_postgres::{BlockOn, PgStore};
//!
//! let store = BlockOn::new(PgStore::new(pool))?; // a `TokenStore`
//! # Ok(())
//! # }
//! ```

// Without a driver there are only the schema and the warnings.
#![cfg_attr(
    not(any(feature = "sqlx", feature = "tokio-postgres")),
    allow(dead_code, unused_imports, unused_macros)
)]

mod calls;
mod driver;
mod facade;
mod failure;
#[cfg(feature = "tokio-postgres")]
mod pg_store;
mod server;
#[cfg(feature = "sqlx")]
mod sqlx_store;
mod statement;
mod store;
mod table;

#[cfg(feature = "block-on")]
pub use hs_oauth_store::BlockOn;
#[cfg(feature = "tokio-postgres")]
pub use pg_store::PgStore;
pub use server::Warning;
#[cfg(feature = "sqlx")]
pub use sqlx_store::SqlxStore;
pub use table::{SCHEMA, TABLE};

#[cfg(all(doctest, feature = "tokio-postgres"))]
#[doc = include_str!("../README.md")]
struct Readme;

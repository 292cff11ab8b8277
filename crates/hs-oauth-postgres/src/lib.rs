//! A store for HubSpot OAuth tokens in PostgreSQL.

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

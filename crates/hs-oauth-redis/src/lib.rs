//! A store in Redis for HubSpot OAuth tokens: one record an account, for any number of processes.
//!
//! **In this crate**:
//! - [`RedisStore`], an [`AsyncTokenStore`](hs_oauth_store::AsyncTokenStore) over one connection that is replaced when an answer stays
//!   out. With the feature `block-on` it is a sync store, too: [`BlockOn::new(store)`](hs_oauth_store::BlockOn).
//! - [`Warning`]: a way in which a Redis may lose what it has acknowledged.
//! - [`redis`], the driver, in the version that the store works with.
//!
//! **Not in this crate**: an HTTP client, or when tokens are renewed. The token managers of `hs-oauth-async` and `hs-oauth-blocking` take
//! the store.
//!
//! # What Redis may lose
//!
//! A lost write of a refresh token that HubSpot has just replaced is a lost account: the customer has to connect again. HubSpot returns the
//! same refresh token at each refresh today, and then a lost write costs a renewal.
//!
//! | Redis | loses |
//! |---|---|
//! | `appendonly yes`, `appendfsync always` | nothing, when it crashes |
//! | `appendfsync everysec` | the last second, when the machine crashes |
//! | `appendonly no` | all since the last snapshot; refused unless [`RedisStore::without_append_only_file`] accepts it |
//! | a failover, by Sentinel or a service | what no replica had, also with `appendfsync always`; less with `min-replicas-to-write 1` |
//! | `maxmemory-policy allkeys-…` | any account when its memory is full; refused |
//!
//! Each is refused, or [`RedisStore::warnings`] names it. `hs-oauth-postgres` with a synchronous standby loses none of them.
//!
//! # Who can read the tokens
//!
//! Redis keeps them in memory and in its files as they are, and `MONITOR` and the slow log show them to who may ask. The driver's buffers
//! are not wiped. So encrypt the records: `Sealed::new(store, keys)`. Use `rediss://`, for which your own dependency on `redis` has to
//! switch on a feature for TLS.

mod backoff;
mod call;
mod check;
mod connection;
mod error;
mod key;
mod page;
mod reply;
mod script;
mod server;
mod store;
mod warning;

#[cfg(feature = "block-on")]
pub use hs_oauth_store::BlockOn;
pub use redis;
pub use store::RedisStore;
pub use warning::Warning;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

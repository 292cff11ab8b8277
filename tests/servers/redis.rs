//! The store in Redis.

mod contract;

use hs_oauth_redis::{RedisStore, redis};

/// Returns a store in the Redis of this URL, with a connection of its own.
pub(crate) fn store(url: &str, prefix: &str) -> RedisStore {
    RedisStore::new(redis::Client::open(url).unwrap()).prefix(prefix).unwrap()
}

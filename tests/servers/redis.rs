//! The store in Redis.

mod clients;
mod contract;
mod faults;
mod managers;
mod pages;
mod secrets;
mod settings;
mod versions;

use std::time::Duration;

use hs_oauth_redis::{RedisStore, redis};
use hs_oauth_store::Record;
use hs_oauth_test_servers::wait::PATIENCE;

/// Returns a store in the Redis of this URL, with a connection of its own. Its deadline is one that only a hang misses.
pub(crate) fn store(url: &str, prefix: &str) -> RedisStore {
    let store = RedisStore::new(redis::Client::open(url).unwrap()).deadline(PATIENCE);
    store.prefix(prefix).unwrap()
}

/// A deadline that a test can wait for.
const DEADLINE: Duration = Duration::from_secs(2);

/// The refresh token of [`record`]. No error may show it.
const TOKEN: &str = "na1-5ec7e7";

/// Returns a record with this number in it.
fn record(number: u64) -> Record {
    let record = serde_json::json!({
        "format": 1, "grant": "0123456789abcdef0123456789abcdef", "state": "live", "number": number,
        "tokens": {
            "access_token": "CK-access", "refresh_token": TOKEN, "token_type": "bearer", "expires_in": 1800,
            "expires_at": 1_790_000_000_000_u64,
        },
    });
    serde_json::from_value(record).unwrap()
}

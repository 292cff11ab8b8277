//! Measures loads and swaps of the store beside the same commands sent by hand, with 16 callers on one connection each:
//!
//! ```sh
//! redis-server --port 7777 --save "" --appendonly yes --appendfsync always
//! cargo run --release -p hs-oauth-redis --example redis_timings -- redis://127.0.0.1:7777
//! ```
//!
//! It writes to the keys `timings:{…}` of that server.

#![allow(clippy::print_stdout, reason = "it prints figures")]

use std::time::{Duration, Instant};

use hs_oauth_redis::{RedisStore, redis};
use hs_oauth_store::{Account, AsyncTokenStore, Record, Swapped};
use redis::Value;
use redis::aio::MultiplexedConnection;

const CALLERS: i64 = 16;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);

const RECORD: &str = r#"{
    "format": 1, "grant": "0123456789abcdef0123456789abcdef", "state": "live", "client_id": "7e8a1f5c-0000-4000-8000-000000000000",
    "tokens": {
        "access_token": "CKu_0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
        "refresh_token": "na1-01234567-89ab-cdef-0123-456789abcdef", "token_type": "bearer", "expires_in": 1800,
        "expires_at": 1790000000001, "hub_id": 62515, "user_id": 9007, "scopes": ["crm.objects.contacts.read", "oauth"]
    }
}"#;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let url = std::env::args().nth(1).ok_or("the argument is the URL of a Redis")?;
    let client = redis::Client::open(url)?;
    let store = RedisStore::new(client.clone()).prefix("timings")?.without_append_only_file();
    let connection = client.get_multiplexed_async_connection().await?;
    let record: Record = serde_json::from_str(RECORD)?;
    let text = serde_json::to_string(&record)?;
    let script = redis::Script::new(include_str!("../src/script/swap.lua"));
    script.prepare_invoke().load_async(&mut connection.clone()).await?;
    for account in accounts() {
        if let Some(stored) = store.load(account).await? {
            store.remove(account, stored.version).await?;
        }
        store.swap(account, None, &record).await?;
    }

    let mut results: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        let [loads, bare_loads, swaps, bare_swaps] = &mut results;
        loads.push(rate(accounts().map(|account| load(store.clone(), account))).await?);
        bare_loads.push(rate(accounts().map(|account| bare_load(connection.clone(), account))).await?);
        swaps.push(rate(accounts().map(|account| swap(store.clone(), account, record.clone()))).await?);
        let swap =
            |account| bare_swap(connection.clone(), account, script.get_hash().to_owned(), text.clone());
        bare_swaps.push(rate(accounts().map(swap)).await?);
    }
    let [loads, bare_loads, swaps, bare_swaps] = results.map(median);
    for (name, rate, bare) in [("load", loads, bare_loads), ("swap", swaps, bare_swaps)] {
        println!(
            "{name}: {rate:.0} a second, {:.1} µs each with {CALLERS} callers; by hand {bare:.0}, {:.1} µs; {:.2} times",
            micros(rate),
            micros(bare),
            bare / rate
        );
    }
    Ok(())
}

fn accounts() -> impl Iterator<Item = Account> {
    (1..=CALLERS).map(Account::hub)
}

fn micros(rate: f64) -> f64 {
    CALLERS as f64 * 1e6 / rate
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// Runs all callers for one round. Returns how many calls they made a second.
async fn rate<F: Future<Output = Result<u64, Error>> + Send + 'static>(
    callers: impl Iterator<Item = F>,
) -> Result<f64, Error> {
    let started = Instant::now();
    let mut calls = 0;
    for caller in callers.map(tokio::spawn).collect::<Vec<_>>() {
        calls += caller.await??;
    }
    Ok(calls as f64 / started.elapsed().as_secs_f64())
}

async fn load(store: RedisStore, account: Account) -> Result<u64, Error> {
    let started = Instant::now();
    for calls in 0.. {
        if started.elapsed() > ROUND {
            return Ok(calls);
        }
        store.load(account).await?.ok_or("the record is gone")?;
    }
    Ok(0)
}

async fn swap(store: RedisStore, account: Account, record: Record) -> Result<u64, Error> {
    let started = Instant::now();
    let mut version = store.load(account).await?.map(|stored| stored.version);
    for calls in 0.. {
        if started.elapsed() > ROUND {
            return Ok(calls);
        }
        let Swapped::Stored(next) = store.swap(account, version, &record).await? else {
            return Err("a conflict".into());
        };
        version = Some(next);
    }
    Ok(0)
}

async fn bare_load(mut connection: MultiplexedConnection, account: Account) -> Result<u64, Error> {
    let started = Instant::now();
    for calls in 0.. {
        if started.elapsed() > ROUND {
            return Ok(calls);
        }
        let mut command = redis::cmd("HMGET");
        command.arg(format!("timings:{{{account}}}")).arg("version").arg("record");
        connection.send_packed_command(&command).await?;
    }
    Ok(0)
}

async fn bare_swap(
    mut connection: MultiplexedConnection,
    account: Account,
    hash: String,
    record: String,
) -> Result<u64, Error> {
    let started = Instant::now();
    let key = format!("timings:{{{account}}}");
    let mut version: String =
        redis::cmd("HGET").arg(&key).arg("version").query_async(&mut connection).await?;
    for calls in 0.. {
        if started.elapsed() > ROUND {
            return Ok(calls);
        }
        let mut command = redis::cmd("EVALSHA");
        command.arg(&hash).arg(1).arg(&key).arg(&version).arg(&record);
        let Value::BulkString(next) = connection.send_packed_command(&command).await? else {
            return Err("a conflict".into());
        };
        version = String::from_utf8(next)?;
    }
    Ok(0)
}

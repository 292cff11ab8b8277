//! Measures the stores beside the bare statements on connections of their own, with 16 callers:
//!
//! ```sh
//! cargo run --release -p hs-oauth-postgres --all-features --example timings -- postgres://postgres@localhost/postgres 1000 1000000
//! ```
//!
//! Each number is a size of the table, for which it prints a line of JSON for each driver and mode, and one for pages, places of updates and
//! disk. It replaces the table `timings` of that database.

#![allow(clippy::print_stdout, reason = "it prints figures")]

use std::error::Error as StdError;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::tokio_postgres::types::Type;
use deadpool_postgres::tokio_postgres::{Client, NoTls};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, tokio_postgres};
use hs_oauth_postgres::{PgStore, SqlxStore};
use hs_oauth_store::{Account, AllPages, AsyncTokenStore, Record, Swapped};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection};

type Error = Box<dyn StdError + Send + Sync>;
type Store = Arc<dyn AsyncTokenStore>;

const CALLERS: usize = 16;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(2);
const UPDATES: usize = 400_000;

const TABLE: &str = "timings";
const LOAD: &str = "select version, record::text from timings where hub_id = $1 and user_id = $2";
const SWAP: &str = "update timings set version = version + 1, record = $4::json \
                    where hub_id = $1 and user_id = $2 and version = $3 returning version";

/// Of the size of a record with HubSpot's tokens, 868 bytes.
fn json() -> String {
    format!(
        r#"{{"format":1,"grant":"0123456789abcdef0123456789abcdef","state":"live","tokens":{{"access_token":"{}","refresh_token":"na1-01234567-89ab-cdef-0123-456789abcdef","token_type":"bearer","expires_in":1800,"expires_at":1790000000001}}}}"#,
        "CKu-0_9z".repeat(80)
    )
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("the first argument is the URL of a PostgreSQL")?;
    let (admin, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    for rows in arguments {
        let rows: i64 = rows.parse()?;
        fill(&admin, &url, rows).await?;
        for (name, is_sqlx, is_prepared) in [
            ("query_typed", false, false),
            ("tokio-postgres prepared", false, true),
            ("sqlx in a transaction", true, false),
            ("sqlx prepared", true, true),
        ] {
            let store = store(&url, is_sqlx, is_prepared)?;
            let bare = bare(&url, is_sqlx, is_prepared).await?;
            let mut rates: [Vec<f64>; 4] = Default::default();
            for _ in 0..ROUNDS {
                let [loads, bare_loads, swaps, bare_swaps] = &mut rates;
                loads.push(rate(rows, bare.len(), |caller| load(Arc::clone(&store), caller)).await?);
                bare_loads.push(rate(rows, bare.len(), |caller| bare_load(Arc::clone(&bare), caller)).await?);
                swaps.push(rate(rows, bare.len(), |caller| swap(Arc::clone(&store), caller)).await?);
                bare_swaps.push(rate(rows, bare.len(), |caller| bare_swap(Arc::clone(&bare), caller)).await?);
            }
            let [loads, bare_loads, swaps, bare_swaps] = rates.map(median);
            let micros = |rate: f64| (CALLERS as f64 * 1e6 / rate).round();
            println!(
                "{}",
                serde_json::json!({
                    "rows": rows, "driver": name,
                    "loads_a_second": loads.round(), "load_us": micros(loads), "bare_loads_a_second": bare_loads.round(),
                    "load_to_bare": (bare_loads / loads * 100.0).round() / 100.0,
                    "swaps_a_second": swaps.round(), "swap_us": micros(swaps), "bare_swaps_a_second": bare_swaps.round(),
                    "swap_to_bare": (bare_swaps / swaps * 100.0).round() / 100.0,
                })
            );
        }
        pages(&store(&url, false, true)?, rows).await?;
        updates(&admin, &store(&url, false, true)?, rows).await?;
    }
    Ok(())
}

/// Creates the table with so many accounts.
async fn fill(admin: &Client, url: &str, rows: i64) -> Result<(), Error> {
    admin.batch_execute(&format!("drop table if exists {TABLE}")).await?;
    PgStore::new(pool(url)?).table(TABLE)?.create().await?;
    let insert =
        format!("insert into {TABLE} select id, 0, 1, $1::text::json from generate_series(1, $2::bigint) id");
    admin.execute(&insert, &[&json(), &rows]).await?;
    admin.batch_execute(&format!("vacuum analyze {TABLE}")).await?;
    Ok(admin.batch_execute("checkpoint").await?)
}

fn pool(url: &str) -> Result<Pool, Error> {
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    Ok(Pool::builder(Manager::from_config(url.parse()?, NoTls, config)).max_size(CALLERS).build()?)
}

fn store(url: &str, is_sqlx: bool, is_prepared: bool) -> Result<Store, Error> {
    if is_sqlx {
        let pool = PgPoolOptions::new().max_connections(u32::try_from(CALLERS)?).connect_lazy(url)?;
        return Ok(Arc::new(SqlxStore::new(pool).table(TABLE)?.prepared(is_prepared)));
    }
    Ok(Arc::new(PgStore::new(pool(url)?).table(TABLE)?.prepared(is_prepared)))
}

/// A caller: its number, the number of rows, and its last account.
struct Caller {
    number: usize,
    rows: i64,
    seed: u64,
}

impl Caller {
    /// Returns an account of the caller's own, anywhere in the table.
    fn account(&mut self) -> Account {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let callers = CALLERS as i64;
        let own = (self.seed >> 33) as i64 % (self.rows / callers);
        Account::hub(own * callers + self.number as i64 + 1)
    }
}

/// Runs all callers for one round. Returns how many calls they made a second.
async fn rate<F: Future<Output = Result<u64, Error>> + Send + 'static>(
    rows: i64,
    callers: usize,
    call: impl Fn(Caller) -> F,
) -> Result<f64, Error> {
    let started = Instant::now();
    let mut calls = 0;
    let caller = |number: usize| Caller { number, rows, seed: number as u64 + 1 };
    for task in (0..callers).map(|number| tokio::spawn(call(caller(number)))).collect::<Vec<_>>() {
        calls += task.await??;
    }
    Ok(calls as f64 / started.elapsed().as_secs_f64())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

async fn load(store: Store, mut caller: Caller) -> Result<u64, Error> {
    let (started, mut calls) = (Instant::now(), 0);
    while started.elapsed() < ROUND {
        store.load(caller.account()).await?.ok_or("the record is gone")?;
        calls += 1;
    }
    Ok(calls)
}

/// Swaps the records of a few accounts, whose versions it keeps.
async fn swap(store: Store, mut caller: Caller) -> Result<u64, Error> {
    let mut accounts: Vec<(Account, u64, Record)> = Vec::new();
    for _ in 0..50 {
        let account = caller.account();
        let stored = store.load(account).await?.ok_or("the record is gone")?;
        accounts.retain(|(other, ..)| *other != account);
        accounts.push((account, stored.version, stored.record));
    }
    let (started, mut calls) = (Instant::now(), 0);
    'round: loop {
        for (account, version, record) in &mut accounts {
            if started.elapsed() >= ROUND {
                break 'round;
            }
            *version = swapped(store.swap(*account, Some(*version), record).await?)?;
            calls += 1;
        }
    }
    Ok(calls)
}

fn swapped(swapped: Swapped) -> Result<u64, Error> {
    match swapped {
        Swapped::Stored(version) => Ok(version),
        Swapped::Conflict => Err("a conflict".into()),
    }
}

/// A connection of a caller's own.
enum Bare {
    Pg(Client, Option<(tokio_postgres::Statement, tokio_postgres::Statement)>),
    Sqlx(PgConnection),
}

type Bares = Arc<Vec<tokio::sync::Mutex<Bare>>>;

async fn bare(url: &str, is_sqlx: bool, is_prepared: bool) -> Result<Bares, Error> {
    let mut bares = Vec::new();
    for _ in 0..CALLERS {
        bares.push(tokio::sync::Mutex::new(if is_sqlx {
            Bare::Sqlx(PgConnection::connect(url).await?)
        } else {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            tokio::spawn(connection);
            let mut statements = None;
            if is_prepared {
                let load = client.prepare_typed(LOAD, &[Type::INT8, Type::INT8]).await?;
                let types = [Type::INT8, Type::INT8, Type::INT8, Type::TEXT];
                statements = Some((load, client.prepare_typed(SWAP, &types).await?));
            }
            Bare::Pg(client, statements)
        }));
    }
    Ok(Arc::new(bares))
}

impl Bare {
    async fn load(&mut self, account: Account) -> Result<(i64, String), Error> {
        let hub_id = account.hub_id;
        Ok(match self {
            Self::Pg(client, None) => {
                let row = client.query_typed(LOAD, &[(&hub_id, Type::INT8), (&0_i64, Type::INT8)]).await?;
                let row = row.first().ok_or("the record is gone")?;
                (row.try_get(0)?, row.try_get(1)?)
            }
            Self::Pg(client, Some((load, _))) => {
                let row = client.query_one(load, &[&hub_id, &0_i64]).await?;
                (row.try_get(0)?, row.try_get(1)?)
            }
            Self::Sqlx(connection) => {
                sqlx::query_as(LOAD).bind(hub_id).bind(0_i64).fetch_one(connection).await?
            }
        })
    }

    async fn swap(&mut self, account: Account, version: i64, json: &str) -> Result<i64, Error> {
        let hub_id = account.hub_id;
        Ok(match self {
            Self::Pg(client, None) => {
                let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 4] = [
                    (&hub_id, Type::INT8),
                    (&0_i64, Type::INT8),
                    (&version, Type::INT8),
                    (&json, Type::TEXT),
                ];
                client.query_typed(SWAP, &values).await?.first().ok_or("a conflict")?.try_get(0)?
            }
            Self::Pg(client, Some((_, swap))) => {
                client.query_one(swap, &[&hub_id, &0_i64, &version, &json]).await?.try_get(0)?
            }
            Self::Sqlx(connection) => {
                let query = sqlx::query_as(SWAP).bind(hub_id).bind(0_i64).bind(version).bind(json);
                let (version,): (i64,) = query.fetch_one(connection).await?;
                version
            }
        })
    }
}

async fn bare_load(bares: Bares, mut caller: Caller) -> Result<u64, Error> {
    let mut bare = bares.get(caller.number).ok_or("no connection")?.lock().await;
    let (started, mut calls) = (Instant::now(), 0);
    while started.elapsed() < ROUND {
        let (_, json) = bare.load(caller.account()).await?;
        // A caller has to read it, too.
        serde_json::from_str::<Record>(&json)?;
        calls += 1;
    }
    Ok(calls)
}

async fn bare_swap(bares: Bares, mut caller: Caller) -> Result<u64, Error> {
    let mut bare = bares.get(caller.number).ok_or("no connection")?.lock().await;
    let mut accounts: Vec<(Account, i64, String)> = Vec::new();
    for _ in 0..50 {
        let account = caller.account();
        let (version, json) = bare.load(account).await?;
        accounts.retain(|(other, ..)| *other != account);
        accounts.push((account, version, json));
    }
    let (started, mut calls) = (Instant::now(), 0);
    'round: loop {
        for (account, version, json) in &mut accounts {
            if started.elapsed() >= ROUND {
                break 'round;
            }
            *version = bare.swap(*account, *version, json).await?;
            calls += 1;
        }
    }
    Ok(calls)
}

/// Reads all pages.
async fn pages(store: &Store, rows: i64) -> Result<(), Error> {
    let (started, mut count, mut pages) = (Instant::now(), 0, AllPages::new());
    while let Some(cursor) = pages.cursor() {
        let page = store.page(cursor, 1000).await?;
        count += pages.read(page).len();
    }
    let memory = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim();
    println!(
        "{}",
        serde_json::json!({
            "rows": rows, "accounts_in_pages": count, "pages_seconds": started.elapsed().as_secs_f64(), "most_memory": memory,
        })
    );
    Ok(())
}

/// Updates records all over the table, and says where the updates went.
async fn updates(admin: &Client, store: &Store, rows: i64) -> Result<(), Error> {
    let sizes = format!("select pg_table_size('{TABLE}'), pg_indexes_size('{TABLE}')");
    let counts =
        format!("select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = '{TABLE}'");
    let before = admin.query_one(&sizes, &[]).await?;
    let counted = admin.query_one(&counts, &[]).await?;
    let started = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..CALLERS {
        let (store, mut caller) = (Arc::clone(store), Caller { number, rows, seed: 99 });
        tasks.push(tokio::spawn(async move {
            for _ in 0..UPDATES / CALLERS {
                let account = caller.account();
                let stored = store.load(account).await?.ok_or("the record is gone")?;
                swapped(store.swap(account, Some(stored.version), &stored.record).await?)?;
            }
            Ok::<_, Error>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let seconds = started.elapsed().as_secs_f64();
    // The server gathers its counts once a second.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = admin.query_one(&sizes, &[]).await?;
    let recounted = admin.query_one(&counts, &[]).await?;
    let difference = |index| recounted.get::<_, i64>(index) - counted.get::<_, i64>(index);
    let megabytes = |row: &tokio_postgres::Row, index| row.get::<_, i64>(index) / (1 << 20);
    println!(
        "{}",
        serde_json::json!({
            "rows": rows, "updates": difference(0), "seconds": seconds,
            "in_place_percent": (difference(1) as f64 / difference(0) as f64 * 1000.0).round() / 10.0,
            "table_mb": [megabytes(&before, 0), megabytes(&after, 0)],
            "index_mb": [megabytes(&before, 1), megabytes(&after, 1)],
        })
    );
    Ok(())
}

//! Many accounts in one manager: the memory for each account, and the time to read a bearer.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use hs_oauth_blocking::{
    AccessToken, Account, App, ClientSecret, MemoryStore, Record, RefreshToken, TokenSet, TokenStore as _,
};
use hs_oauth_core::Random;
use hs_oauth_core::renewal::GrantId;

use super::clock::{compare, wall};
use crate::chart::Chart;
use crate::counts::run;
use crate::report::{Section, Table};
use crate::work::{Failure, shared_runtime};

/// The first argument with which the program that counts allocations calls [`bytes_beyond_tokens`].
pub const ACCOUNTS: &str = "accounts";

const MAX_ACCOUNTS: i64 = 100_000;
const TOKEN_LENGTH: usize = 130;

/// Measures managers with more and more accounts.
///
/// # Errors
/// If a manager returns an error.
pub fn report(allocations: &Path) -> Result<(), Failure> {
    let mut section = Section::new("6-accounts", "Many accounts held");
    let bytes = run(Command::new(allocations).args([ACCOUNTS, &MAX_ACCOUNTS.to_string()]))?;
    section.say(String::from_utf8(bytes.stdout)?);
    section.say("Nanoseconds for each bearer, when one account is asked for again and again, and when all are asked for in turn.\n");
    let mut table =
        Table::new(["accounts held", "blocking, one", "blocking, all", "async, one", "async, all"]);
    let mut rows = Vec::new();
    for count in [1, 10, 100, 1_000, 10_000, MAX_ACCOUNTS] {
        let times = latencies(count)?;
        table.row([count.to_string()].into_iter().chain(times.iter().map(|time| format!("{time:.1}"))));
        rows.push((count as f64, times));
    }
    section.table(&table);
    let mut chart = Chart::new("Reading a bearer, by accounts held", "accounts held", "nanoseconds");
    for (column, name) in
        ["blocking, one", "blocking, all", "async, one", "async, all"].into_iter().enumerate()
    {
        chart.line(name, rows.iter().filter_map(|(count, times)| Some((*count, *times.get(column)?))));
    }
    section.chart("accounts.svg", "accounts held", &chart.svg())?;
    section.write()
}

fn latencies(count: i64) -> Result<Vec<f64>, Failure> {
    let store = Arc::new(stored(count)?);
    let (blocking, runtime) = (blocking(Arc::clone(&store))?, shared_runtime()?);
    let asynchronous = asynchronous(store)?;
    let (mut one, mut all) = (RoundRobin(0, 1), RoundRobin(0, count));
    let (mut other, mut others) = (RoundRobin(0, 1), RoundRobin(0, count));
    for hub_id in 1..=count {
        blocking.bearer(Account::hub(hub_id))?;
        runtime.block_on(asynchronous.bearer(Account::hub(hub_id)))?;
    }
    let read = |accounts: &mut RoundRobin, times| {
        wall(|| {
            (0..times).try_for_each(|_| {
                blocking.bearer(accounts.next()).map(|bearer| drop(black_box(bearer))).map_err(Failure::from)
            })
        })
    };
    let await_it = |accounts: &mut RoundRobin, times| {
        wall(|| {
            runtime.block_on(async {
                for _ in 0..times {
                    black_box(asynchronous.bearer(accounts.next()).await?);
                }
                Ok(())
            })
        })
    };
    compare(&mut [
        &mut |times| read(&mut one, times),
        &mut |times| read(&mut all, times),
        &mut |times| await_it(&mut other, times),
        &mut |times| await_it(&mut others, times),
    ])
}

/// The accounts one after the other, each far from the one before, as in a service.
struct RoundRobin(i64, i64);

impl RoundRobin {
    fn next(&mut self) -> Account {
        self.0 = (self.0 + 7919) % self.1;
        Account::hub(black_box(self.0 + 1))
    }
}

/// Returns how many bytes for each account, beyond its token, stay allocated after a manager has returned a bearer of every account. The
/// first number is of the blocking manager, the second of the async one.
///
/// # Errors
/// If a manager returns an error.
pub fn bytes_beyond_tokens(count: i64, allocated: impl Fn() -> usize) -> Result<[f64; 2], Failure> {
    let store = Arc::new(stored(count)?);
    let blocking = blocking(Arc::clone(&store))?;
    let (asynchronous, runtime) = (asynchronous(store)?, shared_runtime()?);
    // What is allocated once is not counted.
    blocking.bearer(Account::hub(1))?;
    runtime.block_on(asynchronous.bearer(Account::hub(1)))?;
    let beyond =
        |before: usize, after: usize| (after - before) as f64 / (count - 1) as f64 - TOKEN_LENGTH as f64;
    let before = allocated();
    for hub_id in 2..=count {
        blocking.bearer(Account::hub(hub_id))?;
    }
    let between = allocated();
    for hub_id in 2..=count {
        runtime.block_on(asynchronous.bearer(Account::hub(hub_id)))?;
    }
    Ok([beyond(before, between), beyond(between, allocated())])
}

fn app() -> Result<App, Failure> {
    Ok(App::hubspot("client", ClientSecret::new("secret")?).build()?)
}

fn blocking(store: Arc<MemoryStore>) -> Result<hs_oauth_blocking::TokenManager, Failure> {
    Ok(hs_oauth_blocking::TokenManager::new(hs_oauth_blocking::Client::new(app()?), store))
}

fn asynchronous(store: Arc<MemoryStore>) -> Result<hs_oauth_async::TokenManager, Failure> {
    Ok(hs_oauth_async::TokenManager::new(hs_oauth_async::Client::new(app()?)?, store))
}

fn stored(count: i64) -> Result<MemoryStore, Failure> {
    let store = MemoryStore::new();
    let mut random = Random::from_os()?;
    for hub_id in 1..=count {
        let token = AccessToken::new(format!("{hub_id:0>TOKEN_LENGTH$}"))?;
        let mut tokens = TokenSet::new(token, 86_400, SystemTime::now().into());
        tokens.refresh_token = Some(RefreshToken::new("na1-refresh")?);
        store.swap(Account::hub(hub_id), None, &Record::new(GrantId::generate(&mut random), tokens))?;
    }
    Ok(store)
}

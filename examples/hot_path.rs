//! What a bearer costs while its token is fresh: time, allocations and memory, beside the least it could cost.
//!
//! `cargo run --release --example hot_path` prints the table. For instructions, which do not depend on what else the machine
//! does: `valgrind --tool=callgrind <the built example> --only blocking --calls 1000`, once more with 2000 calls, and the
//! difference divided by 1000; `--only floor` is what it is compared with.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use clap::{Parser, ValueEnum};
use hs_oauth_blocking::http::HeaderValue;
use hs_oauth_blocking::{
    AccessToken, Account, App, ClientSecret, Grant, MemoryStore, Random, Record, RefreshToken, TokenSet,
    TokenStore,
};
use hs_oauth_examples::say;

#[derive(Parser)]
struct Options {
    /// Accounts held.
    #[arg(long, default_value_t = 100_000)]
    accounts: i64,
    /// Calls of each kind, spread over the accounts.
    #[arg(long, default_value_t = 2_000_000)]
    calls: u64,
    /// Make the calls of this kind, with one account held, and print nothing.
    #[arg(long)]
    only: Option<Kind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// One load of an `ArcSwap` and one look at the clock.
    Floor,
    /// `TokenManager::bearer` of `hs-oauth-blocking`.
    Blocking,
    /// `TokenManager::bearer` of `hs-oauth-async`, polled once.
    Async,
}

/// One manager of each crate, over stores in memory with the same accounts.
struct Held {
    accounts: i64,
    blocking: hs_oauth_blocking::TokenManager,
    asynchronous: hs_oauth_async::TokenManager,
    runtime: tokio::runtime::Runtime,
    floor: ArcSwap<HeaderValue>,
}

type Failure = Box<dyn std::error::Error>;

const TOKEN_LENGTH: usize = 130;

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    if let Some(kind) = options.only {
        let held = Held::new(1)?;
        held.load()?;
        held.call(kind, 1, options.calls);
        return Ok(());
    }
    say("call          held     asked   ns a call   allocations a call");
    for accounts in [1, options.accounts] {
        let held = Held::new(accounts)?;
        let mut loaded = Ok(());
        let memory = allocation_counter::measure(|| loaded = held.load());
        loaded?;
        // All in turn is the worst case for the processor's caches: no service has so many accounts busy at once.
        for asked in [1, accounts] {
            for kind in [Kind::Floor, Kind::Blocking, Kind::Async] {
                held.call(kind, asked, options.calls / 10);
                let began = Instant::now();
                let allocations = allocation_counter::measure(|| held.call(kind, asked, options.calls));
                let time = began.elapsed().as_nanos() as f64 / options.calls as f64;
                let allocations = allocations.count_total as f64 / options.calls as f64;
                let name = format!("{kind:?}").to_lowercase();
                say(format_args!("{name:<8}  {accounts:>8}  {asked:>8}  {time:>10.1}  {allocations:>19.3}"));
            }
            if accounts == 1 {
                break;
            }
        }
        if accounts == options.accounts {
            // Two managers hold them.
            let bytes = memory.bytes_current / 2 / accounts - TOKEN_LENGTH as i64;
            say(format_args!(
                "an idle account in a manager: {bytes} bytes beyond the {TOKEN_LENGTH} of its token"
            ));
        }
    }
    Ok(())
}

impl Held {
    fn new(accounts: i64) -> Result<Self, Failure> {
        let app = || App::hubspot("client", ClientSecret::new("secret")?).build();
        let store = Arc::new(MemoryStore::new());
        let mut random = Random::from_os()?;
        for hub_id in 0..accounts {
            let token = format!("{hub_id:0>TOKEN_LENGTH$}");
            let mut tokens = TokenSet::new(AccessToken::new(token)?, 1800, SystemTime::now().into());
            tokens.refresh_token = Some(RefreshToken::new("na1-refresh")?);
            store.swap(Account::hub(hub_id), None, &Record::new(Grant::draw(&mut random), tokens))?;
        }
        Ok(Self {
            accounts,
            blocking: hs_oauth_blocking::TokenManager::new(
                hs_oauth_blocking::Client::new(app()?),
                Arc::clone(&store),
            ),
            asynchronous: hs_oauth_async::TokenManager::new(hs_oauth_async::Client::new(app()?)?, store),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            floor: ArcSwap::from_pointee(HeaderValue::from_static("Bearer floor")),
        })
    }

    /// Every account is asked for once, so that the managers hold it.
    fn load(&self) -> Result<(), Failure> {
        for hub_id in 0..self.accounts {
            self.blocking.bearer(Account::hub(hub_id))?;
            self.runtime.block_on(self.asynchronous.bearer(Account::hub(hub_id)))?;
        }
        Ok(())
    }

    fn call(&self, kind: Kind, asked: i64, calls: u64) {
        let mut context = Context::from_waker(Waker::noop());
        let mut hub_id = 0;
        for _ in 0..calls {
            // Far from the last one, as accounts in a service are.
            hub_id = (hub_id + 7919) % asked;
            let account = Account::hub(black_box(hub_id));
            match kind {
                Kind::Floor => _ = black_box((hs_oauth_store::cache::now(), self.floor.load())),
                Kind::Blocking => _ = black_box(self.blocking.bearer(account)),
                Kind::Async => match pin!(self.asynchronous.bearer(account)).poll(&mut context) {
                    Poll::Ready(bearer) => _ = black_box(bearer),
                    Poll::Pending => say("a bearer was not there at once"),
                },
            }
        }
    }
}

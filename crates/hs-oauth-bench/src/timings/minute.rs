//! Ten thousand accounts whose tokens expire within one minute. A manager renews them under a limit of renewals a second, while each of them
//! is asked for again and again.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hs_oauth_async::http::HeaderValue;
use hs_oauth_blocking::{
    AccessToken, Account, App, ClientSecret, Event, MemoryStore, Record, RefreshToken, TokenError, TokenSet,
    TokenStore as _,
};
use hs_oauth_core::Random;
use hs_oauth_core::renewal::GrantId;

use crate::chart::Chart;
use crate::given;
use crate::report::{Section, Table};
use crate::server::serve_here;
use crate::work::{Failure, shared_runtime};

const ACCOUNTS: u64 = 10_000;
const RATE: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);
/// The first token expires so long after the beginning, and the last a minute later.
const FIRST_EXPIRY: Duration = Duration::from_secs(200);
const MINUTE: Duration = Duration::from_secs(60);
/// In this time every account is asked for once.
const PASS: Duration = Duration::from_secs(1);

/// Runs a manager of each crate, both at once.
///
/// # Errors
/// If a bearer cannot be had.
pub fn report() -> Result<(), Failure> {
    let mut section = Section::new("7-minute", "Ten thousand accounts whose tokens expire within one minute");
    section.say(format!(
        "Each account is asked for once a second. The limit is {RATE} renewals a second. The first token expires {} s from the beginning.\n",
        FIRST_EXPIRY.as_secs()
    ));
    let (blocking, asynchronous) = std::thread::scope(|scope| {
        let blocking = scope.spawn(|| run(blocking));
        let asynchronous = scope.spawn(|| run(asynchronous));
        (blocking.join(), asynchronous.join())
    });
    let mut table = Table::new([
        "manager",
        "requests",
        "most in a second",
        "all renewed after, s",
        "least life left, s",
        "late",
        "longest wait for a bearer, ms",
    ]);
    let mut chart =
        Chart::new("Renewals under a limit of 100 a second", "seconds", "requests so far").with_linear_axes();
    for (name, results) in [("blocking", blocking), ("async", asynchronous)] {
        let results = results.map_err(|_| "a thread panicked")??;
        table.row([
            name.to_owned(),
            results.requests.len().to_string(),
            most_in_a_second(&results.requests).to_string(),
            format!("{:.0}", results.took.as_secs_f64()),
            format!("{:.0}", results.min_left.as_secs_f64()),
            results.late.to_string(),
            format!("{:.1}", results.longest_wait.as_secs_f64() * 1000.0),
        ]);
        let points = results.requests.iter().enumerate().step_by(100);
        chart.line(name, points.map(|(index, at)| (at.as_secs_f64(), index as f64 + 1.0)));
    }
    section.table(&table);
    section.chart("minute.svg", "renewals under a limit", &chart.svg())?;
    section.write()
}

/// The results of a manager.
struct Results {
    /// When each request arrived, since the beginning.
    requests: Vec<Duration>,
    took: Duration,
    /// The shortest life that an old token had left when the new one was stored.
    min_left: Duration,
    late: usize,
    longest_wait: Duration,
}

/// Returns the bearer of an account.
type Bearers = Box<dyn Fn(Account) -> Result<HeaderValue, TokenError>>;

/// Is called with each account whose tokens were renewed.
type Listener = Box<dyn Fn(Account) + Send + Sync>;

fn run(
    manager: impl FnOnce(App, Arc<MemoryStore>, Listener) -> Result<Bearers, Failure>,
) -> Result<Results, Failure> {
    let began = Instant::now();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let renewed = Arc::new(Mutex::new(Vec::new()));
    let url = serve_here({
        let requests = Arc::clone(&requests);
        move || lock(&requests).push(began.elapsed())
    })?;
    let store = Arc::new(MemoryStore::new());
    let app = App::hubspot(given::CLIENT_ID, ClientSecret::new(given::CLIENT_SECRET)?)
        .with_api_base(url)
        .build()?;
    let listener = Box::new({
        let renewed = Arc::clone(&renewed);
        move |account| lock(&renewed).push((account, began.elapsed()))
    });
    fill(&store)?;
    let bearers = manager(app, store, listener)?;

    let mut longest_wait = Duration::ZERO;
    let mut waiting: HashSet<Account> = (0..ACCOUNTS).filter_map(account).collect();
    let mut min_left = MINUTE + FIRST_EXPIRY;
    let (mut late, mut took) = (0, Duration::ZERO);
    while !waiting.is_empty() && began.elapsed() < FIRST_EXPIRY + MINUTE {
        let pass = Instant::now();
        for account in (0..ACCOUNTS).filter_map(account) {
            let asked = Instant::now();
            bearers(account)?;
            longest_wait = longest_wait.max(asked.elapsed());
        }
        for (account, at) in lock(&renewed).drain(..) {
            waiting.remove(&account);
            let end = expires_after(u64::try_from(account.hub_id)? - 1);
            min_left = min_left.min(end.saturating_sub(at));
            late += usize::from(end < at);
            took = took.max(at);
        }
        std::thread::sleep(PASS.saturating_sub(pass.elapsed()));
    }
    late += waiting.len();
    let requests = lock(&requests).clone();
    Ok(Results { requests, took, min_left, late, longest_wait })
}

fn blocking(app: App, store: Arc<MemoryStore>, listener: Listener) -> Result<Bearers, Failure> {
    let client = hs_oauth_blocking::Client::new(app);
    let builder = hs_oauth_blocking::TokenManager::builder(client, store).with_renewals_per_second(RATE);
    let manager = builder.on_event(move |event| notify(event, &listener)).build();
    Ok(Box::new(move |account| manager.bearer(account)))
}

fn asynchronous(app: App, store: Arc<MemoryStore>, listener: Listener) -> Result<Bearers, Failure> {
    let client = hs_oauth_async::Client::new(app)?;
    let builder = hs_oauth_async::TokenManager::builder(client, store).with_renewals_per_second(RATE);
    let manager = builder.on_event(move |event| notify(event, &listener)).build();
    let runtime = shared_runtime()?;
    Ok(Box::new(move |account| runtime.block_on(manager.bearer(account))))
}

fn notify(event: &Event<'_>, listener: &Listener) {
    if let Event::Renewed { account, .. } = event {
        listener(*account);
    }
}

fn fill(store: &MemoryStore) -> Result<(), Failure> {
    let mut random = Random::from_os()?;
    let now = SystemTime::now();
    for index in 0..ACCOUNTS {
        let account = account(index).ok_or("no account")?;
        let mut tokens = TokenSet::new(AccessToken::new(format!("old-{index}"))?, 1800, now.into());
        tokens.expires_at = (now + expires_after(index)).into();
        tokens.refresh_token = Some(RefreshToken::new(format!("na1-{}", account.hub_id))?);
        let record = Record::new(GrantId::generate(&mut random), tokens);
        store.swap(account, None, &record)?;
    }
    Ok(())
}

/// Returns the account with this index. No account has the number 0.
fn account(index: u64) -> Option<Account> {
    i64::try_from(index + 1).ok().map(Account::hub)
}

fn expires_after(index: u64) -> Duration {
    FIRST_EXPIRY + MINUTE.mul_f64(index as f64 / ACCOUNTS as f64)
}

fn most_in_a_second(requests: &[Duration]) -> usize {
    let within = |(index, first): (usize, &Duration)| {
        requests.iter().skip(index).take_while(|at| **at < *first + Duration::from_secs(1)).count()
    };
    requests.iter().enumerate().map(within).max().unwrap_or(0)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

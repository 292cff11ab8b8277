//! Callers that make one call after the other, and how many calls they make a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hs_oauth_async::{Account, AsyncTokenStore, Record, Swapped, TokenStore};

use super::given::{json, record};
use crate::timings::clock::spent;
use crate::work::Failure;

/// How many callers there are at once. None of them makes a call before its last one is done.
pub(super) const CALLERS: usize = 16;

/// How long a call may take. On a machine that is busy, the stores' own deadline could end the run.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// Many and short, so that what else the machine does for a second or two affects the store and the bare statement alike.
const ROUNDS: usize = 21;
const ROUND: Duration = Duration::from_millis(250);

/// A call that is measured.
#[async_trait]
pub(super) trait Call: Send + Sync {
    /// Makes the call for an account of the caller's own. The version is that of the account's record. A call that writes sets the new
    /// one.
    async fn make(&self, caller: usize, account: Account, version: &mut u64) -> Result<(), Failure>;
}

/// A call that all callers share.
pub(super) type SharedCall = Arc<dyn Call>;

/// What was measured of a call.
#[derive(Clone, Copy)]
pub(super) struct Rate {
    /// How many of them all callers make a second.
    pub(super) a_second: f64,
    /// How much time of a processor it takes this process, in microseconds. The server's is not in it.
    pub(super) processor: f64,
}

impl Rate {
    /// Returns how long a call takes its caller, in microseconds.
    pub(super) fn micros(self) -> f64 {
        CALLERS as f64 * 1e6 / self.a_second
    }

    /// Returns how many times as long as another call it takes.
    pub(super) fn times(self, other: Self) -> f64 {
        other.a_second / self.a_second
    }
}

/// The callers. Each has accounts of its own, all over the table, and knows the versions of their records.
pub(super) struct Callers {
    callers: Vec<Caller>,
    /// For calls that block, each caller is a thread. Otherwise it is a task.
    are_threads: bool,
}

struct Caller {
    number: usize,
    versions: Vec<u64>,
    seed: u64,
}

impl Callers {
    /// Returns callers for so many accounts, whose records have the version 1.
    pub(super) fn new(accounts: u64) -> Result<Self, Failure> {
        let own = usize::try_from(accounts)? / CALLERS;
        if own == 0 {
            return Err(format!("there have to be {CALLERS} accounts at least").into());
        }
        let caller = |number| Caller { number, versions: vec![1; own], seed: number as u64 + 1 };
        Ok(Self { callers: (0..CALLERS).map(caller).collect(), are_threads: false })
    }

    pub(super) fn on_threads(mut self) -> Self {
        self.are_threads = true;
        self
    }

    /// Writes the first record of every account.
    pub(super) async fn fill(&mut self, store: &dyn AsyncTokenStore) -> Result<(), Failure> {
        for (account, version) in self.callers.iter_mut().flat_map(Caller::accounts_and_versions) {
            *version = swapped(store.swap(account, None, &record(account)?).await?)?;
        }
        Ok(())
    }

    /// The same for a store that blocks.
    pub(super) fn fill_blocking(&mut self, store: &dyn TokenStore) -> Result<(), Failure> {
        for (account, version) in self.callers.iter_mut().flat_map(Caller::accounts_and_versions) {
            *version = swapped(store.swap(account, None, &record(account)?)?)?;
        }
        Ok(())
    }

    pub(super) fn accounts(&self) -> impl Iterator<Item = Account> {
        let own = |caller: &Caller| {
            let number = caller.number;
            (0..caller.versions.len()).map(move |index| account(number, index))
        };
        self.callers.iter().flat_map(own)
    }

    /// Measures these calls. They take turns, so what else the machine does affects all of them alike. The figures are the medians of some
    /// rounds.
    pub(super) async fn rates<const N: usize>(
        &mut self,
        calls: [&SharedCall; N],
    ) -> Result<[Rate; N], Failure> {
        let mut rounds = calls.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (call, rounds) in calls.iter().zip(&mut rounds) {
                rounds.push(self.rate(call).await?);
            }
        }
        Ok(rounds.map(|rounds| Rate {
            a_second: median(rounds.iter().map(|round| round.a_second)),
            processor: median(rounds.iter().map(|round| round.processor)),
        }))
    }

    async fn rate(&mut self, call: &SharedCall) -> Result<Rate, Failure> {
        let spent_before = spent();
        let (took, made) = self.make_for_a_while(call).await?;
        let processor = spent().saturating_sub(spent_before).as_secs_f64() * 1e6 / made;
        Ok(Rate { a_second: made / took.as_secs_f64(), processor })
    }

    /// Makes calls for the time of a round. Returns how long that was, and how many calls.
    pub(super) async fn make_for_a_while(&mut self, call: &SharedCall) -> Result<(Duration, f64), Failure> {
        let began = Instant::now();
        let made = self.run(call, move |_| began.elapsed() < ROUND).await?;
        Ok((began.elapsed(), made as f64))
    }

    /// Makes so many calls.
    pub(super) async fn make(&mut self, call: &SharedCall, times: u64) -> Result<(), Failure> {
        let own = times / CALLERS as u64;
        self.run(call, move |made| made < own).await.map(drop)
    }

    /// Runs all callers until `goes_on` says no to the number of calls that a caller has made. Returns how many all of them made.
    async fn run(
        &mut self,
        call: &SharedCall,
        goes_on: impl Fn(u64) -> bool + Copy + Send + 'static,
    ) -> Result<u64, Failure> {
        let runtime = tokio::runtime::Handle::current();
        let mut tasks = Vec::new();
        for mut caller in self.callers.drain(..) {
            let call = Arc::clone(call);
            let run = async move {
                let made = caller.run(&*call, goes_on).await;
                (caller, made)
            };
            tasks.push(match self.are_threads {
                false => tokio::spawn(run),
                true => {
                    let runtime = runtime.clone();
                    tokio::task::spawn_blocking(move || runtime.block_on(run))
                }
            });
        }
        let (mut sum, mut failure) = (0, None);
        for task in tasks {
            let (caller, made) = task.await?;
            self.callers.push(caller);
            match made {
                Ok(made) => sum += made,
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(sum), Err)
    }
}

impl Caller {
    async fn run(&mut self, call: &dyn Call, goes_on: impl Fn(u64) -> bool) -> Result<u64, Failure> {
        let mut made = 0;
        while goes_on(made) {
            let number = self.number;
            let (account, version) = self.next().ok_or("the caller has no account")?;
            call.make(number, account, version).await?;
            made += 1;
        }
        Ok(made)
    }

    /// Returns an account, in no order, and the version of its record.
    fn next(&mut self) -> Option<(Account, &mut u64)> {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let index = (self.seed >> 33) as usize % self.versions.len().max(1);
        Some((account(self.number, index), self.versions.get_mut(index)?))
    }

    fn accounts_and_versions(&mut self) -> impl Iterator<Item = (Account, &mut u64)> {
        let number = self.number;
        self.versions.iter_mut().enumerate().map(move |(index, version)| (account(number, index), version))
    }
}

fn account(caller: usize, index: usize) -> Account {
    Account::hub((index * CALLERS + caller + 1) as i64)
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// Returns the version that was stored.
fn swapped(swapped: Swapped) -> Result<u64, Failure> {
    match swapped {
        Swapped::Stored(version) => Ok(version),
        Swapped::Conflict => Err("a conflict".into()),
    }
}

/// Loads records.
pub(super) struct Load<S>(pub(super) S);

/// Replaces records.
pub(super) struct Swap<S>(S, Record);

impl<S> Swap<S> {
    pub(super) fn new(store: S) -> Result<Self, Failure> {
        Ok(Self(store, serde_json::from_str(&json())?))
    }
}

#[async_trait]
impl Call for Load<Arc<dyn AsyncTokenStore>> {
    async fn make(&self, _: usize, account: Account, _: &mut u64) -> Result<(), Failure> {
        self.0.load(account).await?.ok_or("the record is gone")?;
        Ok(())
    }
}

#[async_trait]
impl Call for Swap<Arc<dyn AsyncTokenStore>> {
    async fn make(&self, _: usize, account: Account, version: &mut u64) -> Result<(), Failure> {
        *version = swapped(self.0.swap(account, Some(*version), &self.1).await?)?;
        Ok(())
    }
}

#[async_trait]
impl Call for Load<Arc<dyn TokenStore>> {
    async fn make(&self, _: usize, account: Account, _: &mut u64) -> Result<(), Failure> {
        self.0.load(account)?.ok_or("the record is gone")?;
        Ok(())
    }
}

#[async_trait]
impl Call for Swap<Arc<dyn TokenStore>> {
    async fn make(&self, _: usize, account: Account, version: &mut u64) -> Result<(), Failure> {
        *version = swapped(self.0.swap(account, Some(*version), &self.1)?)?;
        Ok(())
    }
}

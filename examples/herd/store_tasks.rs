//! Tasks that load, write and remove records as fast as the store answers. They have accounts of their own, whose records nobody renews.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use hs_oauth_async::{AccessToken, Account, AsyncTokenStore, Record, Swapped, Timestamp, TokenSet};
use hs_oauth_core::Random;
use hs_oauth_core::renewal::GrantId;

/// Any error of a task.
type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// A task that calls a store.
pub(crate) struct StoreTask {
    random: Random,
    accounts: u64,
    /// The period for which `seen` is.
    period: Period,
    /// The versions that this task has seen, some of which are old by now.
    seen: BTreeMap<Account, u64>,
}

/// A few seconds, in which the tasks use the same accounts. A write with an unknown outcome may take effect at any later time, so the search for
/// an order of an account's calls would take the longer, the more calls follow it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Period(u64);

/// The first of the accounts. Those of the managers are below it.
const FIRST_HUB: i64 = 5_000_001;

/// How long a task waits after a failed call.
pub(crate) const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(10);

impl StoreTask {
    pub(crate) fn new(accounts: u32, random: Random) -> Self {
        Self { random, accounts: accounts.max(1).into(), period: Period::default(), seen: BTreeMap::new() }
    }

    /// Loads the record of a random account of this period. Then it writes the record, by the version that it has just loaded or by an old one,
    /// or removes it, or leaves it as it is.
    pub(crate) async fn step(
        &mut self,
        period: Period,
        store: &impl AsyncTokenStore,
    ) -> Result<(), TaskError> {
        let account = self.account(period)?;
        let loaded = store.load(account).await?.map(|stored| stored.version);
        let old = self.seen.get(&account).copied();
        self.remember(account, loaded);
        match (self.random.up_to(15), loaded, old) {
            (0..=3, ..) => {}
            (4, Some(version), _) => _ = store.remove(account, version).await?,
            (5..=6, _, Some(old)) => self.swap(store, account, Some(old)).await?,
            _ => self.swap(store, account, loaded).await?,
        }
        Ok(())
    }

    async fn swap(
        &mut self,
        store: &impl AsyncTokenStore,
        account: Account,
        expected: Option<u64>,
    ) -> Result<(), TaskError> {
        let token = AccessToken::new(format!("{:032x}", self.random.next_u128()))?;
        let tokens = TokenSet::new(token, 1800, Timestamp::from_secs(0));
        let record = Record::new(GrantId::generate(&mut self.random), tokens);
        if let Swapped::Stored(version) = store.swap(account, expected, &record).await? {
            self.remember(account, Some(version));
        }
        Ok(())
    }

    fn account(&mut self, period: Period) -> Result<Account, TaskError> {
        if period != self.period {
            self.seen.clear();
            self.period = period;
        }
        let number = period.0 * self.accounts + self.random.up_to(self.accounts - 1);
        Ok(Account::hub(FIRST_HUB + i64::try_from(number)?))
    }

    fn remember(&mut self, account: Account, version: Option<u64>) {
        if let Some(version) = version {
            self.seen.insert(account, version);
        }
    }
}

impl Period {
    const SECONDS: u64 = 5;

    /// Returns the period that it is now. The processes share a machine and so its clock.
    pub(crate) fn now() -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(since_1970.as_secs() / Self::SECONDS)
    }
}

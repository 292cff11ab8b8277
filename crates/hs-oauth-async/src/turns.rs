//! Where renewals wait for their turn, if there is a budget.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hs_oauth_core::renewal::Input;
use hs_oauth_core::{Account, Budget, Timestamp, Turn};
use tokio::sync::Notify;

use crate::drive::now;

pub(crate) struct Turns {
    /// Never held while waiting.
    budget: Mutex<Budget<Arc<Notify>>>,
}

/// A place among those who wait, which is given up when it is dropped.
struct Place<'t> {
    turns: &'t Turns,
    account: Account,
}

impl Turns {
    pub(crate) fn new(per_second: NonZeroU32) -> Self {
        Self { budget: Mutex::new(Budget::new(per_second)) }
    }

    /// Waits until the account's renewal may begin. `is_ahead`: nobody waits for it. If somebody does, and would do with the old
    /// token, which is handed out until `by`, it does not wait.
    pub(crate) async fn wait(&self, account: Account, by: Timestamp, is_ahead: bool) -> Input {
        let told = Arc::new(Notify::new());
        let _place = Place::take(self, account, by, &told);
        let mut waited = false;
        loop {
            let turn = self.budget().turn(account, now());
            match turn {
                Turn::Now => return Input::Turn { waited },
                Turn::Never => return Input::NoTurn,
                Turn::In(_) | Turn::Behind if !is_ahead && by > now() => return Input::NoWait,
                Turn::In(time) => _ = tokio::time::timeout(time, told.notified()).await,
                Turn::Behind => told.notified().await,
            }
            waited = true;
        }
    }

    /// Somebody waits for the account's renewal now.
    pub(crate) fn hurry(&self, account: Account) {
        if let Some(first) = self.budget().hurry(account) {
            first.notify_one();
        }
    }

    /// The account's run has ended, or has had its turn.
    pub(crate) fn leave(&self, account: Account) {
        if let Some(first) = self.budget().leave(account) {
            first.notify_one();
        }
    }

    /// No renewal that waits begins any more.
    pub(crate) fn close(&self) {
        self.budget().close().for_each(|told| told.notify_one());
    }

    fn budget(&self) -> MutexGuard<'_, Budget<Arc<Notify>>> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'t> Place<'t> {
    fn take(turns: &'t Turns, account: Account, by: Timestamp, told: &Arc<Notify>) -> Self {
        if let Some(first) = turns.budget().join(account, by, Arc::clone(told)) {
            first.notify_one();
        }
        Self { turns, account }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.turns.leave(self.account);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::{Duration, Instant};

    use async_trait::async_trait;
    use hs_oauth_core::renewal::{Demand, GrantId, Record, RenewalPolicy, Stored};
    use hs_oauth_core::{AccessToken, App, ClientSecret, Random, StoreError, TokenSet};
    use hs_oauth_store::Swapped;
    use hs_oauth_store::cache::Cache;
    use tokio::sync::watch;

    use super::*;
    use crate::client::Client;
    use crate::flight::{Reason, Shared, State};
    use crate::store::TokenStore;

    const ACCOUNT: Account = Account::hub(1);
    const OTHER: Account = Account::hub(2);

    /// Holds a fresh token, tells when it is asked for it, and gives it when told.
    struct Store {
        asked: SyncSender<()>,
        told: Mutex<Receiver<()>>,
    }

    #[async_trait]
    impl TokenStore for Store {
        async fn load(&self, _: Account) -> Result<Option<Stored>, StoreError> {
            self.asked.send(()).unwrap();
            self.told.lock().unwrap().recv().unwrap();
            let tokens = TokenSet::new(AccessToken::new("CK").unwrap(), 1800, now());
            let record = Record::new(GrantId::generate(&mut Random::new([1; 32])), tokens);
            Ok(Some(Stored { version: 1, record }))
        }

        async fn swap(&self, _: Account, _: Option<u64>, _: &Record) -> Result<Swapped, StoreError> {
            panic!("there is nothing to be renewed")
        }

        async fn list(&self) -> Result<Vec<Account>, StoreError> {
            Ok(vec![ACCOUNT])
        }

        async fn remove(&self, _: Account, _: u64) -> Result<bool, StoreError> {
            Ok(false)
        }
    }

    fn shared(store: Store) -> Arc<Shared> {
        let app = App::hubspot("id", ClientSecret::new("secret").unwrap()).build().unwrap();
        Arc::new(Shared {
            client: Client::new(app).unwrap(),
            store: Box::new(store),
            policy: RenewalPolicy::new(),
            user_level: false,
            on_event: None,
            cache: Cache::new(RenewalPolicy::new()),
            turns: Some(Turns::new(NonZeroU32::MIN)),
            state: Mutex::new(State::default()),
            busy: watch::Sender::new(0),
        })
    }

    /// A caller who finds a flight hurries it in the moment in which that ends: the account's next one, ahead of time, is in its
    /// place all the same.
    #[test]
    fn a_hurry_ends_with_the_flight_that_it_was_for() {
        let (asked, is_asked) = sync_channel(0);
        let (tell, told) = sync_channel(0);
        let shared = shared(Store { asked, told: Mutex::new(told) });
        let flight = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                runtime.block_on(async {
                    let (mut flight, _) = shared.fly(ACCOUNT, &Demand::Usable, Reason::Ahead).unwrap();
                    _ = flight.wait_for(Option::is_some).await;
                });
            }
        });
        is_asked.recv().unwrap();
        {
            let state = shared.state();
            tell.send(()).unwrap();
            // All that a flight does before it takes the lock.
            let began = Instant::now();
            while shared.cache.usable(ACCOUNT, now()).is_none() {
                assert!(began.elapsed() < Duration::from_secs(60), "the flight does not end");
                std::thread::yield_now();
            }
            assert!(state.flights.contains_key(&ACCOUNT));
            shared.hurry(ACCOUNT);
        }
        flight.join().unwrap();

        let mut budget = shared.turns.as_ref().unwrap().budget();
        for (account, ends) in [(OTHER, 100), (ACCOUNT, 200)] {
            let by = now().plus(Duration::from_secs(ends));
            budget.join(account, by, Arc::new(Notify::new()));
        }
        assert_eq!(budget.turn(ACCOUNT, now()), Turn::Behind);
    }
}

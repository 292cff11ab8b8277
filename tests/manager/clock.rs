//! Managers with a clock of the test's.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hs_oauth_core::renewal::TokenError;
use hs_oauth_core::{Account, Timestamp};
use hs_oauth_emulator::{Fault, Target};

use super::setup::{HUB, Manager, Setup, both, now};

/// A clock that stands still until the test moves it.
#[derive(Clone)]
pub(super) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Arc::new(AtomicU64::new(now().as_millis())))
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    /// Moves this clock and HubSpot's.
    pub(super) fn advance(&self, setup: &Setup, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
        setup.hubspot.emulator(|emulator| emulator.advance(by));
    }

    /// Returns a manager with this clock.
    pub(super) fn manager(&self, setup: &Setup, per_second: u32) -> Manager {
        let (clock, store) = (self.clone(), Arc::clone(&setup.store));
        let per_second = NonZeroU32::new(per_second).unwrap();
        if setup.index() == 0 {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let client = hs_oauth_async::Client::new(setup.app.clone()).unwrap();
            let store = hs_oauth_async::SpawnBlocking::new(store);
            let builder = hs_oauth_async::TokenManager::builder(client, store);
            let builder = builder.with_renewals_per_second(per_second).with_clock(move || clock.now());
            Manager::Async(Arc::new(runtime.unwrap()), builder.build())
        } else {
            let client = hs_oauth_blocking::Client::new(setup.app.clone());
            let builder = hs_oauth_blocking::TokenManager::builder(client, store);
            let builder = builder.with_renewals_per_second(per_second).with_clock(move || clock.now());
            Manager::Blocking(builder.build())
        }
    }
}

const HALF_AN_HOUR: Duration = Duration::from_secs(1800);

#[test]
fn a_token_expires_when_the_clock_is_moved_and_new_ones_expire_by_it() {
    both(|setup| {
        let clock = Clock::start();
        let manager = clock.manager(&setup, 100);
        manager.install(setup.code()).unwrap();
        assert_eq!(setup.store.tokens().expires_at, clock.now().plus(HALF_AN_HOUR));
        let old = manager.bearer().unwrap();
        // A thread that reads a bearer often has a copy of its own.
        for _ in 0..20 {
            assert_eq!(manager.with_bearer().unwrap(), old);
        }
        assert_eq!(setup.sent(Target::Refresh), 0);

        clock.advance(&setup, Duration::from_secs(3600));
        let new = manager.with_bearer().unwrap();
        assert!(new != old && setup.accepts(new.clone()));
        assert_eq!(manager.bearer().unwrap(), new);
        assert_eq!(setup.store.tokens().expires_at, clock.now().plus(HALF_AN_HOUR));
        assert_eq!(setup.sent(Target::Refresh), 1);
    });
}

#[test]
fn a_back_off_is_over_when_the_clock_is_moved() {
    both(|setup| {
        let clock = Clock::start();
        let manager = clock.manager(&setup, 100);
        manager.install(setup.code()).unwrap();
        clock.advance(&setup, HALF_AN_HOUR);
        setup.fault(Fault::status(503).with_retry_after(600).with_target(Target::Refresh));
        assert!(matches!(manager.bearer(), Err(TokenError::Call(_))));
        clock.advance(&setup, Duration::from_secs(590));
        assert!(matches!(manager.bearer(), Err(TokenError::BackingOff { .. })));
        // The back-off is spread by a tenth.
        clock.advance(&setup, Duration::from_secs(80));
        assert!(setup.accepts(manager.bearer().unwrap()));
    });
}

#[test]
fn a_clock_that_stands_still_does_not_stop_renewals_that_wait_for_the_rate() {
    both(|setup| {
        let clock = Clock::start();
        let manager = clock.manager(&setup, 5);
        let accounts: Vec<_> = (1..=4).map(Account::hub).chain([HUB]).collect();
        for account in &accounts {
            let tokens = setup.tokens_ending_in(*account, 0);
            manager.install_tokens_as(*account, tokens).unwrap();
        }
        // At most one begins in a tenth of a second.
        for account in accounts {
            manager.bearer_of(account).unwrap();
        }
        assert_eq!(setup.sent(Target::Refresh), 5);
    });
}

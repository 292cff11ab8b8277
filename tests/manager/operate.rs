//! What an operator sees and does: the status of accounts, the health of a process, a credential that is replaced, two apps on one store, and
//! the sweep.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hs_oauth_async::Sweep;
use hs_oauth_core::renewal::{AccountState, GrantState, RetryCause, TokenError};
use hs_oauth_core::{
    Account, ApiVersion, App, ClientSecret, NextStep, StoreError, StoreErrorKind, Timestamp,
};
use hs_oauth_emulator::{Fault, Settings, Target};

use super::clock::Clock;
use super::setup::{HUB, Manager, Operation, Setup, both, long_times};
use crate::canary::logged;
use crate::wait::{in_parallel, wait_until};

fn secret(text: &str) -> ClientSecret {
    ClientSecret::new(text).unwrap()
}

/// Two writes, a load and a request.
#[test]
fn the_span_of_a_renewal_has_the_account_and_what_the_renewal_cost() {
    for index in [0, 1] {
        let setup = Setup::new(index, Settings::new([3; 32]), ApiVersion::LATEST, long_times());
        setup.install_ending_in(1800);
        let logged = logged(|| match &setup.manager {
            Manager::Async(_, manager) => {
                let this_thread = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                this_thread.block_on(manager.refresh_now(HUB)).unwrap();
            }
            Manager::Blocking(manager) => _ = manager.refresh_now(HUB).unwrap(),
        });
        let span = "account{account=62515 store_calls=3 requests=1}";
        assert!(logged.lines().any(|line| line.contains(span) && line.contains("close")), "{logged}");
    }
}

#[test]
fn the_status_of_an_account_is_read_from_its_record_without_a_request() {
    both(|setup| {
        assert_eq!(setup.manager.status(HUB).unwrap(), None);
        let tokens = setup.install_ending_in(1800);
        let another = setup.other_process();
        let status = another.status(HUB).unwrap().unwrap();
        assert_eq!((status.account, status.state), (HUB, AccountState::Live));
        assert_eq!(status.client_id.as_deref(), Some(setup.app.client_id()));
        assert_eq!((status.expires_at, status.scopes), (Some(tokens.expires_at), tokens.scopes));
        assert_eq!((status.failures, status.backoff_until, status.leased_until), (0, None, None));

        setup.fault(Fault::status(503).with_target(Target::Refresh).with_count(10));
        assert!(setup.manager.refresh_now().is_err());
        let status = another.status(HUB).unwrap().unwrap();
        assert_eq!((status.failures, status.cause), (1, Some(RetryCause::Unavailable)));
        assert!(status.backoff_until.is_some());
        setup.hubspot.emulator(|emulator| emulator.clear_faults());

        setup.hubspot.emulator(|emulator| emulator.uninstall(HUB.hub_id));
        assert!(setup.manager.refresh_now().is_err());
        let sent = setup.sent(Target::Refresh);
        // HubSpot may have acted on the refresh to which it responded with 503.
        assert_eq!(another.status(HUB).unwrap().unwrap().state, AccountState::GoneUnsettled);
        setup.store.rewrite(|record| record.unsettled = false);
        assert_eq!(another.status(HUB).unwrap().unwrap().state, AccountState::GoneRefused);
        setup.manager.disconnect().unwrap();
        assert_eq!(another.status(HUB).unwrap().unwrap().state, AccountState::Disconnected);
        assert_eq!(setup.sent(Target::Refresh), sent);

        setup.store.set_fault(|_| Err(StoreError::new(StoreErrorKind::Unavailable)));
        assert!(matches!(another.status(HUB), Err(TokenError::Store(_))));
        let of_user = another.status(Account::user(HUB.hub_id, 7));
        assert!(matches!(of_user, Err(TokenError::WrongLevel { .. })));
    });
}

#[test]
fn statuses_go_through_all_accounts_page_by_page() {
    both(|setup| {
        for hub_id in 1..=7 {
            let tokens = setup.tokens_ending_in(Account::hub(hub_id), 1800);
            setup.manager.install_tokens_as(Account::hub(hub_id), tokens).unwrap();
        }
        setup.manager.disconnect_account(Account::hub(3)).unwrap();
        let (mut seen, mut cursor) = (HashMap::new(), None);
        loop {
            let page = setup.manager.statuses(cursor.as_ref(), 2).unwrap();
            assert!(page.entries.len() <= 2);
            for entry in page.entries {
                seen.insert(entry.account.hub_id, entry.status.unwrap().state);
            }
            match page.next {
                None => break,
                next => cursor = next,
            }
        }
        assert_eq!(seen.len(), 7);
        assert_eq!(seen.remove(&3), Some(AccountState::Disconnected));
        assert!(seen.values().all(|state| *state == AccountState::Live), "{seen:?}");
        assert_eq!(setup.sent(Target::Refresh), 0);
    });
}

#[test]
fn health_says_whether_the_store_takes_writes_and_which_accounts_are_not_well() {
    both(|setup| {
        setup.install_ending_in(1800);
        let health = setup.manager.health();
        assert!(health.is_ready() && health.error.is_none());
        assert_eq!((health.held, health.unsaved, health.gone, health.backing_off), (1, 0, 0, 0));

        let (release, released) = channel::<()>();
        let released = Mutex::new(released);
        setup.store.set_fault(move |operation| {
            if operation == Operation::Save {
                // An error: the test goes on.
                let _ = released.lock().unwrap().recv();
            }
            Ok(())
        });
        std::thread::scope(|scope| {
            let renewal = scope.spawn(|| setup.manager.refresh_now());
            wait_until(|| setup.manager.health().unsaved == 1);
            assert_eq!(setup.manager.health().flights, 1);
            drop(release);
            assert!(renewal.join().unwrap().is_ok());
        });
        wait_until(|| setup.manager.health().unsaved == 0);
        setup.store.clear_fault();

        setup.fault(Fault::status(503).with_target(Target::Refresh).with_count(10));
        assert!(setup.manager.refresh_now().is_err());
        assert_eq!(setup.manager.health().backing_off, 1);
        setup.hubspot.emulator(|emulator| emulator.clear_faults());
        setup.hubspot.emulator(|emulator| emulator.uninstall(HUB.hub_id));
        assert!(setup.manager.refresh_now().is_err());
        let health = setup.manager.health();
        assert_eq!((health.gone, health.backing_off), (1, 0));
        assert!(health.is_ready(), "the accounts are not well in any other process either");

        setup.store.set_fault(|_| Err(StoreError::new(StoreErrorKind::Unavailable)));
        let health = setup.manager.health();
        assert!(matches!(health.error, Some(TokenError::Store(_))) && !health.is_ready());
        setup.store.clear_fault();
        assert!(setup.manager.health().is_ready());
        assert!(setup.manager.shutdown().is_empty());
        let health = setup.manager.health();
        assert!(health.is_shut_down && health.error.is_none() && !health.is_ready());
    });
}

#[test]
fn a_new_secret_that_hubspot_refuses_harms_nobody() {
    both(|setup| {
        let old = setup.install_ending_in(1800);
        setup.manager.set_credential(secret("mistyped"));
        let new = setup.manager.refresh_now().unwrap();
        assert!(setup.accepts(new.clone()) && new != super::setup::bearer_of(&old));
        assert_eq!(setup.sent(Target::Refresh), 2, "the first one was refused");
        assert_eq!(setup.store.stored().record.retry, None);
        let mut events = setup.next_events(2);
        events.sort();
        assert_eq!(events, ["credential_refused", "renewed"]);

        assert!(setup.accepts(setup.manager.refresh_now().unwrap()));
        assert_eq!(setup.sent(Target::Refresh), 3, "the old one is used at once");
        let account = Account::hub(9);
        assert_eq!(setup.manager.install(setup.code_of(account)).unwrap(), account);
        assert_eq!(setup.next_events(2), ["renewed", "installed"], "it was reported");
        setup.expect_no_event();
    });
}

#[test]
fn a_new_secret_lifts_the_back_off_of_the_old_one() {
    both(|setup| {
        setup.install_ending_in(0);
        let app = App::hubspot(setup.app.client_id(), secret("outdated"))
            .with_api_base(setup.relay.url())
            .with_app_base(setup.hubspot.url())
            .build()
            .unwrap();
        let manager = Manager::new(setup.index(), &app, Arc::clone(&setup.store), long_times(), |_| {});
        let error = manager.bearer().unwrap_err();
        assert_eq!(error.next_step(), NextStep::FixConfiguration, "{error:?}");
        let status = manager.status(HUB).unwrap().unwrap();
        assert_eq!(status.cause, Some(RetryCause::ClientRefused));
        assert_eq!(status.backoff_credential.as_ref(), Some(app.identity().credential()));
        assert_eq!(setup.store.stored().record.state, GrantState::Live);

        manager.set_credential(setup.app.credential().clone());
        let bearer = wait_for_ok(|| manager.bearer());
        assert!(setup.accepts(bearer));
        assert_eq!(setup.sent(Target::Refresh), 2);
    });
}

/// Asks until the answer that is remembered for a second is forgotten.
fn wait_for_ok<T>(ask: impl Fn() -> Result<T, TokenError>) -> T {
    let answer = Mutex::new(None);
    wait_until(|| {
        *answer.lock().unwrap() = ask().ok();
        answer.lock().unwrap().is_some()
    });
    answer.into_inner().unwrap().unwrap()
}

/// Rule 8 of the design: a record knows its app.
#[test]
fn two_apps_on_one_store_have_each_their_own_accounts() {
    in_parallel([0, 1], |index| {
        let setup = Setup::new(index, Settings::new([3; 32]), ApiVersion::LATEST, long_times());
        let mut settings = Settings::new([4; 32]);
        settings.client_id = "ffffffff-e5f6-7890-abcd-ef1234567890".to_owned();
        let other = Setup::new(index, settings, ApiVersion::LATEST, long_times());
        let clock = Clock::start();
        let (first, second) = (Account::hub(1), Account::hub(2));
        let managers = [&setup, &other].map(|of| sweeping(of, &setup, &clock, Sweep::check_every(DAY), 1));
        managers[0].install(setup.code_of(first)).unwrap();
        managers[1].install(other.code_of(second)).unwrap();
        assert!(managers[0].bearer_of(first).is_ok() && managers[1].bearer_of(second).is_ok());
        for (manager, account) in [(&managers[0], second), (&managers[1], first)] {
            let error = manager.bearer_of(account).unwrap_err();
            assert!(matches!(error, TokenError::OtherApp { .. }), "{error:?}");
            assert_eq!(manager.status(account).unwrap().unwrap().state, AccountState::Live);
        }
        // The sweep of each looks after its own account only. When an account has its turn depends on the time of day.
        for _ in 0..8 {
            clock.advance(&setup, DAY / 4);
            other.hubspot.emulator(|emulator| emulator.advance(DAY / 4));
            wait_until(|| {
                managers.iter().all(|manager| {
                    let health = manager.health();
                    health.sweep.unwrap().due == 0 && health.flights == 0
                })
            });
        }
        for account in [first, second] {
            assert!(renewed_at(&setup, account) > clock.now().minus(DAY * 3 / 2), "{account}");
        }
        let progress = managers.map(|manager| manager.health().sweep.unwrap());
        assert_eq!(progress.map(|progress| progress.accounts), [1, 1]);
    });
}

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Returns a manager of the app of `setup` with a sweep, over the store of `of_store`.
fn sweeping(setup: &Setup, of_store: &Setup, clock: &Clock, sweep: Sweep, replicas: u32) -> Manager {
    let replicas = NonZeroU32::new(replicas).unwrap();
    let (clock, store) = (clock.clone(), Arc::clone(&of_store.store));
    if setup.index() == 0 {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = Arc::new(runtime.unwrap());
        let client = hs_oauth_async::Client::new(setup.app.clone()).unwrap();
        let store = hs_oauth_async::SpawnBlocking::new(store);
        let builder = hs_oauth_async::TokenManager::builder(client, store)
            .with_sweep(sweep)
            .with_replicas(replicas)
            .with_clock(move || clock.now())
            .with_runtime(runtime.handle().clone());
        Manager::Async(runtime, builder.build())
    } else {
        let client = hs_oauth_blocking::Client::new(setup.app.clone());
        let builder = hs_oauth_blocking::TokenManager::builder(client, store)
            .with_sweep(sweep)
            .with_replicas(replicas)
            .with_clock(move || clock.now());
        Manager::Blocking(builder.build())
    }
}

/// Counts the calls that the store gets from now on.
fn count(setup: &Setup) -> Arc<AtomicUsize> {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    setup.store.before_each(move |account, _| {
        // A check of the store loads this one.
        counted.fetch_add(usize::from(account != Account::hub(i64::MAX)), Ordering::SeqCst);
        Ok(())
    });
    calls
}

/// Returns when the account's token was requested.
fn renewed_at(setup: &Setup, account: Account) -> Timestamp {
    setup.store.stored_of(account).record.tokens.unwrap().requested_at()
}

#[test]
fn idle_accounts_are_looked_after_by_the_processes_together_each_of_them_once_a_day() {
    const ACCOUNTS: usize = 200;
    const DAYS: u32 = 4;
    both(|setup| {
        let accounts: Vec<_> = (1..).take(ACCOUNTS).map(Account::hub).collect();
        for account in &accounts {
            let tokens = setup.tokens_ending_in(*account, 1800);
            setup.manager.install_tokens_as(*account, tokens).unwrap();
        }
        let (clock, calls) = (Clock::start(), count(&setup));
        let managers = [0; 4].map(|_| sweeping(&setup, &setup, &clock, Sweep::check_daily(), 4));
        wait_until(|| managers.iter().all(|manager| manager.health().sweep.unwrap().accounts == ACCOUNTS));
        let step = Duration::from_secs(1800);
        let mut renewals: HashMap<_, _> =
            accounts.iter().map(|account| (*account, vec![renewed_at(&setup, *account)])).collect();
        for half_hour in 0..48 * DAYS {
            if half_hour == 48 {
                calls.store(0, Ordering::SeqCst);
            }
            clock.advance(&setup, step);
            wait_until(|| {
                managers.iter().all(|manager| {
                    let health = manager.health();
                    health.sweep.unwrap().due == 0 && health.flights == 0
                })
            });
            for (account, times) in &mut renewals {
                let at = renewed_at(&setup, *account);
                if times.last() != Some(&at) {
                    times.push(at);
                }
            }
        }
        for (account, times) in &renewals {
            // The first one is the install, which counts if the token was fresh when the account's day began.
            assert!((3..=5).contains(&(times.len() - 1)), "{account}: {times:?}");
            for pair in times.windows(2).skip(1) {
                let gap = pair[1].since(pair[0]);
                // Each within the first quarter of its day.
                assert!(gap > DAY * 3 / 4 - step && gap < DAY * 5 / 4 + step, "{account}: {gap:?}");
            }
        }
        let total: usize = renewals.values().map(|times| times.len() - 1).sum();
        let sweeps = managers.iter().map(|manager| manager.health().sweep.unwrap());
        let (looked_at, renewed) = sweeps.fold((0, 0), |(looked_at, renewed), sweep| {
            (looked_at + sweep.looked_at, renewed + sweep.renewed)
        });
        assert_eq!((setup.sent(Target::Refresh), usize::try_from(renewed).unwrap()), (total, total));
        let looks = looked_at as f64 / f64::from(DAYS) / ACCOUNTS as f64;
        let calls = calls.load(Ordering::SeqCst) as f64 / f64::from(DAYS - 1) / ACCOUNTS as f64;
        println!(
            "for each account and day: {calls:.2} calls to the store, {looks:.2} looks, of which 1 renews"
        );
        assert!(looks < 3.5 && calls < 6.5, "{calls} calls and {looks} looks");
    });
}

#[test]
fn accounts_that_are_kept_warm_have_a_bearer_without_a_request_at_any_time() {
    both(|setup| {
        let accounts = (1..=10).map(Account::hub);
        for account in accounts.clone() {
            let tokens = setup.tokens_ending_in(account, 1800);
            setup.manager.install_tokens_as(account, tokens).unwrap();
        }
        let clock = Clock::start();
        let managers = [0; 2].map(|_| sweeping(&setup, &setup, &clock, Sweep::keep_warm(), 2));
        wait_until(|| managers.iter().all(|manager| manager.health().sweep.unwrap().accounts == 10));
        for _ in 0..60 {
            clock.advance(&setup, Duration::from_secs(60));
            wait_until(|| {
                managers.iter().all(|manager| {
                    let health = manager.health();
                    health.sweep.unwrap().due == 0 && health.flights == 0
                })
            });
            for account in accounts.clone() {
                let sent = setup.sent(Target::Refresh);
                let ends = managers[0].status(account).unwrap().unwrap().expires_at.unwrap();
                assert!(ends > clock.now().plus(Duration::from_secs(60)), "{account}");
                assert_eq!(setup.sent(Target::Refresh), sent);
            }
        }
        let renewals = setup.sent(Target::Refresh);
        assert!((20..=40).contains(&renewals), "{renewals} renewals of 10 accounts in an hour");
    });
}

#[test]
fn a_sweep_ends_with_the_last_clone_of_its_manager_and_with_a_shutdown() {
    both(|setup| {
        setup.install_ending_in(1800);
        let clock = Clock::start();
        let calls = count(&setup);
        let pages = || calls.load(Ordering::SeqCst);
        let dropped = sweeping(&setup, &setup, &clock, Sweep::check_daily(), 1);
        wait_until(|| dropped.health().sweep.unwrap().accounts == 1);
        drop(dropped);
        let stopped = sweeping(&setup, &setup, &clock, Sweep::check_daily(), 1);
        wait_until(|| stopped.health().sweep.unwrap().accounts == 1);
        assert!(stopped.shutdown().is_empty());
        let before = pages();
        clock.advance(&setup, DAY * 3);
        // A manager that starts now works while the others are silent.
        let working = sweeping(&setup, &setup, &clock, Sweep::check_daily(), 1);
        wait_until(|| working.health().sweep.unwrap().accounts == 1);
        assert!(pages() > before);
        assert_eq!(stopped.health().sweep.unwrap().looked_at, 0);
    });
}

//! What a process does not do more often than it must: renewals at once, renewals after a 429 and in an outage, and loads of what it knows
//! to fail.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use hs_oauth_core::renewal::{GrantId, Record, TokenError};
use hs_oauth_core::{
    AccessToken, Account, NextStep, Random, RefreshToken, StoreError, StoreErrorKind, TokenSet,
};
use hs_oauth_emulator::Target;
use hs_oauth_store::{FileStore, Swapped, TokenStore};

use super::setup::{HUB, Manager, Operation, Store, both, long_times, now};
use super::token_server::{Reply, TokenServer, app};
use crate::wait::{in_parallel, wait_until};

/// The most renewals at once, if the application sets no other limit.
const MAX_IN_FLIGHT: usize = 64;

/// A gate that starts closed. All who come wait until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn pass(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |is_open| !*is_open).unwrap());
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

fn accounts(count: usize) -> Vec<Account> {
    (1..).map(Account::hub).take(count).collect()
}

/// Stores tokens that have expired, for each account.
fn fill(store: &impl TokenStore, accounts: &[Account]) {
    let mut random = Random::new([9; 32]);
    for account in accounts {
        let mut tokens = TokenSet::new(AccessToken::new("old").unwrap(), 1800, now());
        tokens.refresh_token = Some(RefreshToken::new("kept").unwrap());
        tokens.expires_at = now();
        let record = Record::new(GrantId::generate(&mut random), tokens);
        assert!(matches!(store.swap(*account, None, &record), Ok(Swapped::Stored(_))));
    }
}

/// Returns a manager over this transport, the store and a server, with the expired tokens of so many accounts in the store.
fn expired(index: usize, server: &TokenServer, count: usize) -> (Manager, Arc<Store>, Vec<Account>) {
    let (store, accounts) = (Arc::new(Store::default()), accounts(count));
    fill(&store, &accounts);
    (Manager::new(index, &server.app(), Arc::clone(&store), long_times(), |_| {}), store, accounts)
}

/// Returns how long the error says to wait.
#[track_caller]
fn wait_of(error: &TokenError) -> Duration {
    match error.next_step() {
        NextStep::RetryAfter(Some(wait)) => wait,
        other => panic!("{other:?}: {error:?}"),
    }
}

/// The size of the next test. Its full size takes several minutes:
///
/// ```sh
/// HS_OAUTH_TESTS_EXPIRED="3000 4000 1024" cargo test -p hs-oauth-tests file_handles -- --nocapture
/// ```
struct Size {
    accounts: usize,
    response_time: Duration,
    file_handles: usize,
}

impl Size {
    fn new() -> Self {
        let text = std::env::var("HS_OAUTH_TESTS_EXPIRED").unwrap_or("500 200 400".to_owned());
        let numbers: Vec<usize> = text.split(' ').map(|number| number.parse().unwrap()).collect();
        let response_time = Duration::from_millis(numbers[1] as u64);
        Self { accounts: numbers[0], response_time, file_handles: numbers[2] }
    }
}

/// The test runs itself again as a process that has few file handles. The variable names the transport and the server.
const CHILD: &str = "HS_OAUTH_TESTS_CHILD";

#[test]
#[cfg(unix)]
#[allow(clippy::print_stdout, reason = "the figures are part of the output")]
fn many_accounts_that_have_expired_together_need_few_connections_and_leave_file_handles_for_the_store() {
    if let Ok(child) = std::env::var(CHILD) {
        let (index, url) = child.split_once(' ').unwrap();
        return renew_all(index.parse().unwrap(), url);
    }
    let Size { accounts, response_time, file_handles } = Size::new();
    for index in 0..2 {
        let server = TokenServer::start(move |number| {
            std::thread::sleep(response_time);
            Reply::tokens(number)
        });
        let name = std::thread::current().name().unwrap().to_owned();
        let began = Instant::now();
        let status = Command::new("sh")
            .args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &file_handles.to_string()])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--nocapture"])
            .env(CHILD, format!("{index} {}", server.url))
            .status()
            .unwrap();
        println!("{index}: {accounts} accounts in {:?}: {:?}", began.elapsed(), server.counts());
        assert!(status.success(), "{index}");
        assert_eq!(server.counts().requests, accounts, "each once");
        assert!(server.counts().most_in_flight <= MAX_IN_FLIGHT, "{:?}", server.counts());
        // A client may open a connection just before another one becomes free.
        assert!(server.counts().most_connections < 2 * MAX_IN_FLIGHT, "{:?}", server.counts());
    }
}

/// Asks for the bearers of many accounts at once, over a file store.
fn renew_all(index: usize, url: &str) {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path().join("tokens")).unwrap();
    let accounts = accounts(Size::new().accounts);
    fill(&store, &accounts);
    if index == 0 {
        let client = hs_oauth_async::Client::new(app(url)).unwrap();
        let store = hs_oauth_async::SpawnBlocking::new(store);
        let manager = hs_oauth_async::TokenManager::builder(client, store).with_policy(long_times()).build();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let tasks: Vec<_> = accounts
                .into_iter()
                .map(|account| {
                    let manager = manager.clone();
                    tokio::spawn(async move { manager.bearer(account).await })
                })
                .collect();
            for task in tasks {
                task.await.unwrap().unwrap();
            }
        });
    } else {
        let client = hs_oauth_blocking::Client::new(app(url));
        let manager =
            hs_oauth_blocking::TokenManager::builder(client, store).with_policy(long_times()).build();
        in_parallel(accounts, |account| _ = manager.bearer(account).unwrap());
    }
}

#[test]
fn after_a_429_nothing_is_sent_but_what_was_sent_before_and_callers_learn_how_long_to_wait() {
    in_parallel([0, 1], |index| {
        let (first, others) = (Gate::default(), Gate::default());
        let (pass_first, pass_others) = (first.clone(), others.clone());
        let server = TokenServer::start(move |number| match number {
            0 => {
                pass_first.pass();
                Reply::rate_limit()
            }
            _ => {
                pass_others.pass();
                Reply::tokens(number)
            }
        });
        let (manager, _, accounts) = expired(index, &server, 3 * MAX_IN_FLIGHT);
        let failures = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for account in &accounts {
                let (manager, failures) = (&manager, &failures);
                scope.spawn(move || {
                    if let Err(error) = manager.bearer_of(*account) {
                        failures.lock().unwrap().push(error);
                    }
                });
            }
            wait_until(|| server.counts().in_flight >= MAX_IN_FLIGHT);
            first.open();
            // The one that was answered, and all that were not sent. They do not wait for the end of the pause.
            wait_until(|| failures.lock().unwrap().len() == 2 * MAX_IN_FLIGHT + 1);
            others.open();
        });
        assert_eq!(server.counts().requests, MAX_IN_FLIGHT);
        for error in failures.into_inner().unwrap() {
            assert!(wait_of(&error) <= Duration::from_secs(11), "{error:?}");
        }
    });
}

#[test]
fn a_renewal_that_was_admitted_before_a_429_is_not_sent_after_it_and_holds_up_no_other_process() {
    both(|setup| {
        let accounts = accounts(20);
        fill(&setup.store, &accounts);
        let gate = Gate::default();
        let (pass, swaps) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
        let (first, counted) = (accounts[0], Arc::clone(&swaps));
        setup.store.before_each(move |account, operation| {
            if operation == Operation::Swap && account != first {
                counted.fetch_add(1, Ordering::SeqCst);
                pass.pass();
            }
            Ok(())
        });
        setup.fault(hs_oauth_emulator::Fault::status(429).with_retry_after(10).with_target(Target::Refresh));
        std::thread::scope(|scope| {
            for account in &accounts[1..] {
                let manager = &setup.manager;
                scope.spawn(move || {
                    let error = manager.bearer_of(*account).unwrap_err();
                    assert!(wait_of(&error) <= Duration::from_secs(10), "{error:?}");
                });
            }
            // All take their leases.
            wait_until(|| swaps.load(Ordering::SeqCst) == accounts.len() - 1);
            let error = setup.manager.bearer_of(first).unwrap_err();
            assert!(wait_of(&error) <= Duration::from_secs(11), "{error:?}");
            gate.open();
        });
        assert_eq!(setup.sent(Target::Refresh), 1);
        for account in &accounts[1..] {
            let record = setup.store.load(*account).unwrap().unwrap().record;
            assert_eq!((record.lease, record.retry, record.unsettled), (None, None, false));
        }
    });
}

#[test]
fn a_429_of_an_install_pauses_the_renewals_too() {
    both(|setup| {
        let accounts = accounts(2);
        fill(&setup.store, &accounts);
        let code = setup.code();
        setup.fault(
            hs_oauth_emulator::Fault::status(429).with_retry_after(10).with_target(Target::ExchangeCode),
        );
        assert!(setup.manager.install(code).is_err());
        let error = setup.manager.bearer_of(accounts[0]).unwrap_err();
        assert!(wait_of(&error) <= Duration::from_secs(10), "{error:?}");
        assert_eq!(setup.sent(Target::Refresh), 0);
    });
}

#[test]
fn after_five_failures_in_a_row_there_is_one_try_at_a_time_until_one_works() {
    in_parallel([0, 1], |index| {
        let gate = Gate::default();
        let pass = gate.clone();
        let most_during_outage = Arc::new(AtomicUsize::new(0));
        let server = TokenServer::start(move |number| match number {
            0..5 => Reply::unavailable(),
            5 => {
                pass.pass();
                Reply::tokens(number)
            }
            _ => Reply::tokens(number),
        });
        let (manager, store, accounts) = expired(index, &server, 45);
        for account in &accounts[..5] {
            let error = manager.bearer_of(*account).unwrap_err();
            assert!(matches!(error, TokenError::Call(_)), "{error:?}");
        }
        let loads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&loads);
        store.before_each(move |_, operation| {
            counted.fetch_add(usize::from(operation == Operation::Load), Ordering::SeqCst);
            Ok(())
        });
        std::thread::scope(|scope| {
            for account in &accounts[5..] {
                let manager = &manager;
                scope.spawn(move || manager.bearer_of(*account).unwrap());
            }
            // All have begun, and the first of them waits for its response.
            wait_until(|| loads.load(Ordering::SeqCst) >= 40 && server.counts().requests > 5);
            most_during_outage.store(server.counts().requests - 5, Ordering::SeqCst);
            gate.open();
        });
        assert_eq!(most_during_outage.load(Ordering::SeqCst), 1);
        assert_eq!(server.counts().requests, 45);
    });
}

/// While HubSpot is down, a caller waits for one try at most, and shares its failure. One who comes later makes the next try.
#[test]
fn in_an_outage_every_caller_receives_an_error_and_one_request_is_sent_at_a_time() {
    in_parallel([0, 1], |index| {
        let gate = Gate::default();
        let pass = gate.clone();
        let server = TokenServer::start(move |number| {
            if number == 5 {
                pass.pass();
            }
            Reply::unavailable()
        });
        let (manager, store, accounts) = expired(index, &server, 45);
        for account in &accounts[..5] {
            assert!(manager.bearer_of(*account).is_err());
        }
        let loads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&loads);
        store.before_each(move |_, operation| {
            counted.fetch_add(usize::from(operation == Operation::Load), Ordering::SeqCst);
            Ok(())
        });
        std::thread::scope(|scope| {
            for account in &accounts[5..] {
                let manager = &manager;
                scope.spawn(move || {
                    let error = manager.bearer_of(*account).unwrap_err();
                    assert!(matches!(error.next_step(), NextStep::RetryAfter(_)), "{error:?}");
                });
            }
            wait_until(|| loads.load(Ordering::SeqCst) >= 40 && server.counts().requests > 5);
            gate.open();
        });
        assert_eq!(server.counts().most_in_flight, 1);
    });
}

/// Counts the loads from now on.
fn count_loads(
    store: &Store,
    result: impl Fn() -> Result<(), StoreError> + Send + Sync + 'static,
) -> Arc<AtomicUsize> {
    let loads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&loads);
    store.set_fault(move |operation| {
        counted.fetch_add(usize::from(operation == Operation::Load), Ordering::SeqCst);
        result()
    });
    loads
}

#[test]
#[allow(clippy::print_stdout, reason = "the figures are part of the output")]
fn many_calls_for_an_account_that_cannot_be_used_load_it_about_once_a_second() {
    both(|setup| {
        setup.install_ending_in(1800);
        setup.hubspot.emulator(|emulator| emulator.uninstall(HUB.hub_id));
        assert!(matches!(setup.manager.refresh_now(), Err(TokenError::Gone { .. })));
        let manager = setup.other_process();
        let loads = count_loads(&setup.store, || Ok(()));
        for (account, is_expected) in [
            (HUB, (|error| matches!(error, TokenError::Gone { .. })) as fn(&TokenError) -> bool),
            (Account::hub(99), |error| matches!(error, TokenError::NotInstalled)),
        ] {
            let (before, began) = (loads.load(Ordering::SeqCst), Instant::now());
            for _ in 0..10_000 {
                let error = manager.bearer_of(account).unwrap_err();
                assert!(is_expected(&error), "{error:?}");
            }
            let (loads, elapsed) = (loads.load(Ordering::SeqCst) - before, began.elapsed());
            println!("{}: 10000 calls for {account}: {loads} loads in {elapsed:?}", setup.index());
            assert!(loads <= 1 + elapsed.as_secs() as usize, "{loads} in {elapsed:?}");
        }
    });
}

#[test]
#[allow(clippy::print_stdout, reason = "the figures are part of the output")]
fn a_store_that_fails_is_asked_about_once_a_second_and_reported_once_a_minute() {
    in_parallel([0, 1], |index| {
        let store = Arc::new(Store::default());
        let accounts = accounts(100);
        fill(&store, &accounts);
        let events = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&events);
        let manager =
            Manager::new(index, &app("http://127.0.0.1:9"), Arc::clone(&store), long_times(), move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
            });
        let loads = count_loads(&store, || Err(StoreError::new(StoreErrorKind::Unavailable)));
        let began = Instant::now();
        for account in accounts.iter().cycle().take(10_000) {
            let error = manager.bearer_of(*account).unwrap_err();
            assert!(matches!(error, TokenError::Store(_)), "{error:?}");
        }
        let (loads, elapsed) = (loads.load(Ordering::SeqCst), began.elapsed());
        let events = events.load(Ordering::SeqCst);
        println!("{index}: 10000 calls: {loads} loads and {events} events in {elapsed:?}");
        assert!(loads <= 5 + 1 + elapsed.as_secs() as usize, "{loads} in {elapsed:?}");
        assert!(events <= 1 + elapsed.as_secs() as usize / 60, "{events} in {elapsed:?}");
    });
}

#[test]
fn a_store_that_works_again_is_used_again() {
    both(|setup| {
        let accounts = accounts(20);
        let is_down = Arc::new(AtomicBool::new(true));
        let down = Arc::clone(&is_down);
        let loads = count_loads(&setup.store, move || match down.load(Ordering::SeqCst) {
            true => Err(StoreError::new(StoreErrorKind::Unavailable)),
            false => Ok(()),
        });
        for account in accounts.iter().cycle().take(100) {
            assert!(matches!(setup.manager.bearer_of(*account), Err(TokenError::Store(_))));
        }
        assert!(loads.load(Ordering::SeqCst) < 100);
        is_down.store(false, Ordering::SeqCst);
        wait_until(|| {
            accounts
                .iter()
                .all(|account| matches!(setup.manager.bearer_of(*account), Err(TokenError::NotInstalled)))
        });
    });
}

#[test]
fn what_is_remembered_of_an_account_ends_with_its_install() {
    both(|setup| {
        assert!(matches!(setup.manager.bearer(), Err(TokenError::NotInstalled)));
        setup.install_ending_in(0);
        assert!(setup.manager.bearer().is_ok());
        setup.manager.disconnect().unwrap();
        assert!(matches!(setup.manager.bearer(), Err(TokenError::NotInstalled)));
        assert_eq!(setup.manager.install(setup.code()).unwrap(), HUB);
        assert!(setup.manager.bearer().is_ok());
    });
}

/// `refresh_now` asks the store whatever this process remembers.
#[test]
fn a_renewal_that_is_asked_for_does_not_heed_what_is_remembered() {
    both(|setup| {
        let other = setup.other_process();
        assert!(matches!(other.bearer(), Err(TokenError::NotInstalled)));
        setup.install_ending_in(1800);
        assert!(other.refresh_now().is_ok());
        assert!(other.bearer().is_ok());
    });
}

/// A restored store has lower versions than those that the process has seen.
#[test]
fn after_a_store_was_restored_bearers_come_from_memory_again() {
    both(|setup| {
        setup.install_ending_in(0);
        let copy = setup.store.stored().record;
        for _ in 0..5 {
            setup.manager.refresh_now().unwrap();
        }
        // The process has a token that is over, and the copy has one that was issued before it.
        let mut over = setup.store.tokens();
        over.expires_at = now();
        setup.manager.install_tokens(over).unwrap();
        setup.store.restore(&copy);
        let renewed = setup.manager.bearer().unwrap();
        let loads = count_loads(&setup.store, || Ok(()));
        for _ in 0..10 {
            assert_eq!(setup.manager.bearer().unwrap(), renewed);
        }
        assert_eq!(loads.load(Ordering::SeqCst), 0);
    });
}

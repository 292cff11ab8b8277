//! The end of a manager: what it still does, what it does no more, and what comes back to the caller.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use hs_oauth_async::Event;
use hs_oauth_core::renewal::{GrantId, HolderId, Lease, Record, Stored, TokenError};
use hs_oauth_core::{Account, ApiVersion, Introspect, Random, StoreError, StoreErrorKind};
use hs_oauth_emulator::{Fault, Rotation, Settings, Target};

use super::setup::{
    HUB, Manager, Operation, Setup, bearer_of, both, long_times, now, refresh_token, short_lease,
};
use crate::wait::{PATIENCE, in_parallel, wait_until};

fn down() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable)
}

/// Waits until the manager's shutdown has begun: from then on it does not look for an account that is not in memory.
fn wait_for_shutdown(manager: &Manager) {
    wait_until(|| matches!(manager.bearer_of(Account::hub(99)), Err(TokenError::ShutDown)));
}

/// RENEWAL.md, "load": a run waits for the holder of a lease, here for one that has died.
#[test]
fn a_run_that_waits_for_a_dead_holder_ends_when_the_shutdown_begins_and_sends_nothing() {
    both(|setup| {
        setup.install_ending_in(0);
        setup.store.rewrite(|record| {
            let holder = HolderId::generate(&mut Random::new([1; 32]));
            record.lease = Some(Lease::new(holder, now().plus(Duration::from_secs(90))));
        });
        let loads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&loads);
        setup.store.set_fault(move |operation| {
            counted.fetch_add(usize::from(operation == Operation::Load), Ordering::SeqCst);
            Ok(())
        });
        std::thread::scope(|scope| {
            let caller = scope.spawn(|| setup.manager.bearer());
            // At the second load it has slept once, and goes on to sleep.
            wait_until(|| loads.load(Ordering::SeqCst) >= 2);
            assert!(setup.manager.shutdown().is_empty());
            let result = caller.join().unwrap();
            assert!(matches!(result, Err(TokenError::ShutDown)), "{result:?}");
        });
        assert_eq!(setup.sent(Target::Refresh), 0);
    });
}

/// The run has not sent when the shutdown begins: it loads, or it takes the lease.
#[test]
fn a_run_that_has_not_sent_when_the_shutdown_begins_sends_nothing_and_leaves_no_lease() {
    for step in 0..2 {
        both(|setup| {
            setup.install_ending_in(0);
            let pause = setup.store.pause_at(step);
            std::thread::scope(|scope| {
                let caller = scope.spawn(|| setup.manager.bearer());
                wait_until(|| pause.is_reached());
                let shutdown = scope.spawn(|| setup.manager.shutdown());
                wait_for_shutdown(&setup.manager);
                drop(pause);
                assert!(shutdown.join().unwrap().is_empty());
                let result = caller.join().unwrap();
                assert!(matches!(result, Err(TokenError::ShutDown)), "step {step}: {result:?}");
            });
            assert_eq!(setup.sent(Target::Refresh), 0);
            let record = setup.store.stored().record;
            assert!(record.lease.is_none() && record.retry.is_none() && !record.unsettled, "{record:?}");
        });
    }
}

#[test]
fn a_listener_may_shut_the_manager_down_from_any_event() {
    let cases =
        ["mass_refusal", "installed", "saved", "renewed", "gone", "disconnected", "failed", "failed install"];
    in_parallel(cases.into_iter().flat_map(|case| [(0, case), (1, case)]), |(index, case)| {
        let setup = Setup::new(index, Settings::new([3; 32]), ApiVersion::LATEST, short_lease());
        if case != "installed" {
            setup.install_ending_in(1800);
        }
        let (sender, ended) = channel();
        let (manager, has_begun) = (Arc::new(OnceLock::<Manager>::new()), AtomicBool::new(false));
        let shared = Arc::clone(&manager);
        let on_event = move |event: &Event<'_>| {
            let wanted = case.split_whitespace().next();
            if wanted != Some(event.name()) || has_begun.swap(true, Ordering::SeqCst) {
                return;
            }
            match shared.get().unwrap() {
                Manager::Async(runtime, manager) => {
                    tokio::task::block_in_place(|| _ = runtime.handle().block_on(manager.shutdown()));
                }
                Manager::Blocking(manager) => _ = manager.shutdown(),
            }
            sender.send(()).unwrap();
        };
        let store = Arc::clone(&setup.store);
        manager.set(Manager::new(index, &setup.app, store, short_lease(), on_event)).unwrap();
        let manager = manager.get().unwrap().clone();
        let code = setup.code();
        match case {
            "gone" => _ = setup.hubspot.emulator(|emulator| emulator.uninstall(HUB.hub_id)),
            "failed" => setup.fault(Fault::status(400).with_target(Target::Refresh)),
            "failed install" | "saved" => setup.store.save_nothing(),
            _ => {}
        }
        // Refusals for so many accounts at once are a mass refusal.
        let accounts: Vec<_> = (1..=12).map(Account::hub).filter(|_| case == "mass_refusal").collect();
        for account in &accounts {
            manager.install_tokens_as(*account, setup.tokens_ending_in(*account, 0)).unwrap();
            setup.hubspot.emulator(|emulator| emulator.uninstall(account.hub_id));
        }
        let store = Arc::clone(&setup.store);
        std::thread::spawn(move || match case {
            "saved" => {
                assert!(matches!(manager.refresh_now(), Err(TokenError::Unsaved { .. })));
                store.clear_fault();
            }
            "mass_refusal" => accounts.into_iter().for_each(|account| _ = manager.bearer_of(account)),
            "installed" | "failed install" => _ = manager.install(code),
            "disconnected" => _ = manager.disconnect(),
            _ => _ = manager.refresh_now(),
        });
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(()), "{index}: {case}");
    });
}

/// The caller drops the error, as `?` in a handler of the application does.
#[test]
fn tokens_of_an_install_that_could_not_be_saved_are_saved_later_without_a_call() {
    both(|setup| {
        setup.store.set_fault(|operation| if operation == Operation::Swap { Err(down()) } else { Ok(()) });
        let error = setup.manager.install(setup.code()).unwrap_err();
        assert!(matches!(error, TokenError::Unsaved { .. }), "{error:?}");
        setup.expect_event("failed");
        assert!(format!("{:?}", setup.manager).contains("unsaved: 1"));
        setup.store.clear_fault();
        setup.expect_event_after_failures("installed");
        assert_eq!(Some(&setup.store.tokens()), error.tokens());
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(error.tokens().unwrap()));
        assert!(format!("{:?}", setup.manager).contains("unsaved: 0"));
        assert_eq!((setup.sent(Target::ExchangeCode), setup.sent(Target::Refresh)), (1, 0));
    });
}

/// The guide `install`: an install does not undo a disconnect that came later, and does not replace a later install.
#[test]
fn tokens_of_an_install_that_could_not_be_saved_do_not_replace_what_came_later() {
    for is_disconnected in [true, false] {
        both(|setup| {
            let old = setup.install_ending_in(1800);
            setup.store.save_nothing();
            let error = setup.manager.install(setup.code()).unwrap_err();
            assert!(matches!(error, TokenError::Unsaved { .. }), "{error:?}");
            // Another process.
            setup.store.rewrite(|record| {
                let grant = GrantId::generate(&mut Random::new([1; 32]));
                *record = match is_disconnected {
                    true => Record::tombstone(grant, None),
                    false => Record::new(grant, old.clone()),
                };
            });
            let later = setup.store.stored();
            setup.store.clear_fault();
            wait_until(|| format!("{:?}", setup.manager).contains("unsaved: 0"));
            assert_eq!(setup.store.stored().version, later.version, "nothing was written");
            assert_eq!(setup.manager.shutdown(), []);
        });
    }
}

#[test]
fn a_disconnect_forgets_and_revokes_the_tokens_of_an_install_that_could_not_be_saved() {
    both(|setup| {
        setup.store.set_fault(|operation| if operation == Operation::Swap { Err(down()) } else { Ok(()) });
        let error = setup.manager.install(setup.code()).unwrap_err();
        // No record is stored, so the disconnect writes none.
        setup.manager.disconnect().unwrap();
        wait_until(|| format!("{:?}", setup.manager).contains("flights: 0, unsaved: 0"));
        setup.store.clear_fault();
        assert!(matches!(setup.manager.bearer(), Err(TokenError::NotInstalled)));
        let introspect = Introspect::new(refresh_token(error.tokens().unwrap()));
        assert!(!setup.client.call(&introspect).unwrap().is_active());
    });
}

#[test]
fn a_shutdown_returns_the_tokens_of_an_install_that_could_not_be_saved() {
    both(|setup| {
        setup.store.set_fault(|operation| if operation == Operation::Swap { Err(down()) } else { Ok(()) });
        let error = setup.manager.install(setup.code()).unwrap_err();
        assert_eq!(setup.manager.shutdown(), [(HUB, error.tokens().unwrap().clone())]);
    });
}

/// Makes the store hang at every operation of this kind, until the sender is dropped. Returns how many have begun.
fn hang_at(setup: &Setup, operation: Operation) -> (Sender<()>, Arc<AtomicUsize>) {
    let (end, ended) = channel();
    let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Mutex::new(ended));
    let counter = Arc::clone(&begun);
    setup.store.set_fault(move |other| {
        if other == operation {
            counter.fetch_add(1, Ordering::SeqCst);
            // An error: the sender was dropped.
            let _ = ended.lock().unwrap().recv();
        }
        Ok(())
    });
    (end, begun)
}

/// The operations that hang are those of a renewal, of an install, and of the last attempt of the shutdown itself.
#[test]
fn a_shutdown_ends_within_its_time_and_returns_the_tokens_at_whose_save_the_store_hangs() {
    for case in ["renewal", "install", "last attempt"] {
        both(|setup| {
            let old = setup.install_ending_in(0);
            if case == "last attempt" {
                setup.store.save_nothing();
                assert!(matches!(setup.manager.install(setup.code()), Err(TokenError::Unsaved { .. })));
            }
            let (end, hanging) = hang_at(&setup, Operation::Save);
            let code = setup.code();
            std::thread::scope(|scope| {
                match case {
                    "renewal" => _ = scope.spawn(|| _ = setup.manager.bearer()),
                    "install" => _ = scope.spawn(|| _ = setup.manager.install(code)),
                    _ => {}
                }
                if case != "last attempt" {
                    wait_until(|| hanging.load(Ordering::SeqCst) > 0);
                }
                // It would wait for the store, which hangs until the end of the test.
                let left = setup.manager.shutdown_within(Duration::from_secs(1));
                let [(HUB, tokens)] = &left[..] else { panic!("{case}: {left:?}") };
                assert_ne!(*tokens, old);
                assert!(setup.accepts(bearer_of(tokens)), "HubSpot has issued them");
                drop(end);
                wait_until(|| setup.store.tokens() == *tokens);
            });
        });
    }
}

/// The limit of [`shutdown`](hs_oauth_async::TokenManager::shutdown), in tokio's time.
#[test]
fn a_shutdown_without_a_limit_of_its_own_takes_twenty_five_seconds_at_most() {
    /// A store that never ends to save new tokens over older ones.
    struct Hanging(hs_oauth_async::MemoryStore);

    #[hs_oauth_async::async_trait]
    impl hs_oauth_async::AsyncTokenStore for Hanging {
        async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
            self.0.load(account).await
        }

        async fn swap(
            &self,
            account: Account,
            expected: Option<u64>,
            record: &Record,
        ) -> Result<hs_oauth_async::Swapped, StoreError> {
            match self.0.load(account).await? {
                Some(stored) if stored.record.tokens != record.tokens => std::future::pending().await,
                _ => self.0.swap(account, expected, record).await,
            }
        }

        async fn page(
            &self,
            cursor: Option<&hs_oauth_async::Cursor>,
            limit: usize,
        ) -> Result<hs_oauth_async::Page, StoreError> {
            self.0.page(cursor, limit).await
        }

        async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
            self.0.remove(account, expected).await
        }
    }

    let setup = Setup::new(0, Settings::new([3; 32]), ApiVersion::LATEST, long_times());
    let tokens = setup.tokens_ending_in(HUB, 0);
    let client = hs_oauth_async::Client::new(setup.app.clone()).unwrap();
    let manager = hs_oauth_async::TokenManager::new(client, Hanging(hs_oauth_async::MemoryStore::new()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        manager.install_tokens_as(HUB, tokens.clone()).await.unwrap();
        let caller = tokio::spawn({
            let manager = manager.clone();
            async move { manager.bearer(HUB).await }
        });
        // The tokens are known to the manager as soon as they are received.
        while !format!("{manager:?}").contains("unsaved: 1") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        let left = manager.shutdown().await;
        assert!(began.elapsed().abs_diff(Duration::from_secs(25)) < Duration::from_secs(1), "{began:?}");
        assert!(matches!(&left[..], [(HUB, new)] if *new != tokens), "{left:?}");
        assert!(!caller.is_finished(), "the save still hangs");
    });
}

/// RENEWAL.md: a process that holds unsaved tokens compares before it sends anything.
#[test]
fn tokens_whose_save_was_cut_off_with_its_runtime_are_saved_by_the_next_call() {
    let mut settings = Settings::new([3; 32]);
    settings.rotation = Rotation::Strict;
    let setup = Setup::new(0, settings, ApiVersion::LATEST, long_times());
    setup.install_ending_in(0);
    let (end, hanging) = hang_at(&setup, Operation::Save);
    let Manager::Async(_, manager) = &setup.manager else { panic!() };
    let short = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let caller = short.spawn({
        let manager = manager.clone();
        async move { manager.bearer(HUB).await }
    });
    wait_until(|| hanging.load(Ordering::SeqCst) > 0);
    short.shutdown_background();
    wait_until(|| caller.is_finished());
    wait_until(|| format!("{:?}", setup.manager).contains("flights: 0, unsaved: 1"));
    // The write that was begun takes effect, or not: the next flight finds out.
    drop(end);
    let bearer = setup.manager.bearer().unwrap();
    assert_eq!(bearer, bearer_of(&setup.store.tokens()));
    assert_eq!(setup.sent(Target::Refresh), 1);
}

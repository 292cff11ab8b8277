//! The end of a manager: what it still does, what it does no more, and what comes back to the caller.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hs_oauth_async::Event;
use hs_oauth_core::renewal::{HolderId, Lease, TokenError};
use hs_oauth_core::{Account, ApiVersion, Random, StoreError, StoreErrorKind};
use hs_oauth_emulator::{Fault, Settings, Target};

use super::setup::{HUB, Manager, Operation, Setup, bearer_of, both, long_times, now};
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
    let cases = ["saved by an install", "saved", "renewed", "gone", "disconnected", "failed", "failed install"];
    in_parallel(cases.into_iter().flat_map(|case| [(0, case), (1, case)]), |(index, case)| {
        let setup = Setup::new(index, Settings::new([3; 32]), ApiVersion::LATEST, long_times());
        if case != "saved by an install" {
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
        manager.set(Manager::new(index, &setup.app, store, long_times(), on_event)).unwrap();
        let manager = manager.get().unwrap().clone();
        let code = setup.code();
        match case {
            "gone" => _ = setup.hubspot.emulator(|emulator| emulator.uninstall(HUB.hub_id)),
            "failed" => setup.fault(Fault::status(400).with_target(Target::Refresh)),
            "failed install" => setup.store.save_nothing(),
            _ => {}
        }
        std::thread::spawn(move || match case {
            "saved by an install" | "failed install" => _ = manager.install(code),
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
        setup.expect_event_after_failures("saved");
        assert_eq!(Some(&setup.store.tokens()), error.tokens());
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(error.tokens().unwrap()));
        assert!(format!("{:?}", setup.manager).contains("unsaved: 0"));
        assert_eq!((setup.sent(Target::ExchangeCode), setup.sent(Target::Refresh)), (1, 0));
    });
}

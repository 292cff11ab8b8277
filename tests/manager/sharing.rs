//! Many callers, many processes, and callers that give up.

use std::future::poll_fn;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hs_oauth_core::renewal::{HolderId, Lease, TokenError};
use hs_oauth_core::{Account, Random};
use hs_oauth_emulator::{Rotation, Settings, Target};
use tokio::runtime::Runtime;

use super::relay::Hold;
use super::setup::{HUB, Manager, Operation, Setup, bearer_of, both, both_with, long_times, now};
use crate::wait::{in_parallel, wait_until};

/// RENEWAL.md, rule 1.
#[test]
fn ten_thousand_tasks_that_want_one_token_at_once_make_one_request() {
    let setup = Setup::new(0, strict(), hs_oauth_core::ApiVersion::LATEST, long_times());
    setup.install_ending_in(0);
    let Manager::Async(runtime, manager) = &setup.manager else { panic!() };
    let bearers = runtime.block_on(async {
        let tasks: Vec<_> = (0..10_000)
            .map(|_| {
                let manager = manager.clone();
                tokio::spawn(async move { manager.bearer(HUB).await })
            })
            .collect();
        let mut bearers = Vec::new();
        for task in tasks {
            bearers.push(task.await.unwrap().unwrap());
        }
        bearers
    });
    assert!(bearers.iter().all(|bearer| *bearer == bearer_of(&setup.store.tokens())));
    assert_eq!(setup.sent(Target::Refresh), 1);
}

#[test]
fn two_hundred_threads_that_want_one_token_at_once_make_one_request() {
    both_with(strict(), long_times(), |setup| {
        setup.install_ending_in(0);
        let bearers = at_once(200, |_| setup.manager.bearer().unwrap());
        assert!(bearers.iter().all(|bearer| *bearer == bearer_of(&setup.store.tokens())));
        assert_eq!(setup.sent(Target::Refresh), 1);
    });
}

#[test]
fn four_processes_that_share_a_store_make_one_request() {
    both_with(strict(), long_times(), |setup| {
        setup.install_ending_in(0);
        let processes: Vec<Manager> = (0..4).map(|_| setup.other_process()).collect();
        let bearers = at_once(40, |number| processes[number % 4].bearer().unwrap());
        assert!(bearers.iter().all(|bearer| *bearer == bearer_of(&setup.store.tokens())));
        assert_eq!(setup.sent(Target::Refresh), 1);
    });
}

#[test]
fn fifty_callers_after_a_401_make_one_renewal() {
    both_with(strict(), long_times(), |setup| {
        let old = bearer_of(&setup.install_ending_in(1800));
        let bearers = at_once(50, |_| setup.manager.bearer_after_401(&old).unwrap());
        assert!(bearers.iter().all(|bearer| *bearer == bearer_of(&setup.store.tokens())));
        assert_eq!(setup.sent(Target::Refresh), 1);
        // A later caller gets the stored token, which is another one already.
        assert_eq!(setup.manager.bearer_after_401(&old).unwrap(), bearers[0]);
        assert_eq!(setup.sent(Target::Refresh), 1);
    });
}

/// A caller with a rejected token needs another token. A caller without one is content with any token that has not ended.
#[test]
fn a_caller_with_a_rejected_token_does_not_get_it_from_the_flight_of_another_caller() {
    both(|setup| {
        let old = bearer_of(&setup.install_ending_in(1800));
        let manager = setup.other_process();
        let first_load = setup.store.pause_at(0);
        let (sender, is_asking) = channel();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| manager.bearer().unwrap());
            wait_until(|| first_load.is_reached());
            let second = scope.spawn(|| match &manager {
                Manager::Async(runtime, manager) => runtime.block_on(async {
                    let mut call = pin!(manager.bearer_after_401(HUB, &old));
                    let is_pending = poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_pending()));
                    assert!(is_pending.await, "it waits for the first one's flight");
                    sender.send(()).unwrap();
                    call.await.unwrap()
                }),
                Manager::Blocking(_) => {
                    sender.send(()).unwrap();
                    manager.bearer_after_401(&old).unwrap()
                }
            });
            is_asking.recv().unwrap();
            // A thread does not show when it waits. In most runs it waits by then, and the test holds if it does not.
            std::thread::sleep(Duration::from_millis(20));
            drop(first_load);
            assert_eq!(first.join().unwrap(), old);
            assert_ne!(second.join().unwrap(), old);
        });
        assert_eq!(setup.sent(Target::Refresh), 1);
    });
}

/// RENEWAL.md, rule 6.
#[test]
fn a_caller_that_gives_up_at_any_point_loses_no_rotated_token() {
    let setup = Setup::new(0, strict(), hs_oauth_core::ApiVersion::LATEST, long_times());
    setup.install_ending_in(0);
    // Gives a caller up at this point, and checks how many requests are made and that the tokens are not lost.
    let expect = |sent: RangeInclusive<usize>,
                  point: &str,
                  give_up: &dyn Fn(&Runtime, &hs_oauth_async::TokenManager)| {
        setup.store.expire();
        let before = setup.sent(Target::Refresh);
        let Manager::Async(runtime, manager) = setup.other_process() else { panic!() };
        give_up(&runtime, &manager);
        // A shutdown lets no renewal begin that has not begun.
        wait_until(|| format!("{manager:?}").contains("flights: 0"));
        assert!(runtime.block_on(manager.shutdown()).is_empty());
        let count = setup.sent(Target::Refresh) - before;
        assert!(sent.contains(&count), "{point}: {count}");
        setup.store.clear_fault();
        let bearer = setup.other_process().bearer().unwrap();
        assert!(setup.accepts(bearer), "{point}");
    };

    expect(0..=0, "before it is polled", &|_, manager| drop(manager.bearer(HUB)));
    expect(1..=1, "during the request", &|runtime, manager| {
        setup.relay.hold(Hold::Refreshes);
        assert!(poll_until(|| setup.relay.held() == 1, runtime, manager.bearer(HUB)).is_none());
        setup.relay.release();
    });
    let mut points = 0;
    let has_ended = AtomicBool::new(false);
    while !has_ended.load(Ordering::SeqCst) {
        // The first two are the load and the swap of the lease. A run sends nothing more after them if the shutdown begins before it does.
        let sent = usize::from(points >= 2)..=1;
        expect(sent, &format!("during operation {points} of the store"), &|runtime, manager| {
            let pause = setup.store.pause_at(points);
            let result = poll_until(|| pause.is_reached(), runtime, manager.bearer(HUB));
            has_ended.store(result.is_some(), Ordering::SeqCst);
            assert!(result.is_none_or(|result| result.is_ok()));
        });
        points += 1;
    }
    assert!(points > 3, "a caller can give up during the load, the lease and the save");
    // With strict rotation a token that was lost or used twice has ended the grant.
    assert!(setup.other_process().refresh_now().is_ok());
}

#[test]
fn an_install_is_finished_even_if_its_caller_gives_up() {
    let installed = |give_up: &dyn Fn(&Setup, &Runtime, &hs_oauth_async::TokenManager)| {
        let setup = Setup::new(0, strict(), hs_oauth_core::ApiVersion::V1, long_times());
        let Manager::Async(runtime, manager) = &setup.manager else { panic!() };
        give_up(&setup, runtime, manager);
        assert!(runtime.block_on(manager.shutdown()).is_empty());
        setup.store.clear_fault();
        assert!(setup.accepts(setup.other_process().bearer().unwrap()));
    };

    installed(&|setup, runtime, manager| {
        setup.relay.hold(Hold::Exchanges);
        assert!(poll_until(|| setup.relay.held() == 1, runtime, manager.install(setup.code())).is_none());
        setup.relay.release();
    });
    let mut points = 0;
    let has_ended = AtomicBool::new(false);
    while !has_ended.load(Ordering::SeqCst) {
        installed(&|setup, runtime, manager| {
            let pause = setup.store.pause_at(points);
            let result = poll_until(|| pause.is_reached(), runtime, manager.install(setup.code()));
            has_ended.store(result.is_some(), Ordering::SeqCst);
            assert!(result.is_none_or(|result| result.is_ok()));
        });
        points += 1;
    }
    assert!(points > 3, "a caller can give up during the check, the load and the save");
}

/// Polls `caller` until it ends or `is_reached` holds, then drops it. Returns its result if it has ended.
fn poll_until<F: Future>(is_reached: impl Fn() -> bool, runtime: &Runtime, caller: F) -> Option<F::Output> {
    let _runtime = runtime.enter();
    let mut caller = pin!(caller);
    let mut result = None;
    wait_until(|| {
        if let Poll::Ready(output) = caller.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            result = Some(output);
        }
        result.is_some() || is_reached()
    });
    result
}

/// The flight runs on the runtime of the caller that started it.
#[test]
fn no_caller_waits_for_a_renewal_whose_runtime_has_ended() {
    let setup = Setup::new(0, Settings::new([3; 32]), hs_oauth_core::ApiVersion::LATEST, long_times());
    setup.install_ending_in(0);
    let Manager::Async(other, manager) = &setup.manager else { panic!() };
    let short = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    {
        let _runtime = short.enter();
        let mut caller = pin!(manager.bearer(HUB));
        assert!(caller.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(short);
        let Poll::Ready(result) = caller.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!()
        };
        assert!(matches!(result, Err(TokenError::Interrupted)), "{result:?}");
    }
    assert!(other.block_on(manager.bearer(HUB)).is_ok(), "the next caller has a runtime");
    let nowhere = pin!(manager.refresh_now(HUB)).poll(&mut Context::from_waker(Waker::noop()));
    assert!(
        matches!(nowhere, Poll::Ready(Err(TokenError::NoRuntime))),
        "outside of a runtime there is an error and no panic"
    );
}

/// While another process renews the token, this one does not load the record for every call.
#[test]
fn calls_during_a_renewal_of_another_process_hardly_load_the_store() {
    const CALLS: usize = 2000;
    both(|setup| {
        let tokens = setup.install_ending_in(300);
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
        for _ in 0..CALLS {
            assert_eq!(setup.manager.bearer().unwrap(), bearer_of(&tokens));
        }
        wait_until(|| loads.load(Ordering::SeqCst) > 0);
        assert!(setup.manager.shutdown().is_empty());
        // However long the calls take, there is one load in some seconds.
        let loads = loads.load(Ordering::SeqCst);
        assert!((1..CALLS / 20).contains(&loads), "{loads}");
        assert_eq!(setup.sent(Target::Refresh), 0);
    });
}

/// The cache counts evictions together for many accounts. After one, it does not trust the result of a flight: the manager loads the
/// record again, and makes no request.
#[test]
fn a_renewal_during_disconnects_of_other_accounts_makes_one_request() {
    both_with(strict(), long_times(), |setup| {
        setup.install_ending_in(1800);
        let manager = setup.other_process();
        setup.relay.hold(Hold::Refreshes);
        std::thread::scope(|scope| {
            let caller = scope.spawn(|| manager.refresh_now().unwrap());
            setup.relay.wait_for_held(1);
            for hub_id in 0..3000 {
                manager.disconnect_account(Account::hub(hub_id)).unwrap();
            }
            setup.relay.release();
            assert_eq!(caller.join().unwrap(), bearer_of(&setup.store.tokens()));
        });
        assert!(setup.accepts(manager.bearer().unwrap()));
        assert_eq!(setup.sent(Target::Refresh), 1);
    });
}

/// As many renewals ahead of time run as there are threads for them. The others begin when one of these has ended.
#[test]
fn a_slow_hubspot_does_not_pile_up_threads() {
    let setup = Setup::new(1, Settings::new([3; 32]), hs_oauth_core::ApiVersion::LATEST, long_times());
    let Manager::Blocking(manager) = &setup.manager else { panic!() };
    let accounts: Vec<_> = (1..=20).map(Account::hub).collect();
    for account in &accounts {
        manager.install_tokens(setup.tokens_ending_in(*account, 300)).unwrap();
    }
    setup.relay.hold(Hold::Refreshes);
    for account in &accounts {
        assert!(manager.bearer(*account).is_ok());
    }
    setup.relay.wait_for_held(8);
    for sent in 9..=20 {
        setup.relay.release_one();
        setup.wait_for_sent(Target::Refresh, sent);
    }
    setup.relay.wait_for_held(8);
    setup.relay.release();
    wait_until(|| {
        accounts.iter().for_each(|account| assert!(manager.bearer(*account).is_ok()));
        setup.relay.held() == 0
    });
    assert_eq!((setup.relay.most_held(), setup.sent(Target::Refresh)), (8, 20));
}

fn strict() -> Settings {
    let mut settings = Settings::new([3; 32]);
    settings.rotation = Rotation::Strict;
    settings
}

/// Does `work` on so many threads that begin together, and returns all results.
fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(count);
    in_parallel(0..count, |number| {
        start.wait();
        work(number)
    })
}

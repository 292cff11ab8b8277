//! Many callers, many processes, callers who give up.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hs_oauth_core::renewal::{HolderId, Lease, RenewalPolicy, TokenError};
use hs_oauth_core::{Account, Random};
use hs_oauth_emulator::{Fault, Rotation, Settings, Target};

use super::scene::{HUB, Manager, Scene, Work, bearer_of, both, both_with, now, wait_until};

/// RENEWAL.md, rule 1.
#[test]
fn ten_thousand_tasks_that_want_one_token_at_once_make_one_request() {
    let scene = Scene::new(0, strict(), hs_oauth_core::ApiVersion::LATEST, RenewalPolicy::new());
    scene.install_ending_in(0);
    let Manager::Async(runtime, manager) = &scene.manager else { panic!() };
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
    assert!(bearers.iter().all(|bearer| *bearer == bearer_of(&scene.store.tokens())));
    assert_eq!(scene.sent(Target::Refresh), 1);
}

#[test]
fn two_hundred_threads_that_want_one_token_at_once_make_one_request() {
    both_with(strict(), RenewalPolicy::new(), |scene| {
        scene.install_ending_in(0);
        let bearers = at_once(200, |_| scene.manager.bearer().unwrap());
        assert!(bearers.iter().all(|bearer| *bearer == bearer_of(&scene.store.tokens())));
        assert_eq!(scene.sent(Target::Refresh), 1);
    });
}

#[test]
fn four_processes_that_share_a_store_make_one_request() {
    both_with(strict(), RenewalPolicy::new(), |scene| {
        scene.install_ending_in(0);
        let processes: Vec<Manager> = (0..4).map(|_| scene.another()).collect();
        let bearers = at_once(40, |number| processes[number % 4].bearer().unwrap());
        assert!(bearers.iter().all(|bearer| *bearer == bearer_of(&scene.store.tokens())));
        assert_eq!(scene.sent(Target::Refresh), 1);
    });
}

#[test]
fn fifty_callers_answered_with_401_make_one_renewal() {
    both_with(strict(), RenewalPolicy::new(), |scene| {
        let old = bearer_of(&scene.install_ending_in(1800));
        let bearers = at_once(50, |_| scene.manager.bearer_after_401(&old).unwrap());
        assert!(bearers.iter().all(|bearer| *bearer == bearer_of(&scene.store.tokens())));
        assert_eq!(scene.sent(Target::Refresh), 1);
        // A late one has the stored token, which is another already.
        assert_eq!(scene.manager.bearer_after_401(&old).unwrap(), bearers[0]);
        assert_eq!(scene.sent(Target::Refresh), 1);
    });
}

/// Who was answered with 401 needs more than one who only wants a token that looks good.
#[test]
fn a_caller_with_a_rejected_token_is_not_put_off_by_a_flight_that_found_just_that() {
    both(|scene| {
        let old = bearer_of(&scene.install_ending_in(1800));
        let manager = scene.another();
        let gate = Arc::new(Barrier::new(2));
        let loads = Arc::new(AtomicUsize::new(0));
        let (at_gate, counted) = (Arc::clone(&gate), Arc::clone(&loads));
        scene.store.mishap(move |work| {
            if matches!(work, Work::Load) && counted.fetch_add(1, Ordering::SeqCst) == 0 {
                at_gate.wait();
            }
            Ok(())
        });
        std::thread::scope(|scope| {
            let first = scope.spawn(|| manager.bearer().unwrap());
            wait_until(|| loads.load(Ordering::SeqCst) == 1);
            let second = scope.spawn(|| manager.bearer_after_401(&old).unwrap());
            // Whether the second is there already or not, it must not end with the old one.
            std::thread::sleep(Duration::from_millis(20));
            gate.wait();
            assert_eq!(first.join().unwrap(), old);
            assert_ne!(second.join().unwrap(), old);
        });
        assert_eq!(scene.sent(Target::Refresh), 1);
    });
}

/// RENEWAL.md, rule 6.
#[test]
fn a_caller_who_gives_up_at_any_point_loses_no_rotated_token() {
    let scene = Scene::new(0, strict(), hs_oauth_core::ApiVersion::LATEST, RenewalPolicy::new());
    scene.install_ending_in(0);
    let mut was_ready = false;
    for polls in 0.. {
        scene.store.expire();
        let before = scene.sent(Target::Refresh);
        let Manager::Async(runtime, manager) = scene.another() else { panic!() };
        {
            let _runtime = runtime.enter();
            let mut caller = pin!(manager.bearer(HUB));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                match caller.as_mut().poll(&mut context) {
                    Poll::Ready(bearer) => was_ready = bearer.is_ok(),
                    Poll::Pending if polls % 2 == 0 => std::thread::sleep(Duration::from_millis(3)),
                    Poll::Pending => std::thread::yield_now(),
                }
                if was_ready {
                    break;
                }
            }
        }
        assert!(runtime.block_on(manager.shutdown()).is_empty());
        assert_eq!(scene.sent(Target::Refresh) - before, usize::from(polls > 0));
        let bearer = scene.another().bearer().unwrap();
        assert!(scene.works(bearer), "after {polls} polls");
        if was_ready {
            break;
        }
        assert!(polls < 100_000, "it never ended");
    }
    // Strict rotation: a token that was lost or used twice would have ended the grant.
    assert!(scene.another().refresh_now().is_ok());
}

#[test]
fn an_install_whose_caller_gives_up_is_finished_all_the_same() {
    for polls in 1..4 {
        let scene = Scene::new(0, strict(), hs_oauth_core::ApiVersion::V1, RenewalPolicy::new());
        let Manager::Async(runtime, manager) = &scene.manager else { panic!() };
        {
            let _runtime = runtime.enter();
            let mut install = pin!(manager.install(scene.code()));
            for _ in 0..polls {
                assert!(install.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
        }
        runtime.block_on(manager.shutdown());
        assert!(scene.works(scene.another().bearer().unwrap()));
    }
}

/// The flight belongs to the runtime of the caller who started it.
#[test]
fn a_runtime_that_ends_amid_a_renewal_leaves_no_one_waiting() {
    let scene =
        Scene::new(0, Settings::new([3; 32]), hs_oauth_core::ApiVersion::LATEST, RenewalPolicy::new());
    scene.install_ending_in(0);
    let Manager::Async(other, manager) = &scene.manager else { panic!() };
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
    assert!(matches!(nowhere, Poll::Ready(Err(TokenError::NoRuntime))), "not in a runtime, and no panic");
}

/// Another process renews the token: this one does not ask the store for every call.
#[test]
fn callers_beside_another_processs_renewal_hardly_load_the_store() {
    both(|scene| {
        let tokens = scene.install_ending_in(300);
        scene.store.rewrite(|record| {
            let holder = HolderId::generate(&mut Random::new([1; 32]));
            record.lease = Some(Lease::new(holder, now().plus(Duration::from_secs(50))));
        });
        let loads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&loads);
        scene.store.mishap(move |work| {
            counted.fetch_add(usize::from(matches!(work, Work::Load)), Ordering::SeqCst);
            Ok(())
        });
        for _ in 0..10_000 {
            assert_eq!(scene.manager.bearer().unwrap(), bearer_of(&tokens));
        }
        scene.manager.shutdown();
        let loads = loads.load(Ordering::SeqCst);
        assert!((1..20).contains(&loads), "{loads}");
        assert_eq!(scene.sent(Target::Refresh), 0);
    });
}

/// What a flight brings is not trusted once an account was evicted that may have been its own: the store is asked again, and
/// HubSpot is not.
#[test]
fn a_disconnect_of_other_accounts_costs_a_renewal_under_way_no_second_request() {
    both_with(strict(), RenewalPolicy::new(), |scene| {
        scene.install_ending_in(1800);
        let manager = scene.another();
        scene.fault(Fault::delay(Duration::from_millis(500)).on(Target::Refresh));
        std::thread::scope(|scope| {
            let caller = scope.spawn(|| manager.refresh_now().unwrap());
            scene.wait_for_sent(Target::Refresh, 1);
            for hub_id in 0..3000 {
                manager.disconnect_account(Account::hub(hub_id)).unwrap();
            }
            assert_eq!(caller.join().unwrap(), bearer_of(&scene.store.tokens()));
        });
        assert!(scene.works(manager.bearer().unwrap()));
        assert_eq!(scene.sent(Target::Refresh), 1);
    });
}

/// So many renewals ahead of time as there are threads for; the others come with later calls.
#[test]
fn a_slow_hubspot_does_not_pile_up_threads() {
    let scene =
        Scene::new(1, Settings::new([3; 32]), hs_oauth_core::ApiVersion::LATEST, RenewalPolicy::new());
    let tokens = scene.install_ending_in(1800);
    let Manager::Blocking(manager) = &scene.manager else { panic!() };
    let accounts: Vec<_> = (0..20).map(Account::hub).collect();
    for account in &accounts {
        let mut tokens = tokens.clone();
        tokens.expires_at = now().plus(Duration::from_secs(300));
        manager.install_tokens(*account, tokens).unwrap();
    }
    scene.fault(Fault::delay(Duration::from_millis(500)).on(Target::Refresh).times(20));
    for account in &accounts {
        assert!(manager.bearer(*account).is_ok());
    }
    scene.wait_for_sent(Target::Refresh, 8);
    assert_eq!(scene.sent(Target::Refresh), 8);
    wait_until(|| {
        accounts.iter().for_each(|account| assert!(manager.bearer(*account).is_ok()));
        scene.sent(Target::Refresh) == 20
    });
}

fn strict() -> Settings {
    let mut settings = Settings::new([3; 32]);
    settings.rotation = Rotation::Strict;
    settings
}

/// What so many threads get that begin together.
fn at_once<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (start, work) = (Barrier::new(count), &work);
    std::thread::scope(|scope| {
        let start = &start;
        let threads: Vec<_> = (0..count)
            .map(|number| {
                scope.spawn(move || {
                    start.wait();
                    work(number)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

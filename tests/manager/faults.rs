//! Stores that fail, error responses of HubSpot, and what errors and logs show of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{GrantState, TokenError};
use hs_oauth_core::{AccessToken, ApiVersion, NextStep, RefreshToken, StoreError, StoreErrorKind, TokenSet};
use hs_oauth_emulator::{Fault, Rotation, Settings, Target};

use crate::canary::logged;

use super::setup::{
    HUB, Manager, Operation, Setup, bearer_of, both, both_with, long_times, now, short_lease,
};
use crate::wait::{in_parallel, wait_until};

fn strict() -> Settings {
    let mut settings = Settings::new([3; 32]);
    settings.rotation = Rotation::Strict;
    settings
}

fn down() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable)
}

/// Returns the bearer when its tokens can be saved again. A try of the manager itself may have begun while the store still failed.
fn bearer_of_saved(manager: &Manager) -> HeaderValue {
    let mut calls = std::iter::repeat_with(|| manager.bearer());
    calls.find(|call| !matches!(call, Err(TokenError::Unsaved { .. }))).unwrap().unwrap()
}

/// RENEWAL.md, C16.
#[test]
fn tokens_that_cannot_be_saved_come_with_the_error_and_the_next_call_saves_them() {
    both_with(strict(), short_lease(), |setup| {
        let old = setup.install_ending_in(0);
        setup.store.save_nothing();
        let error = setup.manager.bearer().unwrap_err();
        assert!(matches!(error, TokenError::Unsaved { .. }), "{error:?}");
        setup.expect_event("failed");
        let new = error.tokens().unwrap().clone();
        assert_ne!(new, old);
        assert_eq!(setup.store.tokens(), old);

        setup.store.clear_fault();
        assert_eq!(bearer_of_saved(&setup.manager), bearer_of(&new));
        assert_eq!(setup.store.tokens(), new);
        setup.expect_event_after_failures("saved");
        setup.manager.shutdown();
        setup.expect_no_event();
        assert_eq!(setup.sent(Target::Refresh), 1);
        assert!(setup.other_process().refresh_now().is_ok());
    });
}

#[test]
fn tokens_that_could_not_be_saved_are_saved_later_without_a_call() {
    both_with(strict(), short_lease(), |setup| {
        setup.install_ending_in(0);
        setup.store.save_nothing();
        let error = setup.manager.bearer().unwrap_err();
        setup.expect_event("failed");
        assert!(format!("{:?}", setup.manager).contains("unsaved: 1"));
        // The first try of the manager itself.
        setup.expect_event("failed");
        setup.store.clear_fault();
        setup.expect_event_after_failures("saved");
        assert_eq!(&setup.store.tokens(), error.tokens().unwrap());
        assert!(format!("{:?}", setup.manager).contains("unsaved: 0"));
        assert_eq!(setup.sent(Target::Refresh), 1);
    });
}

/// The manager's own tries are a task of the runtime on which the save failed.
#[test]
fn tokens_are_saved_later_even_if_a_runtime_ended_before_it_began_to_try() {
    let setup = Setup::new(0, strict(), ApiVersion::LATEST, short_lease());
    setup.install_ending_in(0);
    setup.store.save_nothing();
    let Manager::Async(_, manager) = &setup.manager else { panic!() };
    // Looks at the caller after each poll of a task: the caller has its error, and the runtime ends, before the next task is polled.
    let short = tokio::runtime::Builder::new_current_thread().enable_all().event_interval(1).build().unwrap();
    let error = short.block_on(manager.bearer(HUB)).unwrap_err();
    assert!(matches!(error, TokenError::Unsaved { .. }), "{error:?}");
    drop(short);
    assert!(matches!(setup.manager.bearer(), Err(TokenError::Unsaved { .. })));
    setup.store.clear_fault();
    setup.expect_event_after_failures("saved");
    assert_eq!(&setup.store.tokens(), error.tokens().unwrap());
}

#[test]
fn a_shutdown_tries_to_save_once_more_and_returns_what_it_cannot_save() {
    in_parallel([(0, false), (0, true), (1, false), (1, true)], |(index, recovers)| {
        let setup = Setup::new(index, strict(), ApiVersion::LATEST, short_lease());
        setup.install_ending_in(0);
        setup.store.save_nothing();
        let error = setup.manager.bearer().unwrap_err();
        if recovers {
            setup.store.clear_fault();
        }
        let left = setup.manager.shutdown();
        match recovers {
            false => assert_eq!(left, [(HUB, error.tokens().unwrap().clone())]),
            true => assert_eq!((left.len(), &setup.store.tokens()), (0, error.tokens().unwrap())),
        }
    });
}

#[test]
fn a_token_that_is_still_good_is_handed_out_while_the_store_is_down() {
    both(|setup| {
        let tokens = setup.install_ending_in(300);
        setup.store.set_fault(|_| Err(down()));
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(&tokens));
        setup.expect_event("failed");
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(&tokens));
        let error = setup.manager.refresh_now().unwrap_err();
        assert!(matches!(error, TokenError::Store(_)), "not the one to be replaced: {error:?}");
    });
}

/// RENEWAL.md, rule 5. The failure is reported as an event too.
#[test]
fn a_renewal_ahead_of_time_that_fails_is_reported_and_the_old_token_stays_in_use() {
    both(|setup| {
        let tokens = setup.install_ending_in(300);
        // The wait before the next try is longer than this test takes.
        setup.fault(Fault::status(503).with_retry_after(600).with_target(Target::Refresh).with_count(10));
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(&tokens));
        setup.expect_event("failed");
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(&tokens));
        assert!(matches!(setup.manager.refresh_now(), Err(TokenError::BackingOff { .. })));
        assert_eq!(setup.sent(Target::Refresh), 1);
    });
}

/// RENEWAL.md, C18.
#[test]
fn a_misconfiguration_changes_no_accounts_state() {
    both(|setup| {
        let tokens = setup.install_ending_in(0);
        setup.fault(Fault::status(400).with_target(Target::Refresh));
        let error = setup.manager.bearer().unwrap_err();
        assert_eq!(error.next_step(), NextStep::FixConfiguration, "{error:?}");
        let record = setup.store.stored().record;
        assert_eq!((record.state, record.tokens, record.unsettled), (GrantState::Live, Some(tokens), false));
        assert!(matches!(setup.manager.bearer(), Err(TokenError::BackingOff { .. })));
        assert_eq!(setup.sent(Target::Refresh), 1);
        setup.store.rewrite(|record| record.retry = None);
        // This process sees within a second what another one has put right.
        wait_until(|| setup.manager.bearer().is_ok());
    });
}

#[test]
fn a_store_that_panics_gives_every_caller_an_error() {
    both(|setup| {
        setup.install_ending_in(0);
        setup.store.set_fault(|_| panic!("store"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let error = setup.manager.bearer().unwrap_err();
                    assert!(matches!(error, TokenError::Store(_)), "{error:?}");
                });
            }
        });
        assert!(matches!(setup.manager.disconnect(), Err(TokenError::Store(_))));
        assert!(matches!(setup.manager.accounts(), Err(TokenError::Store(_))));
        assert!(matches!(setup.manager.install(setup.code()), Err(TokenError::Store(_))));
        setup.store.clear_fault();
        assert!(setup.manager.bearer().is_ok());
    });
}

#[test]
fn a_store_that_panics_during_a_save_loses_no_token() {
    both_with(strict(), long_times(), |setup| {
        setup.install_ending_in(0);
        let has_panicked = AtomicBool::new(false);
        setup.store.set_fault(move |operation| {
            assert!(operation != Operation::Save || has_panicked.swap(true, Ordering::SeqCst), "store");
            Ok(())
        });
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(&setup.store.tokens()));
        assert!(setup.manager.refresh_now().is_ok());
    });
}

/// An async store of the application that panics or never returns.
#[test]
fn an_async_store_that_panics_or_hangs_counts_as_a_store_that_fails() {
    struct Bad(AtomicUsize);

    #[hs_oauth_async::async_trait]
    impl hs_oauth_async::AsyncTokenStore for Bad {
        async fn load(
            &self,
            _: hs_oauth_core::Account,
        ) -> Result<Option<hs_oauth_core::renewal::Stored>, StoreError> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => panic!("store"),
                _ => std::future::pending().await,
            }
        }

        async fn swap(
            &self,
            _: hs_oauth_core::Account,
            _: Option<u64>,
            _: &hs_oauth_core::renewal::Record,
        ) -> Result<hs_oauth_async::Swapped, StoreError> {
            Err(down())
        }

        async fn page(
            &self,
            _: Option<&hs_oauth_async::Cursor>,
            _: usize,
        ) -> Result<hs_oauth_async::Page, StoreError> {
            Err(down())
        }

        async fn remove(&self, _: hs_oauth_core::Account, _: u64) -> Result<bool, StoreError> {
            Err(down())
        }
    }

    let setup = Setup::new(0, Settings::new([3; 32]), ApiVersion::LATEST, long_times());
    let client = hs_oauth_async::Client::new(setup.app.clone()).unwrap();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    // The first load panics, and every other one hangs.
    for loads in 0..2 {
        let bad = Bad(AtomicUsize::new(loads));
        let manager = hs_oauth_async::TokenManager::new(client.clone(), bad);
        let elapsed = runtime.block_on(async {
            let began = tokio::time::Instant::now();
            let error = manager.bearer(HUB).await.unwrap_err();
            assert!(matches!(error, TokenError::Store(_)), "{error:?}");
            began.elapsed()
        });
        assert!(elapsed < std::time::Duration::from_secs(6), "a caller waits for five seconds: {elapsed:?}");
    }
}

const CANARY: &str = "qZx7";

#[test]
fn neither_debug_nor_errors_nor_log_lines_show_a_secret() {
    let logged = logged(|| {
        for index in 0..2 {
            let setup = Setup::new(index, Settings::new([3; 32]), ApiVersion::V1, short_lease());
            let manager = match index {
                // It runs on this thread, whose log lines are collected.
                0 => {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    let client = hs_oauth_async::Client::new(setup.app.clone()).unwrap();
                    let store = hs_oauth_async::SpawnBlocking::new(Arc::clone(&setup.store));
                    let manager =
                        hs_oauth_async::TokenManager::builder(client, store).with_policy(short_lease());
                    Manager::Async(Arc::new(runtime), manager.build())
                }
                _ => setup.manager.clone(),
            };
            let mut shown = format!("{manager:?} {manager:#?}");
            let mut tokens = TokenSet::new(AccessToken::new(format!("{CANARY}-a")).unwrap(), 1800, now());
            tokens.refresh_token = Some(RefreshToken::new(format!("{CANARY}-r")).unwrap());
            tokens.hub_id = Some(HUB.hub_id);
            tokens.expires_at = now();
            manager.install_tokens_as(HUB, tokens).unwrap();
            let response = format!(
                r#"{{"access_token":"{CANARY}-b","refresh_token":"{CANARY}-s","token_type":"bearer","expires_in":1800}}"#
            );
            setup.fault(Fault::raw_body(response, "application/json").with_target(Target::Refresh));
            setup.store.save_nothing();
            let error = manager.bearer().unwrap_err();
            assert!(error.tokens().is_some());
            shown += &format!("{error} {error:?} {error:#?}");
            setup.store.set_fault(|_| Err(down()));
            let error = manager.disconnect().unwrap_err();
            shown += &format!("{error} {error:?} {manager:?}");
            setup.store.clear_fault();
            bearer_of_saved(&manager);
            setup.store.expire();
            let error = manager.refresh_now().unwrap_err();
            assert!(matches!(error, TokenError::Gone { .. }), "no such token: {error:?}");
            shown += &format!("{error} {error:?} {manager:?}");
            assert!(!shown.contains(CANARY), "{shown}");
        }
    });
    for event in ["installed", "failed", "gone"] {
        assert!(logged.matches(&format!("event=\"{event}\"")).count() >= 2, "{event}: {logged}");
    }
    assert!(!logged.contains(CANARY), "{logged}");
}

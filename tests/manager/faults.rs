//! Stores that fail, a HubSpot that refuses, and what is shown of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hs_oauth_core::renewal::{GrantState, RenewalPolicy, TokenError};
use hs_oauth_core::{AccessToken, ApiVersion, NextStep, RefreshToken, StoreError, StoreErrorKind, TokenSet};
use hs_oauth_emulator::{Fault, Rotation, Settings, Target};

use crate::canary::logged;

use super::scene::{HUB, Manager, Scene, Work, bearer_of, both, both_with, hasty, now};

fn strict() -> Settings {
    let mut settings = Settings::new([3; 32]);
    settings.rotation = Rotation::Strict;
    settings
}

fn down() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable)
}

/// RENEWAL.md, C16.
#[test]
fn tokens_that_cannot_be_saved_come_with_the_error_and_the_next_call_saves_them() {
    both_with(strict(), hasty(), |scene| {
        let old = scene.install_ending_in(0);
        scene.store.mishap(|work| if work == Work::Save { Err(down()) } else { Ok(()) });
        let error = scene.manager.bearer().unwrap_err();
        assert!(matches!(error, TokenError::Unsaved { .. }), "{error:?}");
        scene.expect_event("failed");
        let new = error.tokens().unwrap().clone();
        assert_ne!(new, old);
        assert_eq!(scene.store.tokens(), old);

        scene.store.heal();
        assert_eq!(scene.manager.bearer().unwrap(), bearer_of(&new));
        assert_eq!(scene.store.tokens(), new);
        scene.expect_event("saved");
        scene.manager.shutdown();
        scene.expect_no_event();
        assert_eq!(scene.sent(Target::Refresh), 1);
        assert!(scene.another().refresh_now().is_ok());
    });
}

#[test]
fn tokens_that_could_not_be_saved_are_saved_without_being_asked_for() {
    both_with(strict(), hasty(), |scene| {
        scene.install_ending_in(0);
        scene.store.mishap(|work| if work == Work::Save { Err(down()) } else { Ok(()) });
        let error = scene.manager.bearer().unwrap_err();
        scene.expect_event("failed");
        assert!(format!("{:?}", scene.manager).contains("unsaved: 1"));
        // The first try of its own.
        scene.expect_event("failed");
        scene.store.heal();
        loop {
            // It may have tried once more before the store was well.
            match scene.next_event().as_str() {
                "failed" => {}
                event => break assert_eq!(event, "saved"),
            }
        }
        assert_eq!(&scene.store.tokens(), error.tokens().unwrap());
        assert!(format!("{:?}", scene.manager).contains("unsaved: 0"));
        assert_eq!(scene.sent(Target::Refresh), 1);
    });
}

#[test]
fn a_shutdown_tries_to_save_once_more_and_gives_back_what_it_cannot() {
    both_with(strict(), hasty(), |scene| {
        for heal in [false, true] {
            let scene = match heal {
                false => &scene,
                true => &Scene::new(scene.index(), strict(), ApiVersion::LATEST, hasty()),
            };
            scene.install_ending_in(0);
            scene.store.mishap(|work| if work == Work::Save { Err(down()) } else { Ok(()) });
            let error = scene.manager.bearer().unwrap_err();
            if heal {
                scene.store.heal();
            }
            let left = scene.manager.shutdown();
            match heal {
                false => assert_eq!(left, [(HUB, error.tokens().unwrap().clone())]),
                true => assert_eq!((left.len(), &scene.store.tokens()), (0, error.tokens().unwrap())),
            }
        }
    });
}

#[test]
fn a_token_that_is_still_good_is_handed_out_while_the_store_is_down() {
    both(|scene| {
        let tokens = scene.install_ending_in(300);
        scene.store.mishap(|_| Err(down()));
        assert_eq!(scene.manager.bearer().unwrap(), bearer_of(&tokens));
        scene.expect_event("failed");
        assert_eq!(scene.manager.bearer().unwrap(), bearer_of(&tokens));
        let error = scene.manager.refresh_now().unwrap_err();
        assert!(matches!(error, TokenError::Store(_)), "not the one to be replaced: {error:?}");
    });
}

/// RENEWAL.md, rule 5; and the failure is told.
#[test]
fn a_renewal_ahead_that_fails_is_told_and_costs_nobody_a_token() {
    both(|scene| {
        let tokens = scene.install_ending_in(300);
        scene.fault(Fault::status(503).on(Target::Refresh).times(10));
        assert_eq!(scene.manager.bearer().unwrap(), bearer_of(&tokens));
        scene.expect_event("failed");
        assert_eq!(scene.manager.bearer().unwrap(), bearer_of(&tokens));
        assert!(matches!(scene.manager.refresh_now(), Err(TokenError::BackingOff { .. })));
        assert_eq!(scene.sent(Target::Refresh), 1);
    });
}

/// RENEWAL.md, C18.
#[test]
fn a_misconfiguration_changes_no_accounts_state() {
    both(|scene| {
        let tokens = scene.install_ending_in(0);
        scene.fault(Fault::status(400).on(Target::Refresh));
        let error = scene.manager.bearer().unwrap_err();
        assert_eq!(error.next_step(), NextStep::FixConfiguration, "{error:?}");
        let record = scene.store.stored().record;
        assert_eq!((record.state, record.tokens, record.unsettled), (GrantState::Live, Some(tokens), false));
        assert!(matches!(scene.manager.bearer(), Err(TokenError::BackingOff { .. })));
        assert_eq!(scene.sent(Target::Refresh), 1);
        scene.store.rewrite(|record| record.retry = None);
        assert!(scene.manager.bearer().is_ok());
    });
}

#[test]
fn a_store_that_panics_gives_an_error_and_keeps_nobody_waiting() {
    both(|scene| {
        scene.install_ending_in(0);
        scene.store.mishap(|_| panic!("store"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let error = scene.manager.bearer().unwrap_err();
                    assert!(matches!(error, TokenError::Store(_)), "{error:?}");
                });
            }
        });
        assert!(matches!(scene.manager.disconnect(), Err(TokenError::Store(_))));
        assert!(matches!(scene.manager.accounts(), Err(TokenError::Store(_))));
        assert!(matches!(scene.manager.install(scene.code()), Err(TokenError::Store(_))));
        scene.store.heal();
        assert!(scene.manager.bearer().is_ok());
    });
}

#[test]
fn a_store_that_panics_while_it_saves_takes_no_token_with_it() {
    both_with(strict(), RenewalPolicy::new(), |scene| {
        scene.install_ending_in(0);
        let has_panicked = AtomicBool::new(false);
        scene.store.mishap(move |work| {
            assert!(work != Work::Save || has_panicked.swap(true, Ordering::SeqCst), "store");
            Ok(())
        });
        assert_eq!(scene.manager.bearer().unwrap(), bearer_of(&scene.store.tokens()));
        assert!(scene.manager.refresh_now().is_ok());
    });
}

/// A store of the application's own, async, which panics or never answers.
#[test]
fn an_async_store_that_panics_or_hangs_is_a_store_that_fails() {
    struct Bad(AtomicUsize);

    #[hs_oauth_async::async_trait]
    impl hs_oauth_async::TokenStore for Bad {
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

        async fn list(&self) -> Result<Vec<hs_oauth_core::Account>, StoreError> {
            Err(down())
        }

        async fn remove(&self, _: hs_oauth_core::Account, _: u64) -> Result<bool, StoreError> {
            Err(down())
        }
    }

    let scene = Scene::new(0, Settings::new([3; 32]), ApiVersion::LATEST, RenewalPolicy::new());
    let client = hs_oauth_async::Client::new(scene.app.clone()).unwrap();
    let manager = hs_oauth_async::TokenManager::new(client, Bad(AtomicUsize::new(0)));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        for _ in 0..2 {
            let error = manager.bearer(HUB).await.unwrap_err();
            assert!(matches!(error, TokenError::Store(_)), "{error:?}");
        }
    });
}

const CANARY: &str = "qZx7";

#[test]
fn neither_debug_nor_errors_nor_log_lines_show_a_secret() {
    let logged = logged(|| {
        for index in 0..2 {
            let scene = Scene::new(index, Settings::new([3; 32]), ApiVersion::V1, hasty());
            let manager = match index {
                // On this thread, where the log is.
                0 => {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    let client = hs_oauth_async::Client::new(scene.app.clone()).unwrap();
                    let store = hs_oauth_async::SpawnBlocking::new(Arc::clone(&scene.store));
                    let manager = hs_oauth_async::TokenManager::builder(client, store).policy(hasty());
                    Manager::Async(Arc::new(runtime), manager.build())
                }
                _ => scene.manager.clone(),
            };
            let mut shown = format!("{manager:?} {manager:#?}");
            let mut tokens = TokenSet::new(AccessToken::new(format!("{CANARY}-a")).unwrap(), 1800, now());
            tokens.refresh_token = Some(RefreshToken::new(format!("{CANARY}-r")).unwrap());
            tokens.expires_at = now();
            manager.install_tokens(HUB, tokens).unwrap();
            let answer = format!(
                r#"{{"access_token":"{CANARY}-b","refresh_token":"{CANARY}-s","token_type":"bearer","expires_in":1800}}"#
            );
            scene.fault(Fault::raw_body(answer, "application/json").on(Target::Refresh));
            scene.store.mishap(|work| if work == Work::Save { Err(down()) } else { Ok(()) });
            let error = manager.bearer().unwrap_err();
            assert!(error.tokens().is_some());
            shown += &format!("{error} {error:?} {error:#?}");
            scene.store.mishap(|_| Err(down()));
            let error = manager.disconnect().unwrap_err();
            shown += &format!("{error} {error:?} {manager:?}");
            scene.store.heal();
            assert!(manager.bearer().is_ok());
            scene.store.expire();
            let error = manager.refresh_now().unwrap_err();
            assert!(matches!(error, TokenError::Gone { .. }), "no such token: {error:?}");
            shown += &format!("{error} {error:?} {manager:?}");
            assert!(!shown.contains(CANARY), "{shown}");
        }
    });
    for event in ["saved", "failed", "gone"] {
        assert!(logged.matches(&format!("event=\"{event}\"")).count() >= 2, "{event}: {logged}");
    }
    assert!(!logged.contains(CANARY), "{logged}");
}

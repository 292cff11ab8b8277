//! The token managers, on both transports, over real sockets: from the install to the disconnect.

mod budget;
mod faults;
pub(crate) mod scene;
mod sharing;

use std::time::Duration;

use hs_oauth_core::renewal::{GrantState, RenewalPolicy, TokenError};
use hs_oauth_core::{Account, ApiVersion, NextStep, StoreError, StoreErrorKind};
use hs_oauth_emulator::{Fault, Rotation, Settings, Target};

use scene::{HUB, Scene, bearer_of, both, both_with, refresh_token, wait_until};

#[test]
fn an_installed_account_has_a_bearer_that_works_on_every_version() {
    for version in ["v1", "v3", "2026-09"] {
        let version: ApiVersion = version.parse().unwrap();
        for index in 0..2 {
            let scene = Scene::new(index, Settings::new([3; 32]), version, RenewalPolicy::new());
            assert_eq!(scene.manager.install(scene.code()).unwrap(), HUB);
            let bearer = scene.manager.bearer().unwrap();
            assert!(bearer.is_sensitive() && scene.works(bearer.clone()));
            assert_eq!(scene.manager.get(&scene.details()), Some(200));
            assert_eq!(scene.another().bearer().unwrap(), bearer, "it is in the store");
            assert_eq!(scene.manager.accounts().unwrap(), [HUB]);
            scene.expect_event("saved");
            scene.expect_no_event();
            assert_eq!((scene.sent(Target::ExchangeCode), scene.sent(Target::Refresh)), (1, 0));
        }
    }
}

#[test]
fn a_bearer_that_is_shown_is_the_one_that_is_handed_out() {
    both(|scene| {
        assert!(matches!(scene.manager.lent(), Err(TokenError::NotInstalled)));
        scene.install_ending_in(1800);
        for _ in 0..20 {
            assert_eq!(scene.manager.lent().unwrap(), scene.manager.bearer().unwrap());
        }
        let new = scene.manager.refresh_now().unwrap();
        for _ in 0..20 {
            assert_eq!(scene.manager.lent().unwrap(), new);
        }
        assert!(scene.manager.lent().unwrap().is_sensitive());
        scene.manager.disconnect().unwrap();
        assert!(matches!(scene.manager.lent(), Err(TokenError::NotInstalled)));
    });
}

#[test]
fn hubspot_is_asked_whose_tokens_are_where_its_answer_does_not_say() {
    for version in ["v1", "v3", "2026-09"] {
        for index in 0..2 {
            let version = version.parse().unwrap();
            let scene = Scene::new(index, Settings::new([3; 32]), version, RenewalPolicy::new());
            scene.do_not_say_whose();
            assert_eq!(scene.manager.install(scene.code()).unwrap(), HUB);
            assert!(scene.works(scene.manager.bearer().unwrap()));
            assert_eq!((scene.store.tokens().hub_id, scene.sent(Target::Introspect)), (Some(HUB.hub_id), 1));
        }
    }
}

#[test]
fn tokens_that_do_not_say_whose_they_are_come_back_and_can_be_installed_by_account() {
    for index in 0..2 {
        let scene = Scene::new(index, Settings::new([3; 32]), ApiVersion::V1, RenewalPolicy::new());
        scene.do_not_say_whose();
        scene.fault(Fault::status(404).on(Target::Introspect));
        let error = scene.manager.install(scene.code()).unwrap_err();
        assert!(matches!(error, TokenError::UnknownAccount { error: Some(_), .. }), "{error:?}");
        let tokens = error.tokens().unwrap().clone();
        scene.manager.install_tokens(HUB, tokens.clone()).unwrap();
        assert_eq!(scene.manager.bearer().unwrap(), bearer_of(&tokens));
    }
}

/// A store that is down costs no code.
#[test]
fn an_install_with_the_store_down_leaves_the_code_good() {
    both(|scene| {
        scene.store.mishap(|_| Err(StoreError::new(StoreErrorKind::Unavailable)));
        let code = scene.code();
        let error = scene.manager.install(code.clone()).unwrap_err();
        assert!(matches!(error, TokenError::Store(_)), "{error:?}");
        assert!(matches!(scene.manager.accounts(), Err(TokenError::Store(_))));
        assert_eq!(scene.sent(Target::ExchangeCode), 0);
        scene.store.heal();
        assert_eq!(scene.manager.install(code).unwrap(), HUB);
    });
}

#[test]
fn tokens_that_cannot_be_renewed_are_not_installed_over_others() {
    both(|scene| {
        let tokens = scene.install_ending_in(1800);
        let mut poor = tokens.clone();
        poor.refresh_token = None;
        assert!(matches!(scene.manager.install_tokens(HUB, poor), Err(TokenError::NotRenewable)));
        assert_eq!(scene.store.tokens(), tokens);
    });
}

#[test]
fn an_account_that_is_not_there_has_to_connect_the_app() {
    both(|scene| {
        let error = scene.manager.bearer().unwrap_err();
        assert!(matches!(error, TokenError::NotInstalled), "{error:?}");
        assert_eq!(error.next_step(), NextStep::Reauthorize);
        assert!(scene.manager.disconnect().is_ok(), "it counts as disconnected");
        scene.expect_event("disconnected");
    });
}

/// RENEWAL.md, timing rule 6: nobody waits for a renewal ahead of time.
#[test]
fn a_token_is_renewed_ahead_of_its_end_while_callers_go_on_with_it() {
    both(|scene| {
        let old = scene.install_ending_in(300);
        scene.fault(Fault::delay(Duration::from_millis(300)).on(Target::Refresh));
        assert_eq!(scene.manager.bearer().unwrap(), bearer_of(&old));
        scene.wait_for_sent(Target::Refresh, 1);
        assert_eq!(scene.manager.bearer().unwrap(), bearer_of(&old), "nobody waits");
        scene.expect_event("saved");
        scene.expect_event("renewed");
        let new = scene.manager.bearer().unwrap();
        assert!(new != bearer_of(&old) && scene.works(new.clone()));
        assert_eq!(bearer_of(&scene.store.tokens()), new);
        assert_eq!(scene.sent(Target::Refresh), 1);
    });
}

#[test]
fn a_token_found_in_the_store_needs_no_request() {
    both(|scene| {
        let old = scene.install_ending_in(0);
        let another = scene.another();
        let new = another.bearer().unwrap();
        assert_ne!(new, bearer_of(&old));
        assert_eq!(scene.manager.bearer().unwrap(), new, "another process has renewed it");
        assert_eq!(scene.sent(Target::Refresh), 1);
        scene.expect_no_event();
    });
}

#[test]
fn a_renewal_can_be_asked_for_at_any_time() {
    both(|scene| {
        let old = scene.install_ending_in(1800);
        let first = scene.manager.refresh_now().unwrap();
        assert_ne!(first, bearer_of(&old));
        // With nothing in memory, it is the stored token that is replaced.
        let second = scene.another().refresh_now().unwrap();
        assert_ne!(second, first);
        assert_eq!(scene.sent(Target::Refresh), 2);
    });
}

/// RENEWAL.md, rule 4.
#[test]
fn a_refused_grant_is_gone_once_and_until_a_new_install() {
    both(|scene| {
        scene.install_ending_in(1800);
        scene.hubspot.emulator(|emulator| emulator.uninstall(HUB.hub_id));
        let error = scene.manager.refresh_now().unwrap_err();
        assert!(matches!(error, TokenError::Gone { unsettled: false, refusal: Some(_) }), "{error:?}");
        scene.expect_event("gone");
        for manager in [&scene.manager, &scene.another()] {
            let error = manager.bearer().unwrap_err();
            assert!(matches!(error, TokenError::Gone { refusal: None, .. }), "{error:?}");
        }
        assert!(matches!(scene.manager.refresh_now(), Err(TokenError::Gone { .. })));
        assert_eq!(scene.sent(Target::Refresh), 1);
        scene.expect_no_event();

        assert_eq!(scene.manager.install(scene.code()).unwrap(), HUB);
        assert!(scene.works(scene.manager.bearer().unwrap()));
    });
}

/// Every process that held the account's tokens hears once that they are gone.
#[test]
fn another_process_hears_that_the_grant_is_gone_when_it_next_asks() {
    both(|scene| {
        scene.install_ending_in(300);
        scene.hubspot.emulator(|emulator| emulator.uninstall(HUB.hub_id));
        assert!(scene.another().refresh_now().is_err());
        assert!(scene.manager.bearer().is_ok(), "its token may be good for a while");
        scene.expect_event("gone");
        assert!(matches!(scene.manager.bearer(), Err(TokenError::Gone { .. })));
        assert_eq!(scene.sent(Target::Refresh), 1);
    });
}

#[test]
fn a_disconnect_revokes_the_grant_and_forgets_it() {
    both(|scene| {
        let tokens = scene.install_ending_in(1800);
        scene.manager.disconnect().unwrap();
        scene.expect_event("disconnected");
        assert!(matches!(scene.manager.bearer(), Err(TokenError::NotInstalled)));
        assert!(matches!(scene.another().bearer(), Err(TokenError::NotInstalled)));
        assert!(
            !scene.client.call(&hs_oauth_core::Introspect::new(refresh_token(&tokens))).unwrap().is_active()
        );
        let record = scene.store.stored().record;
        assert_eq!((record.state, record.tokens, record.revoke), (GrantState::Disconnected, None, None));
        scene.manager.disconnect().unwrap();
        assert_eq!(scene.sent(Target::Revoke), 1);
    });
}

#[test]
fn a_revocation_that_failed_is_made_by_the_next_disconnect() {
    both(|scene| {
        let tokens = scene.install_ending_in(1800);
        scene.fault(Fault::status(400).on(Target::Revoke));
        assert!(matches!(scene.manager.disconnect(), Err(TokenError::Call(_))));
        assert!(
            matches!(scene.manager.bearer(), Err(TokenError::NotInstalled)),
            "it is forgotten all the same"
        );
        assert_eq!(scene.store.stored().record.revoke, tokens.refresh_token);
        scene.another().disconnect().unwrap();
        assert_eq!(scene.store.stored().record.revoke, None);
    });
}

/// RENEWAL.md, C13.
#[test]
fn a_disconnect_during_a_renewal_stands_and_what_the_renewal_brings_is_revoked() {
    let mut settings = Settings::new([3; 32]);
    settings.rotation = Rotation::Rotate;
    both_with(settings, RenewalPolicy::new(), |scene| {
        scene.install_ending_in(0);
        scene.fault(Fault::delay(Duration::from_millis(500)).on(Target::Refresh));
        let manager = scene.manager.clone();
        let caller = std::thread::spawn(move || manager.bearer());
        scene.wait_for_sent(Target::Refresh, 1);
        scene.manager.disconnect().unwrap();
        assert!(matches!(scene.manager.bearer(), Err(TokenError::NotInstalled)));
        assert!(matches!(caller.join().unwrap(), Err(TokenError::NotInstalled)));
        assert!(scene.manager.shutdown().is_empty());
        assert_eq!(scene.sent(Target::Revoke), 2);
        assert_eq!(scene.store.stored().record.state, GrantState::Disconnected);
    });
}

#[test]
fn users_of_one_hub_are_accounts_of_their_own_in_a_user_level_app() {
    for index in 0..2 {
        let scene = Scene::new(index, Settings::new([3; 32]), ApiVersion::V1, RenewalPolicy::new());
        let account = Account::user(HUB.hub_id, 123_456);
        if index == 0 {
            let client = hs_oauth_async::Client::new(scene.app.clone()).unwrap();
            let manager = hs_oauth_async::TokenManager::builder(client, hs_oauth_async::MemoryStore::new());
            let manager = manager.with_user_level(true).build();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                assert_eq!(manager.install(scene.code()).await.unwrap(), account);
                assert_eq!(
                    format!("Bearer {}", manager.access_token(account).await.unwrap().expose()),
                    manager.bearer(account).await.unwrap().to_str().unwrap()
                );
                assert!(manager.bearer(HUB).await.is_err());
            });
        } else {
            let client = hs_oauth_blocking::Client::new(scene.app.clone());
            let manager =
                hs_oauth_blocking::TokenManager::builder(client, hs_oauth_blocking::MemoryStore::new());
            let manager = manager.with_user_level(true).build();
            assert_eq!(manager.install(scene.code()).unwrap(), account);
            assert!(manager.access_token(account).is_ok() && manager.bearer(HUB).is_err());
        }
    }
}

#[test]
fn a_401_is_answered_by_one_renewal_and_one_more_try() {
    both(|scene| {
        scene.install_ending_in(1800);
        scene.fault(Fault::status(401).on(Target::AccountInfo));
        assert_eq!(scene.manager.get(&scene.details()), Some(200));
        assert_eq!((scene.sent(Target::AccountInfo), scene.sent(Target::Refresh)), (2, 1));

        scene.fault(Fault::status(401).on(Target::AccountInfo).times(10));
        assert_eq!(scene.manager.get(&scene.details()), Some(401));
        assert_eq!(
            (scene.sent(Target::AccountInfo), scene.sent(Target::Refresh)),
            (3, 1),
            "it is not for the token's age"
        );
    });
}

/// A 401 of another API is no proof that the token is over.
#[test]
fn an_api_that_always_says_401_costs_one_renewal_and_not_one_a_call() {
    both(|scene| {
        scene.install_ending_in(1800);
        let old = scene.manager.bearer().unwrap();
        scene.fault(Fault::status(401).on(Target::AccountInfo).times(100));
        for _ in 0..20 {
            assert_eq!(scene.manager.get(&scene.details()), Some(401));
        }
        assert_eq!((scene.sent(Target::AccountInfo), scene.sent(Target::Refresh)), (21, 1));
        let new = scene.manager.bearer().unwrap();
        assert_ne!(new, old);
        let error = scene.manager.bearer_after_401(&new).unwrap_err();
        assert!(
            matches!(error, TokenError::BackingOff { wait } if wait <= Duration::from_secs(60)),
            "{error:?}"
        );
        assert_eq!(scene.manager.bearer_after_401(&old).unwrap(), new, "which is not the rejected one");
        assert!(scene.manager.refresh_now().is_ok(), "who asks for it gets it");
    });
}

#[test]
fn a_401_that_no_renewal_can_help_is_given_as_it_is() {
    both(|scene| {
        scene.install_ending_in(1800);
        scene.fault(Fault::status(401).on(Target::AccountInfo).times(10));
        scene.fault(Fault::status(503).on(Target::Refresh).times(10));
        assert_eq!(scene.manager.get(&scene.details()), Some(401));
        assert_eq!((scene.sent(Target::AccountInfo), scene.sent(Target::Refresh)), (1, 1));
    });
}

#[test]
fn a_bearer_goes_to_https_or_loopback_only() {
    both(|scene| {
        scene.install_ending_in(1800);
        assert_eq!(scene.manager.get("http://example.com/"), None);
    });
}

#[test]
fn a_shutdown_waits_for_the_renewal_and_ends_all_others() {
    both(|scene| {
        let old = scene.install_ending_in(300);
        scene.fault(Fault::delay(Duration::from_millis(300)).on(Target::Refresh));
        assert!(scene.manager.bearer().is_ok());
        scene.wait_for_sent(Target::Refresh, 1);
        assert!(scene.manager.shutdown().is_empty());
        assert_ne!(scene.store.tokens(), old);
        assert_eq!(scene.manager.bearer().unwrap(), bearer_of(&scene.store.tokens()), "still in memory");
        assert!(matches!(scene.manager.refresh_now(), Err(TokenError::ShutDown)));
        assert!(matches!(scene.manager.disconnect(), Err(TokenError::ShutDown)));
        assert!(matches!(scene.manager.install(scene.code()), Err(TokenError::ShutDown)));
        assert!(matches!(scene.manager.install_tokens(HUB, old), Err(TokenError::ShutDown)));
        assert_eq!(scene.sent(Target::Refresh), 1);
    });
}

#[test]
fn a_blocking_manager_that_is_dropped_waits_for_the_renewal() {
    let scene = Scene::new(1, Settings::new([3; 32]), ApiVersion::LATEST, RenewalPolicy::new());
    let old = scene.install_ending_in(300);
    scene.fault(Fault::delay(Duration::from_millis(300)).on(Target::Refresh));
    let store = std::sync::Arc::clone(&scene.store);
    assert!(scene.manager.bearer().is_ok());
    scene.wait_for_sent(Target::Refresh, 1);
    drop(scene.manager);
    assert_ne!(store.tokens(), old);
}

#[test]
fn events_come_in_their_order_and_a_callback_that_panics_breaks_nothing() {
    both(|scene| {
        scene.install_ending_in(1800);
        scene.manager.refresh_now().unwrap();
        scene.fault(Fault::status(400).on(Target::Refresh));
        scene.manager.refresh_now().unwrap_err();
        scene.manager.disconnect().unwrap();
        for event in ["saved", "renewed", "failed", "disconnected"] {
            scene.expect_event(event);
        }
        scene.expect_no_event();
    });
    for index in 0..2 {
        let scene = Scene::new(index, Settings::new([3; 32]), ApiVersion::LATEST, RenewalPolicy::new());
        let store = std::sync::Arc::clone(&scene.store);
        let manager =
            scene::Manager::new(index, &scene.app, store, RenewalPolicy::new(), |_| panic!("callback"));
        manager.install(scene.code()).unwrap();
        manager.refresh_now().unwrap();
        assert!(scene.works(manager.bearer().unwrap()));
        wait_until(|| format!("{manager:?}").contains("flights: 0"));
    }
}

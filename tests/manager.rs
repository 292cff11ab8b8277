//! The token managers on both transports over real sockets: from the install to the disconnect.

mod budget;
mod clock;
mod end_of_install;
mod faults;
mod limits;
mod operate;
mod relay;
mod runtime;
pub(crate) mod setup;
mod sharing;
mod shutdown;
mod tenants;
mod token_server;

use std::time::Duration;

use hs_oauth_core::renewal::{GrantState, TokenError};
use hs_oauth_core::{Account, ApiVersion, NextStep, StoreError, StoreErrorKind};
use hs_oauth_emulator::{Fault, Rotation, Settings, Target};

use relay::Hold;
use setup::{HUB, Setup, bearer_of, both, both_with, long_times, refresh_token};

use crate::wait::wait_until;

#[test]
fn an_installed_account_has_a_bearer_that_works_on_every_version() {
    for version in ["v1", "v3", "2026-09"] {
        let version: ApiVersion = version.parse().unwrap();
        for index in 0..2 {
            let setup = Setup::new(index, Settings::new([3; 32]), version, long_times());
            assert_eq!(setup.manager.install(setup.code()).unwrap(), HUB);
            let bearer = setup.manager.bearer().unwrap();
            assert!(bearer.is_sensitive() && setup.accepts(bearer.clone()));
            assert_eq!(setup.manager.get(&setup.details_url()), Some(200));
            assert_eq!(setup.other_process().bearer().unwrap(), bearer, "it is in the store");
            assert_eq!(setup.manager.accounts().unwrap(), [HUB]);
            setup.expect_event("installed");
            setup.expect_no_event();
            assert_eq!((setup.sent(Target::ExchangeCode), setup.sent(Target::Refresh)), (1, 0));
        }
    }
}

#[test]
fn with_bearer_shows_the_bearer_that_bearer_hands_out() {
    both(|setup| {
        assert!(matches!(setup.manager.with_bearer(), Err(TokenError::NotInstalled)));
        setup.install_ending_in(1800);
        for _ in 0..20 {
            assert_eq!(setup.manager.with_bearer().unwrap(), setup.manager.bearer().unwrap());
        }
        let new = setup.manager.refresh_now().unwrap();
        for _ in 0..20 {
            assert_eq!(setup.manager.with_bearer().unwrap(), new);
        }
        assert!(setup.manager.with_bearer().unwrap().is_sensitive());
        setup.manager.disconnect().unwrap();
        assert!(matches!(setup.manager.with_bearer(), Err(TokenError::NotInstalled)));
    });
}

#[test]
fn an_install_looks_the_account_up_where_the_token_response_does_not_name_it() {
    for version in ["v1", "v3", "2026-09"] {
        for index in 0..2 {
            let version = version.parse().unwrap();
            let setup = Setup::new(index, Settings::new([3; 32]), version, long_times());
            setup.omit_account_in_next_response();
            assert_eq!(setup.manager.install(setup.code()).unwrap(), HUB);
            assert!(setup.accepts(setup.manager.bearer().unwrap()));
            assert_eq!((setup.store.tokens().hub_id, setup.sent(Target::Introspect)), (Some(HUB.hub_id), 1));
        }
    }
}

#[test]
fn tokens_of_an_unknown_account_come_with_the_error_and_can_be_installed_by_account() {
    for index in 0..2 {
        let setup = Setup::new(index, Settings::new([3; 32]), ApiVersion::V1, long_times());
        setup.omit_account_in_next_response();
        setup.fault(Fault::status(404).with_target(Target::Introspect));
        let error = setup.manager.install(setup.code()).unwrap_err();
        assert!(matches!(error, TokenError::UnknownAccount { error: Some(_), .. }), "{error:?}");
        let tokens = error.tokens().unwrap().clone();
        setup.manager.install_tokens_as(HUB, tokens.clone()).unwrap();
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(&tokens));
    }
}

/// While the store is down, no code is sent.
#[test]
fn an_install_while_the_store_is_down_leaves_the_code_unused() {
    both(|setup| {
        setup.store.set_fault(|_| Err(StoreError::new(StoreErrorKind::Unavailable)));
        let code = setup.code();
        let error = setup.manager.install(code.clone()).unwrap_err();
        assert!(matches!(error, TokenError::Store(_)), "{error:?}");
        assert!(matches!(setup.manager.accounts(), Err(TokenError::Store(_))));
        assert_eq!(setup.sent(Target::ExchangeCode), 0);
        setup.store.clear_fault();
        assert_eq!(setup.manager.install(code).unwrap(), HUB);
    });
}

#[test]
fn tokens_without_a_refresh_token_do_not_replace_others() {
    both(|setup| {
        let tokens = setup.install_ending_in(1800);
        let mut poor = tokens.clone();
        poor.refresh_token = None;
        assert!(matches!(setup.manager.install_tokens_as(HUB, poor), Err(TokenError::NotRenewable)));
        assert_eq!(setup.store.tokens(), tokens);
    });
}

#[test]
fn an_account_that_is_not_installed_has_to_connect_the_app() {
    both(|setup| {
        let error = setup.manager.bearer().unwrap_err();
        assert!(matches!(error, TokenError::NotInstalled), "{error:?}");
        assert_eq!(error.next_step(), NextStep::Reauthorize);
        assert!(setup.manager.disconnect().is_ok(), "it counts as disconnected");
        setup.expect_no_event();
    });
}

/// RENEWAL.md, timing rule 6: no caller waits for a renewal ahead of time.
#[test]
fn a_token_is_renewed_ahead_of_its_end_while_callers_go_on_with_it() {
    both(|setup| {
        let old = setup.install_ending_in(300);
        setup.relay.hold(Hold::Refreshes);
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(&old));
        setup.relay.wait_for_held(1);
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(&old), "no caller waits");
        setup.relay.release();
        setup.expect_event("renewed");
        let new = setup.manager.bearer().unwrap();
        assert!(new != bearer_of(&old) && setup.accepts(new.clone()));
        assert_eq!(bearer_of(&setup.store.tokens()), new);
        assert_eq!(setup.sent(Target::Refresh), 1);
    });
}

#[test]
fn a_token_found_in_the_store_needs_no_request() {
    both(|setup| {
        let old = setup.install_ending_in(0);
        let another = setup.other_process();
        let new = another.bearer().unwrap();
        assert_ne!(new, bearer_of(&old));
        assert_eq!(setup.manager.bearer().unwrap(), new, "another process has renewed it");
        assert_eq!(setup.sent(Target::Refresh), 1);
        setup.expect_no_event();
    });
}

#[test]
fn a_renewal_can_be_asked_for_at_any_time() {
    both(|setup| {
        let old = setup.install_ending_in(1800);
        let first = setup.manager.refresh_now().unwrap();
        assert_ne!(first, bearer_of(&old));
        // A manager with nothing in memory replaces the stored token.
        let second = setup.other_process().refresh_now().unwrap();
        assert_ne!(second, first);
        assert_eq!(setup.sent(Target::Refresh), 2);
    });
}

/// RENEWAL.md, rule 4.
#[test]
fn a_refused_grant_is_gone_once_and_until_a_new_install() {
    both(|setup| {
        setup.install_ending_in(1800);
        setup.hubspot.emulator(|emulator| emulator.uninstall(HUB.hub_id));
        let error = setup.manager.refresh_now().unwrap_err();
        assert!(matches!(error, TokenError::Gone { unsettled: false, refusal: Some(_) }), "{error:?}");
        setup.expect_event("gone");
        for manager in [&setup.manager, &setup.other_process()] {
            let error = manager.bearer().unwrap_err();
            assert!(matches!(error, TokenError::Gone { refusal: None, .. }), "{error:?}");
        }
        assert_eq!(setup.sent(Target::Refresh), 1);
        assert!(matches!(setup.manager.recheck(HUB), Err(TokenError::Gone { refusal: Some(_), .. })));
        assert_eq!(setup.sent(Target::Refresh), 2);
        assert!(setup.events().is_empty(), "it was gone before");

        assert_eq!(setup.manager.install(setup.code()).unwrap(), HUB);
        assert!(setup.accepts(setup.manager.bearer().unwrap()));
    });
}

/// Every process that holds the account's tokens reports once that the grant is gone.
#[test]
fn another_process_reports_that_the_grant_is_gone_at_its_next_call() {
    both(|setup| {
        setup.install_ending_in(300);
        setup.hubspot.emulator(|emulator| emulator.uninstall(HUB.hub_id));
        assert!(setup.other_process().refresh_now().is_err());
        assert!(setup.manager.bearer().is_ok(), "its token may be good for a while");
        setup.expect_event("gone");
        assert!(matches!(setup.manager.bearer(), Err(TokenError::Gone { .. })));
        assert_eq!(setup.sent(Target::Refresh), 1);
    });
}

#[test]
fn a_disconnect_revokes_the_grant_and_forgets_it() {
    both(|setup| {
        let tokens = setup.install_ending_in(1800);
        setup.manager.disconnect().unwrap();
        setup.expect_event("disconnected");
        assert!(matches!(setup.manager.bearer(), Err(TokenError::NotInstalled)));
        assert!(matches!(setup.other_process().bearer(), Err(TokenError::NotInstalled)));
        assert!(
            !setup.client.call(&hs_oauth_core::Introspect::new(refresh_token(&tokens))).unwrap().is_active()
        );
        let record = setup.store.stored().record;
        assert_eq!((record.state, record.tokens, record.revoke), (GrantState::Disconnected, None, None));
        setup.manager.disconnect().unwrap();
        assert_eq!(setup.sent(Target::Revoke), 1);
    });
}

#[test]
fn the_next_disconnect_repeats_a_revocation_that_failed() {
    both(|setup| {
        let tokens = setup.install_ending_in(1800);
        setup.fault(Fault::status(400).with_target(Target::Revoke));
        assert!(matches!(setup.manager.disconnect(), Err(TokenError::Call(_))));
        assert!(
            matches!(setup.manager.bearer(), Err(TokenError::NotInstalled)),
            "it is forgotten although the revocation failed"
        );
        assert_eq!(setup.store.stored().record.revoke, tokens.refresh_token);
        setup.other_process().disconnect().unwrap();
        assert_eq!(setup.store.stored().record.revoke, None);
    });
}

/// RENEWAL.md, C13.
#[test]
fn a_disconnect_during_a_renewal_holds_and_the_new_tokens_are_revoked() {
    let mut settings = Settings::new([3; 32]);
    settings.rotation = Rotation::Rotate;
    both_with(settings, long_times(), |setup| {
        setup.install_ending_in(0);
        setup.relay.hold(Hold::Refreshes);
        let manager = setup.manager.clone();
        let caller = std::thread::spawn(move || manager.bearer());
        setup.relay.wait_for_held(1);
        setup.manager.disconnect().unwrap();
        setup.relay.release();
        assert!(matches!(setup.manager.bearer(), Err(TokenError::NotInstalled)));
        assert!(matches!(caller.join().unwrap(), Err(TokenError::NotInstalled)));
        assert!(setup.manager.shutdown().is_empty());
        assert_eq!(setup.sent(Target::Revoke), 2);
        assert_eq!(setup.store.stored().record.state, GrantState::Disconnected);
    });
}

#[test]
fn in_a_user_level_app_each_user_of_a_hub_is_an_account() {
    for index in 0..2 {
        let setup = Setup::new(index, Settings::new([3; 32]), ApiVersion::V1, long_times());
        let account = Account::user(HUB.hub_id, 123_456);
        if index == 0 {
            let client = hs_oauth_async::Client::new(setup.app.clone()).unwrap();
            let manager = hs_oauth_async::TokenManager::builder(client, hs_oauth_async::MemoryStore::new());
            let manager = manager.with_user_level(true).build();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                assert_eq!(manager.install(setup.code()).await.unwrap().account, account);
                assert_eq!(
                    format!("Bearer {}", manager.access_token(account).await.unwrap().expose()),
                    manager.bearer(account).await.unwrap().to_str().unwrap()
                );
                assert!(manager.bearer(HUB).await.is_err());
            });
        } else {
            let client = hs_oauth_blocking::Client::new(setup.app.clone());
            let manager =
                hs_oauth_blocking::TokenManager::builder(client, hs_oauth_blocking::MemoryStore::new());
            let manager = manager.with_user_level(true).build();
            assert_eq!(manager.install(setup.code()).unwrap().account, account);
            assert!(manager.access_token(account).is_ok() && manager.bearer(HUB).is_err());
        }
    }
}

#[test]
fn after_a_401_there_is_one_renewal_and_one_more_try() {
    both(|setup| {
        setup.install_ending_in(1800);
        setup.fault(Fault::status(401).with_target(Target::AccountInfo));
        assert_eq!(setup.manager.get(&setup.details_url()), Some(200));
        assert_eq!((setup.sent(Target::AccountInfo), setup.sent(Target::Refresh)), (2, 1));

        setup.fault(Fault::status(401).with_target(Target::AccountInfo).with_count(10));
        assert_eq!(setup.manager.get(&setup.details_url()), Some(401));
        assert_eq!(
            (setup.sent(Target::AccountInfo), setup.sent(Target::Refresh)),
            (3, 1),
            "a new token would not help"
        );
    });
}

/// A 401 of an API does not prove that the token has ended.
#[test]
fn an_api_that_always_responds_with_401_causes_one_renewal_and_not_one_for_each_call() {
    both(|setup| {
        setup.install_ending_in(1800);
        let old = setup.manager.bearer().unwrap();
        setup.fault(Fault::status(401).with_target(Target::AccountInfo).with_count(100));
        for _ in 0..20 {
            assert_eq!(setup.manager.get(&setup.details_url()), Some(401));
        }
        assert_eq!((setup.sent(Target::AccountInfo), setup.sent(Target::Refresh)), (21, 1));
        let new = setup.manager.bearer().unwrap();
        assert_ne!(new, old);
        let error = setup.manager.bearer_after_401(&new).unwrap_err();
        assert!(
            matches!(error, TokenError::BackingOff { wait, .. } if wait <= Duration::from_secs(60)),
            "{error:?}"
        );
        assert_eq!(setup.manager.bearer_after_401(&old).unwrap(), new, "this is not the rejected one");
        assert!(setup.manager.refresh_now().is_ok(), "a renewal that is asked for is made");
    });
}

#[test]
fn a_401_is_returned_if_the_renewal_fails() {
    both(|setup| {
        setup.install_ending_in(1800);
        setup.fault(Fault::status(401).with_target(Target::AccountInfo).with_count(10));
        setup.fault(Fault::status(503).with_target(Target::Refresh).with_count(10));
        assert_eq!(setup.manager.get(&setup.details_url()), Some(401));
        assert_eq!((setup.sent(Target::AccountInfo), setup.sent(Target::Refresh)), (1, 1));
    });
}

#[test]
fn a_bearer_is_sent_to_https_or_loopback_only() {
    both(|setup| {
        setup.install_ending_in(1800);
        assert_eq!(setup.manager.get("http://example.com/"), None);
    });
}

#[test]
fn a_shutdown_waits_for_the_renewal_and_ends_all_others() {
    both(|setup| {
        let old = setup.install_ending_in(300);
        setup.relay.hold(Hold::Refreshes);
        assert!(setup.manager.bearer().is_ok());
        setup.relay.wait_for_held(1);
        std::thread::scope(|scope| {
            let shutdown = scope.spawn(|| (setup.manager.shutdown(), setup.store.tokens()));
            // Once the shutdown has begun, the manager does not look for an account that is not in memory.
            let unknown = || setup.manager.bearer_of(Account::hub(99));
            wait_until(|| matches!(unknown(), Err(TokenError::ShutDown)));
            assert!(!shutdown.is_finished(), "the renewal is under way");
            setup.relay.release();
            let (unsaved, stored) = shutdown.join().unwrap();
            assert!(unsaved.is_empty() && stored != old);
        });
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(&setup.store.tokens()), "still in memory");
        assert!(matches!(setup.manager.refresh_now(), Err(TokenError::ShutDown)));
        assert!(matches!(setup.manager.disconnect(), Err(TokenError::ShutDown)));
        assert!(matches!(setup.manager.install(setup.code()), Err(TokenError::ShutDown)));
        assert!(matches!(setup.manager.install_tokens_as(HUB, old), Err(TokenError::ShutDown)));
        assert_eq!(setup.sent(Target::Refresh), 1);
    });
}

#[test]
fn a_blocking_manager_that_is_dropped_waits_for_the_renewal() {
    let setup = Setup::new(1, Settings::new([3; 32]), ApiVersion::LATEST, long_times());
    let old = setup.install_ending_in(300);
    setup.relay.hold(Hold::Refreshes);
    let (store, manager) = (std::sync::Arc::clone(&setup.store), setup.manager);
    assert!(manager.bearer().is_ok());
    setup.relay.wait_for_held(1);
    let (sender, is_dropping) = std::sync::mpsc::channel();
    let dropped = std::thread::spawn(move || {
        sender.send(()).unwrap();
        drop(manager);
        store.tokens()
    });
    is_dropping.recv().unwrap();
    setup.relay.release();
    assert_ne!(dropped.join().unwrap(), old);
}

#[test]
fn events_come_in_their_order_and_a_callback_that_panics_breaks_nothing() {
    both(|setup| {
        setup.install_ending_in(1800);
        // The async manager may give a caller the result before it reports the event, so each event is waited for.
        setup.manager.refresh_now().unwrap();
        setup.expect_event("renewed");
        setup.fault(Fault::status(400).with_target(Target::Refresh));
        setup.manager.refresh_now().unwrap_err();
        setup.expect_event("failed");
        setup.manager.disconnect().unwrap();
        setup.expect_event("disconnected");
        setup.expect_no_event();
    });
    for index in 0..2 {
        let setup = Setup::new(index, Settings::new([3; 32]), ApiVersion::LATEST, long_times());
        let store = std::sync::Arc::clone(&setup.store);
        let manager = setup::Manager::new(index, &setup.app, store, long_times(), |_| panic!("callback"));
        manager.install(setup.code()).unwrap();
        manager.refresh_now().unwrap();
        assert!(setup.accepts(manager.bearer().unwrap()));
        wait_until(|| format!("{manager:?}").contains("flights: 0"));
    }
}

//! The end of an install: uninstall, forget, the details of the account; and the tokens of the app itself.

use std::time::Duration;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{GrantState, TokenError};
use hs_oauth_core::{
    Account, AccountDetails, ApiVersion, Error, Introspect, NextStep, Scopes, StoreError, StoreErrorKind,
    Timestamp,
};
use hs_oauth_emulator::{Fault, Rotation, Settings, Target};

use super::clock::Clock;
use super::relay::Hold;
use super::setup::{HUB, Manager, Operation, Setup, bearer_of, both, both_with, long_times, refresh_token};
use crate::wait::{in_parallel, wait_until};

impl Manager {
    fn uninstall(&self) -> Result<(), TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.uninstall(HUB)),
            Self::Blocking(manager) => manager.uninstall(HUB),
        }
    }

    fn forget(&self) -> Result<(), TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.forget(HUB)),
            Self::Blocking(manager) => manager.forget(HUB),
        }
    }

    fn account_details(&self, account: Account) -> Result<AccountDetails, TokenError> {
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.account_details(account)),
            Self::Blocking(manager) => manager.account_details(account),
        }
    }

    fn app_bearer(&self, scopes: &str) -> Result<HeaderValue, TokenError> {
        let scopes: Scopes = scopes.parse().unwrap();
        match self {
            Self::Async(runtime, manager) => runtime.block_on(manager.app_bearer(&scopes)),
            Self::Blocking(manager) => manager.app_bearer(&scopes),
        }
    }

    fn app_bearer_after_401(&self, scopes: &str, rejected: &HeaderValue) -> Result<HeaderValue, TokenError> {
        let scopes: Scopes = scopes.parse().unwrap();
        match self {
            Self::Async(runtime, manager) => {
                runtime.block_on(manager.app_bearer_after_401(&scopes, rejected))
            }
            Self::Blocking(manager) => manager.app_bearer_after_401(&scopes, rejected),
        }
    }
}

/// Checks that a tombstone is stored from which nothing is revoked, now or later.
#[track_caller]
fn assert_forgotten(setup: &Setup) {
    let record = setup.store.stored().record;
    assert_eq!((record.state, record.tokens, record.revoke), (GrantState::Disconnected, None, None));
    assert!(record.forgotten);
    assert!(matches!(setup.manager.bearer(), Err(TokenError::NotInstalled)));
    assert!(matches!(setup.other_process().bearer(), Err(TokenError::NotInstalled)));
    setup.manager.disconnect().unwrap();
    assert_eq!(setup.sent(Target::Revoke), 0);
}

fn down() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable)
}

/// HUBSPOT.md §11: the uninstall takes the app out of the account.
#[test]
fn an_uninstall_takes_the_app_out_of_the_account_on_every_version_and_keeps_a_tombstone() {
    for version in ["v1", "v3", "2026-03", "2026-09"] {
        let version: ApiVersion = version.parse().unwrap();
        in_parallel([0, 1], |index| {
            let setup = Setup::new(index, Settings::new([3; 32]), version, long_times());
            let tokens = setup.install_ending_in(1800);
            setup.manager.uninstall().unwrap();
            setup.expect_event("disconnected");
            assert!(!setup.accepts(bearer_of(&tokens)), "HubSpot has uninstalled it");
            assert_forgotten(&setup);
            setup.expect_no_event();
            assert_eq!((setup.sent(Target::Uninstall), setup.sent(Target::Refresh)), (1, 0));
        });
    }
}

/// The person presses the button twice, or a job is run again. What they want is done.
#[test]
fn an_app_that_is_uninstalled_already_needs_no_call_and_is_no_error_in_any_process() {
    both(|setup| {
        setup.install_ending_in(1800);
        setup.manager.uninstall().unwrap();
        setup.expect_event("disconnected");
        setup.manager.uninstall().unwrap();
        setup.other_process().uninstall().unwrap();
        assert_eq!(setup.sent(Target::Uninstall), 1);
        setup.expect_no_event();
        setup.store.set_fault(|_| Err(down()));
        assert!(matches!(setup.other_process().uninstall(), Err(TokenError::Store(_))));
        setup.store.clear_fault();

        // A new install can be uninstalled again.
        setup.install_ending_in(1800);
        setup.manager.uninstall().unwrap();
        assert_eq!(setup.sent(Target::Uninstall), 2);
        assert_forgotten(&setup);
    });
}

#[test]
fn of_many_who_uninstall_the_app_at_once_none_gets_an_error() {
    both(|setup| {
        setup.install_ending_in(1800);
        let callers: Vec<_> = (0..8)
            .map(|index| {
                let manager = if index % 2 == 0 { setup.manager.clone() } else { setup.other_process() };
                std::thread::spawn(move || manager.uninstall())
            })
            .collect();
        for caller in callers {
            caller.join().unwrap().unwrap();
        }
        assert!(setup.store.stored().record.uninstalled);
        assert_forgotten(&setup);
    });
}

/// HUBSPOT.md §11: neither takes the app out of the account, and then there is no bearer left that could.
#[test]
fn an_account_without_tokens_from_which_the_app_was_not_uninstalled_is_not_installed() {
    both(|setup| {
        let refused = |manager: &Manager| matches!(manager.uninstall(), Err(TokenError::NotInstalled));
        assert!(refused(&setup.manager), "it never was");
        setup.install_ending_in(1800);
        setup.manager.forget().unwrap();
        setup.expect_event("disconnected");
        assert!(refused(&setup.manager) && refused(&setup.other_process()));
        setup.install_ending_in(1800);
        setup.manager.disconnect().unwrap();
        assert!(refused(&setup.manager) && refused(&setup.other_process()));
        assert_eq!(setup.sent(Target::Uninstall), 0);
    });
}

#[test]
fn an_account_whose_uninstall_fails_is_left_as_it_is_and_keeps_working() {
    both(|setup| {
        setup.install_ending_in(1800);
        let (before, bearer) = (setup.store.stored(), setup.manager.bearer().unwrap());
        for fault in
            [Fault::status(403), Fault::status(503).with_count(3), Fault::drop_before().with_count(3)]
        {
            setup.fault(fault.with_target(Target::Uninstall));
            let error = setup.manager.uninstall().unwrap_err();
            assert!(matches!(error, TokenError::Call(_)), "{error:?}");
            assert_eq!(setup.store.stored(), before);
            assert_eq!(setup.manager.bearer().unwrap(), bearer);
            assert!(setup.accepts(bearer.clone()));
        }
        setup.expect_no_event();
        setup.manager.uninstall().unwrap();
        assert_forgotten(&setup);
    });
}

#[test]
fn nothing_is_sent_if_the_store_fails_before_the_uninstall() {
    both(|setup| {
        let tokens = setup.install_ending_in(1800);
        setup.store.set_fault(|_| Err(down()));
        assert!(matches!(setup.manager.uninstall(), Err(TokenError::Store(_))));
        setup.store.clear_fault();
        assert_eq!(setup.sent(Target::Uninstall), 0);
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(&tokens));
    });
}

/// HUBSPOT.md §11: the access tokens of an app that was uninstalled do not work any more.
#[test]
fn an_uninstall_that_could_not_be_saved_says_so_and_the_next_one_finishes_it() {
    both(|setup| {
        setup.install_ending_in(1800);
        setup.store.set_fault(|operation| if operation == Operation::Swap { Err(down()) } else { Ok(()) });
        let error = setup.manager.uninstall().unwrap_err();
        assert!(matches!(error, TokenError::UninstallUnsaved(_)), "{error:?}");
        assert!(error.to_string().contains("the app is uninstalled"), "{error}");
        assert!(matches!(error.next_step(), NextStep::RetryAfter(_)));
        assert_eq!(setup.store.stored().record.state, GrantState::Live);

        setup.store.clear_fault();
        setup.manager.uninstall().unwrap();
        assert_forgotten(&setup);
        let events = setup.events();
        assert_eq!(events.iter().filter(|event| *event == "disconnected").count(), 1, "{events:?}");
    });
}

#[test]
fn an_uninstall_whose_response_is_lost_is_finished() {
    both(|setup| {
        setup.install_ending_in(1800);
        setup.fault(Fault::drop_after().with_target(Target::Uninstall));
        setup.manager.uninstall().unwrap();
        assert_forgotten(&setup);
    });
}

#[test]
fn an_account_that_has_uninstalled_the_app_itself_counts_as_uninstalled() {
    both(|setup| {
        setup.install_ending_in(1800);
        setup.hubspot.emulator(|emulator| emulator.uninstall(HUB.hub_id));
        setup.manager.uninstall().unwrap();
        assert_forgotten(&setup);
    });
}

/// RENEWAL.md, W2: the grant is lost to us, and the app is still installed.
#[test]
fn a_grant_that_was_lost_in_a_renewal_does_not_count_as_uninstalled() {
    both(|setup| {
        setup.install_ending_in(0);
        setup.store.rewrite(|record| (record.state, record.unsettled) = (GrantState::Gone, true));
        let before = setup.store.stored();
        let error = setup.other_process().uninstall().unwrap_err();
        assert!(matches!(error, TokenError::Gone { unsettled: true, .. }), "{error:?}");
        assert_eq!(setup.store.stored(), before);
        assert_eq!(setup.sent(Target::Uninstall), 0);
    });
}

/// HUBSPOT.md §11: a 401 may say that the token has expired. A new one helps then.
#[test]
fn an_uninstall_with_a_token_that_has_expired_is_repeated_with_a_new_one() {
    both(|setup| {
        setup.install_ending_in(1800);
        setup.hubspot.emulator(|emulator| emulator.advance(Duration::from_secs(1900)));
        setup.manager.uninstall().unwrap();
        assert_forgotten(&setup);
        assert_eq!((setup.sent(Target::Uninstall), setup.sent(Target::Refresh)), (2, 1));
    });
}

#[test]
fn an_install_that_comes_in_between_is_not_overwritten_by_an_uninstall() {
    both(|setup| {
        setup.install_ending_in(1800);
        // The first load notes the grant. The second one comes after the call.
        let pause = setup.store.pause_at(1);
        let manager = setup.manager.clone();
        let uninstall = std::thread::spawn(move || manager.uninstall());
        wait_until(|| pause.is_reached());
        let tokens = setup.tokens_ending_in(HUB, 1800);
        setup.other_process().install_tokens(tokens.clone()).unwrap();
        drop(pause);
        assert!(matches!(uninstall.join().unwrap(), Err(TokenError::Superseded { tokens: None })));
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(&tokens));
    });
}

/// HUBSPOT.md §11: several tenants of one app can share an account, so it must be possible to forget it without revoking.
#[test]
fn an_account_that_is_forgotten_stays_connected_for_the_tenants_that_share_it() {
    both(|setup| {
        let tokens = setup.install_ending_in(1800);
        setup.manager.forget().unwrap();
        setup.expect_event("disconnected");
        assert_forgotten(&setup);
        assert!(setup.accepts(bearer_of(&tokens)));
        assert!(setup.client.call(&Introspect::new(refresh_token(&tokens))).unwrap().is_active());
        setup.manager.forget().unwrap();
        setup.expect_no_event();
        assert_eq!(setup.manager.accounts().unwrap(), []);
    });
}

#[test]
fn a_renewal_during_which_the_account_is_forgotten_revokes_nothing() {
    let mut settings = Settings::new([3; 32]);
    settings.rotation = Rotation::Rotate;
    both_with(settings, long_times(), |setup| {
        setup.install_ending_in(0);
        setup.relay.hold(Hold::Refreshes);
        let manager = setup.manager.clone();
        let caller = std::thread::spawn(move || manager.bearer());
        setup.relay.wait_for_held(1);
        setup.manager.forget().unwrap();
        setup.relay.release();
        assert!(matches!(caller.join().unwrap(), Err(TokenError::NotInstalled)));
        assert!(setup.manager.shutdown().is_empty());
        assert_eq!(setup.sent(Target::Revoke), 0);
    });
}

#[test]
fn an_account_stays_installed_if_the_store_fails_to_forget_it() {
    both(|setup| {
        let tokens = setup.install_ending_in(1800);
        setup.store.set_fault(|operation| if operation == Operation::Swap { Err(down()) } else { Ok(()) });
        assert!(matches!(setup.manager.forget(), Err(TokenError::Store(_))));
        setup.store.clear_fault();
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(&tokens));
        setup.manager.forget().unwrap();
        assert_forgotten(&setup);
    });
}

/// HUBSPOT.md §11: `GET /account-info/{version}/details`.
#[test]
fn the_details_of_an_account_are_read_with_its_bearer_on_every_version() {
    for version in ["v1", "v3", "2026-03", "2026-09"] {
        let version: ApiVersion = version.parse().unwrap();
        in_parallel([0, 1], |index| {
            let setup = Setup::new(index, Settings::new([3; 32]), version, long_times());
            setup.install_ending_in(1800);
            let details = setup.manager.account_details(HUB).unwrap();
            assert_eq!((details.portal_id, details.time_zone.as_deref()), (HUB.hub_id, Some("US/Eastern")));
            // 00:00 in Greenwich is 19:00 in this account.
            let midnight = details.day_ends_at(Timestamp::from_secs(20_718 * 24 * 3600));
            assert_eq!(midnight, Some(Timestamp::from_secs(20_718 * 24 * 3600 + 5 * 3600)));
            let unknown = setup.manager.account_details(Account::hub(1));
            assert!(matches!(unknown, Err(TokenError::NotInstalled)));
        });
    }
}

#[test]
fn after_a_401_the_details_are_asked_for_once_more_with_a_new_bearer_and_not_a_third_time() {
    both(|setup| {
        setup.install_ending_in(1800);
        setup.hubspot.emulator(|emulator| emulator.advance(Duration::from_secs(1900)));
        assert_eq!(setup.manager.account_details(HUB).unwrap().portal_id, HUB.hub_id);
        assert_eq!((setup.sent(Target::AccountInfo), setup.sent(Target::Refresh)), (2, 1));
    });
    both(|setup| {
        setup.install_ending_in(1800);
        setup.fault(Fault::status(401).with_target(Target::AccountInfo).with_count(9));
        let error = setup.manager.account_details(HUB).unwrap_err();
        assert!(matches!(&error, TokenError::Call(Error::Api(error)) if error.status == 401), "{error:?}");
        assert_eq!((setup.sent(Target::AccountInfo), setup.sent(Target::Refresh)), (2, 1));
    });
}

/// RFC 6749 §4.4.
#[test]
fn one_request_brings_the_token_of_the_app_for_all_callers_and_nothing_is_stored() {
    both(|setup| {
        setup.relay.hold(Hold::AppTokens);
        let callers: Vec<_> = (0..20)
            .map(|_| {
                let manager = setup.manager.clone();
                std::thread::spawn(move || manager.app_bearer("oauth"))
            })
            .collect();
        setup.relay.wait_for_held(1);
        setup.relay.release();
        let bearers: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap().unwrap()).collect();
        assert!(bearers.iter().all(|bearer| *bearer == bearers[0] && bearer.is_sensitive()));
        assert!(setup.accepts(bearers[0].clone()));
        assert_eq!(setup.sent(Target::ClientCredentials), 1);
        assert_ne!(setup.manager.app_bearer("oauth tickets").unwrap(), bearers[0]);
        assert_eq!(setup.sent(Target::ClientCredentials), 2);
        assert_eq!(setup.manager.accounts().unwrap(), []);
        setup.expect_no_event();
    });
}

/// The wait is held back, so a renewal that callers had to wait for would not end.
#[test]
fn the_token_of_the_app_is_renewed_ahead_of_its_end_while_the_old_one_is_handed_out() {
    both(|setup| {
        let clock = Clock::start();
        let manager = clock.manager(&setup, 100);
        let old = manager.app_bearer("oauth").unwrap();
        clock.advance(&setup, Duration::from_secs(1600));
        setup.relay.hold(Hold::AppTokens);
        for _ in 0..20 {
            assert_eq!(manager.app_bearer("oauth").unwrap(), old);
        }
        setup.relay.wait_for_held(1);
        assert_eq!(manager.app_bearer("oauth").unwrap(), old);
        setup.relay.release();
        wait_until(|| manager.app_bearer("oauth").unwrap() != old);
        clock.advance(&setup, Duration::from_secs(300));
        assert!(setup.accepts(manager.app_bearer("oauth").unwrap()), "the old one has expired");
        assert_eq!(setup.sent(Target::ClientCredentials), 2);
    });
}

/// HUBSPOT.md §3: on a 401, a new token is asked for at most once.
#[test]
fn a_token_of_the_app_that_an_api_rejects_is_replaced_once_for_all_callers() {
    both(|setup| {
        let clock = Clock::start();
        let manager = clock.manager(&setup, 100);
        let old = manager.app_bearer("oauth").unwrap();
        setup.relay.hold(Hold::AppTokens);
        let callers: Vec<_> = (0..20)
            .map(|_| {
                let (manager, old) = (manager.clone(), old.clone());
                std::thread::spawn(move || manager.app_bearer_after_401("oauth", &old))
            })
            .collect();
        setup.relay.wait_for_held(1);
        assert_eq!(manager.app_bearer("oauth").unwrap(), old, "the 401 may have another cause");
        setup.relay.release();
        let bearers: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap().unwrap()).collect();
        let new = bearers[0].clone();
        assert!(bearers.iter().all(|bearer| *bearer == new && *bearer != old && bearer.is_sensitive()));
        assert!(setup.accepts(new.clone()));
        assert_eq!(manager.app_bearer("oauth").unwrap(), new);
        assert_eq!(manager.app_bearer_after_401("oauth", &old).unwrap(), new);
        let error = manager.app_bearer_after_401("oauth", &new).unwrap_err();
        assert!(matches!(error, TokenError::BackingOff { .. }), "{error:?}");
        assert_eq!(setup.sent(Target::ClientCredentials), 2);

        clock.advance(&setup, Duration::from_secs(61));
        let third = manager.app_bearer_after_401("oauth", &new).unwrap();
        assert!(third != new && setup.accepts(third));
        assert_eq!(setup.sent(Target::ClientCredentials), 3);
    });
}

#[test]
fn the_error_of_a_request_for_a_token_of_the_app_is_that_of_the_client() {
    both(|setup| {
        setup.fault(Fault::status(429).with_retry_after(3600).with_target(Target::ClientCredentials));
        for _ in 0..3 {
            let error = setup.manager.app_bearer("oauth").unwrap_err();
            assert!(
                matches!(&error, TokenError::Call(Error::Api(error)) if error.status == 429),
                "{error:?}"
            );
        }
        assert_eq!(setup.sent(Target::ClientCredentials), 1, "HubSpot has asked to wait");
    });
}

#[test]
fn after_a_shutdown_no_token_of_the_app_is_requested_and_nothing_is_uninstalled_or_forgotten() {
    both(|setup| {
        setup.install_ending_in(1800);
        let bearer = setup.manager.app_bearer("oauth").unwrap();
        assert!(setup.manager.shutdown().is_empty());
        assert_eq!(setup.manager.app_bearer("oauth").unwrap(), bearer);
        assert!(matches!(setup.manager.app_bearer("tickets"), Err(TokenError::ShutDown)));
        let rejected = setup.manager.app_bearer_after_401("oauth", &bearer);
        assert!(matches!(rejected, Err(TokenError::ShutDown)));
        assert!(matches!(setup.manager.uninstall(), Err(TokenError::ShutDown)));
        assert!(matches!(setup.manager.forget(), Err(TokenError::ShutDown)));
        assert_eq!((setup.sent(Target::Uninstall), setup.sent(Target::ClientCredentials)), (0, 1));
        assert_eq!(setup.store.stored().record.state, GrantState::Live);
    });
}

#[test]
fn an_app_with_another_client_id_neither_uninstalls_nor_forgets_the_account() {
    both(|setup| {
        setup.install_ending_in(1800);
        setup.store.rewrite(|record| record.client_id = Some("another-app".to_owned()));
        let before = setup.store.stored();
        let other = setup.other_process();
        assert!(matches!(other.uninstall(), Err(TokenError::OtherApp { .. })));
        assert!(matches!(other.forget(), Err(TokenError::OtherApp { .. })));
        assert_eq!((setup.store.stored(), setup.sent(Target::Uninstall)), (before, 0));
    });
}

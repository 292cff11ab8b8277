//! The boundary between apps and between tenants: nobody's token goes to anybody else, and nobody is disconnected by mistake.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use hs_oauth_core::http::HeaderValue;
use hs_oauth_core::renewal::{GrantState, RetryCause, TokenError};
use hs_oauth_core::{
    Account, ApiVersion, App, Authorize, ClientSecret, Introspect, Introspection, NextStep, RefreshToken,
    Scopes,
};
use hs_oauth_emulator::{Fault, Settings, Target};

use super::setup::{HUB, Manager, Setup, bearer_of, both, long_times, now, refresh_token};
use crate::wait::in_parallel;

const OTHER_HUB: Account = Account::hub(2);

/// HubSpot's answer to a refresh token that was revoked, or that was issued to another app.
const REFUSAL: &str = r#"{"error":"invalid_grant","error_description":"refresh token was not issued to this client","status":"BAD_REFRESH_TOKEN"}"#;

/// Returns 50 accounts with tokens that have expired, as after a night without a call.
fn install_50(setup: &Setup) -> Vec<Account> {
    let accounts: Vec<_> = (1..=50).map(Account::hub).collect();
    for account in &accounts {
        setup.manager.install_tokens(setup.tokens_ending_in(*account, 0)).unwrap();
    }
    accounts
}

/// Returns the manager of a process that was deployed with another app's client id and secret.
fn other_app(setup: &Setup) -> Manager {
    with_app(setup, "other-client-id", "other-secret")
}

fn with_app(setup: &Setup, client_id: &str, secret: &str) -> Manager {
    let app = App::hubspot(client_id, ClientSecret::new(secret).unwrap())
        .with_api_base(setup.app.api_base())
        .with_version(setup.app.version())
        .build()
        .unwrap();
    Manager::new(setup.index(), &app, Arc::clone(&setup.store), long_times(), |_| {})
}

/// Makes HubSpot refuse the next refreshes as it refuses those of an app that the grant is not for.
fn refuse_refreshes(setup: &Setup, count: u32) {
    let refusal = Fault::raw_body(REFUSAL, "application/json").with_status(400);
    setup.fault(refusal.with_target(Target::Refresh).with_count(count));
}

fn count_gone(setup: &Setup, accounts: &[Account]) -> usize {
    let is_gone = |account: &&Account| setup.store.stored_of(**account).record.state == GrantState::Gone;
    accounts.iter().filter(is_gone).count()
}

/// DESIGN.md, rule 8; RENEWAL.md, C21.
#[test]
fn a_deployment_with_another_app_harms_no_account_and_all_work_after_the_rollback() {
    both(|setup| {
        let accounts = install_50(&setup);
        let before: Vec<_> = accounts.iter().map(|account| setup.store.stored_of(*account)).collect();
        let wrong = other_app(&setup);
        for account in &accounts {
            let error = wrong.bearer_of(*account).unwrap_err();
            assert!(
                matches!(&error, TokenError::OtherApp { client_id, configured, .. }
                    if client_id == setup.app.client_id() && configured == "other-client-id"),
                "{error:?}"
            );
            assert_eq!(error.next_step(), NextStep::FixConfiguration);
            assert!(matches!(wrong.disconnect_account(*account), Err(TokenError::OtherApp { .. })));
        }
        assert_eq!((setup.sent(Target::Refresh), setup.sent(Target::Revoke)), (0, 0));
        let after: Vec<_> = accounts.iter().map(|account| setup.store.stored_of(*account)).collect();
        assert_eq!(after, before);

        let rolled_back = setup.other_process();
        for account in &accounts {
            assert!(setup.accepts(rolled_back.bearer_of(*account).unwrap()), "{account}");
        }
        assert_eq!(count_gone(&setup, &accounts), 0);
    });
}

#[test]
fn a_second_app_on_the_same_store_gets_none_of_the_first_ones_bearers() {
    both(|setup| {
        setup.install_ending_in(1800);
        assert!(matches!(other_app(&setup).bearer(), Err(TokenError::OtherApp { .. })));
        assert!(matches!(other_app(&setup).refresh_now(), Err(TokenError::OtherApp { .. })));
        assert!(setup.manager.bearer().is_ok());
    });
}

/// RENEWAL.md, C21: records of older versions do not say whose they are.
#[test]
fn a_record_that_names_no_app_gets_its_name_when_its_tokens_are_renewed_and_not_before() {
    both(|setup| {
        setup.install_ending_in(0);
        setup.store.rewrite(|record| record.client_id = None);
        assert!(with_app(&setup, "other-client-id", "other-secret").bearer().is_err());
        assert_eq!(setup.store.stored().record.client_id, None);
        assert!(setup.accepts(setup.manager.bearer().unwrap()));
        assert_eq!(setup.store.stored().record.client_id.as_deref(), Some(setup.app.client_id()));
    });
}

/// DESIGN.md, rule 9; RENEWAL.md, C22.
#[test]
fn of_50_accounts_that_are_refused_at_once_ten_are_marked_and_recheck_brings_these_back() {
    both(|setup| {
        let accounts = install_50(&setup);
        refuse_refreshes(&setup, 50);
        let mut refused = 0;
        for account in &accounts {
            match setup.manager.bearer_of(*account).unwrap_err() {
                TokenError::Gone { .. } => {}
                error @ TokenError::MassRefusal { .. } => {
                    assert_eq!(error.next_step(), NextStep::FixConfiguration);
                    refused += 1;
                }
                error => panic!("{error:?}"),
            }
        }
        assert_eq!((count_gone(&setup, &accounts), refused), (10, 40));
        let mass_refusals = setup.events().into_iter().filter(|event| event == "mass_refusal").count();
        assert_eq!(mass_refusals, 1);

        let error = setup.manager.bearer_of(Account::hub(50)).unwrap_err();
        let TokenError::BackingOff { cause: Some(RetryCause::MassRefusal), .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(error.next_step(), NextStep::FixConfiguration);

        for account in &accounts {
            assert!(setup.accepts(setup.manager.recheck(*account).unwrap()), "{account}");
        }
        assert_eq!(count_gone(&setup, &accounts), 0);
    });
}

#[test]
fn refusals_never_count_as_a_mass_refusal_if_the_limit_is_switched_off() {
    both(|setup| {
        let accounts = install_50(&setup);
        let manager = match &setup.manager {
            Manager::Async(runtime, manager) => {
                let store = hs_oauth_async::SpawnBlocking::new(Arc::clone(&setup.store));
                let manager = hs_oauth_async::TokenManager::builder(manager.client().clone(), store);
                Manager::Async(Arc::clone(runtime), manager.with_mass_refusal_limit(None).build())
            }
            Manager::Blocking(manager) => {
                let store = Arc::clone(&setup.store);
                let manager = hs_oauth_blocking::TokenManager::builder(manager.client().clone(), store);
                Manager::Blocking(manager.with_mass_refusal_limit(None).build())
            }
        };
        refuse_refreshes(&setup, 50);
        for account in &accounts {
            assert!(matches!(manager.bearer_of(*account), Err(TokenError::Gone { .. })), "{account}");
        }
        assert_eq!(count_gone(&setup, &accounts), 50);
    });
}

/// RENEWAL.md, "recheck".
#[test]
fn a_recheck_of_a_grant_that_is_really_gone_leaves_it_gone() {
    both(|setup| {
        let tokens = setup.install_ending_in(0);
        setup.hubspot.emulator(|emulator| emulator.uninstall(HUB.hub_id));
        assert!(matches!(setup.manager.bearer(), Err(TokenError::Gone { .. })));
        for attempt in [setup.manager.recheck(HUB), setup.manager.refresh_now()] {
            assert!(matches!(attempt, Err(TokenError::Gone { refusal: Some(_), .. })), "{attempt:?}");
        }
        let record = setup.store.stored().record;
        assert_eq!((record.state, record.lease, record.retry), (GrantState::Gone, None, None));
        assert_eq!(record.tokens, Some(tokens));
        assert_eq!(setup.sent(Target::Refresh), 3);
    });
}

/// HUBSPOT.md, section 6: this is a gateway's word, not HubSpot's.
#[test]
fn access_denied_alone_ends_no_grant() {
    both(|setup| {
        setup.install_ending_in(0);
        let gateway = Fault::raw_body(r#"{"error":"access_denied"}"#, "application/json").with_status(403);
        setup.fault(gateway.with_target(Target::Refresh));
        let error = setup.manager.bearer().unwrap_err();
        assert_eq!(error.next_step(), NextStep::FixConfiguration, "{error:?}");
        assert_eq!(setup.store.stored().record.state, GrantState::Live);
        assert!(setup.accepts(setup.manager.refresh_now().unwrap()));
    });
}

/// DESIGN.md, rule 10; RENEWAL.md, C23.
#[test]
fn tokens_of_another_account_are_not_used_and_the_old_ones_stay() {
    for (member, value) in [("hub_id", OTHER_HUB.hub_id), ("user_id", 987_654_321)] {
        both(|setup| {
            let old = setup.install_ending_in(0);
            let crossed = Fault::member(member, value).with_member("access_token", "crossed-access");
            setup.fault(crossed.with_member("refresh_token", "crossed-refresh").with_target(Target::Refresh));
            let error = setup.manager.bearer().unwrap_err();
            let TokenError::OtherAccount { expected, named, tokens: None } = &error else {
                panic!("{error:?}")
            };
            let text = error.to_string();
            assert!(text.contains(&expected.to_string()) && text.contains(&named.to_string()), "{text}");
            setup.expect_event("failed");
            let record = setup.store.stored().record;
            assert_eq!(record.tokens, Some(old));
            assert!(record.unsettled && record.retry.is_some() && record.state == GrantState::Live);
            assert!(setup.accepts(setup.manager.refresh_now().unwrap()));
        });
    }
}

#[test]
fn while_the_old_token_is_good_callers_have_it_although_tokens_of_another_account_came() {
    both(|setup| {
        let old = setup.install_ending_in(300);
        setup.fault(Fault::member("hub_id", OTHER_HUB.hub_id).with_target(Target::Refresh));
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(&old));
        setup.expect_event("failed");
        assert_eq!(setup.manager.bearer().unwrap(), bearer_of(&old));
    });
}

#[test]
fn tokens_are_installed_for_the_account_that_they_name_and_for_no_other() {
    both(|setup| {
        let tokens = setup.tokens_ending_in(OTHER_HUB, 1800);
        let error = setup.manager.install_tokens_as(HUB, tokens.clone()).unwrap_err();
        assert!(matches!(error, TokenError::OtherAccount { expected: HUB, named: OTHER_HUB, .. }));
        assert_eq!(error.tokens(), Some(&tokens));
        assert!(matches!(setup.manager.bearer(), Err(TokenError::NotInstalled)));
        assert_eq!(setup.manager.install_tokens(tokens).unwrap(), OTHER_HUB);
    });
}

/// On `v1` a token response may not name the account.
#[test]
fn tokens_that_name_no_account_are_installed_only_for_the_one_that_hubspot_names() {
    for index in 0..2 {
        let setup = Setup::new(index, Settings::new([3; 32]), ApiVersion::V1, long_times());
        for seconds in [1800, 0] {
            let mut tokens = setup.tokens_ending_in(OTHER_HUB, seconds);
            (tokens.hub_id, tokens.user_id) = (None, None);
            let error = setup.manager.install_tokens(tokens.clone()).unwrap_err();
            assert!(matches!(error, TokenError::UnknownAccount { error: None, .. }), "{error:?}");
            let error = setup.manager.install_tokens_as(HUB, tokens.clone()).unwrap_err();
            assert!(matches!(error, TokenError::OtherAccount { named: OTHER_HUB, .. }), "{error:?}");
            assert_eq!(error.tokens().map(refresh_token), Some(refresh_token(&tokens)));
            assert_eq!(setup.manager.install_tokens_as(OTHER_HUB, tokens).unwrap(), OTHER_HUB);
        }
    }
}

#[test]
fn a_manager_that_is_not_user_level_refuses_users_and_a_user_level_one_refuses_hubs() {
    both(|setup| {
        let user = Account::user(HUB.hub_id, 7);
        let tokens = setup.tokens_ending_in(HUB, 1800);
        for error in [
            setup.manager.bearer_of(user).unwrap_err(),
            setup.manager.recheck(user).unwrap_err(),
            setup.manager.disconnect_account(user).unwrap_err(),
            setup.manager.install_refresh_token(user, refresh_token(&tokens)).unwrap_err(),
        ] {
            assert!(matches!(error, TokenError::WrongLevel { account, .. } if account == user), "{error:?}");
            assert_eq!(error.next_step(), NextStep::FixConfiguration);
        }
        let error = setup.manager.install_tokens_as(user, tokens.clone()).unwrap_err();
        assert_eq!(error.tokens(), Some(&tokens));
    });
}

#[test]
fn an_imported_refresh_token_is_stored_at_once_and_renewed_at_the_first_use() {
    for version in ["v1", "2026-09"] {
        for index in 0..2 {
            let version: ApiVersion = version.parse().unwrap();
            let setup = Setup::new(index, Settings::new([3; 32]), version, long_times());
            let token = refresh_token(&setup.tokens_ending_in(HUB, 1800));
            setup.manager.install_refresh_token(HUB, token.clone()).unwrap();
            setup.expect_event("installed");
            assert_eq!(setup.sent(Target::Refresh), 0);
            assert_eq!(refresh_token(&setup.store.tokens()), token);
            assert!(setup.accepts(setup.manager.bearer().unwrap()));
            assert_eq!(setup.sent(Target::Refresh), 1);
            assert_eq!(setup.store.tokens().hub_id, Some(HUB.hub_id));
        }
    }
}

/// A table that was shifted by a row must not put one customer's data under another's name.
#[test]
fn an_imported_refresh_token_of_another_account_is_never_used() {
    for version in ["v1", "2026-09"] {
        for index in 0..2 {
            let version: ApiVersion = version.parse().unwrap();
            let setup = Setup::new(index, Settings::new([3; 32]), version, long_times());
            let token = refresh_token(&setup.tokens_ending_in(OTHER_HUB, 1800));
            setup.manager.install_refresh_token(HUB, token).unwrap();
            for _ in 0..2 {
                let error = setup.manager.refresh_now().unwrap_err();
                assert!(matches!(error, TokenError::OtherAccount { named: OTHER_HUB, .. }), "{error:?}");
            }
            assert!(!setup.store.tokens().has_access_token());
        }
    }
}

#[test]
fn an_imported_text_that_is_no_refresh_token_is_gone_after_the_first_use() {
    both(|setup| {
        setup.manager.install_refresh_token(HUB, RefreshToken::new("na1-unknown").unwrap()).unwrap();
        assert!(matches!(setup.manager.bearer(), Err(TokenError::Gone { .. })));
    });
}

/// RENEWAL.md: a back-off that was for the credential is not kept for another one.
#[test]
fn a_client_secret_put_right_works_at_once() {
    both(|setup| {
        setup.install_ending_in(0);
        let wrong = with_app(&setup, setup.app.client_id(), "wrong-secret");
        assert!(matches!(wrong.bearer(), Err(TokenError::Call(_))));
        let error = wrong.bearer().unwrap_err();
        let TokenError::BackingOff { cause: Some(RetryCause::ClientRefused), .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(error.next_step(), NextStep::FixConfiguration);
        assert!(error.to_string().contains("client secret") && error.to_string().contains("next try in"));
        assert!(setup.accepts(setup.other_process().bearer().unwrap()));
    });
}

#[test]
fn refresh_now_passes_our_own_back_off_and_not_the_one_that_hubspot_asked_for() {
    both(|setup| {
        setup.install_ending_in(1800);
        setup.fault(Fault::drop_before().with_target(Target::Refresh));
        setup.manager.refresh_now().unwrap_err();
        assert!(setup.manager.refresh_now().is_ok(), "the back-off after a broken connection is ours");

        setup.fault(Fault::status(429).with_retry_after(3600).with_target(Target::Refresh));
        setup.manager.refresh_now().unwrap_err();
        let error = setup.manager.refresh_now().unwrap_err();
        let TokenError::BackingOff { wait, cause: Some(RetryCause::RateLimited) } = &error else {
            panic!("{error:?}")
        };
        assert!(*wait > Duration::from_secs(3000));
        assert!(setup.manager.refresh_now_despite_retry_after().is_ok());
    });
}

/// A caller who receives a bare 401 looks for the reason in the request.
#[test]
fn send_returns_the_token_error_after_a_401_if_the_grant_is_gone() {
    both(|setup| {
        setup.install_ending_in(1800);
        setup.hubspot.emulator(|emulator| emulator.uninstall(HUB.hub_id));
        let error = setup.manager.get_error(&setup.details_url());
        assert_eq!(error.next_step(), NextStep::Reauthorize, "{error:?}");
    });
}

#[test]
fn an_install_says_whose_it_is_what_was_granted_and_whether_the_account_was_there_before() {
    both(|setup| {
        for reinstall in [false, true] {
            let installed = match &setup.manager {
                Manager::Async(runtime, manager) => runtime.block_on(manager.install(setup.code())).unwrap(),
                Manager::Blocking(manager) => manager.install(setup.code()).unwrap(),
            };
            let tokens = setup.store.tokens();
            assert_eq!((installed.account, installed.user_id), (HUB, tokens.user_id));
            assert_eq!((installed.scopes, installed.expires_at), (tokens.scopes, tokens.expires_at));
            assert_eq!(installed.reinstall, reinstall);
        }
    });
}

/// HUBSPOT.md §8: what was granted stands in the response and in introspection, and HubSpot drops optional scopes silently.
#[test]
fn an_install_says_which_of_the_scopes_that_were_asked_for_the_account_did_not_grant() {
    for version in ["v1", "2026-09"] {
        let version: ApiVersion = version.parse().unwrap();
        in_parallel([0, 1], |index| {
            let setup = Setup::new(index, Settings::new([3; 32]), version, long_times());
            let scopes = |names: &str| names.parse::<Scopes>().unwrap();
            setup.hubspot.emulator(|emulator| emulator.set_lacking_scopes(HUB.hub_id, scopes("c x")));
            let authorize = Authorize::new(scopes("oauth a"))
                .with_conditional_scopes(scopes("b"))
                .with_optional_scopes(scopes("c d"));
            let begun = authorize.begin(&setup.app, now()).unwrap();
            let callback = setup.hubspot.connect(&begun.url).unwrap();
            let code = begun.pending.accept(now(), callback.split_once('?').unwrap().1).unwrap();
            let installed = match &setup.manager {
                Manager::Async(runtime, manager) => runtime.block_on(manager.install(code)).unwrap(),
                Manager::Blocking(manager) => manager.install(code).unwrap(),
            };
            assert_eq!(installed.scopes, Some(scopes("oauth a b d")));
            assert_eq!((installed.missing, installed.missing_optional), (Scopes::NONE, scopes("c")));
            let stored = setup.store.tokens();
            assert_eq!(
                stored.missing(&scopes("oauth c d e")),
                scopes("c e"),
                "it can be compared at any time"
            );
            let introspected = setup.client.call(&Introspect::new(stored.access_token)).unwrap();
            let Introspection::AccessToken(info) = introspected else { panic!("{introspected:?}") };
            assert_eq!(info.scopes, scopes("oauth a b d"));
        });
    }
}

#[test]
fn no_two_accounts_ever_share_a_bearer() {
    both(|setup| {
        let accounts = install_50(&setup);
        let bearers: HashSet<HeaderValue> =
            accounts.iter().map(|account| setup.manager.bearer_of(*account).unwrap()).collect();
        assert_eq!(bearers.len(), accounts.len());
    });
}

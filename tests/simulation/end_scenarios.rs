//! Scenarios of the end of an install: an account that is forgotten, and an app that takes itself out of the account.

use hs_oauth_core::renewal::{Demand, GrantState, TokenError};
use hs_oauth_emulator::Rotation::{Keep, Rotate, Strict};

use super::hubspot::HUB;
use super::scenario::{Scenario, refresh_token, renewed};

/// HUBSPOT.md §11: other tenants may share the account.
#[test]
fn a_renewal_whose_account_is_forgotten_meanwhile_revokes_nothing_and_hands_out_nothing() {
    for rotation in [Keep, Rotate, Strict] {
        let mut scenario = Scenario::new(rotation);
        let mut renewal = scenario.begin_renewal();
        let request = scenario.step_until_send(&mut renewal);
        let tokens = scenario.handle(&request).unwrap();
        let mut forget = scenario.begin_forget();
        scenario.finish(&mut forget).unwrap();
        scenario.resume(&mut renewal, super::scenario::refreshed(Ok(tokens.clone())));
        assert!(matches!(scenario.finish(&mut renewal), Err(TokenError::NotInstalled)));
        assert_eq!(scenario.record().state, GrantState::Disconnected);
        assert!(scenario.hubspot.is_active(scenario.now, refresh_token(&tokens)), "{rotation:?}");
    }
}

#[test]
fn a_forgotten_account_that_is_installed_and_disconnected_later_is_revoked_like_any() {
    let mut scenario = Scenario::new(Keep);
    let mut forget = scenario.begin_forget();
    scenario.finish(&mut forget).unwrap();
    let tokens = scenario.hubspot.connect(scenario.now);
    scenario.install(tokens.clone()).unwrap();
    let mut disconnect = scenario.begin_disconnect();
    scenario.finish(&mut disconnect).unwrap();
    assert!(!scenario.record().forgotten);
    assert!(!scenario.hubspot.is_active(scenario.now, refresh_token(&tokens)));
}

/// The response to the call is late, or the process was paused.
#[test]
fn an_install_after_the_uninstall_stands_whenever_the_uninstall_is_noted() {
    let mut scenario = Scenario::new(Rotate);
    let before = scenario.record().grant;
    scenario.hubspot.emulator.uninstall(HUB);
    let mut early = scenario.begin_to_note_uninstall(before);
    scenario.step_until_swap(&mut early);

    let tokens = scenario.hubspot.connect(scenario.now);
    scenario.install(tokens.clone()).unwrap();
    let mut late = scenario.begin_to_note_uninstall(before);
    for note in [&mut early, &mut late] {
        let result = scenario.finish(note);
        assert!(matches!(result, Err(TokenError::Superseded { tokens: None })), "{result:?}");
    }
    assert_eq!((scenario.record().state, scenario.tokens()), (GrantState::Live, tokens));
    renewed(scenario.renew(Demand::Newer));
}

#[test]
fn a_renewal_does_not_bring_back_what_was_uninstalled_meanwhile() {
    let mut scenario = Scenario::new(Rotate);
    let before = scenario.record().grant;
    let mut renewal = scenario.begin_renewal();
    scenario.step_until_send(&mut renewal);
    let response = scenario.perform(&renewal);
    scenario.hubspot.emulator.uninstall(HUB);
    let mut note = scenario.begin_to_note_uninstall(before);
    scenario.finish(&mut note).unwrap();
    scenario.resume(&mut renewal, response);
    assert!(matches!(scenario.finish(&mut renewal), Err(TokenError::NotInstalled)));
    let record = scenario.record();
    assert!(record.uninstalled && record.tokens.is_none() && record.revoke.is_none());
}

#[test]
fn an_uninstall_whose_process_died_before_it_was_noted_is_noted_over_the_grant_that_is_gone() {
    let mut scenario = Scenario::new(Keep);
    let before = scenario.record().grant;
    scenario.hubspot.emulator.uninstall(HUB);
    let gone = scenario.renew(Demand::Newer);
    assert!(matches!(gone, Err(TokenError::Gone { unsettled: false, .. })), "{gone:?}");
    assert_eq!(scenario.record().grant, before);
    let mut note = scenario.begin_to_note_uninstall(before);
    scenario.finish(&mut note).unwrap();
    assert!(scenario.record().uninstalled);
}

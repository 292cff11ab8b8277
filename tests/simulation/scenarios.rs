//! The scenarios of core's `RENEWAL.md`, C1 to C20. The name of each test begins with the number of its scenario.

use std::time::Duration;

use hs_oauth_core::renewal::{Demand, GrantState, Input, Renewal, RenewalPolicy, Step, Timing, TokenError};
use hs_oauth_core::{NextStep, TransportError, TransportErrorKind};
use hs_oauth_emulator::Rotation;
use hs_oauth_emulator::Rotation::{Keep, Rotate, Strict};
use hs_oauth_store::{Swapped, TokenStore};

use super::hubspot::{ACCOUNT, HUB, at};
use super::scenario::{Scenario, StepwiseRun, refresh_token, refreshed, renewed, store_unavailable, timeout};

/// A has its response but is paused until its lease is over. B has taken over and is about to send. Returns the scenario, A, what A
/// is to receive, and B.
fn overtaken(rotation: Rotation) -> (Scenario, StepwiseRun<Renewal>, Input, StepwiseRun<Renewal>) {
    let mut scenario = Scenario::new(rotation);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    let response = scenario.perform(&a);
    scenario.advance_past_the_lease();
    let mut b = scenario.begin_renewal();
    scenario.step_until_send(&mut b);
    assert!(scenario.record().unsettled, "the lease that was never released says that A may have sent");
    (scenario, a, response, b)
}

#[test]
fn c1_a_lease_that_came_too_late_is_not_sent_under() {
    let mut scenario = Scenario::new(Rotate);
    let mut a = scenario.begin_renewal();
    scenario.step_until_swap(&mut a);
    let stored = scenario.perform(&a);
    scenario.advance_past_the_lease();
    let mut b = scenario.begin_renewal();
    let request = scenario.step_until_send(&mut b);

    scenario.resume(&mut a, stored);
    assert!(matches!(a.step, Step::Load { .. }), "A must not send: {:?}", a.step);
    scenario.step(&mut a);
    assert!(matches!(a.step, Step::Sleep(_)), "A waits for B: {:?}", a.step);

    let response = refreshed(scenario.handle(&request));
    scenario.resume(&mut b, response);
    let tokens = renewed(scenario.finish(&mut b));
    assert_eq!(scenario.finish(&mut a).unwrap().tokens, tokens);
    assert_eq!(scenario.requests, 1);
}

#[test]
fn c2_a_lease_is_taken_over_only_after_the_clock_margin() {
    let mut scenario = Scenario::new(Keep);
    let timing = Timing { save: Duration::from_secs(1), ..scenario.timing() };
    scenario.policy = RenewalPolicy::with_timing(timing).unwrap();
    let mut a = scenario.begin_renewal();
    scenario.step_until_swap(&mut a);
    let stored = scenario.perform(&a);
    scenario.advance(timing.lease - timing.request - timing.save);
    scenario.resume(&mut a, stored);
    assert!(matches!(a.step, Step::Send { .. }), "the last moment at which A may send: {:?}", a.step);

    scenario.advance(timing.request - Duration::from_millis(1));
    let ahead = i64::try_from(timing.clock_margin.as_millis()).unwrap();
    let mut b = scenario.begin_renewal_for(Demand::Newer, ahead);
    scenario.step(&mut b);
    assert!(
        matches!(b.step, Step::Sleep(_)),
        "A may wait for its response, so B must not send: {:?}",
        b.step
    );
}

#[test]
fn c3_a_run_sends_at_most_once_and_marks_that_hubspot_may_have_acted() {
    let mut scenario = Scenario::new(Strict);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    scenario.resume(&mut a, timeout());
    let Step::Swap { record, .. } = &a.step else { panic!("{:?}", a.step) };
    assert!(record.unsettled && record.lease.is_none() && record.retry.is_some(), "{record:?}");
    let error = scenario.finish(&mut a).unwrap_err();
    assert!(matches!(error.next_step(), NextStep::RetryAfter(_)), "{error}");
    // All other runs back off.
    let rejected = scenario.tokens().access_token;
    assert!(matches!(scenario.renew(Demand::OtherThan(rejected)), Err(TokenError::BackingOff { .. })));
    assert_eq!(scenario.requests, 0);
}

#[test]
fn c4_new_tokens_are_saved_over_the_lease_of_another_run() {
    let (mut scenario, mut a, response, mut b) = overtaken(Rotate);
    scenario.resume(&mut a, response);
    let tokens = renewed(scenario.finish(&mut a));
    assert_eq!(scenario.tokens(), tokens);
    // HubSpot refuses B's refresh token, which A's renewal has replaced. B takes A's tokens.
    assert_eq!(scenario.finish(&mut b).unwrap().tokens, tokens);
    assert_eq!(scenario.record().state, GrantState::Live);
}

#[test]
fn c5_new_tokens_are_saved_over_gone_if_hubspot_refused_the_tokens_that_they_replace() {
    let (mut scenario, mut a, response, mut b) = overtaken(Rotate);
    let gone = scenario.finish(&mut b).unwrap_err();
    assert!(matches!(gone, TokenError::Gone { unsettled: true, .. }), "{gone:?}");
    assert_eq!(scenario.record().state, GrantState::Gone);

    scenario.resume(&mut a, response);
    let tokens = renewed(scenario.finish(&mut a));
    assert_eq!((scenario.record().state, scenario.tokens()), (GrantState::Live, tokens));
}

#[test]
fn c6_a_renewal_does_not_overwrite_a_new_install_even_with_the_same_refresh_token() {
    let mut scenario = Scenario::new(Keep);
    let mut a = scenario.begin_renewal();
    let request = scenario.step_until_send(&mut a);
    let response = scenario.perform(&a);
    // HubSpot issues the same refresh token as before. Even an install of exactly the same tokens is a new grant.
    for same in [scenario.tokens(), scenario.handle(&request).unwrap()] {
        scenario.install(same).unwrap();
    }
    let installed = scenario.record();
    scenario.resume(&mut a, response);
    assert_eq!(scenario.finish(&mut a).unwrap().tokens, installed.tokens.clone().unwrap());
    assert_eq!(scenario.record(), installed);
}

#[test]
fn c7_a_late_save_does_not_remove_the_lease_of_another_run() {
    let (mut scenario, mut a, response, b) = overtaken(Rotate);
    let before = scenario.record().lease;
    scenario.resume(&mut a, response);
    renewed(scenario.finish(&mut a));
    assert_eq!(scenario.record().lease, before);
    assert!(matches!(b.step, Step::Send { .. }));
    let mut next = scenario.begin_renewal();
    scenario.step(&mut next);
    assert!(matches!(next.step, Step::Sleep(_)), "B may still be sending: {:?}", next.step);
}

#[test]
fn c8_a_run_that_finds_newer_tokens_removes_its_own_lease() {
    let (mut scenario, mut a, response, mut b) = overtaken(Rotate);
    scenario.resume(&mut a, response);
    renewed(scenario.finish(&mut a));
    assert!(scenario.record().lease.is_some());
    scenario.finish(&mut b).unwrap();
    assert_eq!(scenario.record().lease, None);
    let before = scenario.now;
    let mut next = scenario.begin_renewal();
    renewed(scenario.finish(&mut next));
    assert_eq!(scenario.now, before, "no run waits for a lease that no run holds");
}

#[test]
fn c9_only_a_save_under_its_own_lease_clears_the_mark() {
    for b_is_first in [false, true] {
        let (mut scenario, mut a, response, mut b) = overtaken(Strict);
        if b_is_first {
            scenario.finish(&mut b).unwrap_err();
        }
        scenario.resume(&mut a, response);
        renewed(scenario.finish(&mut a));
        assert!(scenario.record().unsettled, "B's request may have ended the grant");
        if !b_is_first {
            scenario.finish(&mut b).unwrap();
        }
        let mut next = scenario.begin_renewal();
        let gone = scenario.finish(&mut next).unwrap_err();
        assert!(matches!(gone, TokenError::Gone { unsettled: true, .. }), "lost, not uninstalled: {gone:?}");
    }
    // A save under its own lease clears the mark.
    let mut scenario = Scenario::new(Strict);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    scenario.advance_past_the_lease();
    let mut b = scenario.begin_renewal();
    renewed(scenario.finish(&mut b));
    assert!(!scenario.record().unsettled);
}

#[test]
fn c10_gone_does_not_overwrite_a_disconnect_or_a_new_install() {
    let mut scenario = Scenario::new(Keep);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    scenario.hubspot.emulator.uninstall(HUB);
    scenario.step(&mut a);
    assert_eq!(scenario.step_until_swap(&mut a).state, GrantState::Gone);
    let tokens = scenario.hubspot.connect(scenario.now);
    scenario.install(tokens.clone()).unwrap();
    assert_eq!(scenario.finish(&mut a).unwrap().tokens, tokens);
    assert_eq!(scenario.record().state, GrantState::Live);

    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    scenario.hubspot.emulator.uninstall(HUB);
    scenario.step(&mut a);
    scenario.step_until_swap(&mut a);
    let mut disconnect = scenario.begin_disconnect();
    scenario.finish(&mut disconnect).unwrap();
    assert!(matches!(scenario.finish(&mut a), Err(TokenError::NotInstalled)));
    assert_eq!(scenario.record().state, GrantState::Disconnected);
}

#[test]
fn c10_a_save_does_not_undo_a_disconnect() {
    let mut scenario = Scenario::new(Keep);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    scenario.step(&mut a);
    let mut disconnect = scenario.begin_disconnect();
    scenario.finish(&mut disconnect).unwrap();
    assert!(matches!(scenario.finish(&mut a), Err(TokenError::NotInstalled)));
    assert_eq!(scenario.record().state, GrantState::Disconnected);
}

#[test]
fn c11_a_version_never_comes_back_even_if_the_row_is_removed() {
    let mut scenario = Scenario::new(Keep);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    scenario.step(&mut a);
    let Step::Swap { expected: Some(expected), .. } = a.step else { panic!("{:?}", a.step) };
    assert!(scenario.store.remove(ACCOUNT, scenario.stored().version).unwrap());
    let tokens = scenario.hubspot.connect(scenario.now);
    while scenario.store.load(ACCOUNT).unwrap().is_none_or(|stored| stored.version < expected) {
        scenario.install(tokens.clone()).unwrap();
    }
    assert_ne!(scenario.stored().version, expected);
    assert_eq!(scenario.finish(&mut a).unwrap().tokens, tokens);
}

#[test]
fn c12_an_install_whose_result_was_lost_does_not_undo_a_disconnect() {
    let mut scenario = Scenario::new(Keep);
    let tokens = scenario.hubspot.connect(scenario.now);
    let mut install = scenario.begin_install(tokens.clone());
    scenario.step_until_swap(&mut install);
    assert!(matches!(scenario.perform(&install), Input::Stored(_)));
    let mut disconnect = scenario.begin_disconnect();
    scenario.finish(&mut disconnect).unwrap();
    scenario.resume(&mut install, store_unavailable());
    let error = scenario.finish(&mut install).unwrap_err();
    assert!(matches!(&error, TokenError::Superseded { tokens: Some(back) } if **back == tokens), "{error:?}");
    assert_eq!(scenario.record().state, GrantState::Disconnected);
}

#[test]
fn c12_an_install_whose_result_was_lost_recognises_itself_and_overwrites_renewals_in_between() {
    let mut scenario = Scenario::new(Keep);
    let tokens = scenario.hubspot.connect(scenario.now);
    let mut install = scenario.begin_install(tokens.clone());
    scenario.step_until_swap(&mut install);
    let mut renewal = scenario.begin_renewal();
    renewed(scenario.finish(&mut renewal));
    scenario.step(&mut install);
    scenario.step_until_swap(&mut install);
    let Input::Stored(version) = scenario.perform(&install) else { panic!() };
    scenario.resume(&mut install, store_unavailable());
    assert_eq!(scenario.finish(&mut install).unwrap().version, version);
    assert_eq!(scenario.tokens(), tokens);
}

#[test]
fn c13_a_run_that_drops_a_new_refresh_token_because_of_a_tombstone_revokes_it() {
    let mut scenario = Scenario::new(Rotate);
    let mut a = scenario.begin_renewal();
    let request = scenario.step_until_send(&mut a);
    let mut disconnect = scenario.begin_disconnect();
    scenario.step_until_revoke(&mut disconnect);
    let new = scenario.handle(&request).unwrap();
    scenario.finish(&mut disconnect).unwrap();
    assert!(
        scenario.hubspot.is_active(scenario.now, refresh_token(&new)),
        "the disconnect has revoked the old refresh token only"
    );

    scenario.resume(&mut a, refreshed(Ok(new.clone())));
    assert!(matches!(scenario.finish(&mut a), Err(TokenError::NotInstalled)));
    assert!(!scenario.hubspot.is_active(scenario.now, refresh_token(&new)));
    assert_eq!(scenario.record().revoke, None);
}

#[test]
fn c13_a_refresh_token_that_hubspot_kept_or_that_is_of_a_newer_grant_is_not_revoked() {
    // HubSpot kept the refresh token: the disconnect itself revokes it.
    let mut scenario = Scenario::new(Keep);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    scenario.step(&mut a);
    let mut disconnect = scenario.begin_disconnect();
    scenario.step_until_swap(&mut disconnect);
    scenario.step(&mut disconnect);
    while !matches!(a.step, Step::Done(_)) {
        assert!(!matches!(a.step, Step::Revoke(_)));
        scenario.step(&mut a);
    }
    // A newer grant may have the same refresh token.
    let mut scenario = Scenario::new(Rotate);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    scenario.step(&mut a);
    let tokens = scenario.hubspot.connect(scenario.now);
    scenario.install(tokens).unwrap();
    while !matches!(a.step, Step::Done(_)) {
        assert!(!matches!(a.step, Step::Revoke(_)));
        scenario.step(&mut a);
    }
}

#[test]
fn c13_a_disconnect_that_could_not_revoke_is_finished_by_the_next() {
    let mut scenario = Scenario::new(Keep);
    let token = scenario.tokens();
    let mut disconnect = scenario.begin_disconnect();
    scenario.step_until_revoke(&mut disconnect);
    scenario.resume(
        &mut disconnect,
        Input::Revoked(Err(TransportError::new(TransportErrorKind::Timeout).into())),
    );
    assert!(matches!(scenario.finish(&mut disconnect), Err(TokenError::Call(_))));
    assert_eq!(scenario.record().revoke.as_ref(), Some(refresh_token(&token)));
    let mut again = scenario.begin_disconnect();
    scenario.finish(&mut again).unwrap();
    assert_eq!(scenario.record().revoke, None);
    assert!(!scenario.hubspot.is_active(scenario.now, refresh_token(&token)));
}

#[test]
fn c14_a_tokens_life_counts_from_sending_however_late_the_response_is_read() {
    let mut scenario = Scenario::new(Keep);
    let mut a = scenario.begin_renewal();
    let request = scenario.step_until_send(&mut a);
    let sent_at = scenario.now;
    scenario.advance(Duration::from_secs(1));
    let response = scenario.hubspot.handle(scenario.now, &request);
    scenario.advance(Duration::from_secs(600));
    // The worst transport counts from reading the response.
    let body = String::from_utf8(response.body().clone()).unwrap();
    let late = scenario.response(&request, 200, &body);
    scenario.resume(&mut a, late);
    let tokens = renewed(scenario.finish(&mut a));
    assert_eq!(tokens.expires_at.as_millis(), sent_at + 1_800_000);
    assert!(tokens.expires_at.as_millis() <= scenario.hubspot.expiry_of(&tokens));
}

#[test]
fn c15_new_tokens_are_handed_out_only_when_they_are_saved() {
    for rotation in [Keep, Rotate] {
        let mut scenario = Scenario::new(rotation);
        let mut a = scenario.begin_renewal();
        scenario.step_until_send(&mut a);
        scenario.step(&mut a);
        assert!(matches!(a.step, Step::Swap { .. }), "the save comes first: {:?}", a.step);
        drop(a);
        // The process has crashed before the save (W1). The next run sends another refresh.
        scenario.advance_past_the_lease();
        let mut b = scenario.begin_renewal();
        match (rotation, scenario.finish(&mut b)) {
            (Keep, result) => _ = renewed(result),
            (_, result) => {
                assert!(matches!(result, Err(TokenError::Gone { unsettled: true, .. })), "{result:?}")
            }
        }
    }
}

#[test]
fn c16_tokens_that_could_not_be_saved_are_in_the_error_and_the_next_run_saves_them_first() {
    let mut scenario = Scenario::new(Rotate);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    scenario.step(&mut a);
    let error = loop {
        match std::mem::replace(&mut a.step, Step::Sleep(Duration::ZERO)) {
            Step::Done(result) => break result.unwrap_err(),
            Step::Sleep(duration) => {
                scenario.advance(duration);
                scenario.resume(&mut a, Input::Slept);
            }
            Step::Load { .. } | Step::Swap { .. } => scenario.resume(&mut a, store_unavailable()),
            other => panic!("{other:?}"),
        }
    };
    let new = error.tokens().unwrap().clone();
    assert_ne!(scenario.tokens(), new);

    let mut next = scenario.begin_renewal_with(a.into_unsaved().unwrap());
    assert!(matches!(next.step, Step::Load { .. }));
    scenario.step(&mut next);
    assert!(matches!(next.step, Step::Swap { .. }), "the save comes before a refresh: {:?}", next.step);
    assert_eq!(renewed(scenario.finish(&mut next)), new);
    assert_eq!((scenario.tokens(), scenario.requests), (new, 1));
}

#[test]
fn c17_a_run_recognises_its_lease_when_the_result_of_the_swap_was_lost() {
    // The swap took effect: the lease is stored, and is used.
    let mut scenario = Scenario::new(Keep);
    let mut a = scenario.begin_renewal();
    scenario.step_until_swap(&mut a);
    assert!(matches!(scenario.perform(&a), Input::Stored(_)));
    scenario.resume(&mut a, store_unavailable());
    renewed(scenario.finish(&mut a));
    assert_eq!(scenario.requests, 1);
    // The swap took no effect: the lease is taken again.
    let mut a = scenario.begin_renewal();
    scenario.step_until_swap(&mut a);
    scenario.resume(&mut a, store_unavailable());
    renewed(scenario.finish(&mut a));
    assert_eq!(scenario.requests, 2);
    // The swap arrives later: it is a conflict, since its version is old.
    let mut a = scenario.begin_renewal();
    scenario.step_until_swap(&mut a);
    let Step::Swap { expected, record, .. } = std::mem::replace(&mut a.step, Step::Sleep(Duration::ZERO))
    else {
        panic!()
    };
    scenario.resume(&mut a, store_unavailable());
    let tokens = renewed(scenario.finish(&mut a));
    assert!(matches!(scenario.store.swap(ACCOUNT, expected, &record), Ok(Swapped::Conflict)));
    assert_eq!(scenario.tokens(), tokens);
}

#[test]
fn c17_a_run_recognises_its_tokens_when_the_result_of_the_save_was_lost() {
    for with_effect in [true, false] {
        let mut scenario = Scenario::new(Rotate);
        let mut a = scenario.begin_renewal();
        scenario.step_until_send(&mut a);
        scenario.step(&mut a);
        if with_effect {
            assert!(matches!(scenario.perform(&a), Input::Stored(_)));
        }
        scenario.resume(&mut a, store_unavailable());
        let tokens = renewed(scenario.finish(&mut a));
        assert_eq!((scenario.tokens(), scenario.requests, scenario.record().lease), (tokens, 1, None));
    }
}

#[test]
fn c17_a_mark_or_a_release_whose_result_was_lost_changes_nothing() {
    for with_effect in [true, false] {
        let mut scenario = Scenario::new(Keep);
        scenario.hubspot.emulator.uninstall(HUB);
        let mut a = scenario.begin_renewal();
        scenario.step_until_send(&mut a);
        scenario.step(&mut a);
        if with_effect {
            assert!(matches!(scenario.perform(&a), Input::Stored(_)));
        }
        scenario.resume(&mut a, store_unavailable());
        let gone = scenario.finish(&mut a).unwrap_err();
        assert!(matches!(gone, TokenError::Gone { unsettled: false, .. }), "{gone:?}");
        assert_eq!(scenario.record().state, GrantState::Gone);

        let mut scenario = Scenario::new(Keep);
        let mut a = scenario.begin_renewal();
        scenario.step_until_send(&mut a);
        scenario.resume(&mut a, timeout());
        if with_effect {
            assert!(matches!(scenario.perform(&a), Input::Stored(_)));
        }
        scenario.resume(&mut a, store_unavailable());
        assert!(matches!(a.step, Step::Done(Err(TokenError::Call(_)))), "tried once: {:?}", a.step);
        scenario.advance_past_the_lease();
        scenario.advance(Duration::from_secs(120));
        let mut next = scenario.begin_renewal();
        renewed(scenario.finish(&mut next));
    }
}

#[test]
fn c18_an_error_response_that_does_not_refuse_the_grant_leaves_the_state_of_the_account() {
    for (status, body) in [
        (400, r#"{"error":"invalid_client"}"#),
        (400, r#"{"status":"BAD_CLIENT_ID"}"#),
        (400, "<html>"),
        (401, ""),
        (403, "{}"),
        (404, "gone"),
        (418, r#"{"error":"something_new"}"#),
    ] {
        let mut scenario = Scenario::new(Keep);
        let before = scenario.record();
        let mut a = scenario.begin_renewal();
        let request = scenario.step_until_send(&mut a);
        let error_response = scenario.response(&request, status, body);
        scenario.resume(&mut a, error_response);
        let error = scenario.finish(&mut a).unwrap_err();
        assert_eq!(error.next_step(), NextStep::FixConfiguration, "{status} {body}");
        let mut after = scenario.record();
        let wait = after.retry.take().unwrap().at.since(at(scenario.now));
        assert!((30..=90).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(after, before);
    }
}

#[test]
fn c19_older_tokens_do_not_overwrite_newer_ones_even_with_the_same_refresh_token() {
    let (mut scenario, mut a, response, mut b) = overtaken(Keep);
    let newer = renewed(scenario.finish(&mut b));
    scenario.resume(&mut a, response);
    assert_eq!(scenario.finish(&mut a).unwrap().tokens, newer);
    assert_eq!(scenario.tokens(), newer);
}

#[test]
fn c20_an_install_overwrites_gone() {
    let mut scenario = Scenario::new(Keep);
    scenario.hubspot.emulator.uninstall(HUB);
    let tokens = scenario.hubspot.connect(scenario.now);
    let mut install = scenario.begin_install(tokens.clone());
    scenario.step_until_swap(&mut install);
    let mut a = scenario.begin_renewal();
    assert!(matches!(scenario.finish(&mut a), Err(TokenError::Gone { .. })));
    scenario.finish(&mut install).unwrap();
    assert_eq!((scenario.record().state, scenario.tokens()), (GrantState::Live, tokens));
}

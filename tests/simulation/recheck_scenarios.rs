//! Scenarios of renewals that somebody asks for: a recheck of a grant that is gone, and a renewal despite a back-off.

use std::time::Duration;

use hs_oauth_core::NextStep;
use hs_oauth_core::renewal::{Demand, GrantState, Input, RetryCause, Step, TokenError};
use hs_oauth_emulator::Rotation::{Keep, Rotate, Strict};

use super::hubspot::{Deployment, HUB};
use super::scenario::{Scenario, renewed, store_unavailable, timeout};

/// All demands with which a grant that is gone is tried once more.
const RECHECKS: [Demand; 3] = [Demand::Recheck, Demand::Newer, Demand::NewerDespiteRetryAfter];

/// An account whose grant HubSpot has refused by mistake.
fn gone_by_mistake(rotation: hs_oauth_emulator::Rotation) -> Scenario {
    let mut scenario = Scenario::new(rotation);
    scenario.rewrite(|record| record.state = GrantState::Gone);
    scenario
}

#[test]
fn a_recheck_that_succeeds_makes_the_grant_live_again() {
    for rotation in [Keep, Rotate, Strict] {
        for demand in RECHECKS {
            let mut scenario = gone_by_mistake(rotation);
            scenario.rewrite(|record| record.unsettled = true);
            let tokens = renewed(scenario.renew(demand));
            let record = scenario.record();
            assert_eq!((record.state, record.tokens.as_ref()), (GrantState::Live, Some(&tokens)));
            assert_eq!((record.lease, record.retry, record.unsettled), (None, None, false));
        }
    }
}

#[test]
fn a_recheck_that_is_refused_leaves_the_record_as_it_was_and_its_error_has_the_refusal() {
    for demand in RECHECKS {
        let mut scenario = Scenario::new(Keep);
        scenario.hubspot.emulator.uninstall(HUB);
        scenario.renew(Demand::Newer).unwrap_err();
        let before = scenario.record();
        assert_eq!(before.state, GrantState::Gone);
        let error = scenario.renew(demand).unwrap_err();
        assert!(matches!(error, TokenError::Gone { unsettled: false, refusal: Some(_) }), "{error:?}");
        assert_eq!((scenario.record(), scenario.requests), (before, 2));
    }
}

#[test]
fn a_recheck_that_fails_otherwise_leaves_the_grant_gone_with_a_back_off() {
    for (status, unsettled) in [(500, true), (503, true), (429, false), (403, false)] {
        for is_fresh in [true, false] {
            let mut scenario = gone_by_mistake(Keep);
            if !is_fresh {
                scenario.advance_until_expired();
            }
            let before = scenario.record();
            let mut recheck = scenario.begin_renewal_for(Demand::Recheck, 0);
            let request = scenario.step_until_send(&mut recheck);
            let response = scenario.response(&request, status, "");
            scenario.resume(&mut recheck, response);
            let error = scenario.finish(&mut recheck).unwrap_err();
            assert!(matches!(error, TokenError::Call(_)), "no token of a grant that is gone: {error:?}");
            let mut after = scenario.record();
            assert!(after.retry.take().is_some());
            assert_eq!(std::mem::replace(&mut after.unsettled, false), unsettled, "{status}");
            assert_eq!(after, before, "{status}");

            renewed(scenario.renew(Demand::NewerDespiteRetryAfter));
        }
    }
}

#[test]
fn during_a_mass_refusal_a_recheck_leaves_the_grant_gone_with_a_back_off() {
    let mut scenario = gone_by_mistake(Keep);
    scenario.hubspot.emulator.uninstall(HUB);
    let mut recheck = scenario.begin_renewal_for(Demand::Recheck, 0);
    scenario.step_until_send(&mut recheck);
    let refused = scenario.perform(&recheck);
    scenario.resume(&mut recheck, super::scenario::during_a_mass_refusal(refused));
    let error = scenario.finish(&mut recheck).unwrap_err();
    assert!(matches!(error, TokenError::MassRefusal { .. }), "{error:?}");
    let record = scenario.record();
    assert_eq!(record.state, GrantState::Gone);
    assert_eq!(record.retry.and_then(|retry| retry.cause), Some(RetryCause::MassRefusal));
}

#[test]
fn a_recheck_of_a_live_grant_hands_out_its_token_and_sends_nothing() {
    let mut scenario = Scenario::new(Keep);
    let before = scenario.stored();
    assert!(!scenario.renew(Demand::Recheck).unwrap().renewed);
    assert_eq!((scenario.stored(), scenario.requests), (before, 0));
    scenario.advance_until_expired();
    renewed(scenario.renew(Demand::Recheck));
}

#[test]
fn a_recheck_finds_no_account_after_a_disconnect() {
    let mut scenario = Scenario::new(Keep);
    let mut disconnect = scenario.begin_disconnect();
    scenario.finish(&mut disconnect).unwrap();
    for demand in RECHECKS {
        assert!(matches!(scenario.renew(demand), Err(TokenError::NotInstalled)));
    }
    assert_eq!(scenario.requests, 0);
}

#[test]
fn callers_who_only_want_a_token_do_not_recheck() {
    let mut scenario = gone_by_mistake(Keep);
    let before = scenario.stored();
    for demand in [Demand::Usable, Demand::OtherThan("rejected".parse().unwrap())] {
        assert!(matches!(scenario.renew(demand), Err(TokenError::Gone { refusal: None, .. })));
    }
    assert_eq!((scenario.stored(), scenario.requests), (before, 0));
}

#[test]
fn one_recheck_at_a_time_sends_and_the_other_takes_its_tokens() {
    let mut scenario = gone_by_mistake(Strict);
    let mut a = scenario.begin_renewal_for(Demand::Recheck, 0);
    scenario.step_until_send(&mut a);
    let mut b = scenario.begin_renewal_for(Demand::Newer, 0);
    scenario.step(&mut b);
    assert!(matches!(b.step, Step::Sleep(_)), "{:?}", b.step);
    let tokens = renewed(scenario.finish(&mut a));
    assert_eq!(scenario.finish(&mut b).unwrap().tokens, tokens);
    assert_eq!(scenario.requests, 1);
}

/// The tokens of a grant that is gone are nobody's, also if they are newer than those that the run began with.
#[test]
fn a_renewal_that_finds_other_tokens_gone_does_not_hand_them_out() {
    for demand in RECHECKS {
        let mut scenario = Scenario::new(Keep);
        scenario.advance_until_expired();
        let mut holder = scenario.begin_renewal_and_send();
        let mut waiting = scenario.begin_renewal_for(demand, 0);
        scenario.step(&mut waiting);
        assert!(matches!(waiting.step, Step::Sleep(_)), "{:?}", waiting.step);
        renewed(scenario.finish(&mut holder));
        scenario.hubspot.emulator.uninstall(HUB);
        assert!(matches!(scenario.renew(Demand::Newer), Err(TokenError::Gone { .. })));
        let result = scenario.finish(&mut waiting);
        assert!(matches!(result, Err(TokenError::Gone { refusal: Some(_), .. })), "{result:?}");
    }
}

/// A run sends at most once, so a grant that it finds gone afterwards is not tried again.
#[test]
fn a_run_that_has_sent_does_not_recheck() {
    let mut scenario = Scenario::new(Keep);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    let response = scenario.perform(&a);
    let tokens = scenario.hubspot.connect(scenario.now);
    scenario.install(tokens).unwrap();
    scenario.rewrite(|record| record.state = GrantState::Gone);
    scenario.resume(&mut a, response);
    assert!(matches!(scenario.finish(&mut a), Err(TokenError::Gone { refusal: None, .. })));
    assert_eq!(scenario.requests, 1);
}

#[test]
fn a_recheck_whose_save_fails_keeps_its_tokens_and_the_next_run_saves_them_over_gone() {
    let mut scenario = gone_by_mistake(Rotate);
    let mut recheck = scenario.begin_renewal_for(Demand::Recheck, 0);
    scenario.step_until_send(&mut recheck);
    scenario.step(&mut recheck);
    scenario.advance(Duration::from_secs(300));
    scenario.resume(&mut recheck, store_unavailable());
    let error = scenario.finish(&mut recheck).unwrap_err();
    assert!(error.tokens().is_some(), "{error:?}");
    assert_eq!(scenario.record().state, GrantState::Gone);
    let mut next = scenario.begin_renewal_with(recheck.into_unsaved().unwrap());
    renewed(scenario.finish(&mut next));
    assert_eq!(scenario.record().state, GrantState::Live);
}

/// Issue: "`refresh_now` passes back-offs that are ours, not those HubSpot asked for; those have an override of their own."
#[test]
fn a_back_off_of_our_own_is_passed_by_those_who_ask_for_a_renewal_and_by_nobody_else() {
    for (retry_after, passed_by) in [
        (None, vec![Demand::Recheck, Demand::Newer, Demand::NewerDespiteRetryAfter]),
        (Some("300"), vec![Demand::NewerDespiteRetryAfter]),
    ] {
        for demand in [&[Demand::Usable][..], &RECHECKS[..]].concat() {
            let mut scenario = Scenario::new(Keep);
            scenario.advance_until_expired();
            scenario.fail(503, retry_after);
            let retry = scenario.record().retry.unwrap();
            assert_eq!(retry.requested, retry_after.is_some());
            match scenario.renew(demand.clone()) {
                Ok(current) => assert!(current.renewed && passed_by.contains(&demand), "{demand:?}"),
                Err(error) => {
                    assert!(!passed_by.contains(&demand), "{demand:?}: {error:?}");
                    assert!(
                        matches!(&error, TokenError::BackingOff { cause: Some(RetryCause::Unavailable), .. }),
                        "{error:?}"
                    );
                    assert!(matches!(error.next_step(), NextStep::RetryAfter(Some(_))), "{error:?}");
                    assert_eq!(scenario.requests, 0);
                }
            }
        }
    }
}

/// Whoever overrides a wait does so for one request. For everyone else it goes on.
#[test]
fn a_wait_that_hubspot_asked_for_goes_on_after_a_renewal_despite_it_has_failed() {
    for failure in ["timeout", "configuration", "Retry-After"] {
        let mut scenario = Scenario::new(Keep);
        scenario.advance_until_expired();
        scenario.fail(429, Some("3600"));
        let asked = scenario.record().retry.unwrap();
        scenario.advance(Duration::from_secs(60));
        let mut a = scenario.begin_renewal_for(Demand::NewerDespiteRetryAfter, 0);
        let request = scenario.step_until_send(&mut a);
        let response = match failure {
            "timeout" => timeout(),
            "configuration" => scenario.response(&request, 401, r#"{"status":"BAD_CLIENT_SECRET"}"#),
            _ => scenario.response_with_retry_after(&request, 429, "10"),
        };
        scenario.resume(&mut a, response);
        scenario.finish(&mut a).unwrap_err();
        let retry = scenario.record().retry.unwrap();
        assert!(retry.at >= asked.at && retry.requested && retry.failures == 2, "{failure}: {retry:?}");
        for demand in [Demand::Usable, Demand::Newer, Demand::Recheck] {
            assert!(matches!(scenario.renew(demand), Err(TokenError::BackingOff { .. })));
        }
        // Another credential does not pass it either: it is not for the credential.
        scenario.deployment = Deployment::WrongSecret;
        assert!(matches!(scenario.renew(Demand::Usable), Err(TokenError::BackingOff { .. })), "{failure}");
    }
}

#[test]
fn a_back_off_for_a_wrong_secret_says_so_and_ends_when_the_secret_is_put_right() {
    let mut scenario = Scenario::new(Keep);
    scenario.advance_until_expired();
    scenario.deployment = Deployment::WrongSecret;
    let error = scenario.renew(Demand::Usable).unwrap_err();
    assert_eq!(error.next_step(), NextStep::FixConfiguration, "{error:?}");
    let error = scenario.renew(Demand::Usable).unwrap_err();
    assert!(
        matches!(&error, TokenError::BackingOff { cause: Some(RetryCause::ClientRefused), .. }),
        "{error:?}"
    );
    assert_eq!(error.next_step(), NextStep::FixConfiguration);
    assert!(error.to_string().contains("client secret"), "{error}");
    assert_eq!(scenario.requests, 1);

    scenario.deployment = Deployment::Right;
    renewed(scenario.renew(Demand::Usable));
    assert_eq!(scenario.record().retry, None);
}

/// The process that is still wrong backs off by its own failures, and does not put off the others.
#[test]
fn failures_of_another_credential_are_not_counted() {
    let mut scenario = Scenario::new(Keep);
    scenario.deployment = Deployment::WrongSecret;
    for failures in 1..=4 {
        scenario.renew(Demand::Newer).unwrap_err();
        assert_eq!(scenario.record().retry.unwrap().failures, failures);
    }
    scenario.deployment = Deployment::Right;
    scenario.fail(503, None);
    let retry = scenario.record().retry.unwrap();
    assert_eq!((retry.failures, &retry.credential), (1, &None));
    assert!(retry.at.as_millis() <= scenario.now + 2000, "the first wait is about a second: {retry:?}");
}

/// An older version of the library wrote no cause and no credential. Such a back-off is ours, and holds for everyone.
#[test]
fn a_back_off_of_an_older_version_is_observed() {
    let mut scenario = Scenario::new(Keep);
    scenario.advance_until_expired();
    scenario.fail(503, None);
    scenario.rewrite(|record| {
        let retry = record.retry.as_mut().unwrap();
        (retry.cause, retry.requested, retry.credential) = (None, false, None);
    });
    for deployment in [Deployment::Right, Deployment::WrongSecret] {
        scenario.deployment = deployment;
        let error = scenario.renew(Demand::Usable).unwrap_err();
        assert!(matches!(error, TokenError::BackingOff { cause: None, .. }), "{error:?}");
    }
    scenario.deployment = Deployment::Right;
    renewed(scenario.renew(Demand::Newer));
}

/// A caller that asks while a requested wait lasts has the old token as long as it is good.
#[test]
fn the_old_token_is_handed_out_during_a_back_off_except_to_those_who_want_a_newer_one() {
    let mut scenario = Scenario::new(Keep);
    scenario.advance_until_soon();
    scenario.fail(429, Some("60"));
    assert!(!scenario.renew(Demand::Usable).unwrap().renewed);
    assert!(!scenario.renew(Demand::Recheck).unwrap().renewed);
    assert!(matches!(scenario.renew(Demand::Newer), Err(TokenError::BackingOff { .. })));
    assert_eq!(scenario.requests, 0);
}

#[test]
fn a_recheck_is_not_admitted_after_a_shutdown() {
    let mut scenario = gone_by_mistake(Keep);
    let mut recheck = scenario.begin_renewal_for(Demand::Recheck, 0);
    let loaded = scenario.perform(&recheck);
    scenario.resume_unadmitted(&mut recheck, loaded);
    scenario.resume_unadmitted(&mut recheck, Input::ShuttingDown);
    assert!(matches!(scenario.finish(&mut recheck), Err(TokenError::ShutDown)));
    assert_eq!(scenario.requests, 0);
}

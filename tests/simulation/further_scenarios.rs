//! Scenarios beyond those that core's `RENEWAL.md` numbers.

use std::time::Duration;

use hs_oauth_core::Endpoint as _;
use hs_oauth_core::renewal::{
    Deadline, Demand, Input, Renewal, RetryCause, Run, Step, TokenError, UnsavedInstall,
};
use hs_oauth_emulator::Rotation::{Keep, Rotate};

use super::hubspot::{HUB, at};
use super::scenario::{Scenario, StepwiseRun, renewed, store_unavailable, timeout};

#[test]
fn gone_is_stored_and_nothing_more_is_sent() {
    let mut scenario = Scenario::new(Keep);
    scenario.hubspot.emulator.uninstall(HUB);
    for demand in [Demand::Newer, Demand::Usable, Demand::OtherThan(scenario.tokens().access_token)] {
        assert!(matches!(scenario.renew(demand), Err(TokenError::Gone { unsettled: false, .. })));
    }
    assert_eq!(scenario.requests, 1);
}

#[test]
fn a_store_that_takes_no_writes_ends_a_run_after_a_few_tries() {
    for demand in [Demand::Usable, Demand::Newer] {
        let mut scenario = Scenario::new(Keep);
        scenario.advance(Duration::from_secs(1500));
        let mut a = scenario.begin_renewal_for(demand.clone(), 0);
        let mut swaps = 0;
        let result = loop {
            match &a.step {
                Step::Swap { .. } => {
                    swaps += 1;
                    assert!(swaps < 10, "the run does not end");
                    scenario.resume(&mut a, store_unavailable());
                }
                Step::Done(_) => break scenario.finish(&mut a),
                _ => scenario.step(&mut a),
            }
        };
        match demand {
            Demand::Usable => assert!(!result.unwrap().renewed, "the old token is still usable"),
            _ => assert!(matches!(result, Err(TokenError::Store(_)))),
        }
        assert_eq!(scenario.requests, 0);
    }
}

#[test]
fn tokens_saved_so_late_that_they_have_expired_are_renewed_and_not_handed_out() {
    let mut scenario = Scenario::new(Rotate);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    scenario.step(&mut a);
    scenario.advance(Duration::from_secs(3600));
    scenario.resume(&mut a, store_unavailable());
    let mut next = scenario.begin_renewal_with(a.into_unsaved().unwrap());
    let tokens = renewed(scenario.finish(&mut next));
    assert!(tokens.expires_at.as_millis() > scenario.now + 1_700_000, "handed out after it had expired");
    assert_eq!(scenario.requests, 2);
}

#[test]
fn a_mark_that_cannot_be_stored_ends_the_run_after_a_few_tries_without_calling_the_grant_gone() {
    let mut scenario = Scenario::new(Keep);
    scenario.hubspot.emulator.uninstall(HUB);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    scenario.step(&mut a);
    // The store can be read from, but takes no writes.
    for _ in 0..50 {
        match &a.step {
            Step::Swap { .. } => scenario.resume(&mut a, store_unavailable()),
            Step::Done(result) => {
                assert!(matches!(result, Err(TokenError::Store(_))), "{result:?}");
                return;
            }
            _ => scenario.step(&mut a),
        }
    }
    panic!("the run does not end");
}

/// Steps a run to its end with a store that reports a conflict for every write.
fn finish_with_conflicts<R: Run>(
    scenario: &mut Scenario,
    run: &mut StepwiseRun<R>,
) -> Result<R::Output, TokenError> {
    for _ in 0..2_000 {
        match std::mem::replace(&mut run.step, Step::Sleep(Duration::ZERO)) {
            Step::Done(result) => return result,
            step @ Step::Swap { .. } => {
                run.step = step;
                scenario.resume(run, Input::Conflict);
            }
            step => {
                run.step = step;
                scenario.step(run);
            }
        }
    }
    panic!("the run does not end");
}

#[test]
fn a_store_that_reports_a_conflict_for_every_write_ends_every_run() {
    let mut scenario = Scenario::new(Rotate);
    let mut take = scenario.begin_renewal();
    assert!(matches!(finish_with_conflicts(&mut scenario, &mut take), Err(TokenError::Store(_))));

    let mut save = scenario.begin_renewal();
    scenario.step_until_send(&mut save);
    scenario.step(&mut save);
    let began = scenario.now;
    let unsaved = finish_with_conflicts(&mut scenario, &mut save).unwrap_err();
    assert!(unsaved.tokens().is_some(), "{unsaved:?}");
    assert!(
        scenario.now - began > 30_000,
        "no other copy of the tokens exists, so the run tries as long as it may"
    );
    let mut next = scenario.begin_renewal_with(save.into_unsaved().unwrap());
    renewed(scenario.finish(&mut next));

    scenario.hubspot.emulator.uninstall(HUB);
    let mut mark = scenario.begin_renewal();
    scenario.step_until_send(&mut mark);
    scenario.step(&mut mark);
    assert!(matches!(finish_with_conflicts(&mut scenario, &mut mark), Err(TokenError::Store(_))));

    let tokens = scenario.hubspot.connect(scenario.now);
    let mut install = scenario.begin_install(tokens.clone());
    let error = finish_with_conflicts(&mut scenario, &mut install).unwrap_err();
    assert!(matches!(&error, TokenError::Unsaved { tokens: back, .. } if **back == tokens), "{error:?}");
    let mut disconnect = scenario.begin_disconnect();
    assert!(matches!(finish_with_conflicts(&mut scenario, &mut disconnect), Err(TokenError::Store(_))));
}

#[test]
fn a_run_over_a_store_that_fails_slowly_ends_within_the_length_of_a_lease() {
    let mut scenario = Scenario::new(Keep);
    let mut a = scenario.begin_renewal();
    let began = scenario.now;
    while !matches!(a.step, Step::Done(_)) {
        match &a.step {
            Step::Swap { .. } => {
                scenario.advance(Duration::from_secs(30));
                scenario.resume(&mut a, store_unavailable());
            }
            _ => scenario.step(&mut a),
        }
    }
    assert!(matches!(scenario.finish(&mut a), Err(TokenError::Store(_))));
    assert!(scenario.now - began <= 95_000, "{} ms", scenario.now - began);
}

#[test]
fn a_retry_after_of_a_day_is_believed_of_a_limit_but_not_of_an_outage() {
    for (status, longest) in [(503, 15 * 60), (429, 24 * 60 * 60), (477, 24 * 60 * 60)] {
        let mut scenario = Scenario::new(Keep);
        let mut a = scenario.begin_renewal();
        let request = scenario.step_until_send(&mut a);
        let response = scenario.response_with_retry_after(&request, status, "99999999");
        scenario.resume(&mut a, response);
        scenario.finish(&mut a).unwrap_err();
        let wait = (scenario.record().retry.unwrap().at.as_millis() - scenario.now) / 1000;
        assert!((longest..=longest * 11 / 10).contains(&wait), "{status}: {wait} s");
    }
}

#[test]
fn a_save_that_fails_ends_in_time_even_if_the_clock_is_set_back_meanwhile() {
    let mut scenario = Scenario::new(Rotate);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    scenario.step(&mut a);
    a.clock = -3_600_000;
    let mut slept = Duration::ZERO;
    while !matches!(a.step, Step::Done(_)) {
        match &a.step {
            Step::Sleep(duration) => {
                slept += *duration;
                assert!(slept < scenario.timing().lease * 2, "the run goes on for {slept:?}");
                scenario.resume(&mut a, Input::Slept);
            }
            _ => scenario.resume(&mut a, store_unavailable()),
        }
    }
    assert!(matches!(scenario.finish(&mut a), Err(TokenError::Unsaved { .. })));
}

#[test]
fn a_retry_after_of_zero_does_not_disable_the_back_off() {
    let mut scenario = Scenario::new(Keep);
    let mut before = 0;
    for failures in 1..=5 {
        let mut a = scenario.begin_renewal();
        let request = scenario.step_until_send(&mut a);
        let response = scenario.response_with_retry_after(&request, 503, "0");
        scenario.resume(&mut a, response);
        scenario.finish(&mut a).unwrap_err();
        let retry = scenario.record().retry.unwrap();
        let wait = retry.at.as_millis() - scenario.now;
        assert!(retry.failures == failures && wait >= 500 && wait * 4 >= before, "{failures}: {wait} ms");
        before = wait;
        scenario.now = retry.at.as_millis();
    }
    assert!(before >= 8_000, "{before} ms after five failures");
}

#[test]
fn a_rescued_refresh_token_that_could_not_be_saved_is_saved_by_the_next_run_with_its_back_off() {
    let mut scenario = Scenario::new(Rotate);
    let mut a = scenario.begin_renewal();
    let request = scenario.step_until_send(&mut a);
    let old = scenario.tokens();
    let response = scenario.hubspot.handle(scenario.now, &request);
    let body = String::from_utf8(response.body().clone())
        .unwrap()
        .replace("\"expires_in\":1800", "\"expires_in\":-1");
    let unusable = scenario.response(&request, 200, &body);
    scenario.resume(&mut a, unusable);
    scenario.advance_past_the_lease();
    scenario.resume(&mut a, store_unavailable());
    assert!(matches!(a.step, Step::Done(Err(TokenError::Unsaved { .. }))), "{:?}", a.step);
    let mut next = scenario.begin_renewal_with(a.into_unsaved().unwrap());
    assert!(!scenario.finish(&mut next).unwrap().renewed, "the access token is the old one");
    let record = scenario.record();
    assert!(record.lease.is_none() && record.unsettled && record.retry.is_some(), "{record:?}");
    assert_ne!(scenario.tokens().refresh_token, old.refresh_token);
}

#[test]
fn a_late_save_releases_the_lease_under_which_its_tokens_were_requested() {
    let mut scenario = Scenario::new(Rotate);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    scenario.step(&mut a);
    scenario.advance_past_the_lease();
    scenario.resume(&mut a, store_unavailable());
    let mut next = scenario.begin_renewal_with(a.into_unsaved().unwrap());
    renewed(scenario.finish(&mut next));
    assert_eq!(
        (scenario.record().lease, scenario.record().unsettled),
        (None, false),
        "no other run can have sent"
    );
}

#[test]
fn a_grant_that_hubspot_no_longer_knows_can_still_be_disconnected() {
    let mut scenario = Scenario::new(Keep);
    let mut disconnect = scenario.begin_disconnect();
    scenario.step_until_revoke(&mut disconnect);
    let Step::Revoke(revoke) = &disconnect.step else { panic!() };
    let body = br#"{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}"#.to_vec();
    let response = http::Response::builder().status(400).body(body).unwrap();
    let refused = revoke.read_response(&scenario.hubspot.app, at(scenario.now), &response);
    scenario.resume(&mut disconnect, Input::Revoked(refused));
    scenario.finish(&mut disconnect).unwrap();
    assert_eq!(scenario.record().revoke, None);
}

#[test]
fn a_mark_that_cannot_be_checked_is_an_error_of_the_store_and_not_a_grant_that_is_gone() {
    let mut scenario = Scenario::new(Keep);
    scenario.hubspot.emulator.uninstall(HUB);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    scenario.step(&mut a);
    scenario.resume(&mut a, store_unavailable());
    scenario.step(&mut a);
    scenario.resume(&mut a, store_unavailable());
    assert!(matches!(a.step, Step::Done(Err(TokenError::Store(_)))), "{:?}", a.step);
}

#[test]
fn a_refresh_token_in_a_response_that_cannot_be_used_is_saved() {
    let mut scenario = Scenario::new(Rotate);
    let mut a = scenario.begin_renewal();
    let request = scenario.step_until_send(&mut a);
    let response = scenario.hubspot.handle(scenario.now, &request);
    let body = String::from_utf8(response.body().clone())
        .unwrap()
        .replace("\"expires_in\":1800", "\"expires_in\":-1");
    let unusable = scenario.response(&request, 200, &body);
    scenario.resume(&mut a, unusable);
    assert!(scenario.finish(&mut a).is_err());
    let record = scenario.record();
    assert!(record.unsettled && record.retry.is_some() && record.lease.is_none());
    scenario.advance(Duration::from_secs(120));
    let mut next = scenario.begin_renewal();
    renewed(scenario.finish(&mut next));
}

#[test]
fn a_back_off_and_a_lease_written_by_a_wrong_clock_are_ignored() {
    let hour = 3_600_000;
    let mut scenario = Scenario::new(Keep);
    let mut a = scenario.begin_renewal_for(Demand::Newer, 30 * hour);
    scenario.step_until_send(&mut a);
    // By the true time A's lease ends in thirty hours.
    let mut b = scenario.begin_renewal();
    scenario.step(&mut b);
    assert!(matches!(b.step, Step::Swap { .. }), "{:?}", b.step);
    drop(b);
    scenario.resume(&mut a, timeout());
    scenario.step(&mut a);
    assert!(scenario.record().retry.is_some());
    let mut b = scenario.begin_renewal();
    renewed(scenario.finish(&mut b));
}

#[test]
fn a_run_that_has_waited_for_one_holder_as_long_as_a_lease_may_last_takes_over_whatever_the_clock_says() {
    let mut scenario = Scenario::new(Keep);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    let timing = scenario.timing();
    let mut b = scenario.begin_renewal();
    let mut slept = Duration::ZERO;
    loop {
        match &b.step {
            // B's clock does not advance.
            Step::Sleep(duration) => {
                slept += *duration;
                assert!(slept < timing.lease * 2, "B waits forever");
                scenario.resume(&mut b, Input::Slept);
            }
            Step::Swap { .. } => break,
            _ => scenario.step(&mut b),
        }
    }
    assert!(slept >= timing.lease + timing.clock_margin, "{slept:?}");
}

#[test]
fn every_process_obeys_retry_after_and_hands_out_the_old_token_meanwhile() {
    let mut scenario = Scenario::new(Keep);
    scenario.advance(Duration::from_secs(1500));
    let mut a = scenario.begin_renewal_for(Demand::Usable, 0);
    let request = scenario.step_until_send(&mut a);
    let response = scenario.response_with_retry_after(&request, 429, "50");
    scenario.resume(&mut a, response);
    assert!(!scenario.finish(&mut a).unwrap().renewed);
    let record = scenario.record();
    assert!(!record.unsettled, "HubSpot surely did not act on a 429");
    assert!(record.retry.unwrap().at.as_millis() >= scenario.now + 50_000);
    for (wait, sends) in [(49, 0), (10, 1)] {
        scenario.advance(Duration::from_secs(wait));
        let mut b = scenario.begin_renewal_for(Demand::Usable, 0);
        scenario.finish(&mut b).unwrap();
        assert_eq!(scenario.requests, sends);
    }
}

#[test]
fn a_stored_token_other_than_the_rejected_one_is_handed_out_without_a_request() {
    let mut scenario = Scenario::new(Keep);
    let old = scenario.tokens();
    let mut a = scenario.begin_renewal();
    let new = renewed(scenario.finish(&mut a));
    let mut b = scenario.begin_renewal_for(Demand::OtherThan(old.access_token), 0);
    assert_eq!(scenario.finish(&mut b).unwrap().tokens, new);
    assert_eq!(scenario.requests, 1);
}

/// Returns a renewal that asks for admission one millisecond before the old token stops being usable.
fn at_the_last_usable_moment(scenario: &mut Scenario) -> StepwiseRun<Renewal> {
    let until = scenario.policy.schedule(&scenario.tokens()).usable_until;
    scenario.now = until.as_millis() - 1;
    let mut a = scenario.begin_renewal_for(Demand::Usable, 0);
    let loaded = scenario.perform(&a);
    scenario.resume_unadmitted(&mut a, loaded);
    assert!(
        matches!(a.step, Step::Admit { deadline: Deadline::At(moment) } if moment == until),
        "{:?}",
        a.step
    );
    a
}

/// `RENEWAL.md`, a renewal: admit.
#[test]
fn a_renewal_that_is_skipped_while_the_old_token_is_usable_asks_for_admission_again_once_it_is_not() {
    let mut scenario = Scenario::new(Keep);
    let mut a = at_the_last_usable_moment(&mut scenario);
    scenario.resume_unadmitted(&mut a, Input::Skip);
    assert!(!scenario.finish(&mut a).unwrap().renewed, "the old token is usable");

    let mut a = at_the_last_usable_moment(&mut scenario);
    scenario.advance(Duration::from_millis(1));
    scenario.resume_unadmitted(&mut a, Input::Skip);
    assert!(matches!(a.step, Step::Admit { deadline: Deadline::Now }), "no token is usable: {:?}", a.step);
    scenario.resume_unadmitted(&mut a, Input::Admit { waited: true });
    renewed(scenario.finish(&mut a));
}

/// `RENEWAL.md`, a renewal: admit; and "Every loop ends".
#[test]
fn a_run_that_is_skipped_again_without_a_usable_token_ends() {
    let mut scenario = Scenario::new(Keep);
    let mut a = at_the_last_usable_moment(&mut scenario);
    scenario.advance(Duration::from_millis(1));
    scenario.resume_unadmitted(&mut a, Input::Skip);
    scenario.resume_unadmitted(&mut a, Input::Skip);
    assert!(matches!(a.step, Step::Done(Err(TokenError::Interrupted))), "{:?}", a.step);
}

/// `RENEWAL.md`, a renewal: admit.
#[test]
fn a_shutdown_is_an_error_only_if_no_old_token_is_usable() {
    let mut scenario = Scenario::new(Keep);
    let mut a = at_the_last_usable_moment(&mut scenario);
    scenario.resume_unadmitted(&mut a, Input::ShuttingDown);
    assert!(!scenario.finish(&mut a).unwrap().renewed);

    let mut a = at_the_last_usable_moment(&mut scenario);
    scenario.advance(Duration::from_millis(1));
    scenario.resume_unadmitted(&mut a, Input::ShuttingDown);
    assert!(matches!(a.step, Step::Done(Err(TokenError::ShutDown))), "{:?}", a.step);
}

/// `RENEWAL.md`, a renewal: admit.
#[test]
fn a_run_that_hubspot_asks_to_pause_hands_out_what_is_usable_and_else_says_how_long_the_pause_is() {
    let wait = Duration::from_secs(10);
    let mut scenario = Scenario::new(Keep);
    let mut a = at_the_last_usable_moment(&mut scenario);
    scenario.resume_unadmitted(&mut a, Input::Paused { wait, cause: RetryCause::RateLimited });
    assert!(!scenario.finish(&mut a).unwrap().renewed);

    let mut a = at_the_last_usable_moment(&mut scenario);
    scenario.advance(Duration::from_millis(1));
    scenario.resume_unadmitted(&mut a, Input::Paused { wait, cause: RetryCause::RateLimited });
    assert!(
        matches!(a.step, Step::Done(Err(TokenError::BackingOff { wait: told, .. })) if told == wait),
        "{:?}",
        a.step
    );
}

/// `RENEWAL.md`, a renewal: send. A pause may begin between the admission and the request.
#[test]
fn a_run_that_has_its_lease_when_hubspot_asks_for_a_pause_releases_it_and_leaves_no_trace() {
    let wait = Duration::from_secs(10);
    let mut scenario = Scenario::new(Keep);
    let before = scenario.record();
    let mut a = scenario.begin_renewal();
    while !matches!(a.step, Step::Send { .. }) {
        let input = scenario.perform(&a);
        scenario.resume(&mut a, input);
    }
    assert!(scenario.record().lease.is_some());
    scenario.resume(&mut a, Input::Paused { wait, cause: RetryCause::RateLimited });
    let error = scenario.finish(&mut a).unwrap_err();
    assert!(matches!(error, TokenError::BackingOff { wait: told, .. } if told == wait), "{error:?}");
    assert_eq!((scenario.record(), scenario.requests), (before, 0));
    let mut b = scenario.begin_renewal();
    renewed(scenario.finish(&mut b));
}

/// `RENEWAL.md`, a renewal: send. A shutdown begins between the lease and the request.
#[test]
fn a_run_that_may_not_send_any_more_gives_its_lease_back_without_a_back_off() {
    let mut scenario = Scenario::new(Keep);
    let before = scenario.record();
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    assert!(scenario.record().lease.is_some());
    scenario.resume(&mut a, Input::ShuttingDown);
    let result = scenario.finish(&mut a);
    assert!(matches!(result, Err(TokenError::ShutDown)), "{result:?}");
    assert_eq!(scenario.record(), before);
    let mut b = scenario.begin_renewal();
    renewed(scenario.finish(&mut b));
}

/// `RENEWAL.md`, a renewal: load. It waits for another run's lease when a shutdown begins.
#[test]
fn a_shutdown_ends_a_wait_for_a_lease() {
    let mut scenario = Scenario::new(Keep);
    let mut holder = scenario.begin_renewal();
    scenario.step_until_send(&mut holder);
    let mut a = scenario.begin_renewal();
    let input = scenario.perform(&a);
    scenario.resume(&mut a, input);
    assert!(matches!(a.step, Step::Sleep(_)), "{:?}", a.step);
    scenario.resume(&mut a, Input::ShuttingDown);
    assert!(matches!(a.step, Step::Done(Err(TokenError::ShutDown))), "{:?}", a.step);
}

/// Lets the store fail until an install ends without having saved its tokens, and returns what goes on with it. The store first fails at
/// the run's call with this index.
fn unsaved_install(scenario: &mut Scenario, index: usize) -> UnsavedInstall {
    scenario.advance(Duration::from_secs(1));
    let tokens = scenario.hubspot.connect(scenario.now);
    let mut install = scenario.begin_install(tokens);
    (0..index).for_each(|_| scenario.step(&mut install));
    while !matches!(install.step, Step::Done(_)) {
        match install.step {
            Step::Sleep(_) => scenario.step(&mut install),
            _ => scenario.resume(&mut install, store_unavailable()),
        }
    }
    assert!(matches!(install.step, Step::Done(Err(TokenError::Unsaved { .. }))));
    install.unsaved()
}

/// `RENEWAL.md`, an install: the run that goes on with it knows what it may replace, whether the load or the swap had failed.
#[test]
fn an_install_that_goes_on_stores_its_tokens_over_a_renewal_and_does_so_once() {
    for index in [0, 1] {
        let mut scenario = Scenario::new(Rotate);
        let unsaved = unsaved_install(&mut scenario, index);
        if index == 1 {
            // Its tokens are older than those of a later renewal of the old grant, which is of no consequence once the grant is known.
            let mut renewal = scenario.begin_renewal();
            renewed(scenario.finish(&mut renewal));
        }
        let mut again = scenario.begin_install_again(unsaved.clone());
        scenario.finish(&mut again).unwrap();
        assert_eq!(scenario.tokens(), *unsaved.tokens());
        let version = scenario.stored().version;
        let mut again = scenario.begin_install_again(again.unsaved());
        scenario.finish(&mut again).unwrap();
        assert_eq!(scenario.stored().version, version, "it was stored already");
    }
}

/// `RENEWAL.md`, C12. If no record could be loaded before, nobody knows whether the one that is stored now came later.
#[test]
fn an_install_that_goes_on_replaces_no_later_install_or_disconnect() {
    for index in [0, 1] {
        for is_disconnected in [true, false] {
            let mut scenario = Scenario::new(Keep);
            let unsaved = unsaved_install(&mut scenario, index);
            scenario.advance(Duration::from_secs(1));
            if is_disconnected {
                let mut disconnect = scenario.begin_disconnect();
                scenario.finish(&mut disconnect).unwrap();
            } else {
                let tokens = scenario.hubspot.connect(scenario.now);
                scenario.install(tokens).unwrap();
            }
            let later = scenario.stored();
            let mut again = scenario.begin_install_again(unsaved.clone());
            let error = scenario.finish(&mut again).unwrap_err();
            assert!(matches!(error, TokenError::Superseded { .. }), "{error:?}");
            assert_eq!(error.tokens(), Some(unsaved.tokens()));
            assert_eq!(scenario.stored(), later);
        }
    }
}

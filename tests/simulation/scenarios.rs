//! The scenarios of core's `RENEWAL.md`, one test each, and those that were found beyond it.

use std::time::Duration;

use hs_oauth_core::renewal::{Deadline, Demand, GrantState, Input, Step, Timing, TokenError};
use hs_oauth_core::{NextStep, TransportError, TransportErrorKind};
use hs_oauth_emulator::Rotation;
use hs_oauth_emulator::Rotation::{Keep, Rotate, Strict};
use hs_oauth_store::TokenStore;

use super::hubspot::HUB;
use super::lab::{ACCOUNT, Actor, Lab, refresh_token, renewed, store_down};

fn timeout() -> Input {
    Input::Refreshed(Err(TransportError::new(TransportErrorKind::Timeout).into()))
}

/// A has got new tokens and stands still until its lease is over; B has taken over and is about to send.
fn overtaken(
    rotation: Rotation,
) -> (Lab, Actor<hs_oauth_core::renewal::Renewal>, Input, Actor<hs_oauth_core::renewal::Renewal>) {
    let mut lab = Lab::new(rotation);
    let mut a = lab.renewal();
    lab.until_send(&mut a);
    let answer = lab.act(&a);
    lab.outlive_the_lease();
    let mut b = lab.renewal();
    lab.until_send(&mut b);
    assert!(lab.record().unsettled, "the lease that was never released says that A may have sent");
    (lab, a, answer, b)
}

#[test]
fn c1_a_lease_that_came_too_late_is_not_sent_under() {
    let mut lab = Lab::new(Rotate);
    let mut a = lab.renewal();
    lab.until_swap(&mut a);
    let stored = lab.act(&a);
    lab.outlive_the_lease();
    let mut b = lab.renewal();
    let request = lab.until_send(&mut b);

    lab.tell(&mut a, stored);
    assert!(matches!(a.step, Step::Load { .. }), "A must not send: {:?}", a.step);
    lab.step(&mut a);
    assert!(matches!(a.step, Step::Sleep(_)), "A waits for B: {:?}", a.step);

    let answer = Input::Refreshed(lab.handle(&request));
    lab.tell(&mut b, answer);
    let tokens = renewed(lab.finish(&mut b));
    assert_eq!(lab.finish(&mut a).unwrap().tokens, tokens);
    assert_eq!(lab.requests, 1);
}

#[test]
fn c2_a_lease_is_taken_over_only_after_the_clock_margin() {
    let mut lab = Lab::new(Keep);
    let timing = Timing { save: Duration::from_secs(1), ..lab.timing() };
    lab.policy = hs_oauth_core::renewal::RenewalPolicy::with_timing(timing).unwrap();
    let mut a = lab.renewal();
    lab.until_swap(&mut a);
    let stored = lab.act(&a);
    lab.pass(timing.lease - timing.request - timing.save);
    lab.tell(&mut a, stored);
    assert!(matches!(a.step, Step::Send { .. }), "the last moment at which A may send: {:?}", a.step);

    lab.pass(timing.request - Duration::from_millis(1));
    let ahead = i64::try_from(timing.clock_margin.as_millis()).unwrap();
    let mut b = lab.renewal_for(Demand::Newer, ahead);
    lab.step(&mut b);
    assert!(matches!(b.step, Step::Sleep(_)), "A's request is out, B must wait: {:?}", b.step);
}

#[test]
fn c3_a_run_sends_at_most_once_and_leaves_the_mark_that_it_may_have_been_heard() {
    let mut lab = Lab::new(Strict);
    let mut a = lab.renewal();
    lab.until_send(&mut a);
    lab.tell(&mut a, timeout());
    let Step::Swap { record, .. } = &a.step else { panic!("{:?}", a.step) };
    assert!(record.unsettled && record.lease.is_none() && record.retry.is_some(), "{record:?}");
    let error = lab.finish(&mut a).unwrap_err();
    assert!(matches!(error.next_step(), NextStep::RetryAfter(_)), "{error}");
    // The whole fleet waits.
    let waits = lab.renewal();
    let mut waits = waits;
    assert!(matches!(lab.finish(&mut waits), Err(TokenError::BackingOff { .. })));
    assert_eq!(lab.requests, 0);
}

#[test]
fn c4_tokens_in_hand_are_saved_over_the_lease_of_another() {
    let (mut lab, mut a, answer, mut b) = overtaken(Rotate);
    lab.tell(&mut a, answer);
    let tokens = renewed(lab.finish(&mut a));
    assert_eq!(lab.tokens(), tokens);
    // B is refused, since A's renewal has spent the token, and takes A's tokens.
    assert_eq!(lab.finish(&mut b).unwrap().tokens, tokens);
    assert_eq!(lab.record().state, GrantState::Live);
}

#[test]
fn c5_tokens_in_hand_are_saved_over_gone_if_it_was_said_of_the_tokens_they_replace() {
    let (mut lab, mut a, answer, mut b) = overtaken(Rotate);
    let gone = lab.finish(&mut b).unwrap_err();
    assert!(matches!(gone, TokenError::Gone { unsettled: true, .. }), "{gone:?}");
    assert_eq!(lab.record().state, GrantState::Gone);

    lab.tell(&mut a, answer);
    let tokens = renewed(lab.finish(&mut a));
    assert_eq!((lab.record().state, lab.tokens()), (GrantState::Live, tokens));
}

#[test]
fn c6_a_renewal_does_not_write_over_a_new_install_even_with_the_same_refresh_token() {
    let mut lab = Lab::new(Keep);
    let mut a = lab.renewal();
    let request = lab.until_send(&mut a);
    let answer = lab.act(&a);
    // HubSpot gives the refresh token it gave before; even the very same tokens are a new install.
    for same in [lab.tokens(), lab.handle(&request).unwrap()] {
        lab.install(same).unwrap();
    }
    let installed = lab.record();
    lab.tell(&mut a, answer);
    assert_eq!(lab.finish(&mut a).unwrap().tokens, installed.tokens.clone().unwrap());
    assert_eq!(lab.record(), installed);
}

#[test]
fn c7_a_late_save_leaves_the_lease_of_another_alone() {
    let (mut lab, mut a, answer, b) = overtaken(Rotate);
    let before = lab.record().lease;
    lab.tell(&mut a, answer);
    renewed(lab.finish(&mut a));
    assert_eq!(lab.record().lease, before);
    assert!(matches!(b.step, Step::Send { .. }));
    let mut next = lab.renewal();
    lab.step(&mut next);
    assert!(matches!(next.step, Step::Sleep(_)), "B may be sending still: {:?}", next.step);
}

#[test]
fn c8_who_finds_newer_tokens_takes_its_own_lease_away() {
    let (mut lab, mut a, answer, mut b) = overtaken(Rotate);
    lab.tell(&mut a, answer);
    renewed(lab.finish(&mut a));
    assert!(lab.record().lease.is_some());
    lab.finish(&mut b).unwrap();
    assert_eq!(lab.record().lease, None);
    let before = lab.now;
    renewed({
        let mut next = lab.renewal();
        lab.finish(&mut next)
    });
    assert_eq!(lab.now, before, "nobody waits for a lease that nobody holds");
}

#[test]
fn c9_only_a_save_under_its_own_lease_clears_the_mark() {
    for b_is_first in [false, true] {
        let (mut lab, mut a, answer, mut b) = overtaken(Strict);
        if b_is_first {
            lab.finish(&mut b).unwrap_err();
        }
        lab.tell(&mut a, answer);
        renewed(lab.finish(&mut a));
        assert!(lab.record().unsettled, "B's request may have ended the grant");
        if !b_is_first {
            lab.finish(&mut b).unwrap();
        }
        let mut next = lab.renewal();
        let gone = lab.finish(&mut next).unwrap_err();
        assert!(matches!(gone, TokenError::Gone { unsettled: true, .. }), "lost, not uninstalled: {gone:?}");
    }
    // Under its own lease it does.
    let mut lab = Lab::new(Strict);
    let mut a = lab.renewal();
    lab.until_send(&mut a);
    lab.outlive_the_lease();
    let mut b = lab.renewal();
    renewed(lab.finish(&mut b));
    assert!(!lab.record().unsettled);
}

#[test]
fn c10_a_refusal_is_not_written_over_a_disconnect_or_a_new_install() {
    let mut lab = Lab::new(Keep);
    let mut a = lab.renewal();
    lab.until_send(&mut a);
    lab.hubspot.emulator.uninstall(HUB);
    lab.step(&mut a);
    assert_eq!(lab.until_swap(&mut a).state, GrantState::Gone);
    let tokens = lab.hubspot.connect(lab.now);
    lab.install(tokens.clone()).unwrap();
    assert_eq!(lab.finish(&mut a).unwrap().tokens, tokens);
    assert_eq!(lab.record().state, GrantState::Live);

    let mut a = lab.renewal();
    lab.until_send(&mut a);
    lab.hubspot.emulator.uninstall(HUB);
    lab.step(&mut a);
    lab.until_swap(&mut a);
    let mut disconnect = lab.disconnecting();
    lab.finish(&mut disconnect).unwrap();
    assert!(matches!(lab.finish(&mut a), Err(TokenError::NotInstalled)));
    assert_eq!(lab.record().state, GrantState::Disconnected);
}

#[test]
fn c10_a_save_does_not_undo_a_disconnect() {
    let mut lab = Lab::new(Keep);
    let mut a = lab.renewal();
    lab.until_send(&mut a);
    lab.step(&mut a);
    let mut disconnect = lab.disconnecting();
    lab.finish(&mut disconnect).unwrap();
    assert!(matches!(lab.finish(&mut a), Err(TokenError::NotInstalled)));
    assert_eq!(lab.record().state, GrantState::Disconnected);
}

#[test]
fn c11_a_version_never_comes_back_even_if_the_row_is_removed() {
    let mut lab = Lab::new(Keep);
    let mut a = lab.renewal();
    lab.until_send(&mut a);
    lab.step(&mut a);
    let Step::Swap { expected: Some(held), .. } = a.step else { panic!("{:?}", a.step) };
    assert!(lab.store.remove(ACCOUNT, lab.stored().version).unwrap());
    let tokens = lab.hubspot.connect(lab.now);
    while lab.store.load(ACCOUNT).unwrap().is_none_or(|stored| stored.version < held) {
        lab.install(tokens.clone()).unwrap();
    }
    assert_ne!(lab.stored().version, held);
    assert_eq!(lab.finish(&mut a).unwrap().tokens, tokens);
}

#[test]
fn c12_an_install_whose_answer_was_lost_does_not_undo_a_disconnect() {
    let mut lab = Lab::new(Keep);
    let tokens = lab.hubspot.connect(lab.now);
    let mut install = lab.installing(tokens.clone());
    lab.until_swap(&mut install);
    assert!(matches!(lab.act(&install), Input::Stored(_)));
    let mut disconnect = lab.disconnecting();
    lab.finish(&mut disconnect).unwrap();
    lab.tell(&mut install, store_down());
    let error = lab.finish(&mut install).unwrap_err();
    assert!(matches!(&error, TokenError::Superseded { tokens: Some(back) } if **back == tokens), "{error:?}");
    assert_eq!(lab.record().state, GrantState::Disconnected);
}

#[test]
fn c12_an_install_whose_answer_was_lost_finds_itself_and_goes_over_renewals_in_between() {
    let mut lab = Lab::new(Keep);
    let tokens = lab.hubspot.connect(lab.now);
    let mut install = lab.installing(tokens.clone());
    lab.until_swap(&mut install);
    let mut renewal = lab.renewal();
    renewed(lab.finish(&mut renewal));
    lab.step(&mut install);
    lab.until_swap(&mut install);
    let Input::Stored(version) = lab.act(&install) else { panic!() };
    lab.tell(&mut install, store_down());
    assert_eq!(lab.finish(&mut install).unwrap().version, version);
    assert_eq!(lab.tokens(), tokens);
}

#[test]
fn c13_who_drops_a_new_refresh_token_at_a_tombstone_revokes_it() {
    let mut lab = Lab::new(Rotate);
    let mut a = lab.renewal();
    let request = lab.until_send(&mut a);
    let mut disconnect = lab.disconnecting();
    while !matches!(disconnect.step, Step::Revoke(_)) {
        lab.step(&mut disconnect);
    }
    let new = lab.handle(&request).unwrap();
    lab.finish(&mut disconnect).unwrap();
    assert!(lab.hubspot.knows(lab.now, refresh_token(&new)), "r0 was revoked, which is not r1");

    lab.tell(&mut a, Input::Refreshed(Ok(new.clone())));
    assert!(matches!(lab.finish(&mut a), Err(TokenError::NotInstalled)));
    assert!(!lab.hubspot.knows(lab.now, refresh_token(&new)));
    assert_eq!(lab.record().revoke, None);
}

#[test]
fn c13_a_refresh_token_that_was_kept_or_is_of_a_newer_grant_is_not_revoked() {
    // Kept: the disconnect itself revokes it.
    let mut lab = Lab::new(Keep);
    let mut a = lab.renewal();
    lab.until_send(&mut a);
    lab.step(&mut a);
    let mut disconnect = lab.disconnecting();
    lab.until_swap(&mut disconnect);
    lab.step(&mut disconnect);
    while !matches!(a.step, Step::Done(_)) {
        assert!(!matches!(a.step, Step::Revoke(_)));
        lab.step(&mut a);
    }
    // A newer grant may share it.
    let mut lab = Lab::new(Rotate);
    let mut a = lab.renewal();
    lab.until_send(&mut a);
    lab.step(&mut a);
    let tokens = lab.hubspot.connect(lab.now);
    lab.install(tokens).unwrap();
    while !matches!(a.step, Step::Done(_)) {
        assert!(!matches!(a.step, Step::Revoke(_)));
        lab.step(&mut a);
    }
}

#[test]
fn c13_a_disconnect_that_could_not_revoke_is_finished_by_the_next() {
    let mut lab = Lab::new(Keep);
    let token = lab.tokens();
    let mut disconnect = lab.disconnecting();
    while !matches!(disconnect.step, Step::Revoke(_)) {
        lab.step(&mut disconnect);
    }
    lab.tell(&mut disconnect, Input::Revoked(Err(TransportError::new(TransportErrorKind::Timeout).into())));
    assert!(matches!(lab.finish(&mut disconnect), Err(TokenError::Call(_))));
    assert_eq!(lab.record().revoke.as_ref(), Some(refresh_token(&token)));
    let mut again = lab.disconnecting();
    lab.finish(&mut again).unwrap();
    assert_eq!(lab.record().revoke, None);
    assert!(!lab.hubspot.knows(lab.now, refresh_token(&token)));
}

#[test]
fn c14_a_tokens_life_counts_from_sending_however_late_the_answer_is_read() {
    let mut lab = Lab::new(Keep);
    let mut a = lab.renewal();
    let request = lab.until_send(&mut a);
    let sent_at = lab.now;
    lab.pass(Duration::from_secs(1));
    let response = lab.hubspot.handle(lab.now, &request);
    lab.pass(Duration::from_secs(600));
    // The worst transport counts from reading.
    let body = String::from_utf8(response.body().clone()).unwrap();
    let late = lab.answer(&request, 200, &body);
    lab.tell(&mut a, late);
    let tokens = renewed(lab.finish(&mut a));
    assert_eq!(tokens.expires_at.as_millis(), sent_at + 1_800_000);
    assert!(tokens.expires_at.as_millis() <= lab.hubspot.end_of(&tokens));
}

#[test]
fn c15_new_tokens_are_handed_out_only_when_they_are_saved() {
    for rotation in [Keep, Rotate] {
        let mut lab = Lab::new(rotation);
        let mut a = lab.renewal();
        lab.until_send(&mut a);
        lab.step(&mut a);
        assert!(matches!(a.step, Step::Swap { .. }), "first the save: {:?}", a.step);
        drop(a);
        // The process died with the tokens in hand (W1). The next asks HubSpot once more.
        lab.outlive_the_lease();
        let mut b = lab.renewal();
        match (rotation, lab.finish(&mut b)) {
            (Keep, result) => _ = renewed(result),
            (_, result) => {
                assert!(matches!(result, Err(TokenError::Gone { unsettled: true, .. })), "{result:?}")
            }
        }
    }
}

#[test]
fn c16_tokens_that_could_not_be_saved_are_in_the_error_and_the_next_run_saves_them_first() {
    let mut lab = Lab::new(Rotate);
    let mut a = lab.renewal();
    lab.until_send(&mut a);
    lab.step(&mut a);
    let error = loop {
        match std::mem::replace(&mut a.step, Step::Sleep(Duration::ZERO)) {
            Step::Done(result) => break result.unwrap_err(),
            Step::Sleep(duration) => {
                lab.pass(duration);
                lab.tell(&mut a, Input::Slept);
            }
            Step::Load { .. } | Step::Swap { .. } => lab.tell(&mut a, store_down()),
            other => panic!("{other:?}"),
        }
    };
    let new = error.tokens().unwrap().clone();
    assert_ne!(lab.tokens(), new);

    let mut next = lab.renewal_with(a.into_unsaved().unwrap());
    assert!(matches!(next.step, Step::Load { .. }));
    lab.step(&mut next);
    assert!(matches!(next.step, Step::Swap { .. }), "never send before: {:?}", next.step);
    assert_eq!(renewed(lab.finish(&mut next)), new);
    assert_eq!((lab.tokens(), lab.requests), (new, 1));
}

#[test]
fn c17_a_lease_swap_whose_answer_was_lost_is_recognised_by_its_holder() {
    // With effect: the lease is there, and is used.
    let mut lab = Lab::new(Keep);
    let mut a = lab.renewal();
    lab.until_swap(&mut a);
    assert!(matches!(lab.act(&a), Input::Stored(_)));
    lab.tell(&mut a, store_down());
    renewed(lab.finish(&mut a));
    assert_eq!(lab.requests, 1);
    // Without effect: it is taken again.
    let mut a = lab.renewal();
    lab.until_swap(&mut a);
    lab.tell(&mut a, store_down());
    renewed(lab.finish(&mut a));
    assert_eq!(lab.requests, 2);
    // With an effect that lands later: it fails on its version.
    let mut a = lab.renewal();
    lab.until_swap(&mut a);
    let Step::Swap { expected, record, .. } = std::mem::replace(&mut a.step, Step::Sleep(Duration::ZERO))
    else {
        panic!()
    };
    lab.tell(&mut a, store_down());
    let tokens = renewed(lab.finish(&mut a));
    assert!(matches!(lab.store.swap(ACCOUNT, expected, &record), Ok(hs_oauth_store::Swapped::Conflict)));
    assert_eq!(lab.tokens(), tokens);
}

#[test]
fn c17_a_save_whose_answer_was_lost_is_recognised_by_its_tokens() {
    for with_effect in [true, false] {
        let mut lab = Lab::new(Rotate);
        let mut a = lab.renewal();
        lab.until_send(&mut a);
        lab.step(&mut a);
        if with_effect {
            assert!(matches!(lab.act(&a), Input::Stored(_)));
        }
        lab.tell(&mut a, store_down());
        let tokens = renewed(lab.finish(&mut a));
        assert_eq!((lab.tokens(), lab.requests, lab.record().lease), (tokens, 1, None));
    }
}

#[test]
fn c17_a_mark_or_a_release_whose_answer_was_lost_changes_nothing() {
    for with_effect in [true, false] {
        let mut lab = Lab::new(Keep);
        lab.hubspot.emulator.uninstall(HUB);
        let mut a = lab.renewal();
        lab.until_send(&mut a);
        lab.step(&mut a);
        if with_effect {
            assert!(matches!(lab.act(&a), Input::Stored(_)));
        }
        lab.tell(&mut a, store_down());
        let gone = lab.finish(&mut a).unwrap_err();
        assert!(matches!(gone, TokenError::Gone { unsettled: false, .. }), "{gone:?}");
        assert_eq!(lab.record().state, GrantState::Gone);

        let mut lab = Lab::new(Keep);
        let mut a = lab.renewal();
        lab.until_send(&mut a);
        lab.tell(&mut a, timeout());
        if with_effect {
            assert!(matches!(lab.act(&a), Input::Stored(_)));
        }
        lab.tell(&mut a, store_down());
        assert!(matches!(a.step, Step::Done(Err(TokenError::Call(_)))), "tried once: {:?}", a.step);
        lab.outlive_the_lease();
        lab.pass(Duration::from_secs(120));
        let mut next = lab.renewal();
        renewed(lab.finish(&mut next));
    }
}

#[test]
fn c18_a_refusal_that_is_not_of_the_grant_changes_no_accounts_state() {
    for (status, body) in [
        (400, r#"{"error":"invalid_client"}"#),
        (400, r#"{"status":"BAD_CLIENT_ID"}"#),
        (400, "<html>"),
        (401, ""),
        (403, "{}"),
        (404, "gone"),
        (418, r#"{"error":"something_new"}"#),
    ] {
        let mut lab = Lab::new(Keep);
        let before = lab.record();
        let mut a = lab.renewal();
        let request = lab.until_send(&mut a);
        let refused = lab.answer(&request, status, body);
        lab.tell(&mut a, refused);
        let error = lab.finish(&mut a).unwrap_err();
        assert_eq!(error.next_step(), NextStep::FixConfiguration, "{status} {body}");
        let mut after = lab.record();
        let wait = after.retry.take().unwrap().at.since(super::hubspot::at(lab.now));
        assert!((30..=90).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(after, before);
    }
}

#[test]
fn c19_older_tokens_are_not_put_over_newer_ones_though_the_refresh_token_is_the_same() {
    let (mut lab, mut a, answer, mut b) = overtaken(Keep);
    let newer = renewed(lab.finish(&mut b));
    lab.tell(&mut a, answer);
    assert_eq!(lab.finish(&mut a).unwrap().tokens, newer);
    assert_eq!(lab.tokens(), newer);
}

#[test]
fn c20_an_install_goes_over_gone() {
    let mut lab = Lab::new(Keep);
    lab.hubspot.emulator.uninstall(HUB);
    let tokens = lab.hubspot.connect(lab.now);
    let mut install = lab.installing(tokens.clone());
    lab.until_swap(&mut install);
    let mut a = lab.renewal();
    assert!(matches!(lab.finish(&mut a), Err(TokenError::Gone { .. })));
    lab.finish(&mut install).unwrap();
    assert_eq!((lab.record().state, lab.tokens()), (GrantState::Live, tokens));
}

// Beyond RENEWAL.md's own.

#[test]
fn gone_is_remembered_and_nothing_more_is_sent() {
    let mut lab = Lab::new(Keep);
    lab.hubspot.emulator.uninstall(HUB);
    for _ in 0..3 {
        let mut a = lab.renewal();
        assert!(matches!(lab.finish(&mut a), Err(TokenError::Gone { unsettled: false, .. })));
    }
    assert_eq!(lab.requests, 1);
}

#[test]
fn a_store_that_takes_no_writes_ends_a_run_after_a_few_tries() {
    for demand in [Demand::Usable, Demand::Newer] {
        let mut lab = Lab::new(Keep);
        lab.pass(Duration::from_secs(1500));
        let mut a = lab.renewal_for(demand.clone(), 0);
        let mut swaps = 0;
        let result = loop {
            match &a.step {
                Step::Swap { .. } => {
                    swaps += 1;
                    assert!(swaps < 10, "the run does not end");
                    lab.tell(&mut a, store_down());
                }
                Step::Done(_) => break lab.finish(&mut a),
                _ => lab.step(&mut a),
            }
        };
        match demand {
            Demand::Usable => assert!(!result.unwrap().renewed, "the old token is good still"),
            _ => assert!(matches!(result, Err(TokenError::Store(_)))),
        }
        assert_eq!(lab.requests, 0);
    }
}

#[test]
fn tokens_saved_so_late_that_they_are_over_are_renewed_and_not_handed_out() {
    let mut lab = Lab::new(Rotate);
    let mut a = lab.renewal();
    lab.until_send(&mut a);
    lab.step(&mut a);
    lab.pass(Duration::from_secs(3600));
    lab.tell(&mut a, store_down());
    let mut next = lab.renewal_with(a.into_unsaved().unwrap());
    let tokens = renewed(lab.finish(&mut next));
    assert!(tokens.expires_at.as_millis() > lab.now + 1_700_000, "handed out when it was over");
    assert_eq!(lab.requests, 2);
}

#[test]
fn a_mark_that_is_never_stored_ends_after_a_few_tries_and_the_grant_is_not_called_gone() {
    let mut lab = Lab::new(Keep);
    lab.hubspot.emulator.uninstall(HUB);
    let mut a = lab.renewal();
    lab.until_send(&mut a);
    lab.step(&mut a);
    // The store is read from, and takes no writes.
    for _ in 0..50 {
        match &a.step {
            Step::Swap { .. } => lab.tell(&mut a, store_down()),
            Step::Done(result) => {
                assert!(matches!(result, Err(TokenError::Store(_))), "{result:?}");
                return;
            }
            _ => lab.step(&mut a),
        }
    }
    panic!("the run does not end");
}

/// Goes on with a store that answers every write with a conflict; gives the run's end and the time it took.
fn always_in_conflict<R: hs_oauth_core::renewal::Run>(
    lab: &mut Lab,
    actor: &mut Actor<R>,
) -> Result<R::Output, TokenError> {
    for _ in 0..2_000 {
        match std::mem::replace(&mut actor.step, Step::Sleep(Duration::ZERO)) {
            Step::Done(result) => return result,
            step @ Step::Swap { .. } => {
                actor.step = step;
                lab.tell(actor, Input::Conflict);
            }
            step => {
                actor.step = step;
                lab.step(actor);
            }
        }
    }
    panic!("the run does not end");
}

#[test]
fn a_store_that_answers_every_write_with_a_conflict_ends_every_run() {
    let mut lab = Lab::new(Rotate);
    let mut take = lab.renewal();
    assert!(matches!(always_in_conflict(&mut lab, &mut take), Err(TokenError::Store(_))));

    let mut save = lab.renewal();
    lab.until_send(&mut save);
    lab.step(&mut save);
    let began = lab.now;
    let unsaved = always_in_conflict(&mut lab, &mut save).unwrap_err();
    assert!(unsaved.tokens().is_some(), "{unsaved:?}");
    assert!(lab.now - began > 30_000, "the tokens exist nowhere else, so it tries as long as it may");
    let mut next = lab.renewal_with(save.into_unsaved().unwrap());
    renewed(lab.finish(&mut next));

    lab.hubspot.emulator.uninstall(HUB);
    let mut mark = lab.renewal();
    lab.until_send(&mut mark);
    lab.step(&mut mark);
    assert!(matches!(always_in_conflict(&mut lab, &mut mark), Err(TokenError::Store(_))));

    let tokens = lab.hubspot.connect(lab.now);
    let mut install = lab.installing(tokens.clone());
    let error = always_in_conflict(&mut lab, &mut install).unwrap_err();
    assert!(matches!(&error, TokenError::Unsaved { tokens: back, .. } if **back == tokens), "{error:?}");
    let mut disconnect = lab.disconnecting();
    assert!(matches!(always_in_conflict(&mut lab, &mut disconnect), Err(TokenError::Store(_))));
}

#[test]
fn a_store_that_fails_slowly_keeps_nobody_longer_than_a_lease_lasts() {
    let mut lab = Lab::new(Keep);
    let mut a = lab.renewal();
    let began = lab.now;
    while !matches!(a.step, Step::Done(_)) {
        match &a.step {
            Step::Swap { .. } => {
                lab.pass(Duration::from_secs(30));
                lab.tell(&mut a, store_down());
            }
            _ => lab.step(&mut a),
        }
    }
    assert!(matches!(lab.finish(&mut a), Err(TokenError::Store(_))));
    assert!(lab.now - began <= 95_000, "{} ms", lab.now - began);
}

#[test]
fn an_outage_is_not_believed_to_last_a_day_but_a_limit_is() {
    for (status, longest) in [(503, 15 * 60), (429, 24 * 60 * 60), (477, 24 * 60 * 60)] {
        let mut lab = Lab::new(Keep);
        let mut a = lab.renewal();
        let request = lab.until_send(&mut a);
        let response =
            http::Response::builder().status(status).header("retry-after", "99999999").body(Vec::new());
        let answer = hs_oauth_core::Endpoint::read_response(
            &request,
            &lab.hubspot.app,
            super::hubspot::at(lab.now),
            &response.unwrap(),
        );
        lab.tell(&mut a, Input::Refreshed(answer));
        lab.finish(&mut a).unwrap_err();
        let wait = (lab.record().retry.unwrap().at.as_millis() - lab.now) / 1000;
        assert!((longest..=longest * 11 / 10).contains(&wait), "{status}: {wait} s");
    }
}

#[test]
fn a_save_that_fails_is_given_up_in_time_even_if_the_clock_is_set_back_meanwhile() {
    let mut lab = Lab::new(Rotate);
    let mut a = lab.renewal();
    lab.until_send(&mut a);
    lab.step(&mut a);
    a.clock = -3_600_000;
    let mut slept = Duration::ZERO;
    while !matches!(a.step, Step::Done(_)) {
        match &a.step {
            Step::Sleep(duration) => {
                slept += *duration;
                assert!(slept < lab.timing().lease * 2, "it goes on for {slept:?}");
                lab.tell(&mut a, Input::Slept);
            }
            _ => lab.tell(&mut a, store_down()),
        }
    }
    assert!(matches!(lab.finish(&mut a), Err(TokenError::Unsaved { .. })));
}

#[test]
fn a_retry_after_of_nothing_does_not_switch_the_back_off_off() {
    let mut lab = Lab::new(Keep);
    let mut before = 0;
    for failures in 1..=5 {
        let mut a = lab.renewal();
        let request = lab.until_send(&mut a);
        let response =
            http::Response::builder().status(503).header("retry-after", "0").body(Vec::new()).unwrap();
        let answer = hs_oauth_core::Endpoint::read_response(
            &request,
            &lab.hubspot.app,
            super::hubspot::at(lab.now),
            &response,
        );
        lab.tell(&mut a, Input::Refreshed(answer));
        lab.finish(&mut a).unwrap_err();
        let retry = lab.record().retry.unwrap();
        let wait = retry.at.as_millis() - lab.now;
        assert!(retry.failures == failures && wait >= 500 && wait * 4 >= before, "{failures}: {wait} ms");
        before = wait;
        lab.now = retry.at.as_millis();
    }
    assert!(before >= 8_000, "{before} ms after five failures");
}

#[test]
fn a_rescued_refresh_token_that_could_not_be_saved_is_saved_by_the_next_run_with_its_back_off() {
    let mut lab = Lab::new(Rotate);
    let mut a = lab.renewal();
    let request = lab.until_send(&mut a);
    let old = lab.tokens();
    let response = lab.hubspot.handle(lab.now, &request);
    let broken = String::from_utf8(response.body().clone())
        .unwrap()
        .replace("\"expires_in\":1800", "\"expires_in\":-1");
    let broken = lab.answer(&request, 200, &broken);
    lab.tell(&mut a, broken);
    lab.outlive_the_lease();
    lab.tell(&mut a, store_down());
    assert!(matches!(a.step, Step::Done(Err(TokenError::Unsaved { .. }))), "{:?}", a.step);
    let mut next = lab.renewal_with(a.into_unsaved().unwrap());
    assert!(!lab.finish(&mut next).unwrap().renewed, "the access token is the old one");
    let record = lab.record();
    assert!(record.lease.is_none() && record.unsettled && record.retry.is_some(), "{record:?}");
    assert_ne!(lab.tokens().refresh_token, old.refresh_token);
}

#[test]
fn a_late_save_releases_the_lease_its_tokens_were_got_under() {
    let mut lab = Lab::new(Rotate);
    let mut a = lab.renewal();
    lab.until_send(&mut a);
    lab.step(&mut a);
    lab.outlive_the_lease();
    lab.tell(&mut a, store_down());
    let mut next = lab.renewal_with(a.into_unsaved().unwrap());
    renewed(lab.finish(&mut next));
    assert_eq!((lab.record().lease, lab.record().unsettled), (None, false), "nobody else can have sent");
}

#[test]
fn a_grant_that_hubspot_does_not_know_any_more_is_disconnected_all_the_same() {
    let mut lab = Lab::new(Keep);
    let mut disconnect = lab.disconnecting();
    while !matches!(disconnect.step, Step::Revoke(_)) {
        lab.step(&mut disconnect);
    }
    let Step::Revoke(revoke) = &disconnect.step else { panic!() };
    let body = br#"{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}"#.to_vec();
    let response = http::Response::builder().status(400).body(body).unwrap();
    let refused = hs_oauth_core::Endpoint::read_response(
        revoke,
        &lab.hubspot.app,
        super::hubspot::at(lab.now),
        &response,
    );
    lab.tell(&mut disconnect, Input::Revoked(refused));
    lab.finish(&mut disconnect).unwrap();
    assert_eq!(lab.record().revoke, None);
}

#[test]
fn a_mark_that_cannot_be_checked_is_a_store_error_and_not_a_grant_that_is_gone() {
    let mut lab = Lab::new(Keep);
    lab.hubspot.emulator.uninstall(HUB);
    let mut a = lab.renewal();
    lab.until_send(&mut a);
    lab.step(&mut a);
    lab.tell(&mut a, store_down());
    lab.step(&mut a);
    lab.tell(&mut a, store_down());
    assert!(matches!(a.step, Step::Done(Err(TokenError::Store(_)))), "{:?}", a.step);
}

#[test]
fn a_refresh_token_in_an_answer_that_cannot_be_used_is_saved() {
    let mut lab = Lab::new(Rotate);
    let mut a = lab.renewal();
    let request = lab.until_send(&mut a);
    let response = lab.hubspot.handle(lab.now, &request);
    let cut = String::from_utf8(response.body().clone())
        .unwrap()
        .replace("\"expires_in\":1800", "\"expires_in\":-1");
    let broken = lab.answer(&request, 200, &cut);
    lab.tell(&mut a, broken);
    assert!(lab.finish(&mut a).is_err());
    let record = lab.record();
    assert!(record.unsettled && record.retry.is_some() && record.lease.is_none());
    lab.pass(Duration::from_secs(120));
    let mut next = lab.renewal();
    renewed(lab.finish(&mut next));
}

#[test]
fn a_back_off_and_a_lease_from_a_clock_that_was_wrong_are_not_believed() {
    let hour = 3_600_000;
    let mut lab = Lab::new(Keep);
    let mut a = lab.renewal_for(Demand::Newer, 30 * hour);
    lab.until_send(&mut a);
    // Its lease ends in thirty hours by this clock.
    let mut b = lab.renewal();
    lab.step(&mut b);
    assert!(matches!(b.step, Step::Swap { .. }), "{:?}", b.step);
    drop(b);
    lab.tell(&mut a, timeout());
    lab.step(&mut a);
    assert!(lab.record().retry.is_some());
    let mut b = lab.renewal();
    renewed(lab.finish(&mut b));
}

#[test]
fn who_has_waited_for_one_holder_as_long_as_a_lease_may_last_takes_over_whatever_the_clock_says() {
    let mut lab = Lab::new(Keep);
    let mut a = lab.renewal();
    lab.until_send(&mut a);
    let timing = lab.timing();
    let mut b = lab.renewal();
    let mut slept = Duration::ZERO;
    loop {
        match &b.step {
            // B's clock stands still.
            Step::Sleep(duration) => {
                slept += *duration;
                assert!(slept < timing.lease * 2, "B waits for ever");
                lab.tell(&mut b, Input::Slept);
            }
            Step::Swap { .. } => break,
            _ => lab.step(&mut b),
        }
    }
    assert!(slept >= timing.lease + timing.clock_margin, "{slept:?}");
}

#[test]
fn retry_after_is_kept_by_the_whole_fleet_and_the_old_token_is_handed_out_meanwhile() {
    let mut lab = Lab::new(Keep);
    lab.pass(Duration::from_secs(1500));
    let mut a = lab.renewal_for(Demand::Usable, 0);
    let request = lab.until_send(&mut a);
    let response =
        http::Response::builder().status(429).header("retry-after", "50").body(Vec::new()).unwrap();
    let answer = hs_oauth_core::Endpoint::read_response(
        &request,
        &lab.hubspot.app,
        super::hubspot::at(lab.now),
        &response,
    );
    lab.tell(&mut a, Input::Refreshed(answer));
    assert!(!lab.finish(&mut a).unwrap().renewed);
    let record = lab.record();
    assert!(!record.unsettled, "a 429 is surely no renewal");
    assert!(record.retry.unwrap().at.as_millis() >= lab.now + 50_000);
    for (wait, sends) in [(49, 0), (10, 1)] {
        lab.pass(Duration::from_secs(wait));
        let mut b = lab.renewal_for(Demand::Usable, 0);
        lab.finish(&mut b).unwrap();
        assert_eq!(lab.requests, sends);
    }
}

#[test]
fn another_token_than_the_rejected_one_is_handed_out_without_a_request() {
    let mut lab = Lab::new(Keep);
    let old = lab.tokens();
    let mut a = lab.renewal();
    let new = renewed(lab.finish(&mut a));
    let mut b = lab.renewal_for(Demand::OtherThan(old.access_token), 0);
    assert_eq!(lab.finish(&mut b).unwrap().tokens, new);
    assert_eq!(lab.requests, 1);
}

/// A caller who would do with the old token asks for a turn a millisecond before that is handed out no more.
fn before_the_last_moment(lab: &mut Lab) -> Actor<hs_oauth_core::renewal::Renewal> {
    let until = lab.policy.schedule(&lab.tokens()).usable_until;
    lab.now = until.as_millis() - 1;
    let mut a = lab.renewal_for(Demand::Usable, 0);
    let loaded = lab.act(&a);
    lab.hand_in(&mut a, loaded);
    assert!(
        matches!(a.step, Step::Admit { deadline: Deadline::At(moment) } if moment == until),
        "{:?}",
        a.step
    );
    a
}

/// RENEWAL.md, a renewal: turn.
#[test]
fn who_does_not_wait_for_a_turn_while_the_old_token_is_good_waits_once_it_is_not() {
    let mut lab = Lab::new(Keep);
    let mut a = before_the_last_moment(&mut lab);
    lab.hand_in(&mut a, Input::Skip);
    assert!(!lab.finish(&mut a).unwrap().renewed, "the old token will do");

    let mut a = before_the_last_moment(&mut lab);
    lab.pass(Duration::from_millis(1));
    lab.hand_in(&mut a, Input::Skip);
    assert!(matches!(a.step, Step::Admit { deadline: Deadline::Now }), "a caller waits: {:?}", a.step);
    lab.hand_in(&mut a, Input::Admit { waited: true });
    renewed(lab.finish(&mut a));
}

/// RENEWAL.md, a renewal: turn; "no loop is without end".
#[test]
fn a_driver_that_will_not_wait_though_there_is_no_old_token_does_not_keep_the_run() {
    let mut lab = Lab::new(Keep);
    let mut a = before_the_last_moment(&mut lab);
    lab.pass(Duration::from_millis(1));
    lab.hand_in(&mut a, Input::Skip);
    lab.hand_in(&mut a, Input::Skip);
    assert!(matches!(a.step, Step::Done(Err(TokenError::Interrupted))), "{:?}", a.step);
}

/// RENEWAL.md, a renewal: turn.
#[test]
fn a_shutdown_is_said_only_of_what_is_shut_down_and_only_if_there_is_no_old_token() {
    let mut lab = Lab::new(Keep);
    let mut a = before_the_last_moment(&mut lab);
    lab.hand_in(&mut a, Input::ShuttingDown);
    assert!(!lab.finish(&mut a).unwrap().renewed);

    let mut a = before_the_last_moment(&mut lab);
    lab.pass(Duration::from_millis(1));
    lab.hand_in(&mut a, Input::ShuttingDown);
    assert!(matches!(a.step, Step::Done(Err(TokenError::ShutDown))), "{:?}", a.step);
}

//! The scenarios of core's `RENEWAL.md`, C21 to C24: the boundary between apps and between accounts.

use std::time::Duration;

use hs_oauth_core::renewal::{
    CurrentTokens, Demand, GrantState, Input, Renewal, RetryCause, Step, TokenError,
};
use hs_oauth_core::{Account, NextStep, Refresh, RefreshToken, TokenSet, TransportError, TransportErrorKind};
use hs_oauth_emulator::Rotation;
use hs_oauth_emulator::Rotation::{Keep, Rotate, Strict};
use serde_json::{Value, json};

use super::hubspot::{ACCOUNT, Deployment, HUB};
use super::scenario::{Scenario, StepwiseRun, during_a_mass_refusal, refresh_token, refreshed, renewed};

fn demands(scenario: &Scenario) -> [Demand; 5] {
    let rejected = scenario.tokens().access_token;
    let forced = [Demand::Newer, Demand::NewerDespiteRetryAfter, Demand::Recheck];
    let [newer, despite, recheck] = forced;
    [Demand::Usable, Demand::OtherThan(rejected), newer, despite, recheck]
}

fn assert_is_of_another_app<T: std::fmt::Debug>(result: Result<T, TokenError>, scenario: &Scenario) {
    let error = result.unwrap_err();
    assert!(matches!(error, TokenError::OtherApp { .. }), "{error:?}");
    assert_eq!(error.next_step(), NextStep::FixConfiguration);
    let text = error.to_string();
    for deployment in [Deployment::Right, Deployment::OtherApp] {
        assert!(text.contains(scenario.hubspot.app(deployment).client_id()), "{text}");
    }
}

#[test]
fn c21_with_another_app_nothing_is_sent_marked_handed_out_or_written_and_after_the_rollback_everything_works()
{
    for rotation in [Keep, Rotate, Strict] {
        for state in ["fresh", "soon", "expired", "leased", "backing off", "gone"] {
            let mut scenario = Scenario::new(rotation);
            match state {
                "soon" => scenario.advance_until_soon(),
                "expired" => scenario.advance_until_expired(),
                "leased" => _ = scenario.begin_renewal_and_send(),
                "backing off" => scenario.fail(503, None),
                "gone" => scenario.rewrite(|record| record.state = GrantState::Gone),
                _ => {}
            }
            let before = scenario.stored();
            scenario.deployment = Deployment::OtherApp;
            for demand in demands(&scenario) {
                assert_is_of_another_app(scenario.renew(demand), &scenario);
            }
            let mut disconnect = scenario.begin_disconnect();
            assert_is_of_another_app(scenario.finish(&mut disconnect), &scenario);
            assert_eq!((scenario.stored(), scenario.requests), (before, 0), "{state}");

            scenario.deployment = Deployment::Right;
            scenario.advance_past_the_lease();
            renewed(scenario.renew(Demand::Newer));
        }
    }
}

#[test]
fn c21_an_install_by_another_app_replaces_the_record_whole() {
    let mut scenario = Scenario::new(Keep);
    scenario.fail(503, None);
    let tokens = scenario.hubspot.connect(scenario.now);
    scenario.deployment = Deployment::OtherApp;
    scenario.install(tokens.clone()).unwrap();
    let record = scenario.record();
    let other = scenario.hubspot.app(Deployment::OtherApp).client_id();
    assert_eq!((record.client_id.as_deref(), record.tokens), (Some(other), Some(tokens)));
    assert_eq!((record.retry, record.lease, record.unsettled), (None, None, false));

    scenario.deployment = Deployment::Right;
    assert_is_of_another_app(scenario.renew(Demand::Usable), &scenario);
}

#[test]
fn c21_a_tombstone_of_another_app_is_left_alone_too() {
    let mut scenario = Scenario::new(Keep);
    let mut disconnect = scenario.begin_disconnect();
    scenario.step_until_revoke(&mut disconnect);
    let before = scenario.stored();
    scenario.deployment = Deployment::OtherApp;
    assert_is_of_another_app(scenario.renew(Demand::Usable), &scenario);
    let mut other = scenario.begin_disconnect();
    assert_is_of_another_app(scenario.finish(&mut other), &scenario);
    assert_eq!(scenario.stored(), before);
}

/// An old record says no app. If the first process that writes it gave it its own, a wrong one would close it to the right one.
#[test]
fn c21_an_old_record_gets_the_app_whose_refresh_hubspot_accepts_and_not_one_that_was_refused() {
    let mut scenario = Scenario::new(Rotate);
    scenario.rewrite(|record| record.client_id = None);
    scenario.deployment = Deployment::OtherApp;
    let mut other = scenario.begin_renewal();
    scenario.step_until_send(&mut other);
    assert_eq!(scenario.record().client_id, None, "not with the lease");
    let refused = scenario.perform(&other);
    scenario.resume(&mut other, during_a_mass_refusal(refused));
    scenario.finish(&mut other).unwrap_err();
    assert_eq!(scenario.record().client_id, None, "not with a back-off");
    let refused = scenario.renew(Demand::Newer);
    assert!(matches!(refused, Err(TokenError::Gone { refusal: Some(_), .. })), "{refused:?}");
    assert_eq!(scenario.record().client_id, None, "not with the mark");

    scenario.deployment = Deployment::Right;
    renewed(scenario.renew(Demand::Recheck));
    let right = scenario.hubspot.app.client_id();
    assert_eq!(scenario.record().client_id.as_deref(), Some(right));
}

/// Found by the simulation, in schedule 37943: another run has saved over the lease of the wrong app, and has named the right one.
#[test]
fn c21_a_run_of_another_app_does_not_give_its_lease_back_in_a_record_that_names_its_app_by_now() {
    let mut scenario = Scenario::new(Rotate);
    scenario.rewrite(|record| record.client_id = None);
    scenario.deployment = Deployment::OtherApp;
    let mut other = scenario.begin_renewal();
    scenario.step_until_send(&mut other);
    let refused = scenario.perform(&other);
    let newer = scenario.hubspot.connect(scenario.now);
    let right = scenario.hubspot.app.client_id().to_owned();
    scenario.rewrite(|record| (record.client_id, record.tokens) = (Some(right), Some(newer)));
    let before = scenario.stored();
    scenario.resume(&mut other, refused);
    let result = scenario.finish(&mut other);
    assert!(matches!(result, Err(TokenError::OtherApp { .. })), "{result:?}");
    assert_eq!(scenario.stored(), before);
}

#[test]
fn c21_a_refresh_token_that_was_saved_alone_gives_an_old_record_its_app() {
    let mut scenario = Scenario::new(Rotate);
    scenario.rewrite(|record| record.client_id = None);
    let mut a = scenario.begin_renewal();
    let request = scenario.step_until_send(&mut a);
    let response = scenario.hubspot.handle(scenario.now, &request);
    let body = String::from_utf8(response.into_body()).unwrap();
    let unusable =
        scenario.response(&request, 200, &body.replace("\"expires_in\":1800", "\"expires_in\":-1"));
    scenario.resume(&mut a, unusable);
    scenario.finish(&mut a).unwrap_err();
    assert_eq!(scenario.record().client_id.as_deref(), Some(scenario.hubspot.app.client_id()));
}

#[test]
fn c22_during_a_mass_refusal_an_account_is_not_marked_but_backs_off_and_its_old_token_is_handed_out() {
    for (unsettled, is_usable) in [(false, true), (true, true), (false, false), (true, false)] {
        let mut scenario = Scenario::new(Keep);
        scenario.rewrite(|record| record.unsettled = unsettled);
        match is_usable {
            true => scenario.advance_until_soon(),
            false => scenario.advance_until_expired(),
        }
        let before = scenario.record();
        scenario.hubspot.emulator.uninstall(HUB);
        let mut a = scenario.begin_renewal_for(Demand::Usable, 0);
        scenario.step_until_send(&mut a);
        let refused = scenario.perform(&a);
        scenario.resume(&mut a, during_a_mass_refusal(refused));
        let error = match scenario.finish(&mut a) {
            Ok(CurrentTokens { tokens, renewed: false, refresh_error: Some(error), .. }) if is_usable => {
                assert_eq!(Some(tokens), before.tokens);
                error
            }
            Err(error) if !is_usable => error,
            other => panic!("{other:?}"),
        };
        assert!(matches!(error, TokenError::MassRefusal { .. }), "{error:?}");
        assert_eq!(error.next_step(), NextStep::FixConfiguration);

        let mut after = scenario.record();
        let retry = after.retry.take().unwrap();
        assert_eq!(after, before, "live, and as unsettled as before");
        let wait = retry.at.as_millis() - scenario.now;
        assert!((30_000..=90_000).contains(&wait), "{wait} ms");
        assert_eq!(retry.cause, Some(RetryCause::MassRefusal));
        assert_eq!(retry.credential.as_ref(), Some(scenario.hubspot.app.identity().credential()));

        // Those who have to wait learn of the cause.
        match scenario.renew(Demand::Usable) {
            Ok(current) => assert!(is_usable && !current.renewed),
            Err(error) => {
                assert!(!is_usable);
                assert!(
                    matches!(&error, TokenError::BackingOff { cause: Some(RetryCause::MassRefusal), .. }),
                    "{error:?}"
                );
                assert_eq!(error.next_step(), NextStep::FixConfiguration);
            }
        }
        assert_eq!(scenario.requests, 1);
    }
}

#[test]
fn c22_the_back_off_of_a_mass_refusal_doubles() {
    let mut scenario = Scenario::new(Keep);
    scenario.hubspot.emulator.uninstall(HUB);
    let mut waits = Vec::new();
    for _ in 0..4 {
        let mut a = scenario.begin_renewal();
        scenario.step_until_send(&mut a);
        let refused = scenario.perform(&a);
        scenario.resume(&mut a, during_a_mass_refusal(refused));
        scenario.finish(&mut a).unwrap_err();
        let retry = scenario.record().retry.unwrap();
        waits.push((retry.at.as_millis() - scenario.now, retry.failures));
        scenario.now = retry.at.as_millis();
    }
    for (number, (wait, failures)) in waits.iter().enumerate() {
        let expected = 60_000 << number;
        assert!((expected / 2..=expected * 3 / 2).contains(wait), "{waits:?}");
        assert_eq!(*failures as usize, number + 1);
    }
}

#[test]
fn c22_a_response_with_tokens_is_saved_during_a_mass_refusal_too() {
    let mut scenario = Scenario::new(Rotate);
    let mut a = scenario.begin_renewal();
    scenario.step_until_send(&mut a);
    let response = scenario.perform(&a);
    scenario.resume(&mut a, during_a_mass_refusal(response));
    let tokens = renewed(scenario.finish(&mut a));
    assert_eq!(scenario.tokens(), tokens);
}

/// The accounts that are refused first are marked before anyone can know of the others.
#[test]
fn c22_a_recheck_brings_back_an_account_that_was_marked() {
    for rotation in [Keep, Rotate, Strict] {
        let mut scenario = Scenario::new(rotation);
        scenario.rewrite(|record| record.client_id = None);
        scenario.deployment = Deployment::OtherApp;
        assert!(matches!(scenario.renew(Demand::Newer), Err(TokenError::Gone { .. })));
        scenario.deployment = Deployment::Right;
        assert!(matches!(scenario.renew(Demand::Usable), Err(TokenError::Gone { refusal: None, .. })));
        let tokens = renewed(scenario.renew(Demand::Recheck));
        assert_eq!((scenario.record().state, scenario.tokens()), (GrantState::Live, tokens.clone()));
        assert_eq!(scenario.renew(Demand::Usable).unwrap().tokens, tokens);
    }
}

/// HubSpot's response to a refresh, with other values for these fields.
fn with_fields(scenario: &mut Scenario, request: &Refresh, fields: &[(&str, Value)]) -> String {
    let response = scenario.hubspot.handle(scenario.now, request);
    scenario.requests += 1;
    let mut body: Value = serde_json::from_slice(response.body()).unwrap();
    for (name, value) in fields {
        body[name] = value.clone();
    }
    body.to_string()
}

#[test]
fn c23_nothing_is_kept_of_a_response_that_names_another_hub_or_user() {
    let theirs = |name: &'static str| (name, json!(format!("na1-theirs-{name}")));
    let (access, refresh) = (theirs("access_token"), theirs("refresh_token"));
    let (hub, user) = (("hub_id", json!(HUB + 1)), ("user_id", json!(7)));
    let unreadable = ("expires_in", json!(-1));
    let ours = Account::user(HUB, 123_456);
    let cases = [
        (vec![hub.clone()], ACCOUNT, Account::hub(HUB + 1)),
        (vec![hub.clone(), user.clone()], ACCOUNT, Account::hub(HUB + 1)),
        (vec![user.clone()], ours, Account::user(HUB, 7)),
        (vec![hub, unreadable.clone()], ACCOUNT, Account::hub(HUB + 1)),
        (vec![user, unreadable], ours, Account::user(HUB, 7)),
    ];
    for rotation in [Keep, Rotate] {
        for (fields, expected, named) in &cases {
            for is_usable in [true, false] {
                let mut scenario = Scenario::new(rotation);
                match is_usable {
                    true => scenario.advance_until_soon(),
                    false => scenario.advance_until_expired(),
                }
                let before = scenario.record();
                let mut a = scenario.begin_renewal_for(Demand::Usable, 0);
                let request = scenario.step_until_send(&mut a);
                let mut fields = fields.clone();
                fields.extend([access.clone(), refresh.clone()]);
                let body = with_fields(&mut scenario, &request, &fields);
                let crossed = scenario.response(&request, 200, &body);
                scenario.resume(&mut a, crossed);
                let error = match scenario.finish(&mut a) {
                    Ok(CurrentTokens { tokens, renewed: false, refresh_error: Some(error), .. })
                        if is_usable =>
                    {
                        assert_eq!(Some(tokens), before.tokens);
                        error
                    }
                    Err(error) if !is_usable => error,
                    other => panic!("{other:?}"),
                };
                let TokenError::OtherAccount { expected: told_expected, named: told_named, tokens: None } =
                    error
                else {
                    panic!("{error:?}")
                };
                assert_eq!((told_expected, told_named), (*expected, *named));
                let text = error.to_string();
                assert!(text.contains(&expected.to_string()) && text.contains(&named.to_string()), "{text}");

                let mut after = scenario.record();
                let retry = after.retry.take().unwrap();
                assert_eq!(retry.cause, Some(RetryCause::OtherAccount));
                assert!(!retry.requested && retry.credential.is_none());
                assert!(std::mem::take(&mut after.unsettled), "HubSpot may have acted");
                assert_eq!(after, before, "nothing of the response is kept");
            }
        }
    }
}

#[test]
fn c23_after_a_crossed_response_the_next_run_sends_the_old_refresh_token_again() {
    let mut scenario = Scenario::new(Keep);
    let mut a = scenario.begin_renewal();
    let request = scenario.step_until_send(&mut a);
    let body = with_fields(&mut scenario, &request, &[("hub_id", json!(HUB + 1))]);
    let crossed = scenario.response(&request, 200, &body);
    scenario.resume(&mut a, crossed);
    scenario.finish(&mut a).unwrap_err();
    scenario.advance(Duration::from_secs(120));
    renewed(scenario.renew(Demand::Newer));
    let mut b = scenario.begin_renewal();
    assert_eq!(scenario.step_until_send(&mut b).refresh_token(), request.refresh_token());
}

/// A response that breaks off in the middle of a number names nobody else, and its refresh token is the only one.
#[test]
fn c23_half_a_user_id_is_not_another_users() {
    for cut in [r#""hub_id":6251"#, r#""hub_id":62515,"user_id":1"#, r#""hub_id":62515,"user_id":12345"#] {
        let mut scenario = Scenario::new(Rotate);
        let mut a = scenario.begin_renewal();
        let request = scenario.step_until_send(&mut a);
        let new = scenario.handle(&request).unwrap();
        let token = refresh_token(&new).expose();
        let response = scenario.response(&request, 200, &format!(r#"{{"refresh_token":"{token}",{cut}"#));
        scenario.resume(&mut a, response);
        let error = scenario.finish(&mut a).unwrap_err();
        assert!(matches!(error, TokenError::Call(_)), "{error:?}");
        scenario.advance(Duration::from_secs(120));
        renewed(scenario.renew(Demand::Newer));
    }
}

#[test]
fn c24_a_recheck_does_not_overwrite_a_new_install() {
    for (rotation, same_refresh_token) in [(Keep, true), (Keep, false), (Rotate, false)] {
        for is_refused in [true, false] {
            let mut scenario = Scenario::new(rotation);
            scenario.rewrite(|record| record.state = GrantState::Gone);
            let old = scenario.tokens();
            let mut recheck = scenario.begin_renewal_for(Demand::Recheck, 0);
            scenario.step_until_send(&mut recheck);
            if is_refused {
                scenario.deployment = Deployment::OtherApp;
            }
            let response = scenario.perform(&recheck);
            scenario.deployment = Deployment::Right;
            let tokens = match same_refresh_token {
                true => old,
                false => scenario.hubspot.connect(scenario.now),
            };
            scenario.install(tokens.clone()).unwrap();
            let installed = scenario.record();
            scenario.resume(&mut recheck, response);
            match scenario.finish(&mut recheck) {
                Ok(current) => assert_eq!((current.tokens, current.renewed), (tokens, false)),
                // The installed tokens are those that the recheck was to replace.
                Err(error) => assert!(same_refresh_token, "{error:?}"),
            }
            assert_eq!(scenario.record(), installed);
        }
    }
}

/// An account of which only the refresh token is known.
fn imported(rotation: Rotation) -> Scenario {
    let mut scenario = Scenario::new(rotation);
    let tokens = TokenSet::from_refresh_token(refresh_token(&scenario.tokens()).clone());
    scenario.install(tokens).unwrap();
    scenario
}

/// Steps a renewal of an imported refresh token to the question whose its new tokens are, since the response does not say it.
fn asking(scenario: &mut Scenario) -> StepwiseRun<Renewal> {
    let mut a = scenario.begin_renewal_for(Demand::Usable, 0);
    let request = scenario.step_until_send(&mut a);
    let null = Value::Null;
    let body = with_fields(scenario, &request, &[("hub_id", null.clone()), ("user_id", null)]);
    let unnamed = scenario.response(&request, 200, &body);
    scenario.resume(&mut a, unnamed);
    assert!(matches!(a.step, Step::Introspect(_)), "{:?}", a.step);
    a
}

#[test]
fn an_imported_refresh_token_is_renewed_at_the_first_use_with_as_much_time_as_any() {
    for rotation in [Keep, Rotate] {
        let mut scenario = imported(rotation);
        let mut a = scenario.begin_renewal_for(Demand::Usable, 0);
        scenario.step_until_send(&mut a);
        let Step::Send { timeout, .. } = a.step else { panic!() };
        let timing = scenario.policy.longest_timing();
        assert_eq!(timeout, timing.request);
        let lease = scenario.record().lease.unwrap();
        assert_eq!(lease.until.as_millis(), scenario.now + u64::try_from(timing.lease.as_millis()).unwrap());
        let tokens = renewed(scenario.finish(&mut a));
        assert!(tokens.has_access_token() && tokens.hub_id == Some(HUB));
    }
}

#[test]
fn an_import_that_cannot_be_renewed_hands_out_nothing() {
    let mut scenario = imported(Keep);
    scenario.fail(503, None);
    let error = scenario.renew(Demand::Usable).unwrap_err();
    assert!(matches!(error, TokenError::BackingOff { .. }), "{error:?}");
}

#[test]
fn hubspot_is_asked_once_whose_imported_tokens_are_if_the_response_does_not_say_it() {
    let mut scenario = imported(Rotate);
    let mut a = asking(&mut scenario);
    let tokens = renewed(scenario.finish(&mut a));
    assert_eq!((tokens.hub_id, tokens.user_id), (Some(HUB), Some(123_456)));
    assert!(tokens.scopes.is_some());
    assert_eq!(scenario.tokens(), tokens);

    // The next response does not say it either, but the account is known now.
    let mut b = scenario.begin_renewal();
    let request = scenario.step_until_send(&mut b);
    let null = Value::Null;
    let body = with_fields(&mut scenario, &request, &[("hub_id", null.clone()), ("user_id", null)]);
    let unnamed = scenario.response(&request, 200, &body);
    scenario.resume(&mut b, unnamed);
    assert!(matches!(b.step, Step::Swap { .. }), "{:?}", b.step);
    assert_eq!(renewed(scenario.finish(&mut b)).hub_id, Some(HUB));
}

#[test]
fn imported_tokens_that_hubspot_says_are_another_hubs_or_apps_are_not_used() {
    for (from, to) in
        [("\"hub_id\":62515", "\"hub_id\":62516"), ("a1b2c3d4-e5f6-7890-abcd-ef1234567890", "b")]
    {
        let mut scenario = imported(Keep);
        let before = scenario.record();
        let mut a = asking(&mut scenario);
        let Step::Introspect(introspect) = &a.step else { panic!() };
        let introspect = introspect.clone();
        let response = scenario.hubspot.handle(scenario.now, &introspect);
        let body = String::from_utf8(response.into_body()).unwrap();
        assert!(body.contains(from), "{body}");
        let theirs = scenario.read(&introspect, 200, &body.replace(from, to));
        scenario.resume(&mut a, Input::Introspected(theirs));
        let error = scenario.finish(&mut a).unwrap_err();
        match to {
            "b" => assert!(matches!(error, TokenError::OtherApp { .. }), "{error:?}"),
            _ => assert!(
                matches!(error, TokenError::OtherAccount { named, .. } if named == Account::hub(62516)),
                "{error:?}"
            ),
        }
        let mut after = scenario.record();
        assert_eq!(after.retry.take().and_then(|retry| retry.cause), Some(RetryCause::OtherAccount));
        assert!(std::mem::take(&mut after.unsettled));
        assert_eq!(after, before);
    }
}

/// Until HubSpot says whose they are, the access token is not used. But a refresh token that replaced another exists nowhere else.
#[test]
fn if_hubspot_does_not_say_whose_imported_tokens_are_the_new_refresh_token_is_kept_and_the_next_run_asks() {
    for failure in ["timeout", "inactive"] {
        for rotation in [Keep, Rotate] {
            let mut scenario = imported(rotation);
            let before = scenario.tokens();
            let mut a = asking(&mut scenario);
            let Step::Introspect(introspect) = &a.step else { panic!() };
            let response = match failure {
                "timeout" => Err(TransportError::new(TransportErrorKind::Timeout).into()),
                _ => scenario.read(&introspect.clone(), 200, r#"{"active":false}"#),
            };
            scenario.resume(&mut a, Input::Introspected(response));
            let error = scenario.finish(&mut a).unwrap_err();
            match failure {
                "timeout" => assert!(matches!(error, TokenError::Call(_)), "{error:?}"),
                _ => assert!(matches!(error, TokenError::UnknownAccount { .. }), "{error:?}"),
            }
            let record = scenario.record();
            let tokens = record.tokens.unwrap();
            assert!(!tokens.has_access_token() && record.lease.is_none());
            assert!(record.unsettled && record.retry.is_some());
            let is_new = tokens.refresh_token != before.refresh_token;
            assert_eq!(is_new, rotation == Rotate, "the newest refresh token is stored");

            scenario.advance(Duration::from_secs(120));
            let mut next = asking(&mut scenario);
            renewed(scenario.finish(&mut next));
        }
    }
}

/// HubSpot issued the new refresh token of this response, and it is the only one.
#[test]
fn a_refresh_token_that_was_kept_alone_is_saved_over_nothing_newer() {
    let mut scenario = imported(Rotate);
    let mut a = asking(&mut scenario);
    let tokens = scenario.hubspot.connect(scenario.now);
    scenario.install(tokens.clone()).unwrap();
    scenario
        .resume(&mut a, Input::Introspected(Err(TransportError::new(TransportErrorKind::Timeout).into())));
    assert_eq!(scenario.finish(&mut a).unwrap().tokens, tokens);
    assert_eq!(scenario.tokens(), tokens);
}

/// RFC 6749 §6: the server may keep the refresh token. Then the response need not repeat it.
#[test]
fn an_imported_refresh_token_that_a_response_does_not_repeat_stays() {
    let mut scenario = imported(Keep);
    let sent: RefreshToken = refresh_token(&scenario.tokens()).clone();
    let mut a = scenario.begin_renewal_for(Demand::Usable, 0);
    let request = scenario.step_until_send(&mut a);
    let mut new = scenario.handle(&request).unwrap();
    new.refresh_token = None;
    scenario.resume(&mut a, refreshed(Ok(new)));
    assert_eq!(renewed(scenario.finish(&mut a)).refresh_token, Some(sent));
}

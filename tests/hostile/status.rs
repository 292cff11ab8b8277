//! Every status there is, waits that are asked for in every way, and statuses without what belongs to them.

use std::time::Duration;

use hs_oauth_core::NextStep;
use hs_oauth_core::Problem::{Empty, NotJson};

use super::case::Want::{Refusal, Tokens, Unusable};
use super::case::{BUG, Case, FIX, LATER, case};
use super::world::{answer, say, tokens};

/// HubSpot's error table: 423, 429, 477 and 5xx pass; no other status of an unknown body costs an account anything.
#[test]
fn every_status_from_400_to_599_has_its_next_step_and_ends_no_grant() {
    super::run(&refusals());
}

#[test]
fn statuses_that_nobody_knows_are_no_answer_and_end_no_grant() {
    super::run(&odd());
}

/// RFC 9110 §10.2.3.
#[test]
fn a_wait_is_kept_to_if_it_can_be_read() {
    super::run(&waits());
}

pub(crate) fn cases() -> Vec<Case> {
    [odd(), waits()].into_iter().flatten().collect()
}

fn wait(seconds: u64) -> NextStep {
    NextStep::RetryAfter(Some(Duration::from_secs(seconds)))
}

pub(crate) fn refusals() -> Vec<Case> {
    let bodies = ["", "<html>gateway", "{", "[]", r#"{"error":{}}"#, "\0"];
    (400..=599)
        .map(|status| {
            let next = match status {
                423 => wait(2),
                429 => wait(10),
                477 | 500.. => LATER,
                _ => FIX,
            };
            let body = bodies[usize::from(status) % bodies.len()];
            case(
                format!("the status {status} with {body:?}"),
                say(answer(status, "", body)),
                Refusal(status),
                next,
            )
        })
        .collect()
}

fn odd() -> Vec<Case> {
    let body = tokens();
    let tokens = |status| say(answer(status, "", &body));
    let gone = |status| say(answer(status, "", r#"{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}"#));
    vec![
        case("tokens with a 201", tokens(201), Tokens, None),
        case("tokens with a 203", tokens(203), Tokens, None),
        case(
            "a 204 where a body is due",
            say("HTTP/1.1 204 X\r\nconnection: close\r\n\r\n"),
            Unusable(vec![Empty]),
            BUG,
        ),
        case("a 204 that has a body all the same", tokens(204), Unusable(vec![Empty]), BUG),
        case("a 205 where a body is due", say(answer(205, "", "")), Unusable(vec![Empty]), BUG),
        case(
            "a 206 with a part",
            say(answer(206, "content-range: bytes 0-4/99\r\n", "{\"acc")),
            Unusable(vec![NotJson]),
            BUG,
        ),
        case("tokens with a 299", tokens(299), Tokens, None),
        case("a 304 to a POST", say("HTTP/1.1 304 X\r\nconnection: close\r\n\r\n"), Refusal(304), FIX),
        case("tokens with a 300", tokens(300), Refusal(300), FIX),
        case("tokens with a 399", tokens(399), Refusal(399), FIX),
        case("tokens with a 400", tokens(400), Refusal(400), FIX),
        case("tokens with a 500", tokens(500), Refusal(500), LATER),
        case("a 600", tokens(600), Refusal(600), LATER),
        case("a 777", tokens(777), Refusal(777), LATER),
        case("a 999", tokens(999), Refusal(999), LATER),
        case("a refused grant by way of a redirect", gone(302), Refusal(302), FIX),
        case("a refused grant by way of a 423", gone(423), Refusal(423), wait(2)),
        case("a refused grant by way of a 429", gone(429), Refusal(429), wait(10)),
        case("a refused grant by way of a 477", gone(477), Refusal(477), LATER),
        case("a refused grant by way of a 500", gone(500), Refusal(500), LATER),
        case("a refused grant by way of a 503", gone(503), Refusal(503), LATER),
        case("a refused grant by way of a 999", gone(999), Refusal(999), LATER),
        case("a refused grant with a 200", gone(200), Unusable(missing()), BUG),
        case(
            "a refused client",
            say(answer(401, "", r#"{"error":"invalid_client","status":"BAD_REFRESH_TOKEN"}"#)),
            Refusal(401),
            FIX,
        ),
        case(
            "a login that is asked for",
            say(answer(401, "www-authenticate: Basic realm=\"x\"\r\n", "")),
            Refusal(401),
            FIX,
        ),
        case(
            "a login to a proxy that is asked for",
            say(answer(407, "proxy-authenticate: Basic realm=\"x\"\r\n", "")),
            Refusal(407),
            FIX,
        ),
        case(
            "an upgrade that is asked for",
            say(answer(426, "upgrade: h2c\r\nconnection: upgrade\r\n", "")),
            Refusal(426),
            FIX,
        ),
        case(
            "a captive portal",
            say(answer(511, "content-type: text/html\r\n", "<a href=/login>")),
            Refusal(511),
            LATER,
        ),
        case("a request that took too long", say(answer(408, "", "")), Refusal(408), FIX),
    ]
}

fn missing() -> Vec<hs_oauth_core::Problem> {
    ["access_token", "expires_in", "token_type"].map(hs_oauth_core::Problem::Missing).into()
}

fn waits() -> Vec<Case> {
    let day = 24 * 60 * 60;
    [
        ("seconds", "retry-after: 17", wait(17)),
        ("no seconds", "retry-after: 0", wait(0)),
        ("seconds with spaces around", "retry-after:   17  ", wait(17)),
        (
            "a date",
            "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:50:37 GMT",
            wait(60),
        ),
        (
            "a date as of old",
            "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sunday, 06-Nov-94 08:50:37 GMT",
            wait(60),
        ),
        (
            "a date of asctime",
            "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun Nov  6 08:50:37 1994",
            wait(60),
        ),
        (
            "a date in the past",
            "date: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:00:00 GMT",
            wait(0),
        ),
        ("a date in the past and none to count from", "retry-after: Sun, 06 Nov 1994 08:00:00 GMT", wait(0)),
        ("a date far in the future", "retry-after: Fri, 31 Dec 9999 23:59:59 GMT", wait(day)),
        ("a date that cannot be", "retry-after: Sun, 99 Nov 1994 08:00:00 GMT", wait(10)),
        ("a date in another zone", "retry-after: Sun, 06 Nov 2094 08:00:00 PST", wait(10)),
        ("less than nothing", "retry-after: -5", wait(10)),
        ("a sign", "retry-after: +5", wait(10)),
        ("a part of a second", "retry-after: 1.5", wait(10)),
        ("an exponent", "retry-after: 1e9", wait(10)),
        ("hexadecimal", "retry-after: 0x10", wait(10)),
        ("a million years", "retry-after: 31556952000000", wait(day)),
        ("more than 64 bits", "retry-after: 99999999999999999999999999", wait(day)),
        ("garbage", "retry-after: soon", wait(10)),
        ("nothing", "retry-after:", wait(10)),
        ("two values in one", "retry-after: 5, 7", wait(10)),
        ("what is not ASCII", "retry-after: \u{663}", wait(10)),
        ("seconds twice", "retry-after: 5\r\nretry-after: 7", wait(7)),
        ("seconds and garbage", "retry-after: garbage\r\nretry-after: 7", wait(7)),
    ]
    .map(|(name, headers, next)| {
        let script = say(answer(429, &format!("{headers}\r\n"), ""));
        case(format!("a wait of {name}"), script, Refusal(429), next)
    })
    .into()
}

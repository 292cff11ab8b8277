//! All statuses, all forms of `Retry-After`, and statuses without the header or body that belongs to them.

use std::time::Duration;

use hs_oauth_core::NextStep;
use hs_oauth_core::Problem::{Empty, NotJson};

use super::case::Want::{ErrorResponse, Tokens, Unusable};
use super::case::{BUG, Case, FIX, LATER, case};
use super::setup::{respond_with, response, token_response};

/// HubSpot's error table: 423, 429, 477 and 5xx pass by themselves. No other status with an unknown body ends a grant.
#[test]
fn every_status_from_400_to_599_has_its_next_step_and_ends_no_grant() {
    super::run(&errors());
}

#[test]
fn unusual_statuses_end_no_grant() {
    super::run(&odd());
}

/// RFC 9110 §10.2.3.
#[test]
fn a_retry_after_that_can_be_read_is_kept_to() {
    super::run(&waits());
}

pub(crate) fn cases() -> Vec<Case> {
    [odd(), waits()].into_iter().flatten().collect()
}

fn wait(seconds: u64) -> NextStep {
    NextStep::RetryAfter(Some(Duration::from_secs(seconds)))
}

pub(crate) fn errors() -> Vec<Case> {
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
                respond_with(response(status, "", body)),
                ErrorResponse(status),
                next,
            )
        })
        .collect()
}

fn odd() -> Vec<Case> {
    let body = token_response();
    let tokens = |status| respond_with(response(status, "", &body));
    let gone = |status| {
        respond_with(response(status, "", r#"{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}"#))
    };
    vec![
        case("tokens with a 201", tokens(201), Tokens, None),
        case("tokens with a 203", tokens(203), Tokens, None),
        case(
            "a 204 where a body is due",
            respond_with("HTTP/1.1 204 X\r\nconnection: close\r\n\r\n"),
            Unusable(vec![Empty]),
            BUG,
        ),
        case("a 204 that has a body all the same", tokens(204), Unusable(vec![Empty]), BUG),
        case("a 205 where a body is due", respond_with(response(205, "", "")), Unusable(vec![Empty]), BUG),
        case(
            "a 206 with a part",
            respond_with(response(206, "content-range: bytes 0-4/99\r\n", "{\"acc")),
            Unusable(vec![NotJson]),
            BUG,
        ),
        case("tokens with a 299", tokens(299), Tokens, None),
        case(
            "a 304 to a POST",
            respond_with("HTTP/1.1 304 X\r\nconnection: close\r\n\r\n"),
            ErrorResponse(304),
            FIX,
        ),
        case("tokens with a 300", tokens(300), ErrorResponse(300), FIX),
        case("tokens with a 399", tokens(399), ErrorResponse(399), FIX),
        case("tokens with a 400", tokens(400), ErrorResponse(400), FIX),
        case("tokens with a 500", tokens(500), ErrorResponse(500), LATER),
        case("a 600", tokens(600), ErrorResponse(600), LATER),
        case("a 777", tokens(777), ErrorResponse(777), LATER),
        case("a 999", tokens(999), ErrorResponse(999), LATER),
        case("a refused grant with a redirect", gone(302), ErrorResponse(302), FIX),
        case("a refused grant with a 423", gone(423), ErrorResponse(423), wait(2)),
        case("a refused grant with a 429", gone(429), ErrorResponse(429), wait(10)),
        case("a refused grant with a 477", gone(477), ErrorResponse(477), LATER),
        case("a refused grant with a 500", gone(500), ErrorResponse(500), LATER),
        case("a refused grant with a 503", gone(503), ErrorResponse(503), LATER),
        case("a refused grant with a 999", gone(999), ErrorResponse(999), LATER),
        case("a refused grant with a 200", gone(200), Unusable(missing()), BUG),
        case(
            "a refused client",
            respond_with(response(401, "", r#"{"error":"invalid_client","status":"BAD_REFRESH_TOKEN"}"#)),
            ErrorResponse(401),
            FIX,
        ),
        case(
            "a gateway that denies access",
            respond_with(response(403, "", r#"{"error":"access_denied"}"#)),
            ErrorResponse(403),
            FIX,
        ),
        case("a refused grant with a 403", gone(403), ErrorResponse(403), FIX),
        case("a refused grant with a 404", gone(404), ErrorResponse(404), FIX),
        case(
            "a refused grant beside a wrong secret",
            respond_with(response(400, "", r#"{"error":"invalid_grant","status":"BAD_CLIENT_SECRET"}"#)),
            ErrorResponse(400),
            FIX,
        ),
        case(
            "a refused grant beside a wrong secret among the faults",
            respond_with(response(
                400,
                "",
                r#"{"error":"invalid_grant","errors":[{"code":"BAD_CLIENT_SECRET"}]}"#,
            )),
            ErrorResponse(400),
            FIX,
        ),
        case(
            "a page that quotes a refused grant",
            respond_with(response(
                400,
                "",
                r#"<p>{"error":"invalid_grant","status":"BAD_REFRESH_TOKEN"}</p>"#,
            )),
            ErrorResponse(400),
            FIX,
        ),
        case(
            "a login that is asked for",
            respond_with(response(401, "www-authenticate: Basic realm=\"x\"\r\n", "")),
            ErrorResponse(401),
            FIX,
        ),
        case(
            "a login to a proxy that is asked for",
            respond_with(response(407, "proxy-authenticate: Basic realm=\"x\"\r\n", "")),
            ErrorResponse(407),
            FIX,
        ),
        case(
            "an upgrade that is asked for",
            respond_with(response(426, "upgrade: h2c\r\nconnection: upgrade\r\n", "")),
            ErrorResponse(426),
            FIX,
        ),
        case(
            "a captive portal",
            respond_with(response(511, "content-type: text/html\r\n", "<a href=/login>")),
            ErrorResponse(511),
            LATER,
        ),
        case("a request that took too long", respond_with(response(408, "", "")), ErrorResponse(408), FIX),
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
        let script = respond_with(response(429, &format!("{headers}\r\n"), ""));
        case(format!("a wait of {name}"), script, ErrorResponse(429), next)
    })
    .into()
}

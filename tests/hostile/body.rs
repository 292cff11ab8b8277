//! Successful responses whose body is wrong.

use hs_oauth_core::Problem::{self, Empty, Invalid, Missing, NotAnObject, NotJson, Repeated, WrongType};

use super::case::Want::{RescuedTokens, Tokens, Unusable};
use super::case::{BUG, Case, case};
use super::setup::{NEW, body, respond_with, response, token_response};

/// RFC 8259, RFC 6749 §5.1: a token response is one whole JSON object with all the fields that are needed.
#[test]
fn a_body_that_is_not_a_token_response_is_an_error_and_its_refresh_token_is_kept() {
    super::run(&shapes());
}

#[test]
fn a_field_with_an_impossible_value_is_named_and_the_refresh_token_is_kept() {
    super::run(&fields());
}

/// RFC 6750 §2.1: a token goes into a header, so it may hold only what a header can hold.
#[test]
fn a_token_that_cannot_be_sent_in_a_header_is_not_accepted() {
    super::run(&bad_tokens());
}

pub(crate) fn cases() -> Vec<Case> {
    [shapes(), fields(), bad_tokens()].into_iter().flatten().collect()
}

fn good(name: &str, body: impl AsRef<[u8]>) -> Case {
    case(name, respond_with(response(200, "content-type: application/json\r\n", body)), Tokens, None)
}

/// A body from which nothing can be rescued.
fn bad(name: &str, body: impl AsRef<[u8]>, problems: &[Problem]) -> Case {
    case(name, respond_with(response(200, "", body)), Unusable(problems.to_vec()), BUG)
}

/// A body from which the refresh token can be rescued.
fn rescued(name: &str, body: impl AsRef<[u8]>, problems: &[Problem]) -> Case {
    case(name, respond_with(response(200, "", body)), RescuedTokens(problems.to_vec(), NEW), BUG)
}

fn shapes() -> Vec<Case> {
    let all = token_response();
    let before = |field: &[u8]| [b"{", field, b",", all.strip_prefix('{').unwrap().as_bytes()].concat();
    let nested = |open: &str, count| open.repeat(count);
    let within = |inner: &str| all.replacen('{', &format!(r#"{{"unknown":{inner},"#), 1);
    let behind = |inner: &str| format!(r#"{},"unknown":{inner}}}"#, all.strip_suffix('}').unwrap());
    let arrays = nested("[", 100_000) + &nested("]", 100_000);
    let objects = nested(r#"{"a":"#, 100_000) + "1" + &nested("}", 100_000);
    let utf16: Vec<u8> = all.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let with_bytes = |bytes: &[u8]| {
        let (before, after) = all.split_once("bearer").unwrap();
        [before.as_bytes(), bytes, after.as_bytes()].concat()
    };
    let missing = ["access_token", "expires_in", "token_type"].map(Missing);
    vec![
        bad("nothing", "", &[Empty]),
        bad("white space", " \r\n\t ", &[Empty]),
        bad("a page in HTML", "<!DOCTYPE html><title>Log in</title>", &[NotJson]),
        bad("a form", "access_token=qZx7-new-access&token_type=bearer", &[NotJson]),
        bad("XML", "<?xml version=\"1.0\"?><token/>", &[NotJson]),
        bad("null", "null", &[NotAnObject]),
        bad("a number", "1800", &[NotAnObject]),
        bad("a text", r#""qZx7-new-access""#, &[NotAnObject]),
        bad("a list of tokens", format!("[{all}]"), &[NotAnObject]),
        bad("an empty object", "{}", &missing),
        bad("an empty list", "[]", &[NotAnObject]),
        bad("JSON that ends in a token", all.split_once("-access").unwrap().0, &[NotJson]),
        rescued("JSON that ends behind the tokens", all.split_once(r#","token_type"#).unwrap().0, &[NotJson]),
        rescued("JSON without its last bracket", all.strip_suffix('}').unwrap(), &[NotJson]),
        rescued("JSON twice", format!("{all}{all}"), &[NotJson]),
        rescued("JSON twice, a line each", format!("{all}\n{all}"), &[NotJson]),
        rescued("JSON and a comma", format!("{all},"), &[NotJson]),
        rescued("JSON with a comma too many", all.replace('}', ",}"), &[NotJson]),
        rescued("JSON and a NUL", format!("{all}\0"), &[NotJson]),
        bad("JSON in a callback", format!("callback({all})"), &[NotJson]),
        bad("JSON behind a guard", format!(")]}}',\n{all}"), &[NotJson]),
        bad("JSON in single quotes", all.replace('"', "'"), &[NotJson]),
        bad("JSON with a comment", format!("/* tokens */{all}"), &[NotJson]),
        bad("100,000 nested lists", &arrays, &[NotAnObject]),
        bad("100,000 nested lists that are not closed", nested("[", 100_000), &[NotAnObject]),
        bad("100,000 nested objects", &objects, &missing),
        good("100,000 nested lists in an unknown field", within(&arrays)),
        good("100,000 nested objects in an unknown field", behind(&objects)),
        good(
            "100,000 nested lists for the scopes",
            behind("1").replace("unknown", "scopes").replace(":1}", &format!(":{arrays}}}")),
        ),
        good(
            "100,000 nested objects for the account",
            behind("1").replace("unknown", "hub_id").replace(":1}", &format!(":{objects}}}")),
        ),
        rescued(
            "100,000 nested lists for the access token",
            body(&arrays, "1800"),
            &[WrongType("access_token")],
        ),
        rescued(
            "100,000 nested objects for the lifetime",
            body(r#""qZx7-new-access""#, &objects),
            &[WrongType("expires_in")],
        ),
        rescued(
            "100,000 nested lists behind the tokens that are not closed",
            behind(&nested("[", 100_000)),
            &[NotJson],
        ),
        good("a hundred nested lists", within(&(nested("[", 100) + &nested("]", 100)))),
        good("100,000 unknown fields", within(&format!("[{}1]", "{\"a\":1},".repeat(50_000)))),
        good("an unknown number beyond all bounds", within("1e99999999999")),
        rescued("a field with a number that is none", behind("1e"), &[NotJson]),
        good("a byte order mark", format!("\u{feff}{all}")),
        rescued("two byte order marks behind the tokens", format!("{all}\u{feff}"), &[NotJson]),
        bad("UTF-16", &utf16, &[NotJson]),
        bad("UTF-16 with a byte order mark", [&b"\xff\xfe"[..], &utf16].concat(), &[NotJson]),
        rescued("a field that is not UTF-8", with_bytes(b"\xff\xfe"), &[NotJson]),
        rescued("a field of overlong UTF-8", with_bytes(b"\xc0\xaf"), &[NotJson]),
        rescued("a field with half of a pair", with_bytes(br"\ud800"), &[NotJson]),
        rescued("a field with a raw line break", with_bytes(b"a\nb"), &[NotJson]),
        rescued("a number beyond all bounds before the tokens", before(br#""user_id":1e400"#), &[NotJson]),
        rescued(
            "a list with such a number before the tokens",
            before(br#""scopes":["oauth",-1e999]"#),
            &[NotJson],
        ),
        rescued("half of a pair before the tokens", before(br#""token_use":"\ud800""#), &[NotJson]),
        rescued("half of a pair in a name before the tokens", before(br#""\udfff":{"a":"b"}"#), &[NotJson]),
        rescued("what is not UTF-8 before the tokens", before(b"\"scope\":\"\xe9\""), &[NotJson]),
        good("an escaped name", all.replace("access_token", r"\u0061ccess_token")),
        good("unknown fields of all types", within(r#"[null,true,1.5,"x",{"y":[]}]"#)),
        good("a text of 100,000 characters", within(&format!("\"{}\"", "x".repeat(100_000)))),
        rescued(
            "the access token twice",
            all.replacen('{', r#"{"access_token":"qZx7-other","#, 1),
            &[Repeated("access_token")],
        ),
        rescued(
            "the refresh token twice",
            all.replacen('{', r#"{"refresh_token":"qZx7-other","#, 1),
            &[Repeated("refresh_token")],
        ),
        rescued(
            "a refresh token, and then one that is true",
            all.replace('}', r#","refresh_token":true}"#),
            &[Repeated("refresh_token")],
        ),
        rescued(
            "a refresh token, and then one with a line break",
            all.replace('}', r#","refresh_token":"b\nad"}"#),
            &[Repeated("refresh_token")],
        ),
        rescued("the lifetime twice", all.replacen('{', r#"{"expires_in":1,"#, 1), &[Repeated("expires_in")]),
        rescued(
            "the token type twice",
            all.replacen('{', r#"{"token_type":"mac","#, 1),
            &[Repeated("token_type")],
        ),
        bad("names in capitals", all.to_uppercase(), &missing),
    ]
}

fn fields() -> Vec<Case> {
    let lives = |life: &str| body(r#""qZx7-new-access""#, life);
    let typed = |kind: &str| token_response().replace(r#""bearer""#, kind);
    let renewed_by = |token: &str| token_response().replace(&format!("\"{NEW}\""), token);
    let life = |problem: fn(&'static str) -> Problem| [problem("expires_in")];
    let kind = |problem: fn(&'static str) -> Problem| [problem("token_type")];
    vec![
        good("a lifetime of a second", lives("61")),
        good("a lifetime beyond all reason", lives("9223372036854775807")),
        rescued("a lifetime beyond 63 bits", lives("18446744073709551615"), &life(WrongType)),
        rescued("a lifetime beyond 64 bits", lives("99999999999999999999"), &life(WrongType)),
        rescued("a lifetime of nothing", lives("0"), &life(Invalid)),
        rescued("a lifetime of less than nothing", lives("-1800"), &life(Invalid)),
        rescued("a lifetime of minus nothing", lives("-0"), &life(WrongType)),
        rescued("a lifetime with a fraction", lives("1800.5"), &life(WrongType)),
        rescued("a lifetime with an empty fraction", lives("1800.0"), &life(WrongType)),
        rescued("a lifetime with an exponent", lives("1e3"), &life(WrongType)),
        rescued("a lifetime as a text", lives(r#""1800""#), &life(Invalid)),
        rescued("a lifetime in words", lives(r#""half an hour""#), &life(Invalid)),
        rescued("a lifetime that is null", lives("null"), &life(Missing)),
        rescued("a lifetime that is true", lives("true"), &life(WrongType)),
        rescued("a lifetime in a list", lives("[1800]"), &life(WrongType)),
        rescued("no lifetime", token_response().replace(r#","expires_in":1800"#, ""), &life(Missing)),
        rescued("a lifetime that is no JSON", lives("NaN"), &[NotJson]),
        rescued("a lifetime with a leading zero", lives("01800"), &[NotJson]),
        good("a token type in capitals", typed(r#""BEARER""#)),
        rescued("an unknown token type", typed(r#""mac""#), &kind(Invalid)),
        rescued("a token type that begins well", typed(r#""bearer ""#), &kind(Invalid)),
        rescued("a token type bound to a key", typed(r#""DPoP""#), &kind(Invalid)),
        rescued("an empty token type", typed(r#""""#), &kind(Invalid)),
        rescued("a token type that is null", typed("null"), &kind(Missing)),
        rescued("a token type that is a number", typed("1"), &kind(Invalid)),
        rescued("a token type in a list", typed(r#"["bearer"]"#), &kind(WrongType)),
        rescued("no token type", token_response().replace(r#""token_type":"bearer","#, ""), &kind(Missing)),
        bad("a refresh token that is a number", renewed_by("1"), &[Invalid("refresh_token")]),
        bad("a refresh token in an object", renewed_by("{}"), &[WrongType("refresh_token")]),
        bad("an empty refresh token", renewed_by(r#""""#), &[Invalid("refresh_token")]),
        bad("a refresh token with a line break", renewed_by(r#""qZx7\n""#), &[Invalid("refresh_token")]),
        bad("a refresh token with a NUL", renewed_by(r#""qZx7\u0000""#), &[Invalid("refresh_token")]),
    ]
}

fn bad_tokens() -> Vec<Case> {
    let token = |name: &str, token: &str, problem: fn(&'static str) -> Problem| {
        rescued(name, body(token, "1800"), &[problem("access_token")])
    };
    vec![
        rescued(
            "no token",
            token_response().replace(r#""access_token":"qZx7-new-access","#, ""),
            &[Missing("access_token")],
        ),
        token("a token that is null", "null", Missing),
        token("a token that is empty", r#""""#, Invalid),
        token("a token of one dot", r#"".""#, Invalid),
        token("a token of 200,000 letters", &format!("\"{}\"", "x".repeat(200_000)), Invalid),
        token("a token that is a number", "17", Invalid),
        token("a token that is true", "true", WrongType),
        token("a token in a list", r#"["qZx7-new-access"]"#, WrongType),
        token("a token in an object", r#"{"token":"qZx7-new-access"}"#, WrongType),
        token("a token with a line break", r#""qZx7\nx""#, Invalid),
        token("a token with a CR", r#""qZx7\rx""#, Invalid),
        token("a token with a header behind it", r#""qZx7\r\nx-admin: true""#, Invalid),
        token("a token with a NUL", r#""qZx7\u0000x""#, Invalid),
        token("a token with a tab", r#""qZx7\tx""#, Invalid),
        token("a token with a DEL", r#""qZx7\u007fx""#, Invalid),
        token("a token with an escape", r#""qZx7\u001b[2Jx""#, Invalid),
        token("a token with a space", r#""qZx7 x""#, Invalid),
        token("a token of spaces", r#""   ""#, Invalid),
        token("a token that is not ASCII", r#""qZx7-ü""#, Invalid),
        token("a token with a sign that turns the text around", r#""qZx7\u202ex""#, Invalid),
        token("a token with a character beyond 16 bits", r#""qZx7\ud83c\udf7a""#, Invalid),
        token("a token with a space of no width", r#""qZx7\u200bx""#, Invalid),
    ]
}

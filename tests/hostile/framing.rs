//! Responses with broken framing: lengths, chunks, headers and interim responses. And bytes that are not HTTP at all.

use hs_oauth_core::Problem::{Empty, NotJson, Truncated};
use hs_oauth_core::TransportErrorKind::{Interrupted, ResponseTooLarge, Timeout};

use super::case::Want::{ErrorResponse, OneOf, RescuedTokens, Tokens, Transport, Unusable};
use super::case::{BUG, Case, FIX, LATER, case, waiting};
use super::server::{Act, Script};
use super::setup::{NEW, respond_with, response, token_response};

/// RFC 9112 §6.3: a response must say where it ends.
#[test]
fn a_response_with_an_impossible_length_is_an_error() {
    super::run(&lengths());
}

/// RFC 9112 §7.1.
#[test]
fn a_response_in_broken_chunks_is_an_error() {
    super::run(&chunks());
}

#[test]
fn a_response_without_an_end_is_given_up() {
    super::run(&endless_responses());
}

/// RFC 9110 §15.2: any number of interim responses may come first.
#[test]
fn interim_responses_are_passed_over() {
    super::run(&interim());
}

#[test]
fn bytes_that_are_not_http_are_an_error() {
    super::run(&no_http());
}

pub(crate) fn cases() -> Vec<Case> {
    [lengths(), chunks(), endless_responses(), interim(), no_http()].into_iter().flatten().collect()
}

/// Returns a response with these headers. Only they, or the end of the connection, say where it ends.
fn with(headers: &str, body: impl AsRef<[u8]>) -> Script {
    let head = format!("HTTP/1.1 200 X\r\n{headers}connection: close\r\n\r\n");
    respond_with([head.as_bytes(), body.as_ref()].concat())
}

fn chunked(body: impl AsRef<[u8]>) -> Script {
    with("transfer-encoding: chunked\r\n", body)
}

fn flood(said: &str, flood: impl AsRef<[u8]>) -> Script {
    let flood = flood.as_ref().repeat(8192 / flood.as_ref().len() + 1);
    vec![Act::Read, Act::Send(said.as_bytes().to_vec()), Act::Flood(flood)]
}

fn lengths() -> Vec<Case> {
    let body = token_response();
    let length = body.len();
    let says = |value: &str| with(&format!("content-length: {value}\r\n"), &body);
    let broken = |name: &str, script| case(name, script, Transport(Interrupted), LATER);
    let cut = body.find(r#","token_type"#).unwrap();
    vec![
        case("a length that is too short", says(&cut.to_string()), RescuedTokens(vec![NotJson], NEW), BUG),
        case("a length that ends in a token", says("20"), Unusable(vec![NotJson]), BUG),
        case("a length of nothing", says("0"), Unusable(vec![Empty]), BUG),
        case("no length", with("", &body), Tokens, None),
        case("a length twice", says(&format!("{length}\r\ncontent-length: {length}")), Tokens, None),
        case("a length twice in one header", says(&format!("{length}, {length}")), Tokens, None),
        broken("two lengths", says(&format!("{length}\r\ncontent-length: 5"))),
        broken("two lengths, the short one first", says(&format!("5\r\ncontent-length: {length}"))),
        broken("two lengths in one header", says(&format!("{length}, 5"))),
        broken("a negative length", says("-1")),
        broken("a length with a sign", says(&format!("+{length}"))),
        broken("a length in hexadecimal", says("0x80")),
        broken("a length that is no number", says("many")),
        broken("a length that is empty", says("")),
        broken("a length beyond 64 bits", says("99999999999999999999999")),
        case("a length far beyond the body", says("18446744073709551615"), Transport(Interrupted), LATER)
            .on_blocking(RescuedTokens(vec![Truncated], NEW), LATER),
        case(
            "a length and chunks",
            with(
                &format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
                format!("{length:x}\r\n{body}\r\n0\r\n\r\n"),
            ),
            Tokens,
            None,
        ),
    ]
}

fn chunks() -> Vec<Case> {
    let body = token_response();
    let length = body.len();
    let chunk = format!("{length:x}\r\n{body}\r\n");
    let broken = |name: &str, script| case(name, script, Transport(Interrupted), LATER);
    vec![
        broken("a chunk size that is no number", chunked(format!("xyz\r\n{body}\r\n0\r\n\r\n"))),
        broken("a negative chunk size", chunked(format!("-5\r\n{body}\r\n0\r\n\r\n"))),
        broken("no chunk size", chunked(format!("\r\n{body}\r\n0\r\n\r\n"))),
        broken("a chunk size beyond 64 bits", chunked(format!("fffffffffffffffff\r\n{body}"))),
        case(
            "a chunk size as large as can be",
            chunked(format!("ffffffffffffffff\r\n{body}")),
            RescuedTokens(vec![Truncated], NEW),
            LATER,
        ),
        broken("a chunk longer than its size", chunked(format!("5\r\n{body}\r\n0\r\n\r\n"))),
        case(
            "a chunk shorter than its size",
            chunked(format!("{:x}\r\n{body}\r\n0\r\n\r\n", length + 2)),
            RescuedTokens(vec![Truncated], NEW),
            LATER,
        )
        // ureq drops what it has read of this chunk.
        .on_blocking(Unusable(vec![Truncated]), LATER),
        broken("chunks that are not in chunks", chunked(&body)),
        case(
            "an extension to a chunk",
            chunked(format!("{length:x};a=b\r\n{body}\r\n0\r\n\r\n")),
            Tokens,
            None,
        ),
        case("trailers", chunked(format!("{chunk}0\r\na: b\r\n\r\n")), Tokens, None),
        case(
            "a trailer that is none",
            chunked(format!("{chunk}0\r\n\0\r\n\r\n")),
            RescuedTokens(vec![Truncated], NEW),
            LATER,
        )
        .on_blocking(Tokens, None),
        case(
            "a second response behind the first",
            respond_with([response(200, "", &body), response(400, "", "{}")].concat()),
            Tokens,
            None,
        ),
        case(
            "chunks by a name in capitals",
            with("TRANSFER-ENCODING: Chunked\r\n", format!("{chunk}0\r\n\r\n")),
            Tokens,
            None,
        ),
        case("an unknown transfer encoding", with("transfer-encoding: rot13\r\n", &body), Tokens, None),
        case(
            "chunks twice",
            with("transfer-encoding: chunked, chunked\r\n", format!("{chunk}0\r\n\r\n")),
            Tokens,
            None,
        ),
    ]
}

fn endless_responses() -> Vec<Case> {
    let huge = "HTTP/1.1 200 X\r\ncontent-length: 99999999999\r\n\r\n";
    let chunks = "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n";
    let many = |count: usize| "x: y\r\n".repeat(count);
    let nearly = "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\nffff0\r\n".to_owned()
        + &" ".repeat(0xffff0)
        + "\r\n";
    let too_large = |name: &str, script| case(name, script, Transport(ResponseTooLarge), BUG);
    let broken = |name: &str, script| waiting(name, script, Transport(Interrupted), LATER);
    vec![
        too_large("an endless body", flood("HTTP/1.1 200 X\r\n\r\n", " ")),
        too_large("an endless body with a length", flood(huge, " ")),
        too_large("endless chunks", flood(chunks, format!("1000\r\n{}\r\n", " ".repeat(0x1000)))),
        too_large("endless chunks of one byte", flood(&nearly, "1\r\n \r\n")),
        too_large("one endless chunk", flood(&format!("{chunks}ffffffffff\r\n"), " ")),
        waiting(
            "an endless body of an error response",
            flood("HTTP/1.1 400 X\r\n\r\n", "{"),
            ErrorResponse(400),
            FIX,
        ),
        broken("endless headers", flood("HTTP/1.1 200 X\r\n", "x: y\r\n")),
        broken("one endless header", flood("HTTP/1.1 200 X\r\nx: ", "y")),
        broken("an endless header name", flood("HTTP/1.1 200 X\r\n", "y")),
        broken("an endless status line", flood("HTTP/1.1 200 ", "y")),
        broken("endless empty lines", flood("", "\r\n")),
        broken("endless noise", flood("", "\u{fffd}")),
        waiting("an endless chunk size", flood(chunks, "0"), Transport(Timeout), LATER)
            .on_blocking(Transport(Interrupted), LATER),
        broken("an endless chunk extension", flood(&format!("{chunks}5;"), "x")),
        broken("endless trailers", flood(&format!("{chunks}0\r\n"), "x: y\r\n"))
            .on_blocking(Transport(Timeout), LATER),
        case(
            "a thousand headers",
            respond_with(response(200, &many(1000), token_response())),
            Transport(Interrupted),
            LATER,
        ),
        case(
            "a header of a mebibyte",
            respond_with(response(200, &format!("x: {}\r\n", "y".repeat(1 << 20)), token_response())),
            Transport(Interrupted),
            LATER,
        ),
    ]
}

fn interim() -> Vec<Case> {
    let after =
        |interim: &str| respond_with([interim.as_bytes(), &response(200, "", token_response())].concat());
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    vec![
        case("a 100 before the response", after(go_on), Tokens, None),
        case("a 100 with headers", after("HTTP/1.1 100 Continue\r\nx: y\r\n\r\n"), Tokens, None)
            .on_blocking(Transport(Interrupted), LATER),
        case("a hundred 100s", after(&go_on.repeat(100)), Tokens, None),
        case("a 102 before the response", after("HTTP/1.1 102 Processing\r\n\r\n"), Tokens, None),
        case(
            "a 103 before the response",
            after("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"),
            Tokens,
            None,
        ),
        case("a 100 and nothing else", respond_with(go_on), Transport(Interrupted), LATER),
        case("a 103 and nothing else", respond_with("HTTP/1.1 103 X\r\n\r\n"), Transport(Interrupted), LATER),
        waiting(
            "a 100 and silence",
            vec![Act::Read, Act::Send(go_on.into()), Act::Stall],
            Transport(Timeout),
            LATER,
        ),
        waiting("endless 100s", flood("", go_on), OneOf([Timeout, Interrupted]), LATER),
        waiting("endless 103s", flood("", "HTTP/1.1 103 X\r\n\r\n"), OneOf([Timeout, Interrupted]), LATER),
        case(
            "a 101 that switches to another protocol",
            respond_with("HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"),
            ErrorResponse(101),
            FIX,
        ),
    ]
}

fn no_http() -> Vec<Case> {
    let body = token_response();
    let length = body.len();
    let head = |line: &str| {
        respond_with(format!("{line}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"))
    };
    let header = |line: &str| respond_with(response(200, &format!("{line}\r\n"), &body));
    let broken = |name: &str, script| case(name, script, Transport(Interrupted), LATER);
    vec![
        broken("tokens and no head, as in HTTP/0.9", respond_with(&body)),
        broken("the preface of HTTP/2", respond_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
        broken("a settings frame of HTTP/2", respond_with(b"\0\0\0\x04\0\0\0\0\0")),
        broken("an alert of TLS", respond_with(b"\x15\x03\x03\x00\x02\x02\x46")),
        broken(
            "a hello of TLS",
            respond_with([&b"\x16\x03\x03\x00\x31\x02\x00\x00\x2d\x03\x03"[..], &[7; 43]].concat()),
        ),
        broken("a greeting of SSH", respond_with("SSH-2.0-OpenSSH_9.9\r\n")),
        broken("a greeting of SMTP", respond_with("220 mail.example.com ESMTP\r\n")),
        broken("noise", respond_with((0..=255).collect::<Vec<u8>>())),
        broken("nothing but line ends", respond_with("\r\n\r\n\r\n\r\n")),
        broken("a status line of ICY", head("ICY 200 OK")),
        broken("a status line of HTTP/2", head("HTTP/2.0 200 OK")),
        broken("a status line of HTTP/3", head("HTTP/3 200 OK")),
        broken("a status line of HTTP/9.9", head("HTTP/9.9 200 OK")),
        broken("a status line in small letters", head("http/1.1 200 OK")),
        broken("a status line without a status", head("HTTP/1.1")),
        broken("a status that is a word", head("HTTP/1.1 abc OK")),
        broken("a status of two digits", head("HTTP/1.1 20 OK")),
        broken("a status of four digits", head("HTTP/1.1 2000 OK")),
        broken("a negative status", head("HTTP/1.1 -20 OK")),
        broken("a status of 099", head("HTTP/1.1 099 OK")),
        broken("a status of 000", head("HTTP/1.1 000 OK")),
        case("a status line of HTTP/1.0", head("HTTP/1.0 200 OK"), Tokens, None),
        case("a status line without a reason", head("HTTP/1.1 200 "), Tokens, None),
        case("a status line without a space for a reason", head("HTTP/1.1 200"), Tokens, None),
        case("a reason that is not ASCII", head("HTTP/1.1 200 \u{1f37a}"), Tokens, None),
        broken("a reason with a NUL", head("HTTP/1.1 200 O\0K")),
        case(
            "line ends without CR",
            respond_with(format!("HTTP/1.1 200 X\ncontent-length: {length}\nconnection: close\n\n{body}")),
            Tokens,
            None,
        ),
        broken(
            "line ends without LF",
            respond_with(format!("HTTP/1.1 200 X\rcontent-length: {length}\r\r{body}")),
        ),
        case(
            "an empty line before the status line",
            respond_with([b"\r\n", &response(200, "", &body)[..]].concat()),
            Tokens,
            None,
        ),
        broken("a header without a colon", header("nonsense")),
        broken("a header without a name", header(": nameless")),
        broken("a header with a NUL", header("x: a\0b")),
        broken("a header with a lone CR", header("x: a\rset-cookie: b")),
        broken("a header name with a space", header("content-type : text/html")),
        broken("a header folded over two lines", header("x: a\r\n b")),
        case("a header that is not ASCII", header("x: \u{1f37a}"), Tokens, None),
    ]
}

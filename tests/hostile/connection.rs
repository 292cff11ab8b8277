//! Connections that are slow, silent, closed or reset, at every point of a response.

use std::time::Duration;

use hs_oauth_core::NextStep;
use hs_oauth_core::Problem::Truncated;
use hs_oauth_core::TransportErrorKind::{Connect, Interrupted, Timeout};

use super::case::Want::{ErrorResponse, OneOf, RescuedTokens, Tokens, Transport};
use super::case::{Case, FIX, LATER, case, waiting};
use super::server::{Act, Script};
use super::setup::{NEW, respond_with, response, token_response};

#[test]
fn a_connection_that_dies_or_stalls_costs_one_try_and_no_token() {
    super::run(&cases());
}

pub(crate) fn cases() -> Vec<Case> {
    [slow(), reset(), closed()].into_iter().flatten().collect()
}

const LONGER: &str = "content-length: 999\r\n";
const CHUNKED: &str = "HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n";
const SECOND: Duration = Duration::from_secs(1);

/// Returns a head that announces a longer body, and of the token response all that comes before `cut`.
fn up_to(cut: &str) -> Vec<u8> {
    let tokens = token_response();
    let (before, _) = tokens.split_once(cut).unwrap();
    partial_response(200, "", before)
}

fn partial_response(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\n{LONGER}{headers}\r\n{body}").into_bytes()
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn then(said: impl AsRef<[u8]>, act: Act) -> Script {
    vec![Act::Read, Act::Send(said.as_ref().to_vec()), act]
}

fn slow() -> Vec<Case> {
    let stall = |said: &[u8]| then(said, Act::Stall);
    let drip = |said: &[u8], dripped: &[u8], pause| {
        vec![Act::Read, Act::Send(said.to_vec()), Act::SendSlowly(dripped.to_vec(), pause)]
    };
    let whole = response(200, "", token_response());
    let unsized_response = format!("HTTP/1.1 200 X\r\n\r\n{}", token_response());
    let late =
        vec![Act::Read, Act::SendSlowly(whole[..3].to_vec(), SECOND / 3), Act::Send(whole[3..].to_vec())];
    let wait = |seconds| NextStep::RetryAfter(Some(Duration::from_secs(seconds)));
    vec![
        waiting("a server that reads nothing and says nothing", vec![Act::Stall], Transport(Timeout), LATER)
            .with_requests(0),
        waiting("a server that says nothing", vec![Act::Read, Act::Stall], Transport(Timeout), LATER),
        waiting("a status line that stops", stall(b"HTTP/1.1 2"), Transport(Timeout), LATER),
        waiting("headers that stop", stall(b"HTTP/1.1 200 X\r\ncontent-le"), Transport(Timeout), LATER),
        waiting("headers without the empty line", stall(b"HTTP/1.1 200 X\r\n"), Transport(Timeout), LATER),
        waiting("a head a byte a second", drip(b"", &whole, SECOND), Transport(Timeout), LATER),
        waiting("a head a byte at a time", drip(b"", &whole, SECOND / 4), Transport(Timeout), LATER),
        waiting("a body that does not begin", stall(&up_to("{")), Transport(Timeout), LATER),
        waiting("a body a byte a second", drip(&up_to("{"), &whole, SECOND), Transport(Timeout), LATER),
        waiting("a body a byte at a time", drip(&up_to("{"), &whole, SECOND / 4), Transport(Timeout), LATER),
        waiting("a body that stops in a token", stall(&up_to("-access")), Transport(Timeout), LATER),
        waiting(
            "a body that stops behind the tokens",
            stall(&up_to(r#","token_type"#)),
            RescuedTokens(vec![Truncated], NEW),
            LATER,
        ),
        waiting(
            "a body of unknown length after which the connection stays open",
            stall(unsized_response.as_bytes()),
            RescuedTokens(vec![Truncated], NEW),
            LATER,
        ),
        waiting(
            "chunks a byte a second",
            drip(CHUNKED.as_bytes(), &chunk("{").repeat(9).into_bytes(), SECOND),
            Transport(Timeout),
            LATER,
        ),
        waiting(
            "chunks that stop",
            stall((CHUNKED.to_owned() + "5\r\n{").as_bytes()),
            Transport(Timeout),
            LATER,
        ),
        waiting(
            "chunks without the last one",
            stall((CHUNKED.to_owned() + &chunk(&token_response())).as_bytes()),
            RescuedTokens(vec![Truncated], NEW),
            LATER,
        ),
        waiting(
            "an error response that stops in its body keeps its status",
            stall(&partial_response(403, "", r#"{"mess"#)),
            ErrorResponse(403),
            FIX,
        ),
        waiting(
            "a limit that stops in its body is still that limit",
            stall(&partial_response(429, "retry-after: 7\r\n", "{")),
            ErrorResponse(429),
            wait(7),
        ),
        waiting(
            "an outage that stops in its body is still that outage",
            stall(&partial_response(502, "", "<html>")),
            ErrorResponse(502),
            LATER,
        ),
        case("a whole response, but late", late, Tokens, None),
    ]
}

fn reset() -> Vec<Case> {
    let reset = |said: &[u8]| then(said, Act::Reset);
    let until_close = format!("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n{}", token_response());
    let chunks = CHUNKED.to_owned() + &chunk(&token_response());
    vec![
        case("a reset before the request", vec![Act::Reset], OneOf([Connect, Interrupted]), LATER)
            .with_requests(0)
            .with_race(),
        case("a reset in the request", vec![Act::Peek, Act::Reset], Transport(Interrupted), LATER)
            .with_requests(0),
        case("a reset before the response", vec![Act::Read, Act::Reset], Transport(Interrupted), LATER),
        case("a reset in the status line", reset(b"HTTP/1.1 20"), Transport(Interrupted), LATER),
        case("a reset in the headers", reset(b"HTTP/1.1 200 X\r\ncont"), Transport(Interrupted), LATER),
        case("a reset after the headers", reset(&up_to("{")), Transport(Interrupted), LATER),
        case("a reset in a token", reset(&up_to("-access")), Transport(Interrupted), LATER),
        case(
            "a reset behind the tokens",
            reset(&up_to(r#","token_type"#)),
            RescuedTokens(vec![Truncated], NEW),
            LATER,
        ),
        case(
            "a reset where the body should end with the connection",
            reset(until_close.as_bytes()),
            RescuedTokens(vec![Truncated], NEW),
            LATER,
        )
        .on_blocking(Tokens, None),
        case(
            "a reset in a chunk",
            reset((CHUNKED.to_owned() + "9\r\n{").as_bytes()),
            Transport(Interrupted),
            LATER,
        ),
        case(
            "a reset before the last chunk",
            reset(chunks.as_bytes()),
            RescuedTokens(vec![Truncated], NEW),
            LATER,
        ),
        case("a reset after the whole body", reset(&response(200, "", token_response())), Tokens, None),
        case("a reset after the last chunk", reset((chunks + "0\r\n\r\n").as_bytes()), Tokens, None)
            .with_kept_connections(),
        case(
            "a reset in the body of an error response",
            reset(&partial_response(401, "", r#"{"mess"#)),
            ErrorResponse(401),
            FIX,
        ),
    ]
}

fn closed() -> Vec<Case> {
    let chunks = CHUNKED.to_owned() + &chunk(&token_response());
    let until_close = format!("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n{}", token_response());
    vec![
        case("an end before the request", vec![], Transport(Interrupted), LATER).with_requests(0),
        case("an end before the response", vec![Act::Read], Transport(Interrupted), LATER),
        case("an end in the status line", respond_with(b"HTTP/1.1 200"), Transport(Interrupted), LATER),
        case("an end in the headers", respond_with(b"HTTP/1.1 200 X\r\ncont"), Transport(Interrupted), LATER),
        case("an end after the headers", respond_with(up_to("{")), Transport(Interrupted), LATER),
        case("an end in a token", respond_with(up_to("-access")), Transport(Interrupted), LATER),
        case(
            "an end behind the tokens",
            respond_with(up_to(r#","token_type"#)),
            RescuedTokens(vec![Truncated], NEW),
            LATER,
        ),
        case("an end in a chunk", respond_with(CHUNKED.to_owned() + "9\r\n{"), Transport(Interrupted), LATER),
        case(
            "an end before the last chunk",
            respond_with(chunks),
            RescuedTokens(vec![Truncated], NEW),
            LATER,
        ),
        case("an end that is the end of the body", respond_with(until_close), Tokens, None),
        case(
            "an end in the body of an outage",
            respond_with(partial_response(503, "retry-after: 3\r\n", "")),
            ErrorResponse(503),
            NextStep::RetryAfter(Some(Duration::from_secs(3))),
        ),
    ]
}

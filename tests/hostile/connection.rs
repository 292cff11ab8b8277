//! Connections that are slow, silent, closed or reset, wherever in the answer that happens.

use std::time::Duration;

use hs_oauth_core::NextStep;
use hs_oauth_core::Problem::Truncated;
use hs_oauth_core::TransportErrorKind::{Connect, Interrupted, Timeout};

use super::case::Want::{OneOf, Refusal, RescuedTokens, Tokens, Transport};
use super::case::{Case, FIX, LATER, case, endless};
use super::server::{Act, Script};
use super::world::{NEW, answer, say, tokens};

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

/// A head, and as much of the tokens as comes before `cut`, of a body that is said to be longer.
fn up_to(cut: &str) -> Vec<u8> {
    let tokens = tokens();
    let (before, _) = tokens.split_once(cut).unwrap();
    cut_answer(200, "", before)
}

fn cut_answer(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\n{LONGER}{headers}\r\n{body}").into_bytes()
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn then(said: impl AsRef<[u8]>, act: Act) -> Script {
    vec![Act::Read, Act::Say(said.as_ref().to_vec()), act]
}

fn slow() -> Vec<Case> {
    let stall = |said: &[u8]| then(said, Act::Stall);
    let drip = |said: &[u8], dripped: &[u8], pause| {
        vec![Act::Read, Act::Say(said.to_vec()), Act::Drip(dripped.to_vec(), pause)]
    };
    let whole = answer(200, "", tokens());
    let unsized_answer = format!("HTTP/1.1 200 X\r\n\r\n{}", tokens());
    let late = vec![Act::Read, Act::Drip(whole[..3].to_vec(), SECOND / 3), Act::Say(whole[3..].to_vec())];
    let wait = |seconds| NextStep::RetryAfter(Some(Duration::from_secs(seconds)));
    vec![
        endless("a server that reads nothing and says nothing", vec![Act::Stall], Transport(Timeout), LATER)
            .requests(0),
        endless("a server that says nothing", vec![Act::Read, Act::Stall], Transport(Timeout), LATER),
        endless("a status line that stops", stall(b"HTTP/1.1 2"), Transport(Timeout), LATER),
        endless("headers that stop", stall(b"HTTP/1.1 200 X\r\ncontent-le"), Transport(Timeout), LATER),
        endless("headers without the empty line", stall(b"HTTP/1.1 200 X\r\n"), Transport(Timeout), LATER),
        endless("a head a byte a second", drip(b"", &whole, SECOND), Transport(Timeout), LATER),
        endless("a head a byte at a time", drip(b"", &whole, SECOND / 20), Transport(Timeout), LATER),
        endless("a body that does not begin", stall(&up_to("{")), Transport(Timeout), LATER),
        endless("a body a byte a second", drip(&up_to("{"), &whole, SECOND), Transport(Timeout), LATER),
        endless("a body a byte at a time", drip(&up_to("{"), &whole, SECOND / 20), Transport(Timeout), LATER),
        endless("a body that stops in a token", stall(&up_to("-access")), Transport(Timeout), LATER),
        endless(
            "a body that stops behind the tokens",
            stall(&up_to(r#","token_type"#)),
            RescuedTokens(vec![Cut], NEW),
            LATER,
        ),
        endless(
            "a body of unknown length after which the connection stays open",
            stall(unsized_answer.as_bytes()),
            RescuedTokens(vec![Cut], NEW),
            LATER,
        ),
        endless(
            "chunks a byte a second",
            drip(CHUNKED.as_bytes(), &chunk("{").repeat(9).into_bytes(), SECOND),
            Transport(Timeout),
            LATER,
        ),
        endless(
            "chunks that stop",
            stall((CHUNKED.to_owned() + "5\r\n{").as_bytes()),
            Transport(Timeout),
            LATER,
        ),
        endless(
            "chunks without the last one",
            stall((CHUNKED.to_owned() + &chunk(&tokens())).as_bytes()),
            RescuedTokens(vec![Cut], NEW),
            LATER,
        ),
        endless(
            "a refusal that stops in its body is still that refusal",
            stall(&cut_answer(403, "", r#"{"mess"#)),
            Refusal(403),
            FIX,
        ),
        endless(
            "a limit that stops in its body is still that limit",
            stall(&cut_answer(429, "retry-after: 7\r\n", "{")),
            Refusal(429),
            wait(7),
        ),
        endless(
            "an outage that stops in its body is still that outage",
            stall(&cut_answer(502, "", "<html>")),
            Refusal(502),
            LATER,
        ),
        case("a whole answer, but late", late, Tokens, None),
    ]
}

fn reset() -> Vec<Case> {
    let reset = |said: &[u8]| then(said, Act::Reset);
    let until_close = format!("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n{}", tokens());
    let chunks = CHUNKED.to_owned() + &chunk(&tokens());
    vec![
        case("a reset before the request", vec![Act::Reset], OneOf([Connect, Interrupted]), LATER)
            .requests(0)
            .race(),
        case("a reset in the request", vec![Act::Peek, Act::Reset], Transport(Interrupted), LATER)
            .requests(0),
        case("a reset before the answer", vec![Act::Read, Act::Reset], Transport(Interrupted), LATER),
        case("a reset in the status line", reset(b"HTTP/1.1 20"), Transport(Interrupted), LATER),
        case("a reset in the headers", reset(b"HTTP/1.1 200 X\r\ncont"), Transport(Interrupted), LATER),
        case("a reset after the headers", reset(&up_to("{")), Transport(Interrupted), LATER),
        case("a reset in a token", reset(&up_to("-access")), Transport(Interrupted), LATER),
        case(
            "a reset behind the tokens",
            reset(&up_to(r#","token_type"#)),
            RescuedTokens(vec![Cut], NEW),
            LATER,
        ),
        case(
            "a reset where the body should end with the connection",
            reset(until_close.as_bytes()),
            RescuedTokens(vec![Cut], NEW),
            LATER,
        )
        .on_blocking(Tokens, None),
        case(
            "a reset in a chunk",
            reset((CHUNKED.to_owned() + "9\r\n{").as_bytes()),
            Transport(Interrupted),
            LATER,
        ),
        case("a reset before the last chunk", reset(chunks.as_bytes()), RescuedTokens(vec![Cut], NEW), LATER),
        case("a reset after the whole body", reset(&answer(200, "", tokens())), Tokens, None),
        case("a reset after the last chunk", reset((chunks + "0\r\n\r\n").as_bytes()), Tokens, None),
        case("a reset in the body of a refusal", reset(&cut_answer(401, "", r#"{"mess"#)), Refusal(401), FIX),
    ]
}

fn closed() -> Vec<Case> {
    let chunks = CHUNKED.to_owned() + &chunk(&tokens());
    let until_close = format!("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n{}", tokens());
    vec![
        case("an end before the request", vec![], Transport(Interrupted), LATER).requests(0),
        case("an end before the answer", vec![Act::Read], Transport(Interrupted), LATER),
        case("an end in the status line", say(b"HTTP/1.1 200"), Transport(Interrupted), LATER),
        case("an end in the headers", say(b"HTTP/1.1 200 X\r\ncont"), Transport(Interrupted), LATER),
        case("an end after the headers", say(up_to("{")), Transport(Interrupted), LATER),
        case("an end in a token", say(up_to("-access")), Transport(Interrupted), LATER),
        case("an end behind the tokens", say(up_to(r#","token_type"#)), RescuedTokens(vec![Cut], NEW), LATER),
        case("an end in a chunk", say(CHUNKED.to_owned() + "9\r\n{"), Transport(Interrupted), LATER),
        case("an end before the last chunk", say(chunks), RescuedTokens(vec![Cut], NEW), LATER),
        case("an end that is the end of the body", say(until_close), Tokens, None),
        case(
            "an end in the body of an outage",
            say(cut_answer(503, "retry-after: 3\r\n", "")),
            Refusal(503),
            NextStep::RetryAfter(Some(Duration::from_secs(3))),
        ),
    ]
}

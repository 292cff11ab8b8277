//! Compressed responses, some of them decompression bombs. The caller's own HTTP clients ask for compression here. The limit of a
//! response's size is for what comes out of the decompression.

use std::io::Write;

use flate2::{Compress, Compression, FlushCompress};
use hs_oauth_core::Problem::{Empty, NotJson, Truncated};
use hs_oauth_core::TransportErrorKind::{Interrupted, ResponseTooLarge};
use hs_oauth_core::{MAX_RESPONSE_SIZE, NextStep, TIMEOUT};

use super::case::Want::{self, ErrorResponse, RescuedTokens, Tokens, Transport, Unusable};
use super::case::{BUG, Case, FIX, LATER, case_in};
use super::server::{Script, Server};
use super::setup::{NEW, Setup, TransportKind, app, respond_with, response, token_response};

#[test]
fn a_decompression_bomb_is_read_up_to_the_limit_of_a_response() {
    super::run(&bombs());
}

/// RFC 9110 §8.4.
#[test]
fn a_body_that_is_not_encoded_as_its_header_says_is_an_error() {
    super::run(&encodings());
}

pub(crate) fn cases() -> Vec<Case> {
    [bombs(), encodings()].into_iter().flatten().collect()
}

fn case(name: &str, script: Script, want: Want, next: impl Into<Option<NextStep>>) -> Case {
    let setup = move |transport: TransportKind| {
        let server = Server::start(script.clone());
        let app = app(&server.url());
        let client = transport.client_with(
            &app,
            |http| http.no_proxy().gzip(true).brotli(true).zstd(true),
            |http| http,
        );
        Setup {
            client: client.with_timeout(TIMEOUT),
            good_client: transport.client(&app),
            server,
            tls: None,
            others: vec![],
        }
    };
    case_in(name, setup, want, next)
}

fn encoded(status: u16, encoding: &str, body: impl AsRef<[u8]>) -> Script {
    respond_with(response(status, &format!("content-encoding: {encoding}\r\n"), body))
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn brotli(text: &str) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.into_inner()
}

/// Returns this text and then `spaces` times 128 KiB of spaces in uncompressed and repeated blocks (RFC 8878 §3.1.1.2.2).
fn zstd(text: &str, spaces: usize) -> Vec<u8> {
    const RAW: usize = 0;
    const REPEAT: usize = 1;
    let block = |length: usize, kind: usize, is_last: bool| {
        let [one, two, three, ..] = (length << 3 | kind << 1 | usize::from(is_last)).to_le_bytes();
        [one, two, three]
    };
    // The magic number, a header without checksum and size, a window of 128 KiB.
    let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    bytes.extend(block(text.len(), RAW, spaces == 0));
    bytes.extend(text.as_bytes());
    for index in 1..=spaces {
        bytes.extend(block(128 * 1024, REPEAT, index == spaces));
        bytes.push(b' ');
    }
    bytes
}

/// Returns a gibibyte of spaces: the same compressed mebibyte 1,024 times.
fn gzip_bomb() -> Vec<u8> {
    let mut deflate = Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(64 * 1024);
    deflate.compress_vec(&[b' '; MAX_RESPONSE_SIZE], &mut block, FlushCompress::Full).unwrap();
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    [&head[..], &block.repeat(1024)].concat()
}

fn bombs() -> Vec<Case> {
    let spaces = " ".repeat(16 * MAX_RESPONSE_SIZE);
    let too_large = |name: &str, script| case(name, script, Transport(ResponseTooLarge), BUG);
    let small = zstd("", 8192);
    vec![
        too_large("a bomb in gzip", encoded(200, "gzip", gzip_bomb())),
        too_large("a bomb in brotli", encoded(200, "br", brotli(&spaces))),
        // ureq does not know zstd, so it reads these few thousand bytes as they are.
        too_large("a bomb in zstd", encoded(200, "zstd", &small)).on_blocking(Unusable(vec![NotJson]), BUG),
        case(
            "a bomb in the gzip of an error response",
            encoded(400, "gzip", gzip_bomb()),
            ErrorResponse(400),
            FIX,
        ),
        case(
            "a bomb in the brotli of an error response",
            encoded(401, "br", brotli(&spaces)),
            ErrorResponse(401),
            FIX,
        ),
        case("a bomb in the zstd of an outage", encoded(503, "zstd", &small), ErrorResponse(503), LATER),
    ]
}

fn encodings() -> Vec<Case> {
    let body = token_response();
    let whole = gzip(&body);
    let mut wrong = whole.clone();
    let end = wrong.len() - 8;
    wrong[end] ^= 1;
    let broken = |name: &str, script| case(name, script, Transport(Interrupted), LATER);
    vec![
        case("tokens in gzip", encoded(200, "gzip", &whole), Tokens, None),
        case("tokens in brotli", encoded(200, "br", brotli(&body)), Tokens, None),
        case("tokens in zstd", encoded(200, "zstd", zstd(&body, 0)), Tokens, None)
            .on_blocking(Unusable(vec![NotJson]), BUG),
        case("tokens as they are", encoded(200, "identity", &body), Tokens, None),
        broken("plain tokens that are said to be gzip", encoded(200, "gzip", &body)),
        broken("plain tokens that are said to be brotli", encoded(200, "br", &body)),
        broken("gzip that breaks off", encoded(200, "gzip", &whole[..20])),
        case(
            "gzip with a wrong sum",
            encoded(200, "gzip", &wrong),
            RescuedTokens(vec![Truncated], NEW),
            LATER,
        ),
        case("no gzip at all", encoded(200, "gzip", ""), Unusable(vec![Empty]), BUG)
            .on_blocking(Transport(Interrupted), LATER),
        case(
            "gzip that is not said to be",
            respond_with(response(200, "", &whole)),
            Unusable(vec![NotJson]),
            BUG,
        ),
        case("an unknown encoding", encoded(200, "rot13", "gbxraf"), Unusable(vec![NotJson]), BUG),
        case(
            "gzip in gzip",
            encoded(200, "gzip", gzip(&String::from_utf8_lossy(&whole))),
            Unusable(vec![NotJson]),
            BUG,
        ),
    ]
}

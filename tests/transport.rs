//! What the transports promise: where credentials go, how much is read, how long it may take, and how often it is sent.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use hs_oauth_core::{
    ApiVersion, App, AuthorizationCode, ClientSecret, Code, Error, ExchangeCode, Introspect,
    MAX_RESPONSE_SIZE, NextStep, Problem, Refresh, RefreshToken, RetryPolicy, Revoke, TransportErrorKind,
};

use crate::both::Client;
use crate::raw_server::{RawServer, Reply, black_hole, closed_port};

const TOKENS: &str =
    r#"{"access_token":"new","refresh_token":"na1-2","token_type":"bearer","expires_in":1800}"#;

fn app(base: &str) -> App {
    App::hubspot("client-id", ClientSecret::new("s3cret").unwrap()).with_api_base(base).build().unwrap()
}

fn refresh() -> Refresh {
    Refresh::new(RefreshToken::new("na1-1").unwrap())
}

fn exchange() -> ExchangeCode {
    let code = Code::new("one-time").unwrap();
    ExchangeCode::new(AuthorizationCode::from_caller_who_checked_state(code, "https://example.com/cb", None))
}

fn failure(error: &Error) -> TransportErrorKind {
    match error {
        Error::Transport(error) => error.kind(),
        other => panic!("{other:?}"),
    }
}

/// Runs `test` over each transport against a server of its own.
fn each(replies: impl Fn() -> Vec<Reply>, test: impl Fn(Client, &RawServer)) {
    for index in 0..2 {
        let server = RawServer::start(replies());
        let client = Client::both(&app(&server.url)).into_iter().nth(index).unwrap();
        test(client, &server);
    }
}

#[test]
fn a_request_is_whole_and_says_who_sends_it() {
    each(
        || vec![Reply::answer(200, "", TOKENS)],
        |client, server| {
            let name = client.name();
            client.call(&refresh()).unwrap();
            let request = server.requests().concat();
            let (head, body) = request.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("POST /oauth/2026-09/token HTTP/1.1\r\n"), "{head}");
            let head = head.to_lowercase();
            let agent = format!("user-agent: hs-oauth-{name}/{}", env!("CARGO_PKG_VERSION"));
            for header in
                [&agent, "accept: application/json", "content-type: application/x-www-form-urlencoded"]
            {
                assert_eq!(head.matches(header).count(), 1, "{header} in {head}");
            }
            assert!(
                !head.contains("authorization") && !head.contains("referer") && !head.contains("s3cret"),
                "{head}"
            );
            assert_eq!(
                body,
                "grant_type=refresh_token&client_id=client-id&client_secret=s3cret&refresh_token=na1-1"
            );
        },
    );
}

#[test]
fn the_lookups_of_v1_have_no_body() {
    for index in 0..2 {
        let server = RawServer::start(vec![
            Reply::answer(401, "", "{}"),
            Reply::Bytes(b"HTTP/1.1 204 X\r\n\r\n".to_vec()),
        ]);
        let app = App::hubspot("id", ClientSecret::new("s3cret").unwrap())
            .with_api_base(&server.url)
            .version(ApiVersion::V1);
        let client = Client::both(&app.build().unwrap()).into_iter().nth(index).unwrap();
        let token = RefreshToken::new("na1/1").unwrap();
        client.call(&Introspect::new(token.clone())).unwrap_err();
        client.call(&Revoke::new(token)).unwrap();
        let requests = server.requests();
        assert!(
            requests[0].starts_with("GET /oauth/v1/refresh-tokens/na1%2F1 HTTP/1.1\r\n"),
            "{}",
            requests[0]
        );
        assert!(
            requests[1].starts_with("DELETE /oauth/v1/refresh-tokens/na1%2F1 HTTP/1.1\r\n"),
            "{}",
            requests[1]
        );
        for request in requests {
            let request = request.to_lowercase();
            assert!(!request.contains("content-length: 1") && !request.contains("s3cret"), "{request}");
            assert!(request.ends_with("\r\n\r\n"), "{request}");
        }
    }
}

/// Credentials go only where they were meant to go.
#[test]
fn a_loopback_address_is_not_reached_through_a_proxy() {
    let name = "transport::a_loopback_address_is_not_reached_through_a_proxy";
    const PROXY: &str = "http_proxy";
    if std::env::var_os(PROXY).is_none_or(|proxy| proxy != "http://127.0.0.1:9") {
        // The environment is the whole process's, so this test runs itself in one of its own.
        let itself = std::process::Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact"])
            .env_remove("no_proxy")
            .env_remove("NO_PROXY")
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .env("ALL_PROXY", "http://127.0.0.1:9")
            .env(PROXY, "http://127.0.0.1:9")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&itself.stdout);
        assert!(itself.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    each(
        || vec![Reply::answer(200, "", TOKENS)],
        |client, server| {
            client.call(&refresh()).unwrap();
            assert_eq!(server.requests().len(), 1);
        },
    );
    let server = RawServer::start(vec![Reply::answer(200, "", TOKENS)]);
    let client = hs_oauth_blocking::Client::with_http(app(&server.url), ureq::Agent::new_with_defaults());
    client.call(&refresh()).unwrap();
}

/// Whoever sets a proxy may allow no other way out.
#[test]
fn a_socks_proxy_of_the_environment_is_the_only_way_out() {
    let name = "transport::a_socks_proxy_of_the_environment_is_the_only_way_out";
    const TARGET: &str = "HS_OAUTH_TEST_TARGET";
    if let Ok(target) = std::env::var(TARGET) {
        let client = hs_oauth_blocking::Client::new(app(&target)).retry(RetryPolicy::NEVER);
        client.call(&refresh()).unwrap_err();
        return;
    }
    let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    target.set_nonblocking(true).unwrap();
    let port = target.local_addr().unwrap().port();
    let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("socks5://{}", proxy.local_addr().unwrap());
    let (send, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = proxy.accept().unwrap();
        let (mut greeting, mut request) = ([0; 3], [0; 10]);
        stream.read_exact(&mut greeting).unwrap();
        stream.write_all(&[5, 0]).unwrap();
        stream.read_exact(&mut request).unwrap();
        send.send((greeting, request)).unwrap();
        // RFC 1928 §6: not allowed by ruleset.
        stream.write_all(&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    });

    // The environment is the whole process's, so the client runs in one of its own.
    let mut itself = std::process::Command::new(std::env::current_exe().unwrap());
    for other in ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"] {
        itself.env_remove(other);
    }
    let itself = itself
        .args([name, "--exact"])
        .env("HTTPS_PROXY", &url)
        .env("https_proxy", &url)
        .env(TARGET, format!("https://127.0.0.1:{port}"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&itself.stdout);
    assert!(itself.status.success() && told.contains("1 passed"), "{told}");
    let [high, low] = port.to_be_bytes();
    assert_eq!(asked.try_recv(), Ok(([5, 1, 0], [5, 1, 0, 1, 127, 0, 0, 1, high, low])));
    assert_eq!(target.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn no_redirect_is_followed_to_anywhere() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = RawServer::start(vec![Reply::answer(200, "", TOKENS)]);
        let location = format!("location: {}/oauth/2026-09/token\r\n", elsewhere.url);
        each(
            || vec![Reply::answer(status, &location, "")],
            |client, server| {
                let error = client.call(&refresh()).unwrap_err();
                assert_eq!(error.status().unwrap().as_u16(), status);
                assert_eq!(error.next_step(), NextStep::FixConfiguration);
                assert_eq!(server.requests().len(), 1);
            },
        );
        assert!(elsewhere.requests().is_empty());
    }
}

/// A caller's own reqwest client that follows redirects breaks the promise: it must not go unnoticed.
#[test]
fn a_callers_client_that_followed_a_redirect_is_an_error() {
    let elsewhere = RawServer::start(vec![Reply::answer(200, "", TOKENS)]);
    let location = format!("location: {}/\r\n", elsewhere.url);
    let server = RawServer::start(vec![Reply::answer(302, &location, "")]);
    let client = hs_oauth_async::Client::with_http(app(&server.url), reqwest::Client::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(client.call(&refresh())).unwrap_err();
    assert_eq!(
        (failure(&error), error.next_step()),
        (TransportErrorKind::Redirected, NextStep::FixConfiguration)
    );
}

/// RFC 9110 §15.4.8 would have the body sent again. A code must not be.
#[test]
fn a_body_is_not_sent_again_even_by_a_client_that_follows_redirects() {
    let elsewhere = RawServer::start(vec![Reply::answer(200, "", TOKENS)]);
    for (status, location) in [(307, "/oauth/2026-09/token"), (308, elsewhere.url.as_str())] {
        let location = format!("location: {location}\r\n");
        let server =
            RawServer::start(vec![Reply::answer(status, &location, ""), Reply::answer(200, "", TOKENS)]);
        let client = hs_oauth_async::Client::with_http(app(&server.url), reqwest::Client::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(client.call(&exchange())).unwrap_err();
        assert_eq!(error.status().unwrap().as_u16(), status);
        assert_eq!(server.requests().len(), 1);
    }
    assert!(elsewhere.requests().is_empty());
}

/// ureq takes its settings with each request, so a caller's agent cannot break it.
#[test]
fn a_callers_agent_follows_no_redirect_either() {
    let elsewhere = RawServer::start(vec![Reply::answer(200, "", TOKENS)]);
    let location = format!("location: {}/\r\n", elsewhere.url);
    let server = RawServer::start(vec![Reply::answer(302, &location, "")]);
    let client = hs_oauth_blocking::Client::with_http(app(&server.url), ureq::Agent::new_with_defaults());
    let error = client.call(&refresh()).unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 302);
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn an_answer_of_a_mebibyte_is_read_and_one_byte_more_is_not() {
    // Tokens in an answer that is too large would be rescued.
    let padded = |length: usize| {
        let json = if length > MAX_RESPONSE_SIZE { "{}" } else { TOKENS };
        format!("{json}{}", " ".repeat(length - json.len()))
    };
    let chunked = |length: usize| {
        let mut bytes = b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n".to_vec();
        for chunk in padded(length).as_bytes().chunks(50_000) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
        Reply::Bytes(bytes)
    };
    let until_close = |length: usize| {
        Reply::Bytes(format!("HTTP/1.1 200 X\r\nconnection: close\r\n\r\n{}", padded(length)).into_bytes())
    };
    let gzipped = |length: usize| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(padded(length).as_bytes()).unwrap();
        Reply::answer(200, "content-encoding: gzip\r\n", encoder.finish().unwrap())
    };
    let replies = |length| {
        vec![
            ("with a length", Reply::answer(200, "", padded(length))),
            ("in chunks", chunked(length)),
            ("until the end", until_close(length)),
            ("compressed", gzipped(length)),
        ]
    };
    for index in 0..4 {
        let reply = |length| replies(length).swap_remove(index);
        each(
            || vec![reply(MAX_RESPONSE_SIZE).1],
            |client, _| assert!(client.call(&refresh()).is_ok(), "{}", reply(MAX_RESPONSE_SIZE).0),
        );
        each(
            || vec![reply(MAX_RESPONSE_SIZE + 1).1],
            |client, server| {
                let error = client.call(&refresh()).unwrap_err();
                assert_eq!(
                    failure(&error),
                    TransportErrorKind::ResponseTooLarge,
                    "{}",
                    reply(MAX_RESPONSE_SIZE + 1).0
                );
                assert_eq!((error.next_step(), server.requests().len()), (NextStep::ReportBug, 1));
            },
        );
    }
}

#[test]
fn a_silent_server_is_given_up_in_time_wherever_it_falls_silent() {
    let head = b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n";
    for said in [&b""[..], b"HTTP/1.1 200 X\r\n", head, &[&head[..], b"{\"access_token\":"].concat()] {
        each(
            || vec![Reply::Stall(said.to_vec())],
            |client, server| {
                let client = client.timeout(Duration::from_secs(1)).retry(RetryPolicy::NEVER);
                let error = client.call(&refresh()).unwrap_err();
                assert_eq!(
                    (failure(&error), error.next_step()),
                    (TransportErrorKind::Timeout, NextStep::RetryAfter(None))
                );
                assert_eq!(server.requests().len(), 1);
            },
        );
    }
}

#[test]
fn failures_to_connect_are_told_apart() {
    for (base, expected) in [
        (closed_port(), TransportErrorKind::Connect),
        ("https://host.invalid".to_owned(), TransportErrorKind::Resolve),
    ] {
        for client in Client::both(&app(&base)) {
            let error = client.retry(RetryPolicy::NEVER).call(&exchange()).unwrap_err();
            assert_eq!(failure(&error), expected, "{error:?}");
            assert_eq!(error.next_step(), NextStep::RetryAfter(None));
        }
    }
}

/// What never connects has a limit of its own, far below that of the exchange, and surely never left.
#[test]
fn a_black_hole_is_given_up_when_connecting() {
    let (url, _full) = black_hole();
    for client in Client::both(&app(&url)) {
        let started = std::time::Instant::now();
        let error = client.retry(RetryPolicy::NEVER).call(&exchange()).unwrap_err();
        assert_eq!(failure(&error), TransportErrorKind::ConnectTimeout, "{error:?}");
        assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
    }
}

/// A plain HTTP server where TLS should be.
#[test]
fn a_failed_tls_handshake_says_so() {
    each(
        || vec![Reply::answer(400, "", "")],
        |client, server| {
            let base = server.url.replace("http://", "https://");
            let client = match client {
                Client::Async(runtime, _) => {
                    Client::Async(runtime, hs_oauth_async::Client::new(app(&base)).unwrap())
                }
                Client::Blocking(_) => Client::Blocking(hs_oauth_blocking::Client::new(app(&base))),
            };
            let error = client.retry(RetryPolicy::NEVER).call(&refresh()).unwrap_err();
            assert_eq!(failure(&error), TransportErrorKind::Tls, "{error:?}");
        },
    );
}

#[test]
fn a_cut_connection_is_not_an_answer() {
    for said in
        [&b""[..], b"HTTP/1.1 200", b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{}", b"SSH-2.0\r\n\r\n"]
    {
        each(
            || vec![Reply::Bytes(said.to_vec())],
            |client, server| {
                let error = client.retry(RetryPolicy::NEVER).call(&refresh()).unwrap_err();
                assert_eq!(failure(&error), TransportErrorKind::Interrupted, "{error:?}");
                assert_eq!(server.requests().len(), 1);
            },
        );
    }
}

/// A refresh token that replaced another exists nowhere but in this answer: it is kept, and the old one is not sent again.
#[test]
fn tokens_in_an_answer_that_did_not_arrive_whole_are_in_the_error() {
    let longer = format!("HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n{TOKENS}", TOKENS.len() + 1);
    let chunked =
        format!("HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{TOKENS}\r\n", TOKENS.len());
    let half = format!(
        "HTTP/1.1 200 X\r\ncontent-length: {}\r\n\r\n{}",
        TOKENS.len(),
        TOKENS.replace(r#","token_type"#, "")
    );
    let half = half.split(r#"":"bearer"#).next().unwrap().to_owned();
    let large = format!("{TOKENS}{}", " ".repeat(MAX_RESPONSE_SIZE));
    let replies: [&dyn Fn() -> Reply; 5] = [
        &|| Reply::Bytes(longer.clone().into_bytes()),
        &|| Reply::Bytes(chunked.clone().into_bytes()),
        &|| Reply::Bytes(half.clone().into_bytes()),
        &|| Reply::Stall(longer.clone().into_bytes()),
        &|| Reply::answer(200, "", &large),
    ];
    for reply in replies {
        each(
            || vec![reply(), Reply::answer(200, "", TOKENS)],
            |client, server| {
                let error = client.timeout(Duration::from_secs(3)).call(&refresh()).unwrap_err();
                assert_eq!(error.rescued_refresh_token().unwrap().expose(), "na1-2", "{error:?}");
                assert_eq!(error.next_step(), NextStep::RetryAfter(None));
                assert_eq!(server.requests().len(), 1);
            },
        );
    }
}

/// A refusal whose body breaks off is still that refusal: what decides is the status, and what could be read.
#[test]
fn a_refusal_that_did_not_arrive_whole_keeps_its_status() {
    let cut = |status: u16, headers: &str, body: &str| {
        Reply::Bytes(
            format!("HTTP/1.1 {status} X\r\ncontent-length: 999\r\n{headers}\r\n{body}").into_bytes(),
        )
    };
    for (status, headers, body, next) in [
        (400, "", r#"{"error":"invalid_grant","mess"#, NextStep::Reauthorize),
        (401, "", "", NextStep::FixConfiguration),
        (429, "retry-after: 60\r\n", "", NextStep::RetryAfter(Some(Duration::from_secs(60)))),
    ] {
        each(
            || vec![cut(status, headers, body), Reply::answer(200, "", TOKENS)],
            |client, server| {
                let error = client.call(&refresh()).unwrap_err();
                assert_eq!(
                    (error.status().map(|status| status.as_u16()), error.next_step()),
                    (Some(status), next)
                );
                assert_eq!(server.requests().len(), 1);
            },
        );
    }
    each(
        || vec![cut(200, "", "")],
        |client, server| {
            // RFC 7009 §2.2: the status is the whole answer.
            client.call(&Revoke::new(RefreshToken::new("na1-1").unwrap())).unwrap();
            assert_eq!(server.requests().len(), 1);
        },
    );
}

/// The life of a token counts from the sending of the request, not from the reading of the answer.
#[test]
fn a_slow_answer_does_not_make_a_token_look_fresher() {
    each(
        || vec![Reply::Late(Duration::from_millis(1500), TOKENS.as_bytes().to_vec())],
        |client, _| {
            let before = std::time::SystemTime::now();
            let tokens = client.call(&refresh()).unwrap();
            let life = tokens.expires_at.since(before.into());
            assert!(life < Duration::from_millis(1_801_000), "{life:?}");
        },
    );
}

#[test]
fn a_further_try_ends_with_the_budget() {
    each(
        || vec![Reply::answer(503, "", ""), Reply::Stall(Vec::new())],
        |client, server| {
            let started = std::time::Instant::now();
            let policy = RetryPolicy::new().budget(Duration::from_secs(3));
            let error = client.retry(policy).call(&refresh()).unwrap_err();
            assert_eq!(failure(&error), TransportErrorKind::Timeout);
            assert_eq!(server.requests().len(), 2);
            // Its own limit would have been 15 seconds.
            assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        },
    );
}

#[test]
fn no_timeout_is_too_long() {
    each(
        || vec![Reply::answer(200, "", TOKENS)],
        |client, _| assert!(client.timeout(Duration::MAX).call(&refresh()).is_ok()),
    );
}

#[test]
fn a_body_that_is_no_answer_is_told_apart_from_a_refusal() {
    each(
        || vec![Reply::answer(200, "content-type: text/html\r\n", "<html>")],
        |client, server| {
            match client.call(&refresh()).unwrap_err() {
                Error::Response(error) => {
                    assert_eq!(error.problems, [Problem::NotJson]);
                    assert_eq!(error.content_type.as_deref(), Some("text/html"));
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(server.requests().len(), 1);
        },
    );
}

#[test]
fn a_refresh_is_tried_three_times_at_most() {
    let busy = || Reply::answer(503, "", "");
    each(
        || vec![busy(), Reply::Bytes(Vec::new()), Reply::answer(200, "", TOKENS)],
        |client, server| {
            assert!(client.call(&refresh()).is_ok());
            assert_eq!(server.requests().len(), 3);
        },
    );
    each(
        || vec![busy(), busy(), busy(), busy()],
        |client, server| {
            assert_eq!(client.call(&refresh()).unwrap_err().status().unwrap().as_u16(), 503);
            assert_eq!(server.requests().len(), 3);
        },
    );
}

#[test]
fn a_retry_after_beyond_the_budget_goes_to_the_caller_and_one_within_it_is_slept() {
    each(
        || vec![Reply::answer(429, "retry-after: 30\r\n", ""), Reply::answer(200, "", TOKENS)],
        |client, server| {
            let error = client.call(&refresh()).unwrap_err();
            assert_eq!(error.next_step(), NextStep::RetryAfter(Some(Duration::from_secs(30))));
            assert_eq!(server.requests().len(), 1);
        },
    );
    each(
        || vec![Reply::answer(429, "retry-after: 1\r\n", ""), Reply::answer(200, "", TOKENS)],
        |client, server| {
            let started = std::time::Instant::now();
            assert!(client.call(&refresh()).is_ok());
            assert!(started.elapsed() >= Duration::from_secs(1));
            assert_eq!(server.requests().len(), 2);
        },
    );
}

#[test]
fn a_refusal_is_never_repeated() {
    for status in [400, 401, 403, 404] {
        each(
            || vec![Reply::answer(status, "", ""), Reply::answer(200, "", TOKENS)],
            |client, server| {
                assert_eq!(client.call(&refresh()).unwrap_err().status().unwrap().as_u16(), status);
                assert_eq!(server.requests().len(), 1);
            },
        );
    }
}

/// RFC 6749 §4.1.2: a code must not be used more than once.
#[test]
fn a_code_that_may_have_arrived_is_never_sent_again() {
    let ways: [fn() -> Reply; 5] = [
        || Reply::answer(503, "retry-after: 0\r\n", ""),
        || Reply::answer(429, "retry-after: 0\r\n", ""),
        || Reply::Bytes(Vec::new()),
        || Reply::Bytes(b"HTTP/1.1 200 X\r\ncontent-length: 10\r\n\r\n{".to_vec()),
        || Reply::Stall(Vec::new()),
    ];
    for way in ways {
        each(
            || vec![way(), Reply::answer(200, "", TOKENS)],
            |client, server| {
                assert!(client.timeout(Duration::from_secs(1)).call(&exchange()).is_err());
                assert_eq!(server.requests().len(), 1);
            },
        );
    }
}

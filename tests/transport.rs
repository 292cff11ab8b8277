//! The promises of the transports: where credentials go, how much of a response is read, how long a call may take, and how often a
//! request is sent.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use hs_oauth_core::{
    ApiVersion, App, AuthorizationCode, ClientSecret, Code, Error, ExchangeCode, Introspect,
    MAX_RESPONSE_SIZE, NextStep, Problem, Refresh, RefreshToken, RetryPolicy, Revoke, Timestamp,
    TransportErrorKind,
};

use crate::both::Client;
use crate::raw_server::{RawServer, Reply, black_hole, refused_port};
use crate::wait::{PATIENCE, in_parallel};

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

/// The default policy with more time for further tries, so that a slow machine makes as many as a fast one.
const RETRY: RetryPolicy = RetryPolicy::new().with_budget(Duration::from_secs(25));

/// The time that a client allows an exchange with a server that falls silent. On a slow machine too, all that comes before the
/// silence is over by then.
const LIMIT: Duration = Duration::from_secs(10);

/// Runs `test` over both transports at the same time, each against a server of its own.
fn each(replies: impl Fn() -> Vec<Reply> + Sync, test: impl Fn(Client, &RawServer) + Sync) {
    in_parallel([0, 1], |index| {
        let server = RawServer::start(replies());
        let client = Client::both(&app(&server.url)).into_iter().nth(index).unwrap().with_retry_policy(RETRY);
        test(client, &server);
    });
}

#[test]
fn a_request_is_whole_and_says_who_sends_it() {
    each(
        || vec![Reply::response(200, "", TOKENS)],
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
            Reply::response(401, "", "{}"),
            Reply::Bytes(b"HTTP/1.1 204 X\r\n\r\n".to_vec()),
        ]);
        let app = App::hubspot("id", ClientSecret::new("s3cret").unwrap())
            .with_api_base(&server.url)
            .with_version(ApiVersion::V1);
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
        // The environment belongs to the whole process, so this test runs itself again in a process of its own.
        let itself = std::process::Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact"])
            .env_remove("no_proxy")
            .env_remove("NO_PROXY")
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .env("ALL_PROXY", "http://127.0.0.1:9")
            .env(PROXY, "http://127.0.0.1:9")
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&itself.stdout);
        assert!(itself.status.success() && output.contains("1 passed"), "{output}");
        return;
    }
    each(
        || vec![Reply::response(200, "", TOKENS)],
        |client, server| {
            client.call(&refresh()).unwrap();
            assert_eq!(server.requests().len(), 1);
        },
    );
    let server = RawServer::start(vec![Reply::response(200, "", TOKENS)]);
    let client = hs_oauth_blocking::Client::with_http(app(&server.url), ureq::Agent::new_with_defaults());
    client.call(&refresh()).unwrap();
}

/// Where a proxy is set, there may be no other way out.
#[test]
fn a_socks_proxy_of_the_environment_is_the_only_way_out() {
    let name = "transport::a_socks_proxy_of_the_environment_is_the_only_way_out";
    const TARGET: &str = "HS_OAUTH_TEST_TARGET";
    if let Ok(target) = std::env::var(TARGET) {
        let client = hs_oauth_blocking::Client::new(app(&target)).with_retry_policy(RetryPolicy::NEVER);
        client.call(&refresh()).unwrap_err();
        return;
    }
    let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    target.set_nonblocking(true).unwrap();
    let port = target.local_addr().unwrap().port();
    let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("socks5://{}", proxy.local_addr().unwrap());
    let (sender, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = proxy.accept().unwrap();
        let (mut greeting, mut request) = ([0; 3], [0; 10]);
        stream.read_exact(&mut greeting).unwrap();
        stream.write_all(&[5, 0]).unwrap();
        stream.read_exact(&mut request).unwrap();
        sender.send((greeting, request)).unwrap();
        // RFC 1928 §6: not allowed by ruleset.
        stream.write_all(&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    });

    // The environment belongs to the whole process, so the client runs in a process of its own.
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
    let output = String::from_utf8_lossy(&itself.stdout);
    assert!(itself.status.success() && output.contains("1 passed"), "{output}");
    let [high, low] = port.to_be_bytes();
    assert_eq!(asked.recv_timeout(PATIENCE), Ok(([5, 1, 0], [5, 1, 0, 1, 127, 0, 0, 1, high, low])));
    assert_eq!(target.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn no_redirect_is_followed() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = RawServer::start(vec![Reply::response(200, "", TOKENS)]);
        let location = format!("location: {}/oauth/2026-09/token\r\n", elsewhere.url);
        each(
            || vec![Reply::response(status, &location, "")],
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

/// A caller's own reqwest client that follows redirects breaks the promise. The call must then be an error.
#[test]
fn a_callers_client_that_followed_a_redirect_is_an_error() {
    let elsewhere = RawServer::start(vec![Reply::response(200, "", TOKENS)]);
    let location = format!("location: {}/\r\n", elsewhere.url);
    let server = RawServer::start(vec![Reply::response(302, &location, "")]);
    let client = hs_oauth_async::Client::with_http(app(&server.url), reqwest::Client::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(client.call(&refresh())).unwrap_err();
    assert_eq!(
        (failure(&error), error.next_step()),
        (TransportErrorKind::Redirected, NextStep::FixConfiguration)
    );
}

/// RFC 9110 §15.4.8 wants the body to be sent again, but a code must be sent once only.
#[test]
fn a_body_is_not_sent_again_even_by_a_client_that_follows_redirects() {
    let elsewhere = RawServer::start(vec![Reply::response(200, "", TOKENS)]);
    for (status, location) in [(307, "/oauth/2026-09/token"), (308, elsewhere.url.as_str())] {
        let location = format!("location: {location}\r\n");
        let server =
            RawServer::start(vec![Reply::response(status, &location, ""), Reply::response(200, "", TOKENS)]);
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
    let elsewhere = RawServer::start(vec![Reply::response(200, "", TOKENS)]);
    let location = format!("location: {}/\r\n", elsewhere.url);
    let server = RawServer::start(vec![Reply::response(302, &location, "")]);
    let client = hs_oauth_blocking::Client::with_http(app(&server.url), ureq::Agent::new_with_defaults());
    let error = client.call(&refresh()).unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 302);
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn a_response_of_a_mebibyte_is_read_and_one_byte_more_is_an_error() {
    // There are no tokens in the response that is too large, since they would be rescued.
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
        Reply::response(200, "content-encoding: gzip\r\n", encoder.finish().unwrap())
    };
    let replies = |length| {
        vec![
            ("with a length", Reply::response(200, "", padded(length))),
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
fn a_server_that_falls_silent_anywhere_is_given_up_in_time() {
    let head = b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n";
    let in_body = [&head[..], b"{\"access_token\":"].concat();
    in_parallel([&b""[..], b"HTTP/1.1 200 X\r\n", head, &in_body], |said| {
        each(
            || vec![Reply::Stall(said.to_vec())],
            |client, server| {
                let client = client.with_timeout(LIMIT).with_retry_policy(RetryPolicy::NEVER);
                let error = client.call(&refresh()).unwrap_err();
                assert_eq!(
                    (failure(&error), error.next_step()),
                    (TransportErrorKind::Timeout, NextStep::RetryAfter(None))
                );
                assert_eq!(server.requests().len(), 1);
            },
        );
    });
}

#[test]
fn failures_to_connect_are_different_errors() {
    let (nowhere, _port) = refused_port();
    for (base, expected) in [
        (nowhere, TransportErrorKind::Connect),
        ("https://host.invalid".to_owned(), TransportErrorKind::Resolve),
    ] {
        for client in Client::both(&app(&base)) {
            let error = client.with_retry_policy(RetryPolicy::NEVER).call(&exchange()).unwrap_err();
            assert_eq!(failure(&error), expected, "{error:?}");
            assert_eq!(error.next_step(), NextStep::RetryAfter(None));
        }
    }
}

/// Connecting has a time limit of its own, far below that of the exchange. The request surely never left.
#[test]
fn a_black_hole_is_given_up_when_connecting() {
    let (url, _full) = black_hole();
    in_parallel(Client::both(&app(&url)), |client| {
        // The limit of the exchange is so long that only that of connecting can end the call.
        let client =
            client.with_timeout(Duration::from_secs(24 * 60 * 60)).with_retry_policy(RetryPolicy::NEVER);
        let error = client.call(&exchange()).unwrap_err();
        assert_eq!(failure(&error), TransportErrorKind::ConnectTimeout, "{error:?}");
    });
}

/// The server speaks plain HTTP where TLS is expected.
#[test]
fn a_failed_tls_handshake_is_an_error_of_its_own() {
    each(
        || vec![Reply::response(400, "", "")],
        |client, server| {
            let base = server.url.replace("http://", "https://");
            let client = match client {
                Client::Async(runtime, _) => {
                    Client::Async(runtime, hs_oauth_async::Client::new(app(&base)).unwrap())
                }
                Client::Blocking(_) => Client::Blocking(hs_oauth_blocking::Client::new(app(&base))),
            };
            // No number of tries helps.
            let error = client.call(&refresh()).unwrap_err();
            assert_eq!(failure(&error), TransportErrorKind::NotTls, "{error:?}");
            assert_eq!(error.next_step(), NextStep::FixConfiguration);
        },
    );
}

#[test]
fn a_response_that_is_cut_off_is_an_error() {
    for said in
        [&b""[..], b"HTTP/1.1 200", b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{}", b"SSH-2.0\r\n\r\n"]
    {
        each(
            || vec![Reply::Bytes(said.to_vec())],
            |client, server| {
                let error = client.with_retry_policy(RetryPolicy::NEVER).call(&refresh()).unwrap_err();
                assert_eq!(failure(&error), TransportErrorKind::Interrupted, "{error:?}");
                assert_eq!(server.requests().len(), 1);
            },
        );
    }
}

/// A refresh token that replaced another exists only in this response. It is kept, and the old one is not sent again.
#[test]
fn tokens_in_a_response_that_did_not_arrive_whole_are_in_the_error() {
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
    let replies: [&(dyn Fn() -> Reply + Sync); 5] = [
        &|| Reply::Bytes(longer.clone().into_bytes()),
        &|| Reply::Bytes(chunked.clone().into_bytes()),
        &|| Reply::Bytes(half.clone().into_bytes()),
        &|| Reply::Stall(longer.clone().into_bytes()),
        &|| Reply::response(200, "", &large),
    ];
    for reply in replies {
        each(
            || vec![reply(), Reply::response(200, "", TOKENS)],
            |client, server| {
                let error = client.with_timeout(LIMIT).call(&refresh()).unwrap_err();
                assert_eq!(error.rescued_refresh_token().unwrap().expose(), "na1-2", "{error:?}");
                assert_eq!(error.next_step(), NextStep::RetryAfter(None));
                assert_eq!(server.requests().len(), 1);
            },
        );
    }
}

/// The status decides, with what could be read of the body.
#[test]
fn an_error_response_that_did_not_arrive_whole_keeps_its_status() {
    let cut = |status: u16, headers: &str, body: &str| {
        Reply::Bytes(
            format!("HTTP/1.1 {status} X\r\ncontent-length: 999\r\n{headers}\r\n{body}").into_bytes(),
        )
    };
    for (status, headers, body, next) in [
        (400, "", r#"{"error":"invalid_grant"}"#, NextStep::Reauthorize),
        // What is missing may say that the app is at fault.
        (400, "", r#"{"error":"invalid_grant","mess"#, NextStep::FixConfiguration),
        (401, "", "", NextStep::FixConfiguration),
        (429, "retry-after: 60\r\n", "", NextStep::RetryAfter(Some(Duration::from_secs(60)))),
    ] {
        each(
            || vec![cut(status, headers, body), Reply::response(200, "", TOKENS)],
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
            // RFC 7009 §2.2: the status says everything.
            client.call(&Revoke::new(RefreshToken::new("na1-1").unwrap())).unwrap();
            assert_eq!(server.requests().len(), 1);
        },
    );
}

/// The life of a token counts from when the request was sent, not from when the response was read.
#[test]
fn a_slow_response_does_not_make_a_token_live_longer() {
    for index in 0..2 {
        let (sender, came) = std::sync::mpsc::channel();
        let late = Reply::Late(Duration::from_millis(200), TOKENS.as_bytes().to_vec(), sender);
        let server = RawServer::start(vec![late]);
        let client = Client::both(&app(&server.url)).into_iter().nth(index).unwrap();
        let tokens = client.call(&refresh()).unwrap();
        let latest = Timestamp::from(came.recv().unwrap()).plus(Duration::from_secs(1800));
        assert!(tokens.expires_at <= latest, "{:?} is after {latest:?}", tokens.expires_at);
    }
}

#[test]
fn a_further_try_ends_with_the_budget() {
    each(
        || vec![Reply::response(503, "", ""), Reply::Stall(Vec::new())],
        |client, server| {
            let policy = RetryPolicy::new().with_budget(LIMIT);
            // The time limit of each try is so long that only the budget can end the call.
            let client = client.with_timeout(Duration::from_secs(24 * 60 * 60)).with_retry_policy(policy);
            let error = client.call(&refresh()).unwrap_err();
            assert_eq!(failure(&error), TransportErrorKind::Timeout);
            assert_eq!(server.requests().len(), 2);
        },
    );
}

#[test]
fn no_timeout_is_too_long() {
    each(
        || vec![Reply::response(200, "", TOKENS)],
        |client, _| assert!(client.with_timeout(Duration::MAX).call(&refresh()).is_ok()),
    );
}

#[test]
fn a_successful_response_with_another_body_is_an_error_of_its_own() {
    each(
        || vec![Reply::response(200, "content-type: text/html\r\n", "<html>")],
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
    let busy = || Reply::response(503, "", "");
    each(
        || vec![busy(), Reply::Bytes(Vec::new()), Reply::response(200, "", TOKENS)],
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
fn a_retry_after_beyond_the_budget_goes_to_the_caller_and_one_within_it_is_waited_for() {
    each(
        || vec![Reply::response(429, "retry-after: 30\r\n", ""), Reply::response(200, "", TOKENS)],
        |client, server| {
            let error = client.call(&refresh()).unwrap_err();
            assert_eq!(error.next_step(), NextStep::RetryAfter(Some(Duration::from_secs(30))));
            assert_eq!(server.requests().len(), 1);
        },
    );
    each(
        || vec![Reply::response(429, "retry-after: 1\r\n", ""), Reply::response(200, "", TOKENS)],
        |client, server| {
            let started = std::time::Instant::now();
            assert!(client.call(&refresh()).is_ok());
            assert!(started.elapsed() >= Duration::from_secs(1));
            assert_eq!(server.requests().len(), 2);
        },
    );
}

#[test]
fn a_request_is_not_repeated_after_an_error_response_that_will_not_change() {
    for status in [400, 401, 403, 404] {
        each(
            || vec![Reply::response(status, "", ""), Reply::response(200, "", TOKENS)],
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
        || Reply::response(503, "retry-after: 0\r\n", ""),
        || Reply::response(429, "retry-after: 0\r\n", ""),
        || Reply::Bytes(Vec::new()),
        || Reply::Bytes(b"HTTP/1.1 200 X\r\ncontent-length: 10\r\n\r\n{".to_vec()),
        || Reply::Stall(Vec::new()),
    ];
    for way in ways {
        each(
            || vec![way(), Reply::response(200, "", TOKENS)],
            |client, server| {
                assert!(client.with_timeout(LIMIT).call(&exchange()).is_err());
                assert_eq!(server.requests().len(), 1);
            },
        );
    }
}

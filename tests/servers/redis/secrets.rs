//! No error shows a token, whatever Redis answers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use hs_oauth_store::{Account, AsyncTokenStore};
use hs_oauth_test_servers::server::redis::{Redis, url};

use super::{DEADLINE, TOKEN, record, store};

/// Redis quotes the arguments of a command that it does not know.
#[tokio::test]
async fn a_server_that_quotes_what_was_sent_is_not_quoted() {
    let server = Redis::with(&["rename-command EVALSHA evalsha-is-not-known-here"]);
    let error = store(&server.url(), "tokens").swap(Account::hub(1), None, &record(1)).await.unwrap_err();
    assert!(error.to_string().contains("lacks a command"), "{error}");
    assert!(!format!("{error} {error:?}").contains(TOKEN));
}

/// A server of another kind, or one that is attacked.
#[tokio::test]
async fn a_server_that_answers_anything_else_is_not_quoted() {
    for answer in [
        format!("-ERR {TOKEN}\r\n"),
        format!("-{TOKEN}\r\n"),
        format!("-READONLY {TOKEN}\r\n"),
        format!("+{TOKEN}\r\n"),
        format!("${}\r\n{TOKEN}\r\n", TOKEN.len()),
        format!("*2\r\n+{TOKEN}\r\n+{TOKEN}\r\n"),
        format!("{TOKEN}\r\n"),
        format!(":{TOKEN}\r\n"),
        "*-7\r\n".to_owned(),
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn({
            let answer = answer.clone();
            move || {
                let (mut client, _) = listener.accept().unwrap();
                drop(listener);
                let mut buffer = [0; 16 * 1024];
                // To each command of the handshake, and to each after it.
                while let Ok(count @ 1..) = client.read(&mut buffer) {
                    let commands = buffer[..count].iter().filter(|&&byte| byte == b'*').count();
                    if client.write_all(answer.repeat(commands).as_bytes()).is_err() {
                        return;
                    }
                }
            }
        });
        let store = store(&url(address), "tokens").deadline(DEADLINE);
        let error = store.swap(Account::hub(1), None, &record(1)).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(TOKEN), "{answer:?}: {error:?}");
        drop(store);
        // The runtime closes the connection meanwhile.
        tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    }
}

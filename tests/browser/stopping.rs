//! The end of the process, and its next start.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::browser::{BoxError, Browser, LIMIT};
use crate::service::Service;

#[tokio::test]
async fn a_service_that_is_stopped_ends_cleanly_and_knows_its_accounts_afterwards() -> Result<(), BoxError> {
    let (mut service, browser) = (Service::start()?, Browser::start().await?);
    browser.connect(&service, "Ada").await?;
    assert_eq!(service.stop()?.code(), Some(0), "a browser is still there");
    service.start_again()?;
    browser.sign_in(&service, "Ada").await?;
    browser.press("Account 62515").await?;
    browser.see("Account 62515").await?;
    assert!(browser.text().await?.contains("Connected. HubSpot responded just now."));
    Ok(())
}

/// Whatever runs the service kills it after a while, and the tokens have to be saved before that.
#[test]
fn a_client_that_never_finishes_its_request_does_not_keep_the_service_from_ending() -> Result<(), BoxError> {
    let mut service = Service::start()?;
    let mut stream = TcpStream::connect(service.address())?;
    stream.write_all(
        b"POST /webhooks HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n",
    )?;
    // The service asks for the body, so it waits for it.
    stream.set_read_timeout(Some(LIMIT))?;
    let mut interim = [0; 21];
    stream.read_exact(&mut interim)?;
    assert_eq!(&interim, b"HTTP/1.1 100 Continue");
    assert_eq!(service.stop()?.code(), Some(0));
    Ok(())
}

/// A store that fails between a renewal's request and its response: the new tokens exist nowhere else.
#[tokio::test]
async fn a_service_that_cannot_save_tokens_says_so_at_its_end() -> Result<(), BoxError> {
    let mut service = Service::start_with(|settings| settings.access_token_lifetime = 1)?;
    let browser = Browser::start().await?;
    browser.connect(&service, "Ada").await?;
    let cookie = browser.cookies().await?.first().map(|cookie| format!("{}={}", cookie.name, cookie.value));
    let request = format!(
        "GET /accounts/62515 HTTP/1.1\r\nhost: a\r\ncookie: {}\r\nconnection: close\r\n\r\n",
        cookie.ok_or("no cookie")?
    );
    let tokens = service.folder().join("tokens");
    wait_until(|| record(&tokens).is_some_and(|record| record["lease"].is_null() && has_expired(&record)))?;

    let mut stream = TcpStream::connect(service.address())?;
    // As long as this holds the emulator, it handles no request.
    service.hubspot.emulator(|_| -> Result<(), BoxError> {
        stream.write_all(request.as_bytes())?;
        wait_until(|| record(&tokens).is_some_and(|record| record["lease"].is_object()))?;
        Ok(std::fs::remove_dir_all(&tokens)?)
    })?;
    let mut page = String::new();
    stream.set_read_timeout(Some(LIMIT))?;
    stream.read_to_string(&mut page)?;
    assert!(page.contains("The connection is kept."), "{page}");

    assert_eq!(service.stop()?.code(), Some(1));
    service.wait_for_log("the newest tokens of account 62515 could not be saved")
}

/// Returns the record of the account in the store.
fn record(tokens: &Path) -> Option<Value> {
    let file: Value = serde_json::from_slice(&std::fs::read(tokens.join("62515.json")).ok()?).ok()?;
    Some(file["record"].clone())
}

fn has_expired(record: &Value) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    record["tokens"]["expires_at"].as_u64().is_some_and(|at| u128::from(at) < now.as_millis())
}

fn wait_until(mut condition: impl FnMut() -> bool) -> Result<(), BoxError> {
    let began = Instant::now();
    while !condition() {
        if began.elapsed() > LIMIT {
            return Err("it did not happen".into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

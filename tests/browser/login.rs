//! `hs-oauth login`: the browser that the command opens, HubSpot's page, and the page at the end.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use hs_oauth_emulator::{Server, Settings, Target};
use serde_json::Value;
use tempfile::TempDir;

use crate::browser::{BoxError, Browser, LIMIT};
use crate::service::built;

/// The program, which cargo builds once for all tests.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| built(&["-p", "hs-oauth-cli", "--bin", "hs-oauth"]));

/// A person at a terminal, with a home folder and an emulator of HubSpot.
struct Person {
    hubspot: Server,
    home: TempDir,
    redirect_uri: String,
}

impl Person {
    fn new() -> Result<Self, BoxError> {
        // The operating system gives nobody else this port, as long as it is open on another address.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let redirect_uri = format!("http://localhost:{port}/oauth/callback");
        let mut settings = Settings::random()?;
        settings.redirect_uris = vec![redirect_uri.clone()];
        let hubspot = Server::start("127.0.0.1:0", settings)?;
        Ok(Self { hubspot, home: tempfile::tempdir()?, redirect_uri })
    }

    /// Starts the program. A browser that it opens writes the address to the file `opened`.
    fn start(&self, arguments: &[&str]) -> Result<Child, BoxError> {
        let script = self.home.path().join("browser");
        let opened = self.opened().display().to_string();
        fs::write(
            &script,
            format!("#!/bin/sh\nprintf %s \"$1\" > '{opened}.new' && mv '{opened}.new' '{opened}'\n"),
        )?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        let settings = self.hubspot.settings();
        let mut command = Command::new(&*PROGRAM);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("BROWSER", script)
            .env("HS_OAUTH_KEYRING", "off")
            .env("HUBSPOT_CLIENT_ID", &settings.client_id)
            .env("HUBSPOT_CLIENT_SECRET", &settings.client_secret)
            .env("HUBSPOT_REDIRECT_URI", &self.redirect_uri)
            .env("HUBSPOT_API_BASE", self.hubspot.url())
            .env("HUBSPOT_APP_BASE", self.hubspot.url())
            .stdout(Stdio::piped());
        Ok(command.spawn()?)
    }

    fn opened(&self) -> PathBuf {
        self.home.path().join("opened")
    }

    /// Waits for the address at which the program opens the browser.
    async fn opened_address(&self) -> Result<String, BoxError> {
        let started = Instant::now();
        while started.elapsed() < LIMIT {
            if let Ok(address) = fs::read_to_string(self.opened()) {
                return Ok(address);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("no browser was opened".into())
    }

    fn exchanges(&self) -> usize {
        self.hubspot.emulator(|emulator| {
            emulator.journal().filter(|entry| entry.operation == Some(Target::ExchangeCode)).count()
        })
    }
}

/// Waits for the end of the program, and returns its exit status and what it printed.
fn end(mut child: Child) -> Result<(Option<i32>, String), BoxError> {
    let mut output = String::new();
    child.stdout.take().ok_or("no output")?.read_to_string(&mut output)?;
    Ok((child.wait()?.code(), output))
}

const LOGIN: [&str; 3] = ["login", "--scope=oauth crm.objects.contacts.read", "--json"];

#[tokio::test]
async fn a_person_logs_in_and_a_token_is_there() -> Result<(), BoxError> {
    let (person, browser) = (Person::new()?, Browser::start().await?);
    let login = person.start(&LOGIN)?;
    let address = person.opened_address().await?;
    assert!(!address.contains('?'), "everyone on the machine sees it: {address}");
    browser.open(&address).await?;
    browser.see("Connect Example app to your account?").await?;
    browser.press("Connect").await?;
    browser.see("Connected").await?;
    assert!(browser.text().await?.contains("62515"));
    browser.check_page("login-connected").await?;
    let (status, output) = end(login)?;
    let object: Value = serde_json::from_str(&output)?;
    assert_eq!((status, &object["account"]), (Some(0), &Value::from("62515")));
    let (status, token) = end(person.start(&["token"])?)?;
    assert!(status == Some(0) && token.trim_end().len() > 20, "{token}");
    assert_eq!(person.exchanges(), 1);
    Ok(())
}

/// RFC 6749 §4.1.2.1.
#[tokio::test]
async fn a_person_who_refuses_sees_that_nothing_is_connected() -> Result<(), BoxError> {
    let (person, browser) = (Person::new()?, Browser::start().await?);
    let login = person.start(&LOGIN)?;
    browser.open(&person.opened_address().await?).await?;
    browser.press("Cancel").await?;
    browser.see("Not connected").await?;
    browser.check_page("login-refused").await?;
    assert_eq!((end(login)?.0, person.exchanges()), (Some(3), 0));
    Ok(())
}

/// RFC 6749 §10.12. A page of somebody else's cannot make the person connect that one's account.
#[tokio::test]
async fn a_forged_callback_is_told_and_the_login_goes_on() -> Result<(), BoxError> {
    let (person, browser) = (Person::new()?, Browser::start().await?);
    let login = person.start(&LOGIN)?;
    let address = person.opened_address().await?;
    browser.open(&format!("{}?code=forged&state=forged", person.redirect_uri)).await?;
    browser.see("Not this sign-in").await?;
    browser.check_page("login-forged").await?;
    browser.open(&address).await?;
    browser.see("Connect Example app to your account?").await?;
    // The address works once, so that nobody else on the machine learns the state.
    browser.open(&address).await?;
    browser.see("Already opened").await?;
    browser.check_page("login-already-opened").await?;
    browser.back().await?;
    browser.press("Connect").await?;
    browser.see("Connected").await?;
    assert_eq!((end(login)?.0, person.exchanges()), (Some(0), 1));
    Ok(())
}

//! An emulator of HubSpot and a person's home folder, for commands that keep tokens.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use hs_oauth_emulator::{Emulator, Fault, Server, Settings, Target};
use serde_json::Value;

use crate::harness::{Outcome, Run, hs_oauth, new_folder};
use crate::running::Running;

/// The account that the emulator has at the start.
pub(crate) const HUB: &str = "62515";

/// A life that only a new token has.
pub(crate) const LONG: &str = "--min-life=25m";

/// HubSpot, and a person who has settings in the environment and nothing kept yet.
pub(crate) struct Emulated {
    pub(crate) hubspot: Server,
    /// The home folder of the person.
    pub(crate) home: PathBuf,
    pub(crate) redirect_uri: String,
}

impl Emulated {
    pub(crate) fn new() -> Self {
        Self::with_redirect_host("localhost")
    }

    /// Does the same, with a redirect URI on this host.
    pub(crate) fn with_redirect_host(host: &str) -> Self {
        let redirect_uri = format!("http://{host}:{}/oauth/callback", free_port());
        let mut settings = Settings::random().unwrap();
        settings.redirect_uris = vec![redirect_uri.clone()];
        settings.strict_redirects = true;
        let hubspot = Server::start("127.0.0.1:0", settings).unwrap();
        Self { hubspot, home: new_folder(), redirect_uri }
    }

    /// Does the same, and connects the account.
    pub(crate) fn connected() -> Self {
        let this = Self::new();
        this.login(&[]).succeeded_with_messages();
        this
    }

    /// Prepares a run with the person's home and without any setting in the environment.
    pub(crate) fn hs_oauth(&self, arguments: &[&str]) -> Run {
        hs_oauth(arguments).var("HOME", self.home.to_str().unwrap())
    }

    /// Prepares a run with the app's settings in the environment.
    pub(crate) fn with_app(&self, arguments: &[&str]) -> Run {
        let settings = self.hubspot.settings();
        self.hs_oauth(arguments)
            .var("HUBSPOT_CLIENT_ID", &settings.client_id)
            .var("HUBSPOT_CLIENT_SECRET", &settings.client_secret)
            .var("HUBSPOT_REDIRECT_URI", &self.redirect_uri)
            .var("HUBSPOT_API_BASE", self.hubspot.url())
            .var("HUBSPOT_APP_BASE", self.hubspot.url())
    }

    /// Runs a command with what `login` has kept.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.hs_oauth(arguments).run()
    }

    /// Starts `login` with these flags, and waits for the address of the consent page.
    pub(crate) fn start_login(&self, more: &[&str]) -> (Running, String) {
        let arguments =
            [&["login", "--no-browser", "--scope", "oauth crm.objects.contacts.read"], more].concat();
        let mut running = Running::start(self.with_app(&arguments));
        let url = running.expect(self.hubspot.url()).trim().to_owned();
        (running, url)
    }

    /// Connects an account as a person with a browser does.
    pub(crate) fn login(&self, more: &[&str]) -> Outcome {
        // The port of the redirect URI is that of all logins of this person.
        let (running, url) = self.start_login(more);
        let callback = self.hubspot.connect(&url).unwrap();
        let page = get(&callback);
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        running.outcome()
    }

    /// Connects an account whose access token ends after this many seconds.
    pub(crate) fn login_with_life(&self, seconds: u64) {
        self.inject(Fault::member("expires_in", seconds).with_target(Target::ExchangeCode));
        self.login(&[]).succeeded_with_messages();
    }

    /// Connects an account whose access token lasts less long than [`LONG`] asks for, so that the next `token` with it makes a request.
    /// It lives long enough that no limit of time is shortened.
    pub(crate) fn login_with_old_token(&self) {
        self.login_with_life(1200);
    }

    pub(crate) fn inject(&self, fault: Fault) {
        self.hubspot.emulator(|emulator| emulator.inject(fault));
    }

    /// Returns how many requests of this kind have arrived.
    pub(crate) fn requests(&self, target: Target) -> usize {
        let count = |emulator: &mut Emulator| {
            emulator.journal().filter(|entry| entry.operation == Some(target)).count()
        };
        self.hubspot.emulator(count)
    }

    /// Returns the state of an account, as `list` says.
    pub(crate) fn state(&self, account: &str) -> Option<String> {
        let list = self.run(&["list", "--json"]).json();
        let accounts = list["accounts"].as_array().unwrap();
        let found: Option<&Value> = accounts.iter().find(|status| status["account"] == account);
        found.map(|status| status["state"].as_str().unwrap().to_owned())
    }
}

impl Outcome {
    /// Panics unless the exit status is 0. Standard error may have messages.
    pub(crate) fn succeeded_with_messages(&self) -> &Self {
        assert_eq!(self.status, 0, "{self:?}");
        self
    }
}

/// Requests a page as a browser does, and returns the whole response.
pub(crate) fn get(url: &str) -> String {
    let (host, target) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    request(host, &format!("GET /{target} HTTP/1.1\r\nhost: {host}\r\n\r\n"))
}

/// Sends a request to a host, and returns the whole response.
pub(crate) fn request(host: &str, request: &str) -> String {
    let port: u16 = host.rsplit_once(':').unwrap().1.parse().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// Returns a port on which nobody listens, another one each time. It is none of those that the operating system chooses for others.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + u16::try_from(number % 12_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

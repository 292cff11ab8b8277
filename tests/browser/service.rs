//! A process of the example, and the emulator that it takes for HubSpot.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use hs_oauth_core::Scopes;
use hs_oauth_emulator::{RegisteredScopes, Server, Settings, Target};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::browser::{BoxError, LIMIT};

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml");

/// The program, which cargo builds once for all tests.
static PROGRAM: LazyLock<PathBuf> =
    LazyLock::new(|| built(&["-p", "hs-oauth-examples", "--example", "install_page"]));

/// Builds a program of the project, and returns its path. `target` says which, as cargo's arguments do.
pub(crate) fn built(target: &[&str]) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--message-format=json"])
        .args(target)
        .args(["--manifest-path", PROJECT])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{target:?} is not built");
    let lines = String::from_utf8(output.stdout).expect("cargo writes text");
    let messages = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let programs = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    programs.max().expect("cargo names the program")
}

/// The service, with an emulator of the test's own.
pub(crate) struct Service {
    pub(crate) hubspot: Server,
    /// Where browsers find the service.
    pub(crate) url: String,
    process: Process,
    folder: TempDir,
    /// Nobody else gets the port on this address, so it is free on the service's.
    _reserved: TcpListener,
}

impl Service {
    pub(crate) fn start() -> Result<Self, BoxError> {
        Self::start_with(|_| {})
    }

    /// Starts both, after `change` has changed the settings of the emulator.
    pub(crate) fn start_with(change: impl FnOnce(&mut Settings)) -> Result<Self, BoxError> {
        let reserved = TcpListener::bind("127.0.0.3:0")?;
        // Another address than the emulator's, so that it is another site for the browser, as HubSpot is.
        let address = format!("127.0.0.2:{}", reserved.local_addr()?.port());
        let url = format!("http://{address}");
        let mut settings = Settings::random()?;
        settings.redirect_uris = vec![format!("{url}/oauth/callback")];
        // As `install.rs` of the example asks for them.
        settings.registered_scopes =
            Some(registered("crm.objects.contacts.read", "crm.objects.companies.read")?);
        change(&mut settings);
        let hubspot = Server::start("127.0.0.1:0", settings)?;
        let folder = tempfile::tempdir()?;
        let process = Process::start(&mut command(&hubspot, &address, &folder)?)?;
        let service = Self { hubspot, url, process, folder, _reserved: reserved };
        service.process.wait_for_line("Open ")?;
        Ok(service)
    }

    /// Asks the process to end, as whatever runs it does. Returns how it ended.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus, BoxError> {
        self.process.terminate()
    }

    /// Starts the process again, with the same folder.
    pub(crate) fn start_again(&mut self) -> Result<(), BoxError> {
        self.process = Process::start(&mut command(&self.hubspot, self.address(), &self.folder)?)?;
        self.process.wait_for_line("Open ")?;
        Ok(())
    }

    /// Returns the host and port that the service listens on.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Returns the folder in which the service keeps what it has.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for a line of the log that begins so.
    pub(crate) fn wait_for_log(&self, start: &str) -> Result<(), BoxError> {
        wait_for_line(&self.process.log, start).map(drop)
    }

    /// Returns whether the service called this endpoint of HubSpot's.
    pub(crate) fn has_called(&self, target: Target) -> bool {
        self.hubspot.emulator(|emulator| emulator.journal().any(|entry| entry.operation == Some(target)))
    }
}

/// Returns these scopes, required and optional ones.
pub(crate) fn registered(required: &str, optional: &str) -> Result<RegisteredScopes, BoxError> {
    Ok(RegisteredScopes::new(required.parse()?, Scopes::NONE, optional.parse()?)?)
}

fn command(hubspot: &Server, address: &str, folder: &TempDir) -> Result<Command, BoxError> {
    let settings = hubspot.settings();
    let mut command = Command::new(&*PROGRAM);
    command
        .args(["--listen", address, "--folder"])
        .arg(folder.path())
        .env("HUBSPOT_CLIENT_ID", &settings.client_id)
        .env("HUBSPOT_CLIENT_SECRET", &settings.client_secret)
        .env("HUBSPOT_REDIRECT_URI", settings.redirect_uris.first().ok_or("no redirect URI")?)
        .env("HUBSPOT_API_BASE", hubspot.url())
        .env("HUBSPOT_APP_BASE", hubspot.url());
    Ok(command)
}

/// A process of the example. It ends when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    log: Receiver<String>,
}

impl Process {
    /// Starts the example without any setting from outside.
    pub(crate) fn start_alone() -> Result<Self, BoxError> {
        let mut command = Command::new(&*PROGRAM);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HUBSPOT_") {
                command.env_remove(name);
            }
        }
        Self::start(command.args(["--listen", "127.0.0.1:0"]))
    }

    fn start(command: &mut Command) -> Result<Self, BoxError> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let lines = lines_of(child.stdout.take().ok_or("no output")?);
        let log = lines_of(child.stderr.take().ok_or("no log")?);
        Ok(Self { child, lines, log })
    }

    /// Waits for a line of the output that begins so. Returns the rest of it.
    pub(crate) fn wait_for_line(&self, start: &str) -> Result<String, BoxError> {
        wait_for_line(&self.lines, start)
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) fn terminate(&mut self) -> Result<ExitStatus, BoxError> {
        let id = Pid::from_raw(i32::try_from(self.child.id())?).ok_or("no process id")?;
        kill_process(id, Signal::TERM)?;
        let asked = Instant::now();
        while asked.elapsed() < LIMIT {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Err("the process did not end".into())
    }
}

/// Returns the lines as they come. They are read to the end, so that the process never waits for somebody to read them.
fn lines_of(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // For whoever reads the output of the tests.
            let _ = writeln!(io::stderr(), "{line}");
            let _ = sender.send(line);
        }
    });
    lines
}

fn wait_for_line(lines: &Receiver<String>, start: &str) -> Result<String, BoxError> {
    loop {
        let line = lines.recv_timeout(LIMIT).map_err(|error| format!("no line {start}: {error}"))?;
        if let Some(rest) = line.strip_prefix(start) {
            return Ok(rest.to_owned());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

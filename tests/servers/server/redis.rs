//! Redis.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{Process, folder, free_address};
use crate::wait::wait_until;

/// A Redis of a test's own.
#[derive(Debug)]
pub struct Redis {
    // Ended before its folder is removed.
    process: Option<Process>,
    folder: TempDir,
    address: SocketAddr,
    settings: Vec<String>,
}

/// With these, what Redis has acknowledged lasts.
const SETTINGS: [&str; 5] =
    ["appendonly yes", "appendfsync always", "save ", "maxmemory-policy noeviction", "bind 127.0.0.1"];

impl Redis {
    /// Starts a new server.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a new server with these settings, such as `appendonly no`.
    pub fn with(settings: &[&str]) -> Self {
        let mut server =
            Self { process: None, folder: folder(), address: free_address(), settings: Vec::new() };
        server.settings = SETTINGS.iter().chain(settings).map(|&setting| setting.to_owned()).collect();
        server.begin();
        server
    }

    /// Starts a replica of this server, which it follows through `address`. Waits until it has all that the server has had at its begin.
    pub fn replica(&self, address: SocketAddr) -> Self {
        let replica = Self::with(&[&format!("replicaof {} {}", address.ip(), address.port())]);
        wait_until(|| replica.info("replication").contains("master_link_status:up"));
        replica
    }

    /// Waits until a replica has all that this server has.
    pub fn wait_until_received(&self, replica: &Self) {
        let offset = |server: &Self, name: &str| {
            let info = server.info("replication");
            let line = info.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.parse::<u64>().unwrap()
        };
        wait_until(|| offset(self, "master_repl_offset:") == offset(replica, "slave_repl_offset:"));
    }

    /// Makes a replica the primary, also when it begins again.
    pub fn promote(&mut self) {
        self.settings.retain(|setting| !setting.starts_with("replicaof "));
        self.run::<()>("REPLICAOF NO ONE");
    }

    /// Starts the process. Waits until it has read its data.
    pub fn begin(&mut self) {
        let folder = self.folder.path();
        let (port, dir) = (self.address.port().to_string(), folder.display().to_string());
        let mut command = vec!["redis-server", "--port", &port, "--dir", &dir];
        for setting in &self.settings {
            let (name, value) = setting.split_once(' ').unwrap();
            command.extend(["--".to_owned() + name].map(|name| &*name.leak()));
            // A value of several words is one of several arguments.
            command.extend(if value.is_empty() { vec![""] } else { value.split(' ').collect() });
        }
        self.process = Some(Process::start(folder, &command));
        wait_until(|| {
            let connection = redis::Client::open(self.url()).unwrap().get_connection();
            let pong = connection.map(|mut connection| redis::cmd("PING").query::<()>(&mut connection));
            // A server that asks for a password is there, too.
            pong.is_ok_and(|pong| pong.is_ok() || pong.is_err_and(|error| error.code() == Some("NOAUTH")))
        });
    }

    /// Ends the server as a crash would.
    pub fn crash(&mut self) {
        self.process.take().unwrap().end(Signal::KILL);
    }

    /// Ends the server in the way in which it is restarted.
    pub fn stop(&mut self) {
        self.process.take().unwrap().end(Signal::TERM);
    }

    /// Ends all connections of clients.
    pub fn end_connections(&self) {
        self.run::<u64>("CLIENT KILL TYPE normal");
    }

    /// Returns the process of the server, which must not have ended.
    pub fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    /// Returns the address of the server, which stays the same when it begins again.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the folder of the server. The file `log` in it has what the server says.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the URL of this server.
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// Sends a command such as `CONFIG SET maxmemory 1mb` over a connection of its own.
    #[track_caller]
    pub fn run<T: redis::FromRedisValue>(&self, command: &str) -> T {
        run(&self.url(), command)
    }

    /// Returns a section of what the server says of itself.
    pub fn info(&self, section: &str) -> String {
        self.run(&format!("INFO {section}"))
    }
}

/// Returns the URL of a server that is reached through `address`.
pub fn url(address: SocketAddr) -> String {
    format!("redis://{address}")
}

/// Sends a command over a connection of its own.
#[track_caller]
pub fn run<T: redis::FromRedisValue>(url: &str, command: &str) -> T {
    let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
    let mut words = command.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    for word in words {
        command.arg(word);
    }
    command.query(&mut connection).unwrap()
}

/// A Redis that tests share. Each test has a prefix of its own in it.
///
/// It is the one of the environment variable `HS_OAUTH_TEST_REDIS`, or else one of a server that ends with the process.
pub fn shared_url() -> String {
    static SERVER: OnceLock<Redis> = OnceLock::new();
    std::env::var("HS_OAUTH_TEST_REDIS").unwrap_or_else(|_| SERVER.get_or_init(Redis::start).url())
}

/// Returns a prefix that no other store has.
pub fn new_prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("tokens_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

//! PostgreSQL.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::{Process, folder, free_address, program, run};
use crate::wait::PATIENCE;

/// A PostgreSQL server of a test's own.
#[derive(Debug)]
pub struct Postgres {
    // Ended before its folder is removed.
    process: Option<Process>,
    folder: TempDir,
    address: SocketAddr,
    settings: Vec<String>,
}

impl Postgres {
    /// Starts a new server.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a new server with these settings, such as `shared_buffers=1GB`.
    pub async fn with(settings: &[&str]) -> Self {
        let folder = folder();
        let data = folder.path().join("data");
        let encoding = ["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"];
        run(&[&[&*tool("initdb"), "-D", data.to_str().unwrap()], &encoding[..]].concat());
        Self::over(folder, settings).await
    }

    /// Starts a standby of this server, which it follows through `address`. The settings are the standby's.
    pub async fn standby(&self, address: SocketAddr, settings: &[&str]) -> Self {
        let folder = folder();
        let data = folder.path().join("data");
        let from = format!("{} application_name=standby", Self::connection_string(address));
        let options = ["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"];
        run(&[&[&*tool("pg_basebackup"), "-D", data.to_str().unwrap(), "-d", &from], &options[..]].concat());
        Self::over(folder, settings).await
    }

    async fn over(folder: TempDir, settings: &[&str]) -> Self {
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let mut server = Self { process: None, folder, address: free_address(), settings };
        server.begin();
        server.admin().await;
        server
    }

    /// Starts the process. It may take a while until it accepts connections.
    pub fn begin(&mut self) {
        let folder = self.folder.path();
        let mut command = vec![tool("postgres"), "-D".to_owned(), folder.join("data").display().to_string()];
        let defaults = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.address.port()),
            format!("unix_socket_directories={}", folder.display()),
            "max_connections=200".to_owned(),
            "shared_buffers=32MB".to_owned(),
        ];
        for setting in defaults.iter().chain(&self.settings) {
            command.extend(["-c".to_owned(), setting.clone()]);
        }
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        self.process = Some(Process::start(folder, &command));
    }

    /// Ends the server as a crash would: at once, without writing what is in its memory.
    pub fn crash(&mut self) {
        self.process.take().unwrap().end(Signal::QUIT);
    }

    /// Ends the server in the way in which it is restarted: its clients are told.
    pub fn stop(&mut self) {
        self.process.take().unwrap().end(Signal::INT);
    }

    /// Returns the process of the server, which must not have ended.
    pub fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    /// Ends all connections of clients.
    pub async fn end_connections(&self) {
        let ended = "select pg_terminate_backend(pid) from pg_stat_activity \
                     where backend_type = 'client backend' and pid <> pg_backend_pid()";
        self.admin().await.execute(ended, &[]).await.unwrap();
    }

    /// Acknowledges writes only after a standby has them, from now on. Waits until this is so for `standby`.
    pub async fn wait_for_answers_of(&self, standby: &Self) {
        let admin = self.admin().await;
        admin.execute("alter system set synchronous_standby_names = '*'", &[]).await.unwrap();
        admin.execute("select pg_reload_conf()", &[]).await.unwrap();
        let is_synchronous = "select exists (select from pg_stat_replication where sync_state = 'sync')";
        wait_until_true(&admin, is_synchronous).await;
        self.wait_until_received(standby).await;
    }

    /// Waits until a standby has all that this server has now.
    pub async fn wait_until_received(&self, standby: &Self) {
        let (primary, standby) = (self.admin().await, standby.admin().await);
        let row = primary.query_one("select pg_current_wal_lsn()::text", &[]).await.unwrap();
        let position: String = row.get(0);
        let is_there = format!("select pg_last_wal_replay_lsn() >= '{position}'::pg_lsn");
        wait_until_true(&standby, &is_there).await;
    }

    /// Makes a standby the primary. Waits until it is.
    pub async fn promote(&self) {
        self.admin().await.execute("select pg_promote()", &[]).await.unwrap();
    }

    /// Returns the address of the server, which stays the same when it begins again.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the folder of the server. The file `log` in it has what the server says.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns what libpq needs to reach this server through `address`.
    pub fn connection_string(address: SocketAddr) -> String {
        format!("host={} port={} user=postgres dbname=postgres", address.ip(), address.port())
    }

    /// Returns a URL of this server's, as it is reached through `address`.
    pub fn url(address: SocketAddr) -> String {
        Self::url_of("postgres", address)
    }

    /// Returns a URL for a role of this name.
    pub fn url_of(role: &str, address: SocketAddr) -> String {
        format!("postgres://{role}@{address}/postgres")
    }

    /// Returns a connection of the test's own. Waits until the server accepts one.
    #[track_caller]
    pub fn admin(&self) -> impl Future<Output = Client> {
        connect(Self::url(self.address))
    }
}

/// Waits until a query returns `true`.
async fn wait_until_true(client: &Client, query: &str) {
    let started = Instant::now();
    while !client.query_one(query, &[]).await.unwrap().get::<_, bool>(0) {
        assert!(started.elapsed() < PATIENCE, "{query}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns a connection. Waits until the server accepts one.
pub async fn connect(url: String) -> Client {
    let started = Instant::now();
    loop {
        match tokio_postgres::connect(&url, NoTls).await {
            Ok((client, connection)) => {
                // It ends with the client.
                tokio::spawn(connection);
                return client;
            }
            Err(error) => assert!(started.elapsed() < PATIENCE, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A database that tests share. Each test has a table of its own in it.
///
/// It is the one of the environment variable `HS_OAUTH_TEST_POSTGRES`, or else one of a server that ends with the process.
pub fn shared_url() -> String {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    if let Ok(url) = std::env::var("HS_OAUTH_TEST_POSTGRES") {
        return url;
    }
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Postgres::start())
    };
    // A runtime cannot be started on a thread of another one.
    let server = SERVER.get_or_init(|| std::thread::spawn(start).join().unwrap());
    Postgres::url(server.address)
}

/// Returns the address of the server of [`shared_url`].
pub fn shared_address() -> SocketAddr {
    let config: tokio_postgres::Config = shared_url().parse().unwrap();
    let [tokio_postgres::config::Host::Tcp(host)] = config.get_hosts() else {
        panic!("HS_OAUTH_TEST_POSTGRES has to name one host")
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    (host.as_str(), port).to_socket_addrs().unwrap().next().unwrap()
}

/// Returns the URL of [`shared_url`] with another address in it.
pub fn shared_url_through(address: SocketAddr) -> String {
    let url = shared_url();
    let (user, rest) = url.rsplit_once('@').expect("HS_OAUTH_TEST_POSTGRES has to name a user");
    let (_, path) = rest.split_once('/').expect("HS_OAUTH_TEST_POSTGRES has to name a database");
    format!("{user}@{address}/{path}")
}

/// Returns a name that no other table has.
pub fn new_table_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("tokens_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn tool(name: &str) -> String {
    program(Path::new("/usr/lib/postgresql"), name, "postgresql").display().to_string()
}

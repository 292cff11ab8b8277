//! pgbouncer, which lends the connections of a server to many clients.

use std::fs;
use std::net::SocketAddr;

use tempfile::TempDir;

use super::postgres::{Postgres, connect};
use super::{Process, folder, free_address, run};

/// A pgbouncer in front of a server, in transaction mode: a client has a connection for the time of a transaction. It ignores a parameter that
/// sqlx sends, as pgbouncer must for sqlx.
#[derive(Debug)]
pub struct PgBouncer {
    _process: Process,
    _folder: TempDir,
    address: SocketAddr,
}

impl PgBouncer {
    /// Starts a pgbouncer with so many connections to the server.
    pub async fn start(server: SocketAddr, connections: usize) -> Self {
        let (folder, address) = (folder(), free_address());
        let settings = format!(
            "[databases]\npostgres = host={} port={} user=postgres\n\
             [pgbouncer]\nlisten_addr = {}\nlisten_port = {}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = {connections}\n\
             ignore_startup_parameters = extra_float_digits\n",
            server.ip(),
            server.port(),
            address.ip(),
            address.port(),
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, settings).unwrap();
        run(&["test", "-r", file.to_str().unwrap()]);
        let process = Process::start(folder.path(), &["/usr/sbin/pgbouncer", file.to_str().unwrap()]);
        connect(Postgres::url(address)).await;
        Self { _process: process, _folder: folder, address }
    }

    /// Returns the address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

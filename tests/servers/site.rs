//! A server with the network in front of it, and the faults that they can have.

use std::net::SocketAddr;
use std::time::Duration;

use crate::relay::{Network, Relay};
use crate::server::postgres::Postgres;
use crate::server::redis::{self, Redis};

/// A server and the network in front of it.
#[derive(Debug)]
pub struct Site {
    /// The server. After a failover it is the one that was the standby.
    pub server: Server,
    /// The network through which clients reach the server.
    pub relay: Relay,
}

/// What goes wrong. Each takes three seconds at most, besides the time that a server needs to start or to become the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server ends all connections.
    ConnectionsEnded,
    /// The server's host is frozen for three seconds. Its kernel still accepts connections, and nobody answers on them.
    Frozen,
    /// The server crashes, and recovers at once.
    Crash,
    /// The server is stopped, and begins again a second later.
    Restart,
    /// The connections are reset.
    Reset,
    /// All traffic stands still for three seconds, and is delivered then.
    Stalled,
    /// The server acts, and what it says on the connections that there are is lost.
    AnswersLost,
    /// The connections that there are go dead without a word.
    Dead,
    /// The connections go dead without a word, and for three seconds all new ones are dead, too.
    NewDeadToo,
    /// The server is lost, and its address moves to a standby that has all that was acknowledged: a synchronous one, or with Redis one that was
    /// waited for, while the traffic stood still.
    Failover,
    /// The server is lost, and its address moves to a standby that has not received the last second.
    LossyFailover,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 11] = [
        Self::ConnectionsEnded,
        Self::Frozen,
        Self::Crash,
        Self::Restart,
        Self::Reset,
        Self::Stalled,
        Self::AnswersLost,
        Self::Dead,
        Self::NewDeadToo,
        Self::Failover,
        Self::LossyFailover,
    ];

    /// Returns the faults after which everything that was acknowledged is still there.
    pub fn that_lose_nothing() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|fault| *fault != Self::LossyFailover)
    }
}

const SECOND: Duration = Duration::from_secs(1);

impl Site {
    /// Puts a network in front of a server.
    pub fn new(server: Server) -> Self {
        let relay = Relay::start(server.address());
        Self { server, relay }
    }

    /// Returns the URL with which clients reach the server through the network.
    pub fn url(&self) -> String {
        self.server.url_through(self.relay.address())
    }

    /// Makes a fault happen. Returns when it is over, but for what it leaves behind: a server may still be starting, and clients have to
    /// connect again.
    pub async fn make(&mut self, fault: Fault) {
        let Self { server, relay } = self;
        match fault {
            Fault::ConnectionsEnded => server.end_connections().await,
            Fault::Frozen => {
                server.process().freeze();
                tokio::time::sleep(3 * SECOND).await;
                server.process().thaw();
            }
            Fault::Crash => {
                server.crash();
                server.begin();
            }
            Fault::Restart => {
                server.stop();
                tokio::time::sleep(SECOND).await;
                server.begin();
            }
            Fault::Reset => relay.set_present(Network::Resets),
            Fault::Stalled => {
                relay.set_all(Network::Stalls);
                tokio::time::sleep(3 * SECOND).await;
                relay.set_all(Network::Passes);
            }
            Fault::AnswersLost => relay.set_present(Network::SwallowsAnswers),
            Fault::Dead => relay.set_present(Network::Swallows),
            Fault::NewDeadToo => {
                relay.set_all(Network::Swallows);
                tokio::time::sleep(3 * SECOND).await;
                relay.set_new(Network::Passes);
            }
            Fault::Failover => self.fail_over().await,
            Fault::LossyFailover => self.lose_the_last_second().await,
        }
    }

    async fn fail_over(&mut self) {
        let standby = match &self.server {
            Server::Postgres(primary) => {
                let standby = primary.standby(primary.address(), &[]).await;
                primary.wait_for_answers_of(&standby).await;
                tokio::time::sleep(SECOND).await;
                Server::Postgres(standby)
            }
            Server::Redis(primary) => {
                let replica = primary.replica(primary.address());
                // Nothing is written any more, and what was written gets to the replica.
                self.relay.set_all(Network::Stalls);
                primary.wait_until_received(&replica);
                Server::Redis(replica)
            }
        };
        self.move_to(standby).await;
    }

    async fn lose_the_last_second(&mut self) {
        let replication = Relay::start(self.server.address());
        let standby = match &self.server {
            Server::Postgres(primary) => {
                let standby = primary.standby(replication.address(), &[]).await;
                primary.wait_until_received(&standby).await;
                Server::Postgres(standby)
            }
            Server::Redis(primary) => Server::Redis(primary.replica(replication.address())),
        };
        replication.set_all(Network::Swallows);
        tokio::time::sleep(SECOND).await;
        self.move_to(standby).await;
    }

    /// Ends the server, and moves its address to a standby of it.
    async fn move_to(&mut self, mut standby: Server) {
        // From now on nobody reaches the server. Its end is not waited for: PostgreSQL takes up to five seconds.
        self.relay.set_all(Network::Resets);
        standby.promote().await;
        self.relay.set_server(standby.address());
        self.relay.set_new(Network::Passes);
        self.server.crash();
        self.server = standby;
    }
}

/// A server of one of the engines.
#[derive(Debug)]
pub enum Server {
    /// PostgreSQL.
    Postgres(Postgres),
    /// Redis.
    Redis(Redis),
}

impl Server {
    /// Returns the address of the server itself.
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Postgres(server) => server.address(),
            Self::Redis(server) => server.address(),
        }
    }

    /// Returns a URL of this server, as it is reached through `address`.
    pub fn url_through(&self, address: SocketAddr) -> String {
        match self {
            Self::Postgres(_) => Postgres::url(address),
            Self::Redis(_) => redis::url(address),
        }
    }

    fn process(&self) -> &crate::server::Process {
        match self {
            Self::Postgres(server) => server.process(),
            Self::Redis(server) => server.process(),
        }
    }

    async fn end_connections(&self) {
        match self {
            Self::Postgres(server) => server.end_connections().await,
            Self::Redis(server) => server.end_connections(),
        }
    }

    fn crash(&mut self) {
        match self {
            Self::Postgres(server) => server.crash(),
            Self::Redis(server) => server.crash(),
        }
    }

    fn stop(&mut self) {
        match self {
            Self::Postgres(server) => server.stop(),
            Self::Redis(server) => server.stop(),
        }
    }

    fn begin(&mut self) {
        match self {
            Self::Postgres(server) => server.begin(),
            Self::Redis(server) => server.begin(),
        }
    }

    async fn promote(&mut self) {
        match self {
            Self::Postgres(server) => server.promote().await,
            Self::Redis(server) => server.promote(),
        }
    }
}

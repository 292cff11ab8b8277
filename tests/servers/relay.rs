//! A network between a store and its server that misbehaves when a test wants it to.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

/// A relay in front of a server. Its connections end with it.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What the network does with the bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Delivers the bytes of both sides.
    Passes,
    /// Keeps the bytes of both sides, and delivers them when the connection passes again.
    Stalls,
    /// Swallows the bytes of both sides for good, without a word, as a router does that has forgotten the connection.
    Swallows,
    /// Swallows what the server says.
    SwallowsAnswers,
    /// Resets the connection.
    Resets,
}

#[derive(Debug)]
struct Shared {
    server: Mutex<SocketAddr>,
    /// What happens to new connections.
    of_new: Mutex<Network>,
    connections: Mutex<Vec<Arc<Connection>>>,
    accepted: AtomicUsize,
    is_over: AtomicBool,
}

#[derive(Debug)]
struct Connection {
    network: Mutex<Network>,
    /// Notified when the network changes.
    changed: Condvar,
    /// Both sides, while the connection lasts.
    streams: Mutex<Option<[TcpStream; 2]>>,
    /// What the client sent after the network had begun to swallow.
    swallowed: Mutex<Vec<u8>>,
    is_closed_by_client: Mutex<bool>,
}

impl Relay {
    /// Starts a relay on a free port.
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server: Mutex::new(server),
            of_new: Mutex::new(Network::Passes),
            connections: Mutex::default(),
            accepted: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let relay = Self { address, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for client in listener.incoming() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                shared.accept(client.unwrap());
            }
        });
        relay
    }

    /// Returns the address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets what happens to the connections there are, and to new ones.
    pub fn set_all(&self, network: Network) {
        self.set_new(network);
        self.set_present(network);
    }

    /// Sets what happens to new connections.
    pub fn set_new(&self, network: Network) {
        *lock(&self.shared.of_new) = network;
    }

    /// Sets what happens to the connections that there are now.
    pub fn set_present(&self, network: Network) {
        for connection in lock(&self.shared.connections).iter() {
            connection.set(network);
        }
    }

    /// Sends new connections to another server, as an address does that moves.
    pub fn set_server(&self, server: SocketAddr) {
        *lock(&self.shared.server) = server;
    }

    /// Returns how many connections were accepted until now.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Returns what clients sent on connections that swallow everything, for each connection, and whether its client has closed it.
    pub fn swallowed(&self) -> Vec<(Vec<u8>, bool)> {
        let connections = lock(&self.shared.connections);
        let swallow = connections.iter().filter(|connection| *lock(&connection.network) == Network::Swallows);
        swallow.map(|of| (lock(&of.swallowed).clone(), *lock(&of.is_closed_by_client))).collect()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for connection in lock(&self.shared.connections).iter() {
            connection.end();
        }
        // Wakes the thread that accepts connections.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, client: TcpStream) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
        let connection = Arc::new(Connection {
            network: Mutex::new(*lock(&self.of_new)),
            changed: Condvar::new(),
            streams: Mutex::default(),
            swallowed: Mutex::default(),
            is_closed_by_client: Mutex::default(),
        });
        lock(&self.connections).push(Arc::clone(&connection));
        let server = *lock(&self.server);
        thread::spawn(move || {
            // A server that does not listen closes the connection.
            let Ok(server) = TcpStream::connect(server) else { return };
            connection.carry(&client, &server);
        });
    }
}

impl Connection {
    fn set(&self, network: Network) {
        let mut present = lock(&self.network);
        // What is dead stays dead.
        if *present != Network::Swallows {
            *present = network;
            drop(present);
            self.wake();
        }
    }

    fn end(&self) {
        *lock(&self.network) = Network::Resets;
        self.wake();
    }

    /// Lets the threads of this connection see that the network has changed. Neither side is told.
    fn wake(&self) {
        self.changed.notify_all();
        if *lock(&self.network) == Network::Resets {
            for stream in lock(&self.streams).iter().flatten() {
                let _ = stream.shutdown(Shutdown::Read);
            }
        }
    }

    /// Carries the bytes of both sides until one of them closes the connection.
    fn carry(&self, client: &TcpStream, server: &TcpStream) {
        for stream in [client, server] {
            stream.set_nodelay(true).unwrap();
        }
        *lock(&self.streams) = Some([client, server].map(|stream| stream.try_clone().unwrap()));
        // It may have been reset before its streams were known.
        self.wake();
        thread::scope(|scope| {
            scope.spawn(|| self.carry_one_way(client, server, true));
            self.carry_one_way(server, client, false);
        });
        *lock(&self.streams) = None;
    }

    /// Carries the bytes of one direction.
    fn carry_one_way(&self, mut from: &TcpStream, mut to: &TcpStream, is_client: bool) {
        let mut buffer = [0; 16 * 1024];
        loop {
            let count = from.read(&mut buffer).unwrap_or(0);
            // What was read is kept as long as the network stalls.
            match self.wait_while(|network| network == Network::Stalls) {
                Network::Resets => return reset([from, to]),
                // The other side never hears of it.
                Network::Swallows => {
                    if is_client {
                        lock(&self.swallowed).extend_from_slice(&buffer[..count]);
                        *lock(&self.is_closed_by_client) |= count == 0;
                    }
                    if count == 0 {
                        self.wait_while(|network| network != Network::Resets);
                        return reset([from, to]);
                    }
                    continue;
                }
                Network::SwallowsAnswers if !is_client && count > 0 => continue,
                _ => {}
            }
            if count == 0 || to.write_all(&buffer[..count]).is_err() {
                let _ = to.shutdown(Shutdown::Write);
                let _ = from.shutdown(Shutdown::Read);
                return;
            }
        }
    }

    /// Waits until the network is another one, and returns it.
    fn wait_while(&self, is_same: impl Fn(Network) -> bool) -> Network {
        let present = lock(&self.network);
        *self.changed.wait_while(present, |network| is_same(*network)).unwrap()
    }
}

/// Lets the streams be reset once nobody has them any more.
fn reset(streams: [&TcpStream; 2]) {
    for stream in streams {
        let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

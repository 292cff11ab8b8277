//! A server that follows a script on each connection, until the test gives it another script.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::raw_server::read_request;

/// One step of what a server does on a connection. After the last step it closes the connection.
#[derive(Clone)]
pub(crate) enum Act {
    /// Reads a whole request.
    Read,
    /// Reads once: a TLS hello, or the beginning of a request.
    Peek,
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes one at a time, each after this pause.
    SendSlowly(Vec<u8>, Duration),
    /// Sends these bytes again and again, until the client closes the connection.
    Flood(Vec<u8>),
    /// Sends nothing more while the client waits.
    Stall,
    /// Resets the connection instead of closing it.
    Reset,
    /// Forwards all that follows to another server, and back.
    Tunnel(SocketAddr),
}

pub(crate) type Script = Vec<Act>;

/// What a server does on each connection: its script, over TLS if there is any.
#[derive(Clone, Default)]
struct Behaviour {
    script: Script,
    tls: Option<Arc<ServerConfig>>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    connections: AtomicUsize,
    accepted: AtomicUsize,
    ended: AtomicUsize,
    requests: Mutex<Vec<String>>,
    /// All bytes that came, whether they are whole requests or not.
    received: Mutex<String>,
    has_tunneled: AtomicBool,
    is_over: AtomicBool,
}

/// How long a server waits for a client that neither writes nor reads. Every client gives up earlier.
const PATIENCE: Duration = Duration::from_secs(120);

impl Server {
    pub(crate) fn start(script: Script) -> Self {
        Self::start_tls(script, None)
    }

    pub(crate) fn start_tls(script: Script, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { behaviour: Mutex::new(Behaviour { script, tls }), ..Shared::default() });
        let server = Self { address, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    shared.serve(stream);
                    shared.ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets what the server does from the next connection on.
    pub(crate) fn set_script(&self, script: Script, tls: Option<Arc<ServerConfig>>) {
        *lock(&self.shared.behaviour) = Behaviour { script, tls };
    }

    /// Returns how many connections there were since the last call.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.swap(0, Ordering::SeqCst)
    }

    /// Returns how many connections the server is done with.
    pub(crate) fn ended(&self) -> usize {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// Returns whether the server is done with every connection that it has accepted.
    pub(crate) fn has_ended_all(&self) -> bool {
        self.ended() == self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Returns whether a connection was forwarded to another server.
    pub(crate) fn has_tunneled(&self) -> bool {
        self.shared.has_tunneled.load(Ordering::SeqCst)
    }

    /// Returns the whole requests that came since the last call.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.shared.requests))
    }

    /// Returns all that ever came.
    pub(crate) fn received(&self) -> String {
        lock(&self.shared.received).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts connections.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, tcp: TcpStream) {
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_write_timeout(Some(PATIENCE)).unwrap();
        tcp.set_nodelay(true).unwrap();
        let Behaviour { script, tls } = lock(&self.behaviour).clone();
        let raw = tcp.try_clone().unwrap();
        match tls {
            None => self.follow(script, tcp, &raw),
            Some(config) => {
                let Ok(session) = ServerConnection::new(config) else { return };
                self.follow(script, StreamOwned::new(session, tcp), &raw);
            }
        }
    }

    fn follow(&self, script: Script, mut stream: impl Read + Write, tcp: &TcpStream) {
        for act in script {
            let done = match act {
                Act::Read => {
                    let (request, is_whole) = read_request(&mut stream);
                    lock(&self.received).push_str(&request);
                    if is_whole {
                        lock(&self.requests).push(request);
                    }
                    is_whole.then_some(())
                }
                Act::Peek => {
                    let mut buffer = [0; 4096];
                    let count = stream.read(&mut buffer).unwrap_or(0);
                    lock(&self.received).push_str(&String::from_utf8_lossy(&buffer[..count]));
                    (count > 0).then_some(())
                }
                Act::Send(bytes) => stream.write_all(&bytes).and_then(|()| stream.flush()).ok(),
                Act::SendSlowly(bytes, pause) => bytes.iter().try_for_each(|byte| {
                    thread::sleep(pause);
                    stream.write_all(&[*byte]).and_then(|()| stream.flush()).ok()
                }),
                Act::Flood(bytes) => {
                    // HTTP clients that are built without optimization read no faster than this.
                    while stream.write_all(&bytes).is_ok() {
                        thread::sleep(Duration::from_millis(2));
                    }
                    None
                }
                Act::Stall => {
                    // Ends when the client gives up and closes.
                    while stream.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
                    None
                }
                Act::Reset => {
                    socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO)).unwrap();
                    None
                }
                Act::Tunnel(address) => {
                    self.tunnel(&mut stream, tcp, address);
                    None
                }
            };
            if done.is_none() {
                return;
            }
        }
    }

    fn tunnel(&self, stream: &mut impl Read, tcp: &TcpStream, address: SocketAddr) {
        let Ok(mut there) = TcpStream::connect(address) else { return };
        self.has_tunneled.store(true, Ordering::SeqCst);
        let (mut back_from, mut back_to) = (there.try_clone().unwrap(), tcp.try_clone().unwrap());
        thread::spawn(move || {
            let _ = std::io::copy(&mut back_from, &mut back_to);
            let _ = back_to.shutdown(std::net::Shutdown::Both);
        });
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            lock(&self.received).push_str(&String::from_utf8_lossy(&buffer[..count]));
            if there.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = there.shutdown(std::net::Shutdown::Both);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

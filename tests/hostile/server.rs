//! A server that does to each connection what its script says, until it is told to behave.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::raw_server::read_request;

/// What a server does to a connection. When the script is over, it closes.
#[derive(Clone)]
pub(crate) enum Act {
    /// Reads a whole request.
    Read,
    /// Reads whatever comes first: a TLS hello, or the beginning of a request.
    Peek,
    Say(Vec<u8>),
    /// A byte at a time.
    Drip(Vec<u8>, Duration),
    /// The same again and again, until the client has had enough.
    Flood(Vec<u8>),
    /// Nothing more, while the client waits.
    Stall,
    /// Resets the connection instead of closing it.
    Reset,
    /// From here on everything goes to another server and back.
    Tunnel(SocketAddr),
}

pub(crate) type Script = Vec<Act>;

/// What a server speaks: its script, and TLS below it.
#[derive(Clone, Default)]
struct Manners {
    script: Script,
    tls: Option<Arc<ServerConfig>>,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    manners: Mutex<Manners>,
    connections: AtomicUsize,
    ended: AtomicUsize,
    requests: Mutex<Vec<String>>,
    /// Everything that came, whole requests or not.
    heard: Mutex<String>,
    is_over: AtomicBool,
}

impl Server {
    pub(crate) fn start(script: Script) -> Self {
        Self::start_tls(script, None)
    }

    pub(crate) fn start_tls(script: Script, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { manners: Mutex::new(Manners { script, tls }), ..Shared::default() });
        let server = Self { address, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
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

    /// From the next connection on.
    pub(crate) fn turn(&self, script: Script, tls: Option<Arc<ServerConfig>>) {
        *lock(&self.shared.manners) = Manners { script, tls };
    }

    /// How many connections there were since this was last asked.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.swap(0, Ordering::SeqCst)
    }

    /// How many connections are over, on this side.
    pub(crate) fn ended(&self) -> usize {
        self.shared.ended.load(Ordering::SeqCst)
    }

    /// The whole requests that came since this was last asked.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.shared.requests))
    }

    /// Everything that ever came.
    pub(crate) fn heard(&self) -> String {
        lock(&self.shared.heard).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, tcp: TcpStream) {
        tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        tcp.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        tcp.set_nodelay(true).unwrap();
        let Manners { script, tls } = lock(&self.manners).clone();
        let raw = tcp.try_clone().unwrap();
        match tls {
            None => self.play(script, tcp, &raw),
            Some(config) => {
                let Ok(session) = ServerConnection::new(config) else { return };
                self.play(script, StreamOwned::new(session, tcp), &raw);
            }
        }
    }

    fn play(&self, script: Script, mut stream: impl Read + Write, tcp: &TcpStream) {
        for act in script {
            let done = match act {
                Act::Read => {
                    let (request, is_whole) = read_request(&mut stream);
                    lock(&self.heard).push_str(&request);
                    if is_whole {
                        lock(&self.requests).push(request);
                    }
                    is_whole.then_some(())
                }
                Act::Peek => {
                    let mut buffer = [0; 4096];
                    let count = stream.read(&mut buffer).unwrap_or(0);
                    lock(&self.heard).push_str(&String::from_utf8_lossy(&buffer[..count]));
                    (count > 0).then_some(())
                }
                Act::Say(bytes) => stream.write_all(&bytes).and_then(|()| stream.flush()).ok(),
                Act::Drip(bytes, pause) => bytes.iter().try_for_each(|byte| {
                    thread::sleep(pause);
                    stream.write_all(&[*byte]).and_then(|()| stream.flush()).ok()
                }),
                Act::Flood(bytes) => {
                    // No faster than the HTTP clients read when they are built without optimization.
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
        let (mut back_from, mut back_to) = (there.try_clone().unwrap(), tcp.try_clone().unwrap());
        thread::spawn(move || {
            let _ = std::io::copy(&mut back_from, &mut back_to);
            let _ = back_to.shutdown(std::net::Shutdown::Both);
        });
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            lock(&self.heard).push_str(&String::from_utf8_lossy(&buffer[..count]));
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

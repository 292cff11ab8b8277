//! A relay in front of the emulator. It can hold back responses until the test lets them through.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use crate::wait::wait_until;

pub(crate) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// The grant type of the requests whose responses are held back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    Exchanges,
    Refreshes,
    /// The requests for a token of the app itself.
    AppTokens,
}

struct Shared {
    emulator: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    hold: Option<Hold>,
    /// How many responses are held back at the moment.
    held: usize,
    /// The most responses that were ever held back at the same time.
    most_held: usize,
    /// How many of the responses held back may pass.
    released: usize,
    is_over: bool,
}

impl Relay {
    pub(crate) fn start(emulator: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { emulator, state: Mutex::default(), changed: Condvar::new() });
        let relay = Self { address, shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for client in listener.incoming() {
                if shared.state().is_over {
                    return;
                }
                let (shared, client) = (Arc::clone(&shared), client.unwrap());
                thread::spawn(move || shared.forward(client));
            }
        });
        relay
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Holds back every response of this kind from now on.
    pub(crate) fn hold(&self, hold: Hold) {
        self.shared.state().hold = Some(hold);
    }

    /// Lets one response pass that is held back.
    pub(crate) fn release_one(&self) {
        self.shared.state().released += 1;
        self.shared.changed.notify_all();
    }

    /// Lets all responses pass from now on.
    pub(crate) fn release(&self) {
        self.shared.state().hold = None;
        self.shared.changed.notify_all();
    }

    /// Returns how many responses are held back at the moment.
    pub(crate) fn held(&self) -> usize {
        self.shared.state().held
    }

    /// Returns the most responses that were ever held back at the same time.
    pub(crate) fn most_held(&self) -> usize {
        self.shared.state().most_held
    }

    #[track_caller]
    pub(crate) fn wait_for_held(&self, count: usize) {
        wait_until(|| self.held() >= count);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.changed.notify_all();
        // Wakes the thread that accepts connections.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn forward(&self, mut client: TcpStream) {
        let Ok(mut server) = TcpStream::connect(self.emulator) else { return };
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        let request = Mutex::new(String::new());
        let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = from_client.read(&mut buffer) {
                    request.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
                    if to_server.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                let _ = to_server.shutdown(Shutdown::Write);
            });
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = server.read(&mut buffer) {
                // The client sends no further request before it has the response to this one.
                let request = std::mem::take(&mut *request.lock().unwrap());
                self.hold_back(&request);
                if client.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
            let _ = client.shutdown(Shutdown::Both);
        });
    }

    /// Returns when the response to `request` may pass.
    fn hold_back(&self, request: &str) {
        let kind = match request {
            _ if request.contains("grant_type=authorization_code") => Hold::Exchanges,
            _ if request.contains("grant_type=refresh_token") => Hold::Refreshes,
            _ if request.contains("grant_type=client_credentials") => Hold::AppTokens,
            _ => return,
        };
        let mut state = self.state();
        if state.hold != Some(kind) {
            return;
        }
        state.held += 1;
        state.most_held = state.most_held.max(state.held);
        while state.hold == Some(kind) && state.released == 0 && !state.is_over {
            state = self.changed.wait(state).unwrap();
        }
        state.released = state.released.saturating_sub(1);
        state.held -= 1;
    }
}

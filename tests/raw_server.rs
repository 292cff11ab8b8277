//! A server that sends exactly the bytes that a test wants, one reply for each request.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

pub(crate) enum Reply {
    /// Sends these bytes and ends the connection.
    Bytes(Vec<u8>),
    /// Sends a whole response with this body, so long after the request came. The test is sent the time when the request came.
    Late(Duration, Vec<u8>, Sender<SystemTime>),
    /// Sends an error response with the whole request in each of its texts.
    Echo,
    /// Sends these bytes, and then nothing more while the client waits.
    Stall(Vec<u8>),
}

pub(crate) struct RawServer {
    pub(crate) url: String,
    requests: Receiver<String>,
}

impl Reply {
    /// Returns a whole response with a body.
    pub(crate) fn response(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!(
            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        Self::Bytes([head.as_bytes(), body].concat())
    }
}

impl RawServer {
    /// Sends the replies one after the other, one on each connection. Then every connection is refused.
    pub(crate) fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        thread::spawn(move || {
            for reply in replies {
                let (mut stream, _) = listener.accept().unwrap();
                // Every client gives up earlier.
                stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
                let (request, _) = read_request(&mut stream);
                let _ = sender.send(request.clone());
                match reply {
                    Reply::Bytes(bytes) => {
                        let _ = stream.write_all(&bytes);
                    }
                    Reply::Late(delay, body, came) => {
                        let _ = came.send(SystemTime::now());
                        thread::sleep(delay);
                        if let Reply::Bytes(bytes) = Reply::response(200, "", body) {
                            let _ = stream.write_all(&bytes);
                        }
                    }
                    Reply::Echo => {
                        let text = serde_json::Value::from(request);
                        let body = format!(
                            r#"{{"error":{text},"error_description":{text},"message":{text},"category":{text}}}"#
                        );
                        if let Reply::Bytes(bytes) = Reply::response(400, "", body) {
                            let _ = stream.write_all(&bytes);
                        }
                    }
                    Reply::Stall(bytes) => {
                        let _ = stream.write_all(&bytes);
                        // Ends when the client gives up and closes.
                        let _ = stream.read(&mut [0]);
                    }
                }
            }
        });
        Self { url, requests }
    }

    /// Returns the requests that came since the last call, heads and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.try_iter().collect()
    }
}

/// Returns the URL of a port on which no server can listen while the socket exists.
pub(crate) fn refused_port() -> (String, socket2::Socket) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (format!("http://{address}"), socket)
}

/// The sockets that keep a port from taking more connections.
pub(crate) type BlackHole = (socket2::Socket, Vec<TcpStream>);

/// Returns the URL of a port that neither takes nor refuses connections. Every attempt hangs while the returned sockets exist.
pub(crate) fn black_hole() -> (String, BlackHole) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let fill = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    let waiting = std::iter::from_fn(fill).take(16).collect();
    (format!("http://{address}"), (socket, waiting))
}

/// Reads a request. Returns it and whether it is whole.
pub(crate) fn read_request(stream: &mut impl Read) -> (String, bool) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        // The first byte of a TLS client. It waits for a response after its hello.
        if bytes.first() == Some(&0x16) {
            return (String::new(), false);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return (text, true);
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return (text, false),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

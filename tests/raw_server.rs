//! A server that sends exactly the bytes it is told to, one scripted reply a request.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

pub(crate) enum Reply {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// A whole answer with this body, so much later.
    Late(Duration, Vec<u8>),
    /// A refusal with all of the request in its texts.
    Echo,
    /// These bytes, and then nothing more while the client waits.
    Stall(Vec<u8>),
}

pub(crate) struct RawServer {
    pub(crate) url: String,
    requests: Receiver<String>,
}

impl Reply {
    /// A whole answer with a body.
    pub(crate) fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!(
            "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        Self::Bytes([head.as_bytes(), body].concat())
    }
}

impl RawServer {
    /// Gives the replies in turn, one a connection, and then refuses every connection.
    pub(crate) fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (send, requests) = channel();
        thread::spawn(move || {
            for reply in replies {
                let (mut stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                let (request, _) = read_request(&mut stream);
                let _ = send.send(request.clone());
                match reply {
                    Reply::Bytes(bytes) => {
                        let _ = stream.write_all(&bytes);
                    }
                    Reply::Late(delay, body) => {
                        thread::sleep(delay);
                        if let Reply::Bytes(bytes) = Reply::answer(200, "", body) {
                            let _ = stream.write_all(&bytes);
                        }
                    }
                    Reply::Echo => {
                        let text = serde_json::Value::from(request);
                        let body = format!(
                            r#"{{"error":{text},"error_description":{text},"message":{text},"category":{text}}}"#
                        );
                        if let Reply::Bytes(bytes) = Reply::answer(400, "", body) {
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

    /// The requests that came, heads and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.try_iter().collect()
    }
}

/// A port on which nobody listens.
pub(crate) fn closed_port() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A port on which nobody will listen, or connect from, while the socket is alive.
pub(crate) fn refused_port() -> (String, socket2::Socket) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (format!("http://{address}"), socket)
}

/// What keeps a port from taking more connections.
pub(crate) type BlackHole = (socket2::Socket, Vec<TcpStream>);

/// A port that takes no more connections and refuses none: every attempt hangs while what is given here is alive.
pub(crate) fn black_hole() -> (String, BlackHole) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let fill = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    let waiting = std::iter::from_fn(fill).take(16).collect();
    (format!("http://{address}"), (socket, waiting))
}

/// A request, and whether all of it came.
pub(crate) fn read_request(stream: &mut impl Read) -> (String, bool) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        // A TLS client says hello with this byte, and waits for an answer.
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

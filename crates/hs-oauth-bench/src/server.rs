//! A server that responds to every request with the same tokens, of the hub in the request's refresh token if it names one. It is a process
//! of its own, so that its work is not counted.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::given;
use crate::work::Failure;

/// The first argument of a process that is to call [`serve`].
pub const SERVE: &str = "serve";

/// The process of the server. It ends when this value is dropped.
#[derive(Debug)]
pub struct Server {
    process: Child,
    url: String,
}

impl Server {
    /// Starts this program again as the server. Its `main` must call [`serve`] if the first argument is [`SERVE`].
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn start() -> Result<Self, Failure> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg(SERVE)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut url)?;
        Ok(Self { process, url: url.trim().to_owned() })
    }

    /// Returns the URL of the server.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have ended before.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Prints the URL, and serves until standard input is closed.
///
/// # Errors
/// If the server cannot listen.
pub fn serve() -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    serve_all(&listener, &Arc::new(|| {}));
    Ok(())
}

/// Serves from this process until it ends, and calls `on_request` at each request. Returns the URL.
///
/// # Errors
/// If the server cannot listen.
pub fn serve_here(on_request: impl Fn() + Send + Sync + 'static) -> Result<String, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || serve_all(&listener, &Arc::new(on_request)));
    Ok(url)
}

fn serve_all(listener: &TcpListener, on_request: &Arc<impl Fn() + Send + Sync + 'static>) {
    for stream in listener.incoming().flatten() {
        let on_request = Arc::clone(on_request);
        std::thread::spawn(move || serve_connection(stream, &*on_request));
    }
}

fn serve_connection(stream: TcpStream, on_request: &dyn Fn()) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let response = with_head(given::RESPONSE);
    let mut request = Vec::new();
    let mut incoming = BufReader::new(stream.try_clone()?);
    let mut outgoing = stream;
    let mut line = String::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if incoming.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse()?
                }
                Some(_) => {}
                None if line == "\r\n" => break,
                None => {}
            }
        }
        request.clear();
        incoming.by_ref().take(length).read_to_end(&mut request)?;
        on_request();
        match given::response_to(&request, NUMBER.fetch_add(1, Ordering::Relaxed)) {
            Some(own) => outgoing.write_all(&with_head(own.as_bytes()))?,
            None => outgoing.write_all(&response)?,
        }
    }
}

/// The number of the next request.
static NUMBER: AtomicU64 = AtomicU64::new(0);

fn with_head(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json;charset=utf-8\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

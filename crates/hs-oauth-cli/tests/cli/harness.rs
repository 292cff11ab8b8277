use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// A server on loopback that sends scripted responses and records the requests.
pub(crate) struct Server {
    pub(crate) base: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

/// A response that a server holds back.
pub(crate) struct Held {
    pub(crate) received: Receiver<()>,
    pub(crate) release: Sender<()>,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The request line and the headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Request {
    /// Returns the request line.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }
}

impl Server {
    /// Sends these responses one after the other, and repeats the last one. A response is a status with or without headers,
    /// and a body.
    pub(crate) fn responding(responses: &[(&str, &str)]) -> Self {
        let responses: Vec<_> =
            responses.iter().map(|(head, body)| (head.to_string(), body.to_string())).collect();
        Self::start(0, move |_, index| responses[index.min(responses.len() - 1)].clone())
    }

    /// Sends one byte less than the response's `Content-Length` says.
    pub(crate) fn truncating(head: &str, body: &str) -> Self {
        let response = (head.to_owned(), body.to_owned());
        Self::start(1, move |_, _| response.clone())
    }

    /// Sends an error response that repeats the request in each of its texts.
    pub(crate) fn echoing() -> Self {
        Self::start(0, |request, _| {
            let text = format!("{} {}", request.head, request.body);
            let body = serde_json::json!({"error": text, "error_description": text, "message": text, "category": text});
            ("400 Bad Request".to_owned(), body.to_string())
        })
    }

    /// Sends this response when `release` is told to. `received` is told of each request.
    pub(crate) fn holding(head: &str, body: &str) -> (Self, Held) {
        let response = (head.to_owned(), body.to_owned());
        let ((on_receive, received), (release, released)) = (channel(), channel());
        let server = Self::start(0, move |_, _| {
            on_receive.send(()).unwrap();
            // Without a release, the program has ended.
            let _ = released.recv();
            response.clone()
        });
        (server, Held { received, release })
    }

    /// Answers whatever comes as a server for plain http does.
    pub(crate) fn plain() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                // The beginning of a TLS handshake.
                let _ = stream.read(&mut [0; 4096]).unwrap();
                let _ = stream
                    .write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            }
        });
        Self { base, requests: Arc::default() }
    }

    /// Starts a server whose responses lack `missing` bytes at their end.
    fn start(missing: usize, respond: impl Fn(&Request, usize) -> (String, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&requests);
        thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let request = receive(&stream);
                let (head, body) = respond(&request, index);
                received.lock().unwrap().push(request);
                let length = body.len() + missing;
                let response = format!(
                    "HTTP/1.1 {head}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                // The program may have ended.
                let _ = stream.write_all(response.as_bytes());
            }
        });
        Self { base, requests }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns the one request that was received, and panics if there were more or none.
    pub(crate) fn only_request(&self) -> Request {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }
}

fn receive(stream: &TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0);
    }
    let length = head
        .lines()
        .filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
        .next()
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Request { head, body: String::from_utf8(body).unwrap() }
}

/// A run of the program. Its environment has only the variables that the test sets.
pub(crate) struct Run {
    command: Command,
    stdin: String,
    folder: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// The current folder of the run, which is also its folder for temporary files.
    pub(crate) folder: PathBuf,
}

/// Prepares a run of `hs-oauth` with these arguments.
pub(crate) fn hs_oauth(arguments: &[&str]) -> Run {
    let folder = new_folder();
    let mut command = program();
    command.args(arguments).env_clear().env("TMPDIR", &folder).current_dir(&folder);
    // Nothing is kept there, so that runs know nothing of each other and of the person who runs the tests.
    command.env("HOME", new_folder()).env("HS_OAUTH_KEYRING", "off");
    Run { command, stdin: String::new(), folder }
}

/// Returns the program. A signal ends it even if whoever runs the tests lets signals be ignored, as `nohup` and a script's `&` do.
fn program() -> Command {
    let path = env!("CARGO_BIN_EXE_hs-oauth");
    if !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return Command::new(path);
    }
    let mut command = Command::new("/usr/bin/env");
    command.args(["--default-signal=HUP,INT,TERM", path]);
    command
}

/// Prepares a run for an app whose API is `server`.
pub(crate) fn with_app(server: &Server, arguments: &[&str]) -> Run {
    hs_oauth(arguments)
        .var("HUBSPOT_CLIENT_ID", "id-1")
        .var("HUBSPOT_CLIENT_SECRET", "s3cret-CANARY-000000000000000000000")
        .var("HUBSPOT_REDIRECT_URI", "http://localhost:3000/callback")
        .var("HUBSPOT_API_BASE", &server.base)
}

impl Run {
    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Writes a file into the folder of the run, which is its current folder.
    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = text.to_owned();
        self
    }

    pub(crate) fn run(self) -> Outcome {
        self.start(false)
    }

    /// Runs with a standard output that nobody reads.
    pub(crate) fn run_with_closed_stdout(self) -> Outcome {
        self.start(true)
    }

    /// Runs a script of `sh` in which `"$@"` is the program with its arguments.
    #[cfg(unix)]
    pub(crate) fn run_with_script(mut self, script: &str) -> Outcome {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script, "sh"]).arg(self.command.get_program()).args(self.command.get_args());
        shell.env_clear().envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.current_dir(&self.folder);
        self.command = shell;
        self.start(false)
    }

    /// Starts the program, and returns it with its folder. All of its standard streams are pipes.
    pub(crate) fn spawn(mut self) -> (Child, PathBuf) {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        (self.command.spawn().unwrap(), self.folder)
    }

    /// Returns the program, its arguments, its variables and its current folder.
    #[cfg(unix)]
    pub(crate) fn into_parts(self) -> (OsString, Vec<OsString>, Vec<(OsString, OsString)>, PathBuf) {
        let variables =
            self.command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        let arguments = self.command.get_args().map(OsString::from).collect();
        (self.command.get_program().to_owned(), arguments, variables.collect(), self.folder)
    }

    fn start(self, close_stdout: bool) -> Outcome {
        let text = self.stdin.clone();
        let (mut child, folder) = self.spawn();
        if close_stdout {
            drop(child.stdout.take());
        }
        // A program that does not read standard input may have ended already.
        let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
        let output = child.wait_with_output().unwrap();
        Outcome {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            folder,
        }
    }
}

impl Outcome {
    /// Panics unless the exit status is 0 and standard error is empty.
    pub(crate) fn succeeded(&self) -> &Self {
        assert_eq!((self.status, self.stderr.as_str()), (0, ""), "{self:?}");
        self
    }

    /// Returns standard output as a JSON object, and panics if it is anything else.
    pub(crate) fn json(&self) -> Value {
        let value: Value =
            serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        assert!(value.is_object() && self.stdout.ends_with("}\n"), "{self:?}");
        value
    }

    /// Returns the content of the only file in the folder, and panics unless it is private and standard error names it.
    pub(crate) fn saved_tokens(&self) -> Value {
        let files: Vec<_> = fs::read_dir(&self.folder).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{self:?}");
        assert!(self.stderr.contains(files[0].to_str().unwrap()), "{self:?}");
        assert_private(&files[0]);
        serde_json::from_str(&fs::read_to_string(&files[0]).unwrap()).unwrap()
    }

    /// Panics if the folder has a file.
    pub(crate) fn assert_no_file(&self) {
        assert_eq!(fs::read_dir(&self.folder).unwrap().count(), 0, "{self:?}");
    }
}

/// Returns the value of a field in aligned lines.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(name));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).split_once(' ').unwrap().1.trim_start()
}

/// Panics if anyone but the owner can read or write the file.
pub(crate) fn assert_private(file: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

/// Creates an empty folder.
pub(crate) fn new_folder() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A token response as HubSpot sends it today, with the refresh token that was sent.
pub(crate) const TOKENS: (&str, &str) = (
    "200 OK",
    r#"{"access_token":"CKrU-CANARY-access-000000000000000","token_type":"bearer","expires_in":1800,
        "refresh_token":"na1-CANARY-refresh-00000000000000","token_use":"access_token","hub_id":62515,"user_id":123,
        "scopes":["oauth","crm.objects.contacts.read"]}"#,
);
pub(crate) const ACCESS_TOKEN: &str = "CKrU-CANARY-access-000000000000000";
pub(crate) const REFRESH_TOKEN: &str = "na1-CANARY-refresh-00000000000000";

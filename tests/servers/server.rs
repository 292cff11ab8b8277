//! Throw-away servers of Debian's packages: on free ports, in folders of their own, and ended with the test, even if it panics or is
//! killed.

pub mod pgbouncer;
pub mod postgres;
pub mod redis;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, getuid, kill_process};
use tempfile::TempDir;

/// A shell at the side of a server. It ends the server by the signal that it reads, and by SIGQUIT when the process of the tests is no
/// more. Then it removes the folder, too.
const GUARD: &str = r#"
folder=$1; shift
exec 3<&0
# A shell lets what it starts in the background ignore SIGQUIT.
env --default-signal=INT,QUIT "$@" </dev/null >>"$folder/log" 2>&1 3<&- &
server=$!
echo "$server"
exec >/dev/null 2>&1
(
  read -r signal <&3
  kill -CONT "$server" $(pgrep -P "$server")
  kill -"${signal:-QUIT}" "$server"
  if [ -z "$signal" ]; then
    while kill -0 "$server"; do sleep 0.1; done
    rm -rf "$folder"
  fi
) &
wait "$server"
"#;

/// The process of a server, and those that it has started.
#[derive(Debug)]
pub struct Process {
    guard: Child,
    pid: Pid,
}

impl Process {
    /// Starts a program as the user of servers. What it says is in the file `log` in the folder.
    pub fn start(folder: &Path, command: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", GUARD, "guard"]).arg(folder).args(as_server_user()).args(command);
        let mut guard = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(guard.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
        Self { guard, pid }
    }

    /// Stops the server as if its host were frozen. Its kernel still accepts connections.
    pub fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    /// Lets a server go on that was frozen.
    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    fn signal_all(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
        for child in children(self.pid) {
            // It may have ended by itself.
            let _ = kill_process(child, signal);
        }
    }

    /// Sends this signal to the server, and waits for its end.
    pub fn end(mut self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
        // Kept open: without it the shell would think that the tests are no more. The signal 0 does nothing.
        let mut stdin = self.guard.stdin.take().unwrap();
        self.guard.wait().unwrap();
        stdin.write_all(b"0\n").unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.guard.stdin.take() {
            let _ = stdin.write_all(b"QUIT\n");
        }
        let _ = self.guard.wait();
    }
}

fn children(of: Pid) -> Vec<Pid> {
    let path = format!("/proc/{0}/task/{0}/children", of.as_raw_nonzero());
    let children = fs::read_to_string(path).unwrap();
    children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

/// The user who runs the servers if root runs the tests. PostgreSQL and pgbouncer refuse to run as root.
const SERVER_USER: &str = "postgres";

/// Returns what to put before a command so that it runs as [`SERVER_USER`].
fn as_server_user() -> Vec<String> {
    if !getuid().is_root() {
        return Vec::new();
    }
    let user = format!("--reuid={SERVER_USER}");
    ["setpriv", &user, "--regid=postgres", "--init-groups", "--"].map(str::to_owned).into()
}

/// Runs a program of a server to its end.
#[track_caller]
fn run(command: &[&str]) {
    let command: Vec<String> =
        as_server_user().into_iter().chain(command.iter().map(|&part| part.into())).collect();
    let output = Command::new(&command[0]).args(&command[1..]).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Returns a new folder of [`SERVER_USER`].
fn folder() -> TempDir {
    let folder = TempDir::with_prefix("hs-oauth-server-").unwrap();
    if getuid().is_root() {
        let (user, group) = user_and_group();
        chown(folder.path(), Some(user), Some(group)).unwrap();
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

fn user_and_group() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let of_user = |line: &&str| line.split(':').next() == Some(SERVER_USER);
    let line = users.lines().find(of_user).expect("install Debian's package `postgresql`");
    let id = |index| line.split(':').nth(index).unwrap().parse().unwrap();
    (id(2), id(3))
}

/// Returns an address on which nothing listens. Another process may take it before the server does.
pub fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Returns the path of a program of a Debian package that has a folder for each version: the newest one's.
fn program(versions: &Path, name: &str, package: &str) -> PathBuf {
    let folders = fs::read_dir(versions).into_iter().flatten().flatten();
    let paths = folders.map(|version| version.path().join("bin").join(name));
    let newest = paths.filter(|path| path.exists()).max();
    newest.unwrap_or_else(|| panic!("install Debian's package `{package}`"))
}

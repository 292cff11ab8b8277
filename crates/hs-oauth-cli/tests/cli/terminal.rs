//! What is different on a terminal.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use hs_oauth_emulator::{Fault, Target};
use pty_process::blocking::{Command, Pty, open};
use rustix::termios::{LocalModes, tcgetattr};

use crate::emulated::{Emulated, HUB, LONG};
use crate::harness::Run;
use crate::import::{csv, grants};
use crate::running::PATIENCE;

/// A program on a terminal of its own.
struct Terminal {
    child: std::process::Child,
    output: Receiver<Vec<u8>>,
    input: Pty,
    shown: String,
}

impl Terminal {
    fn start(run: Run) -> Self {
        let (program, arguments, variables, folder) = run.into_parts();
        let (terminal, side) = open().unwrap();
        terminal.resize(pty_process::Size::new(40, 200)).unwrap();
        let command = Command::new(program).args(arguments).env_clear().envs(variables).current_dir(folder);
        let child = command.spawn(side).unwrap();
        let (send, output) = channel();
        let mut reader =
            std::fs::File::from(std::os::fd::AsFd::as_fd(&terminal).try_clone_to_owned().unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Reading fails when the program has ended.
            while let Ok(length) = reader.read(&mut buffer) {
                if length == 0 || send.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, output, input: terminal, shown: String::new() }
    }

    /// Waits until the terminal shows this text.
    #[track_caller]
    fn see(&mut self, text: &str) {
        while !self.shown.contains(text) {
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("not seen: {text}\n{}", self.shown),
            }
        }
    }

    /// Waits until the terminal does not show any more what is typed.
    fn wait_until_hidden(&self) {
        while tcgetattr(&self.input).unwrap().local_modes.contains(LocalModes::ECHO) {
            std::thread::yield_now();
        }
    }

    fn type_in(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for the end, and returns the exit status and everything that was shown.
    fn end(mut self) -> (i32, String) {
        while let Ok(bytes) = self.output.recv_timeout(PATIENCE) {
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
        (self.child.wait().unwrap().code().unwrap(), self.shown)
    }
}

#[test]
fn a_silent_wait_says_what_it_waits_for() {
    let home = Emulated::new();
    home.login_with_old_token();
    home.inject(Fault::delay(Duration::from_secs(4)).with_target(Target::Refresh));
    let mut terminal = Terminal::start(home.hs_oauth(&["token", LONG]));
    terminal.see(&format!("waiting for {} …", home.hubspot.url()));
    let (status, shown) = terminal.end();
    assert_eq!((status, shown.matches("waiting").count()), (0, 1), "{shown}");
    // Nobody looks at a pipe.
    let home = Emulated::new();
    home.login_with_old_token();
    home.inject(Fault::delay(Duration::from_secs(4)).with_target(Target::Refresh));
    home.run(&["token", LONG]).succeeded();
}

#[test]
fn a_wait_that_is_short_is_not_spoken_of() {
    let (status, shown) =
        Terminal::start(Emulated::connected().hs_oauth(&["api", "/account-info/v3/details"])).end();
    assert!(status == 0 && !shown.contains("waiting"), "{shown}");
}

#[test]
fn what_cannot_be_undone_is_asked_first() {
    let home = Emulated::connected();
    for answer in ["n\n", "\n", "no way\n"] {
        let mut terminal = Terminal::start(home.hs_oauth(&["logout", HUB]));
        terminal.see("[y/N]");
        terminal.type_in(answer);
        let (status, shown) = terminal.end();
        assert!(status == 2 && shown.contains("not done"), "{shown}");
        assert_eq!(home.state(HUB).as_deref(), Some("live"));
    }
    let mut terminal = Terminal::start(home.hs_oauth(&["logout", HUB]));
    terminal.see("Revoke the refresh token of the account 62515");
    terminal.see("[y/N]");
    terminal.type_in("y\n");
    assert_eq!((terminal.end().0, home.state(HUB)), (0, None));
}

/// <https://no-color.org>
#[test]
fn doctor_is_in_colour_unless_the_person_wants_none() {
    let home = Emulated::connected();
    let (_, shown) = Terminal::start(home.hs_oauth(&["doctor"])).end();
    assert!(shown.contains("\u{1b}[32mok"), "{shown}");
    for (variable, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let (_, shown) = Terminal::start(home.hs_oauth(&["doctor"]).var(variable, value)).end();
        assert!(shown.contains("ok  ") && !shown.contains('\u{1b}'), "{shown}");
    }
}

#[test]
fn tokens_are_not_exported_to_a_screen() {
    let (status, shown) = Terminal::start(Emulated::connected().hs_oauth(&["export"])).end();
    assert!(status == 2 && shown.contains("--output FILE") && !shown.contains("na1-"), "{shown}");
}

#[test]
fn a_secret_is_not_shown_while_it_is_typed() {
    let home = Emulated::connected();
    let mut terminal = Terminal::start(home.hs_oauth(&["introspect", "--type=refresh", "-"]));
    terminal.see("refresh token (not shown): ");
    terminal.wait_until_hidden();
    terminal.type_in(" na1-CANARY  \n");
    let (status, shown) = terminal.end();
    assert!(status == 0 && shown.contains("active  false") && !shown.contains("CANARY"), "{shown}");
}

/// Elsewhere standard error stays empty, as the tests of `import` and `scan` say.
#[test]
fn import_shows_how_far_it_is() {
    let home = Emulated::new();
    let table = csv(&grants(&home, 1..=3));
    home.inject(Fault::delay(Duration::from_secs(1)).with_count(3).with_target(Target::Refresh));
    let run = home.with_app(&["import", "table.csv"]).var("TERM", "xterm").file("table.csv", table);
    let mut terminal = Terminal::start(run);
    terminal.see("of 3 rows");
    terminal.see("3 rows: 3 accepted");
}

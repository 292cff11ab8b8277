use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::lines::lines;
use crate::private_file;
use crate::report::Report;

/// The flags that say how results are printed.
#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Print one JSON object, tokens in the clear, under HubSpot's field names
    #[arg(long, global = true)]
    json: bool,
    /// Print tokens in the clear
    #[arg(long, global = true)]
    show_tokens: bool,
}

impl Output {
    /// Finds the flags in arguments that clap cannot parse as a whole.
    pub(crate) fn from_arguments(arguments: &[OsString]) -> Self {
        Self { json: arguments.iter().any(|argument| argument == "--json"), show_tokens: false }
    }

    /// Prints a report, and returns its exit status. A new refresh token that does not reach standard output is saved to a file.
    pub(crate) fn print_report(&self, report: &Report) -> Result<u8, Failure> {
        let printed = match self.json {
            true => print(&json(&report.object)),
            false => {
                let lines = || lines(&report.object, self.show_tokens).into_bytes();
                let mut text = report.text.clone().unwrap_or_else(lines);
                text.extend(report.note.iter().flat_map(|note| format!("{note}\n").into_bytes()));
                print_bytes(&text)
            }
        };
        let saved_to = match report.has_new_refresh_token && !self.has_printed_tokens(&printed) {
            true => Some(self.save(&report.object)?),
            false => None,
        };
        printed.map_err(|error| {
            if let Some(file) = &report.file_to_remove {
                let _ = fs::remove_file(file);
            }
            Failure::NotPrinted { error, saved_to }
        })?;
        Ok(report.exit_status)
    }

    /// Prints why the command failed and what to do next, and returns the exit status.
    ///
    /// A rescued refresh token that does not reach standard output is saved to a file.
    pub(crate) fn print_failure(&self, failure: &Failure) -> u8 {
        let tokens = failure.rescued_tokens();
        let printed = match (self.json, self.show_tokens) {
            (true, _) => print(&json(&failure.object())),
            (false, true) => print(&lines(&tokens, true)),
            (false, false) => Ok(()),
        };
        print_error(failure);
        let not_saved = match tokens.contains_key("refresh_token") && !self.has_printed_tokens(&printed) {
            true => self.save(&tokens).err(),
            false => None,
        };
        not_saved.iter().for_each(print_error);
        let last = not_saved.as_ref().unwrap_or(failure);
        let _ = writeln!(io::stderr().lock(), "next: {}", last.advice());
        last.exit_status()
    }

    /// Returns whether tokens reached standard output.
    fn has_printed_tokens(&self, printed: &io::Result<()>) -> bool {
        self.is_clear() && printed.is_ok() && !is_stdout_dev_null()
    }

    /// Saves tokens that exist nowhere else to a new file that only the user can read, and says where it is.
    fn save(&self, tokens: &Map<String, Value>) -> Result<PathBuf, Failure> {
        let path = private_file::create_temporary(&json(tokens)).map_err(Failure::TokensLost)?;
        let hint = match self.is_clear() {
            true => "",
            false => " (--json or --show-tokens prints it instead)",
        };
        print_error(format_args!(
            "the refresh token HubSpot has just issued is in {}, which only you can read: move it to where it \
             belongs{hint}",
            path.display()
        ));
        Ok(path)
    }

    /// Returns whether tokens are printed in the clear.
    fn is_clear(&self) -> bool {
        self.json || self.show_tokens
    }
}

/// Writes text to standard output, and fails unless all of it was written.
pub(crate) fn print(text: &str) -> io::Result<()> {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Returns whether standard output is `/dev/null`, where writing succeeds and nobody reads.
///
/// Rust opens `/dev/null` in place of a standard output that is closed.
fn is_stdout_dev_null() -> bool {
    #[cfg(unix)]
    {
        use std::os::{fd::AsFd, unix::fs::MetadataExt};
        let stdout =
            io::stdout().as_fd().try_clone_to_owned().and_then(|stdout| fs::File::from(stdout).metadata());
        matches!((stdout, fs::metadata("/dev/null")), (Ok(stdout), Ok(null)) if stdout.rdev() == null.rdev())
    }
    #[cfg(not(unix))]
    false
}

/// Writes a line to standard error.
pub(crate) fn print_error(text: impl Display) {
    // If standard error is closed, there is no other place for the message.
    let _ = writeln!(io::stderr().lock(), "hs-oauth: {text}");
}

fn json(object: &Map<String, Value>) -> String {
    // A `Value` is displayed as JSON; a `Map` cannot be displayed.
    format!("{}\n", Value::Object(object.clone()))
}

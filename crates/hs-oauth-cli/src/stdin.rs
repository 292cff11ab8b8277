//! Lines of standard input, for what must not be on the command line.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::str::FromStr;

use crate::failure::Failure;

/// The `-` that stands for standard input. A flag for a secret takes no other value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StdinMarker;

impl FromStr for StdinMarker {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "-" => Ok(Self),
            _ => Err("not `-`"),
        }
    }
}

/// Reads the next line of standard input, without its line break and the spaces around it. On a terminal it prompts for the line and does not show
/// what is typed.
///
/// `label` names the line in the prompt and in error messages.
pub(crate) fn read_line(label: &str) -> Result<String, Failure> {
    let unreadable =
        |error| Failure::usage(format!("could not read the {label} from standard input: {error}"));
    if io::stdin().is_terminal() {
        let _ = write!(io::stderr().lock(), "{label} (not shown): ");
        return trimmed(label, &rpassword::read_password().map_err(unreadable)?);
    }
    let mut line = Vec::new();
    let mut input = io::stdin().lock().take(MAX_LINE_SIZE);
    input.read_until(b'\n', &mut line).map_err(unreadable)?;
    if line.len() as u64 == MAX_LINE_SIZE {
        return Err(Failure::usage(format!(
            "the {label} on standard input is longer than {MAX_LINE_SIZE} bytes"
        )));
    }
    let text = str::from_utf8(&line)
        .map_err(|_| Failure::usage(format!("the {label} on standard input is not UTF-8")))?;
    trimmed(label, text)
}

/// Returns the line without the spaces that a paste often brings along.
fn trimmed(label: &str, line: &str) -> Result<String, Failure> {
    match line.trim() {
        "" => Err(Failure::usage(format!("there is no {label} on standard input"))),
        text => Ok(text.to_owned()),
    }
}

/// The limit of a line, in bytes. It is twice the limit of a secret, and twice the limit of a callback.
const MAX_LINE_SIZE: u64 = 32 * 1024;

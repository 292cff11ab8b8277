use std::fmt;
use std::io::{self, Write};

/// Prints a line to standard error.
pub(crate) fn print_progress(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

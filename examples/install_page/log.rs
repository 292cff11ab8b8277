//! The log, on standard error. What your service uses, such as `tracing`, does as well.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line to the log. The errors and events of hs-oauth show no secret.
pub(crate) fn log(line: impl Display) {
    // If nobody reads the log, the service goes on.
    let _ = writeln!(io::stderr(), "{line}");
}

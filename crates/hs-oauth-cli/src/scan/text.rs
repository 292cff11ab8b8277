//! Findings as text, for people.

use std::fmt::Write;

use hs_oauth_blocking::printable;
use indicatif::HumanCount;

use crate::scan::finding::Scanned;
use crate::scan::rule::{days_left, sunset};

/// Returns the findings as lines, and what they add up to.
pub(crate) fn text(scanned: &Scanned) -> String {
    let mut text = String::new();
    for finding in &scanned.findings {
        let path = printable(&finding.path.to_string_lossy());
        // Writing to a string does not fail.
        let _ = writeln!(text, "{path}:{}:{}: {}", finding.line, finding.column, finding.excerpt);
        let doubt =
            if finding.is_certain { "" } else { " (if it is HubSpot's: nothing in the file says so)" };
        let _ = writeln!(text, "    write instead: {}{doubt}", finding.instead);
    }
    let read = format!("{} in {}", counted(scanned.lines, "line"), counted(scanned.files, "file"));
    let end = format!("HubSpot removes v1 on {}, in {}", sunset(), counted(days_left(), "day"));
    let found = scanned.findings.len() as u64;
    let _ = match found {
        0 => writeln!(text, "nothing found that needs v1 of HubSpot's OAuth API ({read})"),
        _ => writeln!(text, "\n{} of v1 found ({read}). {end}.", counted(found, "use")),
    };
    text
}

fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", HumanCount(number), if number == 1 { "" } else { "s" })
}

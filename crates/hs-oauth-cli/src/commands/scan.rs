use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::failure::Failure;
use crate::output::print_error;
use crate::report::Report;
use crate::scan::{self, Options};

/// Find what stops working when HubSpot removes v1 of its OAuth API on 2027-02-16
///
/// It finds paths with /oauth/v1/ in code and configuration, and calls of HubSpot's SDKs for Node.js,
/// Python, Ruby and PHP that send to them, and says what to write instead. It sends nothing.
///
/// Files that .gitignore or .ignore names, binary files and the folder .git are left out.
///
/// Exit status: 0 nothing found, 6 something found, 1 nothing found but not all could be read,
/// 2 usage.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct Scan {
    /// Folders or files [default: the current folder]
    #[arg(value_name = "DIR")]
    roots: Vec<PathBuf>,
    /// How to print the findings; sarif is for code hosts and editors
    #[arg(long, value_name = "text|json|sarif", hide_possible_values = true)]
    format: Option<Format>,
    /// Leave out what matches this, as in a .gitignore of the folder; can be repeated
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Search the files that .gitignore and .ignore name, too
    #[arg(long)]
    no_ignore: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
    Sarif,
}

const EXAMPLES: &str = "\
Examples:
  hs-oauth scan
  hs-oauth scan src config --exclude '*.snap' --format sarif > v1.sarif";

impl Scan {
    pub(crate) fn run(&self) -> Result<Report, Failure> {
        let here = [PathBuf::from(".")];
        let roots = if self.roots.is_empty() { &here } else { self.roots.as_slice() };
        let scanned = scan::scan(&Options { roots, exclude: &self.exclude, no_ignore: self.no_ignore })?;
        for (path, error) in &scanned.unreadable {
            print_error(format_args!("could not read {}: {error}", path.display()));
        }
        let object = match self.format {
            Some(Format::Sarif) => scan::sarif(&scanned),
            _ => scanned.object(),
        };
        // `--json` asks for the object, whatever the format is.
        let text = match self.format {
            None | Some(Format::Text) => scan::text(&scanned),
            Some(Format::Json | Format::Sarif) => as_line(&object),
        };
        let exit_status = match (scanned.findings.is_empty(), scanned.unreadable.is_empty()) {
            (false, _) => FOUND,
            (true, false) => 1,
            (true, true) => 0,
        };
        Ok(Report::new(&object)?.shown_as(text).with_exit_status(exit_status))
    }
}

fn as_line(object: &Value) -> String {
    format!("{object}\n")
}

/// The exit status when something was found.
const FOUND: u8 = 6;

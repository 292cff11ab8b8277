use std::path::PathBuf;

use serde_json::{Value, json};

use crate::scan::rule::{Rule, sunset};

/// What a scan has found.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// Sorted by path and line.
    pub(crate) findings: Vec<Finding>,
    /// How many files were read.
    pub(crate) files: u64,
    /// How many lines these files have.
    pub(crate) lines: u64,
    /// The files and folders that could not be read, each with the reason.
    pub(crate) unreadable: Vec<(PathBuf, String)>,
}

/// A place that stops working.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) path: PathBuf,
    /// The line, counted from 1.
    pub(crate) line: u64,
    /// The column, counted in characters from 1.
    pub(crate) column: u64,
    pub(crate) rule: Rule,
    /// Whether the file names HubSpot. Otherwise the place may belong to another service.
    pub(crate) is_certain: bool,
    /// The line, shortened, and without what may be a secret.
    pub(crate) excerpt: String,
    /// What to write instead.
    pub(crate) instead: String,
}

impl Scanned {
    /// Returns the findings as the object that `--format json` prints.
    pub(crate) fn object(&self) -> Value {
        let findings = self.findings.iter().map(|finding| {
            json!({
                "file": finding.path.to_string_lossy(),
                "line": finding.line,
                "column": finding.column,
                "rule": finding.rule.id(),
                "certain": finding.is_certain,
                "text": finding.excerpt,
                "instead": finding.instead,
            })
        });
        let unreadable = self
            .unreadable
            .iter()
            .map(|(path, error)| json!({"file": path.to_string_lossy(), "message": error}));
        json!({
            "findings": findings.collect::<Vec<_>>(),
            "files": self.files,
            "lines": self.lines,
            "unreadable": unreadable.collect::<Vec<_>>(),
            "sunset": sunset(),
        })
    }
}

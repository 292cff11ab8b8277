//! The table, from a file or from standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::failure::Failure;
use crate::import::row::Row;
use crate::import::{csv, hs_config, json_lines};

/// The format of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    JsonLines,
    HsConfig,
}

/// Reads the rows of a table. `-` is standard input. Without a format, the file's name and its first character say which it is.
pub(crate) fn read(path: &Path, format: Option<Format>) -> Result<Vec<Row>, Failure> {
    let name = if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    let bytes = match path == Path::new("-") {
        true => read_to_end(io::stdin().lock()),
        false => File::open(path).and_then(read_to_end),
    };
    let bytes = bytes.map_err(|error| Failure::usage(format!("could not read {name}: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{name} is not UTF-8")))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let rows = match format.unwrap_or_else(|| format_of(path, text)) {
        Format::Csv => csv::rows(text),
        Format::JsonLines => Ok(json_lines::rows(text)),
        Format::HsConfig => hs_config::rows(text),
    };
    let rows = rows.map_err(|error| Failure::usage(format!("{name}: {}", error.0)))?;
    match rows.is_empty() {
        true => Err(Failure::usage(format!("{name} has no rows"))),
        false => Ok(rows),
    }
}

fn read_to_end(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_SIZE {
        true => Err(io::Error::other(format!("it is larger than {} MiB", MAX_SIZE >> 20))),
        false => Ok(bytes),
    }
}

fn format_of(path: &Path, text: &str) -> Format {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    match extension.to_str() {
        Some("yml" | "yaml") => Format::HsConfig,
        Some("csv" | "tsv") => Format::Csv,
        Some("jsonl" | "ndjson" | "json") => Format::JsonLines,
        _ if text.trim_start().starts_with('{') => Format::JsonLines,
        _ => Format::Csv,
    }
}

/// The largest table, in bytes. Ten million rows are about this size.
const MAX_SIZE: u64 = 1 << 30;

//! The files of the folders, read by several threads.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

use ignore::overrides::{Override, OverrideBuilder};
use ignore::{DirEntry, WalkBuilder, WalkState};

use crate::failure::Failure;
use crate::progress::Progress;
use crate::scan::file::{InFile, search};
use crate::scan::finding::Scanned;
use crate::scan::pattern::Patterns;

/// Which files are read.
#[derive(Debug)]
pub(crate) struct Options<'a> {
    /// The folders and files. There is at least one.
    pub(crate) roots: &'a [PathBuf],
    /// Globs of files that are left out, as in `.gitignore`.
    pub(crate) exclude: &'a [String],
    /// Whether the files that `.gitignore` and `.ignore` name are read, too.
    pub(crate) no_ignore: bool,
}

/// Searches all files. What cannot be read is listed in the result.
///
/// Hidden files are searched, since much of a configuration is hidden. The folder `.git` and binary files are not.
pub(crate) fn scan(options: &Options<'_>) -> Result<Scanned, Failure> {
    for root in options.roots {
        if let Err(error) = root.metadata() {
            return Err(Failure::usage(format!("could not read {}: {error}", root.display())));
        }
    }
    let patterns = Arc::new(Patterns::new().map_err(|error| Failure::Other(error.to_string()))?);
    let walker = walker(options)?.build_parallel();
    let progress = Progress::spinner("files scanned");
    let lines = AtomicU64::new(0);
    let files = AtomicU64::new(0);
    let (sender, receiver) = channel();
    walker.run(|| {
        let (patterns, sender, progress) = (Arc::clone(&patterns), sender.clone(), progress.clone());
        let (lines, files) = (&lines, &files);
        let mut buffer = Vec::new();
        Box::new(move |entry| {
            let result = match entry {
                Ok(entry) => match search_entry(&patterns, &entry, &mut buffer) {
                    Ok(Some(found)) if !found.is_binary => {
                        files.fetch_add(1, Ordering::Relaxed);
                        lines.fetch_add(found.lines, Ordering::Relaxed);
                        progress.advance();
                        Ok(found.findings)
                    }
                    Ok(_) => Ok(Vec::new()),
                    Err(error) => Err((entry.into_path(), error.to_string())),
                },
                Err(error) => Err(unreadable(&error)),
            };
            if !matches!(&result, Ok(findings) if findings.is_empty()) {
                // The receiver lives until all threads have ended.
                let _ = sender.send(result);
            }
            WalkState::Continue
        })
    });
    drop(sender);
    progress.finish();
    let mut scanned = Scanned { files: files.into_inner(), lines: lines.into_inner(), ..Scanned::default() };
    for result in receiver {
        match result {
            Ok(findings) => scanned.findings.extend(findings),
            Err(error) => scanned.unreadable.push(error),
        }
    }
    scanned
        .findings
        .sort_by(|a, b| (&a.path, a.line, a.column, a.rule).cmp(&(&b.path, b.line, b.column, b.rule)));
    scanned.unreadable.sort();
    Ok(scanned)
}

fn walker(options: &Options<'_>) -> Result<WalkBuilder, Failure> {
    let mut roots = options.roots.iter();
    let mut builder = WalkBuilder::new(roots.next().map_or(Path::new("."), PathBuf::as_path));
    for root in roots {
        builder.add(root);
    }
    builder
        .standard_filters(!options.no_ignore)
        .hidden(false)
        // A folder that was unpacked, or that another program keeps the versions of, has a `.gitignore` as well.
        .require_git(false)
        .overrides(overrides(options.exclude)?)
        .filter_entry(|entry| entry.depth() == 0 || entry.file_name() != ".git");
    Ok(builder)
}

fn overrides(exclude: &[String]) -> Result<Override, Failure> {
    let mut builder = OverrideBuilder::new(".");
    for glob in exclude {
        let added = builder.add(&format!("!{glob}")).map(drop);
        added.map_err(|error| Failure::usage(format!("`--exclude` has an invalid glob: {error}")))?;
    }
    builder.build().map_err(|error| Failure::usage(format!("`--exclude` has invalid globs: {error}")))
}

/// Searches a file. Returns `None` for what is no file.
fn search_entry(
    patterns: &Patterns,
    entry: &DirEntry,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<InFile>> {
    // What is named on the command line may be a link to a file. Elsewhere, links are not followed.
    let is_file = match entry.depth() {
        0 => entry.path().metadata().as_ref().is_ok_and(Metadata::is_file),
        _ => entry.file_type().is_some_and(|kind| kind.is_file()),
    };
    if !is_file {
        return Ok(None);
    }
    let path = entry.path();
    let shown = path.strip_prefix(".").unwrap_or(path);
    search(patterns, shown, File::open(path)?, buffer).map(Some)
}

/// Returns what could not be read, and why.
fn unreadable(error: &ignore::Error) -> (PathBuf, String) {
    match error {
        ignore::Error::WithPath { path, err } => (path.clone(), err.to_string()),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => unreadable(err),
        error => (PathBuf::new(), error.to_string()),
    }
}

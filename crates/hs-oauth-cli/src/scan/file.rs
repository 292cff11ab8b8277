//! One file, in pieces of a bounded size.

use std::io::{self, Read};
use std::path::Path;

use memchr::{memchr, memchr_iter, memrchr};

use crate::scan::excerpt::excerpt;
use crate::scan::finding::Finding;
use crate::scan::pattern::{Hit, Names, Patterns};
use crate::scan::rule::Language;

/// What a file has.
#[derive(Debug, Default)]
pub(crate) struct InFile {
    pub(crate) findings: Vec<Finding>,
    pub(crate) lines: u64,
    /// Whether it is a binary file, which is not searched.
    pub(crate) is_binary: bool,
}

/// Searches a file. `buffer` is used again for the next one.
///
/// A piece overlaps the one before it, so that a finding may lie on the border. What is remembered of a file does not grow with it.
pub(crate) fn search(
    patterns: &Patterns,
    path: &Path,
    mut file: impl Read,
    buffer: &mut Vec<u8>,
) -> io::Result<InFile> {
    let mut found = InFile::default();
    let mut names = patterns.names(path.as_os_str().as_encoded_bytes());
    let mut pending: Vec<(Hit, Place)> = Vec::new();
    let mut position = Place { line: 1, column: 1, excerpt: String::new() };
    buffer.clear();
    // The part of the buffer that was searched in the piece before.
    let mut searched = 0;
    loop {
        let is_last = fill(&mut file, buffer)?;
        if position.line == 1 && searched == 0 && memchr(0, buffer).is_some() {
            return Ok(InFile { is_binary: true, ..InFile::default() });
        }
        let end = if is_last { buffer.len() } else { buffer.len().saturating_sub(OVERLAP) };
        let hits = patterns.hits(buffer).into_iter().filter(|hit| (searched..end).contains(&hit.offset));
        let mut from = searched;
        let mut at = position.clone();
        for hit in hits {
            at.advance(buffer.get(from..hit.offset).unwrap_or_default());
            from = hit.offset;
            let on_line = pending.iter_mut().rev().take_while(|(_, place)| place.line == at.line);
            match on_line.into_iter().find(|(known, _)| known.rule == hit.rule) {
                // One finding of a rule is enough on a line, but it is the most certain one.
                Some((known, _)) => known.merge(&hit),
                None => {
                    at.excerpt = excerpt_at(buffer, hit.offset);
                    pending.push((hit, at.clone()));
                }
            }
        }
        // What a file of one piece names is of interest only if it has a hit.
        if !(is_last && searched == 0 && pending.is_empty()) {
            names.add(patterns.names(buffer));
        }
        position.advance(buffer.get(searched..end).unwrap_or_default());
        if is_last {
            break;
        }
        let kept = end.saturating_sub(OVERLAP);
        buffer.drain(..kept);
        searched = end - kept;
    }
    found.lines = position.line - u64::from(position.column == 1);
    found.findings = findings(path, pending, names);
    Ok(found)
}

/// Fills the buffer up to [`PIECE`], and returns whether the file is at its end.
fn fill(file: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let missing = PIECE.saturating_sub(buffer.len()) as u64;
    let read = file.by_ref().take(missing).read_to_end(buffer)? as u64;
    Ok(read < missing)
}

/// Returns the findings among the hits, now that it is known what the file names.
fn findings(path: &Path, hits: Vec<(Hit, Place)>, names: Names) -> Vec<Finding> {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let language = Language::of_extension(&extension);
    let hits = hits.into_iter().filter(|(hit, _)| hit.names_hubspot || hit.requires.is_met_by(names));
    let finding = |(hit, place): (Hit, Place)| Finding {
        path: path.to_owned(),
        line: place.line,
        column: place.column,
        rule: hit.rule,
        is_certain: hit.names_hubspot || names.hubspot,
        excerpt: place.excerpt,
        instead: hit.rule.instead(language),
    };
    hits.map(finding).collect()
}

/// Where something is in a file.
#[derive(Clone, Debug)]
struct Place {
    line: u64,
    column: u64,
    excerpt: String,
}

impl Place {
    /// Moves to the end of the text.
    fn advance(&mut self, text: &[u8]) {
        let in_line = match memrchr(b'\n', text) {
            Some(last) => {
                self.line += memchr_iter(b'\n', text).count() as u64;
                self.column = 1;
                text.get(last + 1..).unwrap_or_default()
            }
            None => text,
        };
        // A character of UTF-8 has one byte that does not continue another.
        self.column += in_line.iter().filter(|byte| **byte & 0xc0 != 0x80).count() as u64;
    }
}

/// Returns what is shown of the line that has this place.
fn excerpt_at(text: &[u8], offset: usize) -> String {
    let (before, after) = text.split_at_checked(offset).unwrap_or((text, &[]));
    let start = memrchr(b'\n', before).map_or(0, |end| end + 1);
    let end = memchr(b'\n', after).map_or(text.len(), |end| offset + end);
    excerpt(text.get(start..end).unwrap_or_default(), offset - start)
}

/// The size of a piece, in bytes.
const PIECE: usize = 1 << 20;

/// How much of a piece is searched again with the next one, and how much of the one before it is seen there, in bytes. It is more than
/// the longest hit and what is looked at around it.
const OVERLAP: usize = 4096;

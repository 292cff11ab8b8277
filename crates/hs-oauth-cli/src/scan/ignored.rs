//! The files that `.gitignore` and `.ignore` leave out (gitignore(5)).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gix_glob::Pattern;
use gix_glob::pattern::Case;
use gix_glob::wildmatch::Mode;

/// What is left out in a folder and below it.
#[derive(Debug)]
pub(crate) struct Ignored {
    folder: PathBuf,
    /// The way from the patterns' own folder to `folder`, if that is below it. It ends with a slash.
    way: Vec<u8>,
    /// In the order of the files. The last one that matches counts.
    patterns: Vec<Pattern>,
    above: Option<Arc<Self>>,
}

impl Ignored {
    /// Returns what is left out below a folder, by the files above it in the same repository and by these patterns.
    pub(crate) fn above(folder: &Path, exclude: &[String], read_files: bool) -> Arc<Self> {
        let mut ignored = None;
        if read_files {
            let absolute = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
            let root = absolute.ancestors().find(|ancestor| ancestor.join(".git").exists());
            // Outside of a repository, nothing above the folder counts.
            let above =
                absolute.ancestors().skip(1).filter(|above| root.is_some_and(|root| above.starts_with(root)));
            for above in above.collect::<Vec<_>>().into_iter().rev() {
                let mut way = with_slashes(absolute.strip_prefix(above).unwrap_or(&absolute));
                way.push(b'/');
                let patterns = patterns_of(above);
                ignored = Some(Arc::new(Self { folder: folder.to_owned(), way, patterns, above: ignored }));
            }
        }
        let patterns =
            exclude.iter().filter_map(|glob| Pattern::from_bytes_without_negation(glob.as_bytes()));
        let patterns = patterns.collect();
        Arc::new(Self { folder: folder.to_owned(), way: Vec::new(), patterns, above: ignored })
    }

    /// Returns what is left out below a folder, by its own files and by what is left out above it.
    pub(crate) fn below(self: Arc<Self>, folder: &Path) -> Arc<Self> {
        let patterns = patterns_of(folder);
        match patterns.is_empty() {
            true => self,
            false => {
                Arc::new(Self { folder: folder.to_owned(), way: Vec::new(), patterns, above: Some(self) })
            }
        }
    }

    /// Returns whether a file or a folder is left out.
    pub(crate) fn matches(&self, path: &Path, is_folder: bool) -> bool {
        let mut level = Some(self);
        while let Some(ignored) = level {
            if let Some(is_ignored) = ignored.decides(path, is_folder) {
                return is_ignored;
            }
            level = ignored.above.as_deref();
        }
        false
    }

    /// Returns what the patterns of this folder say, if one matches.
    fn decides(&self, path: &Path, is_folder: bool) -> Option<bool> {
        if self.patterns.is_empty() {
            return None;
        }
        let mut relative = self.way.clone();
        relative.extend(with_slashes(path.strip_prefix(&self.folder).ok()?));
        let basename = relative.iter().rposition(|byte| *byte == b'/').map(|slash| slash + 1);
        let matches = |pattern: &&Pattern| {
            pattern.matches_repo_relative_path(
                relative.as_slice().into(),
                basename,
                Some(is_folder),
                Case::Sensitive,
                Mode::NO_MATCH_SLASH_LITERAL,
            )
        };
        self.patterns.iter().rev().find(matches).map(|pattern| !pattern.is_negative())
    }
}

/// Returns the patterns of a folder's own files. Those of a later file count before those of an earlier one.
fn patterns_of(folder: &Path) -> Vec<Pattern> {
    let files = [".git/info/exclude", ".gitignore", ".ignore"];
    let texts = files.iter().filter_map(|file| fs::read(folder.join(file)).ok());
    texts.flat_map(|text| parse(&text)).collect()
}

/// Returns the path with slashes.
fn with_slashes(path: &Path) -> Vec<u8> {
    let mut bytes = path.as_os_str().as_encoded_bytes().to_vec();
    if std::path::MAIN_SEPARATOR == '\\' {
        bytes.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
    }
    bytes
}

/// Reads the patterns of a file. Empty lines and comments are none, and spaces at the end of a line count only after a backslash.
fn parse(text: &[u8]) -> Vec<Pattern> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
    lines.filter_map(|line| Pattern::from_bytes(without_spaces(line))).collect()
}

fn without_spaces(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let end = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
    let is_escaped = line.get(..end).is_some_and(|text| text.ends_with(b"\\"));
    line.get(..if is_escaped { end + 1 } else { end }).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// gitignore(5), "Pattern format".
    #[test]
    fn patterns_match_as_in_git() {
        let text = b"# comment\n\\#file\n*.log\n!kept.log\n/top.js\nbuild/\ndoc/*.txt\n**/deep/x\nspace \nescaped\\ \n";
        let ignored = Ignored { folder: PathBuf::new(), way: Vec::new(), patterns: parse(text), above: None };
        for path in [
            "#file",
            "a.log",
            "sub/a.log",
            "top.js",
            "doc/a.txt",
            "deep/x",
            "a/b/deep/x",
            "space",
            "escaped ",
        ] {
            assert!(ignored.matches(Path::new(path), false), "{path}");
        }
        for path in
            ["# comment", "kept.log", "sub/kept.log", "sub/top.js", "build", "doc/sub/a.txt", "escaped"]
        {
            assert!(!ignored.matches(Path::new(path), false), "{path}");
        }
        assert!(ignored.matches(Path::new("sub/build"), true));
    }

    #[test]
    fn a_folder_decides_before_those_above_it() {
        let level = |folder: &str, text: &[u8], above| {
            Arc::new(Ignored { folder: folder.into(), way: Vec::new(), patterns: parse(text), above })
        };
        let ignored = level("a/b", b"!x.js\n/y.js\n", Some(level("a", b"*.js\n", None)));
        assert!(!ignored.matches(Path::new("a/b/x.js"), false));
        assert!(ignored.matches(Path::new("a/b/z.js"), false));
        assert!(!ignored.matches(Path::new("a/b/c/y.ts"), false));
    }
}

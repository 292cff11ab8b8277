//! What earlier imports have begun and done, so that one that was stopped goes on where it was.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::import::row::Digest;
use crate::private_file;

/// A file with a line for each step of each grant. It has digests and no tokens.
#[derive(Debug)]
pub(crate) struct Journal {
    file: Mutex<File>,
    entries: HashMap<Digest, Entry>,
}

/// How far a grant has come in an earlier import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It is installed, and its token may have been sent.
    Begun,
    /// HubSpot has accepted it, and what came of that is in the store.
    Accepted,
    /// HubSpot has refused it.
    Refused,
}

impl Entry {
    const ALL: [Self; 3] = [Self::Begun, Self::Accepted, Self::Refused];

    const fn name(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }
}

impl Journal {
    /// Opens the file, and creates it and its folder if they are missing.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            private_file::create_folder(folder)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let text = fs::read(path)?;
        let text = String::from_utf8_lossy(&text);
        if !text.is_empty() && !text.ends_with('\n') {
            // The last line was cut off when a program or the power ended.
            file.write_all(b"\n")?;
        }
        Ok(Self { file: Mutex::new(file), entries: text.lines().filter_map(parse).collect() })
    }

    /// Returns how far a grant had come when the file was opened.
    pub(crate) fn entry(&self, digest: &Digest) -> Option<Entry> {
        self.entries.get(digest).copied()
    }

    /// Adds a line, which stays if the program is killed.
    pub(crate) fn add(&self, digest: &Digest, entry: Entry) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(format!("{digest} {}\n", entry.name()).as_bytes())
    }
}

fn parse(line: &str) -> Option<(Digest, Entry)> {
    let (digest, name) = line.split_once(' ')?;
    Some((Digest::parse(digest)?, Entry::ALL.into_iter().find(|entry| entry.name() == name)?))
}

#[cfg(test)]
mod tests {
    use hs_oauth_blocking::{Account, RefreshToken};

    use super::*;
    use crate::import::row::Grant;

    #[test]
    fn what_was_written_is_known_to_the_next_one_even_after_a_line_that_was_cut_off() {
        let folder = std::env::temp_dir().join(format!("hs-oauth-journal-{}", std::process::id()));
        let path = folder.join("import");
        let digest = |token: &str| {
            let refresh_token = RefreshToken::new(token).unwrap();
            Grant { hub_id: 7, user_id: None, client_id: None, refresh_token }.digest(Account::hub(7))
        };
        let journal = Journal::open(&path).unwrap();
        journal.add(&digest("na1-a"), Entry::Begun).unwrap();
        journal.add(&digest("na1-b"), Entry::Begun).unwrap();
        journal.add(&digest("na1-a"), Entry::Accepted).unwrap();
        assert_eq!(journal.entry(&digest("na1-a")), None);

        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{}", digest("na1-c").to_string().split_at(20).0)).unwrap();
        let journal = Journal::open(&path).unwrap();
        journal.add(&digest("na1-d"), Entry::Refused).unwrap();
        let journal = Journal::open(&path).unwrap();
        let entries = ["na1-a", "na1-b", "na1-c", "na1-d"].map(|token| journal.entry(&digest(token)));
        assert_eq!(entries, [Some(Entry::Accepted), Some(Entry::Begun), None, Some(Entry::Refused)]);
        assert!(!text.contains("na1"));
        fs::remove_dir_all(folder).unwrap();
    }
}

//! Files that hold secrets, readable only by their owner.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes a new file that only its owner can read. Fails if the file exists already, and does not change it.
pub(crate) fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a secret is of no use.
        let _ = fs::remove_file(path);
    }
    written
}

/// Writes a new file with a unique name in the folder for temporary files, or else in the current folder, and returns its
/// path.
pub(crate) fn create_temporary(text: &str) -> io::Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let name = format!("hs-oauth-{}-{now}.json", std::process::id());
    let create_in = |folder: PathBuf| {
        let path = folder.join(&name);
        create(&path, text).map(|()| path)
    };
    create_in(std::env::temp_dir()).or_else(|_| create_in(std::env::current_dir()?))
}

/// Reads a file, but not more of it than a pending authorization can have.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_SIZE).read_to_string(&mut text)?;
    Ok(text)
}

/// The limit of a file, in bytes. A pending authorization has a few hundred.
const MAX_SIZE: u64 = 64 * 1024;

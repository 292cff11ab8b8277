//! Files that hold secrets, readable only by their owner.

use std::fs::{self, DirBuilder, File, OpenOptions};
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

/// Writes a file that only its owner can read, in the place of the one that is there. Nobody ever sees half of it. Folders above it that
/// are missing are created.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A file that is a link is replaced where it is, so that a folder of settings that is kept elsewhere stays in use.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", unique()));
    let new = path.with_file_name(name);
    create(&new, text)?;
    fs::rename(&new, path).inspect_err(|_| drop(fs::remove_file(&new)))
}

/// Waits until no other process of this program changes what is in this folder, which is created if it is missing. The lock ends with the
/// file that is returned.
pub(crate) fn lock(folder: &Path) -> io::Result<File> {
    create_folder(folder)?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(folder.join(".lock"))?;
    file.lock()?;
    Ok(file)
}

/// Creates a folder that only its owner can use, and those above it that are missing. A folder that is there stays as it is.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Writes a new file with a unique name in the folder for temporary files, or else in the current folder, and returns its
/// path.
pub(crate) fn create_temporary(text: &str) -> io::Result<PathBuf> {
    let name = format!("hs-oauth-{}.json", unique());
    let create_in = |folder: PathBuf| {
        let path = folder.join(&name);
        create(&path, text).map(|()| path)
    };
    create_in(std::env::temp_dir()).or_else(|_| create_in(std::env::current_dir()?))
}

/// Returns a part of a file's name that no other process uses.
fn unique() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{}-{now}", std::process::id())
}

/// Returns whether anyone but the owner may read or write the file or enter the folder. Only Unix can say so.
pub(crate) fn is_open_to_others(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// Reads a file, but not more of it than a pending authorization can have.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_SIZE).read_to_string(&mut text)?;
    Ok(text)
}

/// The limit of a file, in bytes. A pending authorization has a few hundred.
const MAX_SIZE: u64 = 64 * 1024;

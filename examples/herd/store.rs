//! The store that the processes share, by its address.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hs_oauth_async::{AsyncTokenStore, FileStore, SpawnBlocking};
use hs_oauth_examples::BoxError;

/// The environment variable with the address. An address may hold a password, and other users can read the arguments of a process.
pub(crate) const STORE_VARIABLE: &str = "HERD_STORE";

/// Where the store is. It has no `Debug` and no `Display`, since it may hold a password.
#[derive(Clone)]
pub(crate) enum StoreAddress {
    /// A folder of a `FileStore`.
    File(PathBuf),
}

impl StoreAddress {
    /// Reads an address. No error repeats the text.
    pub(crate) fn parse(text: &str) -> Result<Self, BoxError> {
        match text.split_once(':') {
            Some(("file", folder)) if !folder.is_empty() => Ok(Self::File(folder.into())),
            _ => Err("the address of the store must be file:FOLDER".into()),
        }
    }

    /// Returns the address as text, for the environment of another process only.
    pub(crate) fn secret_text(&self) -> Result<String, BoxError> {
        match self {
            Self::File(folder) => {
                Ok(format!("file:{}", folder.to_str().ok_or("the folder's name is not UTF-8")?))
            }
        }
    }

    /// Returns the folder, if the store is one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::File(folder) => Some(folder),
        }
    }

    /// Opens the store.
    pub(crate) fn open(&self) -> Result<Arc<dyn AsyncTokenStore>, BoxError> {
        match self {
            Self::File(folder) => Ok(Arc::new(SpawnBlocking::new(FileStore::open(folder)?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_was_given() {
        let address = StoreAddress::parse("file:/tmp/a:b").unwrap();
        assert_eq!(address.secret_text().unwrap(), "file:/tmp/a:b");
        assert_eq!(address.folder(), Some(Path::new("/tmp/a:b")));
    }

    #[test]
    fn the_error_for_an_address_does_not_repeat_it() {
        for wrong in ["", "file:", "file", "mysql://herd:hunter2@localhost/herd", "hunter2"] {
            let error = StoreAddress::parse(wrong).map(|_| ()).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}

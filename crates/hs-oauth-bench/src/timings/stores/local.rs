//! The stores without a server: in memory, and in files.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use async_trait::async_trait;
use hs_oauth_async::{Account, FileStore, MemoryStore, TokenStore};
use tempfile::TempDir;

use super::calls::{Call, Callers, SharedCall};
use super::given::json;
use super::subject::{Measured, Subject};
use crate::work::Failure;

/// The loads and swaps a second of the prototype in files.
const PROTOTYPE: [u64; 2] = [48_000, 3_100];

/// Measures the store in memory.
pub(super) async fn measure_memory(accounts: u64) -> Result<Measured, Failure> {
    let store: Arc<dyn TokenStore> = Arc::new(MemoryStore::new());
    let mut callers = Callers::new(accounts)?.on_threads();
    callers.fill_blocking(&*store)?;
    Subject::blocking("memory", store, None, None)?.measure(&mut callers).await
}

/// Measures the store in files, beside one file that is read, and one that is written, flushed and renamed, and its folder flushed.
pub(super) async fn measure_files(accounts: u64) -> Result<Measured, Failure> {
    let folder = TempDir::with_prefix("hs-oauth-timings-")?;
    let store: Arc<dyn TokenStore> = Arc::new(FileStore::open(folder.path().join("tokens"))?);
    let mut callers = Callers::new(accounts)?.on_threads();
    callers.fill_blocking(&*store)?;
    let bare = Arc::new(Bare { folder: folder.path().join("bare"), json: json() });
    fs::create_dir(&bare.folder)?;
    for account in callers.accounts() {
        fs::write(bare.path(account), &bare.json)?;
    }
    let calls: [SharedCall; 2] = [Arc::new(BareLoad(Arc::clone(&bare))), Arc::new(BareSwap(bare))];
    Subject::blocking("files", store, Some(PROTOTYPE), Some(calls))?.measure(&mut callers).await
}

/// Files of the callers' own, which need no lock.
struct Bare {
    folder: PathBuf,
    json: String,
}

impl Bare {
    fn path(&self, account: Account) -> PathBuf {
        self.folder.join(account.hub_id.to_string())
    }

    fn replace(&self, path: &Path, caller: usize) -> io::Result<()> {
        let new = self.folder.join(format!("new-{caller}"));
        let mut file = File::create(&new)?;
        file.write_all(self.json.as_bytes())?;
        file.sync_all()?;
        fs::rename(new, path)?;
        File::open(&self.folder)?.sync_all()
    }
}

struct BareLoad(Arc<Bare>);

#[async_trait]
impl Call for BareLoad {
    async fn make(&self, _: usize, account: Account, _: &mut u64) -> Result<(), Failure> {
        fs::read(self.0.path(account))?;
        Ok(())
    }
}

struct BareSwap(Arc<Bare>);

#[async_trait]
impl Call for BareSwap {
    async fn make(&self, caller: usize, account: Account, _: &mut u64) -> Result<(), Failure> {
        Ok(self.0.replace(&self.0.path(account), caller)?)
    }
}

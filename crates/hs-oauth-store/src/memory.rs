use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hs_oauth_core::{Account, Record, StoreError, Stored};

use crate::{Swapped, TokenStore};

/// Records in memory: for tests, and for a process that needs its tokens no longer than it lives.
///
/// It never fails. `Debug` shows no secret.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    /// The version last given out, to any account: so no account gets one again, not even after a removal.
    version: u64,
    stored: HashMap<Account, Stored>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        // A thread that panicked cannot have left half a write: each is one insertion.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenStore for MemoryStore {
    fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        Ok(self.records().stored.get(&account).cloned())
    }

    fn swap(&self, account: Account, expected: Option<u64>, record: &Record) -> Result<Swapped, StoreError> {
        let mut records = self.records();
        if records.stored.get(&account).map(|stored| stored.version) != expected {
            return Ok(Swapped::Conflict);
        }
        records.version += 1;
        let version = records.version;
        records.stored.insert(account, Stored { version, record: record.clone() });
        Ok(Swapped::Stored(version))
    }

    fn list(&self) -> Result<Vec<Account>, StoreError> {
        let mut accounts: Vec<Account> = self.records().stored.keys().copied().collect();
        accounts.sort_unstable();
        Ok(accounts)
    }

    fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        let mut records = self.records();
        let found = records.stored.get(&account).is_some_and(|stored| stored.version == expected);
        if found {
            records.stored.remove(&account);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    #[test]
    fn the_memory_store_keeps_the_contract() {
        contract::check(&MemoryStore::new()).unwrap();
    }

    #[test]
    fn a_thread_that_panicked_takes_nobody_with_it() {
        let store = MemoryStore::new();
        let panicked = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let _records = store.records();
                    panic!("while it holds the lock");
                })
                .join()
        });
        assert!(panicked.is_err() && store.0.is_poisoned());
        contract::check(&store).unwrap();
    }
}

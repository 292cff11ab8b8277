use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hs_oauth_core::renewal::{Record, Stored};
use hs_oauth_core::{Account, StoreError};

use crate::{Swapped, TokenStore};

/// Stores records in memory: for tests, and for a process that needs its tokens only while it runs.
///
/// No method ever fails. `Debug` shows no secret.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    /// The version given out last. All accounts share it, so no account gets a version twice, not even after a removal.
    last_version: u64,
    stored: HashMap<Account, Stored>,
}

impl MemoryStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        // A thread that panicked cannot have left half a write, because a write is a single insertion.
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
        records.last_version += 1;
        let version = records.last_version;
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
        let is_expected = records.stored.get(&account).is_some_and(|stored| stored.version == expected);
        if is_expected {
            records.stored.remove(&account);
        }
        Ok(is_expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract;

    #[test]
    fn the_memory_store_passes_the_contract() {
        contract::check(&MemoryStore::new()).unwrap();
    }

    #[test]
    fn the_store_still_works_after_a_thread_panicked_with_its_lock() {
        let store = MemoryStore::new();
        let panicked = std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let _records = store.records();
                    panic!("with the lock");
                })
                .join()
        });
        assert!(panicked.is_err() && store.0.is_poisoned());
        contract::check(&store).unwrap();
    }
}

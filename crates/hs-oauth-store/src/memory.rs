use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hs_oauth_core::renewal::{Record, Stored};
use hs_oauth_core::{Account, StoreError};

use crate::{Cursor, Entry, Page, Swapped, TokenStore, check_account};

/// Stores records in memory: for tests, and for a process that needs its tokens only while it runs.
///
/// It never fails to do what is asked. `Debug` shows no secret.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Records>);

#[derive(Debug, Default)]
struct Records {
    /// The version given out last. All accounts share it, so no account gets a version twice, not even after a removal.
    last_version: u64,
    stored: BTreeMap<Account, Stored>,
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
        check_account(account)?;
        let mut records = self.records();
        if records.stored.get(&account).map(|stored| stored.version) != expected {
            return Ok(Swapped::Conflict);
        }
        records.last_version += 1;
        let version = records.last_version;
        records.stored.insert(account, Stored { version, record: record.clone() });
        Ok(Swapped::Stored(version))
    }

    /// The pages are in the order of the accounts.
    fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let from = match cursor {
            None => Bound::Unbounded,
            Some(cursor) => Bound::Excluded(cursor.account()?),
        };
        let records = self.records();
        let mut rest = records.stored.range((from, Bound::Unbounded));
        let entries: Vec<Entry> = (rest.by_ref().take(limit.max(1)))
            .map(|(account, stored)| Entry { account: *account, stored: Ok(stored.clone()) })
            .collect();
        let next = rest.next().and(entries.last()).map(|last| Cursor::after(last.account));
        Ok(Page { entries, next })
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

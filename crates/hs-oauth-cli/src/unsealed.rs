//! A store whose records this program can read.

use hs_oauth_blocking::{
    Account, Cursor, Entry, Page, Record, StoreError, StoreErrorKind, Stored, Swapped, TokenStore,
};

/// Refuses records that are sealed. Read as they are they have no tokens, and a logout would write a tombstone over tokens that it has not
/// revoked.
pub(crate) struct Unsealed<S>(pub(crate) S);

impl<S: TokenStore> TokenStore for Unsealed<S> {
    fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        self.0.load(account)?.map(unsealed).transpose()
    }

    fn swap(&self, account: Account, expected: Option<u64>, record: &Record) -> Result<Swapped, StoreError> {
        self.0.swap(account, expected, record)
    }

    fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let page = self.0.page(cursor, limit)?;
        let check = |entry: Entry| Entry { stored: entry.stored.and_then(unsealed), ..entry };
        Ok(Page { entries: page.entries.into_iter().map(check).collect(), next: page.next })
    }

    fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        self.0.remove(account, expected)
    }

    fn check(&self) -> Result<(), StoreError> {
        self.0.check()
    }
}

fn unsealed(stored: Stored) -> Result<Stored, StoreError> {
    match stored.record.unknown.contains("sealed") {
        false => Ok(stored),
        true => Err(StoreError::with_source(
            StoreErrorKind::Unreadable,
            "it is sealed with a key of the application, which this program does not have",
        )),
    }
}

#[cfg(test)]
mod tests {
    use hs_oauth_blocking::{Keys, MemoryStore, Sealed, SealingKey};

    use super::*;

    #[test]
    fn a_sealed_record_is_refused_and_any_other_is_as_it_is() {
        let plain: Record = serde_json::from_str(
            r#"{"format":1,"grant":"00000000000000000000000000000001","state":"live","unsettled":false}"#,
        )
        .unwrap();
        let store =
            Unsealed(Sealed::new(MemoryStore::new(), Keys::new(SealingKey::new("a", [1; 32]).unwrap())));
        store.swap(Account::hub(1), None, &plain).unwrap();
        assert_eq!(store.load(Account::hub(1)).unwrap().unwrap().record, plain);

        let store = Unsealed(store.0.get_ref());
        let error = store.load(Account::hub(1)).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unreadable);
        assert!(error.to_string().contains("sealed"), "{error}");
        assert!(store.page(None, 10).unwrap().entries[0].stored.is_err());
    }
}

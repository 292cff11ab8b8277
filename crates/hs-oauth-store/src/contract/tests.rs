use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use super::records::FULL_RECORD;
use super::*;
use crate::{Cursor, Entry, MemoryStore, Page, StoreError, check_account};

/// A handle on a store with one fault.
struct FaultyStore {
    fault: Fault,
    versions: Arc<Mutex<HashMap<Account, u64>>>,
    stored: Arc<Mutex<HashMap<Account, Stored>>>,
    /// What this handle has seen of each account.
    seen: Mutex<HashMap<Account, Option<Stored>>>,
    /// The versions that this handle may give out.
    sequence: Mutex<Range<u64>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    SwapIgnoresVersion,
    CreationIgnoresVersion,
    SwapIsNotAtomic,
    VersionsRestartAfterRemoval,
    VersionNeverGrows,
    RemovalIgnoresVersion,
    RemovalOfNothingSucceeds,
    RemovalKeepsTheRecord,
    UnknownFieldsLost,
    LongTokensTruncated,
    UsersShareTheRecordOfTheirHub,
    TombstonesAreLeftOut,
    PagesIgnoreTheLimit,
    PagesDoNotEnd,
    OnlyTheFirstPage,
    APageBeginsTooLate,
    VersionsTooGreat,
    ZeroCountsAsNoUser,
    MinusZeroLost,
    NulRefused,
    LoadFails,
    /// A handle does not see what was written through another one.
    ReadsFromACache,
    /// Each handle takes some versions in advance, as connections do with a sequence of PostgreSQL that is declared with a cache.
    VersionsFromACachedSequence,
}

fn faulty_store(fault: Fault) -> FaultyStore {
    FaultyStore {
        fault,
        versions: Arc::default(),
        stored: Arc::default(),
        seen: Mutex::default(),
        sequence: Mutex::new(1..100_000),
    }
}

impl FaultyStore {
    /// Returns another handle on the same store.
    fn second_handle(&self) -> Self {
        let (versions, stored) = (Arc::clone(&self.versions), Arc::clone(&self.stored));
        Self { versions, stored, sequence: Mutex::new(100_000..200_000), ..faulty_store(self.fault) }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn key(&self, account: Account) -> Account {
        let is_shared = self.has(Fault::UsersShareTheRecordOfTheirHub)
            || self.has(Fault::ZeroCountsAsNoUser) && account.user_id == Some(0);
        if is_shared { Account::hub(account.hub_id) } else { account }
    }

    fn stored_form(&self, record: &Record) -> Record {
        let mut json = serde_json::to_value(record).unwrap();
        if self.has(Fault::UnknownFieldsLost) {
            json.as_object_mut().unwrap().remove("region");
        }
        if self.has(Fault::MinusZeroLost) && !json["numbers"].is_null() {
            json["numbers"] = serde_json::json!([0.0, 0.5]);
        }
        if self.has(Fault::LongTokensTruncated) && !json["tokens"].is_null() {
            let token: String = json["tokens"]["access_token"].as_str().unwrap().chars().take(255).collect();
            json["tokens"]["access_token"] = token.into();
        }
        serde_json::from_value(json).unwrap()
    }
}

impl TokenStore for FaultyStore {
    fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        if self.has(Fault::LoadFails) {
            return Err(StoreError::new(StoreErrorKind::Unavailable));
        }
        let loaded = self.stored.lock().unwrap().get(&self.key(account)).cloned();
        match self.has(Fault::ReadsFromACache) {
            true => Ok(self.seen.lock().unwrap().entry(account).or_insert(loaded).clone()),
            false => Ok(loaded),
        }
    }

    fn swap(&self, account: Account, expected: Option<u64>, record: &Record) -> Result<Swapped, StoreError> {
        if !self.has(Fault::ZeroCountsAsNoUser) {
            check_account(account)?;
        }
        if self.has(Fault::NulRefused) && serde_json::to_string(record).unwrap().contains("\\u0000") {
            return Err(StoreError::new(StoreErrorKind::Refused));
        }
        let account = self.key(account);
        let current = self.stored.lock().unwrap().get(&account).map(|stored| stored.version);
        let ignores_version = self.has(Fault::SwapIgnoresVersion) && expected.is_some() && current.is_some()
            || self.has(Fault::CreationIgnoresVersion) && expected.is_none();
        if current != expected && !ignores_version {
            return Ok(Swapped::Conflict);
        }
        if self.has(Fault::SwapIsNotAtomic) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let mut stored = self.stored.lock().unwrap();
        let current = stored.get(&account).map(|stored| stored.version);
        if current != expected && !ignores_version && !self.has(Fault::SwapIsNotAtomic) {
            return Ok(Swapped::Conflict);
        }
        let mut versions = self.versions.lock().unwrap();
        let version = versions.entry(account).or_default();
        match () {
            () if self.has(Fault::VersionsRestartAfterRemoval) => *version = current.unwrap_or_default() + 1,
            () if self.has(Fault::VersionNeverGrows) => *version = 1,
            () if self.has(Fault::VersionsTooGreat) => *version += 1 << 54,
            () if self.has(Fault::VersionsFromACachedSequence) => {
                *version = self.sequence.lock().unwrap().next().unwrap();
            }
            () => *version += 1,
        }
        stored.insert(account, Stored { version: *version, record: self.stored_form(record) });
        Ok(Swapped::Stored(*version))
    }

    fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        let stored = self.stored.lock().unwrap();
        let tombstones = !self.has(Fault::TombstonesAreLeftOut);
        let shown = |stored: &Stored| tombstones || stored.record.tokens.is_some();
        let after = cursor.map(|cursor| cursor.account().unwrap());
        let mut entries: Vec<Entry> = (stored.iter())
            .filter(|(account, stored)| Some(**account) > after && shown(stored))
            .map(|(account, stored)| Entry { account: *account, stored: Ok(stored.clone()) })
            .collect();
        entries.sort_unstable_by_key(|entry| entry.account);
        let size = if self.has(Fault::PagesIgnoreTheLimit) { usize::MAX } else { limit.max(1) };
        let has_more = entries.len() > size && !self.has(Fault::OnlyTheFirstPage);
        entries.truncate(size);
        let next = entries.last().filter(|_| has_more).map(|last| Cursor::after(last.account));
        if self.has(Fault::APageBeginsTooLate) && cursor.is_some() && !entries.is_empty() {
            entries.remove(0);
        }
        let next = if self.has(Fault::PagesDoNotEnd) { Some(Cursor::after(Account::hub(1))) } else { next };
        Ok(Page { entries, next })
    }

    fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        let mut stored = self.stored.lock().unwrap();
        let account = self.key(account);
        let Some(current) = stored.get(&account) else {
            return Ok(self.has(Fault::RemovalOfNothingSucceeds));
        };
        let removed = current.version == expected || self.has(Fault::RemovalIgnoresVersion);
        if removed && !self.has(Fault::RemovalKeepsTheRecord) {
            stored.remove(&account);
        }
        Ok(removed)
    }
}

#[test]
fn a_store_without_a_fault_passes() {
    check(&faulty_store(Fault::None)).unwrap();
}

/// RENEWAL.md C10 (unconditional writes), C11 (versions that are used twice), and the other rules of the trait.
#[test]
fn every_fault_is_found_and_reported_with_the_rule_that_it_violates() {
    for (fault, rule) in [
        (Fault::SwapIgnoresVersion, "a swap needs the current version"),
        (Fault::CreationIgnoresVersion, "created only where there is none"),
        (Fault::SwapIsNotAtomic, "at once"),
        (Fault::VersionsRestartAfterRemoval, "no version is used twice"),
        (Fault::VersionNeverGrows, "each swap gives a greater one"),
        (Fault::RemovalIgnoresVersion, "a removal needs the current version"),
        (Fault::RemovalOfNothingSucceeds, "an account that was never stored"),
        (Fault::RemovalKeepsTheRecord, "a removal needs the current version"),
        (Fault::UnknownFieldsLost, "every field is stored"),
        (Fault::LongTokensTruncated, "every field is stored"),
        (Fault::UsersShareTheRecordOfTheirHub, "accounts are independent"),
        (Fault::TombstonesAreLeftOut, "the pages have every account"),
        (Fault::PagesIgnoreTheLimit, "the pages have every account"),
        (Fault::PagesDoNotEnd, "never stored"),
        (Fault::OnlyTheFirstPage, "the pages have every account"),
        (Fault::APageBeginsTooLate, "the pages have every account"),
        (Fault::VersionsTooGreat, "created only where there is none"),
        (Fault::ZeroCountsAsNoUser, "not positive"),
        (Fault::MinusZeroLost, "every field is stored"),
        (Fault::NulRefused, "every field is stored"),
        (Fault::LoadFails, "an account that was never stored"),
    ] {
        let violation = check(&faulty_store(fault)).unwrap_err();
        assert!(violation.rule.contains(rule), "{violation}");
        assert!(violation.to_string().contains(violation.rule) && !violation.found.is_empty());
    }
}

#[test]
fn a_fault_that_shows_between_two_handles_is_found() {
    for (fault, rule) in [
        (Fault::ReadsFromACache, "created only where there is none"),
        (Fault::VersionsFromACachedSequence, "each swap gives a greater one"),
    ] {
        let store = faulty_store(fault);
        let violation = check_shared(&store, &store.second_handle()).unwrap_err();
        assert!(violation.rule.contains(rule), "{violation}");
    }
}

/// An async store that removes a record before it writes the next one.
#[cfg(feature = "async")]
struct WritesInTwoSteps(FaultyStore);

#[cfg(feature = "async")]
#[crate::async_trait]
impl crate::AsyncTokenStore for WritesInTwoSteps {
    async fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        self.0.load(account)
    }

    async fn swap(
        &self,
        account: Account,
        expected: Option<u64>,
        record: &Record,
    ) -> Result<Swapped, StoreError> {
        if account != DROPPED {
            return self.0.swap(account, expected, record);
        }
        if self.0.load(account)?.map(|stored| stored.version) != expected {
            return Ok(Swapped::Conflict);
        }
        self.0.stored.lock().unwrap().remove(&account);
        let mut has_waited = false;
        std::future::poll_fn(|context| {
            context.waker().wake_by_ref();
            if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.0.swap(account, None, record)
    }

    async fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
        self.0.page(cursor, limit)
    }

    async fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        self.0.remove(account, expected)
    }
}

/// RENEWAL.md C10.
#[cfg(feature = "async")]
#[test]
fn a_store_that_a_dropped_call_leaves_with_half_a_write_is_found() {
    let store = WritesInTwoSteps(faulty_store(Fault::None));
    let mut result = pin!(check_async(&store));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    // Each of its waits ends at the next poll.
    let violation = loop {
        if let Poll::Ready(result) = result.as_mut().poll(&mut context) {
            break result.unwrap_err();
        }
    };
    assert!(violation.rule.contains("writes all or nothing"), "{violation}");
    assert_eq!(violation.found, "the record is gone");
}

#[test]
fn a_panic_of_the_store_in_a_thread_is_reported_as_a_violation() {
    struct PanickingStore(MemoryStore);

    impl TokenStore for PanickingStore {
        fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
            self.0.load(account)
        }

        fn swap(
            &self,
            account: Account,
            expected: Option<u64>,
            record: &Record,
        ) -> Result<Swapped, StoreError> {
            assert!(account != RACED, "the store panics");
            self.0.swap(account, expected, record)
        }

        fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
            self.0.page(cursor, limit)
        }

        fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
            self.0.remove(account, expected)
        }
    }

    assert_eq!(check(&PanickingStore(MemoryStore::new())).unwrap_err().found, "the store panicked");
}

#[test]
fn the_full_record_has_every_field_set() {
    let record: Record = serde_json::from_str(FULL_RECORD).unwrap();
    let json = serde_json::to_value(&record).unwrap();
    assert_eq!(json, serde_json::from_str::<serde_json::Value>(FULL_RECORD).unwrap());
    let Record {
        tokens: Some(tokens), revoke: Some(_), lease: Some(lease), retry: Some(retry), unknown, ..
    } = record
    else {
        panic!("a field is not set")
    };
    assert!(
        [&tokens.unknown, &lease.unknown, &retry.unknown, &unknown].iter().all(|unknown| !unknown.is_empty())
    );
    assert!(!json["tokens"].as_object().unwrap().values().any(serde_json::Value::is_null));
}

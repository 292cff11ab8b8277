use std::collections::HashMap;
use std::sync::Mutex;

use super::*;
use crate::MemoryStore;

/// A store with one thing wrong.
struct Broken {
    wrong: Wrong,
    version: Mutex<HashMap<Account, u64>>,
    stored: Mutex<HashMap<Account, Stored>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    Nothing,
    BlindWrite,
    BlindCreate,
    CheckThenWrite,
    VersionsFromOneAfterRemoval,
    SameVersionAgain,
    BlindRemoval,
    RemovalOfNothing,
    NothingRemoved,
    UnknownLost,
    LongTokensCut,
    OneRecordAHub,
    TombstonesNotListed,
    ListUnsorted,
    NeverAnswers,
}

fn broken(wrong: Wrong) -> Broken {
    Broken { wrong, version: Mutex::default(), stored: Mutex::default() }
}

impl Broken {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    fn key(&self, account: Account) -> Account {
        if self.is(Wrong::OneRecordAHub) { Account::hub(account.hub_id) } else { account }
    }

    fn kept(&self, record: &Record) -> Record {
        let mut json = serde_json::to_value(record).unwrap();
        if self.is(Wrong::UnknownLost) {
            json.as_object_mut().unwrap().remove("region");
        }
        if self.is(Wrong::LongTokensCut) && !json["tokens"].is_null() {
            let token: String = json["tokens"]["access_token"].as_str().unwrap().chars().take(255).collect();
            json["tokens"]["access_token"] = token.into();
        }
        serde_json::from_value(json).unwrap()
    }
}

impl TokenStore for Broken {
    fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
        if self.is(Wrong::NeverAnswers) {
            return Err(StoreError::new(crate::StoreErrorKind::Unavailable));
        }
        Ok(self.stored.lock().unwrap().get(&self.key(account)).cloned())
    }

    fn swap(&self, account: Account, expected: Option<u64>, record: &Record) -> Result<Swapped, StoreError> {
        let account = self.key(account);
        let present = self.stored.lock().unwrap().get(&account).map(|stored| stored.version);
        let blind = self.is(Wrong::BlindWrite) && expected.is_some() && present.is_some()
            || self.is(Wrong::BlindCreate) && expected.is_none();
        if present != expected && !blind {
            return Ok(Swapped::Conflict);
        }
        if self.is(Wrong::CheckThenWrite) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let mut stored = self.stored.lock().unwrap();
        let present = stored.get(&account).map(|stored| stored.version);
        if present != expected && !blind && !self.is(Wrong::CheckThenWrite) {
            return Ok(Swapped::Conflict);
        }
        let mut versions = self.version.lock().unwrap();
        let version = versions.entry(account).or_default();
        match () {
            () if self.is(Wrong::VersionsFromOneAfterRemoval) => *version = present.unwrap_or_default() + 1,
            () if self.is(Wrong::SameVersionAgain) => *version = 1,
            () => *version += 1,
        }
        stored.insert(account, Stored { version: *version, record: self.kept(record) });
        Ok(Swapped::Stored(*version))
    }

    fn list(&self) -> Result<Vec<Account>, StoreError> {
        let stored = self.stored.lock().unwrap();
        let tombstones = !self.is(Wrong::TombstonesNotListed);
        let shown = |stored: &Stored| tombstones || stored.record.tokens.is_some();
        let mut accounts: Vec<Account> =
            stored.iter().filter(|(_, stored)| shown(stored)).map(|(account, _)| *account).collect();
        accounts.sort_unstable();
        if self.is(Wrong::ListUnsorted) {
            accounts.reverse();
        }
        Ok(accounts)
    }

    fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
        let mut stored = self.stored.lock().unwrap();
        let account = self.key(account);
        let Some(present) = stored.get(&account) else { return Ok(self.is(Wrong::RemovalOfNothing)) };
        let removed = present.version == expected || self.is(Wrong::BlindRemoval);
        if removed && !self.is(Wrong::NothingRemoved) {
            stored.remove(&account);
        }
        Ok(removed)
    }
}

#[test]
fn a_store_with_nothing_wrong_passes() {
    check(&broken(Wrong::Nothing)).unwrap();
}

/// RENEWAL.md C10 (blind writes), C11 (versions that come back), and the rest of what the trait promises.
#[test]
fn each_thing_that_can_be_wrong_is_found_and_named() {
    for (wrong, rule) in [
        (Wrong::BlindWrite, "a swap needs the present version"),
        (Wrong::BlindCreate, "created only where there is none"),
        (Wrong::CheckThenWrite, "at once"),
        (Wrong::VersionsFromOneAfterRemoval, "no version comes back"),
        (Wrong::SameVersionAgain, "each gives a greater one"),
        (Wrong::BlindRemoval, "a removal needs the present version"),
        (Wrong::RemovalOfNothing, "what was never stored"),
        (Wrong::NothingRemoved, "a removal needs the present version"),
        (Wrong::UnknownLost, "every field is kept"),
        (Wrong::LongTokensCut, "every field is kept"),
        (Wrong::OneRecordAHub, "accounts are independent"),
        (Wrong::TombstonesNotListed, "the list has every account"),
        (Wrong::ListUnsorted, "the list has every account"),
        (Wrong::NeverAnswers, "what was never stored"),
    ] {
        let violation = check(&broken(wrong)).unwrap_err();
        assert!(violation.rule.contains(rule), "{violation}");
        assert!(violation.to_string().contains(violation.rule) && !violation.found.is_empty());
    }
}

#[test]
fn a_store_that_panics_is_reported_and_not_passed_on() {
    struct Panics(MemoryStore);

    impl TokenStore for Panics {
        fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
            self.0.load(account)
        }

        fn swap(
            &self,
            account: Account,
            expected: Option<u64>,
            record: &Record,
        ) -> Result<Swapped, StoreError> {
            assert!(account != RACED, "only here");
            self.0.swap(account, expected, record)
        }

        fn list(&self) -> Result<Vec<Account>, StoreError> {
            self.0.list()
        }

        fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
            self.0.remove(account, expected)
        }
    }

    assert_eq!(check(&Panics(MemoryStore::new())).unwrap_err().found, "the store panicked");
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
        panic!("not full")
    };
    assert!(
        [&tokens.unknown, &lease.unknown, &retry.unknown, &unknown].iter().all(|unknown| !unknown.is_empty())
    );
    assert!(!json["tokens"].as_object().unwrap().values().any(serde_json::Value::is_null));
}

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hs_oauth_core::{GrantId, GrantState, Random};
use serde_json::{Value, json};

use super::shell::{FIELD, Seal, bound_to};
use super::*;
use crate::{FileStore, MemoryStore, contract};

const ACCOUNT: Account = Account::hub(62515);
const OTHER: Account = Account::user(62515, 7);

fn key(id: &str) -> SealingKey {
    let mut bytes = [0; 32];
    id.bytes().zip(&mut bytes).for_each(|(byte, place)| *place = byte);
    SealingKey::new(id, bytes).unwrap()
}

fn sealed<S: TokenStore>(store: S, id: &str) -> Sealed<S> {
    Sealed::new(store, Keys::new(key(id)))
}

fn full() -> Record {
    contract::full().unwrap()
}

fn failure(store: &impl TokenStore, account: Account) -> (StoreErrorKind, String) {
    let error = store.load(account).unwrap_err();
    let shown = error.to_string();
    assert!(!shown.contains("na1-") && !shown.contains("CK-access"), "{shown}");
    (error.kind(), shown)
}

/// Puts what `alter` makes of the account's shell in its place.
fn alter(store: &impl TokenStore, alter: impl Fn(&mut Value)) {
    let Stored { version, record } = store.load(ACCOUNT).unwrap().unwrap();
    let mut json = serde_json::to_value(record).unwrap();
    alter(&mut json);
    let record: Record = serde_json::from_value(json).unwrap();
    assert!(matches!(store.swap(ACCOUNT, Some(version), &record).unwrap(), Swapped::Stored(_)));
}

#[test]
fn a_sealed_store_keeps_the_contract_over_memory_over_files_and_over_itself() {
    contract::check(&sealed(MemoryStore::new(), "a")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    contract::check(&sealed(FileStore::open(folder.path().join("tokens")).unwrap(), "a")).unwrap();
    contract::check(&sealed(sealed(MemoryStore::new(), "a"), "b")).unwrap();
}

#[test]
fn what_the_store_below_gets_has_no_secret_and_nothing_but_grant_and_state() {
    let store = sealed(MemoryStore::new(), "a");
    store.swap(ACCOUNT, None, &full()).unwrap();
    let shell = store.inner().load(ACCOUNT).unwrap().unwrap().record;
    let mut bare = Record::without_tokens(full().grant, GrantState::Gone);
    bare.unknown = shell.unknown.clone();
    assert_eq!(shell, bare);
    let json = serde_json::to_string(&shell).unwrap();
    for secret in ["CK-access", "na1-refresh", "na1-revoke", "a.b.c", "62515", "1790000000001"] {
        assert!(!json.contains(secret), "{json}");
    }
    assert_eq!(store.load(ACCOUNT).unwrap().unwrap().record, full());
}

#[test]
fn the_same_record_is_never_sealed_the_same_way_twice() {
    let store = sealed(MemoryStore::new(), "a");
    let seal = || store.keys.seal(ACCOUNT, &full()).unwrap().unknown.read::<Seal>(FIELD).unwrap();
    let (one, two) = (seal(), seal());
    assert!(one.nonce != two.nonce && one.text != two.text);
}

#[test]
fn a_seal_that_was_altered_in_any_part_is_damaged() {
    type Alteration = fn(&mut Value);
    let alterations: [Alteration; 10] = [
        |json| json["sealed"] = json!("x"),
        |json| json["sealed"] = json!({}),
        |json| json["sealed"]["nonce"] = json!("AAAA"),
        |json| json["sealed"]["nonce"] = json!("A".repeat(32)),
        |json| json["sealed"]["text"] = json!(""),
        |json| json["sealed"]["text"] = json!("not base64!"),
        |json| json["sealed"]["text"] = json!(json["sealed"]["text"].as_str().unwrap().replacen('A', "B", 1)),
        |json| json["sealed"]["text"] = json!(json["sealed"]["text"].as_str().unwrap().split_at(40).0),
        |json| json["sealed"]["key"] = json!("b"),
        |json| json["sealed"]["key"] = json!("na1-refresh token\n"),
    ];
    for (number, alteration) in alterations.into_iter().enumerate() {
        let store =
            Sealed::new(MemoryStore::new(), Keys::new(key("a")).and(key("b")).unwrap()).accept_plain();
        // Long enough that its seal has an A.
        store.swap(ACCOUNT, None, &full()).unwrap();
        alter(store.inner(), alteration);
        let (failure, shown) = failure(&store, ACCOUNT);
        assert_eq!(failure, StoreErrorKind::Damaged, "{number}: {shown}");
    }
}

#[test]
fn a_seal_is_good_for_its_account_only() {
    let store = sealed(MemoryStore::new(), "a");
    store.swap(ACCOUNT, None, &full()).unwrap();
    let shell = store.inner().load(ACCOUNT).unwrap().unwrap().record;
    store.inner().swap(OTHER, None, &shell).unwrap();
    assert_eq!(failure(&store, OTHER).0, StoreErrorKind::Damaged);
    assert!(store.load(ACCOUNT).is_ok());
}

#[test]
fn only_what_is_inside_the_seal_counts() {
    let store = sealed(MemoryStore::new(), "a");
    store.swap(ACCOUNT, None, &full()).unwrap();
    alter(store.inner(), |json| {
        json["state"] = json!("live");
        json["unsettled"] = json!(false);
        json["revoke"] = json!("other");
        json["grant"] = json!("0".repeat(32));
    });
    assert_eq!(store.load(ACCOUNT).unwrap().unwrap().record, full());
}

#[test]
fn a_key_that_is_not_here_is_named_and_the_record_stays() {
    let store = MemoryStore::new();
    sealed(&store, "2026-03").swap(ACCOUNT, None, &full()).unwrap();
    let other = sealed(&store, "2026-09");
    let (failure, shown) = failure(&other, ACCOUNT);
    assert_eq!(failure, StoreErrorKind::Unreadable);
    assert!(shown.contains("`2026-03`"), "{shown}");
    assert_eq!(other.swap(ACCOUNT, None, &full()).unwrap(), Swapped::Conflict);
    assert!(sealed(&store, "2026-03").load(ACCOUNT).is_ok());
}

#[test]
fn another_key_of_the_same_name_opens_nothing() {
    let store = MemoryStore::new();
    sealed(&store, "a").swap(ACCOUNT, None, &full()).unwrap();
    let other = Sealed::new(&store, Keys::new(SealingKey::new("a", [9; 32]).unwrap()));
    assert_eq!(failure(&other, ACCOUNT).0, StoreErrorKind::Damaged);
}

#[test]
fn a_record_that_is_not_sealed_is_refused_until_that_is_asked_for() {
    let store = MemoryStore::new();
    store.swap(ACCOUNT, None, &full()).unwrap();
    let (failure, shown) = failure(&sealed(&store, "a"), ACCOUNT);
    assert_eq!(failure, StoreErrorKind::Unreadable);
    assert!(shown.contains("not sealed"), "{shown}");

    let moving = sealed(&store, "a").accept_plain();
    assert_eq!(moving.load(ACCOUNT).unwrap().unwrap().record, full());
    let done = moving.reseal().unwrap();
    assert_eq!((done.resealed, done.failed.len()), (1, 0));
    assert_eq!(sealed(&store, "a").load(ACCOUNT).unwrap().unwrap().record, full());
}

#[test]
fn a_change_of_keys_reaches_every_record_and_then_the_old_key_can_go() {
    let store = MemoryStore::new();
    let old = sealed(&store, "old");
    for hub_id in 1..=20 {
        old.swap(Account::hub(hub_id), None, &full()).unwrap();
    }
    let both = Sealed::new(&store, Keys::new(key("new")).and(key("old")).unwrap());
    both.swap(Account::hub(21), None, &full()).unwrap();
    assert_eq!(both.load(Account::hub(1)).unwrap().unwrap().record, full());
    let done = both.reseal().unwrap();
    assert_eq!((done.resealed, done.failed.len()), (20, 0));
    assert_eq!(both.reseal().unwrap().resealed, 0);
    let new = sealed(&store, "new");
    for hub_id in 1..=21 {
        assert_eq!(new.load(Account::hub(hub_id)).unwrap().unwrap().record, full());
    }
}

#[test]
fn a_record_that_cannot_be_opened_does_not_stop_the_change_of_keys_and_is_named() {
    let store = MemoryStore::new();
    sealed(&store, "lost").swap(Account::hub(1), None, &full()).unwrap();
    sealed(&store, "old").swap(Account::hub(2), None, &full()).unwrap();
    let both = Sealed::new(&store, Keys::new(key("new")).and(key("old")).unwrap());
    let done = both.reseal().unwrap();
    assert_eq!(done.resealed, 1);
    assert_eq!(done.failed.len(), 1);
    assert_eq!((done.failed[0].0, done.failed[0].1.kind()), (Account::hub(1), StoreErrorKind::Unreadable));
    // The way out that the documentation names.
    let Stored { version, .. } = both.inner().load(Account::hub(1)).unwrap().unwrap();
    assert!(both.inner().remove(Account::hub(1), version).unwrap());
    assert!(both.reseal().unwrap().failed.is_empty());
}

/// RENEWAL.md C10: a change of keys is a write like every other.
#[test]
fn a_write_during_a_change_of_keys_is_not_lost() {
    /// Writes the account once, by a process that has the old key first, right after it was loaded.
    struct Meanwhile<'a>(&'a MemoryStore, std::sync::atomic::AtomicBool);

    impl TokenStore for Meanwhile<'_> {
        fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
            let loaded = self.0.load(account)?;
            if !self.1.swap(true, std::sync::atomic::Ordering::Relaxed) {
                let version = loaded.as_ref().map(|stored| stored.version);
                sealed(self.0, "old").swap(account, version, &Record::tombstone(full().grant, None))?;
            }
            Ok(loaded)
        }

        fn swap(
            &self,
            account: Account,
            expected: Option<u64>,
            record: &Record,
        ) -> Result<Swapped, StoreError> {
            self.0.swap(account, expected, record)
        }

        fn list(&self) -> Result<Vec<Account>, StoreError> {
            self.0.list()
        }

        fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
            self.0.remove(account, expected)
        }
    }

    let store = MemoryStore::new();
    sealed(&store, "old").swap(ACCOUNT, None, &full()).unwrap();
    let keys = Keys::new(key("new")).and(key("old")).unwrap();
    let done = Sealed::new(Meanwhile(&store, false.into()), keys).reseal().unwrap();
    assert_eq!((done.resealed, done.failed.len()), (1, 0));
    let record = sealed(&store, "new").load(ACCOUNT).unwrap().unwrap().record;
    assert_eq!(record.state, GrantState::Disconnected);
}

#[test]
fn a_newer_format_inside_the_seal_is_unreadable_and_not_damaged() {
    let store = sealed(MemoryStore::new(), "a");
    let key = store.keys.current();
    for (text, expected) in [
        (&br#"{"format":2,"grant":{}}"#[..], StoreErrorKind::Unreadable),
        (br#"{"format":1,"grant":{}}"#, StoreErrorKind::Damaged),
    ] {
        let nonce = [3; key::NONCE];
        let seal = Seal {
            key: "a".to_owned(),
            nonce: URL_SAFE_NO_PAD.encode(nonce),
            text: URL_SAFE_NO_PAD.encode(key.seal(&nonce, &bound_to(ACCOUNT, key), text).unwrap()),
        };
        let mut shell = Record::without_tokens(GrantId::generate(&mut Random::new([1; 32])), GrantState::Live);
        assert!(shell.unknown.put(FIELD, &seal));
        let present = store.inner().load(ACCOUNT).unwrap().map(|stored| stored.version);
        store.inner().swap(ACCOUNT, present, &shell).unwrap();
        assert_eq!(failure(&store, ACCOUNT).0, expected);
    }
}

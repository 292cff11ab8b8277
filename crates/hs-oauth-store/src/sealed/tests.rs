use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hs_oauth_core::Random;
use hs_oauth_core::renewal::{GrantId, GrantState};
use serde_json::{Value, json};

use super::envelope::{FIELD, SealedField, associated_data};
use super::*;
use crate::{FileStore, MemoryStore, contract};

const ACCOUNT: Account = Account::hub(62515);
const OTHER: Account = Account::user(62515, 7);

fn key(id: &str) -> SealingKey {
    let mut bytes = [0; 32];
    id.bytes().zip(&mut bytes).for_each(|(from, to)| *to = from);
    SealingKey::new(id, bytes).unwrap()
}

fn sealed<S: TokenStore>(store: S, id: &str) -> Sealed<S> {
    Sealed::new(store, Keys::new(key(id)))
}

fn full_record() -> Record {
    contract::full_record().unwrap()
}

/// Returns the kind and the message of the error that loading gives. The message must hold no secret.
fn load_error(store: &impl TokenStore, account: Account) -> (StoreErrorKind, String) {
    let error = store.load(account).unwrap_err();
    let message = error.to_string();
    assert!(!message.contains("na1-") && !message.contains("CK-access"), "{message}");
    (error.kind(), message)
}

/// Replaces the account's envelope with what `alter` makes of it.
fn alter_envelope(store: &impl TokenStore, alter: impl Fn(&mut Value)) {
    let Stored { version, record } = store.load(ACCOUNT).unwrap().unwrap();
    let mut json = serde_json::to_value(record).unwrap();
    alter(&mut json);
    let record: Record = serde_json::from_value(json).unwrap();
    assert!(matches!(store.swap(ACCOUNT, Some(version), &record).unwrap(), Swapped::Stored(_)));
}

#[test]
fn a_sealed_store_passes_the_contract_over_a_memory_store_a_file_store_and_a_sealed_store() {
    contract::check(&sealed(MemoryStore::new(), "a")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    contract::check(&sealed(FileStore::open(folder.path().join("tokens")).unwrap(), "a")).unwrap();
    contract::check(&sealed(sealed(MemoryStore::new(), "a"), "b")).unwrap();
}

#[cfg(feature = "async")]
#[test]
fn a_sealed_async_store_passes_the_contract_and_is_sealed_anew() {
    use futures_util::FutureExt;

    let both = Sealed::new(MemoryStore::new(), Keys::new(key("new")).with_key(key("old")).unwrap());
    contract::check_async(&sealed(both.get_ref(), "old")).now_or_never().unwrap().unwrap();
    let number = both.page(None, 1000).unwrap().entries.len();
    let result = both.reseal_async().now_or_never().unwrap().unwrap();
    assert_eq!((result.resealed, result.failed.len()), (number, 0));
    assert_eq!(both.reseal_async().now_or_never().unwrap().unwrap().resealed, 0);
}

#[test]
fn the_inner_store_gets_no_secret_and_no_field_in_clear_text_but_grant_and_state() {
    let store = sealed(MemoryStore::new(), "a");
    store.swap(ACCOUNT, None, &full_record()).unwrap();
    let envelope = store.get_ref().load(ACCOUNT).unwrap().unwrap().record;
    let mut bare = Record::without_tokens(full_record().grant, GrantState::Gone);
    bare.unknown = envelope.unknown.clone();
    assert_eq!(envelope, bare);
    let json = serde_json::to_string(&envelope).unwrap();
    for secret in ["CK-access", "na1-refresh", "na1-revoke", "a.b.c", "62515", "1790000000001"] {
        assert!(!json.contains(secret), "{json}");
    }
    assert_eq!(store.load(ACCOUNT).unwrap().unwrap().record, full_record());
}

#[test]
fn sealing_a_record_twice_gives_two_nonces_and_two_ciphertexts() {
    let store = sealed(MemoryStore::new(), "a");
    let seal = || {
        let envelope = store.keys.seal(ACCOUNT, &full_record()).unwrap();
        envelope.unknown.read::<SealedField>(FIELD).unwrap()
    };
    let (first, second) = (seal(), seal());
    assert!(first.nonce != second.nonce && first.text != second.text);
}

#[test]
fn an_envelope_that_was_altered_in_any_part_is_damaged() {
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
        let store = Sealed::new(MemoryStore::new(), Keys::new(key("a")).with_key(key("b")).unwrap())
            .with_unsealed_records();
        // The record is long enough that its ciphertext has an A.
        store.swap(ACCOUNT, None, &full_record()).unwrap();
        alter_envelope(store.get_ref(), alteration);
        let (kind, message) = load_error(&store, ACCOUNT);
        assert_eq!(kind, StoreErrorKind::Damaged, "{number}: {message}");
    }
}

#[test]
fn an_envelope_opens_only_for_its_own_account() {
    let store = sealed(MemoryStore::new(), "a");
    store.swap(ACCOUNT, None, &full_record()).unwrap();
    let envelope = store.get_ref().load(ACCOUNT).unwrap().unwrap().record;
    store.get_ref().swap(OTHER, None, &envelope).unwrap();
    assert_eq!(load_error(&store, OTHER).0, StoreErrorKind::Damaged);
    assert!(store.load(ACCOUNT).is_ok());
}

#[test]
fn opening_ignores_the_fields_of_the_envelope_that_are_in_clear_text() {
    let store = sealed(MemoryStore::new(), "a");
    store.swap(ACCOUNT, None, &full_record()).unwrap();
    alter_envelope(store.get_ref(), |json| {
        json["state"] = json!("live");
        json["unsettled"] = json!(false);
        json["revoke"] = json!("other");
        json["grant"] = json!("0".repeat(32));
    });
    assert_eq!(store.load(ACCOUNT).unwrap().unwrap().record, full_record());
}

#[test]
fn the_error_for_a_missing_key_names_the_key_and_the_record_stays() {
    let store = MemoryStore::new();
    sealed(&store, "2026-03").swap(ACCOUNT, None, &full_record()).unwrap();
    let other = sealed(&store, "2026-09");
    let (kind, message) = load_error(&other, ACCOUNT);
    assert_eq!(kind, StoreErrorKind::Unreadable);
    assert!(message.contains("`2026-03`"), "{message}");
    assert_eq!(other.swap(ACCOUNT, None, &full_record()).unwrap(), Swapped::Conflict);
    assert!(sealed(&store, "2026-03").load(ACCOUNT).is_ok());
}

#[test]
fn another_key_with_the_same_id_opens_nothing() {
    let store = MemoryStore::new();
    sealed(&store, "a").swap(ACCOUNT, None, &full_record()).unwrap();
    let other = Sealed::new(&store, Keys::new(SealingKey::new("a", [9; 32]).unwrap()));
    assert_eq!(load_error(&other, ACCOUNT).0, StoreErrorKind::Damaged);
}

#[test]
fn a_record_that_is_not_sealed_loads_only_if_the_store_accepts_unsealed_records() {
    let store = MemoryStore::new();
    store.swap(ACCOUNT, None, &full_record()).unwrap();
    let (kind, message) = load_error(&sealed(&store, "a"), ACCOUNT);
    assert_eq!(kind, StoreErrorKind::Unreadable);
    assert!(message.contains("not sealed"), "{message}");

    let migrating = sealed(&store, "a").with_unsealed_records();
    assert_eq!(migrating.load(ACCOUNT).unwrap().unwrap().record, full_record());
    let result = migrating.reseal().unwrap();
    assert_eq!((result.resealed, result.failed.len()), (1, 0));
    assert_eq!(sealed(&store, "a").load(ACCOUNT).unwrap().unwrap().record, full_record());
}

#[test]
fn after_resealing_every_record_opens_without_the_old_key() {
    let store = MemoryStore::new();
    let old = sealed(&store, "old");
    for hub_id in 1..=20 {
        old.swap(Account::hub(hub_id), None, &full_record()).unwrap();
    }
    let both = Sealed::new(&store, Keys::new(key("new")).with_key(key("old")).unwrap());
    both.swap(Account::hub(21), None, &full_record()).unwrap();
    assert_eq!(both.load(Account::hub(1)).unwrap().unwrap().record, full_record());
    let result = both.reseal().unwrap();
    assert_eq!((result.resealed, result.failed.len()), (20, 0));
    assert_eq!(both.reseal().unwrap().resealed, 0);
    let new = sealed(&store, "new");
    for hub_id in 1..=21 {
        assert_eq!(new.load(Account::hub(hub_id)).unwrap().unwrap().record, full_record());
    }
}

#[test]
fn resealing_reports_a_record_that_cannot_be_opened_and_goes_on() {
    let store = MemoryStore::new();
    sealed(&store, "lost").swap(Account::hub(1), None, &full_record()).unwrap();
    sealed(&store, "old").swap(Account::hub(2), None, &full_record()).unwrap();
    let both = Sealed::new(&store, Keys::new(key("new")).with_key(key("old")).unwrap());
    let result = both.reseal().unwrap();
    assert_eq!(result.resealed, 1);
    assert_eq!(result.failed.len(), 1);
    assert_eq!(
        (result.failed[0].0, result.failed[0].1.kind()),
        (Account::hub(1), StoreErrorKind::Unreadable)
    );
    // This is how the documentation of `get_ref` says to give up the account.
    let Stored { version, .. } = both.get_ref().load(Account::hub(1)).unwrap().unwrap();
    assert!(both.get_ref().remove(Account::hub(1), version).unwrap());
    assert!(both.reseal().unwrap().failed.is_empty());
}

/// RENEWAL.md C10: resealing is a conditional write like every other.
#[test]
fn a_write_during_resealing_is_not_lost() {
    /// Plays another process that still seals with the old key. It writes each account right after its page was read.
    struct WritesAfterPage<'a>(&'a MemoryStore);

    impl TokenStore for WritesAfterPage<'_> {
        fn load(&self, account: Account) -> Result<Option<Stored>, StoreError> {
            self.0.load(account)
        }

        fn swap(
            &self,
            account: Account,
            expected: Option<u64>,
            record: &Record,
        ) -> Result<Swapped, StoreError> {
            self.0.swap(account, expected, record)
        }

        fn page(&self, cursor: Option<&Cursor>, limit: usize) -> Result<Page, StoreError> {
            let page = self.0.page(cursor, limit)?;
            for Entry { account, stored } in &page.entries {
                let tombstone = Record::tombstone(full_record().grant, None);
                sealed(self.0, "old").swap(*account, Some(stored.clone()?.version), &tombstone)?;
            }
            Ok(page)
        }

        fn remove(&self, account: Account, expected: u64) -> Result<bool, StoreError> {
            self.0.remove(account, expected)
        }
    }

    let store = MemoryStore::new();
    sealed(&store, "old").swap(ACCOUNT, None, &full_record()).unwrap();
    let keys = Keys::new(key("new")).with_key(key("old")).unwrap();
    let result = Sealed::new(WritesAfterPage(&store), keys).reseal().unwrap();
    assert_eq!((result.resealed, result.failed.len()), (1, 0));
    let record = sealed(&store, "new").load(ACCOUNT).unwrap().unwrap().record;
    assert_eq!(record.state, GrantState::Disconnected);
}

#[test]
fn a_sealed_record_in_a_newer_format_is_unreadable_and_not_damaged() {
    let store = sealed(MemoryStore::new(), "a");
    let key = store.keys.current();
    for (text, expected) in [
        (&br#"{"format":2,"grant":{}}"#[..], StoreErrorKind::Unreadable),
        (br#"{"format":1,"grant":{}}"#, StoreErrorKind::Damaged),
    ] {
        let nonce = [3; key::NONCE_SIZE];
        let sealed_field = SealedField {
            key: "a".to_owned(),
            nonce: URL_SAFE_NO_PAD.encode(nonce),
            text: URL_SAFE_NO_PAD.encode(key.seal(&nonce, &associated_data(ACCOUNT, key), text).unwrap()),
        };
        let mut envelope =
            Record::without_tokens(GrantId::generate(&mut Random::new([1; 32])), GrantState::Live);
        assert!(envelope.unknown.insert(FIELD, &sealed_field));
        let current = store.get_ref().load(ACCOUNT).unwrap().map(|stored| stored.version);
        store.get_ref().swap(ACCOUNT, current, &envelope).unwrap();
        assert_eq!(load_error(&store, ACCOUNT).0, expected);
    }
}

/// This layout is in the stores of users. Every byte of it is fixed by the key, the nonce, the account and the record.
#[test]
fn the_stored_form_of_an_envelope_is_the_same_to_the_byte() {
    let record = concat!(
        r#"{"format":1,"grant":"0123456789abcdef0123456789abcdef","state":"live","#,
        r#""revoke":"na1-revoke","unsettled":true}"#,
    );
    let record: Record = serde_json::from_str(record).unwrap();
    let stored = concat!(
        r#"{"format":1,"grant":"0123456789abcdef0123456789abcdef","state":"live","unsettled":false,"#,
        r#""sealed":{"key":"2026-09","nonce":"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD","#,
        r#""text":"sK90L6ILCpXAk48cjUMKBNuDDByNEaB17YW-yNfMtfqCorzml9E3XARSBIVtzhJfyTSMX4re"#,
        "aRmPIyAV1Dxbm3t9YIze-06dgNMgH1pH5fWUuszL314TdxCw6QrlfHZt5p2MR3qnJkalmiRykS1I3V_WWw7R1t7M",
        r#"GQN7x5k"}}"#,
    );
    let keys = Keys::new(key("2026-09"));
    let envelope = keys.seal_with_nonce(OTHER, &record, &[3; key::NONCE_SIZE]).unwrap();
    assert_eq!(serde_json::to_string(&envelope).unwrap(), stored);
    assert_eq!(keys.open(OTHER, &serde_json::from_str(stored).unwrap()).unwrap(), record);
}

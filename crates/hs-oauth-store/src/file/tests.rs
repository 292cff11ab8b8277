mod damage;
#[cfg(unix)]
mod locks;
#[cfg(unix)]
mod unix;
mod versions;

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::{StoreErrorKind, contract};

const ACCOUNT: Account = Account::hub(62515);
const OTHER: Account = Account::user(62515, 7);

/// A folder for a store. It is removed at the end of the test.
struct TestFolder {
    _parent: tempfile::TempDir,
    path: PathBuf,
}

impl TestFolder {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        Self { path: parent.path().join("tokens"), _parent: parent }
    }

    fn open(&self) -> FileStore {
        FileStore::open(&self.path).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the names in the folder that begin with `prefix`.
    fn names(&self, prefix: &str) -> Vec<String> {
        let names =
            fs::read_dir(&self.path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(prefix)).collect()
    }
}

fn full_record() -> Record {
    contract::full_record().unwrap()
}

fn create(store: &FileStore, account: Account) -> u64 {
    match store.swap(account, None, &full_record()).unwrap() {
        Swapped::Stored(version) => version,
        Swapped::Conflict => panic!("{account} is stored already"),
    }
}

/// Returns the kind and the message of the error.
fn accounts(store: &FileStore) -> Vec<Account> {
    let page = store.page(None, 10).unwrap();
    assert_eq!(page.next, None);
    page.entries.iter().map(|entry| entry.account).collect()
}

fn error_of<T: std::fmt::Debug>(result: Result<T, StoreError>) -> (StoreErrorKind, String) {
    let error = result.unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn the_file_store_passes_the_contract() {
    contract::check(&TestFolder::new().open()).unwrap();
    let folder = TestFolder::new();
    contract::check_shared(&folder.open(), &folder.open()).unwrap();
}

#[test]
fn a_record_that_cannot_be_read_does_not_end_the_page() {
    let folder = TestFolder::new();
    let store = folder.open();
    for hub_id in 1..=5 {
        create(&store, Account::hub(hub_id));
    }
    fs::write(folder.file("2.json"), "{").unwrap();
    let first = store.page(None, 3).unwrap();
    let is_readable: Vec<bool> = first.entries.iter().map(|entry| entry.stored.is_ok()).collect();
    assert_eq!(is_readable, [true, false, true]);
    let second = store.page(first.next.as_ref(), 3).unwrap();
    assert_eq!((second.entries.len(), second.next), (2, None));
    assert_eq!(error_of(store.page(Some(&Cursor::new("2.json")), 3)).0, StoreErrorKind::Refused);
}

#[test]
fn a_record_is_seen_by_every_open_store_of_the_folder_and_after_a_restart() {
    let folder = TestFolder::new();
    let (one, two) = (folder.open(), folder.open());
    let version = create(&one, ACCOUNT);
    assert_eq!(two.load(ACCOUNT).unwrap(), Some(Stored { version, record: full_record() }));
    assert_eq!(two.swap(ACCOUNT, None, &full_record()).unwrap(), Swapped::Conflict);
    drop((one, two));
    assert_eq!(folder.open().load(ACCOUNT).unwrap(), Some(Stored { version, record: full_record() }));
}

/// This layout is on the disks of users.
#[test]
fn a_record_file_is_named_after_its_account_and_holds_account_version_and_record() {
    let folder = TestFolder::new();
    let version = create(&folder.open(), OTHER);
    let text = fs::read_to_string(folder.file("62515-7.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json, serde_json::json!({"account": "62515-7", "version": version, "record": full_record()}));
}

/// RENEWAL.md C10. Two stores in one process write like two processes, because each opens the lock file anew.
#[test]
fn no_update_is_lost_between_stores_that_opened_the_same_folder() {
    let folder = TestFolder::new();
    create(&folder.open(), ACCOUNT);
    let count = |record: &Record| record.retry.as_ref().unwrap().failures;
    let before = count(&full_record());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = folder.open();
                let mut updates = 0;
                while updates < 25 {
                    let Stored { version, mut record } = store.load(ACCOUNT).unwrap().unwrap();
                    record.retry.as_mut().unwrap().failures += 1;
                    let swapped = store.swap(ACCOUNT, Some(version), &record).unwrap();
                    updates += u32::from(swapped != Swapped::Conflict);
                }
            });
        }
    });
    assert_eq!(count(&folder.open().load(ACCOUNT).unwrap().unwrap().record), before + 100);
}

/// A reader takes no lock. It still sees the record of one write or of another, and never a part of one or no record.
#[test]
fn a_reader_sees_complete_records_while_others_write() {
    let folder = TestFolder::new();
    let mut version = create(&folder.open(), ACCOUNT);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let store = folder.open();
            for _ in 0..200 {
                let Swapped::Stored(next) = store.swap(ACCOUNT, Some(version), &full_record()).unwrap()
                else {
                    panic!("nobody else writes")
                };
                version = next;
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let (store, mut last) = (folder.open(), 0);
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            let stored = store.load(ACCOUNT).unwrap().unwrap();
            assert!(stored.version >= last && stored.record == full_record());
            last = stored.version;
            assert_eq!(accounts(&store), [ACCOUNT]);
        }
    });
    assert!(folder.names("62515.json.").is_empty());
}

/// The writer was killed between writing the new file and renaming it.
#[test]
fn temporary_files_of_a_killed_writer_are_ignored_and_removed_by_the_next_open() {
    let folder = TestFolder::new();
    let store = folder.open();
    let version = create(&store, ACCOUNT);
    let lock = folder.names(".lock-").remove(0);
    let leftover = format!(".{}-{:032x}.tmp", lock.trim_start_matches(".lock-"), 7);
    for name in [&leftover, ".07-1.tmp", ".probe-1.tmp"] {
        fs::write(folder.file(name), "{\"account\":\"62515\",").unwrap();
    }
    assert_eq!(accounts(&store), [ACCOUNT]);
    assert_eq!(store.load(ACCOUNT).unwrap(), Some(Stored { version, record: full_record() }));

    // While a writer holds the lock, the file may be its own.
    let writer = store.locks.acquire(&store.folder, ACCOUNT).unwrap();
    folder.open();
    assert!(folder.file(&leftover).exists() && !folder.file(".07-1.tmp").exists());
    drop(writer);
    folder.open();
    assert!(!folder.file(&leftover).exists() && folder.names(".probe").is_empty());
    assert!(matches!(store.swap(ACCOUNT, Some(version), &full_record()).unwrap(), Swapped::Stored(_)));
    assert!(folder.names(".").iter().all(|name| !name.ends_with(".tmp")));
}

#[test]
fn a_write_that_fails_leaves_no_temporary_file_and_the_old_file_as_it_was() {
    let folder = TestFolder::new();
    let store = folder.open();
    let version = create(&store, ACCOUNT);
    // A rename cannot replace a folder with a file.
    fs::remove_file(folder.file("62515.json")).unwrap();
    fs::create_dir(folder.file("62515.json")).unwrap();
    let lock = store.locks.acquire(&store.folder, ACCOUNT).unwrap();
    let (kind, _) = error_of(lock.replace(&folder.file("62515.json"), b"{}"));
    assert!(matches!(kind, StoreErrorKind::Refused | StoreErrorKind::Unavailable));
    drop(lock);
    assert!(folder.names(".").iter().all(|name| !name.ends_with(".tmp")));
    // The folder in the place of the file is not reported as a damaged record, and not set aside.
    assert_ne!(error_of(store.load(ACCOUNT)).0, StoreErrorKind::Damaged);
    assert_ne!(error_of(store.swap(ACCOUNT, Some(version), &full_record())).0, StoreErrorKind::Damaged);
    assert!(folder.file("62515.json").is_dir());
}

#[test]
fn a_folder_that_was_moved_away_is_an_error_and_not_an_empty_store() {
    let folder = TestFolder::new();
    let store = folder.open();
    create(&store, ACCOUNT);
    let moved = folder.path.with_extension("away");
    fs::rename(&folder.path, &moved).unwrap();
    assert_eq!(error_of(store.load(ACCOUNT)).0, StoreErrorKind::Unavailable);
    assert_eq!(error_of(store.check()).0, StoreErrorKind::Unavailable);
    assert_eq!(error_of(store.page(None, 10)).0, StoreErrorKind::Unavailable);
    assert_eq!(error_of(store.swap(ACCOUNT, None, &full_record())).0, StoreErrorKind::Unavailable);
    assert!(!folder.path.exists());
    fs::rename(&moved, &folder.path).unwrap();
    assert!(store.load(ACCOUNT).unwrap().is_some());
}

#[test]
fn other_files_in_the_folder_are_left_alone() {
    let folder = TestFolder::new();
    let store = folder.open();
    create(&store, ACCOUNT);
    for name in ["README", "x.json", "062515.json", "62515.json.bak", ".62515.json", "1-2-3.json", ".07-.txt"]
    {
        fs::write(folder.file(name), "other").unwrap();
    }
    assert_eq!(accounts(&store), [ACCOUNT]);
    folder.open();
    assert!(["README", "x.json", ".62515.json", ".07-.txt"].iter().all(|name| folder.file(name).exists()));
}

#[test]
fn a_path_that_is_not_a_folder_is_refused() {
    let folder = TestFolder::new();
    fs::write(&folder.path, "").unwrap();
    let (kind, message) = error_of(FileStore::open(&folder.path));
    assert_eq!(kind, StoreErrorKind::Refused);
    assert!(message.contains("is not a folder"), "{message}");
    assert_eq!(FileStore::open(folder.path.join("below")).unwrap_err().kind(), StoreErrorKind::Refused);
}

/// This layout is on the disks of users. Every byte of the two files is fixed by the account, the record and the mark.
#[test]
fn the_stored_form_of_a_record_and_its_version_mark_is_the_same_to_the_byte() {
    let folder = TestFolder::new();
    let store = folder.open();
    let text = concat!(
        r#"{"format":1,"grant":"0123456789abcdef0123456789abcdef","state":"gone","tokens":{"#,
        r#""access_token":"CK-access","expires_in":1800,"expires_at":1790000000001,"#,
        r#""refresh_token":"na1-refresh","token_type":"bearer","token_use":"access_token","#,
        r#""hub_id":62515,"user_id":9007199254740993,"scopes":["oauth"],"id_token":"a.b.c","#,
        r#""audience":["ä"]},"revoke":"na1-revoke","#,
        r#""lease":{"holder":"fedcba9876543210fedcba9876543210","until":1790000060000,"why":null},"#,
        r#""retry":{"at":1790000001000,"failures":4,"class":"daily"},"unsettled":true,"region":"na1"}"#,
    );
    let record: Record = serde_json::from_str(text).unwrap();
    fs::write(folder.file(".mark-26"), "7").unwrap();
    assert_eq!(store.swap(ACCOUNT, None, &record).unwrap(), Swapped::Stored(7));
    let mut names = folder.names("");
    names.sort_unstable();
    assert_eq!(names, [".lock-26", ".mark-26", "62515.json"]);
    assert_eq!(fs::read_to_string(folder.file(".lock-26")).unwrap(), "");
    assert_eq!(fs::read_to_string(folder.file(".mark-26")).unwrap(), "71");
    let stored = format!(r#"{{"account":"62515","version":7,"record":{text}}}"#);
    assert_eq!(fs::read_to_string(folder.file("62515.json")).unwrap(), stored);
}

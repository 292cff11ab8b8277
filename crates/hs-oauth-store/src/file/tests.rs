use std::fs;
use std::path::PathBuf;

use super::*;
use crate::{StoreErrorKind, contract};

const ACCOUNT: Account = Account::hub(62515);
const OTHER: Account = Account::user(62515, 7);

/// A folder for a store, gone with the test.
struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().join("tokens"), _folder: folder }
    }

    fn open(&self) -> FileStore {
        FileStore::open(&self.path).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The names in the folder that begin so.
    fn names(&self, beginning: &str) -> Vec<String> {
        let names =
            fs::read_dir(&self.path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(beginning)).collect()
    }
}

fn full() -> Record {
    contract::full().unwrap()
}

fn create(store: &FileStore, account: Account) -> u64 {
    match store.swap(account, None, &full()).unwrap() {
        Swapped::Stored(version) => version,
        Swapped::Conflict => panic!("{account} is stored already"),
    }
}

fn failure<T: std::fmt::Debug>(result: Result<T, StoreError>) -> (StoreErrorKind, String) {
    let error = result.unwrap_err();
    (error.kind(), error.to_string())
}

#[test]
fn the_file_store_keeps_the_contract() {
    contract::check(&Place::new().open()).unwrap();
}

#[test]
fn what_one_process_writes_every_other_sees_and_so_does_the_next() {
    let place = Place::new();
    let (one, two) = (place.open(), place.open());
    let version = create(&one, ACCOUNT);
    assert_eq!(two.load(ACCOUNT).unwrap(), Some(Stored { version, record: full() }));
    assert_eq!(two.swap(ACCOUNT, None, &full()).unwrap(), Swapped::Conflict);
    drop((one, two));
    assert_eq!(place.open().load(ACCOUNT).unwrap(), Some(Stored { version, record: full() }));
}

/// The layout that is on people's disks.
#[test]
fn a_file_is_named_after_its_account_and_says_it_once_more() {
    let place = Place::new();
    let version = create(&place.open(), OTHER);
    let text = fs::read_to_string(place.file("62515-7.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json, serde_json::json!({"account": "62515-7", "version": version, "record": full()}));
}

/// RENEWAL.md C10: two handles write as two processes do, each by its own lock.
#[test]
fn no_update_is_lost_between_two_that_opened_the_same_folder() {
    let place = Place::new();
    create(&place.open(), ACCOUNT);
    let count = |record: &Record| record.retry.as_ref().unwrap().failures;
    let before = count(&full());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = place.open();
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
    assert_eq!(count(&place.open().load(ACCOUNT).unwrap().unwrap().record), before + 100);
}

/// A reader takes no lock: what it sees is one write or another, never half of one or none.
#[test]
fn a_reader_sees_whole_records_while_others_write() {
    let place = Place::new();
    let mut version = create(&place.open(), ACCOUNT);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let store = place.open();
            for _ in 0..200 {
                let Swapped::Stored(next) = store.swap(ACCOUNT, Some(version), &full()).unwrap() else {
                    panic!("nobody else writes")
                };
                version = next;
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let (store, mut last) = (place.open(), 0);
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            let stored = store.load(ACCOUNT).unwrap().unwrap();
            assert!(stored.version >= last && stored.record == full());
            last = stored.version;
            assert_eq!(store.list().unwrap(), [ACCOUNT]);
        }
    });
    assert!(place.names("62515.json.").is_empty());
}

/// RENEWAL.md C11.
#[test]
fn no_version_comes_back_when_a_record_is_damaged_or_removed_by_hand() {
    let place = Place::new();
    let store = place.open();
    let mut highest = create(&store, ACCOUNT);
    for text in ["", "{", "{\"account\":\"62515\",\"version\":1}"] {
        for _ in 0..200 {
            let Swapped::Stored(version) = store.swap(ACCOUNT, Some(highest), &full()).unwrap() else {
                panic!("it is the present version")
            };
            highest = version;
        }
        fs::write(place.file("62515.json"), text).unwrap();
        assert_eq!(failure(store.load(ACCOUNT)).0, StoreErrorKind::Damaged);
        let version = create(&store, ACCOUNT);
        assert!(version > highest);
        highest = version;
    }
    fs::remove_file(place.file("62515.json")).unwrap();
    assert!(create(&store, ACCOUNT) > highest);
}

/// RENEWAL.md C11: a copy that was put back without the files whose names begin with a dot, or with rubbish in them.
#[test]
fn no_version_comes_back_when_the_mark_is_lost() {
    let place = Place::new();
    let store = place.open();
    let mut highest = create(&store, ACCOUNT);
    let lose = |instead: Option<&str>| {
        for mark in place.names(".mark-") {
            match instead {
                None => fs::remove_file(place.file(&mark)).unwrap(),
                Some(text) => fs::write(place.file(&mark), text).unwrap(),
            }
        }
    };
    for instead in [None, Some(""), Some("x"), Some("-1")] {
        lose(instead);
        let Swapped::Stored(version) = store.swap(ACCOUNT, Some(highest), &full()).unwrap() else {
            panic!("it is the present version")
        };
        assert!(version > highest);
        assert!(store.remove(ACCOUNT, version).unwrap());
        highest = create(&store, ACCOUNT);
        assert!(highest > version);
        // The record, too.
        assert!(store.remove(ACCOUNT, highest).unwrap());
        lose(instead);
        let version = create(&store, ACCOUNT);
        assert!(version > highest);
        highest = version;
    }
}

#[test]
fn a_store_that_has_run_out_of_versions_says_so_and_writes_nothing() {
    let place = Place::new();
    let store = place.open();
    create(&store, ACCOUNT);
    for mark in place.names(".mark-") {
        fs::write(place.file(&mark), (u64::MAX - 3).to_string()).unwrap();
    }
    let version = store.load(ACCOUNT).unwrap().unwrap().version;
    assert!(store.remove(ACCOUNT, version).unwrap());
    assert_eq!(failure(store.swap(ACCOUNT, None, &full())).0, StoreErrorKind::Refused);
    assert_eq!(store.load(ACCOUNT).unwrap(), None);
}

#[test]
fn what_is_not_a_record_of_its_account_is_set_aside_and_reported_once_by_whichever_call_finds_it() {
    type Call = fn(&FileStore) -> Result<(), StoreError>;
    let calls: [Call; 4] = [
        |store| store.load(ACCOUNT).map(drop),
        |store| store.swap(ACCOUNT, None, &full()).map(drop),
        |store| store.swap(ACCOUNT, Some(1), &full()).map(drop),
        |store| store.remove(ACCOUNT, 1).map(drop),
    ];
    let place = Place::new();
    let store = place.open();
    create(&store, OTHER);
    create(&store, ACCOUNT);
    let whole = fs::read_to_string(place.file("62515.json")).unwrap();
    let others = fs::read(place.file("62515-7.json")).unwrap();
    fs::remove_file(place.file("62515.json")).unwrap();
    let json = || serde_json::from_str::<serde_json::Value>(&whole).unwrap();
    let without = |field: &str| {
        let mut json = json();
        json.as_object_mut().unwrap().remove(field).unwrap();
        json.to_string()
    };
    let with = |field: &str, value: serde_json::Value| {
        let mut json = json();
        json[field] = value;
        json.to_string()
    };
    let mut damages: Vec<Vec<u8>> = [
        String::new(),
        "null".to_owned(),
        "na1-refresh".to_owned(),
        whole.replace("62515", "62516"),
        without("account"),
        without("version"),
        without("record"),
        with("version", (-1).into()),
        with("version", u64::MAX.into()),
        with("record", serde_json::json!({"format": 1})),
        with("record", serde_json::json!({"format": 0})),
        with("record", "na1-refresh".into()),
        format!("{whole}{whole}"),
    ]
    .map(String::into_bytes)
    .to_vec();
    damages.push(vec![0; whole.len()]);
    damages.push(vec![0xff, 0xfe]);
    damages.extend((1..whole.len()).step_by(101).map(|length| whole.as_bytes()[..length].to_vec()));

    let mut aside = 0;
    for damage in &damages {
        for call in calls {
            fs::write(place.file("62515.json"), damage).unwrap();
            assert_eq!(store.list().unwrap(), [ACCOUNT, OTHER]);
            let (failure, shown) = failure(call(&store));
            aside += 1;
            let name = format!("62515.json.damaged-{aside}");
            assert_eq!(failure, StoreErrorKind::Damaged);
            assert!(shown.contains(&name) && !shown.contains("na1-") && !shown.contains("CK-"), "{shown}");
            assert_eq!(&fs::read(place.file(&name)).unwrap(), damage);
            assert_eq!(store.load(ACCOUNT).unwrap(), None);
            assert_eq!(store.list().unwrap(), [OTHER]);
        }
    }
    assert_eq!(place.names("62515.json.damaged-").len(), aside);
    assert_eq!(fs::read(place.file("62515-7.json")).unwrap(), others);
    assert_eq!(store.load(OTHER).unwrap().unwrap().record, full());
    create(&store, ACCOUNT);
}

#[test]
fn many_that_find_the_same_damage_set_it_aside_once() {
    let place = Place::new();
    create(&place.open(), ACCOUNT);
    fs::write(place.file("62515.json"), "{").unwrap();
    let reported = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| match place.open().load(ACCOUNT) {
                Ok(found) => assert_eq!(found, None),
                Err(_) => drop(reported.fetch_add(1, std::sync::atomic::Ordering::Relaxed)),
            });
        }
    });
    assert_eq!(reported.into_inner(), 1);
    assert_eq!(place.names("62515.json"), ["62515.json.damaged-1"]);
}

#[test]
fn a_record_in_a_newer_format_stays_where_it_is_whatever_is_asked() {
    let place = Place::new();
    let store = place.open();
    for text in [
        r#"{"account":"62515","version":7,"record":{"format":2,"grant":[],"tokens":"na1-elsewhere"}}"#,
        r#"{"account":{"hub":62515},"record":{"format":4294967296}}"#,
    ] {
        fs::write(place.file("62515.json"), text).unwrap();
        for result in [
            store.load(ACCOUNT).map(drop),
            store.swap(ACCOUNT, None, &full()).map(drop),
            store.swap(ACCOUNT, Some(7), &full()).map(drop),
            store.remove(ACCOUNT, 7).map(drop),
        ] {
            let (failure, shown) = failure(result);
            assert_eq!(failure, StoreErrorKind::Unreadable);
            assert!(shown.contains("format") && !shown.contains("na1-"), "{shown}");
        }
        assert_eq!(fs::read_to_string(place.file("62515.json")).unwrap(), text);
        assert_eq!(store.list().unwrap(), [ACCOUNT]);
    }
}

/// A process that is killed between writing the new file and renaming it.
#[test]
fn what_a_killed_writer_left_does_not_show_leaves_the_old_record_and_goes_with_the_next_open() {
    let place = Place::new();
    let store = place.open();
    let version = create(&store, ACCOUNT);
    let lock = place.names(".lock-").remove(0);
    let left = format!(".{}-{:032x}.tmp", lock.trim_start_matches(".lock-"), 7);
    for name in [&left, ".07-1.tmp", ".probe-1.tmp"] {
        fs::write(place.file(name), "{\"account\":\"62515\",").unwrap();
    }
    assert_eq!(store.list().unwrap(), [ACCOUNT]);
    assert_eq!(store.load(ACCOUNT).unwrap(), Some(Stored { version, record: full() }));

    // While a writer is at work, what is there may be its own.
    let writer = Stripe::lock(&store.folder, ACCOUNT).unwrap();
    place.open();
    assert!(place.file(&left).exists() && !place.file(".07-1.tmp").exists());
    drop(writer);
    place.open();
    assert!(!place.file(&left).exists() && place.names(".probe").is_empty());
    assert!(matches!(store.swap(ACCOUNT, Some(version), &full()).unwrap(), Swapped::Stored(_)));
    assert!(place.names(".").iter().all(|name| !name.ends_with(".tmp")));
}

#[test]
fn a_write_that_fails_half_way_leaves_the_old_record_and_nothing_else() {
    let place = Place::new();
    let store = place.open();
    let version = create(&store, ACCOUNT);
    // A folder in the place of the file cannot be written over.
    fs::remove_file(place.file("62515.json")).unwrap();
    fs::create_dir(place.file("62515.json")).unwrap();
    let stripe = Stripe::lock(&store.folder, ACCOUNT).unwrap();
    let (failed, _) = failure(stripe.replace(&place.file("62515.json"), b"{}"));
    assert!(matches!(failed, StoreErrorKind::Refused | StoreErrorKind::Unavailable));
    drop(stripe);
    assert!(place.names(".").iter().all(|name| !name.ends_with(".tmp")));
    // Nor is it a damaged record, to be set aside, or no record.
    assert_ne!(failure(store.load(ACCOUNT)).0, StoreErrorKind::Damaged);
    assert_ne!(failure(store.swap(ACCOUNT, Some(version), &full())).0, StoreErrorKind::Damaged);
    assert!(place.file("62515.json").is_dir());
}

#[test]
fn a_folder_that_went_away_is_not_an_empty_one() {
    let place = Place::new();
    let store = place.open();
    create(&store, ACCOUNT);
    let away = place.path.with_extension("away");
    fs::rename(&place.path, &away).unwrap();
    assert_eq!(failure(store.load(ACCOUNT)).0, StoreErrorKind::Unavailable);
    assert_eq!(failure(store.check()).0, StoreErrorKind::Unavailable);
    assert_eq!(failure(store.list()).0, StoreErrorKind::Unavailable);
    assert_eq!(failure(store.swap(ACCOUNT, None, &full())).0, StoreErrorKind::Unavailable);
    assert!(!place.path.exists());
    fs::rename(&away, &place.path).unwrap();
    assert!(store.load(ACCOUNT).unwrap().is_some());
}

#[test]
fn other_files_in_the_folder_are_left_alone() {
    let place = Place::new();
    let store = place.open();
    create(&store, ACCOUNT);
    for name in ["README", "x.json", "062515.json", "62515.json.bak", ".62515.json", "1-2-3.json", ".07-.txt"]
    {
        fs::write(place.file(name), "kept").unwrap();
    }
    assert_eq!(store.list().unwrap(), [ACCOUNT]);
    place.open();
    assert!(["README", "x.json", ".62515.json", ".07-.txt"].iter().all(|name| place.file(name).exists()));
}

#[test]
fn a_path_that_is_not_a_folder_is_refused() {
    let place = Place::new();
    fs::write(&place.path, "").unwrap();
    let (failure, shown) = failure(FileStore::open(&place.path));
    assert_eq!(failure, StoreErrorKind::Refused);
    assert!(shown.contains("is not a folder"), "{shown}");
    assert_eq!(FileStore::open(place.path.join("below")).unwrap_err().kind(), StoreErrorKind::Refused);
}

#[cfg(unix)]
mod unix {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_folder_and_every_file_in_it_are_the_owners_alone() {
        let place = Place::new();
        let store = FileStore::open(place.path.join("in/side")).unwrap();
        create(&store, ACCOUNT);
        for folder in [&place.path, &place.path.join("in"), &place.path.join("in/side")] {
            assert_eq!(mode(folder), 0o700);
        }
        let files: Vec<_> =
            fs::read_dir(place.path.join("in/side")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 3, "record, lock and mark: {files:?}");
        assert!(files.iter().all(|file| mode(file) == 0o600));
    }

    #[test]
    fn a_folder_that_others_can_read_or_enter_is_refused_with_what_helps_also_while_it_is_in_use() {
        let place = Place::new();
        let store = place.open();
        let version = create(&store, ACCOUNT);
        for open in [0o701, 0o704, 0o710, 0o740, 0o755, 0o777] {
            chmod(&place.path, open);
            for result in [
                FileStore::open(&place.path).map(drop),
                store.load(ACCOUNT).map(drop),
                store.swap(ACCOUNT, Some(version), &full()).map(drop),
                store.list().map(drop),
                store.remove(ACCOUNT, version).map(drop),
                store.check(),
            ] {
                let (failure, shown) = failure(result);
                assert_eq!(failure, StoreErrorKind::Refused);
                assert!(shown.contains("chmod 700"), "{shown}");
            }
        }
        chmod(&place.path, 0o700);
        assert_eq!(store.load(ACCOUNT).unwrap().unwrap().version, version);
    }

    #[test]
    fn a_file_that_was_put_there_with_a_wider_mode_is_tightened_when_it_is_read() {
        let place = Place::new();
        let store = place.open();
        create(&store, ACCOUNT);
        chmod(&place.file("62515.json"), 0o644);
        assert!(store.load(ACCOUNT).unwrap().is_some());
        assert_eq!(mode(&place.file("62515.json")), 0o600);
    }

    #[test]
    fn a_symbolic_link_in_a_records_place_is_refused_and_what_it_leads_to_is_left_alone() {
        let place = Place::new();
        let store = place.open();
        let elsewhere = Place::new();
        fs::create_dir_all(&elsewhere.path).unwrap();
        let target = elsewhere.path.join("target");
        for is_there in [false, true] {
            if is_there {
                fs::write(&target, "not the store's").unwrap();
                chmod(&target, 0o644);
            }
            let _ = fs::remove_file(place.file("62515.json"));
            symlink(&target, place.file("62515.json")).unwrap();
            assert_eq!(store.load(ACCOUNT).unwrap_err().kind(), StoreErrorKind::Refused);
            assert_eq!(store.swap(ACCOUNT, None, &full()).unwrap_err().kind(), StoreErrorKind::Refused);
        }
        assert_eq!(mode(&target), 0o644);
        assert_eq!(fs::read(&target).unwrap(), b"not the store's");
    }

    /// Whoever reads the old file while a new one is written, or goes down between the two, has it whole.
    #[test]
    fn a_write_puts_a_new_file_in_the_place_of_the_old_and_never_writes_into_it() {
        let place = Place::new();
        let store = place.open();
        let version = create(&store, ACCOUNT);
        let old = fs::read(place.file("62515.json")).unwrap();
        fs::hard_link(place.file("62515.json"), place.file("old")).unwrap();
        assert_ne!(store.swap(ACCOUNT, Some(version), &full()).unwrap(), Swapped::Conflict);
        assert_eq!(fs::read(place.file("old")).unwrap(), old);
        assert_ne!(fs::read(place.file("62515.json")).unwrap(), old);
    }

    #[test]
    fn a_link_to_a_folder_is_followed_when_the_store_is_opened_and_not_again() {
        let (place, other) = (Place::new(), Place::new());
        create(&place.open(), ACCOUNT);
        other.open();
        let link = place.path.with_extension("link");
        symlink(&place.path, &link).unwrap();
        let store = FileStore::open(&link).unwrap();
        fs::remove_file(&link).unwrap();
        symlink(&other.path, &link).unwrap();
        assert!(store.load(ACCOUNT).unwrap().is_some());
    }

    #[test]
    fn another_folder_at_the_same_path_is_not_taken_for_the_one_that_was_opened() {
        let place = Place::new();
        let store = place.open();
        create(&store, ACCOUNT);
        fs::rename(&place.path, place.path.with_extension("away")).unwrap();
        place.open();
        let (failure, shown) = failure(store.load(ACCOUNT));
        assert_eq!(failure, StoreErrorKind::Unavailable);
        assert!(shown.contains("not the folder"), "{shown}");
    }

    #[test]
    fn a_folder_of_another_user_is_refused() {
        let place = Place::new();
        let store = place.open();
        create(&store, ACCOUNT);
        let given_away = std::os::unix::fs::chown(&place.path, Some(12345), None);
        if fs::metadata(&place.path).unwrap().uid() != 12345 {
            // Only root can set this up; the system itself keeps everyone else out of such a folder.
            assert!(given_away.is_err());
            return;
        }
        for result in [FileStore::open(&place.path).map(drop), store.load(ACCOUNT).map(drop)] {
            let (failure, shown) = failure(result);
            assert_eq!(failure, StoreErrorKind::Refused);
            assert!(shown.contains("another user"), "{shown}");
        }
    }
}

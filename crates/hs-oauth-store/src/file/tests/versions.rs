use super::*;

/// RENEWAL.md C11.
#[test]
fn no_version_is_used_twice_when_a_record_is_damaged_or_removed_by_hand() {
    let folder = TestFolder::new();
    let store = folder.open();
    let mut highest = create(&store, ACCOUNT);
    for text in ["", "{", "{\"account\":\"62515\",\"version\":1}"] {
        for _ in 0..200 {
            let Swapped::Stored(version) = store.swap(ACCOUNT, Some(highest), &full_record()).unwrap() else {
                panic!("this is the current version")
            };
            highest = version;
        }
        fs::write(folder.file("62515.json"), text).unwrap();
        assert_eq!(error_of(store.load(ACCOUNT)).0, StoreErrorKind::Damaged);
        let version = create(&store, ACCOUNT);
        assert!(version > highest);
        highest = version;
    }
    fs::remove_file(folder.file("62515.json")).unwrap();
    assert!(create(&store, ACCOUNT) > highest);
}

/// RENEWAL.md C11. The folder was restored from a copy without the files whose names begin with a dot, or with damaged ones.
#[test]
fn no_version_is_used_twice_when_the_version_mark_is_lost() {
    let folder = TestFolder::new();
    let store = folder.open();
    let mut highest = create(&store, ACCOUNT);
    let lose_marks = |replacement: Option<&str>| {
        for mark in folder.names(".mark-") {
            match replacement {
                None => fs::remove_file(folder.file(&mark)).unwrap(),
                Some(text) => fs::write(folder.file(&mark), text).unwrap(),
            }
        }
    };
    for replacement in [None, Some(""), Some("x"), Some("-1")] {
        lose_marks(replacement);
        let Swapped::Stored(version) = store.swap(ACCOUNT, Some(highest), &full_record()).unwrap() else {
            panic!("this is the current version")
        };
        assert!(version > highest);
        assert!(store.remove(ACCOUNT, version).unwrap());
        highest = create(&store, ACCOUNT);
        assert!(highest > version);
        // Now lose the record too.
        assert!(store.remove(ACCOUNT, highest).unwrap());
        lose_marks(replacement);
        let version = create(&store, ACCOUNT);
        assert!(version > highest);
        highest = version;
    }
}

#[test]
fn a_store_that_has_no_versions_left_returns_an_error_and_writes_nothing() {
    let folder = TestFolder::new();
    let store = folder.open();
    create(&store, ACCOUNT);
    for mark in folder.names(".mark-") {
        fs::write(folder.file(&mark), (u64::MAX - 3).to_string()).unwrap();
    }
    let version = store.load(ACCOUNT).unwrap().unwrap().version;
    assert!(store.remove(ACCOUNT, version).unwrap());
    assert_eq!(error_of(store.swap(ACCOUNT, None, &full_record())).0, StoreErrorKind::Refused);
    assert_eq!(store.load(ACCOUNT).unwrap(), None);
}

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
fn the_folder_and_every_file_in_it_are_closed_to_everyone_but_the_owner() {
    let folder = TestFolder::new();
    let store = FileStore::open(folder.path.join("in/side")).unwrap();
    create(&store, ACCOUNT);
    for path in [&folder.path, &folder.path.join("in"), &folder.path.join("in/side")] {
        assert_eq!(mode(path), 0o700);
    }
    let files: Vec<_> =
        fs::read_dir(folder.path.join("in/side")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "record, lock and mark: {files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600));
}

#[test]
fn a_folder_that_others_can_read_or_enter_is_refused_with_a_chmod_hint_also_while_it_is_in_use() {
    let folder = TestFolder::new();
    let store = folder.open();
    let version = create(&store, ACCOUNT);
    for open in [0o701, 0o704, 0o710, 0o740, 0o755, 0o777] {
        chmod(&folder.path, open);
        for result in [
            FileStore::open(&folder.path).map(drop),
            store.load(ACCOUNT).map(drop),
            store.swap(ACCOUNT, Some(version), &full_record()).map(drop),
            store.page(None, 10).map(drop),
            store.remove(ACCOUNT, version).map(drop),
            store.check(),
        ] {
            let (kind, message) = error_of(result);
            assert_eq!(kind, StoreErrorKind::Refused);
            assert!(message.contains("chmod 700"), "{message}");
        }
    }
    chmod(&folder.path, 0o700);
    assert_eq!(store.load(ACCOUNT).unwrap().unwrap().version, version);
}

#[test]
fn a_file_with_a_wider_mode_is_restricted_when_it_is_read() {
    let folder = TestFolder::new();
    let store = folder.open();
    create(&store, ACCOUNT);
    chmod(&folder.file("62515.json"), 0o644);
    assert!(store.load(ACCOUNT).unwrap().is_some());
    assert_eq!(mode(&folder.file("62515.json")), 0o600);
}

#[test]
fn a_symbolic_link_in_the_place_of_a_record_is_refused_and_its_target_is_left_alone() {
    let folder = TestFolder::new();
    let store = folder.open();
    let other = TestFolder::new();
    fs::create_dir_all(&other.path).unwrap();
    let target = other.path.join("target");
    for target_exists in [false, true] {
        if target_exists {
            fs::write(&target, "not the store's").unwrap();
            chmod(&target, 0o644);
        }
        let _ = fs::remove_file(folder.file("62515.json"));
        symlink(&target, folder.file("62515.json")).unwrap();
        assert_eq!(store.load(ACCOUNT).unwrap_err().kind(), StoreErrorKind::Refused);
        assert_eq!(store.swap(ACCOUNT, None, &full_record()).unwrap_err().kind(), StoreErrorKind::Refused);
    }
    assert_eq!(mode(&target), 0o644);
    assert_eq!(fs::read(&target).unwrap(), b"not the store's");
}

/// Because of this, the old file stays complete for a process that is reading it, and after a crash before the rename.
#[test]
fn a_write_replaces_the_old_file_and_never_writes_into_it() {
    let folder = TestFolder::new();
    let store = folder.open();
    let version = create(&store, ACCOUNT);
    let old = fs::read(folder.file("62515.json")).unwrap();
    fs::hard_link(folder.file("62515.json"), folder.file("old")).unwrap();
    assert_ne!(store.swap(ACCOUNT, Some(version), &full_record()).unwrap(), Swapped::Conflict);
    assert_eq!(fs::read(folder.file("old")).unwrap(), old);
    assert_ne!(fs::read(folder.file("62515.json")).unwrap(), old);
}

#[test]
fn a_link_to_a_folder_is_followed_when_the_store_is_opened_and_never_again() {
    let (folder, other) = (TestFolder::new(), TestFolder::new());
    create(&folder.open(), ACCOUNT);
    other.open();
    let link = folder.path.with_extension("link");
    symlink(&folder.path, &link).unwrap();
    let store = FileStore::open(&link).unwrap();
    fs::remove_file(&link).unwrap();
    symlink(&other.path, &link).unwrap();
    assert!(store.load(ACCOUNT).unwrap().is_some());
}

#[test]
fn another_folder_at_the_same_path_is_not_used_in_place_of_the_one_that_was_opened() {
    let folder = TestFolder::new();
    let store = folder.open();
    create(&store, ACCOUNT);
    fs::rename(&folder.path, folder.path.with_extension("away")).unwrap();
    folder.open();
    let (kind, message) = error_of(store.load(ACCOUNT));
    assert_eq!(kind, StoreErrorKind::Unavailable);
    assert!(message.contains("not the folder"), "{message}");
}

/// The folder stays open, so the file system cannot give its number to another folder.
#[test]
fn a_folder_made_anew_at_the_same_path_is_not_used_although_its_number_was_free_again() {
    let folder = TestFolder::new();
    let number = |path: &Path| fs::metadata(path).unwrap().ino();
    let store = folder.open();
    create(&store, ACCOUNT);
    let opened = number(&folder.path);
    fs::remove_dir_all(&folder.path).unwrap();
    // Some file systems give out the number again at once, some after a while, and some never.
    for attempt in 0..200 {
        let new = folder.path.with_extension(attempt.to_string());
        fs::create_dir(&new).unwrap();
        chmod(&new, 0o700);
        if attempt == 199 || number(&new) == opened {
            fs::rename(&new, &folder.path).unwrap();
            break;
        }
    }
    let (kind, message) = error_of(store.load(ACCOUNT));
    assert_eq!(kind, StoreErrorKind::Unavailable);
    assert!(message.contains("not the folder"), "{message}");
}

/// On an overlay, a folder that nobody has open may get another number when its file system is short of memory.
#[cfg(target_os = "linux")]
#[test]
fn the_folder_is_open_as_long_as_the_store_is() {
    let folder = TestFolder::new();
    let is_open = || {
        let descriptors = fs::read_dir("/proc/self/fd").unwrap();
        let mut open = descriptors.filter_map(|descriptor| fs::read_link(descriptor.unwrap().path()).ok());
        open.any(|path| path == folder.path)
    };
    let store = folder.open();
    assert!(is_open());
    drop(store);
    assert!(!is_open());
}

#[test]
fn a_folder_of_another_user_is_refused() {
    let folder = TestFolder::new();
    let store = folder.open();
    create(&store, ACCOUNT);
    let given_away = std::os::unix::fs::chown(&folder.path, Some(12345), None);
    if fs::metadata(&folder.path).unwrap().uid() != 12345 {
        // Only root can give a folder away. Other users cannot run this test, and cannot enter such a folder either.
        assert!(given_away.is_err());
        return;
    }
    for result in [FileStore::open(&folder.path).map(drop), store.load(ACCOUNT).map(drop)] {
        let (kind, message) = error_of(result);
        assert_eq!(kind, StoreErrorKind::Refused);
        assert!(message.contains("another user"), "{message}");
    }
}

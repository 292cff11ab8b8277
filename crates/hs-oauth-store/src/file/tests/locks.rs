//! Locks of processes that do not go on.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::stripe::{STRIPES, stripe_of};

const HOUR: Duration = Duration::from_secs(3600);

/// A process that lives until this is dropped.
struct Process(Child);

impl Process {
    /// Starts a process that has a descriptor of the open file, and with it the file's lock.
    fn with(file: File) -> Self {
        Self(Command::new("sleep").arg("3600").stdin(file).stdout(Stdio::null()).spawn().unwrap())
    }

    /// Starts a process that has locked the account's stripe, and stops it.
    fn stopped_with_lock_of(folder: &TestFolder, account: Account) -> Self {
        let path = folder.file(&format!(".lock-{:02x}", stripe_of(account)));
        let file = File::options().write(true).create(true).truncate(false).open(path).unwrap();
        file.lock().unwrap();
        let process = Self::with(file);
        let pid = process.0.id().to_string();
        assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn accounts_of(stripe: u8) -> impl Iterator<Item = Account> {
    (1..).map(Account::hub).filter(move |account| stripe_of(*account) == stripe)
}

#[test]
fn writers_of_other_stripes_and_all_readers_are_served_while_130_writers_wait_for_a_stopped_process() {
    let folder = TestFolder::new();
    let store = folder.open().with_lock_timeout(HOUR);
    let locked = stripe_of(ACCOUNT);
    let (started, stored) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // It ends with this closure, so that a failed assertion does not leave the writers waiting.
        let stopped = Process::stopped_with_lock_of(&folder, ACCOUNT);
        for account in accounts_of(locked).take(130) {
            let (store, started, stored) = (&store, &started, &stored);
            scope.spawn(move || {
                started.fetch_add(1, Ordering::SeqCst);
                create(store, account);
                stored.fetch_add(1, Ordering::SeqCst);
            });
        }
        while started.load(Ordering::SeqCst) < 130 {
            std::thread::yield_now();
        }
        for stripe in (0..STRIPES).filter(|stripe| *stripe != locked) {
            create(&store, accounts_of(stripe).next().unwrap());
        }
        assert_eq!(store.load(ACCOUNT).unwrap(), None);
        assert_eq!(stored.load(Ordering::SeqCst), 0);
        drop(stopped);
    });
    assert_eq!(stored.into_inner(), 130);
}

/// Whoever comes later fails at once, so that a few threads with work for many accounts get on with the other accounts.
#[test]
fn after_a_writer_has_waited_in_vain_the_next_ones_fail_at_once_until_the_lock_is_free() {
    let folder = TestFolder::new();
    let timeout = Duration::from_secs(1);
    let store = folder.open().with_lock_timeout(timeout);
    let stopped = Process::stopped_with_lock_of(&folder, ACCOUNT);
    let start = Instant::now();
    for account in accounts_of(stripe_of(ACCOUNT)).take(60) {
        let (kind, message) = error_of(store.swap(account, None, &full_record()));
        assert_eq!(kind, StoreErrorKind::Unavailable);
        assert!(message.contains(".lock-26") && message.contains("stopped"), "{message}");
    }
    // If each had waited, this would be 60 seconds at least.
    assert!(start.elapsed() < 60 * timeout, "{:?}", start.elapsed());
    drop(stopped);
    create(&store, ACCOUNT);
    // From now on a writer waits again, and the lock of a writer that goes on is soon free.
    let store = store.with_lock_timeout(HOUR);
    std::thread::scope(|scope| {
        let lock = store.locks.acquire(&store.folder, ACCOUNT).unwrap();
        let waiting = scope.spawn(|| store.remove(ACCOUNT, 0));
        std::thread::sleep(Duration::from_millis(200));
        drop(lock);
        assert!(!waiting.join().unwrap().unwrap());
    });
}

/// flock(2): a lock belongs to the open file, and a process that is forked in between has a descriptor of it too.
#[test]
fn a_process_forked_during_a_write_does_not_keep_the_lock() {
    let folder = TestFolder::new();
    let store = folder.open().with_lock_timeout(Duration::from_secs(1));
    let lock = store.locks.acquire(&store.folder, ACCOUNT).unwrap();
    let forked = Process::with(lock.file.try_clone().unwrap());
    assert_eq!(error_of(store.swap(ACCOUNT, None, &full_record())).0, StoreErrorKind::Unavailable);
    drop(lock);
    create(&store, ACCOUNT);
    drop(forked);
}

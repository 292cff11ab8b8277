//! The version of a write is the greater of the last one plus one and the server's clock in microseconds.

use std::collections::BTreeMap;

use hs_oauth_store::{Account, AsyncTokenStore, StoreErrorKind, Swapped};
use hs_oauth_test_servers::server::redis::Redis;

use super::{record, store};

const ACCOUNT: Account = Account::user(62515, 7);
const KEY: &str = "tokens:{62515-7}";

/// The greatest version that Lua and JavaScript read exactly.
const GREATEST: u64 = 1 << 53;

fn stored(swapped: Swapped) -> u64 {
    let Swapped::Stored(version) = swapped else { panic!("a conflict") };
    version
}

fn micros(server: &Redis) -> u64 {
    let (seconds, micros) = server.run::<(u64, u64)>("TIME");
    seconds * 1_000_000 + micros
}

#[tokio::test]
async fn an_account_is_a_hash_and_a_removed_one_leaves_its_version() {
    let server = Redis::start();
    let store = store(&server.url(), "tokens");
    let before = micros(&server);
    let version = stored(store.swap(ACCOUNT, None, &record(1)).await.unwrap());
    assert!((before..=micros(&server)).contains(&version));
    let hash: BTreeMap<String, String> = server.run(&format!("HGETALL {KEY}"));
    assert_eq!(hash.keys().collect::<Vec<_>>(), ["record", "version"]);
    assert_eq!(hash["version"], version.to_string());
    assert!(store.remove(ACCOUNT, version).await.unwrap());
    let hash: BTreeMap<String, String> = server.run(&format!("HGETALL {KEY}"));
    assert_eq!(hash, BTreeMap::from([("version".to_owned(), version.to_string())]));
}

/// The clock of a new server may be behind. Then the last version counts.
#[tokio::test]
async fn a_version_that_is_ahead_of_the_clock_is_followed_by_the_next_number() {
    let server = Redis::start();
    let store = store(&server.url(), "tokens");
    let ahead = micros(&server) + 3_600_000_000;
    server.run::<u64>(&format!("HSET {KEY} version {ahead}"));
    let mut version = stored(store.swap(ACCOUNT, None, &record(1)).await.unwrap());
    assert_eq!(version, ahead + 1);
    for _ in 0..5 {
        let next = stored(store.swap(ACCOUNT, Some(version), &record(1)).await.unwrap());
        assert_eq!(next, version + 1);
        version = next;
    }
    assert!(store.remove(ACCOUNT, version).await.unwrap());
    assert_eq!(stored(store.swap(ACCOUNT, None, &record(1)).await.unwrap()), version + 1);
}

/// What was restored does not know the versions that were given out later.
#[tokio::test]
async fn no_version_comes_back_after_everything_was_lost() {
    let server = Redis::start();
    let store = store(&server.url(), "tokens");
    let mut last = 0;
    for _ in 0..20 {
        let version = stored(store.swap(ACCOUNT, None, &record(1)).await.unwrap());
        assert!(version > last, "{version} came after {last}");
        last = stored(store.swap(ACCOUNT, Some(version), &record(2)).await.unwrap());
        server.run::<()>("FLUSHALL");
        assert_eq!(store.swap(ACCOUNT, Some(last), &record(3)).await.unwrap(), Swapped::Conflict);
    }
}

#[tokio::test]
async fn the_numbers_of_lua_are_exact_up_to_the_greatest_version() {
    let server = Redis::start();
    let store = store(&server.url(), "tokens");
    server.run::<u64>(&format!("HSET {KEY} version {}", GREATEST - 2));
    let version = stored(store.swap(ACCOUNT, None, &record(1)).await.unwrap());
    assert_eq!(version, GREATEST - 1);
    for wrong in [GREATEST - 2, GREATEST, GREATEST + 1, u64::MAX] {
        assert_eq!(store.swap(ACCOUNT, Some(wrong), &record(2)).await.unwrap(), Swapped::Conflict);
        assert!(!store.remove(ACCOUNT, wrong).await.unwrap());
    }
    let version = stored(store.swap(ACCOUNT, Some(version), &record(2)).await.unwrap());
    assert_eq!((version, store.load(ACCOUNT).await.unwrap().unwrap().version), (GREATEST, GREATEST));
    let error = store.swap(ACCOUNT, Some(version), &record(3)).await.unwrap_err();
    assert!(error.kind() == StoreErrorKind::Damaged && error.to_string().contains("2^53"), "{error}");
    assert_eq!(store.load(ACCOUNT).await.unwrap().unwrap().version, GREATEST);
}

#[tokio::test]
async fn what_is_not_a_record_is_damaged_and_is_not_written_over() {
    let server = Redis::start();
    let store = store(&server.url(), "tokens");
    for (command, is_hash) in [
        (format!("HSET {KEY} version 07 record {{}}"), true),
        (format!("HSET {KEY} version 7 record secret"), true),
        (format!("HSET {KEY} record {{}}"), true),
        (format!("SET {KEY} secret"), false),
    ] {
        server.run::<()>("FLUSHALL");
        server.run::<redis::Value>(&command);
        let error = store.load(ACCOUNT).await.unwrap_err();
        assert!(error.kind() == StoreErrorKind::Damaged && !error.to_string().contains("secret"), "{error}");
        match store.swap(ACCOUNT, None, &record(1)).await {
            Ok(swapped) => assert_eq!((swapped, is_hash), (Swapped::Conflict, true)),
            Err(error) => assert!(error.kind() == StoreErrorKind::Damaged && !is_hash, "{error}"),
        }
    }
}

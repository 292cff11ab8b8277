//! `check` and the first connection refuse a Redis that would lose tokens, and `warnings` warns of one that might. Each says why by name.

use std::os::unix::fs::PermissionsExt;

use hs_oauth_redis::{RedisStore, Warning, redis};
use hs_oauth_store::{Account, AsyncTokenStore, StoreErrorKind, contract};
use hs_oauth_test_servers::server::free_address;
use hs_oauth_test_servers::server::redis::Redis;
use hs_oauth_test_servers::wait::wait_until;

use super::{DEADLINE, record};

const ACCOUNT: Account = Account::hub(62515);

/// Returns the command by which the README makes a user who may do only what the store needs.
fn acl() -> String {
    let (_, text) = include_str!("../../../crates/hs-oauth-redis/README.md").split_once("```text").unwrap();
    let words: Vec<&str> = text.split_once("```").unwrap().0.split_whitespace().collect();
    words.join(" ").replace(">…", ">pass").replace("my_app", "tokens")
}

fn store(server: &Redis) -> RedisStore {
    super::store(&server.url(), "tokens").deadline(DEADLINE)
}

/// Checks that the store refuses this server, at the start as well as in each call.
async fn assert_refused(store: &RedisStore, text: &str) {
    let errors = [
        store.warnings().await.unwrap_err(),
        store.check().await.unwrap_err(),
        store.load(ACCOUNT).await.unwrap_err(),
        store.swap(ACCOUNT, None, &record(1)).await.unwrap_err(),
    ];
    for error in errors {
        assert!(error.kind() == StoreErrorKind::Refused && error.to_string().contains(text), "{error}");
    }
}

async fn warnings(store: &RedisStore) -> Vec<Warning> {
    store.warnings().await.unwrap()
}

#[tokio::test]
async fn a_redis_that_keeps_every_write_is_used_without_a_warning() {
    let server = Redis::start();
    assert_eq!(warnings(&store(&server)).await, []);
    store(&server).check().await.unwrap();
}

#[tokio::test]
async fn a_redis_without_an_append_only_file_is_refused_unless_that_is_accepted() {
    let server = Redis::with(&["appendonly no"]);
    assert_refused(&store(&server), "`appendonly yes`").await;
    let accepting = store(&server).without_append_only_file();
    assert_eq!(warnings(&accepting).await, [Warning::NoAppendOnlyFile]);
    accepting.swap(ACCOUNT, None, &record(1)).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_syncs_once_a_second_or_never_gets_a_warning() {
    let server = Redis::with(&["appendfsync everysec"]);
    assert_eq!(warnings(&store(&server)).await, [Warning::SyncedEverySecond]);
    server.run::<()>("CONFIG SET appendfsync no");
    assert_eq!(warnings(&store(&server)).await, [Warning::NeverSynced]);
    assert!(Warning::SyncedEverySecond.to_string().contains("`appendfsync always`"));
}

#[tokio::test]
async fn a_redis_that_drops_keys_when_its_memory_is_full_is_refused() {
    let server = Redis::with(&["maxmemory-policy allkeys-lru"]);
    assert_refused(&store(&server), "`maxmemory-policy allkeys-lru`").await;
    server.run::<()>("CONFIG SET maxmemory-policy volatile-lru");
    let store = store(&server);
    assert_eq!(warnings(&store).await, [Warning::EvictsKeysThatExpire]);
    // A setting that is changed while the store is connected is seen by the next check.
    server.run::<()>("CONFIG SET maxmemory-policy allkeys-random");
    let error = store.check().await.unwrap_err();
    assert!(error.to_string().contains("allkeys-random"), "{error}");
}

/// A refusal is not for ever: whoever sets the server right need not restart the application.
#[tokio::test]
async fn a_redis_that_was_set_right_is_used() {
    let server = Redis::with(&["maxmemory-policy allkeys-lru"]);
    let store = store(&server);
    assert_refused(&store, "maxmemory-policy").await;
    server.run::<()>("CONFIG SET maxmemory-policy noeviction");
    let started = std::time::Instant::now();
    while let Err(error) = store.check().await {
        assert!(started.elapsed() < hs_oauth_test_servers::wait::PATIENCE, "{error}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_replica_is_refused() {
    let server = Redis::start();
    let replica = server.replica(server.address());
    assert_refused(&store(&replica), "this Redis is a replica").await;
}

#[tokio::test]
async fn a_primary_whose_replicas_may_lag_gets_a_warning() {
    let server = Redis::start();
    let _replica = server.replica(server.address());
    assert_eq!(warnings(&store(&server)).await, [Warning::ReplicasMayLag]);
    server.run::<()>("CONFIG SET min-replicas-to-write 1");
    wait_until(|| server.info("replication").contains("min_slaves_good_slaves:1"));
    assert_eq!(warnings(&store(&server)).await, []);
}

#[tokio::test]
async fn a_primary_that_waits_for_its_replicas_takes_no_writes() {
    let server = Redis::with(&["min-replicas-to-write 1"]);
    let error = store(&server).check().await.unwrap_err();
    assert!(
        error.kind() == StoreErrorKind::Unavailable && error.to_string().contains("min-replicas"),
        "{error}"
    );
    assert!(store(&server).load(ACCOUNT).await.unwrap().is_none(), "reads go on");
}

#[tokio::test]
async fn a_redis_whose_memory_is_full_takes_no_writes() {
    let server = Redis::start();
    let store = store(&server);
    store.check().await.unwrap();
    server.run::<()>("CONFIG SET maxmemory 1");
    for error in [store.check().await.unwrap_err(), store.swap(ACCOUNT, None, &record(1)).await.unwrap_err()]
    {
        assert!(
            error.kind() == StoreErrorKind::Refused && error.to_string().contains("`maxmemory`"),
            "{error}"
        );
    }
    assert!(store.load(ACCOUNT).await.unwrap().is_none(), "reads go on");
}

/// So it is when the disk is full: a snapshot fails, and Redis takes no writes until one succeeds.
#[tokio::test]
async fn a_redis_that_cannot_save_takes_no_writes() {
    let server = Redis::with(&["appendonly no", "save 3600 1", "enable-protected-configs local"]);
    let folder = server.folder().join("gone");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    server.run::<()>(&format!("CONFIG SET dir {}", folder.display()));
    std::fs::remove_dir(&folder).unwrap();
    let store = store(&server).without_append_only_file();
    store.check().await.unwrap();
    server.run::<String>("BGSAVE");
    wait_until(|| server.info("persistence").contains("rdb_last_bgsave_status:err"));
    for error in [store.check().await.unwrap_err(), store.swap(ACCOUNT, None, &record(1)).await.unwrap_err()]
    {
        assert!(error.kind() == StoreErrorKind::Refused && error.to_string().contains("disk"), "{error}");
    }
    server.run::<()>("CONFIG SET stop-writes-on-bgsave-error no");
    assert_eq!(warnings(&store).await, [Warning::NoAppendOnlyFile, Warning::LastSaveFailed]);
}

/// Services that rent out Redis forbid `CONFIG`. What is not checked is named.
#[tokio::test]
async fn a_user_who_may_do_only_what_the_store_needs_is_enough() {
    let server = Redis::start();
    server.run::<()>(&acl());
    let url = server.url().replace("redis://", "redis://app:pass@");
    let handle = || super::store(&url, "tokens");
    contract::check_async_shared(&handle(), &handle()).await.unwrap();
    assert_eq!(warnings(&handle()).await, [Warning::NotChecked("appendfsync")]);
}

#[tokio::test]
async fn a_user_who_may_do_too_little_is_refused_and_told_where_to_look() {
    let server = Redis::start();
    server.run::<()>("ACL SETUSER app on >pass ~other:* +@all");
    server.run::<()>("ACL SETUSER blind on >pass ~tokens:* +@all -info");
    let as_user = |user: &str| {
        let url = server.url().replace("redis://", &format!("redis://{user}:pass@"));
        super::store(&url, "tokens").deadline(DEADLINE)
    };
    let error = as_user("app").check().await.unwrap_err();
    assert!(error.kind() == StoreErrorKind::Refused && error.to_string().contains("README"), "{error}");
    let blind = as_user("blind");
    let unknown = ["appendonly", "maxmemory-policy", "role"].map(Warning::NotChecked);
    assert_eq!(warnings(&blind).await, unknown);
    blind.swap(ACCOUNT, None, &record(1)).await.unwrap();
    let error = blind.page(None, 10).await.unwrap_err();
    assert!(error.kind() == StoreErrorKind::Refused && error.to_string().contains("`INFO`"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_is_in_no_message() {
    let server = Redis::with(&["requirepass right"]);
    for url in [server.url(), server.url().replace("redis://", "redis://:wr0ng@")] {
        let store = RedisStore::new(redis::Client::open(&*url).unwrap()).deadline(DEADLINE);
        let error = store.check().await.unwrap_err();
        assert!(error.kind() == StoreErrorKind::Refused && error.to_string().contains("password"), "{error}");
        assert!(!format!("{error:?} {store:?}").contains("wr0ng"), "{error:?} {store:?}");
    }
}

/// Returns a node of a cluster, and the port on which the other nodes reach it.
fn node() -> (Redis, u16) {
    let port = free_address().port();
    let settings =
        ["cluster-enabled yes", "cluster-require-full-coverage no", &format!("cluster-port {port}")];
    (Redis::with(&settings), port)
}

#[tokio::test]
async fn one_of_several_nodes_of_a_cluster_is_refused() {
    let [(server, _), (other, port)] = [node(), node()];
    server.run::<()>("CLUSTER ADDSLOTSRANGE 0 8191");
    other.run::<()>("CLUSTER ADDSLOTSRANGE 8192 16383");
    let address = other.address();
    server.run::<()>(&format!("CLUSTER MEET {} {} {port}", address.ip(), address.port()));
    wait_until(|| server.run::<String>("CLUSTER INFO").contains("cluster_size:2"));
    assert_refused(&store(&server), "one of 2 nodes of a cluster").await;
}

#[tokio::test]
async fn a_cluster_in_which_nobody_has_some_of_the_keys_is_not_used() {
    let (server, _) = node();
    server.run::<()>("CLUSTER ADDSLOTSRANGE 0 1");
    wait_until(|| server.run::<String>("CLUSTER INFO").contains("cluster_state:ok"));
    let error = store(&server).load(ACCOUNT).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
}

//! What goes wrong between a store and its Redis, and what must hold then: no write that was acknowledged is lost, nothing stands still for
//! good, and a write is done as a whole or not at all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hs_oauth_redis::{BlockOn, RedisStore, redis};
use hs_oauth_store::{Account, AsyncTokenStore, StoreErrorKind, Swapped, TokenStore};
use hs_oauth_test_servers::relay::{Network, Relay};
use hs_oauth_test_servers::server::redis::{Redis, url};
use hs_oauth_test_servers::site::{Fault, Server, Site};
use hs_oauth_test_servers::wait::{PATIENCE, wait_until};
use tokio::time::timeout;

use super::{DEADLINE, record};
use crate::writers::{Writers, number};

const ACCOUNT: Account = Account::hub(62515);

fn store(relay: &Relay) -> RedisStore {
    super::store(&url(relay.address()), "tokens").deadline(DEADLINE)
}

/// Starts writers over two stores, each with a connection of its own.
async fn writers(relay: &Relay) -> Writers {
    Writers::start("Redis", vec![Arc::new(store(relay)), Arc::new(store(relay))]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_server_ends_are_replaced() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let writers = writers(&relay).await;
    for _ in 0..10 {
        writers.make_progress().await;
        server.end_connections();
    }
    writers.make_progress().await;
    writers.end().await;
    assert!(relay.accepted() > 10, "the connections were ended");
}

/// A read is done once more on another connection, since that does no harm.
#[tokio::test]
async fn a_load_does_not_fail_when_the_server_ends_its_connection() {
    let server = Redis::start();
    let store = super::store(&server.url(), "tokens");
    store.swap(ACCOUNT, None, &record(1)).await.unwrap();
    for _ in 0..20 {
        server.end_connections();
        assert_eq!(number(&store.load(ACCOUNT).await.unwrap().unwrap().record), 1);
    }
}

/// Servers and load balancers end connections that nobody uses. A write is not tried twice, so it must not meet such a connection.
#[tokio::test]
async fn a_write_does_not_fail_when_its_connection_was_ended_while_nobody_used_it() {
    let server = Redis::start();
    let store = super::store(&server.url(), "tokens");
    let mut version = None;
    for count in 0..5 {
        let Swapped::Stored(next) = store.swap(ACCOUNT, version, &record(count)).await.unwrap() else {
            panic!()
        };
        version = Some(next);
        server.end_connections();
        // The runtime looks at its sockets whenever it waits.
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_frozen_for_three_seconds_is_used_again() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let writers = writers(&relay).await;
    writers.make_progress().await;
    server.process().freeze();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let connects = relay.accepted();
    server.process().thaw();
    writers.make_progress().await;
    assert!(writers.end().await > 0, "calls were under way when the server was frozen");
    assert!(connects < 30, "{connects} connects");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_a_crash_of_the_server() {
    let mut server = Redis::start();
    let relay = Relay::start(server.address());
    let writers = writers(&relay).await;
    for _ in 0..3 {
        writers.make_progress().await;
        server.crash();
        server.begin();
    }
    writers.make_progress().await;
    writers.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_reset_are_replaced() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let writers = writers(&relay).await;
    for _ in 0..5 {
        writers.make_progress().await;
        relay.set_present(Network::Resets);
    }
    writers.make_progress().await;
    writers.end().await;
    assert!(relay.accepted() > 5, "the connections were reset");
}

/// What is delivered late meets a later version, or is the write that was waited for.
#[tokio::test(flavor = "multi_thread")]
async fn traffic_that_is_stalled_and_then_delivered_does_no_harm() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let writers = writers(&relay).await;
    for _ in 0..3 {
        writers.make_progress().await;
        relay.set_present(Network::Stalls);
        // Other connections pass, so what was stalled is behind the times when it is delivered.
        writers.make_progress().await;
        relay.set_present(Network::Passes);
    }
    writers.make_progress().await;
    assert!(writers.end().await > 0, "calls were stalled");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_seen_by_the_next_load() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let store = store(&relay);
    let Swapped::Stored(version) = store.swap(ACCOUNT, None, &record(1)).await.unwrap() else { panic!() };
    relay.set_present(Network::SwallowsAnswers);
    let error = store.swap(ACCOUNT, Some(version), &record(2)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let stored = store.load(ACCOUNT).await.unwrap().unwrap();
    assert!(number(&stored.record) == 2 && stored.version > version);
    assert_eq!(store.swap(ACCOUNT, Some(version), &record(3)).await.unwrap(), Swapped::Conflict);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_lost_again_and_again_lose_no_write() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let writers = writers(&relay).await;
    for _ in 0..3 {
        writers.make_progress().await;
        relay.set_present(Network::SwallowsAnswers);
    }
    writers.make_progress().await;
    writers.end().await;
}

/// So does a router that has forgotten a connection, or a host that was replaced.
#[tokio::test]
async fn a_connection_that_is_dead_without_a_word_is_let_go_and_never_used_again() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let store = store(&relay);
    store.swap(ACCOUNT, None, &record(1)).await.unwrap();
    relay.set_present(Network::Swallows);
    let error = store.load(ACCOUNT).await.unwrap_err();
    assert!(error.to_string().contains("in time"), "{error}");
    let sent = relay.swallowed();
    for _ in 0..100 {
        store.load(ACCOUNT).await.unwrap();
    }
    let [(before, _)] = &sent[..] else { panic!("one connection is dead") };
    let after = relay.swallowed();
    assert!(!before.is_empty() && after[0].0 == *before, "nothing was sent on it again");
    assert_eq!(relay.accepted(), 2);
    wait_until(|| relay.swallowed()[0].1);
}

/// The call that was sent on it waits on, since its answer may only be late.
#[tokio::test(flavor = "multi_thread")]
async fn new_calls_leave_a_connection_on_which_an_answer_stays_out_for_half_a_deadline() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let store = store(&relay).deadline(5 * DEADLINE);
    store.swap(ACCOUNT, None, &record(1)).await.unwrap();
    relay.set_present(Network::Swallows);
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.load(ACCOUNT).await }
    });
    wait_until(|| !relay.swallowed()[0].0.is_empty());
    while !matches!(timeout(DEADLINE / 20, store.load(ACCOUNT)).await, Ok(Ok(_))) {}
    assert!(!waiting.is_finished() && relay.accepted() == 2);
    waiting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_late_reaches_the_call_that_waits_for_it_on_a_connection_that_others_have_left() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let store = store(&relay).deadline(5 * DEADLINE);
    store.swap(ACCOUNT, None, &record(1)).await.unwrap();
    relay.set_present(Network::Stalls);
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.load(ACCOUNT).await }
    });
    while !matches!(timeout(DEADLINE / 20, store.load(ACCOUNT)).await, Ok(Ok(_))) {}
    relay.set_present(Network::Passes);
    assert_eq!(number(&waiting.await.unwrap().unwrap().unwrap().record), 1);
    assert_eq!(relay.accepted(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_go_dead_without_a_word_again_and_again_cost_a_deadline_each() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let writers = writers(&relay).await;
    for _ in 0..3 {
        writers.make_progress().await;
        relay.set_present(Network::Swallows);
    }
    writers.make_progress().await;
    writers.end().await;
    assert!(relay.accepted() <= 2 * 4 + 2, "{} connects", relay.accepted());
}

/// The caller with little time left is not the one who judges a connection.
#[tokio::test]
async fn a_stall_with_a_short_deadline_is_not_answered_with_a_storm_of_connects() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let store = store(&relay).deadline(Duration::from_millis(10));
    while store.swap(ACCOUNT, None, &record(1)).await.is_err() {}
    let before = relay.accepted();
    relay.set_all(Network::Stalls);
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(3) {
        let calls = (0..50).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.load(ACCOUNT).await })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap().unwrap_err();
        }
    }
    let connects = relay.accepted() - before;
    assert!((1..=10).contains(&connects), "{connects} connects in three seconds");
    relay.set_all(Network::Passes);
    while store.load(ACCOUNT).await.is_err() {}
}

#[tokio::test]
async fn all_callers_wait_for_one_connect_and_none_of_them_cuts_it_off() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let store = store(&relay).deadline(Duration::from_secs(5));
    relay.set_new(Network::Stalls);
    let mut callers = Vec::new();
    for _ in 0..50 {
        let call = timeout(Duration::from_millis(10), store.load(ACCOUNT));
        callers.push(call.await.is_err());
    }
    assert!(callers.iter().all(|gave_up| *gave_up));
    relay.set_all(Network::Passes);
    assert!(store.load(ACCOUNT).await.unwrap().is_none());
    assert_eq!(relay.accepted(), 1);
}

/// Otherwise a service whose requests time out sooner than the store would never get away from a dead connection.
#[tokio::test]
async fn a_dead_connection_is_let_go_although_each_caller_gives_up_before_the_deadline() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let store = store(&relay);
    store.swap(ACCOUNT, None, &record(1)).await.unwrap();
    relay.set_present(Network::Swallows);
    let started = Instant::now();
    while timeout(DEADLINE / 10, store.load(ACCOUNT)).await.is_err() {
        assert!(started.elapsed() < PATIENCE);
    }
    assert_eq!(relay.accepted(), 2);
}

/// The task that waits on behalf of the caller ends with that runtime.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_connection_is_let_go_when_the_runtime_of_its_last_caller_ends() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let store = store(&relay);
    store.swap(ACCOUNT, None, &record(1)).await.unwrap();
    relay.set_present(Network::Swallows);
    let other = store.clone();
    let caller = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let load = async { timeout(Duration::from_millis(10), other.load(ACCOUNT)).await };
        runtime.block_on(load).unwrap_err();
    });
    caller.join().unwrap();
    store.load(ACCOUNT).await.unwrap();
    assert_eq!(relay.accepted(), 2);
}

#[tokio::test]
async fn a_connection_is_kept_whose_answer_came_while_nobody_looked() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let store = store(&relay);
    store.swap(ACCOUNT, None, &record(1)).await.unwrap();
    server.process().freeze();
    let mut call = store.load(ACCOUNT);
    timeout(Duration::from_millis(10), &mut call).await.unwrap_err();
    server.process().thaw();
    store.load(ACCOUNT).await.unwrap();
    // Until the deadline of the call that nobody polls.
    tokio::time::sleep(DEADLINE).await;
    drop(call);
    for _ in 0..10 {
        store.load(ACCOUNT).await.unwrap();
    }
    assert_eq!(relay.accepted(), 1);
}

#[tokio::test]
async fn a_call_that_nobody_polls_any_more_holds_up_no_other_one() {
    let server = Redis::start();
    let store = super::store(&server.url(), "tokens");
    store.swap(ACCOUNT, None, &record(1)).await.unwrap();
    server.process().freeze();
    let mut call = store.load(ACCOUNT);
    timeout(Duration::from_millis(10), &mut call).await.unwrap_err();
    server.process().thaw();
    for _ in 0..100 {
        store.load(ACCOUNT).await.unwrap();
    }
    call.await.unwrap();
}

/// A caller who gives up leaves the write alone: it is done, since it was sent.
#[tokio::test]
async fn a_write_goes_on_when_its_caller_gives_up() {
    let server = Redis::start();
    let store = super::store(&server.url(), "tokens");
    store.check().await.unwrap();
    server.process().freeze();
    let record = record(7);
    let write = store.swap(ACCOUNT, None, &record);
    timeout(Duration::from_millis(50), write).await.unwrap_err();
    server.process().thaw();
    let started = Instant::now();
    while store.load(ACCOUNT).await.unwrap().is_none() {
        assert!(started.elapsed() < PATIENCE);
    }
}

/// The versions that the old primary gave out are not given out again, and what was lost does not come back as a late write.
#[tokio::test]
async fn after_a_failover_that_lost_the_last_writes_no_version_comes_back() {
    let server = Redis::start();
    let mut replica = server.replica(server.address());
    let relay = Relay::start(server.address());
    let store = store(&relay);
    let Swapped::Stored(kept) = store.swap(ACCOUNT, None, &record(1)).await.unwrap() else { panic!() };
    wait_until(|| replica.run::<Option<String>>("HGET tokens:{62515} version") == Some(kept.to_string()));
    // The replica becomes the primary without what comes now.
    replica.promote();
    let Swapped::Stored(lost) = store.swap(ACCOUNT, Some(kept), &record(2)).await.unwrap() else { panic!() };
    relay.set_server(replica.address());
    drop(server);
    let stored = store.load(ACCOUNT).await.unwrap().unwrap();
    assert_eq!((stored.version, number(&stored.record)), (kept, 1));
    assert_eq!(store.swap(ACCOUNT, Some(lost), &record(3)).await.unwrap(), Swapped::Conflict);
    let Swapped::Stored(next) = store.swap(ACCOUNT, Some(kept), &record(4)).await.unwrap() else { panic!() };
    assert!(next > lost, "{next} came after {lost}");
}

/// The same while writers are at work. What they may lose is what the replica did not have.
#[tokio::test(flavor = "multi_thread")]
async fn writers_go_on_after_a_failover_that_lost_the_last_writes() {
    let server = Redis::start();
    let mut replica = server.replica(server.address());
    let relay = Relay::start(server.address());
    let writers = writers(&relay).await;
    wait_until(|| replica.run::<u64>("DBSIZE") == server.run::<u64>("DBSIZE"));
    replica.process().freeze();
    writers.make_progress().await;
    writers.may_lose();
    server.process().freeze();
    replica.process().thaw();
    replica.promote();
    relay.set_server(replica.address());
    writers.make_progress().await;
    writers.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_in_turn_loses_nothing() {
    let mut site = Site::new(Server::Redis(Redis::start()));
    let writers = writers(&site.relay).await;
    for fault in Fault::that_lose_nothing() {
        site.make(fault).await;
        writers.make_progress().await;
    }
    assert!(writers.end().await > 0, "the faults were some");
}

/// The store of the blocking manager has its deadline from the async one.
#[test]
fn a_sync_store_lets_a_dead_connection_go() {
    let server = Redis::start();
    let relay = Relay::start(server.address());
    let store = BlockOn::new(store(&relay)).unwrap();
    TokenStore::swap(&store, ACCOUNT, None, &record(1)).unwrap();
    for _ in 0..2 {
        relay.set_present(Network::Swallows);
        let error = TokenStore::load(&store, ACCOUNT).unwrap_err();
        assert!(error.to_string().contains("in time"), "{error}");
        assert_eq!(number(&TokenStore::load(&store, ACCOUNT).unwrap().unwrap().record), 1);
    }
}

/// A failover in which nothing is lost, while writers are at work.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_to_a_replica_that_has_everything_loses_nothing() {
    let server = Redis::with(&["min-replicas-to-write 1"]);
    let mut replica = server.replica(server.address());
    // The server counts a replica only after its first acknowledgement.
    wait_until(|| server.info("replication").contains("min_slaves_good_slaves:1"));
    let relay = Relay::start(server.address());
    let writers = writers(&relay).await;
    writers.make_progress().await;
    // Nothing is written any more, and what was written gets to the replica.
    relay.set_all(Network::Stalls);
    server.wait_until_received(&replica);
    replica.promote();
    relay.set_server(replica.address());
    drop(server);
    relay.set_present(Network::Resets);
    relay.set_new(Network::Passes);
    writers.make_progress().await;
    writers.end().await;
}

/// Sentinel makes the old primary a replica of the new one. A store that is still connected to it must not go on with it.
#[tokio::test]
async fn a_primary_that_becomes_a_replica_is_left() {
    let (server, other) = (Redis::start(), Redis::start());
    let relay = Relay::start(server.address());
    let store = store(&relay);
    let Swapped::Stored(version) = store.swap(ACCOUNT, None, &record(1)).await.unwrap() else { panic!() };
    // Until it has the data of the new primary, it has its own.
    other.process().freeze();
    server.run::<()>(&format!("REPLICAOF 127.0.0.1 {}", other.address().port()));
    let error = store.swap(ACCOUNT, Some(version), &record(2)).await.unwrap_err();
    assert!(error.to_string().contains("replica"), "{error}");
    let error = store.load(ACCOUNT).await.unwrap_err();
    assert!(error.kind() == StoreErrorKind::Refused && error.to_string().contains("replica"), "{error}");
    // The address moves to the new primary.
    other.process().thaw();
    relay.set_server(other.address());
    assert!(store.load(ACCOUNT).await.unwrap().is_none());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for_until_the_deadline() {
    let mut server = Redis::start();
    let store = super::store(&server.url(), "tokens").deadline(DEADLINE);
    store.check().await.unwrap();
    server.crash();
    let error = store.load(ACCOUNT).await.unwrap_err();
    assert!(error.kind() == StoreErrorKind::Unavailable && error.to_string().contains("refused"), "{error}");
    let patient = super::store(&server.url(), "tokens").deadline(Duration::from_secs(60));
    let load = tokio::spawn(async move { patient.load(ACCOUNT).await });
    server.begin();
    assert!(load.await.unwrap().unwrap().is_none());
}

/// The task of a connection ends with its runtime. A store may be used on the next one.
#[test]
fn a_store_outlives_the_runtime_in_which_it_was_connected() {
    let server = Redis::start();
    let store = RedisStore::new(redis::Client::open(server.url()).unwrap());
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert!(runtime.block_on(store.load(ACCOUNT)).unwrap().is_none());
    }
    let outside = std::pin::pin!(store.load(ACCOUNT));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = outside.poll(&mut context) else {
        panic!("there is no runtime")
    };
    assert!(error.to_string().contains("runtime"), "{error}");
}

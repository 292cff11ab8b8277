//! What becomes of a call, of its connection and of its pool, when the call takes too long or its caller goes away.

use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use hs_oauth_store::{Account, AsyncTokenStore, StoreErrorKind, Swapped};
use hs_oauth_test_servers::relay::{Network, Relay};
use hs_oauth_test_servers::server::postgres::{
    Postgres, connect, new_table_name, shared_address, shared_url, shared_url_through,
};
use hs_oauth_test_servers::wait::PATIENCE;

use super::stores::{Limits, MODES, Mode, Pooled, create, pooled, store};
use crate::writers::{number, record};

const HUB: Account = Account::hub(62_515);

/// A table of a test's own, and a relay to its server.
async fn table_behind_relay() -> (Relay, String, String) {
    let table = new_table_name();
    create(&shared_url(), &table).await;
    let relay = Relay::start(shared_address());
    let url = shared_url_through(relay.address());
    (relay, url, table)
}

async fn wait_until(mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < PATIENCE, "the condition did not come true");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Makes so many connections, and waits until all of them are idle.
async fn fill(pooled: &Pooled, connections: usize) {
    wait_until(async || {
        let store = &pooled.store;
        let loads: Vec<_> = (0..connections)
            .map(|_| {
                let store = std::sync::Arc::clone(store);
                tokio::spawn(async move { store.load(HUB).await })
            })
            .collect();
        for load in loads {
            load.await.unwrap().unwrap();
        }
        wait_until(async || (pooled.idle)() > 0).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        (pooled.idle)() == connections
    })
    .await;
}

fn late(result: Result<impl Sized, hs_oauth_store::StoreError>) -> bool {
    let Err(error) = result else { return false };
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    error.to_string().contains("not in time")
}

/// `X`, the length 4.
const TERMINATE: &[u8] = b"X\0\0\0\x04";

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_missed_a_deadline_is_closed_without_another_word_and_never_used_again() {
    for mode in MODES {
        let (relay, url, table) = table_behind_relay().await;
        let limits = Limits { call: Duration::from_millis(500), ..Limits::default() };
        let pooled = pooled(mode, &url, &table, 1, limits);
        fill(&pooled, 1).await;
        relay.set_present(Network::Swallows);
        assert!(late(pooled.store.load(HUB).await), "{mode:?}");
        wait_until(async || relay.swallowed().iter().any(|(_, is_closed)| *is_closed)).await;
        let swallowed = relay.swallowed();
        let (bytes, _) = &swallowed[0];
        assert!(!bytes.is_empty() && !bytes.ends_with(TERMINATE), "{mode:?}: {bytes:?}");
        let before = relay.accepted();
        assert_eq!(pooled.store.load(HUB).await.unwrap(), None, "{mode:?}");
        assert_eq!(relay.accepted(), before + 1, "{mode:?}");
    }
}

/// A pool of connections that a router has forgotten: one call finds out, and the next one works.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_swallows_packets_costs_one_call_and_not_one_for_each_connection() {
    for mode in MODES {
        let (relay, url, table) = table_behind_relay().await;
        let pooled = pooled(mode, &url, &table, 4, Limits::default());
        fill(&pooled, 4).await;
        relay.set_present(Network::Swallows);
        assert!(late(pooled.store.load(HUB).await), "{mode:?}");
        for _ in 0..8 {
            assert_eq!(pooled.store.load(HUB).await.unwrap(), None, "{mode:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_patience_cancels_no_connect_and_a_stall_brings_no_storm_of_them() {
    for mode in MODES {
        let (relay, url, table) = table_behind_relay().await;
        let limits = Limits { call: Duration::from_millis(50), connect: PATIENCE };
        let pooled = pooled(mode, &url, &table, 2, limits);
        relay.set_new(Network::Stalls);
        for _ in 0..10 {
            let (first, second, third) =
                tokio::join!(pooled.store.load(HUB), pooled.store.load(HUB), pooled.store.load(HUB));
            assert!(late(first) && late(second) && late(third), "{mode:?}");
        }
        assert_eq!(relay.accepted(), 2, "{mode:?}");
        relay.set_all(Network::Passes);
        wait_until(async || pooled.store.load(HUB).await.is_ok()).await;
        assert_eq!(relay.accepted(), 2, "{mode:?}: the connects went on");
    }
}

/// The places for connections are taken by those that get no answer. The rest of the callers wait no longer than for their deadline.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_waits_for_a_connection_no_longer_than_its_deadline() {
    let (relay, url, table) = table_behind_relay().await;
    let limits = Limits { call: Duration::from_millis(100), connect: 10 * PATIENCE };
    let pooled = pooled(Mode::Pg, &url, &table, 1, limits);
    relay.set_new(Network::Swallows);
    for _ in 0..3 {
        let loaded = tokio::time::timeout(PATIENCE, pooled.store.load(HUB)).await;
        assert!(late(loaded.expect("it waits for a connection")));
    }
}

/// The connect that the network has swallowed does not stand in the way for as long as a slow server may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_connect_that_went_dead_is_soon_followed_by_another_one() {
    for mode in MODES {
        let (relay, url, table) = table_behind_relay().await;
        let limits = Limits { call: Duration::from_millis(50), connect: Duration::from_secs(5) };
        let pooled = pooled(mode, &url, &table, 1, limits);
        relay.set_new(Network::Swallows);
        assert!(late(pooled.store.load(HUB).await), "{mode:?}");
        relay.set_new(Network::Passes);
        // Each of them takes 50 ms at least.
        let mut failures = 0;
        while pooled.store.load(HUB).await.is_err() {
            failures += 1;
        }
        assert!(failures < 60, "{mode:?}: {failures} calls failed after the network had come back");
    }
}

/// A new connection that gets no answer is given up after a time of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_is_not_taken_up_for_ever_by_connects_that_go_dead() {
    for mode in MODES {
        let (relay, url, table) = table_behind_relay().await;
        let limits = Limits { call: Duration::from_secs(5), connect: Duration::from_secs(1) };
        let pooled = pooled(mode, &url, &table, 1, limits);
        relay.set_new(Network::Swallows);
        assert!(pooled.store.load(HUB).await.is_err());
        relay.set_new(Network::Passes);
        wait_until(async || pooled.store.load(HUB).await.is_ok()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_caller_goes_away_takes_effect_as_a_whole() {
    let limits = Limits { call: PATIENCE, ..Limits::default() };
    for mode in MODES {
        let (url, table) = (shared_url(), new_table_name());
        create(&url, &table).await;
        let store = pooled(mode, &url, &table, 1, limits).store;
        let Swapped::Stored(version) = store.swap(HUB, None, &record(1)).await.unwrap() else {
            panic!("not stored")
        };
        let admin = connect(url).await;
        admin.batch_execute(&format!("begin; select 1 from {table} for update")).await.unwrap();
        let waits = format!(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%{table}%'"
        );
        {
            let next = record(2);
            let mut swap = pin!(store.swap(HUB, Some(version), &next));
            wait_until(async || {
                let polled = std::future::poll_fn(|context| Poll::Ready(swap.as_mut().poll(context))).await;
                assert!(polled.is_pending(), "the row is locked");
                let row = connect(shared_url()).await.query_one(&waits, &[]).await.unwrap();
                row.get::<_, i64>(0) == 1
            })
            .await;
        }
        admin.batch_execute("commit").await.unwrap();
        wait_until(async || number(&store.load(HUB).await.unwrap().unwrap().record) == 2).await;
    }
}

/// A server that was restarted has closed every idle connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_sent_again_when_the_server_had_closed_the_idle_connections() {
    for mode in MODES {
        let (relay, url, table) = table_behind_relay().await;
        let pooled = pooled(mode, &url, &table, 3, Limits::default());
        fill(&pooled, 3).await;
        relay.set_present(Network::Resets);
        // Once more than there are connections.
        for _ in 0..4 {
            assert_eq!(pooled.store.load(HUB).await.unwrap(), None, "{mode:?}");
        }
    }
}

/// With these levels the server tells a writer that is late that it could not serialize: that is a conflict and not a failure.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_writers_one_succeeds_whatever_the_isolation_level_is() {
    let server = Postgres::start().await;
    for level in ["repeatable read", "serializable"] {
        for mode in MODES {
            let table = new_table_name();
            create(&Postgres::url(server.address()), &table).await;
            let role = format!("isolated_{table}");
            let sql = format!(
                "create role {role} login; grant all on {table} to {role}; \
                 alter role {role} set default_transaction_isolation = '{level}'"
            );
            server.admin().await.batch_execute(&sql).await.unwrap();
            let url = Postgres::url_of(&role, server.address());
            let (store, account) = (store(mode, &url, &table, 8), HUB);
            let Swapped::Stored(version) = store.swap(account, None, &record(1)).await.unwrap() else {
                panic!("not stored")
            };
            let writes = (0..8).map(|number| {
                let store = std::sync::Arc::clone(&store);
                tokio::spawn(
                    async move { store.swap(account, Some(version), &record(number)).await.unwrap() },
                )
            });
            let mut stored = 0;
            for write in writes.collect::<Vec<_>>() {
                stored += usize::from(write.await.unwrap() != Swapped::Conflict);
            }
            assert_eq!(stored, 1, "{level}, {mode:?}");
        }
    }
}

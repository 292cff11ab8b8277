//! A failover to a standby: a synchronous one loses nothing; an asynchronous one loses what it had not received, and even then no version
//! comes back.

use std::net::SocketAddr;
use std::sync::Arc;

use hs_oauth_postgres::{PgStore, SqlxStore, Warning};
use hs_oauth_store::{Account, AsyncTokenStore, StoreErrorKind, Swapped};
use hs_oauth_test_servers::relay::{Network, Relay};
use hs_oauth_test_servers::server::postgres::{Postgres, new_table_name};

use super::stores::{MODES, Mode, create, pool, sqlx_pool, store};
use crate::writers::{Writers, number, record};

/// Returns stores that reach both servers. tokio-postgres finds the primary among several hosts by itself. For sqlx, which has one host,
/// an address that moves stands for what a load balancer does.
fn stores_of_both(
    mode: Mode,
    servers: [SocketAddr; 2],
    moving: SocketAddr,
    table: &str,
) -> Vec<Arc<dyn AsyncTokenStore>> {
    let hosts =
        format!("postgres://postgres@{},{}/postgres?target_session_attrs=read-write", servers[0], servers[1]);
    let url = match mode {
        Mode::Pg | Mode::PgPrepared => hosts,
        Mode::Sqlx | Mode::SqlxPrepared => Postgres::url(moving),
    };
    vec![store(mode, &url, table, 4), store(mode, &url, table, 4)]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_to_a_synchronous_standby_loses_nothing() {
    let mut primary = Postgres::start().await;
    let standby = primary.standby(primary.address(), &[]).await;
    primary.wait_for_answers_of(&standby).await;
    let moving = Relay::start(primary.address());
    let mut writers = Vec::new();
    for mode in MODES {
        let table = new_table_name();
        create(&Postgres::url(primary.address()), &table).await;
        let stores = stores_of_both(mode, [primary.address(), standby.address()], moving.address(), &table);
        writers.push(Writers::start(&format!("{mode:?}"), stores).await);
    }
    primary.crash();
    standby.promote().await;
    moving.set_server(standby.address());
    let mut failures = 0;
    for writers in writers {
        writers.make_progress().await;
        failures += writers.end().await;
    }
    assert!(failures > 0, "the fault was one");
}

/// The writers check that no version is given out twice, although the standby has never heard of the last ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_loses_the_last_second_brings_no_version_back() {
    let mut primary = Postgres::start().await;
    let replication = Relay::start(primary.address());
    let standby = primary.standby(replication.address(), &[]).await;
    let moving = Relay::start(primary.address());
    let mut writers = Vec::new();
    for mode in MODES {
        let table = new_table_name();
        create(&Postgres::url(primary.address()), &table).await;
        let stores = stores_of_both(mode, [primary.address(), standby.address()], moving.address(), &table);
        writers.push(Writers::start(&format!("{mode:?}"), stores).await);
    }
    // A write that is lost.
    let (lost, account) = (new_table_name(), Account::hub(62_515));
    create(&Postgres::url(primary.address()), &lost).await;
    let before = store(Mode::Pg, &Postgres::url(primary.address()), &lost, 1);
    let Ok(Swapped::Stored(first)) = before.swap(account, None, &record(1)).await else {
        panic!("not stored")
    };
    primary.wait_until_received(&standby).await;
    replication.set_all(Network::Swallows);
    let swapped = before.swap(account, Some(first), &record(2)).await;
    let Ok(Swapped::Stored(second)) = swapped else { panic!("not stored") };
    for writers in &writers {
        writers.make_progress().await;
        writers.may_lose();
    }

    primary.crash();
    standby.promote().await;
    moving.set_server(standby.address());
    let after = store(Mode::Pg, &Postgres::url(standby.address()), &lost, 1);
    let stored = after.load(account).await.unwrap().unwrap();
    assert_eq!((stored.version, number(&stored.record)), (first, 1), "the standby lacks the last write");
    assert_eq!(after.swap(account, Some(second), &record(3)).await.unwrap(), Swapped::Conflict);
    let Ok(Swapped::Stored(third)) = after.swap(account, Some(first), &record(3)).await else {
        panic!("not stored")
    };
    assert!(third > second, "{third} came after {second}, which was lost");
    for writers in writers {
        writers.make_progress().await;
        writers.end().await;
    }
}

/// A standby may know less than was written: its answer could bring a token back that was rotated away.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused_for_reads_and_writes_and_the_primary_warns_of_it() {
    let primary = Postgres::start().await;
    let standby = primary.standby(primary.address(), &[]).await;
    let table = new_table_name();
    create(&Postgres::url(primary.address()), &table).await;
    let first = store(Mode::Pg, &Postgres::url(primary.address()), &table, 1);
    let Ok(Swapped::Stored(version)) = first.swap(Account::hub(1), None, &record(1)).await else {
        panic!("not stored")
    };
    primary.wait_until_received(&standby).await;
    for mode in MODES {
        let second = store(mode, &Postgres::url(standby.address()), &table, 1);
        for error in [
            second.check().await.unwrap_err(),
            second.load(Account::hub(1)).await.unwrap_err(),
            second.load(Account::hub(2)).await.unwrap_err(),
            second.swap(Account::hub(1), Some(version), &record(2)).await.unwrap_err(),
            second.remove(Account::hub(1), version).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), StoreErrorKind::Refused);
            let text = error.to_string();
            assert!(text.contains("standby") && text.contains("target_session_attrs"), "{text}");
        }
    }
    let url = Postgres::url(primary.address());
    let warnings = PgStore::new(pool(&url, 1)).table(&table).unwrap().warnings().await.unwrap();
    assert_eq!(warnings, [Warning::AsynchronousStandby]);
    let warnings = SqlxStore::new(sqlx_pool(&url, 1)).table(&table).unwrap().warnings().await.unwrap();
    assert_eq!(warnings, [Warning::AsynchronousStandby]);
}

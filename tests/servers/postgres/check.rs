//! What the check refuses, what it warns of, and what the table is.

use std::os::unix::fs::symlink;

use deadpool_postgres::tokio_postgres::Client;
use hs_oauth_postgres::{PgStore, SCHEMA, SqlxStore, TABLE, Warning};
use hs_oauth_store::{Account, AsyncTokenStore, StoreError, StoreErrorKind, Swapped};
use hs_oauth_test_servers::server::postgres::{Postgres, connect, new_table_name, shared_url};

use super::stores::{MODES, Mode, create, pool, sqlx_pool, store};
use crate::writers::record;

/// Returns a connection to the shared database.
async fn admin() -> Client {
    connect(shared_url()).await
}

/// Returns the errors of the check over both drivers.
async fn refusals(url: &str, table: &str) -> Vec<String> {
    let mut texts = Vec::new();
    for mode in MODES {
        let error = store(mode, url, table, 1).check().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused, "{error}");
        texts.push(error.to_string());
    }
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_missing_is_refused_until_it_is_created() {
    let (url, table) = (shared_url(), new_table_name());
    for text in refusals(&url, &table).await {
        assert!(text.contains("no such table") && text.contains("SCHEMA"), "{text}");
    }
    for mode in MODES {
        let error = store(mode, &url, &table, 1).load(Account::hub(1)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused);
        assert!(error.to_string().contains("42P01"), "{error}");
    }
    create(&url, &table).await;
    for mode in MODES {
        store(mode, &url, &table, 1).check().await.unwrap();
    }
}

/// `create table if not exists` alone fails with a duplicate key when it is done at once.
#[tokio::test(flavor = "multi_thread")]
async fn many_processes_may_create_the_table_at_once() {
    let (url, table) = (shared_url(), new_table_name());
    let mut tasks = Vec::new();
    for index in 0..16 {
        let (url, table) = (url.clone(), table.clone());
        tasks.push(tokio::spawn(async move {
            match index % 2 {
                0 => PgStore::new(pool(&url, 1)).table(&table)?.create().await,
                _ => SqlxStore::new(sqlx_pool(&url, 1)).table(&table)?.create().await,
            }
        }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    store(Mode::Pg, &url, &table, 1).check().await.unwrap();
}

/// A migration tool runs the file in a database of its own, and perhaps twice.
#[tokio::test(flavor = "multi_thread")]
async fn the_schema_makes_the_table_that_the_store_uses_by_default() {
    let server = Postgres::start().await;
    let url = Postgres::url(server.address());
    let admin = server.admin().await;
    for _ in 0..2 {
        admin.batch_execute(SCHEMA).await.unwrap();
    }
    PgStore::new(pool(&url, 1)).check().await.unwrap();
    SqlxStore::new(sqlx_pool(&url, 1)).check().await.unwrap();
    let row =
        admin.query_one("select reloptions from pg_class where oid = $1::text::regclass", &[&TABLE]).await;
    let options: Vec<String> = row.unwrap().get(0);
    assert_eq!(options, ["fillfactor=70"]);
    let count = "select count(*) from pg_indexes where tablename = $1";
    let count: i64 = admin.query_one(count, &[&TABLE]).await.unwrap().get(0);
    assert_eq!(count, 1, "an index on a time would take updates their place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_a_later_version_is_refused() {
    let (url, table) = (shared_url(), new_table_name());
    create(&url, &table).await;
    let comment = format!("comment on table {table} is 'hs-oauth schema 2'");
    admin().await.batch_execute(&comment).await.unwrap();
    for text in refusals(&url, &table).await {
        assert!(text.contains("version 2") && text.contains("newer version of hs-oauth-postgres"), "{text}");
    }
    let created = PgStore::new(pool(&url, 1)).table(&table).unwrap().create().await;
    assert!(created.unwrap_err().to_string().contains("version 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_a_crash_would_empty_is_refused() {
    let (url, table) = (shared_url(), new_table_name());
    create(&url, &table).await;
    admin().await.batch_execute(&format!("alter table {table} set unlogged")).await.unwrap();
    for text in refusals(&url, &table).await {
        assert!(text.contains("unlogged"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_session_is_refused() {
    let (server, table) = (Postgres::start().await, new_table_name());
    let url = Postgres::url(server.address());
    create(&url, &table).await;
    let role = format!("reader_of_{table}");
    let sql = format!(
        "create role {role} login; grant all on {table} to {role}; alter role {role} set default_transaction_read_only = on"
    );
    server.admin().await.batch_execute(&sql).await.unwrap();
    let url = Postgres::url_of(&role, server.address());
    for text in refusals(&url, &table).await {
        assert!(text.contains("read-only"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_the_privileges_is_refused_and_one_that_may_not_create_finds_the_table() {
    let (server, table) = (Postgres::start().await, new_table_name());
    let url = Postgres::url(server.address());
    create(&url, &table).await;
    let role = format!("user_of_{table}");
    server
        .admin()
        .await
        .batch_execute(&format!("create role {role} login; grant select on {table} to {role}"))
        .await
        .unwrap();
    let url = Postgres::url_of(&role, server.address());
    for text in refusals(&url, &table).await {
        assert!(text.contains("42501") && text.contains("SELECT, INSERT and UPDATE"), "{text}");
    }
    server.admin().await.batch_execute(&format!("grant insert, update on {table} to {role}")).await.unwrap();
    for mode in MODES {
        store(mode, &url, &table, 1).check().await.unwrap();
    }
    let created = PgStore::new(pool(&url, 1)).table(&table).unwrap().create().await;
    created.unwrap();
}

/// The file of the table is replaced by `/dev/full`, which has no room for a byte.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_refused() {
    let mut server = Postgres::start().await;
    let (url, table) = (Postgres::url(server.address()), new_table_name());
    create(&url, &table).await;
    let row =
        server.admin().await.query_one("select pg_relation_filepath($1::text::regclass)", &[&table]).await;
    let path = server.folder().join("data").join(row.unwrap().get::<_, &str>(0));
    server.stop();
    std::fs::remove_file(&path).unwrap();
    symlink("/dev/full", &path).unwrap();
    server.begin();
    drop(server.admin().await);
    for text in refusals(&url, &table).await {
        assert!(text.contains("53100") && text.contains("disk is full"), "{text}");
    }
    let stored = store(Mode::Pg, &url, &table, 1).swap(Account::hub(1), None, &record(1)).await;
    assert_eq!(stored.unwrap_err().kind(), StoreErrorKind::Refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_lose_writes_are_warned_of_by_name() {
    for (settings, expected) in [
        (&[][..], &[][..]),
        (&["fsync=off"], &[Warning::FsyncOff]),
        (&["synchronous_commit=off"], &[Warning::SynchronousCommitOff]),
    ] {
        let server = Postgres::with(settings).await;
        let url = Postgres::url(server.address());
        create(&url, TABLE).await;
        assert_eq!(PgStore::new(pool(&url, 1)).warnings().await.unwrap(), expected);
        assert_eq!(SqlxStore::new(sqlx_pool(&url, 1)).warnings().await.unwrap(), expected);
        for warning in expected {
            assert!(settings[0].starts_with(warning.name().rsplit_once('_').unwrap().0));
            assert!(warning.to_string().contains(" is off"));
        }
    }
}

/// Without the standby a commit would wait for ever: only a statement that does not wait is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_does_not_wait_for_its_synchronous_standby_is_warned_of() {
    let server = Postgres::with(&["synchronous_standby_names=nobody", "synchronous_commit=local"]).await;
    let url = Postgres::url(server.address());
    create(&url, TABLE).await;
    assert_eq!(PgStore::new(pool(&url, 1)).warnings().await.unwrap(), [Warning::SynchronousCommitLocal]);
}

/// The setting loses up to three times `wal_writer_delay` in a crash. The store's statements set it on for themselves.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_outlives_a_crash_although_synchronous_commit_is_off() {
    let mut server = Postgres::with(&["synchronous_commit=off", "wal_writer_delay=10s"]).await;
    let url = Postgres::url(server.address());
    create(&url, TABLE).await;
    server.admin().await.batch_execute("create table others (number bigint)").await.unwrap();
    let mut is_other_lost = false;
    for (round, mode) in MODES.into_iter().cycle().take(12).enumerate() {
        let (store, account) = (store(mode, &url, TABLE, 1), Account::hub(round as i64 + 1));
        let mut stored = store.swap(account, None, &record(1)).await.unwrap();
        if round >= MODES.len() {
            let Swapped::Stored(first) = stored else { panic!("a conflict") };
            stored = store.swap(account, Some(first), &record(2)).await.unwrap();
        }
        let other = server.admin().await.execute("insert into others values ($1)", &[&(round as i64)]).await;
        assert_eq!(other.unwrap(), 1);
        server.crash();
        server.begin();
        let count = "select count(*) from others where number = $1";
        let count: i64 = server.admin().await.query_one(count, &[&(round as i64)]).await.unwrap().get(0);
        is_other_lost |= count == 0;
        let loaded = store.load(account).await.unwrap().unwrap();
        assert_eq!(Swapped::Stored(loaded.version), stored);
        // Each mode creates and replaces, and another write of the server is seen to be lost, so the setting does what it says.
        if round + 1 >= 2 * MODES.len() && is_other_lost {
            return;
        }
    }
    panic!("no other write was lost, so nothing was shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_in_a_schema_of_its_own_and_with_a_word_of_sql_as_its_name() {
    let (url, schema) = (shared_url(), new_table_name());
    admin().await.batch_execute(&format!("create schema {schema}")).await.unwrap();
    for mode in MODES {
        let table = format!("{schema}.select");
        create(&url, &table).await;
        store(mode, &url, &table, 1).check().await.unwrap();
    }
    let error: StoreError = PgStore::new(pool(&url, 1)).table("a; drop table b").unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert!(SqlxStore::new(sqlx_pool(&url, 1)).table("Tokens").is_err());
}

//! Processes that use the store are killed.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hs_oauth_store::{Account, AsyncTokenStore, Stored, Swapped};
use hs_oauth_test_servers::server::postgres::{Postgres, new_table_name};
use hs_oauth_test_servers::wait::wait_until;

use super::stores::{MODES, Mode, create, store};
use crate::writers::{number, record};

const ACCOUNTS: i64 = 5;

/// The URL, the table and the number of the mode for the process that [`a_client`] is.
const ARGUMENTS: &str = "HS_OAUTH_TEST_CLIENT_OF_POSTGRES";

fn start_client(mode: Mode, url: &str, table: &str) -> Child {
    let arguments = ["--exact", "postgres::clients::a_client", "--ignored", "--nocapture"];
    let mode = MODES.iter().position(|other| *other == mode).unwrap();
    let mut client = Command::new(std::env::current_exe().unwrap());
    client.args(arguments).env(ARGUMENTS, format!("{url} {table} {mode}"));
    client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Counts up the numbers in all records until it is killed.
#[tokio::test]
#[ignore = "it is a process that another test starts and kills"]
async fn a_client() {
    let arguments = std::env::var(ARGUMENTS).unwrap();
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let store = store(MODES[arguments[2].parse::<usize>().unwrap()], arguments[0], arguments[1], 4);
    loop {
        let count_up = |hub_id| {
            let (store, account) = (std::sync::Arc::clone(&store), Account::hub(hub_id));
            tokio::spawn(async move {
                let (version, count) = version_and_number(store.load(account).await.unwrap());
                store.swap(account, version, &record(count + 1)).await.unwrap();
            })
        };
        for task in (1..=ACCOUNTS).map(count_up).collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
}

fn version_and_number(stored: Option<Stored>) -> (Option<u64>, u64) {
    stored.map_or((None, 0), |stored| (Some(stored.version), number(&stored.record)))
}

/// With sqlx, one that is killed may have a transaction open: the server ends it.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_are_killed_leave_whole_records_and_hinder_nobody() {
    let server = Postgres::start().await;
    let (url, table) = (Postgres::url(server.address()), new_table_name());
    create(&url, &table).await;
    let store = store(Mode::Pg, &url, &table, 2);
    let mut clients: Vec<Child> = MODES.iter().map(|mode| start_client(*mode, &url, &table)).collect();
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        wait_until(|| runtime.block_on(store.load(Account::hub(ACCOUNTS))).unwrap().is_some());
    });
    let mut last = vec![(0, 0); ACCOUNTS as usize];
    for round in 0..20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let client = round % clients.len();
        assert!(clients[client].try_wait().unwrap().is_none(), "a client has ended by itself");
        clients[client].kill().unwrap();
        clients[client].wait().unwrap();
        for (last, hub_id) in last.iter_mut().zip(1..) {
            let (version, count) = version_and_number(store.load(Account::hub(hub_id)).await.unwrap());
            let now = (version.unwrap_or(0), count);
            assert!(now.0 >= last.0 && now.1 >= last.1, "{now:?} came after {last:?}");
            *last = now;
        }
        clients[client] = start_client(MODES[client], &url, &table);
    }
    for mut client in clients {
        client.kill().unwrap();
        client.wait().unwrap();
    }
    for hub_id in 1..=ACCOUNTS {
        // A write of a client that is no more may still be under way.
        let written = async || {
            let (version, count) = version_and_number(store.load(Account::hub(hub_id)).await.unwrap());
            store.swap(Account::hub(hub_id), version, &record(count + 1)).await.unwrap() != Swapped::Conflict
        };
        assert!(written().await || written().await || written().await);
    }
}

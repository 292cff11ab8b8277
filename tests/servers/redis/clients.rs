//! Processes that use the store are killed.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hs_oauth_store::{Account, AsyncTokenStore, Stored, Swapped};
use hs_oauth_test_servers::server::redis::Redis;
use hs_oauth_test_servers::wait::wait_until;

use super::{record, store};
use crate::writers::number;

const ACCOUNTS: i64 = 5;

/// The URL for the process that [`a_client`] is.
const URL: &str = "HS_OAUTH_TEST_CLIENT_OF_REDIS";

fn start_client(url: &str) -> Child {
    let arguments = ["--exact", "redis::clients::a_client", "--ignored", "--nocapture"];
    let mut client = Command::new(std::env::current_exe().unwrap());
    client.args(arguments).env(URL, url).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Counts up the numbers in all records until it is killed.
#[tokio::test]
#[ignore = "it is a process that another test starts and kills"]
async fn a_client() {
    let store = store(&std::env::var(URL).unwrap(), "tokens");
    loop {
        for hub_id in 1..=ACCOUNTS {
            let account = Account::hub(hub_id);
            let stored = store.load(account).await.unwrap();
            let (version, count) = version_and_number(stored);
            store.swap(account, version, &record(count + 1)).await.unwrap();
        }
    }
}

fn version_and_number(stored: Option<Stored>) -> (Option<u64>, u64) {
    stored.map_or((None, 0), |stored| (Some(stored.version), number(&stored.record)))
}

#[tokio::test]
async fn clients_that_are_killed_leave_whole_records_and_hinder_nobody() {
    let server = Redis::start();
    let store = store(&server.url(), "tokens");
    let mut clients: Vec<Child> = (0..4).map(|_| start_client(&server.url())).collect();
    let first = || server.run::<Option<u64>>("HGET tokens:{1} version");
    wait_until(|| first().is_some());
    let mut last = vec![(0, 0); ACCOUNTS as usize];
    for round in 0..12 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let client = round % clients.len();
        clients[client].kill().unwrap();
        clients[client].wait().unwrap();
        for (last, hub_id) in last.iter_mut().zip(1..) {
            let (version, count) = version_and_number(store.load(Account::hub(hub_id)).await.unwrap());
            let now = (version.unwrap_or(0), count);
            assert!(now.0 >= last.0 && now.1 >= last.1, "{now:?} came after {last:?}");
            *last = now;
        }
        clients[client] = start_client(&server.url());
    }
    for mut client in clients {
        client.kill().unwrap();
        client.wait().unwrap();
    }
    for hub_id in 1..=ACCOUNTS {
        let (version, count) = version_and_number(store.load(Account::hub(hub_id)).await.unwrap());
        assert!(matches!(
            store.swap(Account::hub(hub_id), version, &record(count + 1)).await.unwrap(),
            Swapped::Stored(_)
        ));
    }
}

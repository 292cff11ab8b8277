//! The contract that every store must pass, through two handles with connections of their own.

use hs_oauth_redis::BlockOn;
use hs_oauth_store::contract;
use hs_oauth_test_servers::server::free_address;
use hs_oauth_test_servers::server::redis::{Redis, new_prefix, shared_url};
use hs_oauth_test_servers::wait::wait_until;

use super::store;

#[tokio::test]
async fn it_passes_the_contract() {
    let (url, prefix) = (shared_url(), new_prefix());
    contract::check_async_shared(&store(&url, &prefix), &store(&url, &prefix)).await.unwrap();
}

#[test]
fn it_passes_the_contract_as_a_sync_store() {
    let (url, prefix) = (shared_url(), new_prefix());
    let handle = || BlockOn::new(store(&url, &prefix)).unwrap();
    contract::check_shared(&handle(), &handle()).unwrap();
}

/// Some servers and proxies know the older protocol only.
#[tokio::test]
async fn it_passes_the_contract_over_the_older_protocol() {
    let server = Redis::with(&["rename-command HELLO hello-is-not-known-here"]);
    let (url, prefix) = (server.url(), new_prefix());
    contract::check_async_shared(&store(&url, &prefix), &store(&url, &prefix)).await.unwrap();
}

/// Each script names the one key that it uses, so the store also runs on a cluster whose one node has all keys.
#[tokio::test]
async fn it_passes_the_contract_on_a_cluster_of_one_node() {
    let port = free_address().port();
    let server = Redis::with(&["cluster-enabled yes", &format!("cluster-port {port}")]);
    server.run::<()>("CLUSTER ADDSLOTSRANGE 0 16383");
    wait_until(|| server.run::<String>("CLUSTER INFO").contains("cluster_state:ok"));
    let (url, prefix) = (server.url(), new_prefix());
    contract::check_async_shared(&store(&url, &prefix), &store(&url, &prefix)).await.unwrap();
}

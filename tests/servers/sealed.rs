//! Sealed records over both engines: the contract, and a new key.

use hs_oauth_store::{AsyncTokenStore, Keys, Sealed, SealingKey, contract};
use hs_oauth_test_servers::server::postgres;
use hs_oauth_test_servers::server::redis;

use crate::postgres::stores::{MODES, create, store};

fn key(name: &str, byte: u8) -> SealingKey {
    SealingKey::new(name, [byte; 32]).unwrap()
}

async fn pass_the_contract_and_get_a_new_key(handles: [impl AsyncTokenStore; 2]) {
    let [first, second] = &handles;
    let old = || Keys::new(key("2026-09", 1));
    contract::check_async_shared(&Sealed::new(first, old()), &Sealed::new(second, old())).await.unwrap();

    let new = || Keys::new(key("2026-12", 2));
    let result = Sealed::new(first, new().with_key(key("2026-09", 1)).unwrap()).reseal_async().await.unwrap();
    assert!(result.resealed > 0 && result.failed.is_empty(), "{result:?}");
    let page = Sealed::new(second, new()).page(None, 1000).await.unwrap();
    assert_eq!(page.entries.len(), result.resealed);
    assert!(page.entries.iter().all(|entry| entry.stored.is_ok()));
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_records_in_postgresql() {
    for mode in MODES {
        let (url, table) = (postgres::shared_url(), postgres::new_table_name());
        create(&url, &table).await;
        pass_the_contract_and_get_a_new_key([1, 2].map(|_| store(mode, &url, &table, 4))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_records_in_redis() {
    let (url, prefix) = (redis::shared_url(), redis::new_prefix());
    let handles = [1, 2].map(|_| crate::redis::store(&url, &prefix));
    pass_the_contract_and_get_a_new_key(handles).await;
}

//! Every driver in every mode follows the rules of a store.

use hs_oauth_postgres::BlockOn;
use hs_oauth_store::contract;
use hs_oauth_test_servers::server::pgbouncer::PgBouncer;
use hs_oauth_test_servers::server::postgres::{Postgres, new_table_name, shared_url};

use super::stores::{MODES, Mode, create, store};

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_between_two_stores_with_connections_of_their_own() {
    for mode in MODES {
        let (url, table) = (shared_url(), new_table_name());
        create(&url, &table).await;
        let [first, second] = [1, 2].map(|_| store(mode, &url, &table, 4));
        contract::check_async_shared(&first, &second)
            .await
            .unwrap_or_else(|error| panic!("{mode:?}: {error}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_between_two_drivers_on_one_table() {
    for (first, second) in [(Mode::Pg, Mode::SqlxPrepared), (Mode::Sqlx, Mode::PgPrepared)] {
        let (url, table) = (shared_url(), new_table_name());
        create(&url, &table).await;
        let stores = [first, second].map(|mode| store(mode, &url, &table, 4));
        contract::check_async_shared(&stores[0], &stores[1]).await.unwrap();
    }
}

/// The connections of a store are made on the runtime of its thread.
#[test]
fn the_contract_holds_for_the_blocking_manager_s_stores() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for mode in MODES {
        let (url, table) = (shared_url(), new_table_name());
        let _context = runtime.enter();
        runtime.block_on(create(&url, &table));
        let [first, second] = [1, 2].map(|_| BlockOn::new(store(mode, &url, &table, 4)).unwrap());
        contract::check_shared(&first, &second).unwrap_or_else(|error| panic!("{mode:?}: {error}"));
    }
}

/// Fewer connections than there are clients, so that the parts of a call would get different ones.
#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds_through_pgbouncer_in_transaction_mode() {
    let server = Postgres::start().await;
    let pgbouncer = PgBouncer::start(server.address(), 3).await;
    let url = Postgres::url(pgbouncer.address());
    for mode in [Mode::Pg, Mode::Sqlx] {
        let table = new_table_name();
        create(&url, &table).await;
        let [first, second] = [1, 2].map(|_| store(mode, &url, &table, 8));
        contract::check_async_shared(&first, &second)
            .await
            .unwrap_or_else(|error| panic!("{mode:?}: {error}"));
    }
}

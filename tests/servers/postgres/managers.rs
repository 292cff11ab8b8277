//! The async and the blocking token manager together on one table, against the emulator.

use hs_oauth_emulator::Rotation;
use hs_oauth_test_servers::server::postgres::{new_table_name, shared_url};

use super::stores::{MODES, create, store};
use crate::managers::{PROCESSES, Setup, storm};

/// RENEWAL.md, rule 1. With `Strict`, a second refresh of a grant would end it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn async_and_blocking_managers_on_one_table_make_one_refresh_for_each_account() {
    for (mode, rotation) in
        MODES.into_iter().zip([Rotation::Strict, Rotation::Keep, Rotation::Rotate, Rotation::Strict])
    {
        let (url, table) = (shared_url(), new_table_name());
        create(&url, &table).await;
        let setup = Setup::new(rotation);
        setup.install(store(mode, &url, &table, 4)).await;
        storm(&setup, (0..2 * PROCESSES).map(|_| store(mode, &url, &table, 4)).collect()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_with_different_drivers_share_a_table() {
    let (url, table) = (shared_url(), new_table_name());
    create(&url, &table).await;
    let setup = Setup::new(Rotation::Strict);
    setup.install(store(MODES[0], &url, &table, 4)).await;
    storm(&setup, MODES.into_iter().map(|mode| store(mode, &url, &table, 4)).collect()).await;
}

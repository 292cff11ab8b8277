//! The async and the blocking token manager together on one Redis, against the emulator.

use std::sync::Arc;

use hs_oauth_emulator::Rotation;
use hs_oauth_store::AsyncTokenStore;
use hs_oauth_test_servers::server::redis::{new_prefix, shared_url};

use super::store;
use crate::managers::{PROCESSES, Setup, storm};

/// RENEWAL.md, rule 1. With `Strict`, a second refresh of a grant would end it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn async_and_blocking_managers_on_one_redis_make_one_refresh_for_each_account() {
    for rotation in [Rotation::Keep, Rotation::Rotate, Rotation::Strict] {
        let (url, prefix) = (shared_url(), new_prefix());
        let store = || -> Arc<dyn AsyncTokenStore> { Arc::new(store(&url, &prefix)) };
        let setup = Setup::new(rotation);
        setup.install(store()).await;
        storm(&setup, (0..2 * PROCESSES).map(|_| store()).collect()).await;
    }
}

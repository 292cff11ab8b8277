//! The store beneath the scenarios of the managers. `over_servers.rs` has another one in its place.

use std::sync::Arc;

use hs_oauth_store::{MemoryStore, TokenStore};

/// Returns a new store with nothing in it.
pub(crate) fn new_store() -> Arc<dyn TokenStore> {
    Arc::new(MemoryStore::new())
}

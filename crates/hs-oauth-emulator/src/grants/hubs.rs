//! The accounts that exist or existed.

use std::collections::BTreeMap;

pub(crate) struct Hub {
    pub(crate) domain: String,
    pub(crate) is_deleted: bool,
}

/// All accounts, deleted ones included, by id.
pub(super) struct Hubs(BTreeMap<i64, Hub>);

impl Hubs {
    /// Returns the list with one account.
    pub(super) fn new(hub_id: i64, domain: String) -> Self {
        Self(BTreeMap::from([(hub_id, Hub { domain, is_deleted: false })]))
    }

    /// Returns the account, unless it is unknown or deleted.
    pub(super) fn get(&self, hub_id: i64) -> Option<&Hub> {
        self.0.get(&hub_id).filter(|hub| !hub.is_deleted)
    }

    pub(super) fn exists(&self, hub_id: i64) -> bool {
        self.get(hub_id).is_some()
    }

    /// Returns all accounts, deleted ones included.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &Hub)> {
        self.0.iter().map(|(hub_id, hub)| (*hub_id, hub))
    }

    /// Adds an account, or replaces the one with this id.
    pub(super) fn insert(&mut self, hub_id: i64, domain: String) {
        self.0.insert(hub_id, Hub { domain, is_deleted: false });
    }

    /// Marks an account as deleted. Returns false if it is unknown or deleted already.
    pub(super) fn delete(&mut self, hub_id: i64) -> bool {
        let hub = self.0.get_mut(&hub_id).filter(|hub| !hub.is_deleted);
        hub.map(|hub| hub.is_deleted = true).is_some()
    }
}

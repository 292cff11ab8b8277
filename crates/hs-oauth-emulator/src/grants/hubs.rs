//! The accounts that exist or existed.

use std::collections::{BTreeMap, BTreeSet};

use hs_oauth_core::Scopes;

use super::visits;

pub(crate) struct Hub {
    pub(crate) domain: String,
    pub(crate) is_deleted: bool,
    /// The scopes that the account cannot grant.
    pub(crate) lacks: Scopes,
    /// The ids of the account's grants.
    grants: BTreeSet<u64>,
}

impl Hub {
    fn new(domain: String) -> Self {
        Self { domain, is_deleted: false, lacks: Scopes::NONE, grants: BTreeSet::new() }
    }

    pub(crate) fn grant_count(&self) -> usize {
        self.grants.len()
    }
}

/// All accounts, deleted ones included, by id.
#[derive(Default)]
pub(super) struct Hubs {
    all: BTreeMap<i64, Hub>,
    /// The ids of the accounts that are not deleted, so that nobody has to look for them among those that are.
    existing: BTreeSet<i64>,
}

impl Hubs {
    /// Returns the account, even if it is deleted.
    pub(super) fn get_any(&self, hub_id: i64) -> Option<&Hub> {
        self.all.get(&hub_id)
    }

    /// Returns the account, unless it is unknown or deleted.
    pub(super) fn get(&self, hub_id: i64) -> Option<&Hub> {
        self.get_any(hub_id).filter(|hub| !hub.is_deleted)
    }

    pub(super) fn exists(&self, hub_id: i64) -> bool {
        self.get(hub_id).is_some()
    }

    /// Returns all accounts, deleted ones included.
    pub(super) fn all(&self) -> impl Iterator<Item = (i64, &Hub)> {
        visits::counted(self.all.iter()).map(|(hub_id, hub)| (*hub_id, hub))
    }

    /// Returns the accounts that are not deleted.
    pub(super) fn existing(&self) -> impl Iterator<Item = (i64, &Hub)> {
        visits::counted(self.existing.iter()).filter_map(|hub_id| Some((*hub_id, self.all.get(hub_id)?)))
    }

    pub(super) fn existing_count(&self) -> usize {
        self.existing.len()
    }

    /// Adds an account, or replaces the one with this id.
    pub(super) fn insert(&mut self, hub_id: i64, domain: String) {
        self.all.insert(hub_id, Hub::new(domain));
        self.existing.insert(hub_id);
    }

    /// Marks an account as deleted. Returns false if it is unknown or deleted already.
    pub(super) fn delete(&mut self, hub_id: i64) -> bool {
        let hub = self.all.get_mut(&hub_id).filter(|hub| !hub.is_deleted);
        self.existing.remove(&hub_id);
        hub.map(|hub| hub.is_deleted = true).is_some()
    }

    /// Sets the scopes that an account cannot grant. Returns false if it is unknown or deleted.
    pub(super) fn set_lacking_scopes(&mut self, hub_id: i64, scopes: Scopes) -> bool {
        let hub = self.all.get_mut(&hub_id).filter(|hub| !hub.is_deleted);
        hub.map(|hub| hub.lacks = scopes).is_some()
    }

    pub(super) fn add_grant(&mut self, hub_id: i64, grant: u64) {
        self.all.get_mut(&hub_id).map(|hub| hub.grants.insert(grant));
    }

    pub(super) fn remove_grant(&mut self, hub_id: i64, grant: u64) {
        self.all.get_mut(&hub_id).map(|hub| hub.grants.remove(&grant));
    }

    /// Returns the ids of all grants of an account.
    pub(super) fn grants_of(&self, hub_id: i64) -> impl DoubleEndedIterator<Item = u64> {
        self.all.get(&hub_id).into_iter().flat_map(|hub| hub.grants.iter().copied())
    }
}

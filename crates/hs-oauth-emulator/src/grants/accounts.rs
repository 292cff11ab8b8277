//! The accounts that can grant something, and what becomes of their grants when an account changes.

use hs_oauth_core::Scopes;

use super::{Grants, Hub};

impl Grants {
    /// Returns the account, unless it is unknown or deleted.
    pub(crate) fn hub(&self, hub_id: i64) -> Option<&Hub> {
        self.hubs.get(hub_id)
    }

    /// Returns the account, even if it is deleted.
    pub(crate) fn hub_even_if_deleted(&self, hub_id: i64) -> Option<&Hub> {
        self.hubs.get_any(hub_id)
    }

    /// Returns all accounts, deleted ones included, by id.
    pub(crate) fn all_hubs(&self) -> impl Iterator<Item = (i64, &Hub)> {
        self.hubs.all()
    }

    /// Returns the accounts that are not deleted, by id.
    pub(crate) fn hubs(&self) -> impl Iterator<Item = (i64, &Hub)> {
        self.hubs.existing()
    }

    /// Returns the number of accounts that are not deleted.
    pub(crate) fn hub_count(&self) -> usize {
        self.hubs.existing_count()
    }

    /// Adds an account, which may replace a deleted one. Returns false if the account exists already.
    pub(crate) fn add_hub(&mut self, hub_id: i64, domain: String) -> bool {
        if self.hubs.exists(hub_id) {
            return false;
        }
        if self.hubs.get_any(hub_id).is_some() {
            self.end_all_of(hub_id, None);
        }
        self.hubs.insert(hub_id, domain);
        true
    }

    /// Sets the scopes that an account cannot grant. Returns false if there is no such account.
    pub(crate) fn set_lacking_scopes(&mut self, hub_id: i64, scopes: Scopes) -> bool {
        self.hubs.set_lacking_scopes(hub_id, scopes)
    }

    /// Splits scopes into those that an account can grant and those that it cannot.
    pub(crate) fn split_by_account(&self, hub_id: i64, scopes: &Scopes) -> (Scopes, Scopes) {
        let lacks = self.hubs.get(hub_id).map_or(Scopes::NONE, |hub| hub.lacks.clone());
        let granted = scopes.without(&lacks);
        let lacking = scopes.without(&granted);
        (granted, lacking)
    }

    /// Makes all codes and tokens of an account invalid, or only those of one app. Returns false if there is no such account.
    pub(crate) fn uninstall(&mut self, hub_id: i64, client_id: Option<&str>) -> bool {
        if !self.hubs.exists(hub_id) {
            return false;
        }
        self.end_all_of(hub_id, client_id);
        true
    }

    /// Deletes an account. Its refresh tokens are remembered, so that a refresh can say that the account is deleted.
    /// Returns false if there is no such account.
    pub(crate) fn delete_hub(&mut self, hub_id: i64) -> bool {
        self.hubs.delete(hub_id)
    }
}

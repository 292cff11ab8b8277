//! The accounts that a consent page offers.

use crate::grants::Grants;

/// The number of accounts on one page. If there are more, the page has a filter.
pub(crate) const MAX_OFFERED: usize = 10;

/// The accounts that a consent page offers: the one that the path names, or the first ones that match the user's filter.
pub(crate) struct Offer<'a> {
    /// Id and domain of each account.
    pub(crate) hubs: Vec<(i64, &'a str)>,
    /// The id of the account that is chosen already.
    pub(crate) preselected: Option<i64>,
    /// What the user is looking for; empty if it is nothing in particular.
    pub(crate) filter: &'a str,
    /// The number of accounts that can be chosen, whether the page offers them or not.
    pub(crate) hub_count: usize,
}

impl<'a> Offer<'a> {
    /// `preferred` is the account to preselect. `only` is the account that the path names. `filter` is an id, or a part of an id or of a domain.
    ///
    /// Without a filter, and with the id of an account, this costs the same however many accounts there are.
    pub(crate) fn new(grants: &'a Grants, preferred: i64, only: Option<i64>, filter: &'a str) -> Self {
        let filter = filter.trim();
        let hub = |id| grants.hub(id).map(|hub| (id, hub.domain.as_str()));
        if let Some(only) = only {
            let hubs = hub(only).into_iter().collect();
            return Self { hubs, preselected: Some(only), filter: "", hub_count: 1 };
        }
        let needle = filter.to_lowercase();
        let mut hubs: Vec<_> = match filter.parse().ok().and_then(hub) {
            Some(hub) => vec![hub],
            None => (grants.hubs())
                .map(|(id, hub)| (id, hub.domain.as_str()))
                .filter(|(id, domain)| {
                    id.to_string().contains(&needle) || domain.to_lowercase().contains(&needle)
                })
                .take(MAX_OFFERED)
                .collect(),
        };
        let is_offered = hubs.iter().any(|(id, _)| *id == preferred);
        if let (true, false, Some(preferred)) = (filter.is_empty(), is_offered, hub(preferred)) {
            // In place of the last of the first ones.
            hubs.truncate(MAX_OFFERED - 1);
            hubs.push(preferred);
        }
        let first = hubs.first().map(|(id, _)| *id);
        let preselected = hubs.iter().map(|(id, _)| *id).find(|id| *id == preferred).or(first);
        Self { hubs, preselected, filter, hub_count: grants.hub_count() }
    }

    /// Returns whether there are so many accounts that the page needs a filter.
    pub(crate) fn needs_filter(&self) -> bool {
        self.hub_count > MAX_OFFERED
    }
}

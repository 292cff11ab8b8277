//! What came of the migration, by what is in the store and by what HubSpot accepts now.

use hs_oauth_blocking::{
    Account, App, Client, ClientSecret, FileStore, GrantState, TokenManager, TokenStore,
};
use hs_oauth_examples::BoxError;
use serde_json::json;

use crate::migration::{Config, Counts};
use crate::table::Row;

/// How many of the accounts are asked for a renewal after the end of `v1`.
const RENEWED_AGAIN: usize = 100;

/// What came of the migration.
pub(crate) struct Outcome {
    counts: Counts,
    /// How many accounts had uninstalled the app before.
    uninstalled: usize,
    live: usize,
    gone: usize,
    lost: usize,
    /// How many of the live accounts could not be renewed on the new version.
    not_renewed: usize,
}

impl Outcome {
    /// Looks at every account of the table in the store, and has some of them renewed.
    pub(crate) fn find(
        config: &Config,
        rows: &[Row],
        counts: Counts,
        uninstalled: usize,
    ) -> Result<Self, BoxError> {
        let app = App::hubspot(&config.client_id, ClientSecret::new(&config.client_secret)?)
            .with_api_base(&config.url)
            .build()?;
        let manager = TokenManager::new(Client::new(app), FileStore::open(&config.store)?);
        let store = FileStore::open(&config.store)?;
        let mut outcome = Self { counts, uninstalled, live: 0, gone: 0, lost: 0, not_renewed: 0 };
        let every = rows.len().div_ceil(RENEWED_AGAIN).max(1);
        for (index, row) in rows.iter().enumerate() {
            let account = Account::hub(row.hub_id);
            match store.load(account)?.map(|stored| stored.record.state) {
                Some(GrantState::Gone) => outcome.gone += 1,
                Some(GrantState::Live) if manager.bearer(account).is_ok() => {
                    outcome.live += 1;
                    if index.is_multiple_of(every) && manager.refresh_now(account).is_err() {
                        outcome.not_renewed += 1;
                    }
                }
                _ => outcome.lost += 1,
            }
        }
        Ok(outcome)
    }

    /// Returns the result as one line of JSON.
    pub(crate) fn json(&self, requests: u64, seconds: f64, kills: usize) -> serde_json::Result<String> {
        serde_json::to_string(&json!({
            "rows": self.counts.rows,
            "live": self.live,
            "gone": self.gone,
            "lost": self.lost,
            "requests": requests,
            "seconds": (seconds * 10.0).round() / 10.0,
            "kills": kills,
        }))
    }

    /// Returns what does not add up, in words.
    pub(crate) fn problems(&self) -> Vec<String> {
        let Self { counts, uninstalled, live, gone, lost, not_renewed } = self;
        let mut problems = Vec::new();
        let mut check = |adds_up: bool, problem: String| {
            if !adds_up {
                problems.push(problem);
            }
        };
        check(live + gone == counts.rows, format!("{} rows, {live} live, {gone} gone", counts.rows));
        check(*lost == 0, format!("{lost} accounts are lost"));
        check(gone == uninstalled, format!("{gone} gone, {uninstalled} have uninstalled the app"));
        check(
            counts.accepted == *live && counts.refused == *gone,
            format!("the migration says {} accepted and {} refused", counts.accepted, counts.refused),
        );
        check(
            *not_renewed == 0,
            format!("{not_renewed} accounts could not be renewed after v1 was switched off"),
        );
        problems
    }
}

//! What the emulator remembers from one request to the next. Every route reads it and changes it.

use std::time::Duration;

use hs_oauth_core::Timestamp;

use crate::consent::tickets::Tickets;
use crate::crm_api::responses_put::PutResponses;
use crate::faults::Faults;
use crate::grants::Grants;
use crate::journal::Journal;
use crate::marketplace::installs::MarketplaceInstalls;
use crate::settings::{Permissions, Rotation, Settings};
use crate::token_generator::TokenGenerator;

/// The versions of the token API that the emulator serves. The path of any other version is an unknown address.
pub const SERVED_VERSIONS: [&str; 4] = ["v1", "v3", "2026-03", "2026-09"];

/// The settings, and everything that requests and the owner of the emulator have changed since the start.
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) grants: Grants,
    pub(crate) token_generator: TokenGenerator,
    pub(crate) tickets: Tickets,
    pub(crate) marketplace: MarketplaceInstalls,
    pub(crate) crm: PutResponses,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    pub(crate) rotation: Rotation,
    pub(crate) permissions: Permissions,
    pub(crate) removed_versions: Vec<&'static str>,
    /// How often something was changed by another request than one to HubSpot. It goes on after a reset.
    pub(crate) changes: u64,
    /// How far the emulator's clock is ahead of its caller's.
    pub(crate) clock_advance: Duration,
}

impl State {
    /// Returns a state with the accounts of the settings, no grants, no faults and an empty journal.
    pub(crate) fn new(settings: Settings) -> Self {
        let mut state = Self {
            grants: Grants::new(&settings),
            token_generator: TokenGenerator::new(settings.seed),
            tickets: Tickets::default(),
            marketplace: MarketplaceInstalls::default(),
            crm: PutResponses::default(),
            faults: Faults::default(),
            journal: Journal::default(),
            rotation: settings.rotation,
            permissions: settings.user.permissions,
            removed_versions: Vec::new(),
            changes: 0,
            clock_advance: Duration::ZERO,
            settings,
        };
        state.set_removed_versions(state.settings.removed_versions.clone());
        state
    }

    /// Returns the time by the emulator's clock, when it is `now` by the caller's.
    pub(crate) fn emulated_time(&self, now: Timestamp) -> Timestamp {
        now.plus(self.clock_advance)
    }

    pub(crate) fn advance_clock(&mut self, by: Duration) {
        self.clock_advance = self.clock_advance.saturating_add(by);
    }

    /// Replaces the list of removed versions. Names that are not in [`SERVED_VERSIONS`] are ignored.
    pub(crate) fn set_removed_versions<V: AsRef<str>>(&mut self, versions: impl IntoIterator<Item = V>) {
        self.removed_versions = (versions.into_iter())
            .filter_map(|version| SERVED_VERSIONS.into_iter().find(|served| *served == version.as_ref()))
            .collect();
    }

    /// Goes back to the settings. The token generator goes on where it is, so that no token is given out twice.
    pub(crate) fn reset(&mut self) {
        let mut fresh = Self::new(self.settings.clone());
        std::mem::swap(&mut fresh.token_generator, &mut self.token_generator);
        fresh.changes = self.changes + 1;
        fresh.journal.go_on_after(&self.journal);
        *self = fresh;
    }
}

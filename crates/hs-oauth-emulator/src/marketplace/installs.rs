//! The installs that began on the Marketplace page, and what the app has done of what it has to do for each.

use std::collections::{BTreeMap, VecDeque};

use hs_oauth_core::Code;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::grants::Grants;

/// The number of installs that are remembered. One more drops the oldest.
const MAX_INSTALLS: usize = 100;

/// An install that began on the Marketplace page.
#[derive(Clone)]
pub(crate) struct MarketplaceInstall {
    /// The app that is installed.
    pub(crate) client_id: String,
    pub(crate) hub_id: i64,
    pub(crate) partner_sign_in: bool,
    /// The registered redirect URI that the browser was sent to.
    pub(crate) install_url: String,
    /// The address on the emulator to which the app has to send the browser back.
    pub(crate) return_url: String,
    /// The state that the app brought after `step=authorize`, as it wrote it.
    pub(crate) state: Option<String>,
    /// The code that was sent to the app.
    pub(crate) code: Option<Code>,
    pub(crate) exchanged_code: bool,
    /// Whether the browser came back after the app had got the code.
    pub(crate) came_back: bool,
    /// What is wrong with the state that the app brought.
    pub(crate) state_problem: Option<StateProblem>,
}

/// What is wrong with the state that the app brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateProblem {
    Missing,
    Repeated,
    /// An earlier install brought the same one.
    Reused,
    /// It differs from the one of `step=authorize`.
    Changed,
}

impl StateProblem {
    fn message(self) -> &'static str {
        match self {
            Self::Missing => "after step=authorize, the browser came back without a state",
            Self::Repeated => "the browser came back with more than one state",
            Self::Reused => {
                "the app brought a state that it had brought before; it has to make a random one each time"
            }
            Self::Changed => "the browser came back with another state than after step=authorize",
        }
    }
}

impl MarketplaceInstall {
    /// Returns what the app did wrong so far.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        match self.state_problem {
            Some(problem) => Some(problem.message()),
            None if self.came_back && !self.exchanged_code => {
                Some("the browser came back, but the app has not exchanged the code for tokens")
            }
            None => None,
        }
    }

    /// Returns whether the app did all it had to.
    pub(crate) fn is_complete(&self) -> bool {
        self.came_back && self.exchanged_code && self.problem().is_none()
    }
}

impl Serialize for MarketplaceInstall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("MarketplaceInstall", 10)?;
        fields.serialize_field("client_id", &self.client_id)?;
        fields.serialize_field("hub_id", &self.hub_id)?;
        fields.serialize_field("partner_sign_in", &self.partner_sign_in)?;
        fields.serialize_field("install_url", &self.install_url)?;
        fields.serialize_field("return_url", &self.return_url)?;
        fields.serialize_field("brought_state", &self.state.is_some())?;
        fields.serialize_field("exchanged_code", &self.exchanged_code)?;
        fields.serialize_field("came_back", &self.came_back)?;
        fields.serialize_field("problem", &self.problem())?;
        fields.serialize_field("complete", &self.is_complete())?;
        fields.end()
    }
}

/// The newest installs, each known by the id in its `returnUrl`.
#[derive(Default)]
pub(crate) struct MarketplaceInstalls {
    by_id: BTreeMap<String, MarketplaceInstall>,
    by_age: VecDeque<String>,
}

impl MarketplaceInstalls {
    pub(crate) fn insert(&mut self, id: String, install: MarketplaceInstall) {
        if self.by_age.len() >= MAX_INSTALLS {
            let oldest = self.by_age.pop_front();
            oldest.map(|oldest| self.by_id.remove(&oldest));
        }
        self.by_age.push_back(id.clone());
        self.by_id.insert(id, install);
    }

    pub(crate) fn get(&self, id: &str) -> Option<&MarketplaceInstall> {
        self.by_id.get(id)
    }

    /// Replaces an install, if it is still there.
    pub(crate) fn replace(&mut self, id: &str, install: MarketplaceInstall) {
        if let Some(old) = self.by_id.get_mut(id) {
            *old = install;
        }
    }

    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &MarketplaceInstall> {
        self.by_age.iter().rev().filter_map(|id| self.by_id.get(id))
    }

    /// Returns whether an install has brought this state.
    pub(crate) fn has_state(&self, state: &str) -> bool {
        self.by_id.values().any(|install| install.state.as_deref() == Some(state))
    }

    /// Looks which codes were exchanged since the last call. A code that was is remembered, because the grants forget it.
    pub(crate) fn update(&mut self, grants: &Grants) {
        for install in self.by_id.values_mut() {
            install.exchanged_code |= install.code.as_ref().is_some_and(|code| grants.is_exchanged(code));
        }
    }
}

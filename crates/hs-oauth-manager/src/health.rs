//! How a token manager is, for a readiness probe.

use hs_oauth_core::renewal::TokenError;
use serde::{Serialize, Serializer};

use crate::sweep::SweepProgress;

/// How a token manager is, for a readiness probe. The numbers are those of this process.
///
/// In JSON the error is its message, or null.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Why the store takes no writes, or why it could not be asked. `None` if it takes writes.
    #[serde(serialize_with = "as_message")]
    pub error: Option<TokenError>,
    /// Whether the manager has been shut down.
    pub is_shut_down: bool,
    /// How many accounts have a token in memory.
    pub held: usize,
    /// How many renewals are under way, with those that wait.
    pub flights: usize,
    /// How many of them wait for the rate, for their turn or for the end of a pause.
    pub waiting: usize,
    /// How many accounts have new tokens that are not known to be saved. They may exist nowhere else: do not end the process by force.
    pub unsaved: usize,
    /// How many accounts were gone when this process saw them last. Their callers have no bearer until they connect the app again.
    pub gone: usize,
    /// How many accounts have failed to renew and may not be tried again yet, as far as this process has seen.
    pub backing_off: usize,
    /// How far the sweep is, if there is one.
    pub sweep: Option<SweepProgress>,
}

impl Health {
    /// Returns whether the process can serve accounts: the store takes writes, and the manager is not shut down. Accounts that are not well
    /// are no reason to take a process out of service, since every other process has the same ones.
    pub const fn is_ready(&self) -> bool {
        self.error.is_none() && !self.is_shut_down
    }
}

fn as_message<S: Serializer>(error: &Option<TokenError>, serializer: S) -> Result<S::Ok, S::Error> {
    error.as_ref().map(ToString::to_string).serialize(serializer)
}

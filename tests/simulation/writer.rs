//! Who writes a record, and which back-offs that run has to observe.

use hs_oauth_core::renewal::{GrantId, HolderId, Retry};

use super::hubspot::Deployment;

/// The run that writes, as it was when it began to write.
#[derive(Clone, Copy)]
pub(super) struct Writer {
    /// What its clock showed.
    pub(super) clock: u64,
    pub(super) holder: Option<HolderId>,
    pub(super) is_renewal: bool,
    pub(super) deployment: Deployment,
    pub(super) patience: Patience,
    /// Whether HubSpot refused many other accounts when it responded to this run.
    pub(super) is_mass_refusal: bool,
    pub(super) connected_at: u64,
    pub(super) found: Option<Option<GrantId>>,
}

/// Which back-offs a run observes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Patience {
    /// None.
    Impatient,
    /// Those that HubSpot asked for. An operator asked for the run.
    Obedient,
    /// All.
    Patient,
}

impl Patience {
    /// Returns whether such a run has to observe the back-off, if it applies to the app's credential.
    pub(super) fn observes(self, retry: &Retry) -> bool {
        match retry.requested {
            true => self > Self::Impatient,
            false => self == Self::Patient,
        }
    }
}

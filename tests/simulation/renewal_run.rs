//! What the simulation runs: core's renewal, or a copy of it with a planted bug.

use hs_oauth_core::{AppIdentity, Random};

use super::hubspot::ACCOUNT;
use hs_oauth_core::renewal::{CurrentTokens, Demand, Renewal, RenewalPolicy, Run, UnsavedTokens};

pub(super) trait RenewalRun: Run<Output = CurrentTokens> + Sized {
    /// The copy of `UnsavedTokens` that belongs to this renewal.
    type UnsavedTokens: Clone;

    fn begin(
        policy: RenewalPolicy,
        app: AppIdentity,
        random: Random,
        demand: Demand,
        unsaved: Option<Self::UnsavedTokens>,
    ) -> Self;

    fn into_unsaved_tokens(self) -> Option<Self::UnsavedTokens>;
}

macro_rules! impl_renewal_run {
    ($renewal:ty, $unsaved:ty) => {
        impl RenewalRun for $renewal {
            type UnsavedTokens = $unsaved;

            fn begin(
                policy: RenewalPolicy,
                app: AppIdentity,
                random: Random,
                demand: Demand,
                unsaved: Option<$unsaved>,
            ) -> Self {
                let run = Self::new(policy, app, ACCOUNT, random, demand);
                match unsaved {
                    Some(unsaved) => run.with_unsaved(unsaved),
                    None => run,
                }
            }

            fn into_unsaved_tokens(self) -> Option<$unsaved> {
                self.into_unsaved()
            }
        }
    };
}
pub(super) use impl_renewal_run;

impl_renewal_run!(Renewal, UnsavedTokens);

//! What the simulation runs: core's renewal, or a copy of it with a planted bug.

use std::any::Any;

use hs_oauth_core::renewal::{CurrentTokens, Demand, Renewal, RenewalPolicy, Run};
use hs_oauth_core::{AppIdentity, Random};

use super::hubspot::ACCOUNT;

/// The `UnsavedTokens` of core, or the copy of them that belongs to a copy of the renewal.
pub(super) type UnsavedTokens = Box<dyn Any>;

/// Returns a run that has not begun.
pub(super) type Begin =
    fn(RenewalPolicy, AppIdentity, Random, Demand, Option<UnsavedTokens>) -> Box<dyn RenewalRun>;

pub(super) trait RenewalRun: Run<Output = CurrentTokens> {
    fn begin(
        policy: RenewalPolicy,
        app: AppIdentity,
        random: Random,
        demand: Demand,
        unsaved: Option<UnsavedTokens>,
    ) -> Box<dyn RenewalRun>
    where
        Self: Sized;

    fn into_unsaved_tokens(self: Box<Self>) -> Option<UnsavedTokens>;
}

macro_rules! impl_renewal_run {
    ($renewal:ty) => {
        impl RenewalRun for $renewal {
            fn begin(
                policy: RenewalPolicy,
                app: AppIdentity,
                random: Random,
                demand: Demand,
                unsaved: Option<UnsavedTokens>,
            ) -> Box<dyn RenewalRun> {
                let run = Self::new(policy, app, ACCOUNT, random, demand);
                Box::new(match unsaved {
                    Some(unsaved) => run.with_unsaved(*unsaved.downcast().unwrap()),
                    None => run,
                })
            }

            fn into_unsaved_tokens(self: Box<Self>) -> Option<UnsavedTokens> {
                Some(Box::new(self.into_unsaved()?))
            }
        }
    };
}
pub(super) use impl_renewal_run;

impl_renewal_run!(Renewal);

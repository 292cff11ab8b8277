//! What the simulation runs: core's renewal and disconnect, or a copy of them with a planted bug.

use std::any::Any;

use hs_oauth_core::renewal::{CurrentTokens, Demand, Disconnect, GrantId, Renewal, RenewalPolicy, Run};
use hs_oauth_core::{AppIdentity, Random};

use super::hubspot::ACCOUNT;

/// The `UnsavedTokens` of core, or the copy of them that belongs to a copy of the renewal.
pub(super) type UnsavedTokens = Box<dyn Any>;

type BeginRenewal =
    fn(RenewalPolicy, AppIdentity, Random, Demand, Option<UnsavedTokens>) -> Box<dyn RenewalRun>;

/// The runs of core, or those of a copy of it. Each function returns a run that has not begun.
#[derive(Clone, Copy)]
pub(super) struct Begin {
    pub(super) renewal: BeginRenewal,
    pub(super) disconnect: fn(AppIdentity, Random, Ending) -> Box<dyn Run<Output = ()>>,
}

/// How the application ends its use of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It revokes the grant.
    Disconnect,
    /// It forgets the tokens, and leaves the grant as it is.
    Forget,
    /// It has taken the app out of the account. This grant was stored before.
    Uninstall(GrantId),
}

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

macro_rules! begin {
    ($renewal:ty, $disconnect:ty) => {
        Begin {
            renewal: <$renewal as RenewalRun>::begin,
            disconnect: |app, random, ending| {
                let run = <$disconnect>::new(app, random);
                Box::new(match ending {
                    Ending::Disconnect => run,
                    Ending::Forget => run.without_revocation(),
                    Ending::Uninstall(grant) => run.after_uninstall().with_grant(grant),
                })
            },
        }
    };
}
pub(super) use begin;

impl_renewal_run!(Renewal);

/// Those of core itself.
pub(super) const CORE: Begin = begin!(Renewal, Disconnect);

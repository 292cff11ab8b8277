//! What the simulation drives: the renewal of core, or one of its mutants.

use hs_oauth_core::Random;
use hs_oauth_core::renewal::{CurrentTokens, Demand, Renewal, RenewalPolicy, Run, UnsavedTokens};

pub(super) trait Machine: Run<Output = CurrentTokens> + Sized {
    type Unsaved: Clone;

    fn begin(policy: RenewalPolicy, random: Random, demand: Demand, unsaved: Option<Self::Unsaved>) -> Self;
    fn unsaved(self) -> Option<Self::Unsaved>;
}

macro_rules! machine {
    ($renewal:ty, $unsaved:ty) => {
        impl Machine for $renewal {
            type Unsaved = $unsaved;

            fn begin(
                policy: RenewalPolicy,
                random: Random,
                demand: Demand,
                unsaved: Option<$unsaved>,
            ) -> Self {
                let run = Self::new(policy, random, demand);
                match unsaved {
                    Some(unsaved) => run.with_unsaved(unsaved),
                    None => run,
                }
            }

            fn unsaved(self) -> Option<$unsaved> {
                self.into_unsaved()
            }
        }
    };
}
pub(super) use machine;

machine!(Renewal, UnsavedTokens);

//! When tokens are renewed, and how: runs that name their next step and do no IO, over the record that processes share.
//!
//! - [`RenewalPolicy`] says when a token is renewed and how long everything may take.
//! - [`Record`] is what a store holds of an account.
//! - [`Run`] says how a run is driven: a [`Renewal`], an [`Install`] or a [`Disconnect`].
//! - [`TokenError`] is why there is no token, and what to do about it.
//!
//! The token managers of `hs-oauth-async` and `hs-oauth-blocking` drive these runs. An application needs them only if it brings a
//! driver of its own. `RENEWAL.md` beside this crate's `Cargo.toml` is the protocol.

mod backoff;
mod disconnect;
mod error;
mod gone;
mod install;
mod lease;
mod loaded;
mod policy;
mod record;
mod renew;
mod requirements;
mod response;
mod run;
mod save;
mod store_calls;

pub use disconnect::Disconnect;
pub use error::TokenError;
pub use install::Install;
pub use policy::{Decision, RenewalPolicy, Schedule, Timing};
pub use record::{GrantId, GrantState, HolderId, Lease, RECORD_FORMAT, Record, Retry, Stored};
pub use renew::Renewal;
pub use run::{CurrentTokens, Deadline, Demand, Input, Run, Step};
pub use save::UnsavedTokens;

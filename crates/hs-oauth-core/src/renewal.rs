//! When and how tokens are renewed, by processes that share a store.
//!
//! - [`RenewalPolicy`] says when a token is renewed and how long each part of a renewal may take.
//! - [`Record`] is what a store holds for one account.
//! - [`Renewal`], [`Install`] and [`Disconnect`] are runs. A run does no IO: it returns a [`Step`], and its driver does that step.
//!   [`Run`] says how.
//! - [`AccountStatus`] is what a record says of its account, for an operator.
//! - [`RefreshHistory`] tells many accounts that leave from an app that is set up wrongly.
//! - [`TokenError`] says why there is no token, and what to do about it.
//!
//! The token managers of `hs-oauth-async` and `hs-oauth-blocking` drive these runs. An application needs them only for a driver of its
//! own. The protocol is written down in `RENEWAL.md`, beside this crate's `Cargo.toml`.

mod backoff;
mod disconnect;
mod error;
mod gone;
mod id;
mod install;
mod lease;
mod loaded;
mod mass_refusal;
mod policy;
mod record;
mod renew;
mod requirements;
mod response;
mod retry_cause;
mod run;
mod save;
mod status;
mod store_calls;

pub use disconnect::Disconnect;
pub use error::TokenError;
pub use id::{GrantId, HolderId};
pub use install::{Install, UnsavedInstall};
pub use mass_refusal::{MassRefusal, MassRefusalLimit, RefreshHistory};
pub use policy::{Decision, RenewalPolicy, Schedule, Timing};
pub use record::{GrantState, Lease, RECORD_FORMAT, Record, Retry, Stored};
pub use renew::Renewal;
pub use retry_cause::RetryCause;
pub use run::{CurrentTokens, Deadline, Demand, Input, Run, Step};
pub use save::UnsavedTokens;
pub use status::{AccountState, AccountStatus};

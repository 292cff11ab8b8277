//! What the async and the blocking crate of hs-oauth share: plain structs whose methods take the time.
//!
//! **In here**: which bearers a process holds, who renews a token and who waits for it, which renewal begins next, what the end of
//! a renewal means, and what the application is told; and what both clients make of an exchange. **Not in here**: IO, tasks, threads
//! and waiting, which are in the drivers of `hs-oauth-async` and `hs-oauth-blocking`; and how one renewal goes, which is core's. This
//! crate is for those two crates and not for applications: it may change in any version.
//!
//! - [`Shared`] is what all clones of a manager share. It ties the parts below together.
//! - [`Cache`] holds the bearers, and is read without a lock.
//! - [`SingleFlight`] sees that there is one renewal at a time for each account: the first caller leads, the others follow.
//! - [`RenewalQueue`] says when renewals begin: their rate, and their order.
//! - [`FlightEnd`], [`Outcome`] and [`Caller`] say what the end of a renewal means for the cache, for its callers and for the
//!   application.
//! - [`SaveRetries`] says when tokens that could not be saved are tried again.
//! - [`Settings`] and [`TokenManagerBuilder`] are what an application sets.
//! - [`Event`] is what the application is told.
//! - [`identify`] says whose tokens a set is.
//! - [`Tries`], [`ExchangeError`] and [`SendError`] are about single calls.

mod cache;
mod clock;
mod entropy;
mod event;
mod exchange;
mod identity;
mod outcome;
mod queue;
mod settings;
mod shared;
mod single_flight;
mod store_call;
mod unsaved;

pub use cache::{Cache, Cached, Snapshot, access_token, bearer};
pub use clock::{coarse_now, now};
pub use entropy::random;
pub use event::{Event, Listener};
#[cfg(feature = "tracing")]
pub use exchange::span;
pub use exchange::{ExchangeError, SendError, Tries, trace};
pub use identity::identify;
pub use outcome::{BearerResult, Caller, Flight, FlightEnd, FlightResult, Outcome};
pub use queue::{Admitted, MAX_WORKERS, Purpose, RenewalQueue, Wait};
pub use settings::{Settings, TokenManagerBuilder};
pub use shared::Shared;
pub use single_flight::{FlightGuard, Role, SingleFlight, State, TaskGuard, Waiting};
pub use store_call::{catch_panic, is_installed, loaded, panicked, swapped, timed_out};
pub use unsaved::{SaveRetries, tokens_of};

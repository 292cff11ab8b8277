//! The parts that the async and the blocking crate of hs-oauth share: plain structs whose methods take the time as an argument.
//!
//! **In here**: the bearers that a process holds, who renews a token and who waits for it, which renewal begins next, what the end of
//! a renewal means, the events for the application, and the tries of a single call. **Not in here**: IO, tasks, threads and waiting,
//! which are in `hs-oauth-async` and `hs-oauth-blocking`; and the steps of one renewal, which are in `hs-oauth-core`. This crate is for
//! those two crates and not for applications: it may change in any version.
//!
//! - [`Shared`] is the state that all clones of a manager share. It ties the parts below together.
//! - [`Cache`] holds the bearers, and is read without a lock.
//! - [`AppTokens`] holds the tokens of the app itself, and says who requests one and who waits for it.
//! - [`SingleFlight`] allows one renewal at a time for each account: the first caller leads it, and the others follow.
//! - [`RenewalQueue`] says when renewals begin: their rate, their order, and how many are in flight. It heeds what HubSpot's last
//!   responses say.
//! - [`Flight`] and [`FlightEnd`] are the beginning and the end of a renewal. The end changes the cache and emits events.
//! - [`Caller`] decides whether the [`Outcome`] of a renewal is enough for a caller.
//! - [`InstallTask`] is an install under way, and [`Driven`] is a run that is driven.
//! - [`Unsaved`] is tokens that were received and are not known to be saved. [`SaveRetries`] says when the next attempt is made to save
//!   tokens whose save failed.
//! - [`Settings`] and [`TokenManagerBuilder`] are the settings of an application.
//! - [`StatusPage`] and [`Health`] are what an operator asks for; [`Standing`] is what a process remembers of an account's record.
//! - [`Event`] is what an application's callback receives.
//! - [`NewTokens`] are tokens that are to be installed, and finds the account that they belong to. [`Installed`] is what came of it, and
//!   [`RequestedScopes`] compares it with what was asked for.
//! - [`SweepPlan`] says which account is looked after next although nobody asks for it, and [`SweepProgress`] how far it is.
//! - [`Credentials`] is the app's credential, while it is replaced.
//! - [`METRICS`] are the names of what is measured; [`StoreCall`] measures a call to the store.
//! - [`Tries`], [`ExchangeError`] and [`SendError`] are about single calls.

mod app_tokens;
mod cache;
mod clock;
mod credentials;
mod daily_limit;
mod entropy;
mod event;
mod exchange;
mod flight;
mod health;
mod identity;
mod install_task;
mod installed;
mod metrics;
mod outcome;
mod queue;
mod rate;
mod received;
mod recent_failures;
mod settings;
mod shared;
mod single_flight;
mod standing;
mod status_page;
mod store_call;
mod store_outage;
mod sweep;
#[cfg(test)]
mod tests;
mod throttle;
mod unsaved;

pub use app_tokens::{AppBearer, AppTokenRequest, AppTokens};
pub use cache::{Cache, Cached, Snapshot, access_token};
pub use clock::Clock;
pub use credentials::Credentials;
pub use entropy::random;
#[cfg(feature = "tracing")]
pub use event::account_span;
pub use event::{Event, Listener};
#[cfg(feature = "tracing")]
pub use exchange::span;
pub use exchange::{ExchangeError, SendError, Tries, explains_401, trace};
pub use flight::{Driven, Flight};
pub use health::Health;
pub use identity::NewTokens;
pub use install_task::InstallTask;
pub use installed::{Installed, RequestedScopes};
pub use metrics::{METRICS, Metric, MetricKind, StoreCall, request as record_request};
pub use outcome::{BearerResult, Caller, FlightEnd, FlightResult, Outcome};
pub use queue::{Admitted, Limits, Purpose, RenewalQueue, Wait};
pub use received::Unsaved;
pub use settings::{RunsOn, Settings, TokenManagerBuilder};
pub use shared::Shared;
pub use single_flight::{FlightGuard, Role, SingleFlight, State, TaskGuard, Waiting};
pub use standing::Standing;
pub use status_page::{StatusEntry, StatusPage};
pub use store_call::{PAGE_SIZE, catch_panic, is_installed, loaded, panicked, swapped, timed_out};
pub use store_outage::StoreOutage;
pub use sweep::{Sweep, SweepPlan, SweepProgress, SweepStep};
pub use unsaved::{SHUTDOWN_TIMEOUT, SaveRetries};

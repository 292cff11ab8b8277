//! An emulator of HubSpot's OAuth, for development and tests. It serves the consent page, the token API of every
//! version, and as much of the CRM API as an app needs to be developed. Its access tokens expire, its refresh tokens can rotate, accounts can uninstall the app, versions of the
//! API can be removed, and requests can be made to fail. It needs no HubSpot account and no network.
//!
//! [`Emulator`] gives the response to each request, as far as HubSpot's documents and reports from other projects say
//! what HubSpot would respond. It uses no clock, no socket, no thread and no source of random numbers: the time is an
//! argument, and every code and token is derived from [`Settings::seed`]. The feature `server` adds `Server`, a thin
//! HTTP server around it. The program `hs-oauth-emulator` is that server with a command line. The types of requests and
//! responses are those of the client, from `hs-oauth-core`.
//!
//! ```
//! use hs_oauth_core::Timestamp;
//! use hs_oauth_emulator::{Emulator, Settings};
//!
//! let mut settings = Settings::new([7; 32]);
//! settings.auto_approve = true;
//! let mut emulator = Emulator::new(settings);
//!
//! let request = http::Request::get(
//!     "/oauth/authorize?client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
//!      &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback&scope=oauth&state=xyz",
//! );
//! let response = emulator.handle(Timestamp::from_secs(0), request.body(Vec::new())?);
//! assert_eq!(response.status(), 302);
//! let callback = response.headers()["location"].to_str()?;
//! assert!(callback.starts_with("http://localhost:3000/oauth/callback?code="));
//! assert!(callback.ends_with("&state=xyz"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The map
//!
//! - [`Settings`] describe the apps, the first accounts and the rules. [`Emulator::handle`] takes one request and returns
//!   one response.
//! - [`Delivery`] says how a response is to be delayed or interrupted. It is in the response's extensions, and the
//!   transport or simulation that delivers the response has to carry it out.
//! - [`Fault`] makes requests fail. [`Entry`] is a request as the journal shows it, with its secrets masked.
//! - [`Emulator::save`] and [`Emulator::restore`] let the accounts and their grants outlast the process.
//! - Everything can be controlled over HTTP under `/_emulator/` too. The README of this crate describes how.

mod account_api;
mod apps;
mod browser;
mod callback_page;
mod consent;
mod content_type;
mod control;
mod crm_api;
mod cross_site;
mod dashboard;
mod delivery;
mod emulator;
mod events;
mod faults;
mod grants;
mod health;
mod html;
mod journal;
mod loopback;
mod marketplace;
mod own_address;
mod raw_query;
mod redirect_uri;
mod refusal;
mod registered_scopes;
mod responses;
mod routes;
mod saved_state;
#[cfg(feature = "server")]
mod server;
mod settings;
mod state;
#[cfg(test)]
mod testing;
mod token_api;
mod token_generator;
mod webhook;

pub use apps::AppSettings;
pub use delivery::{Cut, Delivery};
pub use emulator::Emulator;
pub use faults::{Fault, Target};
pub use journal::{Entry, MAX_ENTRY_SIZE, MAX_JOURNAL_LENGTH, Parameter};
#[doc(hidden)]
pub use redirect_uri::check_redirect_uri;
pub use registered_scopes::RegisteredScopes;
pub use routes::MAX_BODY_SIZE;
#[cfg(feature = "server")]
pub use server::{LogFormat, Server, ServerBuilder};
pub use settings::{HubSettings, Permissions, Rotation, Settings, User};
pub use state::SERVED_VERSIONS;
pub use webhook::Webhook;

#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;

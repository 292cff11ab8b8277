//! HubSpot's side of OAuth on your own machine: consent page, token routes of every API version, expiry, rotation,
//! uninstall, removed versions, and faults on demand. No account, no network.
//!
//! **In here**: what HubSpot would answer, as far as its documents and the field know ([`Emulator`]), and with the feature
//! `server` a thin HTTP front (`Server`); the program `hs-oauth-emulator` is that front with a command line. **Not in
//! here**: the types of requests and answers, which are the client's own, from `hs-oauth-core`; and in [`Emulator`] any
//! clock, socket, thread or random source: the time is an argument, and every token comes from [`Settings::seed`].
//!
//! ```
//! use hs_oauth_core::Timestamp;
//! use hs_oauth_emulator::{Emulator, Settings};
//!
//! let mut settings = Settings::new([7; 32]);
//! settings.auto_approve = true;
//! let mut emulator = Emulator::new(settings);
//!
//! let page = http::Request::get(
//!     "/oauth/authorize?client_id=a1b2c3d4-e5f6-7890-abcd-ef1234567890\
//!      &redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Foauth%2Fcallback&scope=oauth&state=xyz",
//! );
//! let answer = emulator.handle(Timestamp::from_secs(0), page.body(Vec::new())?);
//! assert_eq!(answer.status(), 302);
//! let callback = answer.headers()["location"].to_str()?;
//! assert!(callback.starts_with("http://localhost:3000/oauth/callback?code="));
//! assert!(callback.ends_with("&state=xyz"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The map
//!
//! - [`Settings`]: the app, the account, the rules. [`Emulator::handle`]: one request in, one answer out.
//! - What an answer is to suffer on its way rides in its extensions: [`Delivery`]. A transport or a simulation obeys it.
//! - [`Fault`]: what goes wrong on order. [`Entry`]: what came in, secrets masked.
//! - All of it can be steered over HTTP under `/_emulator/`; the crate's README documents that.

mod account_info;
mod accounts;
mod answers;
mod authorize;
mod codes;
mod consent;
mod control;
mod delivery;
mod emulator;
mod faults;
mod ids;
mod journal;
mod pages;
mod person;
mod scope_words;
#[cfg(feature = "server")]
mod server;
mod settings;
#[cfg(test)]
mod testing;
mod token;

pub use delivery::{Cut, Delivery};
pub use emulator::{Emulator, LARGEST_BODY, SERVED_VERSIONS};
pub use faults::{Fault, Target};
pub use journal::{Entry, JOURNAL_LENGTH, Parameter};
#[cfg(feature = "server")]
pub use server::Server;
#[doc(hidden)]
pub use settings::clashes_with_the_answer;
pub use settings::{Rotation, Settings, User};

#[cfg(all(doctest, feature = "server"))]
#[doc = include_str!("../README.md")]
struct Readme;

//! HubSpot's OAuth API for sync tools, over [`ureq`].
//!
//! **In here**: the [`TokenManager`], which holds the tokens of every account and hands out ones that work, from and to a
//! [`TokenStore`]; and a [`Client`] that moves the requests and answers of [`hs_oauth_core`] over HTTP with the limits a credential
//! needs: https except on loopback, no redirects, an answer of at most 1 MiB, a timeout, and no try more than is harmless.
//! **Not in here**: what a request is, what an answer means, when to try again and when to renew; that is core's, re-exported whole, so
//! that this is the only crate a sync tool names.
//!
//! ```no_run
//! use hs_oauth_blocking::{App, Client, NextStep, RefreshToken};
//!
//! # fn example(stored: RefreshToken) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(App::from_env()?);
//! match client.refresh(&stored) {
//!     Ok(tokens) => println!("good until {:?}", tokens.expires_at),
//!     Err(error) if error.next_step() == NextStep::Reauthorize => println!("the account has to connect again"),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Features: `rustls` (default) or `native-tls` for TLS (without both, only loopback can be reached); `tracing` (default) for
//! spans and events, which hold no secret; and `no-wire-log` (default): ureq writes every byte of an answer to
//! [`log`](https://docs.rs/log) at TRACE, tokens and all, and this compiles TRACE records of `log` out of the whole program.
//! Without it, keep `ureq_proto` below TRACE. An application that sets a maximum level of `log` by a feature of its own has to
//! switch it off: `log` takes one only.

mod client;
mod drive;
mod flight;
mod manager;
mod send;
mod transport;
mod turns;

pub use client::Client;
pub use hs_oauth_core::*;
pub use hs_oauth_store;
pub use hs_oauth_store::{FileStore, MemoryStore, Swapped, TokenStore};
#[cfg(feature = "sealed")]
pub use hs_oauth_store::{InvalidKey, Keys, Resealed, Sealed, SealingKey};
pub use manager::{TokenManager, TokenManagerBuilder};
pub use send::SendError;
pub use ureq;

//! HubSpot's OAuth API for async services, over [`reqwest`].
//!
//! **In here**: the [`TokenManager`], which holds the tokens of every account and hands out ones that work, from and to a
//! [`TokenStore`]; and a [`Client`] that moves the requests and answers of [`hs_oauth_core`] over HTTP with the limits a credential
//! needs: https except on loopback, no redirects, an answer of at most 1 MiB, a timeout, and no try more than is harmless.
//! **Not in here**: what a request is, what an answer means, when to try again and when to renew; that is core's, re-exported whole, so
//! that this is the only crate an async service names.
//!
//! ```no_run
//! use hs_oauth_async::{App, Client, NextStep, RefreshToken};
//!
//! # async fn example(stored: RefreshToken) -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(App::from_env()?)?;
//! match client.refresh(&stored).await {
//!     Ok(tokens) => println!("good until {:?}", tokens.expires_at),
//!     Err(error) if error.next_step() == NextStep::Reauthorize => println!("the account has to connect again"),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Features: `rustls` (default) or `native-tls` for TLS (without both, only loopback can be reached); `tracing` (default) for
//! spans and events, which hold no secret.

mod client;
mod drive;
mod flight;
mod manager;
mod send;
mod store;
mod transport;
mod turns;

pub use async_trait::async_trait;
pub use client::Client;
pub use hs_oauth_core::*;
pub use hs_oauth_store;
pub use hs_oauth_store::{FileStore, MemoryStore, Swapped};
#[cfg(feature = "sealed")]
pub use hs_oauth_store::{InvalidKey, Keys, Resealed, Sealed, SealingKey};
pub use manager::{TokenManager, TokenManagerBuilder};
pub use reqwest;
pub use send::SendError;
pub use store::{SpawnBlocking, TokenStore};
pub use transport::http_builder;

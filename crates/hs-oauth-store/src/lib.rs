//! Stores for HubSpot OAuth tokens: what a store must do, and three stores that do it.
//!
//! **In this crate**:
//! - [`TokenStore`], the trait of a store: the few operations that the renewal of tokens needs. `AsyncTokenStore` (feature
//!   `async`) is the same trait with async methods. It needs no async runtime and no HTTP client.
//! - [`AllPages`], which goes through all records of a store.
//! - `BlockOn` (feature `block-on`), a sync store over an async one. It alone needs tokio.
//! - [`MemoryStore`], whose records are lost when the process ends.
//! - [`FileStore`], for the processes of one machine.
//! - `Sealed` (feature `sealed`, on by default), which encrypts the records of any store.
//! - `contract` (feature `contract`), the test suite that every store must pass, your own included.
//!
//! **Not in this crate**: what a record says and when it is written, which is in `hs-oauth-core`; the adapter that runs a sync
//! store in async code, which is in `hs-oauth-async`; stores that need a server.
//!
//! ```
//! use hs_oauth_store::{Account, FileStore, TokenStore};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path().join("tokens");
//! let store = FileStore::open(folder)?; // creates the folder with mode 0700 if it is missing
//! store.check()?;
//! assert_eq!(store.load(Account::hub(62515))?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod all_pages;
#[cfg(feature = "async")]
mod async_store;
#[cfg(feature = "block-on")]
mod block_on;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod file;
mod json;
mod memory;
mod page;
#[cfg(feature = "sealed")]
mod sealed;
mod secret_bytes;
mod store;
mod stripe;

pub use hs_oauth_core::renewal::{Record, Stored};
pub use hs_oauth_core::{Account, StoreError, StoreErrorKind};

pub use all_pages::AllPages;
#[cfg(feature = "async")]
pub use async_store::AsyncTokenStore;
#[cfg(feature = "async")]
pub use async_trait::async_trait;
#[cfg(feature = "block-on")]
pub use block_on::BlockOn;
pub use file::FileStore;
#[cfg(feature = "contract")]
#[doc(hidden)]
pub use file::read_file;
#[doc(hidden)]
pub use json::{record_from_json, record_to_json};
pub use memory::MemoryStore;
pub use page::{Cursor, Entry, Page, check_account};
#[cfg(feature = "sealed")]
pub use sealed::{InvalidKey, Keys, Resealed, Sealed, SealingKey};
#[doc(hidden)]
pub use secret_bytes::SecretBytes;
pub use store::{Swapped, TokenStore};
#[doc(hidden)]
pub use stripe::{STRIPES, stripe_of};

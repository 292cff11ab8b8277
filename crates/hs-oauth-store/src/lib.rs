//! Where HubSpot OAuth tokens are kept: what a store must do, and three that do it.
//!
//! **In here**: [`TokenStore`], the few verbs that the renewal of tokens needs; [`MemoryStore`], which ends with the process;
//! [`FileStore`], for one machine; `Sealed`, which encrypts what any store holds (feature `sealed`, on by default); and
//! `contract`, the suite that every store passes, your own included (feature `contract`). **Not in here**: what a record says
//! and when it is written, which is `hs-oauth-core`'s; async; stores that need a server.
//!
//! ```
//! use hs_oauth_store::{Account, FileStore, TokenStore};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path().join("tokens");
//! let store = FileStore::open(folder)?; // made with mode 0700 if it is missing
//! store.check()?;
//! assert_eq!(store.load(Account::hub(62515))?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[doc(hidden)]
pub mod cache;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod file;
mod json;
mod memory;
#[cfg(feature = "sealed")]
mod sealed;
mod store;

pub use hs_oauth_core::{Account, Record, StoreError, StoreErrorKind, Stored};

pub use file::FileStore;
#[cfg(feature = "contract")]
#[doc(hidden)]
pub use file::read_file;
pub use memory::MemoryStore;
#[cfg(feature = "sealed")]
pub use sealed::{InvalidKey, Keys, Resealed, Sealed, SealingKey};
pub use store::{Swapped, TokenStore};

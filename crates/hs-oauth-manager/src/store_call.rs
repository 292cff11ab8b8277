//! The results of calls to a store.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hs_oauth_core::renewal::{Input, Stored};
use hs_oauth_core::{StoreError, StoreErrorKind};
use hs_oauth_store::{Entry, Swapped};

/// Calls a store and returns its result. A panic of the store becomes an error, so that the tokens of a run outlive it.
///
/// # Errors
/// The store's error, or [`panicked`] if it panicked.
pub fn catch_panic<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(panicked()))
}

/// Returns the error for a store that panicked. The message of the panic is left out, since it may hold a secret.
pub fn panicked() -> StoreError {
    StoreError::with_source(StoreErrorKind::Unavailable, "it panicked")
}

/// Returns the error for a store that did not return in time.
pub fn timed_out() -> StoreError {
    StoreError::with_source(StoreErrorKind::Unavailable, "not in time")
}

/// Converts the result of a load to the input of the run that asked for it.
pub fn loaded(result: Result<Option<Stored>, StoreError>) -> Input {
    result.map_or_else(Input::StoreFailed, Input::Loaded)
}

/// Converts the result of a swap to the input of the run that asked for it.
pub fn swapped(result: Result<Swapped, StoreError>) -> Input {
    match result {
        Ok(Swapped::Stored(version)) => Input::Stored(version),
        Ok(Swapped::Conflict) => Input::Conflict,
        Err(error) => Input::StoreFailed(error),
    }
}

/// Returns whether an account on a page of the store counts as installed. A record that cannot be read counts as installed.
pub fn is_installed(entry: &Entry) -> bool {
    entry.stored.as_ref().map_or(true, Stored::is_installed)
}

/// How many records are read from the store at once where all are read.
pub const PAGE_SIZE: usize = 500;

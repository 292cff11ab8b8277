//! What came of a call to a store.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hs_oauth_core::renewal::{GrantState, Input, Stored};
use hs_oauth_core::{StoreError, StoreErrorKind};
use hs_oauth_store::Swapped;

/// Calls the store. A store that panics has failed, and takes no tokens with it.
///
/// # Errors
/// The store's error, or [`panicked`].
pub fn catch_panic<T>(call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(panicked()))
}

/// Returns the error of a store that panicked. What the panic said stays out of it, since it may be anything.
pub fn panicked() -> StoreError {
    StoreError::with_source(StoreErrorKind::Unavailable, "it panicked")
}

/// Returns the error of a store that did not return in time.
pub fn timed_out() -> StoreError {
    StoreError::with_source(StoreErrorKind::Unavailable, "not in time")
}

/// Returns the input of a run that wanted a record loaded.
pub fn loaded(result: Result<Option<Stored>, StoreError>) -> Input {
    result.map_or_else(Input::StoreFailed, Input::Loaded)
}

/// Returns the input of a run that wanted a record written.
pub fn swapped(result: Result<Swapped, StoreError>) -> Input {
    match result {
        Ok(Swapped::Stored(version)) => Input::Stored(version),
        Ok(Swapped::Conflict) => Input::Conflict,
        Err(error) => Input::StoreFailed(error),
    }
}

/// Returns whether an account that the store lists counts as installed, by what came of loading its record. A record that cannot
/// be read counts.
pub fn is_installed(loaded: &Result<Option<Stored>, StoreError>) -> bool {
    match loaded {
        Ok(Some(stored)) => stored.record.state != GrantState::Disconnected,
        Ok(None) => false,
        Err(_) => true,
    }
}

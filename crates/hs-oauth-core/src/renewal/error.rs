//! Why a run ends without tokens.

use std::time::Duration;

use crate::error::{Error, NextStep, StoreError};
use crate::token_set::TokenSet;

/// Why there is no token to hand out, or why an install or a disconnect was not finished.
///
/// [`TokenError::next_step`] says what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// No tokens are stored for the account. It never connected the app, or it was disconnected.
    #[error("no tokens are held for this account; next: {}", self.next_step())]
    NotInstalled,
    /// HubSpot refused the grant. The account uninstalled the app, or its refresh token was lost in a renewal. Nothing is sent for this
    /// account until it is installed again.
    #[error("the account's grant is gone{}; next: {}", if *unsettled { " (lost in a renewal)" } else { "" }, self.next_step())]
    Gone {
        /// Whether the grant was probably lost in a renewal whose response never came, and not ended by the account.
        unsettled: bool,
        /// HubSpot's error response, if this run received it.
        #[source]
        refusal: Option<Error>,
    },
    /// The tokens have expired, and there is no refresh token to renew them with.
    #[error("the account's tokens have expired and there is no refresh token; next: {}", self.next_step())]
    NotRenewable,
    /// The call to HubSpot failed. The account's state is unchanged.
    #[error(transparent)]
    Call(#[from] Error),
    /// An earlier call failed, in this process or another, and it is too early for the next one.
    #[error("a renewal has failed before; next: {}", self.next_step())]
    BackingOff {
        /// How long to wait before the next call.
        wait: Duration,
    },
    /// The store failed, and there are no new tokens.
    #[error("{_0}; next: {}", self.next_step())]
    Store(#[source] StoreError),
    /// HubSpot issued tokens that could not be saved. They may exist nowhere else.
    ///
    /// After a renewal, the token manager holds them and saves them as soon as the store works again. After an install, the caller has to
    /// install them again.
    #[error("new tokens could not be saved: {error}; next: keep them, and see to the store")]
    Unsaved {
        /// The tokens that HubSpot issued.
        tokens: Box<TokenSet>,
        /// Why they were not saved.
        error: StoreError,
    },
    /// Another install or disconnect of this account came in between. Its result is in the store.
    #[error(
        "another install or disconnect of this account came in between, and stands; next: {}",
        self.next_step()
    )]
    Superseded {
        /// The tokens that were to be installed, if any.
        tokens: Option<Box<TokenSet>>,
    },
    /// HubSpot issued tokens without naming the account, as `v1` does, and a request for the account failed.
    #[error("new tokens do not say whose they are; next: install them by account")]
    UnknownAccount {
        /// The tokens that HubSpot issued.
        tokens: Box<TokenSet>,
        /// Why the request for the account failed, if one was sent.
        #[source]
        error: Option<Error>,
    },
    /// The token manager has been shut down.
    #[error("the token manager has been shut down; next: ask the one that comes after it")]
    ShutDown,
    /// An async token manager was called outside of the runtime that it needs.
    #[error("there is no async runtime to work on here; next: call from within one")]
    NoRuntime,
    /// The renewal ended without a result. It panicked, because of an error in the store, or its runtime was shut down. It counts as a
    /// crash.
    #[error("the renewal was interrupted; next: {}", self.next_step())]
    Interrupted,
}

impl TokenError {
    /// Returns what to do next.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::NotInstalled | Self::Gone { .. } | Self::NotRenewable => NextStep::Reauthorize,
            Self::Call(error) => error.next_step(),
            Self::BackingOff { wait } => NextStep::RetryAfter(Some(*wait)),
            Self::Store(error) | Self::Unsaved { error, .. } => error.next_step(),
            Self::Superseded { .. } => NextStep::RestartAuthorization,
            Self::Interrupted | Self::ShutDown => NextStep::RetryAfter(None),
            Self::UnknownAccount { error: Some(error), .. } => error.next_step(),
            Self::UnknownAccount { error: None, .. } | Self::NoRuntime => NextStep::FixConfiguration,
        }
    }

    /// Returns the tokens in this error, if there are any. HubSpot issued them, and they may be stored nowhere else.
    pub fn tokens(&self) -> Option<&TokenSet> {
        match self {
            Self::Unsaved { tokens, .. } | Self::UnknownAccount { tokens, .. } => Some(tokens),
            Self::Superseded { tokens } => tokens.as_deref(),
            _ => None,
        }
    }

    /// Returns the error's name for programs and logs: `not_installed`, `gone`, `not_renewable`, `call`, `backing_off`, `store`,
    /// `unsaved`, `superseded`, `unknown_account`, `shut_down`, `no_runtime` or `interrupted`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotInstalled => "not_installed",
            Self::Gone { .. } => "gone",
            Self::NotRenewable => "not_renewable",
            Self::Call(_) => "call",
            Self::BackingOff { .. } => "backing_off",
            Self::Store(_) => "store",
            Self::Unsaved { .. } => "unsaved",
            Self::Superseded { .. } => "superseded",
            Self::UnknownAccount { .. } => "unknown_account",
            Self::ShutDown => "shut_down",
            Self::NoRuntime => "no_runtime",
            Self::Interrupted => "interrupted",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use http::StatusCode;

    use super::*;
    use crate::error::{ApiError, Operation, StoreErrorKind};

    #[test]
    fn the_error_of_hubspot_or_of_the_store_is_the_source() {
        let refusal = || Error::from(ApiError::new(Operation::Refresh, StatusCode::BAD_REQUEST));
        let gone = TokenError::Gone { unsettled: false, refusal: Some(refusal()) };
        assert!(gone.source().is_some_and(|source| source.is::<Error>()));
        let store = TokenError::Store(StoreError::new(StoreErrorKind::Damaged));
        assert!(store.source().is_some_and(|source| source.is::<StoreError>()));
        // The error of a call is transparent: its text and its source are those of the call.
        let call = TokenError::Call(refusal());
        assert_eq!(call.to_string(), refusal().to_string());
        assert!(call.source().is_none());
    }
}

use std::fmt;
use std::time::Duration;

use super::{Error, NextStep, StoreError};
use crate::token_set::TokenSet;

/// Why there is no token to hand out, or why an install or a disconnect was not finished. [`TokenError::next_step`] says
/// what to do about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TokenError {
    /// No tokens are held for the account: it never connected the app, or was disconnected.
    NotInstalled,
    /// HubSpot refused the grant: the account uninstalled the app, or the refresh token was lost in a renewal. Nothing is
    /// sent for this account until a new install.
    Gone {
        /// Whether it was probably lost in a renewal of which no answer came, and not refused outright.
        unsettled: bool,
        /// HubSpot's refusal, if it came just now.
        refusal: Option<Box<Error>>,
    },
    /// The tokens have come to their end, and there is no refresh token to renew them with.
    NotRenewable,
    /// The call to HubSpot failed. The account's state is unchanged.
    Call(Error),
    /// An earlier call failed, here or in another process, and it is not yet time for the next.
    BackingOff {
        /// How long to wait.
        wait: Duration,
    },
    /// The store failed, and no new tokens were got.
    Store(StoreError),
    /// HubSpot issued these tokens, and they could not be saved: they may exist nowhere else. After a renewal the manager keeps them
    /// and saves them as soon as the store takes them; after an install they are the caller's to install again.
    Unsaved {
        /// The tokens.
        tokens: Box<TokenSet>,
        /// Why they were not saved.
        error: StoreError,
    },
    /// Another install or disconnect of this account came in between, and stands.
    Superseded {
        /// The tokens that were to be installed, if any.
        tokens: Option<Box<TokenSet>>,
    },
    /// HubSpot issued these tokens without saying for which account (`v1` does so), and could not be asked.
    UnknownAccount {
        /// The tokens.
        tokens: Box<TokenSet>,
        /// What became of asking, if it was tried.
        error: Option<Box<Error>>,
    },
    /// The manager has been shut down.
    ShutDown,
    /// An async manager was called outside of the runtime it needs.
    NoRuntime,
    /// The renewal ended without a result: it panicked (a store's fault), or its runtime was shut down. It counts as a crash.
    Interrupted,
}

impl TokenError {
    /// What to do next.
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

    /// The tokens in this error: issued by HubSpot, and perhaps kept nowhere else.
    pub fn tokens(&self) -> Option<&TokenSet> {
        match self {
            Self::Unsaved { tokens, .. } | Self::UnknownAccount { tokens, .. } => Some(tokens),
            Self::Superseded { tokens } => tokens.as_deref(),
            _ => None,
        }
    }

    /// The error's name for programs and logs: `not_installed`, `gone`, `not_renewable`, `call`, `backing_off`, `store`, `unsaved`,
    /// `superseded`, `unknown_account`, `shut_down`, `no_runtime` or `interrupted`.
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

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let next = self.next_step();
        match self {
            Self::NotInstalled => write!(f, "no tokens are held for this account; next: {next}"),
            Self::Gone { unsettled: false, .. } => write!(f, "the account's grant is gone; next: {next}"),
            Self::Gone { unsettled: true, .. } => {
                write!(f, "the account's grant is gone (lost in a renewal); next: {next}")
            }
            Self::NotRenewable => {
                write!(f, "the account's tokens are over and have no refresh token; next: {next}")
            }
            Self::Call(error) => error.fmt(f),
            Self::BackingOff { .. } => write!(f, "a renewal has failed before; next: {next}"),
            Self::Store(error) => write!(f, "{error}; next: {next}"),
            Self::Unsaved { error, .. } => {
                write!(f, "new tokens could not be saved: {error}; next: keep them, and see to the store")
            }
            Self::Superseded { .. } => {
                write!(
                    f,
                    "another install or disconnect of this account came in between, and stands; next: {next}"
                )
            }
            Self::UnknownAccount { .. } => {
                f.write_str("new tokens do not say whose they are; next: install them by account")
            }
            Self::ShutDown => {
                f.write_str("the token manager has been shut down; next: ask the one that comes after it")
            }
            Self::NoRuntime => {
                f.write_str("there is no async runtime to work on here; next: call from within one")
            }
            Self::Interrupted => write!(f, "the renewal was interrupted; next: {next}"),
        }
    }
}

impl std::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Call(error) => error.source(),
            Self::Store(error) => Some(error),
            Self::Gone { refusal: error, .. } | Self::UnknownAccount { error, .. } => {
                error.as_deref().map(|error| error as _)
            }
            Self::NotInstalled
            | Self::NotRenewable
            | Self::BackingOff { .. }
            | Self::Unsaved { .. }
            | Self::Superseded { .. }
            | Self::ShutDown
            | Self::NoRuntime
            | Self::Interrupted => None,
        }
    }
}

impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use http::StatusCode;

    use super::*;
    use crate::error::{ApiError, Operation, StoreFailure};

    #[test]
    fn what_hubspot_or_the_store_said_is_the_source() {
        let refusal = || Error::from(ApiError::new(Operation::Refresh, StatusCode::BAD_REQUEST));
        let gone = TokenError::Gone { unsettled: false, refusal: Some(Box::new(refusal())) };
        assert!(gone.source().is_some_and(|source| source.is::<Error>()));
        let store = TokenError::Store(StoreError::new(StoreFailure::Damaged));
        assert!(store.source().is_some_and(|source| source.is::<StoreError>()));
        // This one shows the call's error as its own.
        let call = TokenError::Call(refusal());
        assert_eq!(call.to_string(), refusal().to_string());
        assert!(call.source().is_none());
    }
}

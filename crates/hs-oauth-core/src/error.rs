//! What can go wrong with a call to HubSpot or to a token store, and what to do about it.
//!
//! [`Error`] is the error of a call. It is one of [`ApiError`] (an error response), [`ResponseError`] (a success whose body cannot
//! be used) and [`TransportError`] (no complete response). [`StoreError`] is the error of a token store. Each of them has a
//! [`NextStep`].
//!
//! The files:
//! - `api`: [`ApiError`] and its next step. `api_body` reads it from a response, `codes` has its codes, and `retry_after` reads the
//!   `Retry-After` header.
//! - `redact`: [`Redact`], which removes the request's secrets from texts. `encoded_secret` finds secrets that are encoded.
//! - `response`: [`ResponseError`].
//! - `transport`: [`TransportError`].
//! - `store`: [`StoreError`].

mod api;
mod api_body;
mod codes;
mod encoded_secret;
mod redact;
mod response;
mod retry_after;
mod store;
mod transport;

use std::fmt;

pub use api::{ApiError, ErrorDetail};
pub use codes::{HubSpotCode, OAuthCode};
pub(crate) use redact::Redact;
pub use response::{RescuedTokens, ResponseError};
pub use store::{StoreError, StoreErrorKind};
pub use transport::{TransportError, TransportErrorKind};

pub use crate::next_step::NextStep;
use crate::secret::{AccessToken, RefreshToken};

/// The reason why a call to HubSpot gave no result. [`Error::next_step`] says what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// HubSpot sent an error response: the status is not 200 to 299.
    #[error(transparent)]
    Api(Box<ApiError>),
    /// The status is a success, but the body cannot be used. It may hold tokens: see [`ResponseError::rescued`].
    #[error(transparent)]
    Response(Box<ResponseError>),
    /// No complete response arrived. The transports make this error.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// What a call asks HubSpot to do: one value for each [`Endpoint`](crate::Endpoint).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// The exchange of an authorization code for tokens: [`ExchangeCode`](crate::ExchangeCode).
    ExchangeCode,
    /// The refresh of an access token: [`Refresh`](crate::Refresh).
    Refresh,
    /// The request for a token of the app itself: [`ClientCredentials`](crate::ClientCredentials).
    ClientCredentials,
    /// The introspection of a token: [`Introspect`](crate::Introspect).
    Introspect,
    /// The revocation of a refresh token: [`Revoke`](crate::Revoke).
    Revoke,
    /// The removal of the app from an account: [`Uninstall`](crate::Uninstall).
    Uninstall,
    /// The request for the details of an account: [`ReadAccountDetails`](crate::ReadAccountDetails).
    AccountDetails,
}

impl Error {
    /// Returns what to do next.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Api(error) => error.next_step(),
            Self::Response(error) => error.next_step(),
            Self::Transport(error) => error.next_step(),
        }
    }

    /// Returns HubSpot's error response, or `None` if this is another error.
    pub fn as_api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            _ => None,
        }
    }

    /// Returns the HTTP status of the response, or `None` if no complete response arrived.
    pub fn status(&self) -> Option<http::StatusCode> {
        match self {
            Self::Api(error) => Some(error.status),
            Self::Response(error) => Some(error.status),
            Self::Transport(_) => None,
        }
    }

    /// Returns the refresh token in a response that could otherwise not be used.
    ///
    /// Store it: if it replaces the one that was sent, this is its only copy.
    pub fn rescued_refresh_token(&self) -> Option<&RefreshToken> {
        match self {
            Self::Response(error) => error.rescued.refresh_token.as_ref(),
            _ => None,
        }
    }

    /// Returns the access token in a response that could otherwise not be used.
    pub fn rescued_access_token(&self) -> Option<&AccessToken> {
        match self {
            Self::Response(error) => error.rescued.access_token.as_ref(),
            _ => None,
        }
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self::Api(Box::new(error))
    }
}

impl From<ResponseError> for Error {
    fn from(error: ResponseError) -> Self {
        Self::Response(Box::new(error))
    }
}

impl Operation {
    /// Returns the operation's name for programs and logs: `exchange_code`, `refresh`, `client_credentials`, `introspect`,
    /// `revoke`, `uninstall` or `account_details`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExchangeCode => "exchange_code",
            Self::Refresh => "refresh",
            Self::ClientCredentials => "client_credentials",
            Self::Introspect => "introspect",
            Self::Revoke => "revoke",
            Self::Uninstall => "uninstall",
            Self::AccountDetails => "account_details",
        }
    }
}

impl fmt::Display for Operation {
    /// Writes the operation in words that can follow "to".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExchangeCode => "exchange the authorization code",
            Self::Refresh => "refresh the token",
            Self::ClientCredentials => "give a client-credentials token",
            Self::Introspect => "introspect the token",
            Self::Revoke => "revoke the token",
            Self::Uninstall => "uninstall the app",
            Self::AccountDetails => "give the details of the account",
        })
    }
}

//! What can go wrong with a call, and what to do about it.

mod api;
mod codes;
mod encoded_secret;
mod redact;
mod response;
mod retry_after;
mod store;
mod transport;

use std::fmt;
use std::time::Duration;

pub use api::{ApiError, ErrorDetail};
pub use codes::{HubSpotCode, OAuthCode};
pub(crate) use redact::Redact;
pub use response::{RescuedTokens, ResponseError};
pub use store::{StoreError, StoreErrorKind};
pub use transport::{TransportError, TransportErrorKind};

use crate::secret::{AccessToken, RefreshToken};

/// Why a call gave no result. [`Error::next_step`] says what to do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// HubSpot refused the request.
    #[error(transparent)]
    Api(Box<ApiError>),
    /// The status says success, but the body is not what was asked for. It may hold tokens: see [`ResponseError::rescued`].
    #[error(transparent)]
    Response(Box<ResponseError>),
    /// No whole response came. The transports make this error.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// What the caller of a failed operation has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NextStep {
    /// The account's grant is gone. Stop, and ask the account to connect the app again; never retry.
    Reauthorize,
    /// The authorization code is spent or the callback was not accepted. Send the browser to the consent page again.
    RestartAuthorization,
    /// The app is set up wrongly, or HubSpot changed. Fix the app; the stored grants stay good.
    FixConfiguration,
    /// Nothing is wrong with app or grant. Wait this long, or for a time of your own choosing if there is none, and try
    /// again.
    RetryAfter(Option<Duration>),
    /// The answer is not HubSpot's OAuth API as it is documented. Look at the address; if it is HubSpot's, report a bug.
    ReportBug,
}

/// What a call was to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`ExchangeCode`](crate::ExchangeCode).
    ExchangeCode,
    /// [`Refresh`](crate::Refresh).
    Refresh,
    /// [`ClientCredentials`](crate::ClientCredentials).
    ClientCredentials,
    /// [`Introspect`](crate::Introspect).
    Introspect,
    /// [`Revoke`](crate::Revoke).
    Revoke,
}

impl Error {
    /// What to do next.
    pub fn next_step(&self) -> NextStep {
        match self {
            Self::Api(error) => error.next_step(),
            Self::Response(error) => error.next_step(),
            Self::Transport(error) => error.next_step(),
        }
    }

    /// HubSpot's refusal, if that is what this is.
    pub fn as_api(&self) -> Option<&ApiError> {
        match self {
            Self::Api(error) => Some(error),
            _ => None,
        }
    }

    /// The status of the answer, if there was one.
    pub fn status(&self) -> Option<http::StatusCode> {
        match self {
            Self::Api(error) => Some(error.status),
            Self::Response(error) => Some(error.status),
            Self::Transport(_) => None,
        }
    }

    /// The refresh token that stood in an answer which could otherwise not be used. If the old one was replaced, this is
    /// the only copy: store it.
    pub fn rescued_refresh_token(&self) -> Option<&RefreshToken> {
        match self {
            Self::Response(error) => error.rescued.refresh_token.as_ref(),
            _ => None,
        }
    }

    /// The access token that stood in an answer which could otherwise not be used.
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

impl NextStep {
    /// The step's name for programs: `reauthorize`, `restart_authorization`, `fix_configuration`, `retry_after` or
    /// `report_bug`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reauthorize => "reauthorize",
            Self::RestartAuthorization => "restart_authorization",
            Self::FixConfiguration => "fix_configuration",
            Self::RetryAfter(_) => "retry_after",
            Self::ReportBug => "report_bug",
        }
    }
}

impl fmt::Display for NextStep {
    /// The step as an instruction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reauthorize => "ask the account to connect the app again",
            Self::RestartAuthorization => "start the authorization again",
            Self::FixConfiguration => "fix the app's configuration; the stored grants stay good",
            Self::RetryAfter(Some(wait)) => return write!(f, "try again in {} s", wait.as_secs_f64().ceil()),
            Self::RetryAfter(None) => "try again later",
            Self::ReportBug => "check the address; if it is HubSpot's, report a bug",
        })
    }
}

impl Operation {
    /// The operation's name for programs and logs: `exchange_code`, `refresh`, `client_credentials`, `introspect` or
    /// `revoke`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExchangeCode => "exchange_code",
            Self::Refresh => "refresh",
            Self::ClientCredentials => "client_credentials",
            Self::Introspect => "introspect",
            Self::Revoke => "revoke",
        }
    }
}

impl fmt::Display for Operation {
    /// The operation in words, fit to stand after "to".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExchangeCode => "exchange the authorization code",
            Self::Refresh => "refresh the token",
            Self::ClientCredentials => "give a client-credentials token",
            Self::Introspect => "introspect the token",
            Self::Revoke => "revoke the token",
        })
    }
}

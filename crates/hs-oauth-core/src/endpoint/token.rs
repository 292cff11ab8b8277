//! A token of either kind, for introspection.

use crate::secret::{AccessToken, RefreshToken};

/// An access token or a refresh token, for [`Introspect`](crate::Introspect).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// An access token.
    Access(AccessToken),
    /// A refresh token.
    Refresh(RefreshToken),
}

impl Token {
    /// Returns the secret text. The caller is responsible for where it goes.
    pub fn expose(&self) -> &str {
        match self {
            Self::Access(token) => token.expose(),
            Self::Refresh(token) => token.expose(),
        }
    }

    /// Returns the value of the parameter `token_type_hint` for this token (RFC 7009 §2.1).
    pub const fn type_hint(&self) -> &'static str {
        match self {
            Self::Access(_) => "access_token",
            Self::Refresh(_) => "refresh_token",
        }
    }
}

impl From<AccessToken> for Token {
    fn from(token: AccessToken) -> Self {
        Self::Access(token)
    }
}

impl From<RefreshToken> for Token {
    fn from(token: RefreshToken) -> Self {
        Self::Refresh(token)
    }
}

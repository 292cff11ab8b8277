use crate::secret::{AccessToken, RefreshToken};

/// A token of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// An access token.
    Access(AccessToken),
    /// A refresh token.
    Refresh(RefreshToken),
}

impl Token {
    /// The text itself. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &str {
        match self {
            Self::Access(token) => token.expose(),
            Self::Refresh(token) => token.expose(),
        }
    }

    /// What the token is, as a `token_type_hint` says it (RFC 7009 §2.1).
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

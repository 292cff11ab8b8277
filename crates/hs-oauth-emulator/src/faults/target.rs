use hs_oauth_core::server::{Call, Received};
use serde::{Deserialize, Serialize};

/// An operation of the emulator that a fault can be limited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Target {
    /// The exchange of an authorization code for tokens.
    ExchangeCode,
    /// The exchange of a refresh token for tokens.
    Refresh,
    /// The request for a token for the app itself.
    ClientCredentials,
    /// The introspection of a token, or its lookup on `v1`.
    Introspect,
    /// The revocation of a refresh token, or its `DELETE` on `v1`.
    Revoke,
    /// `GET /account-info/{version}/details`. Only a fault with this target affects it.
    AccountInfo,
    /// `DELETE /appinstalls/{version}/external-install`. Only a fault with this target affects it.
    Uninstall,
    /// Any request under `/crm/`. Only a fault with this target affects it.
    Crm,
}

impl Target {
    /// Returns whether this is a call with an account's access token, and not one to the token API.
    pub(crate) fn needs_bearer(self) -> bool {
        matches!(self, Self::AccountInfo | Self::Uninstall | Self::Crm)
    }

    /// Returns the operation that a request asks for.
    pub(crate) fn from_received(received: &Received) -> Option<Self> {
        Some(match received.call {
            Call::ExchangeCode(_) => Self::ExchangeCode,
            Call::Refresh(_) => Self::Refresh,
            Call::ClientCredentials(_) => Self::ClientCredentials,
            Call::Introspect(_) => Self::Introspect,
            Call::Revoke(_) => Self::Revoke,
            Call::AccountDetails(_) => Self::AccountInfo,
            Call::Uninstall(_) => Self::Uninstall,
            _ => return None,
        })
    }
}

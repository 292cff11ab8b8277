//! What an install brought.

use hs_oauth_core::{Account, Scopes, Timestamp};

/// An account that has connected the app, and what it granted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Installed {
    /// The account.
    pub account: Account,
    /// The user id of the person who installed the app, if HubSpot named it.
    pub user_id: Option<i64>,
    /// The scopes that were granted, if HubSpot named them.
    pub scopes: Option<Scopes>,
    /// When the access token expires.
    pub expires_at: Timestamp,
    /// Whether the account was connected before, and had not been disconnected.
    pub reinstall: bool,
}

use std::fmt;

use hs_oauth_core::Scopes;
use serde::{Deserialize, Serialize};

use crate::apps::{AppSettings, RegisteredApp};
use crate::registered_scopes::RegisteredScopes;

/// The apps, the first accounts and the rules of an [`Emulator`](crate::Emulator). They apply at the start and again
/// after a reset.
#[derive(Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The app's public client id. Default `a1b2c3d4-e5f6-7890-abcd-ef1234567890`.
    pub client_id: String,
    /// The app's client secret. Default `0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0`.
    pub client_secret: String,
    /// The app's name on the consent page. Default `Example app`.
    pub app_name: String,
    /// The app's id in introspection responses. Default 456789.
    pub app_id: i64,
    /// The registered redirect URIs. A request must name one of them, the same to the byte. One that already has a
    /// query parameter `code`, `state` or `error` is never used. Default `http://localhost:3000/oauth/callback`.
    pub redirect_uris: Vec<String>,
    /// Whether a redirect URI must be one that HubSpot takes: a domain and not an IP address, and `https`, except on `localhost` and loopback
    /// addresses. Any other one is never used then. Default false; the program sets it unless it is started with `--lenient-redirects`.
    pub strict_redirects: bool,
    /// The scopes that are registered for the app. Without them, the app can ask for any scope. Default `None`.
    pub registered_scopes: Option<RegisteredScopes>,
    /// More apps, each with its own secret, redirect URIs and scopes. Default none.
    pub more_apps: Vec<AppSettings>,
    /// The id of the account that exists at the start. Default 62515.
    pub hub_id: i64,
    /// The domain of that account's own website. Default `demo.example.com`.
    pub hub_domain: String,
    /// The scopes that this account cannot grant. Default none.
    pub hub_lacks: Scopes,
    /// More accounts that exist at the start. Default none.
    pub more_hubs: Vec<HubSettings>,
    /// The user who consents. Default 123456, `installer@example.com`.
    pub user: User,
    /// What a refresh does to the refresh token. Default [`Rotation::Keep`].
    pub rotation: Rotation,
    /// The lifetime of an access token in seconds; 0 counts as 1. Default 1800.
    pub access_token_lifetime: u32,
    /// The lifetime of an authorization code in seconds. Default 60.
    pub code_lifetime: u32,
    /// The versions of the token API that are removed at the start. Names that are not in [`SERVED_VERSIONS`](crate::SERVED_VERSIONS) are
    /// ignored. Default none.
    pub removed_versions: Vec<String>,
    /// Whether every authorization request is granted at once and in full, without showing the consent page. Default
    /// false.
    pub auto_approve: bool,
    /// The seed from which every code, token and id is derived. Anyone who knows it can compute all of them in advance.
    pub seed: [u8; 32],
}

/// An account that exists at the start, besides the one that [`Settings`] describe themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubSettings {
    /// The account's id. An account whose id another one has already replaces that one.
    pub hub_id: i64,
    /// The domain of the account's own website. Default `hub-{hub_id}.example.com`.
    pub hub_domain: String,
    /// The scopes that the account cannot grant. Default none.
    pub lacks: Scopes,
}

impl HubSettings {
    /// Returns the defaults, with this id.
    pub fn new(hub_id: i64) -> Self {
        Self { hub_id, hub_domain: format!("hub-{hub_id}.example.com"), lacks: Scopes::NONE }
    }
}

/// The user who consents on the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// HubSpot's id of the user.
    pub id: i64,
    /// The user's e-mail address.
    pub email: String,
    /// What the user may do in every account. It can be changed with [`Emulator::set_permissions`](crate::Emulator::set_permissions).
    pub permissions: Permissions,
}

/// What a user may do. Only a Super Admin, or a user with access to the Marketplace, can install an app (HubSpot's documentation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Permissions {
    /// Whether the user is a Super Admin. Default true.
    pub super_admin: bool,
    /// Whether the user has the permission "App Marketplace access". Default true.
    pub marketplace_access: bool,
}

impl Default for Permissions {
    fn default() -> Self {
        Self { super_admin: true, marketplace_access: true }
    }
}

impl Permissions {
    /// Returns whether the user can install an app.
    pub fn can_install(self) -> bool {
        self.super_admin || self.marketplace_access
    }
}

/// What a refresh does to the refresh token that was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rotation {
    /// The token stays valid and is returned unchanged, as HubSpot does today.
    #[default]
    Keep,
    /// A new token replaces it, and the old one is invalid from then on.
    Rotate,
    /// A new token replaces it. If the old one is ever used again, the whole grant ends (RFC 9700 §4.14.2).
    Strict,
}

impl Settings {
    /// Returns the defaults, with this seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            client_id: "a1b2c3d4-e5f6-7890-abcd-ef1234567890".to_owned(),
            client_secret: "0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0".to_owned(),
            app_name: "Example app".to_owned(),
            app_id: 456_789,
            redirect_uris: vec!["http://localhost:3000/oauth/callback".to_owned()],
            strict_redirects: false,
            registered_scopes: None,
            more_apps: Vec::new(),
            hub_id: 62515,
            hub_domain: "demo.example.com".to_owned(),
            hub_lacks: Scopes::NONE,
            more_hubs: Vec::new(),
            user: User {
                id: 123_456,
                email: "installer@example.com".to_owned(),
                permissions: Permissions::default(),
            },
            rotation: Rotation::default(),
            access_token_lifetime: 1800,
            code_lifetime: 60,
            removed_versions: Vec::new(),
            auto_approve: false,
            seed,
        }
    }

    /// Returns the defaults, with a random seed from the operating system.
    ///
    /// # Errors
    /// The operating system's error if it provides no random bytes.
    #[cfg(feature = "server")]
    pub fn random() -> std::io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self::new(seed))
    }
}

impl Settings {
    /// Returns all apps. The first one is that which the settings describe themselves.
    pub(crate) fn apps(&self) -> impl Iterator<Item = RegisteredApp<'_>> {
        std::iter::once(self.first_app()).chain(self.more_apps.iter().map(RegisteredApp::from))
    }

    /// Returns the app that the settings describe themselves.
    pub(crate) fn first_app(&self) -> RegisteredApp<'_> {
        RegisteredApp {
            client_id: &self.client_id,
            client_secret: &self.client_secret,
            name: &self.app_name,
            app_id: self.app_id,
            redirect_uris: &self.redirect_uris,
            scopes: self.registered_scopes.as_ref(),
        }
    }

    /// Returns the app with this client id.
    pub(crate) fn app(&self, client_id: &str) -> Option<RegisteredApp<'_>> {
        self.apps().find(|app| app.client_id == client_id)
    }
}

impl fmt::Debug for Settings {
    /// Shows everything but the client secret and the seed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("client_id", &self.client_id)
            .field("app_name", &self.app_name)
            .field("app_id", &self.app_id)
            .field("redirect_uris", &self.redirect_uris)
            .field("strict_redirects", &self.strict_redirects)
            .field("registered_scopes", &self.registered_scopes)
            .field("more_apps", &self.more_apps)
            .field("hub_id", &self.hub_id)
            .field("hub_domain", &self.hub_domain)
            .field("hub_lacks", &self.hub_lacks)
            .field("more_hubs", &self.more_hubs)
            .field("user", &self.user)
            .field("rotation", &self.rotation)
            .field("access_token_lifetime", &self.access_token_lifetime)
            .field("code_lifetime", &self.code_lifetime)
            .field("removed_versions", &self.removed_versions)
            .field("auto_approve", &self.auto_approve)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_has_neither_the_secret_nor_the_seed() {
        let settings = Settings::new([211; 32]);
        let shown = format!("{settings:?}");
        assert!(!shown.contains(&settings.client_secret) && !shown.contains("211"));
    }
}

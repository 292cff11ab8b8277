use std::fmt;

use serde::{Deserialize, Serialize};

/// What an [`Emulator`](crate::Emulator) is at the start, and again after a reset.
#[derive(Clone)]
#[non_exhaustive]
pub struct Settings {
    /// The app's public id. Default `a1b2c3d4-e5f6-7890-abcd-ef1234567890`.
    pub client_id: String,
    /// The app's secret. Default `0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0`.
    pub client_secret: String,
    /// The app's name on the consent page. Default `Example app`.
    pub app_name: String,
    /// The app's number in introspections. Default 456789.
    pub app_id: i64,
    /// Where browsers may be sent back to, compared to the byte; never to one that has a parameter `code`, `state` or
    /// `error` already. Default `http://localhost:3000/oauth/callback`.
    pub redirect_uris: Vec<String>,
    /// The account there is at the start. Default 62515.
    pub hub_id: i64,
    /// That account's own website. Default `demo.example.com`.
    pub hub_domain: String,
    /// Who consents. Default 123456, `installer@example.com`.
    pub user: User,
    /// What a refresh does to the refresh token. Default [`Rotation::Keep`].
    pub rotation: Rotation,
    /// Life of an access token in seconds; 0 counts as 1. Default 1800.
    pub access_token_lifetime: u32,
    /// Life of an authorization code in seconds. Default 60.
    pub code_lifetime: u32,
    /// Whether the authorization page consents by itself, to everything asked for. Default no.
    pub auto_approve: bool,
    /// What every code, token and id is derived from. Whoever knows it can tell them all beforehand.
    pub seed: [u8; 32],
}

/// The person who consents on the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// HubSpot's number for the person.
    pub id: i64,
    /// The person's address.
    pub email: String,
}

/// What a refresh does to the refresh token that was used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rotation {
    /// It stays good and is returned unchanged, as HubSpot does today.
    #[default]
    Keep,
    /// It is replaced by a new one, and refused from then on.
    Rotate,
    /// It is replaced, and if it is ever used again the whole grant ends (RFC 9700 §4.14.2).
    Strict,
}

impl Settings {
    /// The defaults, with everything secret derived from `seed`.
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            client_id: "a1b2c3d4-e5f6-7890-abcd-ef1234567890".to_owned(),
            client_secret: "0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0".to_owned(),
            app_name: "Example app".to_owned(),
            app_id: 456_789,
            redirect_uris: vec!["http://localhost:3000/oauth/callback".to_owned()],
            hub_id: 62515,
            hub_domain: "demo.example.com".to_owned(),
            user: User { id: 123_456, email: "installer@example.com".to_owned() },
            rotation: Rotation::default(),
            access_token_lifetime: 1800,
            code_lifetime: 60,
            auto_approve: false,
            seed,
        }
    }

    /// The defaults, with a seed from the operating system.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    #[cfg(feature = "server")]
    pub fn random() -> std::io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self::new(seed))
    }
}

/// Whether a redirect URI has a parameter already that the answer adds: it would be there twice.
#[doc(hidden)]
pub fn clashes_with_the_answer(redirect_uri: &str) -> bool {
    let query = redirect_uri.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| matches!(&*name, "code" | "state" | "error"))
}

impl fmt::Debug for Settings {
    /// Everything but the secret and the seed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("client_id", &self.client_id)
            .field("app_name", &self.app_name)
            .field("app_id", &self.app_id)
            .field("redirect_uris", &self.redirect_uris)
            .field("hub_id", &self.hub_id)
            .field("hub_domain", &self.hub_domain)
            .field("user", &self.user)
            .field("rotation", &self.rotation)
            .field("access_token_lifetime", &self.access_token_lifetime)
            .field("code_lifetime", &self.code_lifetime)
            .field("auto_approve", &self.auto_approve)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_secret_nor_seed() {
        let settings = Settings::new([211; 32]);
        let shown = format!("{settings:?}");
        assert!(!shown.contains(&settings.client_secret) && !shown.contains("211"));
    }
}

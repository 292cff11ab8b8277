//! What a record keeps of the app that its grant was made for.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::App;

/// What the renewal of tokens has to know of an app: its client id, and a fingerprint of its credential. It holds no secret. Cloning it
/// is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppIdentity {
    client_id: Arc<str>,
    credential: CredentialFingerprint,
}

/// A short number that differs from credential to credential, so that a back-off for a refused credential does not outlive it.
///
/// It is stored as eight hexadecimal digits, which are made of the credential by HMAC-SHA256. One in four billion other credentials has
/// the same digits, so they do not say what the credential is.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CredentialFingerprint(String);

impl App {
    /// Returns what the renewal of tokens has to know of this app.
    pub fn identity(&self) -> AppIdentity {
        let credential = self.credential_text().unwrap_or_default();
        let digest = hmac_sha256::HMAC::mac(self.client_id().as_bytes(), credential.as_bytes());
        let number = digest.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
        AppIdentity {
            client_id: self.client_id().into(),
            credential: CredentialFingerprint(format!("{number:08x}")),
        }
    }
}

impl AppIdentity {
    /// Returns the client id.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns the fingerprint of the credential.
    pub fn credential(&self) -> &CredentialFingerprint {
        &self.credential
    }
}

impl fmt::Debug for CredentialFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialFingerprint({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ClientSecret;

    fn identity(client_id: &str, secret: &str) -> AppIdentity {
        App::hubspot(client_id, ClientSecret::new(secret).unwrap()).build().unwrap().identity()
    }

    #[test]
    fn apps_differ_by_their_client_id_and_by_their_credential() {
        let app = identity("id", "s3cret");
        assert_eq!(app, identity("id", "s3cret"));
        assert_eq!(app.client_id(), "id");
        assert_ne!(app.credential(), identity("id", "other").credential());
        assert_ne!(app.client_id(), identity("other", "s3cret").client_id());
    }

    /// The digits are in the stores of users: with others, a back-off would be dropped once.
    #[test]
    fn a_fingerprint_is_stored_as_eight_digits_that_do_not_change() {
        let text = serde_json::to_string(identity("id", "s3cret").credential()).unwrap();
        assert_eq!(text, r#""87b39f6a""#);
        assert!(!format!("{:?}", identity("id", "s3cret")).contains("s3cret"));
    }
}

//! How an app authenticates itself.

use zeroize::Zeroizing;

use crate::form;
use crate::secret::{ClientAssertion, ClientSecret};

/// How an app authenticates itself. A credential is always sent in the body of a request, never in a URL or a header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// A client secret, sent as `client_secret` (RFC 6749 §2.3.1).
    Secret(ClientSecret),
    /// A signed JWT, sent as `client_assertion` with the JWT bearer type (RFC 7523 §2.2). HubSpot's API files name it for `v3` and
    /// `2026-03`.
    Assertion(ClientAssertion),
    /// No credential: a public client (RFC 6749 §2.1). It can build an authorization URL, but HubSpot's token endpoint refuses it.
    Public,
}

/// The assertion type of RFC 7523 §2.2.
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Encodes the form fields with which the app authenticates itself.
pub(super) fn client_form(client_id: &str, credential: &Credential) -> Zeroizing<String> {
    let fields = match credential {
        Credential::Secret(secret) => [("client_secret", secret.expose()), ("", "")],
        Credential::Assertion(assertion) => {
            [("client_assertion_type", JWT_BEARER), ("client_assertion", assertion.expose())]
        }
        Credential::Public => [("", ""); 2],
    };
    let fields =
        || std::iter::once(("client_id", client_id)).chain(fields).filter(|(name, _)| !name.is_empty());
    // The string is allocated once: one that grows leaves copies of the secret behind.
    let room = fields().map(|(name, value)| form::room_for(name, value)).sum();
    let mut encoded = Zeroizing::new(String::with_capacity(room));
    for (name, value) in fields() {
        form::push(&mut encoded, name, value);
    }
    encoded
}

impl From<ClientSecret> for Credential {
    fn from(secret: ClientSecret) -> Self {
        Self::Secret(secret)
    }
}

impl From<ClientAssertion> for Credential {
    fn from(assertion: ClientAssertion) -> Self {
        Self::Assertion(assertion)
    }
}

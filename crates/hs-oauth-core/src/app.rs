//! An app as HubSpot knows it, and the addresses of its requests.

mod builder;
mod credential;
mod environment;
mod identity;

use std::borrow::Cow;
use std::fmt;

use http::Uri;
use http::uri::Scheme;
use zeroize::Zeroizing;

use crate::version::{self, ApiVersion, Resource};

pub use builder::AppBuilder;
pub use credential::Credential;
#[cfg(feature = "server")]
pub(crate) use credential::JWT_BEARER;
pub use identity::{AppIdentity, CredentialFingerprint};

/// An app as HubSpot knows it: its client id and credential, its redirect URI, the version of the API it uses, and the addresses of
/// the API.
///
/// Everything is checked when the app is built, so that building a request from it cannot fail. Credentials are sent to https addresses
/// only, or by plain http to loopback.
///
/// ```
/// use hs_oauth_core::{ApiVersion, App, ClientSecret};
///
/// let app = App::hubspot("a1b2c3d4-e5f6-7890-abcd-ef1234567890", ClientSecret::new("s3cret")?)
///     .with_redirect_uri("https://myapp.example.com/oauth/callback")
///     .with_version(ApiVersion::LATEST)
///     .build()?;
/// assert_eq!(app.version().to_string(), "2026-09");
/// # Ok::<(), hs_oauth_core::InvalidArgument>(())
/// ```
#[derive(Clone)]
pub struct App {
    client_id: String,
    credential: Credential,
    redirect_uri: Option<String>,
    version: ApiVersion,
    kind: Kind,
    api_base: String,
    app_base: String,
    /// `client_id=…&client_secret=…`, encoded once.
    client_form: Zeroizing<String>,
    /// `client_id=…&redirect_uri=…`, encoded once.
    authorize_form: String,
    token_uri: Uri,
    introspect_uri: Uri,
    revoke_uri: Uri,
}

/// The two kinds of app that HubSpot has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Standard,
    Mcp,
}

impl App {
    /// Returns the client id, the public identifier of the app (RFC 6749 §2.2).
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns how the app authenticates itself.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Returns this app with another credential, such as the client secret that replaces the old one.
    #[must_use]
    pub fn with_credential(&self, credential: impl Into<Credential>) -> Self {
        let credential = credential.into();
        let client_form = credential::client_form(&self.client_id, &credential);
        Self { credential, client_form, ..self.clone() }
    }

    /// Returns the address to which HubSpot sends the browser after consent, if the app has one.
    pub fn redirect_uri(&self) -> Option<&str> {
        self.redirect_uri.as_deref()
    }

    /// Returns the version of the API that the app uses.
    pub fn version(&self) -> ApiVersion {
        self.version
    }

    /// Returns the base address of token requests, without a slash at its end.
    pub fn api_base(&self) -> &str {
        &self.api_base
    }

    /// Returns the base address of the consent page, without a slash at its end.
    pub fn app_base(&self) -> &str {
        &self.app_base
    }

    /// Returns whether token requests are sent by plain http. They go to loopback then, and must not go through a proxy: it would see
    /// the credentials.
    pub fn is_plain_http(&self) -> bool {
        self.token_uri.scheme() == Some(&Scheme::HTTP)
    }

    /// Returns the form fields with which the app authenticates itself, encoded.
    pub(crate) fn client_form(&self) -> &str {
        &self.client_form
    }

    /// Returns the text of the credential, which must not appear in anything that is printed.
    pub(crate) fn credential_text(&self) -> Option<&str> {
        match &self.credential {
            Credential::Secret(secret) => Some(secret.expose()),
            Credential::Assertion(assertion) => Some(assertion.expose()),
            Credential::Public => None,
        }
    }

    /// Returns the address of a resource of the token API.
    pub(crate) fn uri(&self, resource: Resource<'_>) -> Uri {
        match resource {
            Resource::Token => self.token_uri.clone(),
            Resource::Introspect => self.introspect_uri.clone(),
            Resource::Revoke => self.revoke_uri.clone(),
            // This is always a URI. The base was one when the app was built, the path is escaped, and the limits on both keep the
            // whole below the 64 KiB that a `Uri` can hold.
            Resource::AccessToken(_)
            | Resource::RefreshToken(_)
            | Resource::ExternalInstall
            | Resource::AccountDetails => {
                Uri::try_from(format!("{}{}", self.api_base, self.version.path(resource))).unwrap_or_default()
            }
        }
    }

    /// Returns the address of the consent page with the app's own parameters, in a string with room for `room` more bytes.
    pub(crate) fn authorize_url(&self, hub_id: Option<i64>, room: usize) -> String {
        let path = match (self.kind, hub_id) {
            (Kind::Mcp, _) => Cow::Borrowed(version::MCP_AUTHORIZE_PATH),
            (Kind::Standard, None) => Cow::Borrowed(version::AUTHORIZE_PATH),
            (Kind::Standard, Some(hub_id)) => Cow::Owned(version::authorize_path(hub_id)),
        };
        let parts = [&self.app_base, &*path, "?", &self.authorize_form];
        let mut url = String::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>() + room);
        url.extend(parts);
        url
    }

    pub(crate) fn is_mcp(&self) -> bool {
        self.kind == Kind::Mcp
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("client_id", &self.client_id)
            .field("credential", &self.credential)
            .field("redirect_uri", &self.redirect_uri)
            .field("version", &self.version)
            .field("api_base", &self.api_base)
            .field("app_base", &self.app_base)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ClientSecret;

    #[test]
    fn the_presets_go_to_hubspots_own_hosts() {
        let app = App::hubspot("id", ClientSecret::new("s3cret").unwrap()).build().unwrap();
        assert_eq!(app.uri(Resource::Token), "https://api.hubapi.com/oauth/2026-09/token");
        assert_eq!(app.authorize_url(Some(7), 0), "https://app.hubspot.com/oauth/7/authorize?client_id=id");

        let mcp = App::hubspot_mcp("id", ClientSecret::new("s3cret").unwrap()).build().unwrap();
        assert_eq!(mcp.uri(Resource::Token), "https://mcp.hubspot.com/oauth/v3/token");
        assert_eq!(
            mcp.authorize_url(Some(7), 0),
            "https://mcp.hubspot.com/oauth/authorize/user?client_id=id"
        );
    }

    /// HUBSPOT's "the end of an install, and its news": only the consent page has regional hosts.
    #[test]
    fn an_account_in_europe_has_a_consent_page_of_its_own_and_no_api_of_its_own() {
        let app = App::hubspot("id", ClientSecret::new("s3cret").unwrap())
            .with_app_base("https://app-eu1.hubspot.com")
            .build()
            .unwrap();
        assert_eq!(app.authorize_url(None, 0), "https://app-eu1.hubspot.com/oauth/authorize?client_id=id");
        for resource in [Resource::Token, Resource::ExternalInstall, Resource::AccountDetails] {
            let url = app.uri(resource).to_string();
            assert!(url.starts_with("https://api.hubapi.com/"), "{url}");
        }
    }

    /// HUBSPOT's "the end of an install, and its news": MCP servers take `client_secret_post`.
    #[test]
    fn an_mcp_auth_app_sends_its_secret_in_the_body_like_any_app() {
        use crate::endpoint::{Endpoint, Refresh};
        let secret = || ClientSecret::new("s3cret").unwrap();
        let refresh = Refresh::new("na1-1".parse().unwrap());
        for app in [App::hubspot("id", secret()), App::hubspot_mcp("id", secret())] {
            let request = refresh.to_http(&app.build().unwrap());
            let body = String::from_utf8(request.body().clone()).unwrap();
            assert!(body.contains("client_id=id") && body.contains("client_secret=s3cret"), "{body}");
            assert!(!request.headers().contains_key("authorization"));
        }
    }

    #[test]
    fn an_app_with_another_credential_differs_in_nothing_else() {
        let app = |secret| {
            let secret = ClientSecret::new(secret).unwrap();
            App::hubspot("id", secret).with_redirect_uri("https://a.example/cb").build().unwrap()
        };
        let replaced = app("old").with_credential(ClientSecret::new("new").unwrap());
        assert_eq!(replaced.client_form(), app("new").client_form());
        assert_eq!(replaced.credential(), app("new").credential());
        assert_eq!(replaced.authorize_url(None, 0), app("old").authorize_url(None, 0));
        assert_eq!(replaced.token_uri, app("old").token_uri);
    }

    #[test]
    fn debug_hides_the_secret_everywhere() {
        let builder = App::hubspot("id", ClientSecret::new("canary").unwrap());
        assert!(!format!("{builder:?} {:#?}", builder.clone().build().unwrap()).contains("canary"));
    }
}

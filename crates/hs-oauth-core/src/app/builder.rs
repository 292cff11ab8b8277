//! How an app is put together, and what is checked when it is built.

use http::Uri;

use super::credential::client_form;
use super::{App, Credential, Kind};
use crate::form;
use crate::invalid_argument::{InvalidArgument, InvalidArgumentKind};
use crate::secret;
use crate::url::{check_base, check_url};
use crate::version::{ApiVersion, Resource};

const API_BASE: &str = "https://api.hubapi.com";
const APP_BASE: &str = "https://app.hubspot.com";
const MCP_BASE: &str = "https://mcp.hubspot.com";

/// An [`App`] that is being put together. [`App::hubspot`] begins one.
#[derive(Clone, Debug)]
#[must_use = "nothing is checked until build() is called"]
pub struct AppBuilder {
    client_id: String,
    credential: Credential,
    redirect_uri: Option<String>,
    version: ApiVersion,
    kind: Kind,
    api_base: String,
    app_base: String,
}

impl App {
    /// Begins an app of HubSpot's. It authorizes at `https://app.hubspot.com`, gets tokens at `https://api.hubapi.com` and uses
    /// [`ApiVersion::LATEST`].
    pub fn hubspot(client_id: impl Into<String>, credential: impl Into<Credential>) -> AppBuilder {
        AppBuilder {
            client_id: client_id.into(),
            credential: credential.into(),
            redirect_uri: None,
            version: ApiVersion::LATEST,
            kind: Kind::Standard,
            api_base: API_BASE.to_owned(),
            app_base: APP_BASE.to_owned(),
        }
    }

    /// Begins an MCP auth app. It authorizes and gets tokens at `https://mcp.hubspot.com` and uses `v3`. When it authorizes it sends no
    /// scopes, since HubSpot decides them, and it always uses PKCE, which HubSpot requires there.
    pub fn hubspot_mcp(client_id: impl Into<String>, credential: impl Into<Credential>) -> AppBuilder {
        AppBuilder {
            version: ApiVersion::V3,
            kind: Kind::Mcp,
            api_base: MCP_BASE.to_owned(),
            app_base: MCP_BASE.to_owned(),
            ..Self::hubspot(client_id, credential)
        }
    }
}

impl AppBuilder {
    /// Sets the address to which HubSpot sends the browser after consent.
    ///
    /// It must equal one of the app's registered redirect URIs byte for byte. Authorization needs it; refreshing does not.
    pub fn with_redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(uri.into());
        self
    }

    /// Sets the version of the API that the app uses.
    pub fn with_version(mut self, version: ApiVersion) -> Self {
        self.version = version;
        self
    }

    /// Sets the base address of token requests, in place of HubSpot's: that of an emulator or a proxy. It may have a path.
    pub fn with_api_base(mut self, url: impl Into<String>) -> Self {
        self.api_base = url.into();
        self
    }

    /// Sets the base address of the consent page, in place of `https://app.hubspot.com`: that of an emulator, or
    /// `https://app-eu1.hubspot.com`.
    pub fn with_app_base(mut self, url: impl Into<String>) -> Self {
        self.app_base = url.into();
        self
    }

    /// Checks everything and returns the app.
    ///
    /// # Errors
    /// [`InvalidArgument`] naming `client_id`, `redirect_uri`, `api_base` or `app_base`. The value is empty or too long, or has
    /// characters that are not allowed in it. Or a URL is not absolute, is neither https nor loopback, has a user name or a fragment, or
    /// (in a base) has a query. Or the redirect URI has a parameter `code`, `state` or `error`.
    pub fn build(self) -> Result<App, InvalidArgument> {
        secret::check(&self.client_id, secret::is_printable)
            .map_err(|kind| InvalidArgument::new("client_id", kind))?;
        if let Some(uri) = &self.redirect_uri {
            check_url("redirect_uri", uri)?;
            // HubSpot keeps the query and adds parameters of its own, so each of these would be there twice.
            let query = uri.split_once('?').map_or("", |(_, query)| query);
            if form_urlencoded::parse(query.as_bytes())
                .any(|(name, _)| matches!(&*name, "code" | "state" | "error"))
            {
                let kind = InvalidArgumentKind::UrlPart("a parameter `code`, `state` or `error`");
                return Err(InvalidArgument::new("redirect_uri", kind));
            }
        }
        let api_base = check_base("api_base", self.api_base)?;
        let app_base = check_base("app_base", self.app_base)?;

        let uri = |resource| {
            Uri::try_from(format!("{api_base}{}", self.version.path(resource)))
                .map_err(|_| InvalidArgument::new("api_base", InvalidArgumentKind::NotAUrl))
        };
        Ok(App {
            token_uri: uri(Resource::Token)?,
            introspect_uri: uri(Resource::Introspect)?,
            revoke_uri: uri(Resource::Revoke)?,
            client_form: client_form(&self.client_id, &self.credential),
            authorize_form: authorize_form(&self.client_id, self.redirect_uri.as_deref()),
            client_id: self.client_id,
            credential: self.credential,
            redirect_uri: self.redirect_uri,
            version: self.version,
            kind: self.kind,
            api_base,
            app_base,
        })
    }
}

fn authorize_form(client_id: &str, redirect_uri: Option<&str>) -> String {
    let mut encoded = String::new();
    form::push(&mut encoded, "client_id", client_id);
    if let Some(uri) = redirect_uri {
        form::push(&mut encoded, "redirect_uri", uri);
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ClientSecret;

    fn builder() -> AppBuilder {
        App::hubspot("id", ClientSecret::new("s3cret").unwrap())
    }

    #[test]
    fn credentials_go_to_https_or_loopback_only() {
        for base in [
            "https://example.com",
            "https://example.com:8443/proxy/",
            "http://localhost:1",
            "http://LOCALHOST",
        ] {
            assert!(builder().with_api_base(base).build().is_ok(), "{base}");
        }
        for base in ["http://127.0.0.1:4380", "http://127.9.9.9", "http://[::1]:80"] {
            assert!(builder().with_api_base(base).build().is_ok(), "{base}");
        }
        for (base, reason) in [
            ("", InvalidArgumentKind::Missing),
            ("http://example.com", InvalidArgumentKind::NotHttps),
            ("http://localhost.example.com", InvalidArgumentKind::NotHttps),
            ("http://127.0.0.1.example.com", InvalidArgumentKind::NotHttps),
            ("http://127.1", InvalidArgumentKind::NotHttps),
            ("http://10.0.0.1", InvalidArgumentKind::NotHttps),
            ("http://0.0.0.0", InvalidArgumentKind::NotHttps),
            ("http://127.0.0.1@example.com", InvalidArgumentKind::UrlPart("a user name or password")),
            ("https://user:pass@example.com", InvalidArgumentKind::UrlPart("a user name or password")),
            ("https://example.com/?a=b", InvalidArgumentKind::UrlPart("a query")),
            ("https://example.com/#a", InvalidArgumentKind::UrlPart("a fragment")),
            ("http://127.0.0.1\\@example.com", InvalidArgumentKind::Character { at: 16 }),
            ("https://exam ple.com", InvalidArgumentKind::Character { at: 12 }),
            ("https://ex\u{e4}mple.com", InvalidArgumentKind::Character { at: 10 }),
            ("ftp://example.com", InvalidArgumentKind::NotAUrl),
            ("example.com", InvalidArgumentKind::NotAUrl),
            ("/oauth", InvalidArgumentKind::NotAUrl),
            ("https://", InvalidArgumentKind::NotAUrl),
            ("https://:80", InvalidArgumentKind::NotAUrl),
            ("http://[::1]evil.example.com", InvalidArgumentKind::NotAUrl),
            ("https://example.com:99999", InvalidArgumentKind::NotAUrl),
            ("https://example.com:-1", InvalidArgumentKind::NotAUrl),
            ("https://example.com:", InvalidArgumentKind::NotAUrl),
            ("https://[zz]", InvalidArgumentKind::NotAUrl),
        ] {
            let invalid = builder().with_api_base(base).build().unwrap_err();
            assert_eq!(invalid, InvalidArgument::new("api_base", reason), "{base}");
        }
    }

    #[test]
    fn a_redirect_uri_keeps_its_query_byte_for_byte() {
        let uri = "https://myapp.example.com/cb?tenant=a%20b&x=";
        assert_eq!(builder().with_redirect_uri(uri).build().unwrap().redirect_uri(), Some(uri));
        for name in ["code", "state", "error", "st%61te"] {
            let uri = format!("https://myapp.example.com/cb?{name}=1");
            assert_eq!(
                builder().with_redirect_uri(uri).build().unwrap_err().argument,
                "redirect_uri",
                "{name}"
            );
        }
        assert_eq!(builder().with_redirect_uri("myapp://cb").build().unwrap_err().argument, "redirect_uri");
    }
}

//! The app that the service is for: yours, from the environment, or that of an emulator.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::http::Uri;
use clap::Parser;
use hs_oauth_async::{App, ClientSecret, Scopes};
use hs_oauth_emulator::{RegisteredScopes, Server, Settings};
use hs_oauth_examples::BoxError;

use crate::install::{OPTIONAL_SCOPES, REQUIRED_SCOPES};

/// A page on which people connect their HubSpot accounts
#[derive(Parser)]
pub(crate) struct Options {
    /// The address to listen on; port 0 chooses a free port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    pub(crate) listen: SocketAddr,
    /// The folder in which tokens are kept, and who has connected which account. Without HUBSPOT_CLIENT_ID it may be left out
    #[arg(long)]
    folder: Option<PathBuf>,
}

pub(crate) struct Setup {
    pub(crate) app: App,
    pub(crate) hubspot: Option<Server>,
    redirect_uri: Uri,
    folder: Folder,
}

enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Setup {
    pub(crate) fn new(options: &Options, address: SocketAddr) -> Result<Self, BoxError> {
        let folder = options.folder.clone().map(Folder::Kept);
        if std::env::var_os("HUBSPOT_CLIENT_ID").is_some_and(|id| !id.is_empty()) {
            let folder = folder.ok_or("--folder is missing: it says where the tokens are kept")?;
            return Self::of(App::from_env()?, None, folder);
        }
        let hubspot = emulator(address)?;
        let folder = match folder {
            Some(folder) => folder,
            None => Folder::Temporary(tempfile::tempdir()?),
        };
        Self::of(app(&hubspot)?, Some(hubspot), folder)
    }

    fn of(app: App, hubspot: Option<Server>, folder: Folder) -> Result<Self, BoxError> {
        let redirect_uri = app.redirect_uri().ok_or("HUBSPOT_REDIRECT_URI is missing")?.parse()?;
        Ok(Self { app, hubspot, redirect_uri, folder })
    }

    /// Returns the address of this service for browsers and for HubSpot, without a slash at the end. Behind a proxy, it is the proxy's.
    pub(crate) fn public_url(&self) -> Result<String, BoxError> {
        let uri = &self.redirect_uri;
        let (scheme, authority) =
            uri.scheme().zip(uri.authority()).ok_or("HUBSPOT_REDIRECT_URI has no host")?;
        Ok(format!("{scheme}://{authority}"))
    }

    pub(crate) fn callback_path(&self) -> &str {
        self.redirect_uri.path()
    }

    pub(crate) fn folder(&self) -> &Path {
        match &self.folder {
            Folder::Kept(path) => path,
            Folder::Temporary(folder) => folder.path(),
        }
    }
}

fn emulator(address: SocketAddr) -> Result<Server, BoxError> {
    let mut settings = Settings::random()?;
    // Not 127.0.0.1, so that browsers see another site than the emulator's, as they do with HubSpot.
    settings.redirect_uris = vec![format!("http://localhost:{}/oauth/callback", address.port())];
    let (required, optional) = (REQUIRED_SCOPES.parse()?, OPTIONAL_SCOPES.parse()?);
    settings.registered_scopes = Some(RegisteredScopes::new(required, Scopes::NONE, optional)?);
    Ok(Server::start("127.0.0.1:0", settings)?)
}

fn app(hubspot: &Server) -> Result<App, BoxError> {
    let settings = hubspot.settings();
    let app = App::hubspot(&settings.client_id, ClientSecret::new(&settings.client_secret)?)
        .with_redirect_uri(settings.redirect_uris.first().ok_or("no redirect URI")?)
        .with_api_base(hubspot.url())
        .with_app_base(hubspot.url())
        .build()?;
    Ok(app)
}

use clap::Args;
use hs_oauth_blocking::{ApiVersion, App, Client, ClientSecret, Credential};

use crate::environment::{API_BASE, API_VERSION, APP_BASE, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, Variable};
use crate::failure::Failure;
use crate::secret;
use crate::stdin::StdinMarker;

/// The flags that describe the app. Where one is not given, its environment variable counts.
#[derive(Args, Debug)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// The app's client id [env: HUBSPOT_CLIENT_ID]
    #[arg(long, global = true, value_name = "ID")]
    client_id: Option<String>,
    /// `-` reads the client secret [env: HUBSPOT_CLIENT_SECRET]
    #[arg(long, global = true, value_name = "-")]
    client_secret: Option<StdinMarker>,
    /// Where HubSpot sends the browser back to [env: HUBSPOT_REDIRECT_URI]
    #[arg(long, global = true, value_name = "URI")]
    redirect_uri: Option<String>,
    /// v1, v3 or a month; 2026-09 unless set [env: HUBSPOT_API_VERSION]
    #[arg(long, global = true, value_name = "VERSION")]
    api_version: Option<String>,
    /// Instead of `https://api.hubapi.com` [env: HUBSPOT_API_BASE]
    #[arg(long, global = true, value_name = "URL")]
    api_base: Option<String>,
    /// Instead of `https://app.hubspot.com` [env: HUBSPOT_APP_BASE]
    #[arg(long, global = true, value_name = "URL")]
    app_base: Option<String>,
    /// An MCP auth app: `https://mcp.hubspot.com` and v3 unless set
    #[arg(long, global = true)]
    pub(crate) mcp: bool,
}

impl Settings {
    /// Returns a client for the app. The client secret is required.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let app = self.app(|| {
            let secret = secret::read(&CLIENT_SECRET, self.client_secret.is_some())?;
            Ok(ClientSecret::new(secret)?.into())
        })?;
        Ok(Client::new(app))
    }

    /// Returns the app without its secret, which is enough for an authorization URL.
    pub(crate) fn public_app(&self) -> Result<App, Failure> {
        self.app(|| Ok(Credential::Public))
    }

    /// Returns the app's redirect URI, for the commands that require one.
    pub(crate) fn redirect_uri(app: &App) -> Result<&str, Failure> {
        app.redirect_uri().ok_or_else(|| Failure::missing(&REDIRECT_URI))
    }

    fn app(&self, credential: impl FnOnce() -> Result<Credential, Failure>) -> Result<App, Failure> {
        let client_id = setting(&self.client_id, &CLIENT_ID)?.ok_or_else(|| Failure::missing(&CLIENT_ID))?;
        let version = setting(&self.api_version, &API_VERSION)?;
        let version = version.map(|version| version.parse::<ApiVersion>()).transpose()?;
        let preset = if self.mcp { App::hubspot_mcp } else { App::hubspot };

        let mut app = preset(client_id, credential()?);
        if let Some(version) = version {
            app = app.with_version(version);
        }
        if let Some(uri) = setting(&self.redirect_uri, &REDIRECT_URI)? {
            app = app.with_redirect_uri(uri);
        }
        if let Some(base) = setting(&self.api_base, &API_BASE)? {
            app = app.with_api_base(base);
        }
        if let Some(base) = setting(&self.app_base, &APP_BASE)? {
            app = app.with_app_base(base);
        }
        Ok(app.build()?)
    }
}

fn setting(flag: &Option<String>, variable: &Variable) -> Result<Option<String>, Failure> {
    match flag {
        Some(value) => Ok(Some(value.clone())),
        None => Ok(variable.read()?),
    }
}
